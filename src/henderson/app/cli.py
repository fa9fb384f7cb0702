"""The command `henderson`: `demo`, `fit`, `predict`, `compare`, `report`, `datasets`.

Tables go to stdout. What is wrong with the command or the data is one line on stderr and exit code 2;
warnings are one line each on stderr. Ctrl-C ends with 130.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from henderson import __version__, datasets
from henderson.app.record import as_record
from henderson.app.tables import table_or_stream
from henderson.errors import DataError
from henderson.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd


#: what holds a model
SAVED = "a file that fit wrote: FILE.henderson (--save) or FILE.json (--out)"
#: what is a table
TABLE = (
    "a .csv, .tsv or .parquet file, or the name of a data set; a glob in quotes ('visits/*.parquet'), a folder, a "
    "Feather file or SQL text are read in parts"
)
#: endings of files that hold models
ENDINGS = (".henderson", ".json")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; `sys.argv[1:]` when absent.

    Returns
    -------
    int
        Exit code: 0, 2 for an error of the command line or the data, 130 after Ctrl-C.
    """
    args = _parser().parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`head`) has left. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, ImportError, OSError) as error:
        _say(f"error: {error}")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="henderson", description="Mixed-effects models.")
    parser.add_argument("--version", action="version", version=f"henderson {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="fit three models and print their tables and times")
    demo.set_defaults(run=_run_demo)

    fit = commands.add_parser(
        "fit",
        help="fit one model and print its table",
        description="Fit one model and print its table.",
        epilog='example: henderson fit "Reaction ~ Days + (Days | Subject)" sleepstudy',
    )
    _add_model(fit)
    fit.add_argument("--anova", action="store_true", help="also print the F tests of the terms")
    fit.add_argument(
        "--emmeans", metavar="FACTOR", action="append", default=[], help="also print marginal means; may be repeated"
    )
    fit.add_argument("--save", metavar="FILE", help="save the model, for predict and compare: FILE.henderson")
    fit.add_argument("--out", metavar="FILE", help="write estimates, certificate and model to FILE as JSON")
    fit.add_argument(
        "--crossproducts",
        action="store_true",
        help="keep the cross-products in the file whatever they take: standard errors of predictions need them",
    )
    fit.set_defaults(run=_run_fit)

    report = commands.add_parser(
        "report",
        help="fit one model and write a page about it",
        description="Fit one model and write a self-contained HTML page about it.",
        epilog='example: henderson report "Reaction ~ Days + (Days | Subject)" sleepstudy --out fit.html',
    )
    _add_model(report)
    report.add_argument("--title", help="heading of the page")
    report.add_argument("--out", metavar="FILE", default="report.html", help="the page (default: report.html)")
    report.set_defaults(run=_run_report)

    predict = commands.add_parser(
        "predict",
        help="predictions of a saved model for a table",
        description="Predictions of a saved model for the rows of a table, as CSV.",
        epilog="example: henderson predict sleep.henderson new.csv --interval confidence --out predictions.csv",
    )
    predict.add_argument("model", help=SAVED)
    predict.add_argument("data", help=TABLE)
    predict.add_argument(
        "--re", choices=("all", "none"), default="all", help="with random effects (default) or without"
    )
    predict.add_argument("--interval", choices=("confidence", "prediction"), help="add standard errors and limits")
    predict.add_argument("--level", type=float, help="of the limits (default: 0.95)")
    predict.add_argument("--ddf", metavar="METHOD", help="degrees of freedom of the limits; by default the model's")
    predict.add_argument("--new-levels", choices=("raise", "population"), default="raise", help="levels not in the fit")
    predict.add_argument("--out", metavar="FILE", help="write there instead of to stdout")
    predict.set_defaults(run=_run_predict)

    compare = commands.add_parser(
        "compare",
        help="compare saved models",
        description="Compare saved models of the same rows: likelihood ratios, AIC, BIC.",
        epilog="example: henderson compare intercepts.json slopes.json",
    )
    compare.add_argument("models", nargs="+", metavar="MODEL", help=f"two or more: {SAVED}")
    compare.add_argument(
        "--method", choices=("lr", "kenward-roger"), default="lr", help="likelihood ratios (default) or an F test"
    )
    compare.set_defaults(run=_run_compare)

    listing = commands.add_parser("datasets", help="list the data sets, or describe one")
    listing.add_argument("name", nargs="?", help="describe this one")
    listing.set_defaults(run=_run_datasets)
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    """The arguments that say what to fit to what."""
    command.add_argument("formula", help="a formula with bars, or without when --groups is given")
    command.add_argument("data", help=TABLE)
    command.add_argument("--ml", action="store_true", help="maximum likelihood (default: REML)")
    command.add_argument("--weights", metavar="COLUMN", help="prior weights")
    command.add_argument("--groups", metavar="COLUMN", help="fit as statsmodels' MixedLM does, by these groups")
    command.add_argument("--re-formula", metavar="FORMULA", help="with --groups: random slopes, such as '~ Days'")
    command.add_argument(
        "--vc",
        metavar="NAME=FORMULA",
        action="append",
        default=[],
        help="with --groups: a variance component, such as 'cask=0 + C(cask)'; may be repeated",
    )
    command.add_argument("--ddf", metavar="METHOD", help="degrees of freedom: satterthwaite, kenward-roger, …")
    command.add_argument(
        "--open",
        action="store_true",
        help="let the formula run Python; by default it may use columns and the listed functions only",
    )


def _run_demo(args: argparse.Namespace) -> None:
    # Times of one thread can be compared between machines. NumPy reads these once, when it is first imported.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from henderson.app import demo

    demo.run()


def _run_datasets(args: argparse.Namespace) -> None:
    if args.name is not None:
        print(datasets.describe(args.name))
        return
    for name in datasets.names():
        dataset = datasets.describe(name)
        print(f"{name:<11}{dataset.rows:>7,}  {dataset.title}")


def _run_fit(args: argparse.Namespace) -> None:
    if args.save is not None:
        if Path(args.save).suffix != ".henderson":
            raise ValueError(f"{args.save!r}: a saved model is a .henderson file")
        _need_place(args.save)
    keep = args.crossproducts or None
    if keep and args.save is None and args.out is None:
        raise ValueError("--crossproducts goes with --save or --out")
    result, text, messages = _fitted(args, lambda result: _tables(result, args))
    print(text)
    if args.save is not None or args.out is not None:
        result.engine.digest.read()  # rows in parts are gone through once more: `compare` needs to know which they were
    record = None if args.out is None else as_record(result, formula=args.formula, warned=messages, crossproducts=keep)
    for message in messages if record is None else record["warnings"]:
        _say(f"warning: {message}")
    if args.save is not None:
        result.save(args.save, crossproducts=keep)
    if record is not None:
        with whole_file(args.out) as place:
            place.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _tables(result: Any, args: argparse.Namespace) -> str:
    """The summary, and the tables that were asked for."""
    parts = [str(result.summary()).rstrip("\n")]
    if args.anova:
        parts.append(str(result.anova()))
    parts += [str(result.emmeans(specs)) for specs in args.emmeans]
    return "\n\n".join(parts)


def _run_predict(args: argparse.Namespace) -> None:
    _need_place(args.out)
    options: dict[str, Any] = {"re": args.re, "new_levels": args.new_levels}
    if args.interval is not None:
        options |= {"interval": args.interval, "ddf": args.ddf, "level": 0.95 if args.level is None else args.level}
    for option in ("ddf", "level"):
        if getattr(args, option) is not None and args.interval is None:
            raise ValueError(f"--{option} goes with --interval")
    tables = _predictions(_saved(args.model), table_or_stream(args.data), options)
    first = next(tables)  # what is wrong with the table is said before a file is there
    if args.out is None:
        _write_csv(first, tables, sys.stdout)
        return
    with whole_file(args.out) as place, place.open("w", encoding="utf-8") as file:
        _write_csv(first, tables, file)


def _write_csv(first: pd.DataFrame, others: Iterator[pd.DataFrame], file: TextIO) -> None:
    """Tables one below another."""
    first.to_csv(file, index_label="row")
    for table in others:
        table.to_csv(file, header=False)


def _predictions(model: Any, data: Any, options: dict[str, Any]) -> Iterator[pd.DataFrame]:
    """Predictions of a table, or of rows in parts, part by part with their numbers from the first on."""
    from henderson.sources.frames import as_pandas
    from henderson.sources.streams.registry import is_stream

    if not is_stream(data):
        yield _estimates(model.predict(data, **options))
        return
    before = 0
    with data.held(None) as source:
        for part in source.parts(source.names):
            try:
                found = _estimates(model.predict(as_pandas(part.given), **options))
            except ValueError as error:
                raise ValueError(f"{part.where}: {error}") from error
            found.index = range(before, before + len(found))
            before += len(found)
            yield found


def _estimates(found: Any) -> Any:
    return found if found.ndim == 2 else found.rename("estimate").to_frame()


def _need_place(place: str | None) -> None:
    """Refuse, before any work, a file that cannot be written."""
    if place is None:
        return
    if not place or Path(place).is_dir():
        raise ValueError(f"cannot write {place!r}: it is " + ("a folder" if place else "no name of a file"))
    if not Path(place).absolute().parent.is_dir():
        raise ValueError(f"cannot write {place}: no such folder")


def _run_compare(args: argparse.Namespace) -> None:
    from henderson import compare

    if len(args.models) < 2:
        raise ValueError("compare needs at least two models")
    print(compare(*[_saved(place) for place in args.models], method=args.method))


def _saved(place: str) -> Any:
    """The model in a file, which must be one that holds no code: a pickle from elsewhere would run it."""
    from henderson import load

    if Path(place).suffix not in ENDINGS:
        raise ValueError(f"{place!r}: a saved model is a {' or a '.join(ENDINGS)} file")
    if not Path(place).exists():
        raise ValueError(f"no such file: {place}")
    return load(place)


def _run_report(args: argparse.Namespace) -> None:
    from henderson.plots.canvas import needed

    needed()
    _, place, messages = _fitted(args, lambda result: result.report(args.out, title=args.title))
    print(place)
    for message in messages:
        _say(f"warning: {message}")


def _fitted(args: argparse.Namespace, use: Callable[[Any], Any]) -> tuple[Any, Any, list[str]]:
    """The fit, what `use` makes of it, and the warnings of both."""
    from henderson.inference.names import InferenceRequest

    components = _components(args)
    _need_place(args.out)
    InferenceRequest.of(args.ddf, None)
    data = table_or_stream(args.data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = _fit(args, data, components)
        if args.ddf is not None:
            result = result.with_inference(ddf=args.ddf)
        used = use(result)
    return result, used, [_one_line(str(w.message)) for w in caught if issubclass(w.category, UserWarning)]


def _components(args: argparse.Namespace) -> dict[str, str]:
    """`--vc NAME=FORMULA` options as a `vc_formula`; refuses options that need --groups."""
    if args.groups is None and (args.vc or args.re_formula is not None):
        raise ValueError("--re-formula and --vc need --groups")
    if args.groups is not None and args.weights is not None:
        raise ValueError("--weights goes with a formula with bars, not with --groups")
    components = {}
    for text in args.vc:
        name, equals, formula = text.partition("=")
        if not (equals and name.strip() and formula.strip()):
            raise ValueError(f"--vc takes NAME=FORMULA, not {text!r}")
        if name.strip() in components:
            raise ValueError(f"--vc names {name.strip()!r} twice")
        components[name.strip()] = formula.strip()
    return components


def _fit(args: argparse.Namespace, data: Any, components: dict[str, str]) -> Any:
    from henderson import lmer, mixedlm

    columns = getattr(data, "names", getattr(data, "columns", ()))
    for column in (args.groups, args.weights):
        if column is not None and column not in columns:
            there = ", ".join(map(str, columns))
            raise DataError(f"no column is called {column!r}; the table has {there}")
    env: Any = {} if args.open else "closed"
    if args.groups is None:
        return lmer(args.formula, data, REML=not args.ml, weights=args.weights, env=env)
    model = mixedlm(
        args.formula,
        data,
        groups=args.groups,
        re_formula=args.re_formula,
        vc_formula=components or None,
        eval_env=env,
    )
    return model.fit(reml=not args.ml)


def _say(message: str) -> None:
    print(f"henderson: {_one_line(message)}", file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())

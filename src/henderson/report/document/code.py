"""The code that makes a fit again."""

from __future__ import annotations

from typing import Any

from henderson.contract.residual import ResidualTerm


def code_of(results: Any) -> str:
    """Python that fits the model again, as far as the results know it.

    Parameters
    ----------
    results : MixedModelResults

    Returns
    -------
    str
        Empty for a model that was given as arrays.
    """
    design, inference = results.design, results.inference
    specs = design.specs
    if not design.formula or specs is None:
        return ""
    head = ["import henderson", "", "data = ...  # the table: pandas, polars, pyarrow or a dict of columns"]
    residual = None if design.residual is None or design.residual.is_plain else design.residual
    if "|" not in design.formula and (design.terms or residual is None):
        head.append("# groups, re_formula and vc_formula are as in the call that made this report")
        return "\n".join(
            [
                *head,
                f"model = henderson.mixedlm({design.formula!r}, data, groups=...{_residual(residual)})",
                f"fit = model.fit(reml={results.engine.reml})",
            ]
        )
    options = [repr(design.formula), "data", f"REML={results.engine.reml}"]
    if residual is not None:
        options.append(_residual(residual).removeprefix(", "))
    if design.weighted:
        named = specs.weights.expr if specs.weights is not None else specs.weights_column
        options.append(f"weights={named!r}" if named else "weights=...")
    asked = f"ddf={inference.ddf!r}, cov={inference.cov_type!r}"
    lines = [*head, f"fit = henderson.lmer({', '.join(options)})"]
    if not inference.cov_type.startswith("CR"):
        lines.append(f"fit = fit.with_inference({asked})")
    else:
        lines.append(f"fit = fit.with_inference({asked}, cluster=...)  # the clusters that were given")
    return "\n".join([*lines, "print(fit.summary())", 'fit.report("fit.html")'])


def _residual(term: ResidualTerm | None) -> str:
    """The option that gives a residual covariance; empty for none."""
    return "" if term is None else f", residual={term.label!r}"

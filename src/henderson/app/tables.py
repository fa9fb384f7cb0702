"""What the command line takes for a table: a file by its ending, or an example data set."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from henderson import datasets

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")
#: bytes from which a file is read in parts
LARGE = 1 << 30
TABS = (".tsv", ".tab")
#: what separates columns in a file whose name says otherwise
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
#: files that are tables to their users, and what they are
OTHERS = {
    ".xlsx": "it is an Excel workbook",
    ".xls": "it is an Excel workbook",
    ".ods": "it is a spreadsheet",
    ".json": "it is JSON",
    ".jsonl": "it is JSON",
    ".rds": "it is an R object",
    ".rdata": "it is an R workspace",
    ".sas7bdat": "it is a SAS data set",
    ".sav": "it is an SPSS data set",
    ".dta": "it is a Stata data set",
    ".pkl": "it is a pickle, which can run code",
    ".h5": "it is an HDF5 file",
}


def table_or_stream(place: str) -> Any:
    """What the place says: a table, or rows that are read in parts.

    A glob, a folder, a Feather file, a CSV that Zstandard or LZ4 compressed and the text of a query are read in parts,
    as is a file of more than `LARGE` bytes.

    Parameters
    ----------
    place : str
        As for `read_table`, or ``'visits/*.parquet'``, ``"SELECT … FROM 'visits.parquet'"``.

    Returns
    -------
    pandas.DataFrame or Source
    """
    from henderson.sources.streams.paths import FORMATS, format_of
    from henderson.sources.streams.queries import is_query
    from henderson.sources.streams.registry import open_source

    path = Path(place)
    exists = bool(place) and not is_query(place) and path.exists()
    if exists:
        is_large = path.suffix.lower() in FORMATS and path.stat().st_size > LARGE
        is_packed = path.suffix.lower() in (".zst", ".lz4") and format_of(place) is not None
        in_parts = is_large or is_packed or path.is_dir() or format_of(place) == "feather"
    else:
        in_parts = is_query(place) or glob.has_magic(place)
    return open_source(place) if in_parts else read_table(place)


def read_table(place: str) -> pd.DataFrame:
    """A table from a file, or an example data set.

    Parameters
    ----------
    place : str
        Path of a CSV (`.csv`, compressed or not), tab-separated (`.tsv`) or Parquet (`.parquet`) file;
        otherwise a name that `henderson.datasets` knows. A file goes before a data set.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ValueError
        There is neither such a file nor such a data set, or the file cannot be read as what its name says.
    ImportError
        A Parquet file, and pyarrow is not installed.
    """
    path = Path(place)
    if not place or not path.exists():
        if "~" in place[1:]:
            raise ValueError(f"{place!r} is no table but a formula: it comes first, then the table")
        if path.suffix or path.name != place:
            raise ValueError(f"no such file: {place}")
        return datasets.load(place)
    if path.is_dir():
        raise ValueError(f"{place} is a folder; give a .csv, .tsv or .parquet file")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in OTHERS:
        raise ValueError(f"cannot read {place}: {OTHERS[suffixes[-1]]}; save it as .csv, .tsv or .parquet")
    import lzma
    import tarfile
    import zipfile
    import zlib

    import pandas as pd

    # a file that is cut off or is not what its name says; pandas leaves these as the decompressors raise them
    broken = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
    try:
        if suffixes[-1:] and suffixes[-1] in PARQUET:
            return _read_parquet(path)
        separator = "\t" if set(suffixes) & set(TABS) else ","
        table = pd.read_csv(path, sep=separator)
        if any(name.rpartition(".")[0] in table.columns for name in map(str, table.columns)):  # "x.1": pandas' second x
            written = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str).iloc[0].dropna()
            if written.duplicated().any():
                raise ValueError(f"two columns are called {written[written.duplicated()].iloc[0]!r}")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {place}: its text is not UTF-8; save it as UTF-8") from error
    except (ValueError, OSError, *broken) as error:
        raise ValueError(f"cannot read {place}: {error or type(error).__name__}") from error
    _check_separated(place, [str(name) for name in table.columns])
    return table


def _check_separated(place: str, names: list[str]) -> None:
    """Refuse a table whose only column is a row of names, such as ``y;x;g``."""
    signs = [word for sign, word in SEPARATORS.items() if sign in names[0]]
    if len(names) == 1 and signs:
        raise ValueError(
            f"cannot read {place}: its only column is {names[0]!r}, as if {signs[0]} separated its columns; "
            "a .csv file has commas, a .tsv file tabs"
        )


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        import pyarrow  # noqa: F401 - pandas' own message does not say which extra brings it
    except ImportError:
        raise ImportError("reading Parquet needs pyarrow: pip install 'henderson[io]'") from None
    return pd.read_parquet(path, engine="pyarrow")

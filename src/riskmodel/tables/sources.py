"""Which file holds which table, and its rows as the file holds them: Parquet, CSV in two encodings, compressed CSV, Excel.

Nothing is interpreted here. CSV and Excel come as text; Parquet keeps its types. Every form counts its rows apart from reading them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from riskmodel.tables.csv_files import read_csv
from riskmodel.tables.extracts import Part, Source, Trouble
from riskmodel.tables.mapping import MAPPING_FILE, TableMapping
from riskmodel.tables.parquet_files import read_parquet
from riskmodel.tables.schema import TABLES
from riskmodel.tables.workbooks import read_excel

__all__ = ["Part", "Source", "Trouble", "find_sources", "hash_of", "read_source", "table_of_name"]

ENDINGS = (".parquet", ".csv", ".csv.gz", ".xlsx")


def find_sources(folder: Path, mappings: dict[str, TableMapping]) -> tuple[dict[str, list[Path]], list[Trouble]]:
    """The files of each table that is there, and troubles: two entries for one table, an entry that no table is called."""
    troubles = []
    found: dict[str, list[Path]] = {}
    if not folder.is_dir():
        remedy = "Name the folder that holds households.parquet (or .csv, .xlsx) and the other tables."
        return {}, [Trouble("no_folder", str(folder), (), 0, "no such folder", "a folder with the tables", remedy)]
    named = {mapping.file: name for name, mapping in mappings.items() if mapping.file}
    for name, mapping in mappings.items():
        if mapping.file:
            path = folder / mapping.file
            if path.exists():
                found[name] = _files(path)
            else:
                remedy = f"Put it there, or correct `file` of {name} in {MAPPING_FILE}."
                troubles.append(
                    Trouble("no_file", mapping.file, (), 0, "no such file", f"the file that {MAPPING_FILE} names", remedy)
                )
    by_zh = {table.zh: table.name for table in TABLES.values()}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_", "~$")) or path.name == MAPPING_FILE or path.name in named:
            continue
        stem = path.name if path.is_dir() else _stem(path.name)
        if stem is None:
            if path.suffix.lower() in (".xls", ".et", ".txt", ".tsv", ".zip", ".rar") and _plain_stem(path.name) in (
                *TABLES,
                *by_zh,
            ):
                remedy = "Save it as .xlsx, .csv or .parquet."
                troubles.append(
                    Trouble("unknown_form", path.name, (), 0, f"a {path.suffix} file", "one of " + ", ".join(ENDINGS), remedy)
                )
            continue
        name = stem if stem in TABLES else by_zh.get(stem, "")
        if not name:
            if not path.is_dir():
                remedy = f"Rename it, or name it under `file` in {MAPPING_FILE}; it is not read."
                expected = "a file named after a table: " + ", ".join(TABLES)
                troubles.append(Trouble("unknown_file", path.name, (), 0, "a file of no table", expected, remedy, "warning"))
            continue
        if path.is_dir() and not _files(path):
            remedy = "Put the table's Parquet files there, or give one file for the table."
            troubles.append(Trouble("unknown_form", path.name, (), 0, "a folder without Parquet files", "Parquet files", remedy))
            continue
        if name in found:
            other = found[name][0]
            both = f"both {other.relative_to(folder)} and {path.name}"
            troubles.append(Trouble("two_files", path.name, (), 0, both, f"one entry for {name}", "Move one of the two away."))
            continue
        found[name] = _files(path)
    return found, troubles


def table_of_name(path: Path) -> str | None:
    """The table that a file is named after, in English or Chinese; None if after none."""
    stem = _stem(path.name)
    by_zh = {table.zh: table.name for table in TABLES.values()}
    return stem if stem in TABLES else by_zh.get(stem or "")


def _stem(name: str) -> str | None:
    lower = name.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if lower.endswith(ending):
            return name[: -len(ending)]
    return None


def _plain_stem(name: str) -> str:
    return name.split(".", 1)[0]


def _files(path: Path) -> list[Path]:
    return sorted(item for item in path.rglob("*.parquet") if not item.name.startswith((".", "_"))) if path.is_dir() else [path]


def read_source(folder: Path, table: str, files: list[Path], mapping: TableMapping) -> Source:
    """Read one table's files. Never raises for what a file holds: troubles are returned with the source."""
    form = _form(files[0])
    if form == "parquet":
        source = read_parquet(folder, table, files)
    elif form == "xlsx":
        source = read_excel(folder, table, files[0], mapping)
    else:
        source = read_csv(folder, table, files[0], mapping)
    source.hash = hash_of(folder, files)
    return source


def _form(path: Path) -> str:
    lower = path.name.lower()
    return "parquet" if lower.endswith(".parquet") else "xlsx" if lower.endswith(".xlsx") else "csv"


def hash_of(folder: Path, files: list[Path]) -> str:
    """SHA-256 over the names (within the folder) and bytes of a table's files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()

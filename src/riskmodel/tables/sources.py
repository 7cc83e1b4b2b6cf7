"""Which file holds which table, and its rows as the file holds them: Parquet, CSV in two encodings,
compressed CSV, Excel.

Nothing is interpreted here. CSV and Excel come as text; Parquet keeps its types. Every form counts its rows
apart from reading them.
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
# What may be called like a table and holds no rows: checksums, signatures, documents.
BESIDE = (".md5", ".sha1", ".sha256", ".asc", ".sig", ".crc", ".md", ".pdf", ".docx", ".html", ".log", ".png")


def find_sources(
    folder: Path, mappings: dict[str, TableMapping]
) -> tuple[dict[str, list[Path]], list[Trouble]]:
    """The files of each table that is there, and troubles: two entries for one table, an entry that no table
    is called.
    """
    troubles = []
    found: dict[str, list[Path]] = {}
    if not folder.is_dir():
        remedy = "Name the folder that holds households.parquet (or .csv, .xlsx) and the other tables."
        return {}, [
            Trouble(
                check="no_folder",
                file=str(folder),
                rows=(),
                count=0,
                found="no such folder",
                expected="a folder with the tables",
                remedy=remedy,
            )
        ]
    named = {mapping.file for mapping in mappings.values() if mapping.file}
    for name, mapping in mappings.items():
        if mapping.file:
            files, trouble = _named_files(folder, name, mapping.file)
            troubles += [trouble] if trouble else []
            if files:
                found[name] = files
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_", "~$")) or path.name == MAPPING_FILE or path.name in named:
            continue
        called = table_of_name(path) if not path.is_dir() else _table_called(path.name)
        if called is None:
            if trouble := _passed_over(path):
                troubles.append(trouble)
            continue
        if path.is_dir() and (trouble := _wrong_folder(folder, path)):
            troubles.append(trouble)
            continue
        if called in found:
            other = found[called][0]
            both = f"both {other.relative_to(folder)} and {path.name}"
            remedy = "Move one of the two away."
            troubles.append(
                Trouble(
                    check="two_files",
                    file=path.name,
                    rows=(),
                    count=0,
                    found=both,
                    expected=f"one entry for {called}",
                    remedy=remedy,
                )
            )
            continue
        found[called] = _files(path)
    return found, troubles


def _named_files(folder: Path, table: str, file: str) -> tuple[list[Path], Trouble | None]:
    """The files of a table that the mapping names, or why they cannot be taken."""
    path = folder / file
    expected = f"the file that {MAPPING_FILE} names"
    remedy = f"Put it there, or correct `file` of {table} in {MAPPING_FILE}."
    if not path.resolve().is_relative_to(folder.resolve()):
        return [], Trouble(
            check="no_file",
            file=file,
            rows=(),
            count=0,
            found="a file outside the folder",
            expected="a file of this folder",
            remedy=remedy,
        )
    if not path.exists():
        return [], Trouble(
            check="no_file",
            file=file,
            rows=(),
            count=0,
            found="no such file",
            expected=expected,
            remedy=remedy,
        )
    if path.is_dir():
        trouble = _wrong_folder(folder, path)
        return ([], trouble) if trouble else (_files(path), None)
    if _stem(path.name) is None:
        return [], _unread(path)
    return [path], None


def _unread(path: Path) -> Trouble:
    remedy = "Save it as .xlsx, .csv or .parquet."
    found = f"a {path.suffix} file" if path.suffix else "a file without an ending"
    return Trouble(
        check="unknown_form",
        file=path.name,
        rows=(),
        count=0,
        found=found,
        expected="one of " + ", ".join(ENDINGS),
        remedy=remedy,
    )


def _passed_over(path: Path) -> Trouble | None:
    """What is wrong with an entry that is not read: it is called like a table, like the mapping, or like
    nothing that is known.
    """
    if path.is_dir():
        return None
    if path.name.lower() in (MAPPING_FILE, "tables.yml"):
        remedy = f"Rename it to {MAPPING_FILE}."
        return Trouble(
            check="unknown_file",
            file=path.name,
            rows=(),
            count=0,
            found="a mapping under another name, which is not read",
            expected=MAPPING_FILE,
            remedy=remedy,
        )
    if _table_called(_plain_stem(path.name)) and not path.name.lower().endswith(BESIDE):
        return _unread(path)
    if _stem(path.name) is None:
        return None
    remedy = f"Rename it, or name it under `file` in {MAPPING_FILE}; it is not read."
    expected = "a file named after a table: " + ", ".join(TABLES)
    return Trouble(
        check="unknown_file",
        file=path.name,
        rows=(),
        count=0,
        found="a file of no table",
        expected=expected,
        remedy=remedy,
        level="warning",
    )


def _wrong_folder(folder: Path, path: Path) -> Trouble | None:
    """What is wrong with a table's folder: no Parquet file in it, or other files beside them, which nobody
    would read.
    """
    name = path.relative_to(folder).as_posix()
    if not _files(path):
        remedy = "Put the table's Parquet files there, or give one file for the table."
        return Trouble(
            check="unknown_form",
            file=name,
            rows=(),
            count=0,
            found="a folder without Parquet files",
            expected="Parquet files",
            remedy=remedy,
        )
    others = [
        item.relative_to(path).as_posix()
        for item in sorted(path.rglob("*"))
        if item.is_file() and not _aside(item)
    ]
    others = [item for item in others if not item.lower().endswith(".parquet")]
    if others:
        found = f"files that are no Parquet: {', '.join(others[:5])}" + (
            f" and {len(others) - 5} more" if others[5:] else ""
        )
        remedy = "Move them away, or save them as Parquet."
        return Trouble(
            check="unknown_form",
            file=name,
            rows=(),
            count=0,
            found=found,
            expected="Parquet files only",
            remedy=remedy,
        )
    return None


def _aside(path: Path) -> bool:
    """Whether a file only accompanies others: hidden, or a mark such as _SUCCESS."""
    return path.name.startswith((".", "_"))


def _table_called(name: str) -> str | None:
    """The table of that name, English or Chinese."""
    return (
        name if name in TABLES else next((table.name for table in TABLES.values() if table.zh == name), None)
    )


def table_of_name(path: Path) -> str | None:
    """The table that a file in a form that is read is named after, in English or Chinese; None if after
    none.
    """
    return _table_called(_stem(path.name) or "")


def _stem(name: str) -> str | None:
    lower = name.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if lower.endswith(ending):
            return name[: -len(ending)]
    return None


def _plain_stem(name: str) -> str:
    return name.split(".", 1)[0]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(item for item in path.rglob("*") if item.suffix.lower() == ".parquet" and not _aside(item))


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

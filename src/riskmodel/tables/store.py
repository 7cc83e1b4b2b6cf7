"""The store: checked tables as Parquet, sorted, partitioned by county, each partition with its content hash.

    store/
      store.json                                   what was read, what is here, with hashes; written last
      income/county_code=522301/part.parquet       one county's rows, sorted by household and date
      policy/part.parquet                          dated values are few and not partitioned

A store keeps the contract itself: every command takes it where it takes a data folder, and starts from there
without checking again, because the hashes show that nothing has changed since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from riskmodel.errors import DataError, Fault
from riskmodel.tables.county import Tables, canonical_order, version_key
from riskmodel.tables.mapping import MAPPING_FILE, read_mapping
from riskmodel.tables.schema import TABLES
from riskmodel.tables.sources import find_sources, hash_of
from riskmodel.tables.staging import staging

STORE_FILE = "store.json"
FORM = 1
PART = "part.parquet"


@dataclass(frozen=True)
class Stored:
    """What storing did: partitions written because their content changed, kept because it did not, and
    removed.
    """

    store: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    hashes: Mapping[str, str]

    def text(self) -> str:
        """One line: how many partitions were written, unchanged and removed."""
        if not self.written and not self.removed:
            return f"{self.store}: up to date, {len(self.kept)} partitions"
        return (
            f"{self.store}: {len(self.written)} partitions written, {len(self.kept)} unchanged, "
            f"{len(self.removed)} removed"
        )


def kept_as_is(store: Path) -> Stored:
    """A store in which nothing had to be written."""
    tables = _manifest(store)["tables"]
    parts = tuple(part for table in tables.values() for part in table["parts"])
    return Stored(
        store=store,
        written=(),
        kept=parts,
        removed=(),
        hashes={name: table["hash"] for name, table in tables.items()},
    )


def is_store(folder: Path) -> bool:
    """Whether a folder is a store: it has `store.json`."""
    return (folder / STORE_FILE).is_file()


def contract_hash() -> str:
    """Changes with the contract, so that tables checked under another contract are checked again."""
    return hashlib.sha256(repr(sorted(TABLES.items())).encode()).hexdigest()


def sources_hash(folder: Path) -> dict[str, str]:
    """Content hash of each table's files, and of `tables.yaml`."""
    mappings = read_mapping(folder)
    found, _ = find_sources(folder, mappings)
    hashes = {name: hash_of(folder, files) for name, files in found.items()}
    if (folder / MAPPING_FILE).is_file():
        hashes[MAPPING_FILE] = hash_of(folder, [folder / MAPPING_FILE])
    return hashes


def up_to_date(folder: Path, store: Path) -> bool:
    """Whether the store holds exactly what the folder holds now."""
    if not is_store(store):
        return False
    manifest = _manifest(store)
    if manifest["contract"] != contract_hash() or manifest["sources"] != sources_hash(folder):
        return False
    parts = [
        (store / part, entry["sha256"])
        for table in manifest["tables"].values()
        for part, entry in table["parts"].items()
    ]
    return all(path.is_file() and _file_hash(path) == digest for path, digest in parts)


def write_store(
    tables: Iterator[tuple[str, pl.DataFrame]], sources: Mapping[str, str], store: Path
) -> Stored:
    """Write tables (households and members first) into the store; only partitions whose content changed are
    touched.

    All or nothing: the changed partitions and the list are written beside the old ones and renamed together,
    so that a full disk leaves the store as it was. Raises UserError for a full disk or a place that cannot be
    written to.
    """
    before = _manifest(store)["tables"] if is_store(store) else {}
    old = {part: entry["sha256"] for table in before.values() for part, entry in table["parts"].items()}
    counties: dict[str, pl.DataFrame] = {}
    manifest: dict[str, Any] = {
        "form": FORM,
        "contract": contract_hash(),
        "sources": dict(sources),
        "tables": {},
    }
    written, kept = [], []
    with staging(store) as stage:
        for name, frame in tables:
            parts: dict[str, dict[str, Any]] = {}
            for where, part in _partitions(name, frame, counties):
                path = f"{name}/{where}{PART}"
                draft = stage.draft(store / path)
                part.write_parquet(draft, compression="zstd", compression_level=1, statistics=False)
                digest = _file_hash(draft)
                if (
                    old.get(path) == digest
                    and (store / path).is_file()
                    and _file_hash(store / path) == digest
                ):
                    stage.drop(store / path)
                    kept.append(path)
                else:
                    written.append(path)
                parts[path] = {"sha256": digest, "rows": part.height}
            together = "".join(f"{path}\0{entry['sha256']}\0" for path, entry in sorted(parts.items()))
            manifest["tables"][name] = {"hash": hashlib.sha256(together.encode()).hexdigest(), "parts": parts}
        # The list comes last: until it is renamed, the store is the old one.
        stage.draft(store / STORE_FILE).write_bytes(json.dumps(manifest, indent=1, sort_keys=True).encode())
    now = {path for table in manifest["tables"].values() for path in table["parts"]}
    removed = sorted(set(old) - now)
    for path in removed:
        (store / path).unlink(missing_ok=True)
    hashes = {name: table["hash"] for name, table in manifest["tables"].items()}
    return Stored(
        store=store, written=tuple(written), kept=tuple(kept), removed=tuple(removed), hashes=hashes
    )


def read_store(store: Path) -> Tables:
    """The tables of a store, whose hashes are verified. Raises DataError for a partition that is missing or
    was altered.
    """
    manifest = _manifest(store)
    again = "Run `riskmodel check DIR --store STORE` again."
    if manifest["contract"] != contract_hash():
        raise DataError(
            Fault(
                str(store / STORE_FILE),
                "tables checked under another contract",
                "the present contract",
                again,
            )
        )
    frames = {}
    faults = []
    for name, table in manifest["tables"].items():
        parts = []
        for part, entry in sorted(table["parts"].items()):
            path = store / part
            if not path.is_file():
                faults.append(
                    Fault(str(path), "no such file", f"the partition that {STORE_FILE} names", again)
                )
            elif _file_hash(path) != entry["sha256"]:
                faults.append(
                    Fault(
                        str(path), "altered since it was checked", f"the content hash of {STORE_FILE}", again
                    )
                )
            else:
                parts.append(pl.read_parquet(path, hive_partitioning=False, glob=False))
        if parts:
            frame = pl.concat(parts, rechunk=False) if len(parts) > 1 else parts[0]
            if len(parts) > 1:
                order = (
                    version_key(TABLES[name])
                    if TABLES[name].form == "values"
                    else canonical_order(TABLES[name])
                )
                frame = frame.sort(order, nulls_last=True)
            frames[name] = frame
    if faults:
        raise DataError(faults)
    return Tables(frames, {name: table["hash"] for name, table in manifest["tables"].items()})


def _manifest(store: Path) -> dict[str, Any]:
    path = store / STORE_FILE
    try:
        manifest = json.loads(path.read_bytes())
        assert manifest["form"] == FORM
    except (ValueError, KeyError, AssertionError, OSError):
        raise DataError(
            Fault(
                str(path),
                "a damaged list of partitions",
                "a store of this version",
                "Delete the store and make it again.",
            )
        ) from None
    return dict(manifest)


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _partitions(
    name: str, frame: pl.DataFrame, counties: dict[str, pl.DataFrame]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """One table's rows by county of their household (its newest version), in canonical order within each."""
    table = TABLES[name]
    if table.form == "values" or not frame.height:
        yield "", frame
        return
    if name == "households":
        newest = frame.sort("known_on").unique("household_id", keep="last")
        counties["household_id"] = newest.select("household_id", county="county_code")
        county = frame["county_code"]
    else:
        owner = "household_id" if "household_id" in table.names else "member_id"
        known = counties[owner]
        if name == "members":
            newest = frame.sort("known_on").unique("member_id", keep="last")
            counties["member_id"] = newest.join(known, on="household_id", how="left").select(
                "member_id", "county"
            )
        if known["county"].n_unique() == 1 and name != "shocks":
            yield f"county_code={known['county'][0]}/", frame
            return
        county = frame.select(owner).join(known, on=owner, how="left", maintain_order="left")["county"]
        if name == "shocks":
            # A shock to an area of a county that has no household here still belongs to its own county.
            county = pl.select(pl.coalesce(county, frame["area_code"].str.slice(0, 6))).to_series()
    for code in county.unique().sort():
        yield f"county_code={code}/", frame.filter(county == code)

"""The release folder: everything that the service needs, and nothing else, under a manifest of hashes.

    release/<model version>-<as-of date>/
        manifest.json      SHA-256 of every file, model version, as-of date
        model/             LightGBM text and JSON (training/model.py)
        features/ serving/ the declarations, as they were: the folder is a project of its own
        area_context.json  what is counted about the areas as of the day
        reference.npz      what values are compared with
        policy.json        the dated values that the county's own `policy` table brought along
        golden.json        a few feature vectors and their scores, replayed when the release is opened
    release/current        the name of the release in force

It is written beside and renamed, so that there is never half of one. A file whose hash does not fit is refused before anything loads it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from riskmodel.errors import Fault, ModelError
from riskmodel.features.context import AreaContext
from riskmodel.files import write_text
from riskmodel.project import Project
from riskmodel.screening.reference import Reference
from riskmodel.screening.scoring import ScreeningModel, data_dates, feature_hashes
from riskmodel.tables import Tables

if TYPE_CHECKING:
    from riskmodel.features.matrix import FeatureMatrix

FOLDER: Final = "release"
CURRENT: Final = "current"
MANIFEST: Final = "manifest.json"
GOLDEN_ROWS: Final = 20


@dataclass(frozen=True)
class Release:
    """An opened release: checked, loaded and replayed. `policy_rows` are rows of the table `policy`."""

    folder: Path
    as_of: dt.date
    model: ScreeningModel
    context: AreaContext
    policy_rows: list[dict[str, Any]]


def make_release(project: Project, model: ScreeningModel, tables: Tables, as_of: dt.date) -> Path:
    """Write a release of this model as of a day and make it the current one. Returns its folder. Raises GateError, PolicyError."""
    from riskmodel.features import build, prepare
    from riskmodel.features.building import count_context
    from riskmodel.policy import Policy
    from riskmodel.training import cohort

    prepared = prepare(tables)
    context = count_context(prepared, as_of)
    households = cohort(tables, as_of)["household_id"].to_list()
    policy = Policy.load(project, tables)
    matrix = build(prepared, as_of, catalogue=model.catalogue, policy=policy, households=households, context=context)
    reference = Reference.of(matrix.select(model.model.feature_names), data_dates(tables, as_of))

    home = project.root / FOLDER
    home.mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
    try:
        model.model.save(draft / "model")
        for name in ("features", "serving/screening.yaml"):
            source, target = project.root / name, draft / name
            target.parent.mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        (draft / "area_context.json").write_text(context.json(), encoding="utf-8")
        reference.save(draft)
        rows = tables["policy"].to_dicts() if "policy" in tables else []
        (draft / "policy.json").write_text(json.dumps(rows, default=str, ensure_ascii=False), encoding="utf-8")
        (draft / "golden.json").write_text(json.dumps(_golden(model, matrix)), encoding="utf-8")
        manifest = {"model_version": model.version, "as_of": as_of.isoformat(), "files": _hashes(draft)}
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
        target = home / f"{model.version}-{as_of.isoformat()}"
        if target.exists():
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    target.chmod(0o755)
    write_text(home / CURRENT, target.name)
    return target


def newest_release(project: Project) -> Path:
    """The folder of the release in force. Raises ModelError, which says how to make one."""
    pointer = project.root / FOLDER / CURRENT
    folder = project.root / FOLDER / pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else None
    if folder is None or not (folder / MANIFEST).is_file():
        raise ModelError(
            Fault(
                str(project.root / FOLDER),
                "no release to serve",
                "a release of the champion",
                "Run `make demo`, or `riskmodel release --tables DIR --as-of DATE` after a promotion.",
            )
        )
    return folder


def open_release(folder: Path) -> Release:
    """Check every hash, then load, then replay the golden rows. Raises ModelError with every damaged, missing or foreign file."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        stated, as_of = dict(manifest["files"]), dt.date.fromisoformat(manifest["as_of"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(_damaged(folder / MANIFEST, f"{type(error).__name__}")) from None
    found = _hashes(folder)
    faults = [
        _damaged(folder / name, "missing" if name not in found else "foreign" if name not in stated else "changed")
        for name in sorted(stated.keys() | found.keys())
        if stated.get(name) != found.get(name)
    ]
    if faults:
        raise ModelError(faults)
    from riskmodel.training.model import Model

    reference = Reference.load(folder)
    model = ScreeningModel.of(Project(folder), Model.load(folder / "model"), reference=reference)
    context = AreaContext.from_json((folder / "area_context.json").read_text(encoding="utf-8"))
    policy_rows = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    _replay(folder, model)
    return Release(folder, as_of, model, context, policy_rows)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _golden(model: ScreeningModel, matrix: FeatureMatrix) -> list[dict[str, Any]]:
    """Feature vectors spread over the cohort, with hash and margin. Bare numbers: no household can be told from them."""
    places = np.unique(np.linspace(0, len(matrix) - 1, GOLDEN_ROWS).astype(int))
    values = matrix.select(model.model.feature_names).values[places]
    margins = model.model.margin(values)
    return [
        {"values": [None if np.isnan(value) else value for value in row], "hash": name, "margin": float(margin)}
        for row, name, margin in zip(values.tolist(), feature_hashes(values), margins, strict=True)
    ]


def _replay(folder: Path, model: ScreeningModel) -> None:
    rows = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    values = np.array([[np.nan if value is None else value for value in row["values"]] for row in rows], np.float64)
    margins = model.model.margin(values)
    if feature_hashes(values) != [row["hash"] for row in rows] or margins.tolist() != [row["margin"] for row in rows]:
        raise ModelError(
            Fault(
                str(folder),
                "its golden rows score otherwise here",
                "the same numbers bit for bit",
                "Use the locked versions (make serve).",
            )
        )


def _damaged(path: Path, found: str) -> Fault:
    return Fault(str(path), found, "the file that the manifest names", "Make the release again: `riskmodel release`.")

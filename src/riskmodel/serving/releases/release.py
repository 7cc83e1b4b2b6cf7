"""The sealed release: everything that the service needs, and nothing else, under a signed manifest of hashes.

    release/<model version>-<as-of date>/
        manifest.json      SHA-256 of every file, model version, as-of date
        signature.json     Ed25519 signature of manifest.json (seal.py)
        model/             LightGBM text, calibrator and model record as text and JSON (training/model.py)
        features/ serving/ the declarations (catalogue, policy, codelists, settings), as they were:
        the folder is a project of its own
        explanation_tables.npz   pre-computed contributions (explaining/contributions.py)
        reference.npz      what values are compared with
        area_context.json  what is counted about the areas as of the day
        policy.json        the dated values that the county's own `policy` table brought along
        golden.json        a few feature vectors and what they give, replayed when the release is opened
    release/current        the name of the release in force

It is written beside and renamed, so that there is never half of one; made again it gets a number behind its
name, and `release/current` changes by one
rename, so that there is never none. The signature is looked at first, then every hash; only then is anything
loaded. No file in it is a pickle or a link.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodel.errors import Fault, ModelError, UserError
from riskmodel.explaining.contributions import TABLES_FILE, Explainer
from riskmodel.explaining.margins import Walker
from riskmodel.explaining.trees import read_forest
from riskmodel.features.context import AreaContext
from riskmodel.files import write_text
from riskmodel.policy import Policy
from riskmodel.project import Project
from riskmodel.screening.reference import Reference
from riskmodel.screening.scoring import ScreeningModel, data_dates, feature_hashes
from riskmodel.serving.releases import seal
from riskmodel.settings import ScreeningSettings
from riskmodel.tables import Tables, from_frames
from riskmodel.training.model import Model, mean_of_members

if TYPE_CHECKING:
    from riskmodel.features.matrix import FeatureMatrix

FOLDER: Final = "release"
CURRENT: Final = "current"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "signature.json"
FORMAT: Final = 4
GOLDEN_ROWS: Final = 20
DRAFT: Final = ".draft-"
LOCK: Final = ".lock"
NAME_BYTES: Final = 255
MANIFEST_BYTES: Final = 16 * 1024 * 1024
SIGNATURE_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Release:
    """An opened release: checked, loaded and replayed. policy: the dated values in force, the county's
    own included; valid_until: see there."""

    folder: Path
    as_of: dt.date
    model: ScreeningModel
    context: AreaContext
    policy: Policy
    valid_until: dt.date
    walker: Walker | None

    def margins(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Margin of each member, shape (n, members), as the batch run gives them."""
        return self.model.model.margins(values) if self.walker is None else self.walker.margins(values)

    @property
    def version(self) -> str:
        """Version of its model."""
        return self.model.version

    @property
    def data_dates(self) -> Mapping[str, dt.date]:
        """Table -> newest row known on its day, when it was made."""
        return self.model.reference.data_dates if self.model.reference is not None else {}

    @property
    def record(self) -> Mapping[str, Any]:
        """The model record (`training/record.py`)."""
        return self.model.model.record


def valid_until(as_of: dt.date, settings: ScreeningSettings) -> dt.date:
    """The last day on which a score as of that day is to be used: `service.valid_days` of
    serving/screening.yaml later."""
    return as_of + dt.timedelta(days=settings.service.valid_days)


def make_release(project: Project, model: ScreeningModel, tables: Tables, as_of: dt.date) -> Path:
    """Write, seal and try a release of this model as of a day, and make it the current one. Returns its
    folder.

    Raises GateError and PolicyError for the tables, ModelError when there is no key to sign with
    (`seal.make_key`).
    """
    from riskmodel.features import build, prepare
    from riskmodel.features.building import count_context
    from riskmodel.training import cohort

    key = seal.key_path(project)
    seal.sign(b"", key)  # a key that cannot be used is refused before the work, not after it

    prepared = prepare(tables)
    context = count_context(prepared, as_of)
    households = cohort(tables, as_of)["household_id"].to_list()
    policy = Policy.load(project, tables)
    matrix = build(
        prepared, as_of, catalogue=model.catalogue, policy=policy, households=households, context=context
    )
    reference = Reference.of(matrix.select(model.model.feature_names), data_dates(tables, as_of))

    home = project.root / FOLDER
    home.mkdir(exist_ok=True)
    with _alone(home):
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=home))
        try:
            model.model.save(draft / "model")
            for name in ("features", "serving/screening.yaml"):
                source, copy = project.root / name, draft / name
                copy.parent.mkdir(exist_ok=True)
                (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy)
            (draft / "area_context.json").write_text(context.json(), encoding="utf-8")
            reference.save(draft)
            rows = tables["policy"].to_dicts() if "policy" in tables else []
            policy_text = json.dumps(rows, default=str, ensure_ascii=False)
            (draft / "policy.json").write_text(policy_text, encoding="utf-8")
            (draft / "golden.json").write_text(json.dumps(_golden(model, matrix)), encoding="utf-8")
            if model.explainer is not None:
                model.explainer.save(draft)
            manifest = {
                "format": FORMAT,
                "model_version": model.version,
                "as_of": as_of.isoformat(),
                "files": _hashes(draft),
            }
            content = json.dumps(manifest, indent=1, sort_keys=True).encode()
            (draft / MANIFEST).write_bytes(content)
            (draft / SIGNATURE).write_text(json.dumps(seal.sign(content, key), indent=1), encoding="utf-8")
            draft.chmod(0o755)
            target = _put_beside(draft, home, f"{model.version}-{as_of.isoformat()}")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        before = current_name(project)
        write_text(home / CURRENT, target.name, shared=True)
        _remove_older(home, target.name, before)
    return target


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Only one process makes a release at a time, and removes what a killed one has left. Raises
    ModelError while another one is at it."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: nothing is locked, and nothing is removed
        yield
        return
    with (home / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            remedy = "Wait until it has ended, then try again."
            raise ModelError(
                Fault(str(home), "another release is being made", "one at a time", remedy)
            ) from None
        for left in home.glob(f"{DRAFT}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _put_beside(draft: Path, home: Path, name: str) -> Path:
    """Rename a whole draft to `name`, or to `name` with the next free number where that is there already.
    Its files are on disk before."""
    for path in draft.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    number = max((_number(path.name, name) for path in home.glob(f"{name}*")), default=0)
    target = home / (name if number == 0 else f"{name}-{number + 1}")
    os.rename(draft, target)
    return target


def _number(found: str, name: str) -> int:
    """1 for `name` itself, n for `name-n`, 0 for any other name."""
    rest = found.removeprefix(name)
    return 1 if not rest else int(rest[1:]) if re.fullmatch(r"-[0-9]{1,6}", rest) else 0


def _remove_older(home: Path, kept: str, before: str) -> None:
    """Remove releases of the same model and day as `kept`, but for the one that was current before it, or
    else the last one."""
    base = kept if re.search(r"-\d{4}-\d\d-\d\d$", kept) else kept.rpartition("-")[0]
    same = sorted(
        (path for path in home.iterdir() if _number(path.name, base) and path.name != kept),
        key=lambda path: (path.name == before, _number(path.name, base)),
    )
    for path in same[:-1]:
        gone = path.with_name(f"{DRAFT}{path.name}")
        os.rename(path, gone)  # in one step, so that nobody meets half of it
        shutil.rmtree(gone, ignore_errors=True)


def current_name(project: Project) -> str:
    """The name in `release/current`; "" where it is missing, cannot be read (a power cut may leave
    zeros), is no name or leads out of the folder."""
    try:
        name = (project.root / FOLDER / CURRENT).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
    return name if name.isprintable() and Path(name).name == name and len(name.encode()) <= NAME_BYTES else ""


def newest_release(project: Project) -> Path:
    """The folder of the release in force. Raises ModelError with how to make one."""
    name = current_name(project)
    folder = project.root / FOLDER / name
    if not name or not (folder / MANIFEST).is_file():
        raise ModelError(
            Fault(
                str(project.root / FOLDER),
                "no release to serve",
                "a release of the champion",
                "Run `make demo`, or `riskmodel release --tables DIR --as-of DATE` after a promotion.",
            )
        )
    return folder


def verify(folder: Path, trusted: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest of a release whose seal is whole. Nothing is loaded. trusted: name -> public key
    (`seal.trusted_keys`).

    Raises ModelError: no signature by a trusted key; or every changed, missing and foreign file.
    """
    if folder.is_symlink():
        raise ModelError(_damaged(folder, "a link"))
    try:
        content = _read_plain(folder / MANIFEST, MANIFEST_BYTES)
        signature = json.loads(_read_plain(folder / SIGNATURE, SIGNATURE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            _damaged(folder / SIGNATURE, f"{MANIFEST} or {SIGNATURE} cannot be read ({type(error).__name__})")
        ) from None
    seal.check(content, signature, trusted, str(folder / SIGNATURE))
    manifest: dict[str, Any] = json.loads(content)
    if manifest.get("format") != FORMAT:
        found = f"format {manifest.get('format')}"
        raise ModelError(
            Fault(str(folder), found, f"format {FORMAT}", "Make the release again: `riskmodel release`.")
        )
    try:
        stated, found_files = dict(manifest["files"]), _hashes(folder)
    except OSError as error:
        raise ModelError(
            _damaged(Path(error.filename or folder), f"cannot be read ({error.strerror})")
        ) from None
    faults = [
        _damaged(
            folder / name,
            _difference(stated.get(name), found_files.get(name)),
        )
        for name in sorted(stated.keys() | found_files.keys())
        if stated.get(name) != found_files.get(name)
    ]
    if faults:
        raise ModelError(faults)
    return manifest


def open_release(folder: Path, trusted: Mapping[str, bytes]) -> Release:
    """Check the seal, then load, then replay the golden rows. Raises ModelError as `verify` does, when
    something cannot be loaded, and when the rows
    give something else."""
    try:
        return _load(folder, dt.date.fromisoformat(verify(folder, trusted)["as_of"]))
    except UserError as error:
        inside = [
            fault if str(folder) in fault.where else replace(fault, where=f"{folder}: {fault.where}")
            for fault in error.faults
        ]
        raise ModelError(inside or f"{folder}: {error}") from error
    # Whatever else is in a file that somebody sealed: it is this release's fault, and no other one
    # suffers.
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        found = f"it cannot be loaded ({type(error).__name__} in {Path(place.filename).name}:{place.lineno})"
        raise ModelError(
            Fault(str(folder), found, "a release that opens", "Make the release again: `riskmodel release`.")
        ) from error


def _load(folder: Path, as_of: dt.date) -> Release:
    inner = Project(folder)
    fitted = Model.load(folder / "model")
    explainer = Explainer.load(folder, fitted.booster_texts) if (folder / TABLES_FILE).is_file() else None
    reference = Reference.load(folder)
    if reference.names == fitted.feature_names:
        reference = replace(reference, names=fitted.feature_names)  # the same object: compared at a glance
    model = ScreeningModel.of(inner, fitted, explainer=explainer, reference=reference)
    context = AreaContext.from_json((folder / "area_context.json").read_text(encoding="utf-8"))
    rows = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    own = pl.DataFrame(rows).with_columns(pl.col("valid_from").str.to_date()) if rows else None
    policy = Policy.load(inner, None if own is None else from_frames({"policy": own}))
    tables = explainer.tables if explainer is not None else None
    walker = (
        Walker.of(read_forest(fitted.booster_texts) if tables is None else tables.forest)
        if fitted.booster_texts
        else None
    )
    release = Release(
        folder=folder,
        as_of=as_of,
        model=model,
        context=context,
        policy=policy,
        valid_until=valid_until(as_of, model.settings),
        walker=walker,
    )
    _replay(release)
    return release


def _read_plain(path: Path, most: int) -> bytes:
    """The bytes of a plain file. Raises OSError for what is none (a link, a pipe), ValueError for one of
    more than `most` bytes."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a plain file")
    if status.st_size > most:
        raise ValueError("too large")
    return path.read_bytes()


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path, but for manifest and signature. What is neither file nor folder
    has no hash, but its kind: `a link`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if path in (folder / MANIFEST, folder / SIGNATURE) or stat.S_ISDIR(mode):
            continue
        kind = "a link" if stat.S_ISLNK(mode) else "not a plain file"
        found[path.relative_to(folder).as_posix()] = _sha256(path) if stat.S_ISREG(mode) else kind
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _golden(model: ScreeningModel, matrix: FeatureMatrix) -> list[dict[str, Any]]:
    """Feature vectors from over the whole cohort, with their results. Numbers only: no household is
    identifiable."""
    places = np.unique(np.linspace(0, len(matrix) - 1, GOLDEN_ROWS).astype(int))
    values = matrix.select(model.model.feature_names).values[places]
    rows = [[None if np.isnan(value) else value for value in row] for row in values.tolist()]
    given = _given(model, values, model.model.margins(values))
    return [{"values": row} | results for row, results in zip(rows, given, strict=True)]


def _given(
    model: ScreeningModel, values: npt.NDArray[np.float64], of_members: npt.NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Feature hash, margins of the members, margin, probability at each horizon and a hash of the
    contributions, for each row."""
    margins = mean_of_members(of_members)
    contributions, _ = model.contributions(values)
    likely = {
        str(months): model.model.probability(margins, months).tolist() for months in model.model.horizons
    }
    return [
        {
            "hash": name,
            "members": of_members[row].tolist(),
            "margin": float(margins[row]),
            "probability": {months: some[row] for months, some in likely.items()},
            "contributions": hashlib.sha256(
                np.ascontiguousarray(contributions[row], "<f8").tobytes()
            ).hexdigest(),
        }
        for row, name in enumerate(feature_hashes(values))
    ]


def _replay(release: Release) -> None:
    rows = json.loads((release.folder / "golden.json").read_text(encoding="utf-8"))
    values = np.array(
        [[np.nan if value is None else value for value in row["values"]] for row in rows], np.float64
    )
    stated = [{name: value for name, value in row.items() if name != "values"} for row in rows]
    if _given(release.model, values, release.margins(values)) != stated:
        raise ModelError(
            Fault(
                str(release.folder),
                "its golden rows score otherwise here",
                "the same numbers bit for bit",
                "Use the locked versions (make serve).",
            )
        )


def _difference(stated: str | None, found: str | None) -> str:
    """What is wrong with a file whose hash is not the stated one."""
    if found is None:
        return "missing"
    if " " in found:
        return found  # no hash: a link, or the like
    return "foreign" if stated is None else "changed"


def _damaged(path: Path, found: str) -> Fault:
    return Fault(
        str(path), found, "the file that the manifest names", "Make the release again: `riskmodel release`."
    )

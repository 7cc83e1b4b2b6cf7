"""Which release a service begins with: the one that `release/current` names, or, where that one does not
pass, the newest other one that does.

A service that starts after a power cut, on a damaged disk or beside a half-copied folder is of more use with
last month's model than not at all, as
long as everybody can see it (`RefusedRelease`). Only releases sealed with a trusted key are looked at, so
that nobody can bring in a model by damaging another;
what must never serve again is deleted, or its key is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from riskmodel.errors import Fault, ModelError, UserError
from riskmodel.project import Project
from riskmodel.serving.releases.release import (
    CURRENT,
    FOLDER,
    MANIFEST,
    Release,
    current_name,
    newest_release,
    open_release,
    verify,
)
from riskmodel.serving.releases.seal import TRUSTED_FILE
from riskmodel.serving.releases.trial import try_release
from riskmodel.settings import load_settings, today

Stamps = tuple[tuple[str, int, int, int], ...]
log = logging.getLogger("riskmodel.releases")


@dataclass(frozen=True)
class ReleaseFiles:
    """State of the release files when they were last checked: the name in `release/current`, the stamps of
    that folder's files and of the trusted keys. When it changes, the release is checked again."""

    name: str
    files: Stamps
    keys: Stamps


@dataclass(frozen=True)
class RefusedRelease:
    """The release that `release/current` names and that is not in force. name: its folder ("": the
    pointer names none); faults: why."""

    name: str
    faults: tuple[Fault, ...]

    @property
    def why(self) -> list[str]:
        """Each fault in a line without the paths of this machine: for those who may not know them."""
        return [f"{Path(fault.where).name}: {fault.found}" for fault in self.faults]


@dataclass(frozen=True)
class Choice:
    """release: the one to serve; not_taken: what should have been served, None where it is the same;
    seen: what the choice was made on."""

    release: Release
    not_taken: RefusedRelease | None
    seen: ReleaseFiles


def look(project: Project) -> ReleaseFiles:
    """What `release/current` names now, and when its files were last changed. Reads no file but the
    pointer."""
    name = current_name(project)
    return ReleaseFiles(
        name, stamps(project.root / FOLDER / name) if name else (), stamps(project.root / TRUSTED_FILE)
    )


def stamps(path: Path) -> Stamps:
    """Name, size, and times of change of a file, or of every file below a folder; what goes away
    meanwhile is left out."""
    found = []
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        try:
            at = file.stat()
        except OSError:
            continue
        found.append((file.name, at.st_size, at.st_mtime_ns, at.st_ctime_ns))
    return tuple(found)


def candidates(project: Project) -> list[Path]:
    """Every folder that may hold a release, the one that `release/current` names first. Raises ModelError
    when there is none."""
    home = project.root / FOLDER
    found = sorted(path.parent for path in home.glob(f"[!.]*/{MANIFEST}"))
    named = look(project).name
    if not found:
        newest_release(project)  # raises: there is none, and how to make one
    return sorted(found, key=lambda folder: folder.name != named)


def choose(project: Project, trusted: Mapping[str, bytes], trial_seconds: float) -> Choice:
    """The current release, opened once; if it does not pass, the newest other one that does, after a
    trial in a process of its own.

    Newest: by the as-of date under the seal, then by the time of its manifest. Raises ModelError with
    every fault of each when none passes.
    """
    seen = look(project)
    try:
        release = open_release(newest_release(project), trusted)
        warn_if_out_of_date(project, release)
        return Choice(release, None, seen)
    except (UserError, OSError) as error:
        not_taken = RefusedRelease(
            seen.name, faults_of(error, project.root / FOLDER / (seen.name or CURRENT))
        )
    faults = list(not_taken.faults)
    whole: list[tuple[str, float, Path]] = []
    for folder in candidates(project):
        if folder.name != seen.name:
            try:
                whole.append(
                    (str(verify(folder, trusted)["as_of"]), (folder / MANIFEST).stat().st_mtime, folder)
                )
            except Exception as error:  # whatever it is: it is this folder's fault, and no other one suffers
                faults += faults_of(error, folder)
    for _, _, folder in sorted(whole, reverse=True):
        try:
            try_release(folder, trusted, trial_seconds)
            release = open_release(folder, trusted)
        except UserError as error:
            faults += faults_of(error, folder)
            continue
        fields = {"meant": seen.name, "faults": [str(fault) for fault in not_taken.faults][:10]}
        until = release.valid_until.isoformat()
        log.error(
            "another release serves in place of the current one",
            extra={"said": {"release": folder.name, "valid_until": until} | fields},
        )
        warn_if_out_of_date(project, release)
        return Choice(release, not_taken, seen)
    raise ModelError(faults)


def warn_if_out_of_date(project: Project, release: Release) -> None:
    """A warning in the log where the scores of a release that is taken are past their last valid day."""
    if release.valid_until < today(load_settings(project)):
        fields = {"release": release.folder.name, "valid_until": release.valid_until.isoformat()}
        log.warning("the release in force is past its last valid day: make a new one", extra={"said": fields})


def faults_of(error: Exception, where: Path) -> tuple[Fault, ...]:
    """The faults of a refusal; one made of its sentence where it carries none."""
    if isinstance(error, UserError) and error.faults:
        return error.faults
    found = str(error) if isinstance(error, UserError) else f"cannot be read ({type(error).__name__})"
    return (Fault(str(where), found, "a release that opens", "Make the release again: `riskmodel release`."),)

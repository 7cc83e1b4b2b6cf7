"""Watches `release/current` and exchanges the release in force for a new one that has proved itself. A bad one is said and counted, and the old one serves."""

from __future__ import annotations

import logging
import threading

from riskmodel.errors import UserError
from riskmodel.project import Project
from riskmodel.serving import seal
from riskmodel.serving.desk import Desk
from riskmodel.serving.release import newest_release, open_release, verify
from riskmodel.serving.trial import try_release

log = logging.getLogger("riskmodel.releases")


class Watch:
    """A thread of its own beside the requests. `look` may also be called by hand; two looks never run at once."""

    def __init__(self, desk: Desk, project: Project) -> None:
        self.desk, self.project = desk, project
        self._bad: tuple[str, float] | None = None  # what was refused last, so that it is tried again only when it has changed
        self._stop = threading.Event()
        self._one_look = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="releases", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for a look that is going on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(self.desk.settings.watch_seconds):
            try:
                self.look()
            except Exception:  # the watch goes on, whatever a folder does
                log.exception("looking for a release failed")

    def look(self) -> bool:
        """Look once. True: another release is in force now."""
        with self._one_look:
            return self._look()

    def _look(self) -> bool:
        try:
            folder = newest_release(self.project)
            seen = (folder.name, (folder / "manifest.json").stat().st_mtime)
        except (UserError, OSError):  # between two renames, or taken away: the one in force goes on
            return False
        if folder == self.desk.release.folder or seen == self._bad:
            return False
        try:
            trusted = seal.trusted_keys(self.project)
            verify(folder, trusted)
            try_release(folder, trusted, self.desk.settings.trial_seconds)
            release = open_release(folder, trusted)
        except UserError as error:
            self._bad = seen
            self.desk.tally.refused_releases += 1
            log.error(
                "a release was not taken",
                extra={"said": {"release": folder.name, "faults": [str(fault) for fault in error.faults][:10]}},
            )
            return False
        before, self.desk.release = self.desk.release, release
        self._bad = None
        self.desk.tally.swaps += 1
        log.info("another release is in force", extra={"said": {"release": folder.name, "before": before.folder.name}})
        return True

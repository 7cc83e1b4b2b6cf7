"""Watches `release/current` and exchanges the release in force for a new one that has proved itself.

With the release the settings of `serving/screening.yaml` are read again, whole, and both come into force
together. Where one of them is bad, both old ones stay, the fault is logged and counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from riskmodel.errors import UserError
from riskmodel.project import Project
from riskmodel.serving.releases import seal
from riskmodel.serving.releases.choice import RefusedRelease, faults_of, look, stamps, warn_if_out_of_date
from riskmodel.serving.releases.release import newest_release, open_release, verify
from riskmodel.serving.releases.trial import try_release
from riskmodel.serving.scorer import Scorer
from riskmodel.settings import SETTINGS_FILE, ScreeningSettings, load_settings

log = logging.getLogger("riskmodel.releases")


class Watch:
    """A thread of its own beside the requests. `look` may also be called by hand; two looks never run at
    once.

    take_settings: called with the settings that come into force with a release.
    """

    def __init__(
        self,
        scorer: Scorer,
        project: Project,
        take_settings: Callable[[ScreeningSettings], None] | None = None,
    ) -> None:
        self.scorer, self.project = scorer, project
        self._take_settings = take_settings
        self._settings_seen = stamps(project.root / SETTINGS_FILE)
        folder = scorer.release.folder
        self._seen = (
            scorer.seen
        )  # what was looked at last, so that a bad one is tried again only when something has changed
        self._in_force = (
            folder.name,
            scorer.seen.files if scorer.seen and scorer.not_taken is None else stamps(folder),
        )
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
        while not self._stop.wait(self.scorer.settings.watch_seconds):
            try:
                self.look()
            except Exception:  # the watch goes on, whatever a folder does
                log.exception("looking for a release failed")

    def look(self) -> bool:
        """Look once. True: another release is in force now."""
        with self._one_look:
            return self._look()

    def _look(self) -> bool:
        scorer, seen = self.scorer, look(self.project)
        settings_seen = stamps(self.project.root / SETTINGS_FILE)
        mended = scorer.not_taken is not None and settings_seen != self._settings_seen
        if seen == self._seen and not mended:
            return False
        self._seen, self._settings_seen = seen, settings_seen
        if (seen.name, seen.files) == self._in_force:
            if scorer.not_taken is not None:
                scorer.not_taken = None
                log.info(
                    "release/current names the release in force again", extra={"said": {"release": seen.name}}
                )
            return False
        try:
            folder = newest_release(self.project)
        except UserError:  # between two renames, or taken away: the one in force goes on
            return False
        try:
            trusted = seal.trusted_keys(self.project)
            verify(folder, trusted)
            try_release(folder, trusted, scorer.settings.trial_seconds)
            release = open_release(folder, trusted)
            settings = load_settings(self.project)
        except UserError as error:
            scorer.not_taken = RefusedRelease(folder.name, faults_of(error, folder))
            scorer.tally.refused_releases += 1
            faults = [str(fault) for fault in scorer.not_taken.faults][:10]
            log.error("a release was not taken", extra={"said": {"release": folder.name, "faults": faults}})
            return False
        before, scorer.release = scorer.release, release
        scorer.settings = settings.service
        if self._take_settings is not None:
            self._take_settings(settings)
        scorer.not_taken = None
        self._in_force = (seen.name, seen.files)
        scorer.tally.swaps += 1
        log.info(
            "another release is in force",
            extra={"said": {"release": folder.name, "before": before.folder.name}},
        )
        warn_if_out_of_date(self.project, release)
        return True

"""What the running service holds. Empty when the service is described, filled when its process starts, emptied when it stops."""

from __future__ import annotations

from pathlib import Path

from riskmodel.project import Project
from riskmodel.serving.casebook.book import Casebook
from riskmodel.serving.desk import Desk


class Room:
    """The desk and the casebook of one process. Nothing is opened before `open`; routes read it when a request comes."""

    project: Project
    desk: Desk
    casebook: Casebook

    def open(self, project: Project | None = None) -> None:
        """Open the project's current release and its casebook. Raises ModelError when there is no release, or when it may not be served."""
        self.project = project or Project.find()
        self.desk = Desk.open(self.project)
        self.casebook = Casebook.of(self.project)

    def close(self) -> None:
        """Give back what is open; a second time does nothing."""
        if hasattr(self, "casebook"):
            self.casebook.close()

    @property
    def web(self) -> Path:
        """The folder of the screening page."""
        return self.project.root / "serving" / "web"

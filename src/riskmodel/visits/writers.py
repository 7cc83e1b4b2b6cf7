"""Which ending makes which file: the one table of everything that can write a visit list or an exit
review."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from riskmodel.errors import Fault, UserError
from riskmodel.visits import exit_workbook, paper, workbook
from riskmodel.visits.exits import ExitReview
from riskmodel.visits.visit_list import VisitList

Content = TypeVar("Content")

# Ending of a file -> the function that writes a visit list in that form. Each takes the list and a path, and
# returns the path.
LIST_WRITERS: Final[Mapping[str, Callable[[VisitList, Path], Path]]] = {
    ".xlsx": workbook.write_excel,
    ".csv": workbook.write_csv,
    ".html": paper.write_html,
    ".pdf": paper.write_pdf,
}
# The same for an exit review.
REVIEW_WRITERS: Final[Mapping[str, Callable[[ExitReview, Path], Path]]] = {
    ".xlsx": exit_workbook.write_excel,
    ".csv": exit_workbook.write_csv,
}


def write_list(visits: VisitList, path: Path) -> Path:
    """Write a visit list in the form that the path's ending names: .xlsx, .csv, .html or .pdf. Returns the
    path.

    Raises UserError for another ending, and where a part that PDF needs is missing.
    """
    return _writer(LIST_WRITERS, path)(visits, path)


def write_review(review: ExitReview, path: Path) -> Path:
    """Write an exit review in the form that the path's ending names: .xlsx or .csv. Returns the path. Raises
    UserError for another ending."""
    return _writer(REVIEW_WRITERS, path)(review, path)


def _writer(
    writers: Mapping[str, Callable[[Content, Path], Path]], path: Path
) -> Callable[[Content, Path], Path]:
    ending = path.suffix.lower()
    if ending not in writers:
        expected = f"a file that ends in {', '.join(writers)}"
        raise UserError(
            Fault(str(path), f"the ending {ending or '(none)'}", expected, "Name it accordingly.")
        )
    return writers[ending]

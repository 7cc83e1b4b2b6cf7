"""Which ending makes which file: the one table of everything that can write a visit list or an exit
review."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from riskmodel.errors import Fault, UserError
from riskmodel.files import naming, replacing
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


@contextmanager
def _empty_again(folder: Path) -> Iterator[None]:
    """Remove a folder that was made in the block, where the block fails."""
    new = not folder.exists()
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def list_files(
    paths: Sequence[Path], folder: Path | None = None
) -> Iterator[Callable[[VisitList], list[Path]]]:
    """A function that writes the files of a visit list beside their names. They get their names when the
    block ends without an error; otherwise what was there before stays.

    paths: files of the whole list, in the form that each ending names. folder: also one workbook for the
    county and one for each township in it. The function returns all paths. In the block the files
    are on disk before the casebook keeps the list, and only then do they replace older ones.

    Raises UserError for an unknown ending or a path that cannot be written, before the block begins.
    """
    writers = [(path, _writer(LIST_WRITERS, path)) for path in paths]
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UserError(Fault(str(folder), "a file", "a folder", "Name a folder."))
    with ExitStack() as stack:
        if folder is not None:
            stack.enter_context(_empty_again(folder))
        drafts = [(writer, stack.enter_context(replacing(path))) for path, writer in writers]

        def write(visits: VisitList) -> list[Path]:
            for writer, draft in drafts:
                writer(visits, draft)
            if folder is None:
                return list(paths)
            with naming(folder):
                folder.mkdir(parents=True, exist_ok=True)
            workbooks = workbook.workbooks_of(visits, folder)
            for path, township in workbooks.items():
                workbook.write_excel(visits, stack.enter_context(replacing(path)), township=township)
            return [*paths, *workbooks]

        yield write


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

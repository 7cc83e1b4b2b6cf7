"""The notebooks are executed from start to end, in a project of their own, on a small county."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_start_to_end(notebook, own_project, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("RISKMODEL_PROJECT", str(own_project.root))
    monkeypatch.setenv("MPLBACKEND", "agg")
    book = nbformat.read(notebook, as_version=4)
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(own_project.root)}}).execute()
    assert any(cell.get("outputs") for cell in book.cells)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(notebook):
    import nbformat

    book = nbformat.read(notebook, as_version=4)
    assert [
        place for place, cell in enumerate(book.cells) if cell.get("outputs") or cell.get("execution_count")
    ] == []

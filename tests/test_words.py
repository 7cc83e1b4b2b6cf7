"""A signal, never a verdict: the words that the product may not use, and the sentence that it must."""

from __future__ import annotations

import re

import pytest

FORBIDDEN = re.compile(
    (
        r"\b(eligib\w+|determinations?|poor "
        r"households?|approv\w+|reject\w*|entity|entities|贫困户认定|批准|不符合条件)\b"
    ),
    re.IGNORECASE,
)
# Where such a word may stand: the field name that a caller asked for by that name, and a library's own
# module.
ALLOWED = re.compile(r"signal_not_determination|mlflow\.entities")
FOLDERS = ("src", "features", "training", "serving", "notebooks", "docs")


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_word_of_the_product_passes_a_verdict(project, folder):
    found = []
    for path in sorted((project.root / folder).rglob("*")):
        if (
            path.suffix not in {".py", ".yaml", ".md", ".html", ".js", ".css", ".ipynb", ".csv"}
            or "__pycache__" in path.parts
        ):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if FORBIDDEN.search(ALLOWED.sub("", line)):
                found.append(f"{path.relative_to(project.root)}:{number}: {line.strip()[:120]}")
    assert found == []

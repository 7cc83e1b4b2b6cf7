"""Docstrings and comments use an engineer's ordinary words, and every public function has a docstring."""

from __future__ import annotations

import ast
import io
import re
import tokenize

# Ordinary words that are no technical terms: a value is written, recorded or shown; a file is in a folder.
DIALECT = re.compile(
    (
        r"\b(told|tells?|says?|said|saying|stands?|stood|standing|gives? back|given back|gave "
        r"back|lies?|lay|lying|offices?|desks?|doors?|lessons?|exams?|comes? in|came in|goes out|went "
        r"out)\b(?!:)"
    ),
    re.IGNORECASE,
)
CODE = re.compile(r"`[^`]*`")  # names of code keep their spelling
DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def modules(project):
    root = project.root / "src" / "riskmodel"
    for path in sorted(root.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def docstrings(text):
    """(line, text) of each docstring of a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DEFINITIONS) and (doc := ast.get_docstring(node)) is not None:
            yield node.body[0].lineno, doc


def comments(text):
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def dialect_of(text):
    """Line and word of everything in docstrings and comments that another word should replace."""
    return sorted(
        (line, word)
        for line, prose in [*docstrings(text), *comments(text)]
        for word in DIALECT.findall(CODE.sub("", prose))
    )


def public_functions(node):
    for part in node.body:
        if isinstance(part, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if part.name.startswith("_"):
                continue
            if isinstance(part, ast.ClassDef):
                yield from public_functions(part)
            else:
                yield part


def test_docstrings_and_comments_use_ordinary_words(project):
    found = [f"{name}:{line}: {word}" for name, text in modules(project) for line, word in dialect_of(text)]
    assert found == []


def test_every_public_function_has_a_docstring(project):
    bare = [
        f"{name}: {function.name}"
        for name, text in modules(project)
        for function in public_functions(ast.parse(text))
        if ast.get_docstring(function) is None
    ]
    assert bare == []


def test_the_search_finds_words_in_docstrings_and_comments_and_passes_over_code():
    text = '"""What `told` says."""\n\nx = 1  # it stands here\n'
    assert dialect_of(text) == [(1, "says"), (3, "stands")]
    assert dialect_of('"""The text of `says`."""\nsays = "said"\n') == []

"""The project folder: found once, read with file:line errors, hashed.

A project holds `features/`, `training/` and `serving/`: what people review, choose and deploy. It is named by
an argument, by the environment variable RISKMODEL_PROJECT, or it is the working folder or the nearest of its
parents that holds `features/catalogue.yaml`. It is never looked for beside the installed package.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from riskmodel.errors import Fault, ProjectError
from riskmodel.files import making_folder

# Prefixes of pydantic's messages that are removed: `expected greater than or equal to 1` reads as a sentence,
# `expected Input should be …` does not.
_WORDS_BEFORE = re.compile(r"^(Value error, |Assertion failed, |(Input|Value|Object) should be )")
MARKER = Path("features") / "catalogue.yaml"
Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Document:
    """A YAML file: its data, and the line of each key."""

    path: Path
    data: Any
    lines: Mapping[tuple[str | int, ...], int] = field(repr=False)

    def line(self, key: tuple[str | int, ...]) -> int:
        """Line of a key, or of the nearest key above it that the file has."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def where(self, *key: str | int) -> str:
        """`file:line (key.key)` for messages."""
        name = ".".join(str(part) for part in key)
        return f"{self.path}:{self.line(key)}" + (f" ({name})" if name else "")


@dataclass(frozen=True)
class Project:
    """A project folder. Make it with `Project.find`."""

    root: Path

    @classmethod
    def find(cls, folder: str | os.PathLike[str] | None = None) -> Project:
        """The project named by `folder`, by RISKMODEL_PROJECT, or around the working folder.

        Raises ProjectError with the folders that were searched and how to make a project.
        """
        named = folder or os.environ.get("RISKMODEL_PROJECT")
        if named:
            root = Path(named).expanduser().resolve()
            if not (root / MARKER).is_file():
                raise ProjectError(
                    Fault(
                        str(root),
                        "no project",
                        f"a folder with {MARKER}",
                        f"Make one with `riskmodel init {root}`.",
                    )
                )
            return cls(root)
        here = Path.cwd()
        for candidate in (here, *here.parents):
            if (candidate / MARKER).is_file():
                return cls(candidate)
        raise ProjectError(
            Fault(
                str(here),
                "neither this folder nor one above it is a project",
                f"a folder with {MARKER}",
                "Name one with --project or RISKMODEL_PROJECT, or make one with `riskmodel init DIR`.",
            )
        )

    def document(self, relative: str | os.PathLike[str]) -> Document:
        """Read one YAML file of the project. Raises ProjectError with file:line."""
        return read_document(self.root / relative)

    def load(self, relative: str | os.PathLike[str], shape: type[Shape] | TypeAdapter[Shape]) -> Shape:
        """Read one YAML file into a pydantic model (or TypeAdapter): every fault at once, each with
        file:line."""
        return fit(self.document(relative), shape)

    def hash(self, *relative: str | os.PathLike[str]) -> str:
        """SHA-256 over the named files and folders (their relative names and bytes), whatever the machine."""
        return hash_files(self.root, relative)

    @property
    def mlruns(self) -> Path:
        """The folder with runs and registry, `mlruns/` of the project."""
        return self.root / "mlruns"


def read_document(path: Path, *, as_written: bool = False) -> Document:
    """Parse YAML, keep the line of each key, refuse keys that are there twice. Raises ProjectError with
    file:line.

    as_written: every key and value is the text in the file, so that `01`, `No`, `NULL` and `0000-00-00` stay
    what they are; an empty value is None. Without it YAML 1.1 makes numbers, flags and dates of them.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectError(
            Fault(str(path), "no such file", "a YAML file", "Restore it, or copy it from a new project.")
        ) from None
    except UnicodeDecodeError as error:
        raise ProjectError(
            Fault(str(path), f"byte {error.start} is not UTF-8", "UTF-8 text", "Save the file as UTF-8.")
        ) from None
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ProjectError(
            Fault(f"{path}:{line}", str(error.problem or error.context), "valid YAML", "Mend the line.")
        ) from None
    except yaml.YAMLError as error:
        remedy = "Delete signs that cannot be seen, and save the file as UTF-8."
        raise ProjectError(Fault(str(path), str(error).splitlines()[0], "valid YAML", remedy)) from None
    except RecursionError:
        raise _too_deep(path, 1) from None
    lines: dict[tuple[str | int, ...], int] = {}
    faults: list[Fault] = []
    making = _Making(
        path=path, scalars=yaml.CSafeLoader(""), as_written=as_written, lines=lines, faults=faults
    )
    data = None if node is None else _construct(making, node, (), ())
    if faults:
        raise ProjectError(faults)
    return Document(path, data, lines)


@dataclass(frozen=True)
class _Making:
    """What `_construct` carries along: the file, PyYAML's constructor of scalars, and the lines and faults
    that are collected."""

    path: Path
    scalars: yaml.CSafeLoader
    as_written: bool
    lines: dict[tuple[str | int, ...], int]
    faults: list[Fault]


def _too_deep(path: Path, line: int) -> ProjectError:
    remedy = "Write the values out; an anchor (`&`) must not contain its own alias (`*`)."
    return ProjectError(
        Fault(
            f"{path}:{line}",
            "values that contain themselves, or are nested too deeply",
            "a plain file",
            remedy,
        )
    )


def _construct(making: _Making, node: yaml.Node, key: tuple[str | int, ...], above: tuple[int, ...]) -> Any:
    """The data of a node at this key. `above`: identities of the nodes around it, among which it must not
    be."""
    line = node.start_mark.line + 1
    making.lines[key] = line
    if id(node) in above or len(above) > 50:
        raise _too_deep(making.path, line)
    inside = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for name_node, value_node in node.value:
            name = _scalar(making, name_node)
            name = name if isinstance(name, (str, int)) else str(name)
            if name in mapping:
                where = f"{making.path}:{name_node.start_mark.line + 1}"
                making.faults.append(
                    Fault(where, f"`{name}` is there twice", "each key once", "Delete one of the two.")
                )
            mapping[name] = _construct(making, value_node, (*key, name), inside)
            making.lines[(*key, name)] = name_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(making, item, (*key, place), inside) for place, item in enumerate(node.value)]
    return _scalar(making, node)


def _scalar(making: _Making, node: yaml.Node) -> Any:
    """One value or key. What YAML 1.1 takes for a date, number or tag but cannot read is a fault with its
    line."""
    if making.as_written and isinstance(node, yaml.ScalarNode):
        return node.value if node.value or node.style else None
    try:
        return making.scalars.construct_object(node, deep=True)
    except RecursionError:
        raise _too_deep(making.path, node.start_mark.line + 1) from None
    except (ValueError, TypeError, AttributeError, OverflowError, yaml.YAMLError):
        words = str(node.value)[:40]
        where = f"{making.path}:{node.start_mark.line + 1}"
        remedy = f'Correct it; if a text is meant, write it in quotes: "{words}".'
        making.faults.append(
            Fault(where, f"`{words}`, which YAML cannot read as it is written", "a value that exists", remedy)
        )
        return words


def fit(document: Document, shape: type[Shape] | TypeAdapter[Shape]) -> Shape:
    """Validate a document against a pydantic model; every fault at once, each with file:line. Raises
    ProjectError."""
    adapter = shape if isinstance(shape, TypeAdapter) else TypeAdapter(shape)
    try:
        return adapter.validate_python(document.data)
    except ValidationError as error:
        faults = []
        for problem in error.errors(include_url=False):
            key = tuple(problem["loc"])
            if problem["type"] == "extra_forbidden":
                found, remedy = f"unknown key `{key[-1]}`", "Delete it, or correct its spelling."
                known = _known_keys(shape)
                expected = (
                    f"one of {', '.join(known)}" if len(key) == 1 and known else "a key that is documented"
                )
            elif problem["type"] == "missing":
                found, expected, remedy = f"`{key[-1]}` is missing", "this key", "Add it."
            else:
                whole = isinstance(problem["input"], dict | BaseModel)  # a rule about several keys at once
                found = (
                    "keys that do not go together"
                    if whole and problem["type"] == "value_error"
                    else f"{problem['input']!r}"
                )
                expected, remedy = _WORDS_BEFORE.sub("", problem["msg"]), "Correct the value."
            faults.append(Fault(document.where(*key), found, expected, remedy))
        raise ProjectError(faults) from None


def _known_keys(shape: Any) -> list[str]:
    return list(shape.model_fields) if isinstance(shape, type) and issubclass(shape, BaseModel) else []


def hash_files(root: Path, relative: Iterable[str | os.PathLike[str]]) -> str:
    """SHA-256 over files and folders below `root`: their relative POSIX names and bytes."""
    digest = hashlib.sha256()
    for name in sorted(str(Path(item)) for item in relative):
        path = root / name
        files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


DECLARATIONS = ("features", "training", "serving", "notebooks")


def start_project(folder: Path, model: Path | None = None) -> Path:
    """A new project folder, ready to edit: the declarations of `model`, of the project around the working
    folder, or of the installation.

    It is made whole or not at all. Raises ProjectError if the folder holds something already, UserError for a
    full disk.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ProjectError(
            Fault(str(folder), "the folder is not empty", "a new or empty folder", "Name another folder.")
        )
    source = model or _declarations_at_hand()
    # Not taken over: files that a machine made, and whom another project trusts.
    leave = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "trusted_keys.yaml")
    with making_folder(folder) as made:
        for name in DECLARATIONS:
            if (source / name).is_dir():
                shutil.copytree(source / name, made / name, ignore=leave)
        (made / "mlruns").mkdir()
    return folder.resolve()


def _declarations_at_hand() -> Path:
    try:
        return Project.find().root
    except ProjectError:
        # The wheel lays the declarations down beside the interpreter's data; an editable install has the
        # checkout instead.
        shipped = Path(sysconfig.get_path("data")) / "share" / "riskmodel"
        if not (shipped / MARKER).is_file():
            raise
        return shipped

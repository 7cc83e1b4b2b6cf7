"""The form of everything that is declared in YAML: strict pydantic models, and a text in both languages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A declared record: no unknown keys, and immutable once it has been read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(Strict):
    """A text in Chinese and in English."""

    zh: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]

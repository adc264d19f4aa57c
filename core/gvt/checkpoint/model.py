"""The schema of the document of a checkpoint.

It is checked when a file is opened. A valid checksum proves that a file is unchanged, not that gvt
wrote it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gvt.checkpoint.bounded import SHOWN, shortened

Name = Annotated[str, StringConstraints(max_length=5000)]  # may be the path of a plugin file
Count = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=1, le=1_000_000)]


class _Section(BaseModel):
    """A section that allows further keys, which a later version may write."""

    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=())


class _Networks(_Section):
    task: dict[str, Any]
    heads: dict[str, Any] = {}


class _Config(_Networks):
    train: dict[str, Any]


class _ResolvedTrain(_Section):
    precision: str
    memory_format: str
    compile: bool


class _Resolved(_Networks):
    train: _ResolvedTrain


class Reader(_Section):
    """The fields of `gvt.PictureReader` that the core reads."""

    channels: Literal[1, 3]


class FieldReader(_Section):
    """The document of a reader that belongs to a field."""

    field: Name


class Data(_Section):
    """The fields of `gvt.DataInfo` that are saved."""

    classes: list[str]
    image_shape: Annotated[list[Side], Field(min_length=3, max_length=3)] | None = None
    data_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    samples: Count | None = None
    fingerprint: str | None = None
    background: bool = False
    class_counts: list[Count] | None = None
    reader: Reader | FieldReader | None = None
    category_ids: list[int] | None = None
    parts: dict[str, Data] = {}
    channels: Side | None = None


class _Environment(_Section):
    versions: dict[Name, Name]
    device: Name
    threads: Count
    processes: Count
    plugins: dict[Name, Name | dict[str, Name | int | None]] = {}


class _Best(_Section):
    value: float
    step: Count


class _Scaler(_Section):
    """The state of torch's `GradScaler`."""

    scale: float
    growth_factor: float
    backoff_factor: float
    growth_interval: Count
    growth_tracker: Annotated[Count, Field(alias="_growth_tracker")]


class _Training(_Section):
    step: Count
    epoch: Count
    position: Count
    metrics: dict[str, float]
    best: _Best | None
    optimizer_values: dict[str, bool | int | float | None]
    scalers: dict[str, _Scaler]


class _Document(_Section):
    format: Count
    gvt: Name
    aliases: dict[str, str] = {}
    training: _Training | None = None


class _RunDocument(_Document):
    recipe: Name
    config: _Config
    resolved: _Resolved
    data: Data
    components: dict[Name, Name]
    environment: _Environment
    training: _Training


RUN_SECTIONS = tuple(_RunDocument.__annotations__)
"""Sections in the checkpoint of a recipe's run; a trainer in code may write others instead."""


def check_document(document: Mapping[str, Any], tensors: Collection[str]) -> None:
    """Check the types in a document, and the names in its aliases.

    Args:
        document: The document, without the hashes.
        tensors: Names of the tensors of the file.

    Raises:
        ValueError: If the document is not valid. The message is one line.
    """
    model = _Document if missing_section(document) else _RunDocument
    try:
        model.model_validate(document)
    except ValidationError as error:
        raise ValueError(f"its document: {_first(error)}") from error
    for alias, name in document.get("aliases", {}).items():
        if alias in tensors or name not in tensors:
            raise ValueError(
                f"its document: aliases: {shortened(alias)} is not an alias of {shortened(name)}"
            )


def missing_section(document: Mapping[str, Any]) -> str:
    """Return a section that the document of a recipe's run has and this lacks; empty if none."""
    return next((name for name in RUN_SECTIONS if document.get(name) is None), "")


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part)[:SHOWN] for part in problem["loc"])[: 2 * SHOWN]
    return f"{place.encode('unicode_escape').decode()}: {problem['msg'][:SHOWN]}"

"""`gvt inspect`: what a checkpoint says of itself, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gvt.checkpoint.document import check_data, read_header
from gvt.cli.listing import aligned


def inspection(path: Path) -> str:
    """Return what a checkpoint is.

    Raises:
        CheckpointError: If it is missing, damaged, or of a newer format.
    """
    header = read_header(path)
    document = header.document
    version = f"gvt {document['gvt']}, format {document['format']}"
    training, environment = document.get("training"), document.get("environment")
    checked = "header and tensors" if check_data(path) else "header (format 1 has no more)"
    groups: dict[str, list[int]] = {}
    for name, (_, shape) in header.tensors.items():
        prefix = "/".join(name.split("/")[: 2 if name.startswith("optimizer/") else 1])
        groups.setdefault(prefix, []).append(math.prod(shape))
    rows = [
        ("file", f"{path} ({path.stat().st_size:,} bytes)"),
        ("checked", f"{checked} (SHA-256)"),
        (
            "recipe",
            f"{document.get('recipe')} ({version})",
        ),
        *(_rows_of_training(training) if training else ()),
        *((f"plugin of {n}", origin) for n, origin in (document.get("components") or {}).items()),
        *(_rows_of_environment(environment) if environment else ()),
        ("classes", ", ".join((document.get("data") or {}).get("classes", ()))),
        *(
            (f"tensors {name}", f"{len(sizes)} tensors, {sum(sizes):,} numbers")
            for name, sizes in groups.items()
        ),
    ]
    return aligned(rows, indent="")


def _rows_of_training(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "step", f"{training['step']} (epoch {training['epoch']}, step {training['position']})"
    for name, value in training["metrics"].items():
        yield f"metric {name}", f"{value:.6g}"


def _rows_of_environment(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("device", "threads"):
        yield name, str(environment[name])
    yield from environment["versions"].items()

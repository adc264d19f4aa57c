"""`gvt inspect`: the contents of a checkpoint, read without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gvt.checkpoint.document import check_data, read_header
from gvt.checkpoint.model import missing_section
from gvt.cli.listing import aligned


def inspection(path: Path) -> str:
    """Return the description of a checkpoint, after checking its header and tensors.

    Raises:
        CheckpointError: If it is missing, damaged, or of a newer format.
    """
    header = read_header(path)
    document = header.document
    parts = "header and tensors" if check_data(path) else "header (format 1 has no data hash)"
    groups: dict[str, list[int]] = {}
    for name, (_, shape) in header.tensors.items():
        prefix = "/".join(name.split("/")[: 2 if name.startswith("optimizer/") else 1])
        groups.setdefault(prefix, []).append(math.prod(shape))
    rows = [
        ("file", f"{path} ({path.stat().st_size:,} bytes)"),
        ("written by", f"gvt {document['gvt']}, format {document['format']}"),
        ("checked", f"{parts}, by SHA-256"),
        *(() if missing_section(document) else _rows_of_run(document)),
        *(
            (f"tensors {name}", f"{len(sizes)} tensors, {sum(sizes):,} numbers")
            for name, sizes in groups.items()
        ),
    ]
    return aligned(rows, indent="")


def _rows_of_run(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    training, environment = document["training"], document["environment"]
    yield "recipe", document["recipe"]
    yield "step", f"{training['step']} (epoch {training['epoch']}, step {training['position']})"
    for name, value in training["metrics"].items():
        yield f"metric {name}", f"{value:.6g}"
    for name, origin in document["components"].items():
        yield f"plugin of {name}", origin
    for name in ("device", "threads"):
        yield name, str(environment[name])
    yield from environment["versions"].items()
    yield "classes", ", ".join(document["data"]["classes"])

"""`gvt inspect`: what a checkpoint says of itself, without torch."""

from __future__ import annotations

import math
from pathlib import Path

from gvt.checkpoint.document import read_header
from gvt.cli.listing import aligned


def inspection(path: Path) -> str:
    """Return what a checkpoint is.

    Raises:
        CheckpointError: If it is missing, damaged, or of a newer format.
    """
    header = read_header(path)
    document, training = header.document, header.document["training"]
    groups: dict[str, list[int]] = {}
    for name, (_, shape) in header.tensors.items():
        prefix = "/".join(name.split("/")[: 2 if name.startswith("optimizer/") else 1])
        groups.setdefault(prefix, []).append(math.prod(shape))
    rows = [
        ("file", f"{path} ({path.stat().st_size:,} bytes)"),
        ("recipe", f"{document['recipe']} (gvt {document['gvt']}, format {document['format']})"),
        ("step", f"{training['step']} (epoch {training['epoch']}, step {training['position']})"),
        *((f"metric {name}", f"{value:.6g}") for name, value in training["metrics"].items()),
        *((f"plugin of {name}", origin) for name, origin in document["components"].items()),
        *((name, str(document["environment"][name])) for name in ("device", "threads")),
        *((name, value) for name, value in document["environment"]["versions"].items()),
        ("classes", ", ".join(document["data"]["classes"])),
        *(
            (f"tensors {name}", f"{len(sizes)} tensors, {sum(sizes):,} numbers")
            for name, sizes in groups.items()
        ),
    ]
    return aligned(rows, indent="")

"""Damaged checkpoints, and forged checkpoints with correct hashes.

A damaged file has to be refused in one line. A forged one is refused in one line or loaded like any
other: its content is data, and no code is run from it.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from families import overrides

import gvt
from gvt.checkpoint.document import header_bytes, read_header

SECONDS = 10.0
"""Limit of processor time for refusing a file."""

LONGEST = 1000
"""Largest length of an error message."""

ODD = (
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    "",
    "../../x",
    "\x1b[2J",
    "a" * 5000,
    [],
    [[]],
    {},
    {"a": 1},
)
"""Values of unexpected types and sizes."""


def row(kind: str, count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Return the counts of a kind of damage, and the problems with how files were handled."""
    make, content = ROWS[kind], _checkpoint()
    chance, lost, refused = random.Random(f"{seed} {kind}"), [], 0
    with TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.safetensors"
        for number, damaged in zip(range(count), make(content, chance), strict=False):
            path.write_bytes(damaged)
            problems, is_refused = _loaded(path, may_load=make is _forged or damaged == content)
            refused += is_refused
            lost += [f"{kind} {number}: {problem}" for problem in problems]
    return {"files": count, "refused": refused}, lost


@cache
def _checkpoint() -> bytes:
    """Return the checkpoint of a small run."""
    with TemporaryDirectory() as folder:
        words = [*overrides("classify.mnist", Path(folder)), "train.steps=2"]
        run = gvt.run("classify.mnist", *words, quiet=True)
        assert run.checkpoint is not None
        return run.checkpoint.read_bytes()


def _loaded(path: Path, may_load: bool) -> tuple[list[str], bool]:
    """Load a file; return the problems, and whether it was refused."""
    problems, started = [], time.process_time()
    try:
        gvt.load(path)
        refused = False
        if not may_load:
            problems.append("was loaded")
    except gvt.GvtError as error:
        refused, line = True, str(error)
        if "\n" in line or not line.isprintable() or len(line) > LONGEST:
            problems.append(f"its error is not a line: {line[:200]!r}")
    except Exception as error:
        refused = True
        problems.append(f"{type(error).__name__}: {str(error)[:200]}")
    if time.process_time() - started > SECONDS:
        problems.append(f"took {time.process_time() - started:.0f} s of processor time")
    return problems, refused


def _flipped(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield copies with one flipped bit, half of them in the header."""
    header = 8 + int.from_bytes(content[:8], "little")
    while True:
        damaged = bytearray(content)
        bound = chance.choice((header, len(content)))
        damaged[chance.randrange(bound)] ^= 1 << chance.randrange(8)
        yield bytes(damaged)


def _cut(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield truncated copies, and copies with additional bytes."""
    while True:
        cut = content[: chance.randrange(len(content))]
        yield chance.choice((cut, content + bytes(chance.randrange(1, 99))))


def _overwritten(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield copies with one part zeroed or overwritten by another part."""
    while True:
        damaged = bytearray(content)
        length = chance.randrange(1, 4096)
        target, source = (chance.randrange(len(content) - length) for _ in range(2))
        part = chance.choice((bytes(length), content[source : source + length]))
        damaged[target : target + length] = part
        yield bytes(damaged)


def _rearranged(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield copies with changed offsets, shapes, dtypes or names of tensors."""
    length = int.from_bytes(content[:8], "little")
    data = content[8 + length :]
    while True:
        header = json.loads(content[8 : 8 + length])
        names = [name for name in header if name != "__metadata__"]
        one, other = chance.sample(names, 2)
        match chance.randrange(4):
            case 0:
                field = "data_offsets"
                header[one][field], header[other][field] = header[other][field], header[one][field]
            case 1:
                header[one], header[other] = header[other], header[one]
            case 2:
                header[one]["shape"] = [*header[one]["shape"], 1]
            case 3:
                header[one][chance.choice(("dtype", "shape", "data_offsets"))] = chance.choice(ODD)
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        yield len(text).to_bytes(8, "little") + text + data


def _forged(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield copies with a changed document and correct hashes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "whole.safetensors"
        path.write_bytes(content)
        header = read_header(path)
    length = int.from_bytes(content[:8], "little")
    data = content[8 + length :]
    digest = hashlib.sha256(data).hexdigest()
    while True:
        document = deepcopy(dict(header.document))
        for _ in range(chance.randrange(1, 4)):
            _change(document, chance)
        try:
            yield header_bytes(document, header.tensors, digest) + data
        except (TypeError, ValueError):
            continue  # not representable in JSON


def _change(document: dict[str, Any], chance: random.Random) -> None:
    """Delete or replace a random value in a document, at any depth."""
    section: Any = document
    while True:
        keys = list(section) if isinstance(section, dict) else list(range(len(section)))
        key = chance.choice(keys)
        inside = section[key]
        if isinstance(inside, dict | list) and inside and chance.random() < 0.8:
            section = inside
        elif chance.random() < 0.3:
            del section[key]
            return
        else:
            section[key] = chance.choice(ODD)
            return


ROWS: dict[str, Callable[[bytes, random.Random], Iterator[bytes]]] = {
    "one flipped bit": _flipped,
    "cut or extended": _cut,
    "a part overwritten": _overwritten,
    "tensors rearranged": _rearranged,
    "forged, with right hashes": _forged,
}

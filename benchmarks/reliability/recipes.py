"""Recipes that mean harm, or are nonsense: each is refused in one line, soon, in little memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS = 20.0
"""Limit of processor time for a whole process, most of which is Python's start."""

LONGEST_WAIT = 600.0
"""Limit of wall time in seconds, on a machine that does other things as well."""

MEMORY = 6 << 30
"""Limit of the address space in bytes; torch takes the larger part."""

LONGEST = 1000
SECRET = "xyzzy-do-not-print"

_GOOD = """\
task: {{name: heads}}
data: {data}
backbone: {{name: small_cnn}}
heads: {heads}
optimizers: {{model: {{name: Adam, lr: 1e-3}}}}
train: {train}
"""


def _recipe(
    data: str = "{name: mnist}",
    heads: str = "{digit: {name: classifier}}",
    train: str = "{steps: 1}",
) -> str:
    return _GOOD.format(data=data, heads=heads, train=train)


def _bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    for level in range(1, levels):
        inside = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{inside}]")
    return "\n".join(lines)


def _merge_bomb(levels: int) -> str:
    lines = ["a0: &a0 {x0: 1}"]
    for level in range(1, levels):
        merged = f"*a{level - 1}, *a{level - 1}"
        lines.append(f"a{level}: &a{level} {{<<: [{merged}], x{level}: {{<<: *a{level - 1}}}}}")
    return "\n".join(lines)


RECIPES: dict[str, str] = {
    "aliases that multiply": _bomb(9, 9),
    "many levels of aliases": _bomb(64, 2),
    "merge keys that multiply": _merge_bomb(26),
    "an alias of itself": "task: &t {name: heads, other: *t}",
    "brackets in brackets": "task: " + "[" * 100_000,
    "mappings in mappings": "task: " + "{a: " * 20_000 + "1" + "}" * 20_000,
    "a number of a million digits": _recipe(train="{steps: " + "9" * 1_000_000 + "}"),
    "a number beyond all": _recipe(train="{steps: 1e400}"),
    "not a number": _recipe(train="{steps: .nan}"),
    "a name of a megabyte": _recipe(data="{name: " + "m" * 1_000_000 + "}"),
    "a key of a megabyte": _recipe() + "k" * 1_000_000 + ": 1\n",
    "50 megabytes": "# " + "x" * 50_000_000,
    "control characters in a name": _recipe(data='{name: "\\x1b]0;mine\\x07\\x1b[2J"}'),
    "control characters in a key": _recipe() + '"\\x1b[31mred": 1\n',
    "half of a surrogate pair": _recipe(data='{name: "\\ud800"}'),
    "keys that are not text": "{null: 1, true: 2, 3: 4, [5]: 6}",
    "a Python object": "task: !!python/object/apply:os.system [id]",
    "binary": _recipe(data="{name: !!binary aGVsbG8=}"),
    "a set": _recipe(data="!!set {a, b}"),
    "a list in place of a section": _recipe(train="[1, 2]"),
    "a variable outside of paths": _recipe(data="{name: '${GVT_SECRET}'}"),
    "ten thousand workers": _recipe(data="{name: mnist, workers: 10000}"),
    "a batch of all memory": _recipe(data="{name: mnist, batch_size: 99999999999}"),
    "accumulation without end": _recipe(train="{steps: 1, accumulate: 99999999999}"),
}


def _refused(text: str, folder: Path) -> list[str]:
    """Return what is wrong with how a recipe is met."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(text, encoding="utf-8", errors="surrogatepass")
    command = [sys.executable, "-m", "gvt", "run", str(recipe), f"run.root={folder / 'runs'}"]
    before = _processor_seconds()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=LONGEST_WAIT,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
            env={**os.environ, "GVT_SECRET": SECRET},
        )
    except subprocess.TimeoutExpired:
        return [f"was not refused within {LONGEST_WAIT:.0f} s"]
    seconds = _processor_seconds() - before
    printed = (done.stdout + done.stderr).decode(errors="replace")
    wrong = []
    if done.returncode not in (1, 2):
        wrong.append(f"ended with {done.returncode}: {printed[-200:]!r}")
    if seconds > SECONDS:
        wrong.append(f"took {seconds:.0f} s of processor time")
    if printed.count("\n") != 1 or len(printed) > LONGEST:
        wrong.append(f"printed {len(printed)} characters in {printed.count(chr(10))} lines")
    if not printed.replace("\n", "").isprintable():
        wrong.append("printed control characters")
    if SECRET in printed:
        wrong.append("printed a variable of the environment")
    return wrong


def _processor_seconds() -> float:
    """Return the processor time of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(what: str, count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Return how many recipes were tried, and what was wrong with how they were met."""
    lost = []
    names = list(RECIPES)[:count]
    with TemporaryDirectory() as folder:
        for name in names:
            lost += [f"{name}: {text}" for text in _refused(RECIPES[name], Path(folder))]
    return {"files": len(names)}, lost


ROWS = ("hostile recipes",)

"""Hostile or invalid recipes; each has to be refused in one line, quickly and in little memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS = 20.0
"""Limit of processor time for a process in seconds, most of which is the start of Python."""

LONGEST_WAIT = 600.0
"""Limit of wall time in seconds, on a shared machine."""

MEMORY = 6 << 30
"""Limit of the address space in bytes, most of which is used by torch."""

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
    """Return the problems with how a recipe is refused."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(text, encoding="utf-8", errors="surrogatepass")
    command = [sys.executable, "-m", "gvt", "run", str(recipe), f"run.root={folder / 'runs'}"]
    before = _processor_seconds()
    try:
        process = subprocess.run(
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
    output = (process.stdout + process.stderr).decode(errors="replace")
    problems = []
    if process.returncode not in (1, 2):
        problems.append(f"ended with {process.returncode}: {output[-200:]!r}")
    if seconds > SECONDS:
        problems.append(f"took {seconds:.0f} s of processor time")
    if output.count("\n") != 1 or len(output) > LONGEST:
        problems.append(f"printed {len(output)} characters in {output.count(chr(10))} lines")
    if not output.replace("\n", "").isprintable():
        problems.append("printed control characters")
    if SECRET in output:
        problems.append("printed an environment variable")
    return problems


def _processor_seconds() -> float:
    """Return the processor time of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def row(kind: str, count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Return the number of recipes, and the problems with how they were refused."""
    lost = []
    names = list(RECIPES)[:count]
    with TemporaryDirectory() as folder:
        for name in names:
            lost += [f"{name}: {problem}" for problem in _refused(RECIPES[name], Path(folder))]
    return {"files": len(names)}, lost


ROWS = ("hostile recipes",)

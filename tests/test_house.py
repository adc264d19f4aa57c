"""How large the parts of gvt may be, in lines of code."""

import ast
import io
import tokenize
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400
"""Lines of a file in all."""

SLACK = 50
"""Lines by which a size of `TODAY` may be above the part's own."""

LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
"""Kinds of tokens that do not make a line one of code."""


@dataclass(frozen=True)
class Part:
    """A part of the tree with the lines of code that it may have.

    Attributes:
        limit: Lines of code, without docstrings, comments and blank lines.
        paths: Its files and folders.
        without: Folders in them that are not counted.
    """

    limit: int
    paths: tuple[str, ...]
    without: tuple[str, ...] = ()

    def files(self):
        for path in map(ROOT.joinpath, self.paths):
            for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
                if not any(file.is_relative_to(ROOT / folder) for folder in self.without):
                    yield file

    def size(self):
        return sum(lines_of_code(file.read_text(encoding="utf-8")) for file in self.files())


_NAMES = ("interfaces", "task", "batch", "fields", "errors", "seeding", "finite")
CONTRACTS = [f"core/gvt/{name}.py" for name in _NAMES]
PARTS = {
    "registry": Part(600, ("registry",)),
    "core without vision": Part(5800, ("core",), without=("core/gvt/vision",)),
    "vision": Part(1000, ("core/gvt/vision",)),
    "contracts, loop, device and checkpoint": Part(
        2200, (*CONTRACTS, "core/gvt/loop", "core/gvt/device", "core/gvt/checkpoint")
    ),
}

TODAY = {
    "core without vision": 7588,
    "contracts, loop, device and checkpoint": 2750,
}
"""Sizes of the parts that are still above their limit. A size here only ever gets smaller."""


@cache
def lines_of_code(source):
    """Return how many lines have code on them; docstrings and texts below attributes have none."""
    texts = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for part in body if isinstance(body, list) else ():
            is_constant = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
            if is_constant and isinstance(part.value.value, str):
                texts |= {*range(part.lineno, part.end_lineno + 1)}
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            code |= {*range(token.start[0], token.end[0] + 1)}
    return len(code - texts)


def test_lines_without_docstrings_comments_and_blank_lines_are_counted():
    source = '''
        """Text
        of a module."""

        import os  # a comment on a line of code

        WIDTH = 3
        """Text below a constant."""


        def scaled(x):
            """Text of a function."""
            # a comment
            text = """a text that
            is a value"""
            return (
                x
            )
        '''
    assert lines_of_code(dedent(source)) == 8


@pytest.mark.parametrize("name", PARTS)
def test_no_part_is_larger_than_it_may_be(name):
    part = PARTS[name]
    size, limit = part.size(), max(part.limit, TODAY.get(name, 0))
    assert size <= limit, (
        f"{name}: {size:,} lines of code, {size - limit} over its limit of {limit:,}"
    )


@pytest.mark.parametrize("name", TODAY)
def test_a_part_that_shrank_does_not_grow_again(name):
    size, limit = PARTS[name].size(), PARTS[name].limit
    assert size > limit, f"{name}: {size:,} lines of code, within {limit:,}; remove it from TODAY"
    assert TODAY[name] - size <= SLACK, f"{name}: {size:,} lines of code; lower it in TODAY"


def test_no_file_is_too_long():
    folders = [ROOT / folder for folder in ("registry", "core", "plugins")]
    files = [f for folder in folders for f in folder.rglob("*") if f.suffix in (".py", ".pyi")]
    assert len(files) > 100
    lengths = {
        file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in files
    }
    too_long = [f"{file}: {n} lines" for file, n in lengths.items() if n > LONGEST_FILE]
    assert not too_long, f"files of more than {LONGEST_FILE} lines: {'; '.join(too_long)}"

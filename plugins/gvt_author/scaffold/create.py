"""Writing a plugin's distribution into a folder."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from gvt import UsageError
from gvt_author.scaffold.names import Names
from gvt_registry import API_VERSION, nearest


@dataclass(frozen=True)
class _Kind:
    """What is written for a kind.

    Attributes:
        summary: Of its component, for `gvt list`.
        recipe_summary: Of the recipe that uses it.
        data: What the recipe learns from, the second part of the recipe's name.
        has_module: It has code in a module of its own, which is called as the kind is.
    """

    summary: str
    recipe_summary: str
    data: str = "mnist"
    has_module: bool = True


_KINDS = {
    "generator": _Kind(
        "A dense layer, then upsampling convolutions; any size of image", "Digits out of noise"
    ),
    "discriminator": _Kind(
        "Strided convolutions that judge patches, of images of any size", "Digits out of noise"
    ),
    "head": _Kind(
        "A classifier that pools by attention and not by the mean", "Digits to names, by attention"
    ),
    "backbone": _Kind(
        "Strided convolutions, each with a residual one behind it",
        "Digits to names, on residual convolutions",
    ),
    "dataset": _Kind("Discs and squares, drawn from a seed", "Discs or squares?", data="shapes"),
    "task": _Kind("An autoencoder of dense layers", "Digits through a narrow place and back"),
    "loss": _Kind(
        "Focal loss: what is easy counts less", "Digits to names, with most care for hard ones"
    ),
    "metric": _Kind(
        "The accuracy of the class that fares worst", "Digits to names, and how the worst fares"
    ),
    "recipe": _Kind("", "Digits to names, in 300 steps", has_module=False),
    "hooks": _Kind("", "Threes or sevens, a line of CSV for every epoch"),
}

KINDS = tuple(_KINDS)
"""What a new plugin may begin with."""


def create(distribution: str, kind: str, folder: Path) -> Path:
    """Write a plugin's distribution: a working component, a recipe that uses it, tests.

    Args:
        distribution: Its name, such as `gvt-blur`.
        kind: One of `KINDS`.
        folder: Where the distribution's own folder goes, which bears its name.

    Returns:
        The distribution's folder.

    Raises:
        UsageError: If a name does not fit or is taken, the kind is unknown, or there is such a
            folder with something in it. Nothing has been written then.
        OSError: If the folder cannot be written to.
    """
    if kind not in _KINDS:
        hint = nearest(kind, KINDS) or f"; the kinds are {', '.join(KINDS)}"
        raise UsageError(f"no plugin of kind {kind!r} can be made{hint}")
    names, about = Names.of(distribution), _KINDS[kind]
    recipe = f"{names.plugin}.{about.data}"
    names.check_new("recipe", recipe)
    if about.summary:
        names.check_new(kind, names.plugin)
    root = folder / distribution
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise UsageError(f"{root}: is there already, and not empty; choose another name or folder")

    content = {path: _rendered(template, page) for path, template, page in _pages(names, kind)}
    _check_class_name(names, content.get(f"{names.package}/{kind}.py", ""))
    for path, text in content.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def _pages(names: Names, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each file's path, its template, and what is filled in."""
    about = _KINDS[kind]
    page = {
        **vars(names),
        "kind": kind,
        **vars(about),
        "recipe": f"{names.plugin}.{about.data}",
        "author": _author(),
        "year": date.today().year,
        "gvt_version": version("gvt"),
        "api_version": API_VERSION,
    }
    package = names.package
    paths = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "LICENSE": "LICENSE",
        ".gitignore": "gitignore",
        ".github/workflows/test.yml": "test.yml",
        f"{package}/__init__.py": "init.py",
        f"{package}/py.typed": "py.typed",
        f"{package}/plugin.py": "plugin.py",
        f"{package}/recipes/{about.data}.yaml": "recipe.yaml",
        "tests/test_conformance.py": "test_conformance.py",
        f"tests/test_{kind}.py": f"{kind}/test.py",
    }
    if about.has_module:
        paths[f"{package}/{kind}.py"] = f"{kind}/component.py"
    yield from ((path, template, page) for path, template in paths.items())


def _rendered(template: str, page: dict[str, Any]) -> str:
    source = files("gvt_author.scaffold").joinpath("templates", f"{template}.jinja")
    jinja = Environment(
        autoescape=False,  # it is Python, TOML, YAML and Markdown that comes out
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return jinja.from_string(source.read_text(encoding="utf-8")).render(page)


def _check_class_name(names: Names, source: str) -> None:
    """Check that the class hides nothing that its own module imports, such as `Tensor`.

    Raises:
        UsageError: If it does.
    """
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    if names.class_name in {alias.asname or alias.name for n in imports for alias in n.names}:
        raise UsageError(
            f"{names.distribution}: its class would be called {names.class_name}, as one that it "
            "needs; choose another name"
        )


def _author() -> str:
    """Return whose the licence is: git knows the name of whoever uses it."""
    command = ["git", "config", "user.name"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return "The authors"
    return " ".join(done.stdout.split()) or "The authors"

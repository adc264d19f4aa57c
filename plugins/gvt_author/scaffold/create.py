"""Create the distribution of a plugin in a folder."""

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
    """The content of a distribution of one kind.

    Attributes:
        summary: Summary of the component, for `gvt list`.
        recipe_summary: Summary of the recipe that uses it.
        data: Name of the data of the recipe, the second part of the name of the recipe.
        has_module: Whether there is a module of code, named after the kind.
        has_test: Whether there is a test of the component; otherwise the recipe has to learn.
    """

    summary: str
    recipe_summary: str
    data: str = "mnist"
    has_module: bool = True
    has_test: bool = True


_KINDS = {
    "generator": _Kind(
        "A dense layer and upsampling convolutions, for images of any size", "Digits from noise"
    ),
    "discriminator": _Kind(
        "Strided convolutions that score patches, for images of any size", "Digits from noise"
    ),
    "head": _Kind("A classifier with attention pooling", "Digit classifier with attention pooling"),
    "backbone": _Kind(
        "Strided convolutions, each followed by a residual one",
        "Digit classifier on residual convolutions",
    ),
    "dataset": _Kind("Discs and squares, drawn from a seed", "Discs or squares?", data="shapes"),
    "task": _Kind("An autoencoder of dense layers", "Autoencoder of digits"),
    "loss": _Kind("Focal loss: easy samples count less", "Digit classifier with a focal loss"),
    "metric": _Kind(
        "The accuracy of the worst class", "Digit classifier, measured on its worst class"
    ),
    "weighting": _Kind(
        "Makes the gradients of the heads more equal in length",
        "Class and pixels of digits, by two heads in balance",
        data="scenes",
    ),
    "network": _Kind("Convolutions that estimate the noise in images", "Digits without noise"),
    "optimizer": _Kind("Lion: steps of equal size", "Digit classifier by Lion", has_test=False),
    "schedule": _Kind(
        "Falls with the square root of the steps",
        "Digit classifier, whose learning rate falls slowly",
        has_test=False,
    ),
    "transform": _Kind(
        "Black and white pixels at random places",
        "Digit classifier for noisy images",
        has_test=False,
    ),
    "exporter": _Kind("Programs of torch.export", "Digit classifier to export"),
    "explainer": _Kind("Gradient times image", "Digit classifier to explain"),
    "recipe": _Kind(
        "", "Digit classifier, trained for 300 steps", has_module=False, has_test=False
    ),
    "hooks": _Kind("", "Threes or sevens, with a line of CSV for every epoch"),
}

KINDS = tuple(_KINDS)
"""The kinds of distribution that `create` can write."""


def create(distribution: str, kind: str, folder: Path) -> Path:
    """Create the distribution of a plugin: a working component, a recipe that uses it, and tests.

    Args:
        distribution: Name of the distribution, such as `gvt-blur`.
        kind: One of `KINDS`.
        folder: The folder in which the folder of the distribution, of the same name, is created.

    Returns:
        The folder of the distribution.

    Raises:
        UsageError: If a name is invalid or taken, the kind is unknown, or the folder exists and
            is not empty. Nothing is written then.
        OSError: If the folder cannot be written to.
    """
    if kind not in _KINDS:
        hint = nearest(kind, KINDS) or f"; the kinds are {', '.join(KINDS)}"
        raise UsageError(f"a plugin of kind {kind!r} cannot be created{hint}")
    names, about = Names.of(distribution), _KINDS[kind]
    recipe = f"{names.plugin}.{about.data}"
    names.check_new("recipe", recipe)
    if about.summary:
        names.check_new(kind, names.plugin)
    root = folder / distribution
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise UsageError(f"{root}: exists already and is not empty; choose another name or folder")

    content = {path: _rendered(template, page) for path, template, page in _pages(names, kind)}
    _check_class_name(names, content.get(f"{names.package}/{kind}.py", ""))
    for path, text in content.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def _pages(names: Names, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the path of each file, its template, and the values for the template."""
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
        f"tests/test_{kind}.py": f"{kind}/test.py" if about.has_test else "learns.py",
    }
    if about.has_module:
        paths[f"{package}/{kind}.py"] = f"{kind}/component.py"
    yield from ((path, template, page) for path, template in paths.items())


def _rendered(template: str, page: dict[str, Any]) -> str:
    source = files("gvt_author.scaffold").joinpath("templates", f"{template}.jinja")
    jinja = Environment(
        autoescape=False,  # the output is Python, TOML, YAML and Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return jinja.from_string(source.read_text(encoding="utf-8")).render(page)


def _check_class_name(names: Names, source: str) -> None:
    """Check that the class does not hide a name that its module imports, such as `Tensor`.

    Raises:
        UsageError: If it does.
    """
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    if names.class_name in {alias.asname or alias.name for n in imports for alias in n.names}:
        raise UsageError(
            f"{names.distribution}: its class would be called {names.class_name}, like one that "
            "its module imports; choose another name"
        )


def _author() -> str:
    """Return the name of the licence holder: the user name of git, if there is one."""
    command = ["git", "config", "user.name"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # git is not installed
        return "The authors"
    return " ".join(done.stdout.split()) or "The authors"

"""Rules on the documentation of a component: its summary, its docstring, its parameters."""

from __future__ import annotations

import inspect
import re
from typing import Any

from gvt.config import declaring, signature_of, type_hints, unrecorded
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_registry import KINDS, Offer

CODE = tuple(kind for kind in KINDS if kind != "recipe")
"""The kinds that are classes or functions."""

LONGEST = 100
"""Maximum number of characters of a summary, which is one line in `gvt list`."""

# `width: ...`, `width (int): ...`, `width, height: ...`, `width : int`, `:param width: ...`
_DOCUMENTED = re.compile(r"^\s*(?::param\s+)?([\w*, ]+?)\s*(?:\([^)]*\))?\s*:", re.MULTILINE)


@rule(*KINDS)
def summary(offer: Offer) -> None:
    """A component has a summary of one line, for `gvt list`."""
    text = offer.component.summary
    if not text.strip():
        raise Failed('it has no summary; give its Component one, such as summary="Blurs images"')
    if "\n" in text or len(text) > LONGEST:
        raise Failed(f"its summary has {len(text)} characters; use one line of at most {LONGEST}")


@rule(*CODE)
def docstring(offer: Offer) -> None:
    """A class or function has its own docstring, for `gvt show`."""
    target = _loaded(offer)
    if not (target.__doc__ or "").strip():
        raise Failed(f"{target.__name__} has no docstring; describe it in one line")


@rule(*CODE)
def parameters(offer: Offer) -> None:
    """Every parameter is documented under `Args:`, and has a type to validate recipes with."""
    target = _loaded(offer)
    if not (target.__doc__ or "").strip():
        raise Skipped("it has no docstring; see the rule 'docstring'")
    documented = {name for owner in declaring(target) for name in _documented(owner)}
    for owner in declaring(target):
        _check_types(owner)
    names, takes_any = signature_of(target)
    for name in names:
        if name not in documented:
            raise Failed(
                f"parameter {name!r} is not documented; add a line "
                f"'{name}: ...' under 'Args:' in the docstring"
            )
    if unknown := [name for name in unrecorded(target) if name not in names and not takes_any]:
        raise Failed(f"gvt_unrecorded has {unknown[0]!r}, which is not a parameter of it")


def _check_types(target: Any) -> None:
    """Check that every parameter of a class or function has a type that can be resolved.

    Raises:
        Failed: If one does not.
    """
    try:
        type_hints(target)
    except (NameError, TypeError, AttributeError) as error:
        raise Failed(
            f"its types cannot be resolved: {error}; import them outside `if TYPE_CHECKING:`"
        ) from error
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.annotation is parameter.empty:
            raise Failed(f"parameter {parameter.name!r} has no type; annotate it")


def _loaded(offer: Offer) -> Any:
    target = offer.load()
    if not callable(target):
        raise Failed(f"its target {target!r} is not callable; name a class or a function")
    return target


def _documented(target: Any) -> set[str]:
    """Return the parameters that the docstrings of a class, with its bases, or function explain."""
    family = inspect.getmro(target) if isinstance(target, type) else (target,)
    texts = [member.__doc__ or "" for member in family]
    texts += [vars(member)["__init__"].__doc__ or "" for member in family if _constructs(member)]
    lists = [match for text in texts for match in _DOCUMENTED.findall(text)]
    return {name.strip(" *") for names in lists for name in names.split(",")}


def _constructs(member: Any) -> bool:
    return isinstance(member, type) and "__init__" in vars(member)

"""Checks, and the register of their rules. Importing it does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Any
from unittest import SkipTest

from gvt_registry import GvtError


class Failed(AssertionError):
    """Raised if a rule is broken; one line with what was expected, what came, and how to fix it."""


class Skipped(SkipTest):
    """Raised if a rule does not apply, with the reason. Test runners report it as a skip."""


@dataclass(frozen=True)
class Rule:
    """A rule for all components of some kinds.

    Attributes:
        name: Short name; rules with the same meaning for different kinds share it.
        kinds: The kinds of component that it applies to; `plugin` for a plugin as a whole.
        function: The check of an `Offer`, or a `Plugin`; it raises `Failed` or `Skipped`.
    """

    name: str
    kinds: tuple[str, ...]
    function: Callable[[Any], None]

    @property
    def description(self) -> str:
        """The first line of its docstring."""
        return (self.function.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True)
class Check:
    """One rule for one component; call it to run the check.

    Attributes:
        component: Kind and name, such as `generator:blur`, or `plugin:blur` for a whole plugin.
        rule: Short name of the rule.
        description: The rule in one sentence.
        run: The check itself.
    """

    component: str
    rule: str
    description: str
    run: Callable[[], None] = field(repr=False)

    @property
    def id(self) -> str:
        """Component and rule, used as the id of a test."""
        return f"{self.component}-{self.rule}"

    def __call__(self) -> None:
        """Run the check.

        Raises:
            Failed: If the rule is broken, or an unexpected exception was raised.
            Skipped: If the rule does not apply on this machine, or to this component.
        """
        try:
            self.run()
        except (Failed, Skipped) as outcome:
            raise type(outcome)(f"{self.id}: {outcome}") from outcome.__cause__
        except Exception as error:
            raise Failed(f"{self.id}: {self.description} It raised {error_line(error)}") from error


RULES: list[Rule] = []
"""All rules, in the order in which a component is checked."""


def rule(*kinds: str, name: str = "") -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function as a rule for some kinds, named after the function by default."""

    def register(function: Callable[[Any], None]) -> Callable[[Any], None]:
        RULES.append(Rule(name or function.__name__.replace("_", "-"), kinds, function))
        return function

    return register


def error_line(error: BaseException) -> str:
    """Return an exception in one line, with the file and line that raised it.

    They are left out for a `GvtError`, whose message has the place.
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    frames = extract_tb(error.__traceback__)
    if isinstance(error, GvtError) or not frames:
        return text
    # Frames inside torch do not help an author, so name the last one outside of it.
    outside = [f for f in frames if f"{Path('/torch/')}" not in f.filename.replace("\\", "/")]
    frame = (outside or frames)[-1]
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})"

"""What a check is, and the register of the rules that checks are made from. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Any
from unittest import SkipTest

from gvt_registry import GvtError


class Failed(AssertionError):
    """A rule is broken: what was expected, what came, and how to mend it, in one line."""


class Skipped(SkipTest):
    """A rule does not apply here; the message says why. Test runners know it as a skip."""


@dataclass(frozen=True)
class Rule:
    """What holds for all components of some kinds.

    Attributes:
        name: A short name, the same for what is meant by it of any kind.
        kinds: The kinds of component that it is for, and `plugin` for a plugin as a whole.
        function: Takes an `Offer`, or a `Plugin`; raises `Failed` or `Skipped`.
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
    """One rule for one component; calling it checks.

    Attributes:
        component: `generator:blur`, or `plugin:blur` for the plugin as a whole.
        rule: The rule's short name.
        description: What the rule says.
    """

    component: str
    rule: str
    description: str
    run: Callable[[], None] = field(repr=False)

    @property
    def id(self) -> str:
        """Component and rule, as a test is called."""
        return f"{self.component}-{self.rule}"

    def __call__(self) -> None:
        """Check.

        Raises:
            Failed: If the rule is broken, or something raised that should not have.
            Skipped: If the rule does not apply on this machine, or to this component.
        """
        try:
            self.run()
        except (Failed, Skipped) as outcome:
            raise type(outcome)(f"{self.id}: {outcome}") from outcome.__cause__
        except Exception as error:
            raise Failed(f"{self.id}: {self.description} It raised {told(error)}") from error


RULES: list[Rule] = []
"""All rules, in the order in which a component is checked."""


def rule(*kinds: str, name: str = "") -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function as a rule for some kinds; its own name is the rule's unless given."""

    def register(function: Callable[[Any], None]) -> Callable[[Any], None]:
        RULES.append(Rule(name or function.__name__.replace("_", "-"), kinds, function))
        return function

    return register


def told(error: BaseException) -> str:
    """Return an exception in one line, with the place that it was raised at.

    A `GvtError` says itself what is wrong and where.
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    frames = extract_tb(error.__traceback__)
    if isinstance(error, GvtError) or not frames:
        return text
    # torch's own frames say nothing to an author, so that the last one outside it is named.
    own = [f for f in frames if f"{Path('/torch/')}" not in f.filename.replace("\\", "/")]
    frame = (own or frames)[-1]
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})"

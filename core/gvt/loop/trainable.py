"""Which parts of a task are trained at which step."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Literal, TypeVar

from torch import nn

from gvt.errors import ConfigError
from gvt_registry import nearest

T = TypeVar("T")


class Trainable:
    """The parameters of a task that may be trained, and the step from which each one is.

    Those count that are trainable now: what a user froze stays frozen. A submodule whose step has
    not come stays as it is: no gradient is computed for it, and it is in eval mode, so that batch
    norm takes its running statistics and leaves them alone, and nothing is dropped out.

    Args:
        task: The task.
        unfreeze: Steps from which submodules or parameters are trained, by their names in the
            task, or `never`; the longest name counts.

    Attributes:
        parameters: The parameters by their names in the task.

    Raises:
        ConfigError: If there is none of a name, or nothing is trained in the first step.
    """

    def __init__(self, task: nn.Module, unfreeze: Mapping[str, int | Literal["never"]]) -> None:
        check_names("train.unfreeze", task, unfreeze, parameters=True)
        self.parameters = {n: p for n, p in task.named_parameters() if p.requires_grad}
        # One that several submodules share is trained with each of them.
        self._names: dict[int, list[str]] = {}
        for name, parameter in task.named_parameters(remove_duplicate=False):
            self._names.setdefault(id(parameter), []).append(name)
        # The shorter names first, since what is inside of them is set after them.
        ordered = sorted(unfreeze.items(), key=lambda item: len(item[0]))
        self._begins = {n: math.inf if step == "never" else step for n, step in ordered}
        modules = dict(task.named_modules())
        self._modules = [(modules[n], step) for n, step in self._begins.items() if n in modules]
        self._changes = sorted({*self._begins.values()} - {0})
        self._of = cache(self._parameters_of)
        self._reached: tuple[tuple[str, ...], int] | None = None
        if self.parameters and not self.of(("",), 0):
            raise ConfigError("train.unfreeze: nothing would be trained in the first step")

    def of(self, modules: tuple[str, ...], step: float) -> list[nn.Parameter]:
        """Return the parameters of submodules that a step trains, "" for those of the task."""
        return self._of(modules, bisect_right(self._changes, step))

    def set_modes(self, step: int) -> None:
        """Put what a step does not train yet into eval mode, and the rest into train mode."""
        for module, begins in self._modules:
            if module.training != (begins <= step):  # which also undoes what a hook has changed
                module.train(begins <= step)

    def is_partial(self, step: int) -> bool:
        """Return whether something is not trained at a step that may be trained later."""
        return any(begins > step for begins in self._begins.values())

    def reach(self, modules: tuple[str, ...], step: int) -> None:
        """Let gradients reach what a step trains of these submodules, and nothing else."""
        wanted = (modules, bisect_right(self._changes, step))
        if wanted != self._reached:
            reached = {id(p) for p in self.of(modules, step)}
            for parameter in self.parameters.values():
                parameter.requires_grad_(id(parameter) in reached)
            self._reached = wanted

    def release(self) -> None:
        """Let gradients reach everything again, as before the run."""
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        self._reached = None

    def _parameters_of(self, modules: tuple[str, ...], stage: int) -> list[nn.Parameter]:
        step = self._changes[stage - 1] if stage else 0
        prefixes = tuple(f"{m}." if m else "" for m in modules)
        names = ((p, self._names[id(p)]) for p in self.parameters.values())
        return [
            p
            for p, own in names
            if any(n.startswith(prefixes) for n in own)
            and max(of_longest_name(n, self._begins, 0) for n in own) <= step
        ]


def of_longest_name(name: str, given: Mapping[str, T], default: T) -> T:
    """Return what is given for a parameter: under its own name, or a submodule's that it is in."""
    while name:
        if name in given:
            return given[name]
        name = name.rpartition(".")[0]
    return default


def check_names(
    where: str, task: nn.Module, names: Iterable[str], *, parameters: bool = False
) -> None:
    """Check that a task has submodules of these names.

    Args:
        where: What an error begins with.
        task: The task.
        names: The names.
        parameters: Whether those of parameters will do.

    Raises:
        ConfigError: If it has none of a name.
    """
    known: Sequence[str] = [n for n, _ in task.named_modules(remove_duplicate=False) if n]
    if parameters:
        known = [*known, *(n for n, _ in task.named_parameters(remove_duplicate=False))]
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise ConfigError(f"{where}: the task has no submodule {name!r}{hint}")

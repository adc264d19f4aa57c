"""Frozen parameters, and the steps at which they are unfrozen."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal, TypeVar

from torch import nn

from gvt.errors import ConfigError
from gvt_registry import nearest

T = TypeVar("T")


class Trainable:
    """The trainable parameters of a task, and the step from which each is trained.

    Parameters that do not require gradients at construction are never trained. A submodule is
    frozen before its step: no gradient is computed for it, and it is in eval mode, so batch norm
    uses its running statistics and does not update them, and dropout is off.

    Args:
        task: The task.
        unfreeze: Steps from which submodules or parameters are trained, by their names in the
            task, or `never`; the longest matching name applies.

    Attributes:
        parameters: The trainable parameters by their names in the task.

    Raises:
        ConfigError: If the task has no such name, or nothing is trained in the first step.
    """

    def __init__(self, task: nn.Module, unfreeze: Mapping[str, int | Literal["never"]]) -> None:
        check_names("train.unfreeze", task, unfreeze, parameters=True)
        self.parameters = {n: p for n, p in task.named_parameters() if p.requires_grad}
        # A parameter that several submodules share is trained with each of them.
        self._names: dict[int, list[str]] = {}
        for name, parameter in task.named_parameters(remove_duplicate=False):
            self._names.setdefault(id(parameter), []).append(name)
        # Shorter names first: the mode of an inner submodule is set after that of the outer one.
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
        """Return the parameters of submodules that a step trains; "" is the whole task."""
        return self._of(modules, bisect_right(self._changes, step))

    def set_modes(self, step: int) -> None:
        """Set submodules that are frozen at a step to eval mode, and the others to train mode."""
        for module, begins in self._modules:
            if module.training != (begins <= step):  # also if a hook has changed the mode
                module.train(begins <= step)

    def is_partial(self, step: int) -> bool:
        """Return whether a submodule or parameter is frozen at a step."""
        return any(begins > step for begins in self._begins.values())

    def reach(self, modules: tuple[str, ...], step: float) -> None:
        """Require gradients for the parameters of submodules that a step trains, and no others."""
        key = (modules, bisect_right(self._changes, step))
        if key != self._reached:
            reached = {id(p) for p in self.of(modules, step)}
            for parameter in self.parameters.values():
                parameter.requires_grad_(id(parameter) in reached)
            self._reached = key

    def release(self) -> None:
        """Require gradients for all trainable parameters, as before the run."""
        self._reached = None  # something else may have changed it since
        self.reach(("",), math.inf)

    def _parameters_of(self, modules: tuple[str, ...], stage: int) -> list[nn.Parameter]:
        step = self._changes[stage - 1] if stage else 0
        prefixes = tuple(f"{m}." if m else "" for m in modules)
        names_of = ((p, self._names[id(p)]) for p in self.parameters.values())
        return [
            p
            for p, names in names_of
            if any(n.startswith(prefixes) for n in names)
            and max(of_longest_name(n, self._begins, 0) for n in names) <= step
        ]


def of_longest_name(name: str, values: Mapping[str, T], default: T) -> T:
    """Return the value for a parameter: by its name, or by that of the nearest outer submodule."""
    while name:
        if name in values:
            return values[name]
        name = name.rpartition(".")[0]
    return default


def check_names(
    where: str, task: nn.Module, names: Iterable[str], *, parameters: bool = False
) -> None:
    """Check that a task has submodules of these names.

    Args:
        where: Prefix of error messages, such as the setting's name.
        task: The task.
        names: Names of submodules.
        parameters: Whether names of parameters are allowed, too.

    Raises:
        ConfigError: If the task has no submodule of a name.
    """
    modules = [n for n, _ in task.named_modules(remove_duplicate=False) if n]
    if parameters:
        modules += [n for n, _ in task.named_parameters(remove_duplicate=False)]
    for name in names:
        if name not in modules:
            hint = nearest(name, modules)
            raise ConfigError(f"{where}: the task has no submodule {name!r}{hint}")

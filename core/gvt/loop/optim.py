"""Optimisers and schedules by torch's names."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from gvt.config.parameters import check_parameters
from gvt.config.schema import ComponentConfig, OptimizerConfig
from gvt.errors import ConfigError
from gvt.loop.trainable import check_names, of_longest_name
from gvt_registry import nearest

# What these need is more than a gradient a step, so naming them is refused early.
_UNSUPPORTED = {
    "LBFGS": "it evaluates the loss again within a step",
    "ReduceLROnPlateau": "it follows a metric, and a schedule here is a function of the step",
    "SWALR": "it belongs to a loop of its own",
}
_BASES = {"Optimizer", "LRScheduler"}

# Of these torch has one kernel for a whole step, also on the CPU, where it took a ninth of the time
# (Adam, 1.9 million parameters).
_FUSED = {"Adam", "AdamW", "SGD"}
_FUSED_ON = {"cpu", "cuda"}
_OTHER_KERNELS = {"fused", "foreach", "capturable", "differentiable"}


class Optimizer:
    """One optimiser with its gradient scaler and its schedule.

    The schedule is a function of the iteration, so it has no state to save: it is wound forward.
    Parameters with a factor of their own form groups of torch's optimiser. The factor goes for the
    step alone, and not for what the schedule works on, so that it holds for every schedule.

    Args:
        key: Its name among the run's optimisers.
        parameters: What it moves, by their names in the task.
        config: The optimiser and its schedule.
        total_steps: Length of the run, for schedules that say `auto`.
        scaler: The gradient scaler of float16; disabled otherwise.

    Raises:
        ConfigError: If torch has none of that name, or it takes no such argument.
    """

    def __init__(
        self,
        key: str,
        parameters: Mapping[str, nn.Parameter],
        config: OptimizerConfig,
        total_steps: int,
        scaler: torch.amp.GradScaler,
    ) -> None:
        self.key, self.parameters, self.scaler = key, dict(parameters), scaler
        where = f"optimizers.{key}"
        self._groups = _by_factor(self.parameters, config.rates)
        groups = [{"params": list(of.values())} for of in self._groups.values()]
        self.torch = _optimizer(where, groups, config)
        self._schedule = _schedule(where, self.torch, resolved_schedule(config, total_steps))

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self, clip_norm: float | None, clip_value: float | None) -> None:
        """Move the parameters that have a gradient."""
        if all(p.grad is None for p in self.parameters.values()):
            return
        if clip_norm is not None or clip_value is not None:
            self.scaler.unscale_(self.torch)
            with_gradient = [p for p in self.parameters.values() if p.grad is not None]
            if clip_value is not None:
                nn.utils.clip_grad_value_(with_gradient, clip_value)
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(with_gradient, clip_norm)
        self._begin_late_momentum()
        with self._own_rates():
            self.scaler.step(self.torch)
        self.scaler.update()

    def drop_gradients_except(self, trained: Sequence[nn.Parameter]) -> None:
        """Drop the gradients of what a phase does not train."""
        kept = {id(p) for p in trained}
        for parameter in self.parameters.values():
            if id(parameter) not in kept:
                parameter.grad = None

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self.torch.zero_grad(set_to_none=True)

    def advance(self, steps: int = 1) -> None:
        """Move the schedule on by so many iterations."""
        if self._schedule is not None:
            with warnings.catch_warnings():
                # A phase may pause in the first iterations, and resuming winds forward.
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
                # SequentialLR itself still passes the epoch that torch deprecates.
                warnings.filterwarnings("ignore", message="The epoch parameter in")
                for _ in range(steps):
                    self._schedule.step()

    def _begin_late_momentum(self) -> None:
        """Begin the momentum of parameters whose first gradient came later than others'.

        torch's fused SGD needs that all parameters of a group have one, or none. Without dampening,
        zero gives the same first step as none.
        """
        if not isinstance(self.torch, torch.optim.SGD):
            return
        for group in self.torch.param_groups:
            if not (group["fused"] and group["momentum"]):
                continue
            moved = [p for p in group["params"] if p.grad is not None]
            late = [p for p in moved if self.torch.state[p].get("momentum_buffer") is None]
            if len(late) < len(moved):
                for parameter in late:
                    self.torch.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    @contextmanager
    def _own_rates(self) -> Iterator[None]:
        """Let every group have its own learning rate, inside."""
        groups = self.torch.param_groups
        rates = [group["lr"] for group in groups]
        for group, factor in zip(groups, self._groups, strict=True):
            group["lr"] *= factor
        try:
            yield
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate

    @property
    def learning_rate(self) -> float:
        """The rate of the next step, before the factors of `rates`."""
        return float(self.torch.param_groups[0]["lr"])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the state's tensors and its plain values, by `parameter name/field`."""
        tensors: dict[str, Tensor] = {}
        values: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            for field, value in self.torch.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"{name}/{field}"] = value
                elif value is None or isinstance(value, bool | int | float):
                    values[f"{name}/{field}"] = value
                else:
                    raise ConfigError(
                        f"optimizers.{self.key}: the state of {type(self.torch).__name__} holds "
                        f"a {type(value).__name__} ({field}), which no checkpoint can"
                    )
        return tensors, values

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over a state, each tensor in the memory format of its parameter."""
        fields: dict[str, dict[str, Any]] = {}
        for full_name, value in {**tensors, **values}.items():
            name, _, field = full_name.rpartition("/")
            fields.setdefault(name, {})[field] = _like(self.parameters[name], value)
        # torch numbers parameters in the order of its groups.
        names = [name for of in self._groups.values() for name in of]
        states = {names.index(name): of_one for name, of_one in fields.items()}
        # torch decides which field belongs on the device (Adam's step does not, unless fused).
        groups = self.torch.state_dict()["param_groups"]
        self.torch.load_state_dict({"state": states, "param_groups": groups})


def check_optimizer(key: str, config: OptimizerConfig) -> None:
    """Check the names and arguments of an optimiser and its schedule, on a parameter of no use.

    Raises:
        ConfigError: If torch has none of that name, or it takes no such argument.
    """
    where = f"optimizers.{key}"
    built = _optimizer(where, [{"params": [nn.Parameter(torch.zeros(1, 1))]}], config)
    schedule = _schedule(where, built, resolved_schedule(config, total_steps=config.warmup + 3))
    if schedule is not None:
        try:
            with warnings.catch_warnings(action="ignore"):
                for _ in range(config.warmup + 2):
                    schedule.step()
        except (ArithmeticError, ValueError, TypeError) as error:
            raise ConfigError(f"{where}.schedule: {type(error).__name__}: {error}") from error


def check_rates(key: str, rates: Iterable[str], task: nn.Module, trained: Collection[int]) -> None:
    """Check that an optimiser trains something of every name that has a factor of its own.

    Args:
        key: The optimiser's name among the run's.
        rates: Names of submodules or parameters.
        task: Whose they are.
        trained: The ids of the parameters that the optimiser trains.

    Raises:
        ConfigError: If the task has no such name, or the optimiser trains nothing of it.
    """
    names = list(rates)
    check_names(f"optimizers.{key}.rates", task, names, parameters=True)
    for name in names:
        if not any(
            id(p) in trained and f"{n}.".startswith(f"{name}.")
            for n, p in task.named_parameters(remove_duplicate=False)
        ):
            raise ConfigError(f"optimizers.{key}.rates: this optimiser trains nothing of {name}")


def resolved_schedule(config: OptimizerConfig, total_steps: int) -> OptimizerConfig:
    """Return the configuration with each `auto` of the schedule as a number of steps."""
    if config.schedule is None:
        return config
    rest = max(1, total_steps - config.warmup)
    given = {k: rest if v == "auto" else v for k, v in config.schedule.parameters.items()}
    schedule = ComponentConfig(name=config.schedule.name, **given)
    return config.model_copy(update={"schedule": schedule})


def _by_factor(
    parameters: Mapping[str, nn.Parameter], rates: Mapping[str, float]
) -> dict[float, dict[str, nn.Parameter]]:
    """Return the parameters by the factors of their learning rates."""
    groups: dict[float, dict[str, nn.Parameter]] = {}
    for name, parameter in parameters.items():
        groups.setdefault(of_longest_name(name, rates, 1.0), {})[name] = parameter
    return groups


def _optimizer(
    where: str, groups: list[dict[str, Any]], config: OptimizerConfig
) -> torch.optim.Optimizer:
    target = _named(where, torch.optim, torch.optim.Optimizer, config.name)
    injected: dict[str, Any] = {"params": groups}
    parameters = [p for group in groups for p in group["params"]]
    if (
        config.name in _FUSED
        and not config.parameters.get("dampening")  # see `_begin_late_momentum`
        and not _OTHER_KERNELS & config.parameters.keys()
        and all(p.device.type in _FUSED_ON and p.is_floating_point() for p in parameters)
    ):
        injected["fused"] = True
    built: torch.optim.Optimizer = _construct(where, target, injected, config.parameters)
    return built


def _schedule(
    where: str, optimizer: torch.optim.Optimizer, config: OptimizerConfig
) -> lr_scheduler.LRScheduler | None:
    parts: list[lr_scheduler.LRScheduler] = []
    if config.warmup:
        start = 1 / (config.warmup + 1)
        parts.append(lr_scheduler.LinearLR(optimizer, start, total_iters=config.warmup))
    if config.schedule is not None:
        where += ".schedule"
        target = _named(where, lr_scheduler, lr_scheduler.LRScheduler, config.schedule.name)
        parts.append(
            _construct(where, target, {"optimizer": optimizer}, config.schedule.parameters)
        )
    if len(parts) == 2:
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[config.warmup])
    return parts[0] if parts else None


def _construct(
    where: str, target: Any, injected: Mapping[str, Any], given: Mapping[str, Any]
) -> Any:
    checked = check_parameters(where, target, given, injected=injected)
    try:
        return target(**injected, **checked)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: {target.__name__}: {error}") from error


def _named(where: str, module: Any, base: type, name: str) -> Any:
    known = {
        n: v
        for n, v in vars(module).items()
        if isinstance(v, type) and issubclass(v, base) and n.strip("_") not in _BASES
    }
    if name not in known:
        raise ConfigError(f"{where}.name: {module.__name__} has no {name!r}{nearest(name, known)}")
    if name in _UNSUPPORTED:
        raise ConfigError(f"{where}.name: {name} is not supported: {_UNSUPPORTED[name]}")
    return known[name]


def _like(parameter: Tensor, value: Any) -> Any:
    if isinstance(value, Tensor) and value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
    return value

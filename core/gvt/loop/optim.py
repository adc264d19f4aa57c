"""Optimisers and learning rate schedules, of torch or of plugins, by their names."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from gvt.config.named import target_of
from gvt.config.parameters import check_parameters, construct
from gvt.config.schema import ComponentConfig, OptimizerConfig
from gvt.device.placement import Placement
from gvt.device.sharding import clip_gradients, distributed_like, is_sharded
from gvt.errors import ConfigError
from gvt.loop.trainable import Trainable, check_names, of_longest_name
from gvt.task import Task

T = TypeVar("T")

# These need more than one gradient for each step.
_UNSUPPORTED = {
    "LBFGS": "it evaluates the loss several times in a step",
    "ReduceLROnPlateau": "it depends on a metric, but a schedule is a function of the step",
    "SWALR": "it requires a training loop of its own",
}

# torch's errors for operations that have no form for sharded tensors.
_UNSHARDED = ("DTensor", "placement", "sharding strategy")

# torch has one fused kernel for a step of these, also on the CPU, where it took a ninth of the time
# (Adam, 1.9 million parameters).
_FUSED = {"Adam", "AdamW", "SGD"}
_FUSED_ON = {"cpu", "cuda"}
_OTHER_KERNELS = {"fused", "foreach", "capturable", "differentiable"}


class Optimizer:
    """An optimiser with its gradient scaler and its schedule.

    The schedule is a function of the iteration. It has no state to save: resuming steps it
    forward. Parameters are grouped by the factor of their learning rate, and by whether they are
    sharded. A factor is applied during the step only, not to the rate that the schedule computes,
    so it works with every schedule.

    An optimiser of a plugin is built with `params`, a list of such groups: the parameters of each
    are `params`, and their names in the task `param_names`. It may split a group, and has to keep
    its state in tensors and numbers.

    Args:
        key: Name of the optimiser in the run.
        parameters: Parameters to optimise, by their names in the task.
        config: The optimiser and its schedule.
        total_steps: Length of the run, for the `auto` of schedules.
        scaler: The gradient scaler of float16; disabled for other precisions.

    Raises:
        ConfigError: If there is no optimiser or schedule of that name, an argument is wrong, or
            the optimiser has other parameters or mixes groups.
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
        factors = {p: of_longest_name(n, config.rates, 1.0) for n, p in parameters.items()}
        groups: dict[tuple[float, bool], dict[str, nn.Parameter]] = defaultdict(dict)
        for name, parameter in parameters.items():
            groups[factors[parameter], is_sharded(parameter)][name] = parameter
        self.torch = _optimizer(where, list(groups.values()), config)
        # One factor for each group, none for a group without parameters.
        self._factors = [{factors[p] for p in g["params"]} for g in self.torch.param_groups]
        if any(len(of_group) > 1 for of_group in self._factors):
            raise ConfigError(f"{where}: {config.name} mixes the parameters of several groups")
        self._schedule = _schedule(where, self.torch, resolved_schedule(config, total_steps))

    def backward(self, loss: Tensor, *, retain_graph: bool = False) -> None:
        """Accumulate the gradients of a loss."""
        self.scaler.scale(loss).backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]

    def step(self, clip_norm: float | None, clip_value: float | None) -> None:
        """Clip the gradients, and update the parameters that have one.

        Raises:
            ConfigError: If torch cannot do so with sharded parameters.
        """
        if all(p.grad is None for p in self.parameters.values()):
            return
        try:
            self._update(clip_norm, clip_value)
        except (RuntimeError, AttributeError) as error:
            if not any(phrase in str(error) for phrase in _UNSHARDED):
                raise
            what = f"optimizers.{self.key}: {type(self.torch).__name__}"
            message = "cannot update sharded parameters; set train.shard=false"
            raise ConfigError(f"{what} {message}") from error

    def _update(self, clip_norm: float | None, clip_value: float | None) -> None:
        if clip_norm is not None or clip_value is not None:
            self.scaler.unscale_(self.torch)
            clip_gradients(self.parameters.values(), clip_norm, clip_value)
        self._add_late_momentum()
        self._step_at_scaled_rates()
        self.scaler.update()

    def drop_gradients_except(self, trained: Sequence[nn.Parameter]) -> None:
        """Set the gradients of all parameters but these to None."""
        for parameter in {*self.parameters.values()}.difference(trained):
            parameter.grad = None

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        self.torch.zero_grad()

    def advance(self, steps: int = 1) -> None:
        """Advance the schedule by a number of iterations."""
        if self._schedule is not None:
            with warnings.catch_warnings():
                # A phase may skip the first iterations, and resuming steps the schedule alone.
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
                # SequentialLR itself passes the argument that torch deprecates.
                warnings.filterwarnings("ignore", message="The epoch parameter in")
                for _ in range(steps):
                    self._schedule.step()

    def _add_late_momentum(self) -> None:
        """Add momentum to parameters whose first gradient came later than that of others.

        torch's fused SGD requires that all parameters of a group have momentum, or none has.
        Without dampening, zero momentum gives the same first step as none.
        """
        if not isinstance(self.torch, torch.optim.SGD):
            return
        for group in self.torch.param_groups:
            if not (group["fused"] and group["momentum"]):
                continue
            updated = [p for p in group["params"] if p.grad is not None]
            late = [p for p in updated if self.torch.state[p].get("momentum_buffer") is None]
            if len(late) < len(updated):
                for parameter in late:
                    self.torch.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def _step_at_scaled_rates(self) -> None:
        """Update the parameters, each group at the learning rate times its factor."""
        groups = self.torch.param_groups
        rates = [group["lr"] for group in groups]
        for group, factors in zip(groups, self._factors, strict=True):
            group["lr"] *= math.prod(factors)
        try:
            self.scaler.step(self.torch)
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, before the factors of `rates`."""
        return float(self.torch.param_groups[0]["lr"])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors and the plain values of the state, named `<parameter>/<field>`.

        Raises:
            ConfigError: If a value cannot be saved in a checkpoint.
        """
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
                        f"a {type(value).__name__} ({field}), which a checkpoint cannot hold"
                    )
        return tensors, values

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Load a state; each tensor takes the memory format of its parameter."""
        fields: dict[str, dict[str, Any]] = {}
        for full_name, value in {**tensors, **values}.items():
            name, _, field = full_name.rpartition("/")
            fields.setdefault(name, {})[field] = _like(self.parameters[name], value)
        # torch numbers parameters in the order of the groups.
        numbered = [p for group in self.torch.param_groups for p in group["params"]]
        numbers = {parameter: number for number, parameter in enumerate(numbered)}
        states = {numbers[self.parameters[name]]: values for name, values in fields.items()}
        # torch moves fields to the device where needed (Adam's step only if it is fused).
        groups = self.torch.state_dict()["param_groups"]
        self.torch.load_state_dict({"state": states, "param_groups": groups})


def build_optimizers(
    task: Task,
    trainable: Trainable,
    configs: Mapping[str, OptimizerConfig],
    total_steps: int,
    placement: Placement,
) -> dict[str, Optimizer]:
    """Build the optimisers that the phases of a task name.

    Args:
        task: The task.
        trainable: The parameters of the task that are trained, and from which step.
        configs: The configuration of each optimiser.
        total_steps: Length of the run.
        placement: The device, and the precision that decides on gradient scaling.

    Raises:
        ConfigError: If optimisers and phases do not match, or an optimiser has nothing to train.
    """
    trained: dict[str, set[int]] = defaultdict(set)
    active: set[str] = set()
    for phase in task.phases:
        modules, key = (*phase.trained, *phase.keeps_graph), phase.optimizer_key
        check_names(f"phase {phase.name}", task, modules)
        trained[key] |= {id(p) for p in trainable.of(phase.trained, math.inf)}
        if phase.eager and any(map(is_sharded, trainable.of(modules, math.inf))):
            message = "differentiates twice (eager), which sharded networks cannot"
            raise ConfigError(f"phase {phase.name} {message}; set train.shard=false")
        if trainable.of(phase.trained, total_steps - 1):
            active.add(key)
    for key in (*configs, *trained):
        if key not in trained:
            raise ConfigError(f"optimizers.{key}: the task's optimisers are {', '.join(trained)}")
        if key not in configs:
            raise ConfigError(f"optimizers.{key}: is missing; the task needs it")
        if key not in active:
            raise ConfigError(f"optimizers.{key}: everything that it would train is frozen")
        check_rates(key, configs[key].rates, task, trained[key])
    return {
        key: Optimizer(
            key,
            {n: p for n, p in trainable.parameters.items() if id(p) in ids},
            configs[key],
            total_steps,
            torch.amp.GradScaler(placement.device.type, enabled=placement.precision == "float16"),
        )
        for key, ids in trained.items()
    }


def check_optimizer(key: str, config: OptimizerConfig) -> None:
    """Check the names and arguments of an optimiser and its schedule, on a dummy parameter.

    Raises:
        ConfigError: If there is no optimiser or schedule of that name, or an argument is wrong.
    """
    dummy, scaler = {"weight": nn.Parameter(torch.zeros(1, 1))}, torch.amp.GradScaler(enabled=False)
    optimizer = Optimizer(key, dummy, config, config.warmup + 3, scaler)
    try:
        with warnings.catch_warnings(action="ignore"):
            optimizer.advance(config.warmup + 2)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ConfigError(f"optimizers.{key}.schedule: {type(error).__name__}: {error}") from error


def check_rates(key: str, rates: Collection[str], task: nn.Module, trained: set[int]) -> None:
    """Check that an optimiser trains a parameter of every name in its `rates`.

    Args:
        key: Name of the optimiser in the run.
        rates: Names of submodules or parameters of the task.
        task: The task.
        trained: The ids of the parameters that the optimiser trains.

    Raises:
        ConfigError: If the task has no such name, or the optimiser does not train it.
    """
    check_names(f"optimizers.{key}.rates", task, rates, parameters=True)
    for name in rates:
        if not any(
            id(p) in trained and f"{n}.".startswith(f"{name}.")
            for n, p in task.named_parameters(remove_duplicate=False)
        ):
            raise ConfigError(f"optimizers.{key}.rates: this optimiser does not train {name}")


def resolved_schedule(config: OptimizerConfig, total_steps: int) -> OptimizerConfig:
    """Return the configuration with each `auto` of the schedule as a number of steps."""
    if config.schedule is None:
        return config
    rest = max(1, total_steps - config.warmup)
    resolved = {k: rest if v == "auto" else v for k, v in config.schedule.parameters.items()}
    schedule = ComponentConfig(name=config.schedule.name, **resolved)
    return config.model_copy(update={"schedule": schedule})


def _optimizer(
    where: str, groups: Sequence[Mapping[str, nn.Parameter]], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """Build an optimiser of groups of parameters by name.

    Raises:
        ConfigError: If it cannot be built, or has other parameters than these.
    """
    injected: dict[str, Any] = {
        "params": [{"params": list(g.values()), "param_names": list(g)} for g in groups]
    }
    parameters = [p for group in groups for p in group.values()]
    if (
        config.name in _FUSED
        and not config.parameters.get("dampening")  # see `_add_late_momentum`
        and not _OTHER_KERNELS & config.parameters.keys()
        and all(p.device.type in _FUSED_ON and p.is_floating_point() for p in parameters)
        and not any(map(is_sharded, parameters))
    ):
        injected["fused"] = True
    built = _construct(where, "optimizer", torch.optim.Optimizer, config, injected)
    if {p for g in built.param_groups for p in g["params"]} != {*parameters}:
        raise ConfigError(f"{where}: {config.name} has to hold the parameters that it was given")
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
        base, injected = lr_scheduler.LRScheduler, {"optimizer": optimizer}
        parts.append(_construct(where, "schedule", base, config.schedule, injected))
    if len(parts) == 2:
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[config.warmup])
    return parts[0] if parts else None


def _construct(
    where: str, kind: str, base: type[T], config: ComponentConfig, injected: Mapping[str, Any]
) -> T:
    """Build an optimiser or a schedule.

    Raises:
        ConfigError: If there is none of that name, an argument is wrong, or it is not a `base`.
    """
    name = config.name
    try:
        target = target_of(kind, name)
    except ConfigError as error:
        raise ConfigError(f"{where}.name: {error}") from error
    if name in _UNSUPPORTED:
        raise ConfigError(f"{where}.name: {name} is not supported: {_UNSUPPORTED[name]}")
    checked = check_parameters(where, target, config.parameters, injected=injected)
    try:
        built = construct(where, target, {**injected, **checked})
    except AttributeError as error:
        raise ConfigError(f"{where}: {name}: {error}") from error
    if not isinstance(built, base):
        raise ConfigError(f"{where}: {name} built a {type(built).__name__}, not a {base.__name__}")
    return built


def _like(parameter: Tensor, value: Any) -> Any:
    """Return a tensor of a parameter's shape as it is stored, and anything else as it is."""
    if isinstance(value, Tensor) and value.shape == parameter.shape:
        value = distributed_like(parameter, value)
        return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
    return value

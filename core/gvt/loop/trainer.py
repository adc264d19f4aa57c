"""The training loop: one for every task, with the phases of an iteration as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from itertools import islice, takewhile
from typing import Concatenate

import torch
from torch import Tensor

from gvt.batch import Batch
from gvt.checkpoint import file
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import Cadence, EvaluateConfig, OptimizerConfig, TrainConfig
from gvt.data.loading import Loader
from gvt.device.placement import Placement, deterministic_algorithms, explained_memory
from gvt.device.processes import World
from gvt.device.sharding import sharded_modules
from gvt.errors import ConfigError, Interrupted
from gvt.fields import Shown
from gvt.finite import first_infinite, infinite_places, raise_earliest
from gvt.loop.best import note_best, out_of_patience
from gvt.loop.ema import Ema
from gvt.loop.evaluation import Evaluation, evaluate, evaluating
from gvt.loop.joint import JointLosses
from gvt.loop.listener import Event, Listener, P, Run, unless_asked_again
from gvt.loop.losses import LossBuffer, mean_losses
from gvt.loop.norms import explained_norms
from gvt.loop.optim import build_optimizers
from gvt.loop.remedy import advising
from gvt.loop.signals import StopRequest, stop_requests
from gvt.loop.state import capture
from gvt.loop.supervision import Supervision
from gvt.loop.trainable import Trainable
from gvt.seeding import derive, random_source, seed_everything
from gvt.task import Phase, Step, Task
from gvt_registry import hookspecs, nearest

EXAMPLES = 64
"""Number of held-out samples that tasks show in their pictures."""


class Trainer:
    """Train a task.

    The trainer owns zero_grad, backward, accumulation, precision, clipping, optimiser steps,
    schedules, the moving average, evaluation, checkpoints and the transfer of tensors. The task
    owns the modules and their losses.

    All processes of a run call the methods of the trainer, and with it those of the task. Only the
    first one has listeners and writes files.

    Args:
        task: The task to train.
        loader: The training batches.
        optimizers: The configuration of each optimiser that the task's phases name.
        train: Settings of the loop.
        placement: Device, precision and memory format; chosen for this machine by default.
        evaluation: Splits to evaluate, and how often.
        open_split: Function that returns the batches of a held-out split, given its name.
        world: The processes of the run.
        listeners: Listeners that are called with each event of the run.
        checkpoints: Folder for checkpoints, which the first process writes; None saves none.
        classes: Names of the classes, for metrics with a value for each class.

    Raises:
        ConfigError: If optimisers and phases, or averaged modules and submodules, do not match.
    """

    def __init__(
        self,
        task: Task,
        loader: Loader,
        optimizers: Mapping[str, OptimizerConfig],
        train: TrainConfig,
        placement: Placement | None = None,
        *,
        evaluation: EvaluateConfig | None = None,
        open_split: Callable[[str], Iterable[Batch]] | None = None,
        world: World | None = None,
        listeners: Sequence[Listener] = (),
        checkpoints: CheckpointFolder | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        self.task, self.loader, self.train = task, loader, train
        self.placement, self.world = placement or Placement.resolve(), world or World()
        self.evaluation = evaluation or EvaluateConfig()
        self.open_split, self.listeners = open_split, listeners
        self.checkpoints = checkpoints if self.world.is_first else None
        if (train.accumulate, train.seed) != (loader.order.accumulate, loader.order.seed):
            raise ConfigError("train: accumulate and seed differ from those of the loader")
        per_epoch = loader.order.steps_per_epoch
        self.run = Run(task, train.total_steps(per_epoch), per_epoch, loader.order.samples_per_step)
        self.run.loader = loader
        self._losses, self._supervision = LossBuffer(), Supervision(task, self.world)
        self._pictures: dict[str, Tensor | Shown] = {}
        self._examples: Batch | None = None
        self._rehearsed = False
        self.infinite = infinite_places(task)
        self.world.place(task, self.placement, train.shard)
        self._sharded = sharded_modules(task)
        # A batch for a process without a held-out one, which has to call sharded networks, too.
        self._spare = loader.first(1) if self._sharded else None
        self._evaluator = partial(
            evaluate, task, world=self.world, classes=classes, seed=train.seed, spare=self._spare
        )
        self.trainable = Trainable(task, train.unfreeze)
        self.optimizers = build_optimizers(
            task, self.trainable, optimizers, self.run.total_steps, self.placement
        )
        self.ema = None if train.ema is None else Ema(task, train.ema)
        self._averaged = nullcontext if self.ema is None else self.ema.swapped_in

    # --- the loop -----------------------------------------------------------------------------

    def fit(self, *, saves_first: bool = False) -> Run:
        """Train until the run is complete, and return the run.

        Args:
            saves_first: Whether to save a checkpoint before the first step, too.

        Raises:
            Interrupted: After Ctrl-C, SIGTERM or SIGHUP, once the step is finished and saved.
            GvtError: The `run.stop_reason` set by a listener, once the step is finished and saved.
            NonFiniteError: If a loss or a weight is infinite or NaN.
            DataError: If no sample of an epoch has the targets to learn from.
            OutOfMemoryError: If a step does not fit into the device's memory.
        """
        run, placement = self.run, self.placement
        self.task.train()
        memory = explained_memory(placement, self.loader.order.batch_size, self.train.accumulate)
        deterministic = deterministic_algorithms(self.train.deterministic)
        advice = advising(run, self.checkpoints, self.train, placement.precision)
        # Networks that wait for a lost process report it.
        joint = self.world.together() if self._sharded else nullcontext()
        with memory, stop_requests() as stop, self._reporting(stop), advice, deterministic, joint:
            self.rehearse()
            run.stopped_early = out_of_patience(self.evaluation, run)
            self._notify(hookspecs.gvt_run_started)
            if saves_first:
                self.save()
            with closing(self.loader.groups(run.step)) as groups:
                while not run.is_complete:
                    micro_batches = next(groups)
                    seed = derive(self.train.seed, "loop", run.step, self.world.rank)
                    seed_everything(seed, placement.device)
                    self.trainable.set_modes(run.step)
                    with explained_norms(micro_batches):
                        self.task.training_step(self, micro_batches)
                    run.step += 1
                    self._after_step()
                    if self.world.any(stop.made or run.stop_reason is not None):
                        self._stop(" since the terminal was closed" if stop.hung_up else "")
        return run

    def run_phases(self, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration: each phase in turn, over all micro-batches."""
        index, size, device = self.run.step, self.world.size, self.placement.device
        parts, vote = len(micro_batches) * size, self.world.any if self._sharded else None
        of_part = partial(Step, index, seed=self.train.seed, parts=parts, device=device, vote=vote)
        steps = [of_part(part=part) for part in range(self.world.rank, parts, size)]
        for phase in self.task.phases:
            if phase.is_due(index):
                self._run_phase(phase, micro_batches, steps)
        if self.world.is_first and self._draws_at(index + 1):
            self._pictures = steps[0].pictures

    def _run_phase(self, phase: Phase, micro_batches: Sequence[Batch], steps: list[Step]) -> None:
        index, trainable = self.run.step, self.trainable
        trained = trainable.of(phase.trained, index)
        if not trained:
            return  # everything that the phase trains is still frozen
        optimizer = self.optimizers[phase.optimizer_key]
        share = 1 / len(micro_batches)
        trainable.reach((*phase.trained, *phase.keeps_graph), index)
        joint = JointLosses.of(self.task, phase, trainable, index, optimizer)
        optimizer.zero_grad()
        for batch, step in zip(micro_batches, steps, strict=True):
            with self.placement.autocast(phase.precision), self.placement.eager(phase.eager):
                losses = self.task(phase.name, batch, step)
            self._supervision.note(index, losses, batch.targets)
            self.record(phase.name, losses, share)
            if joint is not None:
                joint.backward(losses, share)
            elif terms := (*losses.values(), *step.ties):
                step.ties.clear()
                loss = torch.stack(terms).sum() * share
                if loss.requires_grad or not trainable.is_partial(index):
                    optimizer.backward(loss)
        if phase.keeps_graph:
            optimizer.drop_gradients_except(trained)  # the others only passed gradients on
        self.world.reduce(trained)
        if joint is not None:
            generator = random_source(self.train.seed, "weighting", index)
            self.record(phase.name, joint.finish(self.world, generator))
        optimizer.step(self.train.clip_norm, self.train.clip_value)
        for module in self._sharded:
            module.reshard()  # what a forward pass without a backward pass gathered is old now

    def record(self, phase: str, losses: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Log the losses of a phase.

        Args:
            phase: Name of the phase.
            losses: Scalar losses by name.
            share: Fraction of the iteration that the losses are computed on.
        """
        single = len(self.task.phases) == 1
        named = {n if single or n == phase else f"{phase}/{n}": v for n, v in losses.items()}
        self._losses.add(self.run.step + 1, named, share)

    def _after_step(self) -> None:
        run, train, evaluation = self.run, self.train, self.evaluation
        for optimizer in self.optimizers.values():
            optimizer.advance()
        if self.ema is not None:
            self.ema.update(run.step)
        self._notify(hookspecs.gvt_step_ended, run.step, self._losses.of(run.step))
        if run.step % train.log_every == 0:
            self._read_losses()
        epoch_ended = run.step % run.steps_per_epoch == 0
        if epoch_ended or run.is_complete:
            self._supervision.check(run)
        if epoch_ended:
            self._notify(hookspecs.gvt_epoch_ended, run.epoch)
        is_best = False
        if evaluation.split and self._due(evaluation.every, run.step):
            is_best = note_best(evaluation, run, self._evaluate(evaluation.split))
            run.stopped_early = out_of_patience(evaluation, run)
        final = evaluation.final if run.is_complete else None
        if final and final != evaluation.split:  # the latter is always evaluated at the end
            self._evaluate(final)
        if self._draws_at(run.step):
            self._draw()
        if self._due(train.checkpoint_every, run.step) or is_best:
            self.save(is_best)

    def _stop(self, cause: str) -> None:
        """Save the run and raise the reason why it stops, unless it is complete."""
        if self.run.is_complete:
            return
        if not self._due(self.train.checkpoint_every, self.run.step):
            self.save()
        if not self.world.is_first:
            raise Interrupted(f"process {self.world.rank} stopped with the first one")
        saved = "saved" if self.checkpoints else "not saved, since the run has no folder"
        advice = f"; continue with: {self.run.resume_command}" if self.run.resume_command else ""
        message = f"stopped after step {self.run.step}{cause} and {saved}{advice}"
        if (reason := self.run.stop_reason) is not None:
            raise type(reason)(f"{reason}; {message}", details=reason.details) from reason
        raise Interrupted(message)

    def _draws_at(self, step: int) -> bool:
        return step == 1 or self._due(self.train.pictures_every, step)

    def _due(self, cadence: Cadence, step: int) -> bool:
        every = self.run.steps_per_epoch if cadence == "epoch" else cadence
        is_end = step == self.run.total_steps or (self.run.is_complete and step == self.run.step)
        return is_end or (every is not None and step % every == 0)

    # --- checkpoints, evaluation, pictures ----------------------------------------------------

    def save(self, is_best: bool = False) -> None:
        """Save a checkpoint, after checking that losses and weights are finite.

        All processes call it. The first one has the folder of the checkpoints, and writes.
        """
        self._synchronise()
        if self.world.any(self.checkpoints is not None):
            state = capture(self)
            if self.checkpoints is None:
                file.save(None, state[1], {})
            else:
                self.run.checkpoint = self.checkpoints.save(state, is_best)
                self._notify(hookspecs.gvt_checkpoint_saved, self.run.checkpoint)

    def rehearse(self) -> None:
        """Evaluate one batch of each split, once, so that errors appear before training.

        Raises:
            ConfigError: If the task cannot be evaluated, or `evaluate.best` is not a metric.
        """
        if self._rehearsed:
            return
        self._rehearsed = True
        best, metrics = self.evaluation.best, dict[str, float]()
        for key in ("final", "split"):  # "split" is last, since `best` is one of its metrics
            if (split := getattr(self.evaluation, key)) is not None:
                metrics = self._rehearsed_on(f"evaluate.{key}", split)
        # A loss may be missing here: the first samples of mixed data are all of one part.
        if best is not None and best not in metrics and not best.startswith("loss/"):
            hint = nearest(best, metrics) or f"; there are {', '.join(metrics)}"
            raise ConfigError(f"evaluate.best: no metric is called {best!r}{hint}")

    def _rehearsed_on(self, key: str, split: str) -> dict[str, float]:
        if self.open_split is None:
            raise ConfigError(f"{key}: split {split!r} cannot be opened without open_split")
        try:
            with self.placement.autocast(), deterministic_algorithms(self.train.deterministic):
                first = [*islice(self.open_split(split), 1)]
                if key == "evaluate.split" and (batch := next(iter(first), self._spare)):
                    self._examples = batch.select(torch.arange(min(EXAMPLES, len(batch))))
                return self._evaluator(first, split=split).metrics
        except NotImplementedError as error:
            raise ConfigError(f"{key}: {error}, so it cannot be evaluated") from error

    def _evaluate(self, split: str) -> Evaluation:
        assert self.open_split is not None  # `rehearse` has checked it
        self._synchronise()
        with self._averaged(), self.placement.autocast():
            evaluation = self._evaluator(self.open_split(split), split=split)
        self.run.metrics |= evaluation.named(split)
        self._notify(hookspecs.gvt_evaluated, self.run.step, split, evaluation.metrics, evaluation)
        return evaluation

    def _draw(self) -> None:
        self._synchronise()
        with self._averaged(), evaluating(self.task), self.placement.autocast():
            pictures = self.task.pictures(self.train.seed, self._examples) | self._pictures
        self._pictures = {}  # frees memory on the device
        if pictures:
            shown = {name: Shown.of(value) for name, value in pictures.items()}
            self._notify(hookspecs.gvt_pictures_drawn, self.run.step, shown)

    def _synchronise(self) -> None:
        """Check that the losses are finite, and make buffers the same in all processes."""
        self._read_losses()
        self.world.share(self.task.buffers())

    def _read_losses(self) -> None:
        processes = self.world.gather(self._losses.drain())
        rows = mean_losses(processes)
        if finite := [*takewhile(lambda row: all(map(math.isfinite, row[1].values())), rows)]:
            self.run.learning_rates = {k: o.learning_rate for k, o in self.optimizers.items()}
            self.run.metrics |= {f"train/{n}": v for n, v in finite[-1][1].items()}
            self._notify(hookspecs.gvt_losses_read, finite)
        raise_earliest([*map(first_infinite, processes)])

    # --- listeners ----------------------------------------------------------------------------

    def _notify(
        self, hook: Callable[Concatenate[Run, P], None], *values: P.args, **named: P.kwargs
    ) -> None:
        event = Event.of(hook, self.run, *values, **named)
        for listener in self.listeners:
            listener.hear(event)

    @contextmanager
    def _reporting(self, stop: StopRequest) -> Iterator[None]:
        """Set the outcome of the run at its end, and call every listener, even if one raises.

        The first error of a listener is raised, unless the run has failed.
        """
        error: BaseException | None = None
        try:
            yield
            self.run.outcome = "success"
        except BaseException as caught:
            interrupted = isinstance(caught, KeyboardInterrupt)
            self.run.outcome, error = "interrupt" if interrupted else "failure", caught
            raise
        finally:
            self.trainable.release()
            stop.steps_are_over()
            event = Event.of(hookspecs.gvt_run_ended, self.run, self.run.outcome, error)
            errors = []
            for listener in self.listeners:
                try:
                    with unless_asked_again():
                        listener.hear(event)
                except Exception as listener_error:
                    errors.append(listener_error)
            self.run.loader = None  # it may hold the whole data set
            if errors and error is None:
                raise errors[0]

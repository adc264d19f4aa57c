"""The loop. One for every task, with the phases of an iteration as data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from itertools import islice, takewhile
from typing import Concatenate

import torch
from torch import Tensor

from gvt.batch import Batch
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import Cadence, EvaluateConfig, OptimizerConfig, TrainConfig
from gvt.data.loading import Loader
from gvt.device.placement import Placement, deterministic_algorithms, explained_memory
from gvt.device.processes import World
from gvt.errors import ConfigError, DataError, Interrupted, NonFiniteError
from gvt.finite import first_infinite, infinite_places
from gvt.interfaces import Head, Phase, Step, Task
from gvt.loop.best import note_best, out_of_patience
from gvt.loop.ema import Ema
from gvt.loop.evaluation import Evaluation, evaluate, evaluating
from gvt.loop.listener import Event, Listener, P, Run, unless_asked_again
from gvt.loop.losses import LossBuffer
from gvt.loop.norms import explained_norms
from gvt.loop.optim import Optimizer, check_rates
from gvt.loop.remedy import advising
from gvt.loop.signals import StopRequest, stop_requests
from gvt.loop.state import capture
from gvt.loop.trainable import Trainable, check_names
from gvt.seeding import derive, seed_everything
from gvt_registry import hookspecs, nearest


class Trainer:
    """Trains a task.

    It alone owns zero_grad, backward, accumulation, precision, clipping, stepping, schedules, the
    moving average, evaluation, checkpoints and the moving of tensors; a task owns losses and
    networks.

    Args:
        task: What is learned.
        loader: Training batches.
        optimizers: An optimiser for every name that the task's phases use.
        train: The loop's settings.
        placement: Where and how to compute; whatever suits this machine by default.
        evaluation: What to evaluate when.
        open_split: Opens a pass over a held-out split, by its name.
        world: The processes of this run.
        listeners: Who follows it.
        checkpoints: Where checkpoints go; None for nowhere.
        classes: Names of the data's classes, for metrics that have a value for each.

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
        self.open_split, self.listeners, self.checkpoints = open_split, listeners, checkpoints
        self._classes = classes
        if (train.accumulate, train.seed) != (loader.order.accumulate, loader.order.seed):
            raise ConfigError("train: the loader was opened with another accumulate or seed")
        per_epoch = loader.order.steps_per_epoch
        self.run = Run(task, train.total_steps(per_epoch), per_epoch, loader.order.samples_per_step)
        self.run.loader = loader
        self._losses = LossBuffer()
        self._pictures: dict[str, Tensor] = {}
        self._rehearsed = False
        self._seen: dict[int, set[str]] = {}  # of each step of this epoch its losses
        self._target_keys: set[str] = set()  # those of batches without any loss
        self.trainable = Trainable(task, train.unfreeze)
        self.infinite = infinite_places(task)
        self.placement.place(task)
        self.world.share_tensors(task.state_dict().values())
        self.optimizers = self._build_optimizers(optimizers)
        self.ema = None if train.ema is None else Ema(task, train.ema)

    # --- the loop -----------------------------------------------------------------------------

    def fit(self) -> Run:
        """Train until the run is complete, and return it.

        Raises:
            Interrupted: After a first Ctrl-C, SIGTERM or SIGHUP, when the step is done and saved.
            GvtError: What a listener gave as `run.stop_reason`, likewise.
            NonFiniteError: If a loss or a weight is infinite or NaN.
            DataError: If an epoch had nothing to learn from.
            OutOfMemoryError: If the device's memory does not hold a step.
        """
        run = self.run
        self.task.train()
        order, placement = self.loader.order, self.placement
        memory = explained_memory(placement, order.batch_size, self.train.accumulate)
        deterministic = deterministic_algorithms(self.train.deterministic)
        written = self.checkpoints if self.world.is_first else None
        advice = advising(run, written, self.train, placement.precision)
        with memory, stop_requests() as stop, self._reporting(stop), advice, deterministic:
            self.rehearse()
            run.stopped_early = out_of_patience(self.evaluation, run)
            self._tell(hookspecs.gvt_run_started)
            with closing(self.loader.groups(run.step)) as groups:
                while not run.is_complete:
                    micro_batches = next(groups)
                    seed = derive(self.train.seed, "loop", run.step, self.world.rank)
                    seed_everything(seed, self.placement.device)
                    self.trainable.set_modes(run.step)
                    with explained_norms(micro_batches):
                        self.task.training_step(self, micro_batches)
                    run.step += 1
                    self._after_step()
                    if self.world.any(stop.made or run.stop_reason is not None):
                        self._stop(" since its terminal was closed" if stop.hung_up else "")
        return run

    def run_phases(self, micro_batches: Sequence[Batch]) -> None:
        """Train one iteration: phase by phase, each over all micro-batches."""
        size, count = self.world.size, len(micro_batches)
        steps = [
            Step(
                self.run.step,
                seed=self.train.seed,
                part=index * size + self.world.rank,
                parts=count * size,
                device=self.placement.device,
            )
            for index in range(count)
        ]
        for phase in self.task.phases:
            if phase.is_due(self.run.step):
                self._run_phase(phase, micro_batches, steps)
        if self.world.is_first and self._draws_at(self.run.step + 1):
            self._pictures = steps[0].pictures

    def _run_phase(self, phase: Phase, micro_batches: Sequence[Batch], steps: list[Step]) -> None:
        index, trainable = self.run.step, self.trainable
        trained = trainable.of(phase.trained, index)
        if not trained:
            return  # it is all frozen still
        optimizer = self.optimizers[phase.optimizer_key]
        share = 1 / len(micro_batches)
        trainable.reach((*phase.trained, *phase.keeps_graph), index)
        optimizer.zero_grad()
        for batch, step in zip(micro_batches, steps, strict=True):
            with self.placement.autocast(phase.precision), self.placement.eager(phase.eager):
                losses = self.task(phase.name, batch, step)
            self._seen.setdefault(index, set()).update(losses)
            if losses:
                self.record(phase.name, losses, share)
                loss = torch.stack(tuple(losses.values())).sum() * share
                if loss.requires_grad or not trainable.is_partial(index):
                    optimizer.backward(loss)
            elif batch.targets is not None:
                self._target_keys.update(batch.targets.dense, batch.targets.ragged)
        if phase.keeps_graph:
            optimizer.drop_gradients_except(trained)  # the graph only led through the others
        self.world.average_gradients(trained)
        optimizer.step(self.train.clip_norm, self.train.clip_value)

    def record(self, phase: str, losses: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Log losses of a phase; `share` is the part of the iteration that they stand for."""
        alone = len(self.task.phases) == 1
        names = {n: n if alone or n == phase else f"{phase}/{n}" for n in losses}
        self._losses.add(self.run.step + 1, {names[n]: v for n, v in losses.items()}, share)

    def _after_step(self) -> None:
        run, train, evaluation = self.run, self.train, self.evaluation
        for optimizer in self.optimizers.values():
            optimizer.advance()
        if self.ema is not None:
            self.ema.update(run.step)
        self._tell(hookspecs.gvt_step_ended, run.step, self._losses.of(run.step))
        if run.step % train.log_every == 0:
            self._read_losses()
        epoch_ended = run.step % run.steps_per_epoch == 0
        if epoch_ended or run.is_complete:
            self._check_taught()
        if epoch_ended:
            self._tell(hookspecs.gvt_epoch_ended, run.epoch)
        is_best = False
        if evaluation.split and self._due(evaluation.every, run.step):
            is_best = note_best(evaluation, run, self._evaluate(evaluation.split))
            run.stopped_early = out_of_patience(evaluation, run)
        final = evaluation.final if run.is_complete else None
        if final and final != evaluation.split:  # which is due at the end as well
            self._evaluate(final)
        if self._draws_at(run.step):
            self._draw()
        if self._due(train.checkpoint_every, run.step) or is_best:
            self.save(is_best)

    def _stop(self, why: str) -> None:
        if self.run.is_complete:
            return  # asked too late: it is complete
        if not self._due(self.train.checkpoint_every, self.run.step):
            self.save()
        if not self.world.is_first:
            raise Interrupted(f"process {self.world.rank} stopped with the first one")
        saved = "saved" if self.checkpoints else "not saved, since there is no folder for it"
        how = f"; go on with: {self.run.resume_command}" if self.run.resume_command else ""
        what = f"stopped after step {self.run.step}{why} and {saved}{how}"
        reason = self.run.stop_reason
        if reason is not None:
            raise type(reason)(f"{reason}; {what}", details=reason.details) from reason
        raise Interrupted(what)

    def _check_taught(self) -> None:
        """Check that an epoch, or a run shorter than one, had something to learn from."""
        steps, self._seen = self._seen, {}
        is_epoch = len(steps) >= self.run.steps_per_epoch
        if not is_epoch and len(steps) < self.run.step:
            return  # a resumed run saw the end of it alone, or all was frozen
        seen = set().union(*steps.values())
        silent = self.task.untaught(seen)
        for said in self.task.untaught(()) if is_epoch else ():
            if not self.world.any(said not in silent):
                warnings.warn(said, stacklevel=2)
        if not self.world.any(bool(seen)):
            needs = {key for m in self.task.modules() if isinstance(m, Head) for key in m.needs}
            wanted = "there is no loss"
            if needs:
                keys = ", ".join(sorted(self._target_keys)) or "none"
                wanted = f"the heads need {', '.join(sorted(needs))}; targets of the data: {keys}"
            raise DataError(f"no training sample has all that is learned from: {wanted}")

    def _draws_at(self, step: int) -> bool:
        return step == 1 or self._due(self.train.pictures_every, step)

    def _due(self, cadence: Cadence, step: int) -> bool:
        every = self.run.steps_per_epoch if cadence == "epoch" else cadence
        is_end = step == self.run.total_steps or (self.run.is_complete and step == self.run.step)
        return is_end or (every is not None and step % every == 0)

    # --- what happens every so often ----------------------------------------------------------

    def save(self, is_best: bool = False) -> None:
        """Save a checkpoint, once it is sure that everything in it is finite."""
        self._settle()
        if self.checkpoints is not None and self.world.is_first:
            self.run.checkpoint = self.checkpoints.save(capture(self), is_best)
            self._tell(hookspecs.gvt_checkpoint_saved, self.run.checkpoint)

    def rehearse(self) -> None:
        """Evaluate one batch, once, so that what cannot work fails before anything is learned.

        Raises:
            ConfigError: If the task cannot be evaluated, or has no metric of the wanted name.
        """
        if self._rehearsed:
            return
        self._rehearsed = True
        best, found = self.evaluation.best, dict[str, float]()
        for key in ("final", "split"):  # it is the latter's metrics that the best is one of
            split = getattr(self.evaluation, key)
            if split is not None:
                found = self._rehearsed_on(f"evaluate.{key}", split)
        # Losses are those of the samples at the beginning, which of mixed data are of one part.
        if best is not None and best not in found and not best.startswith("loss/"):
            hint = nearest(best, found) or f"; there are {', '.join(found)}"
            raise ConfigError(f"evaluate.best: no metric is called {best!r}{hint}")

    def _rehearsed_on(self, key: str, split: str) -> dict[str, float]:
        if self.open_split is None:
            raise ConfigError(f"{key}: nothing opens the split {split!r}")
        try:
            with self.placement.autocast(), deterministic_algorithms(self.train.deterministic):
                first = islice(self.open_split(split), 1)
                return evaluate(self.task, first, self.world, self._classes).metrics
        except NotImplementedError as error:
            raise ConfigError(f"{key}: {error}, so it cannot be evaluated") from error

    def _evaluate(self, split: str) -> Evaluation:
        assert self.open_split is not None  # the rehearsal needed it, too
        self._settle()
        with self._averaged(), self.placement.autocast():
            found = evaluate(self.task, self.open_split(split), self.world, self._classes)
        self.run.metrics |= found.named(split)
        self._tell(hookspecs.gvt_evaluated, self.run.step, split, found.metrics, found)
        return found

    def _draw(self) -> None:
        self._settle()
        if self.world.is_first:
            with self._averaged(), evaluating(self.task), self.placement.autocast():
                pictures = self.task.pictures(self.train.seed) | self._pictures
            self._pictures = {}  # of a step that is over, and on the device
            if pictures:
                self._tell(hookspecs.gvt_pictures_drawn, self.run.step, pictures)

    def _settle(self) -> None:
        """Make sure that what follows sees finite losses, and one state in all processes."""
        self._read_losses()
        self.world.share_tensors(self.task.buffers())

    def _read_losses(self) -> None:
        rows = self._losses.drain()
        sound = list(takewhile(lambda row: all(map(math.isfinite, row[1].values())), rows))
        if sound:
            self.run.learning_rates = {k: o.learning_rate for k, o in self.optimizers.items()}
            self.run.metrics |= {f"train/{n}": v for n, v in sound[-1][1].items()}
            self._tell(hookspecs.gvt_losses_read, sound)
        problem = self.world.earliest(first_infinite(rows))
        if problem:
            raise NonFiniteError(problem)

    # --- around it ----------------------------------------------------------------------------

    def _tell(
        self, hook: Callable[Concatenate[Run, P], None], *values: P.args, **named: P.kwargs
    ) -> None:
        event = Event.of(hook, self.run, *values, **named)
        for listener in self.listeners:
            listener.hear(event)

    @contextmanager
    def _reporting(self, stop: StopRequest) -> Iterator[None]:
        """Tell the listeners how the run ended, however it did."""
        error: BaseException | None = None
        try:
            yield
            self.run.outcome = "success"
        except BaseException as caught:
            stopped = isinstance(caught, KeyboardInterrupt)
            self.run.outcome, error = "interrupt" if stopped else "failure", caught
            raise
        finally:
            self.trainable.release()
            stop.steps_are_over()
            self._tell_end(error)

    def _tell_end(self, error: BaseException | None) -> None:
        """Tell every listener, whatever another one raises; the run's own error comes first."""
        event = Event.of(hookspecs.gvt_run_ended, self.run, self.run.outcome, error)
        raised = []
        for listener in self.listeners:
            try:
                with unless_asked_again():
                    listener.hear(event)
            except Exception as trouble:
                raised.append(trouble)
        self.run.loader = None  # which may hold all of the data
        if raised and error is None:
            raise raised[0]

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.ema is None else self.ema.swapped_in()

    def _build_optimizers(self, configs: Mapping[str, OptimizerConfig]) -> dict[str, Optimizer]:
        trained: dict[str, set[int]] = {}
        moved: set[str] = set()
        for phase in self.task.phases:
            modules, key = (*phase.trained, *phase.keeps_graph), phase.optimizer_key
            check_names(f"phase {phase.name}", self.task, modules)
            ids = {id(p) for p in self.trainable.of(phase.trained, math.inf)}
            trained[key] = trained.get(key, set()) | ids
            if self.trainable.of(phase.trained, self.run.total_steps - 1):
                moved.add(key)
        for key in (*configs, *trained):
            if key not in trained:
                raise ConfigError(
                    f"optimizers.{key}: the task's optimisers are {', '.join(trained)}"
                )
            if key not in configs:
                raise ConfigError(f"optimizers.{key}: is missing; the task needs it")
            if key not in moved:
                raise ConfigError(f"optimizers.{key}: everything that it would train is frozen")
            check_rates(key, configs[key].rates, self.task, trained[key])
        half = self.placement.precision == "float16"
        return {
            key: Optimizer(
                key,
                {n: p for n, p in self.trainable.parameters.items() if id(p) in ids},
                configs[key],
                self.run.total_steps,
                torch.amp.GradScaler(self.placement.device.type, enabled=half),
            )
            for key, ids in trained.items()
        }

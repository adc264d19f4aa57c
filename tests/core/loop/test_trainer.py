"""The training loop: phases, optimisers, checks for finite values, evaluation, checkpoints."""

import math
import signal
import weakref

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import EmaConfig
from gvt.loop.state import restore

CPU = gvt.Placement(torch.device("cpu"))


class Points:
    """Sixteen grey 4x4 images, each of one value; its class says whether it is bright."""

    classes = ("dark", "bright")
    image_shape = (1, 4, 4)
    splits = ("train",)

    def __len__(self):
        return 16

    def tensors(self):
        values = torch.arange(0, 256, 16, dtype=torch.uint8)
        images = values.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
        return {"image": images}, {"class": values // 128}

    def record(self, index):
        return gvt.Record(f"point {index}", (4, 4))

    def __getitem__(self, index):
        inputs, targets = self.tensors()
        return gvt.Sample(
            {"image": inputs["image"][index]},
            {"class": targets["class"][index]},
            self.record(index),
        )


class TwoNets(gvt.Task):
    """Two weights that each phase pulls towards 1, and a log of what was called."""

    def __init__(self, *phases):
        super().__init__()
        self.a, self.b = nn.Linear(1, 1), nn.Linear(1, 1)
        self.phases = phases
        self.calls = []
        self.differentiable = []

    def forward(self, phase, batch, step):
        self.calls.append((step.index, phase))
        self.differentiable.append(tuple(p.requires_grad for p in self.parameters()))
        mean = batch.images.mean().view(1, 1)
        out = self.b(self.a(mean)) if phase != "a" else self.a(mean)
        return {phase: (out - 1).square().mean()}


A = gvt.Phase("a", trains="a")
B = gvt.Phase("b", trains="b")
SGD = gvt.OptimizerConfig(name="SGD", lr=0.1)


def trainer(task, optimizers, *, batch_size=4, listeners=(), folder=None, keep=0, **settings):
    train = gvt.TrainConfig(**{"steps": 4, **settings})
    loader = gvt.Loader(Points(), gvt.DataConfig(name="points", batch_size=batch_size), train, CPU)
    checkpoints = CheckpointFolder(folder, keep, {"config": {}}) if folder else None
    return gvt.Trainer(
        task, loader, optimizers, train, CPU, listeners=listeners, checkpoints=checkpoints
    )


class Log(gvt.Listener):
    def __init__(self):
        self.rows, self.events = [], []

    def losses_read(self, run, rows):
        self.rows += rows

    def step_ended(self, run, losses):
        self.events.append(("step", run.step))

    def epoch_ended(self, run):
        self.events.append(("epoch", run.epoch))

    def checkpoint_saved(self, run, path):
        self.events.append(("saved", run.step))

    def run_ended(self, run, error):
        self.events.append((run.outcome, type(error).__name__))


def test_a_phase_runs_in_the_iterations_of_its_cadence():
    every_third = gvt.Phase("b", trains="b", every=3, offset=2)
    task = TwoNets(A, every_third)
    trainer(task, {"a": SGD, "b": SGD}, steps=7).fit()
    assert [i for i, phase in task.calls if phase == "a"] == list(range(7))
    assert [i for i, phase in task.calls if phase == "b"] == [2, 5]


def test_a_phase_moves_only_what_it_trains():
    task = TwoNets(B)
    before = {n: p.clone() for n, p in task.named_parameters()}
    trainer(task, {"b": SGD}).fit()
    moved = {n for n, p in task.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"b.weight", "b.bias"}
    assert all(p.requires_grad for p in task.parameters())


def test_what_the_user_froze_stays_frozen():
    task = TwoNets(A)
    task.a.bias.requires_grad_(False)
    before = task.a.bias.clone()
    trainer(task, {"a": SGD}).fit()
    assert torch.equal(task.a.bias, before)
    assert not task.a.bias.requires_grad


def test_what_a_graph_leads_through_is_not_moved_though_it_shares_the_optimizer():
    task = TwoNets(gvt.Phase("b", trains="b", keeps_graph=("a",), optimizer="both"))
    task.phases += (gvt.Phase("a", trains="a", every=9, offset=8, optimizer="both"),)
    before = task.a.weight.clone()
    trainer(task, {"both": SGD}, steps=2).fit()
    assert torch.equal(task.a.weight, before)


def test_keeps_graph_leaves_the_other_network_differentiable():
    task = TwoNets(gvt.Phase("b", trains="b", keeps_graph=("a",)), A)
    trainer(task, {"a": SGD, "b": SGD}, steps=1).fit()
    assert task.differentiable == [(True,) * 4, (True, True, False, False)]


def test_phases_of_one_optimizer_share_its_state():
    lazy = gvt.Phase("lazy", trains="b", every=2)
    task = TwoNets(B, lazy)
    made = trainer(task, {"b": gvt.OptimizerConfig(name="Adam")}, steps=4)
    made.fit()
    assert list(made.optimizers) == ["b"]
    assert made.optimizers["b"].torch.state[task.b.weight]["step"] == 6


def test_a_batch_without_losses_changes_nothing():
    class Silent(TwoNets):
        def forward(self, phase, batch, step):
            return {} if step.index % 2 else super().forward(phase, batch, step)

    task = Silent(A)
    made = trainer(task, {"a": gvt.OptimizerConfig(name="AdamW", weight_decay=0.5)}, steps=1)
    made.fit()
    after_one = task.a.weight.clone()
    made.run.total_steps = 2
    made.fit()
    assert torch.equal(task.a.weight, after_one)


@pytest.mark.parametrize("steps", [500, 3])
def test_an_epoch_or_a_run_without_losses_is_an_error(steps):
    class Mute(TwoNets):
        def forward(self, phase, batch, step):
            return {}

    made = trainer(Mute(A), {"a": SGD}, steps=steps)
    with pytest.raises(gvt.DataError, match="no training sample has all targets to learn from"):
        made.fit()
    assert made.run.step == min(steps, made.run.steps_per_epoch)


def test_clipping_bounds_the_step():
    for setting, bound in (("clip_norm", 0.01), ("clip_value", 0.02)):
        task = TwoNets(A)
        before = torch.cat([p.detach().flatten().clone() for p in task.a.parameters()])
        trainer(
            task, {"a": gvt.OptimizerConfig(name="SGD", lr=1.0)}, steps=1, **{setting: bound}
        ).fit()
        step = torch.cat([p.detach().flatten() for p in task.a.parameters()]) - before
        size = step.norm() if setting == "clip_norm" else step.abs().max()
        assert size == pytest.approx(bound, rel=1e-3)


def test_the_schedule_warms_up_and_then_follows_torch():
    config = gvt.OptimizerConfig(
        name="SGD", lr=1.0, warmup=2, schedule={"name": "CosineAnnealingLR", "T_max": "auto"}
    )
    made = trainer(TwoNets(A), {"a": config}, steps=6)
    rates = []
    for _ in range(6):
        rates.append(made.optimizers["a"].learning_rate)
        made.optimizers["a"].advance()
    cosine = [0.5 * (1 + math.cos(math.pi * i / 4)) for i in range(4)]
    assert rates == pytest.approx([1 / 3, 2 / 3, *cosine])


def test_winding_a_schedule_forward_equals_stepping_it():
    config = gvt.OptimizerConfig(
        name="SGD", lr=0.3, schedule={"name": "ExponentialLR", "gamma": 0.97}
    )
    one, other = (trainer(TwoNets(A), {"a": config}).optimizers["a"] for _ in range(2))
    for _ in range(50):
        one.advance()
    other.advance(50)
    assert one.learning_rate == other.learning_rate


def test_the_average_follows_and_evaluation_leaves_no_trace():
    task = TwoNets(A)
    made = trainer(task, {"a": SGD}, ema=EmaConfig(decay=0.5, modules=["a"]), steps=1)
    start = task.a.weight.detach().clone()
    made.fit()
    decay = 2 / 11  # of the first step, below the 0.5 asked for
    expected = start * decay + task.a.weight.detach() * (1 - decay)
    torch.testing.assert_close(made.ema.tensors["a.weight"], expected)
    own = task.a.weight.detach().clone()
    with made.ema.swapped_in():
        assert torch.equal(task.a.weight, made.ema.tensors["a.weight"])
    assert torch.equal(task.a.weight, own)


@pytest.mark.parametrize("what", ["loss", "weight"])
def test_what_is_not_finite_stops_the_run_and_is_never_saved(what, tmp_path):
    class Breaking(TwoNets):
        def forward(self, phase, batch, step):
            losses = super().forward(phase, batch, step)
            if step.index != 3:
                return losses
            if what == "loss":
                return {"a": losses["a"] * math.inf}
            return {"a": losses["a"].detach() + self.a.weight.sum() * 0 + _infinite_gradient(self)}

    def _infinite_gradient(task):
        # sqrt has a finite value and an infinite slope at zero.
        return (task.a.weight.sum() * 0).abs().sqrt()

    log = Log()
    made = trainer(
        Breaking(A), {"a": SGD}, steps=9, checkpoint_every=1, folder=tmp_path, listeners=[log]
    )
    expected = "loss 'a' became inf at step 4" if what == "loss" else "not finite after step 4"
    with pytest.raises(gvt.NonFiniteError, match=expected):
        made.fit()
    tensors = load_file(tmp_path / "last.safetensors")
    assert all(t.isfinite().all() for t in tensors.values())
    assert [s for event, s in log.events if event == "saved"] == [1, 2, 3]
    assert log.events[-1] == ("failure", "NonFiniteError")


def test_a_buffer_that_is_infinite_by_design_is_allowed(tmp_path):
    task = TwoNets(A)
    task.register_buffer("mask", torch.tensor([0.0, -math.inf]))
    trainer(task, {"a": SGD}, folder=tmp_path).fit()
    assert load_file(tmp_path / "last.safetensors")["task/mask"][1] == -math.inf


def test_every_listener_hears_of_the_end_and_the_runs_own_error_comes_first():
    class Raising(gvt.Listener):
        def run_ended(self, run, error):
            raise OSError("no space for the plot")

    class Broken(TwoNets):
        def forward(self, phase, batch, step):
            raise RuntimeError("the step itself")

    log = Log()
    with pytest.raises(RuntimeError, match="the step itself"):
        trainer(Broken(A), {"a": SGD}, listeners=[Raising(), log]).fit()
    assert log.events == [("failure", "RuntimeError")]
    log = Log()
    with pytest.raises(OSError, match="no space"):
        trainer(TwoNets(A), {"a": SGD}, steps=1, listeners=[Raising(), log]).fit()
    assert log.events[-1] == ("success", "NoneType")


class Asking(gvt.Listener):
    """Asks to stop: after the step `at` once, and at the end so often."""

    def __init__(self, times, at=0):
        self.times, self.at, self.was_done = times, at, False

    def step_ended(self, run, losses):
        if run.step == self.at:
            signal.raise_signal(signal.SIGINT)

    def run_ended(self, run, error):
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)
        self.was_done = True


def test_asked_once_at_the_end_what_is_drawn_is_finished(capfd):
    asking, log = Asking(times=1), Log()
    made = trainer(TwoNets(A), {"a": SGD}, steps=2, listeners=[asking, log])
    assert made.fit().outcome == "success"
    assert asking.was_done
    assert log.events[-1] == ("success", "NoneType")
    said = capfd.readouterr().err
    assert "training is done" in said
    assert "finishing this step" not in said


def test_asked_twice_at_the_end_the_run_is_as_it_was(tmp_path):
    asking, log = Asking(times=2), Log()
    made = trainer(TwoNets(A), {"a": SGD}, steps=2, folder=tmp_path, listeners=[asking, log])
    with pytest.warns(UserWarning, match="asked once more to stop"):
        run = made.fit()
    assert (run.outcome, run.step) == ("success", 2)
    assert run.checkpoint.exists()
    assert not asking.was_done
    assert log.events[-1] == ("success", "NoneType")


def test_a_second_request_at_the_end_still_reports_how_to_continue(tmp_path, capfd):
    asking, log = Asking(times=1, at=2), Log()
    made = trainer(TwoNets(A), {"a": SGD}, steps=9, folder=tmp_path, listeners=[asking, log])
    made.run.resume_command = "gvt resume here"
    expected = "stopped after step 2 and saved; continue with: gvt resume here"
    with (
        pytest.warns(UserWarning, match="asked once more to stop"),
        pytest.raises(gvt.Interrupted, match=expected),
    ):
        made.fit()
    assert not asking.was_done
    assert log.events[-2:] == [("saved", 2), ("interrupt", "Interrupted")]
    assert "finishing this step" in capfd.readouterr().err


class Judged(TwoNets):
    """One that can be evaluated."""

    def evaluate(self, batch, step):
        return [], {"a": (self.forward("a", batch, gvt.Step(0))["a"], len(batch))}


def evaluated(**evaluate):
    """Train two steps, and return the run with the splits in the order of their evaluation."""
    splits = []

    class Noting(gvt.Listener):
        def evaluated(self, run, split, evaluation):
            splits.append((run.step, split))

    train = gvt.TrainConfig(steps=2)
    loader = gvt.Loader(Points(), gvt.DataConfig(name="points", batch_size=4), train, CPU)
    made = gvt.Trainer(
        *(Judged(A), loader, {"a": SGD}, train, CPU),
        evaluation=gvt.EvaluateConfig(**evaluate),
        open_split=lambda split: loader.held_out(Points()),
        listeners=[Noting()],
    )
    return made.fit(), splits


def test_what_is_due_twice_at_the_end_is_evaluated_once():
    assert evaluated(split="val", every=1, final="val")[1] == [(1, "val"), (2, "val")]
    assert evaluated(split="val", every=5, final="test")[1] == [(2, "val"), (2, "test")]
    assert evaluated(final="test")[1] == [(2, "test")]


def test_an_evaluation_of_the_training_split_is_not_a_training_loss():
    run, _ = evaluated(split="train", final="val")
    assert run.metrics.keys() == {"train/a", "train_eval/loss/a", "val/loss/a"}
    assert run.metrics["train_eval/loss/a"] == run.metrics["val/loss/a"]


def test_pictures_of_a_step_are_held_until_they_are_drawn_and_no_longer():
    offered, held, shown = [], [], []

    class Showing(TwoNets):
        def forward(self, phase, batch, step):
            held.append([ref() is not None for ref in offered])
            step.pictures["seen"] = batch.images[:1].clone()
            offered.append(weakref.ref(step.pictures["seen"]))
            return super().forward(phase, batch, step)

    class Watching(gvt.Listener):
        def step_ended(self, run, losses):
            shown.append(offered[-1]() is not None)

        def pictures_drawn(self, run, pictures):
            shown[-1] = list(pictures)

    trainer(Showing(A), {"a": SGD}, steps=5, pictures_every=3, listeners=[Watching()]).fit()
    assert shown == [["seen"], False, ["seen"], False, ["seen"]]
    assert not any(map(any, held))


@pytest.mark.parametrize("key", ["split", "final"])
def test_what_cannot_be_evaluated_is_said_before_the_first_step(key):
    task = TwoNets(A)
    train = gvt.TrainConfig(steps=3)
    loader = gvt.Loader(Points(), gvt.DataConfig(name="points", batch_size=4), train, CPU)
    evaluation = gvt.EvaluateConfig(**{key: "train"})
    made = gvt.Trainer(
        *(task, loader, {"a": SGD}, train, CPU),
        evaluation=evaluation,
        open_split=lambda split: loader.held_out(Points()),
    )
    with pytest.raises(gvt.ConfigError, match=rf"evaluate\.{key}: TwoNets makes no predictions"):
        made.fit()
    assert task.calls == []


def test_compiling_reaches_every_network_that_is_called():
    class Nested(TwoNets):
        def __init__(self, *phases):
            super().__init__(*phases)
            self.heads = nn.ModuleDict({"one": nn.Linear(1, 1)})

    task = Nested(A)
    gvt.Placement(torch.device("cpu"), compile=True).place(task)
    compiled = {n for n, m in task.named_modules() if m._compiled_call_impl is not None}
    assert compiled == {"a", "b", "heads.one"}


def test_checkpoints_come_every_so_often_and_so_many_are_kept(tmp_path):
    log = Log()
    trainer(
        *(TwoNets(A), {"a": SGD}),
        steps=9,
        checkpoint_every=2,
        keep=2,
        folder=tmp_path,
        listeners=[log],
    ).fit()
    assert [s for event, s in log.events if event == "saved"] == [2, 4, 6, 8, 9]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "last.safetensors",
        "step_00000008.safetensors",
        "step_00000009.safetensors",
    ]
    assert [e for event, e in log.events if event == "epoch"] == [1, 2]


def test_every_step_is_logged_once_in_order():
    log = Log()
    trainer(TwoNets(A, B), {"a": SGD, "b": SGD}, steps=7, log_every=3, listeners=[log]).fit()
    assert [step for step, _ in log.rows] == list(range(1, 8))
    assert all(set(losses) == {"a", "b"} for _, losses in log.rows)


def test_out_of_memory_is_one_line_that_names_what_to_change():
    class Huge(TwoNets):
        def forward(self, phase, batch, step):
            return {"a": torch.empty(1 << 60).sum()}

    with pytest.raises(
        gvt.OutOfMemoryError,
        match=r"batch_size \(now 4\).*accumulate \(now 1\).*precision=bfloat16 \(now float32\)",
    ):
        trainer(Huge(A), {"a": SGD}).fit()


def test_an_algorithm_of_its_own_keeps_the_rest_of_the_loop(tmp_path):
    class Own(TwoNets):
        def training_step(self, trainer, micro_batches):
            with torch.no_grad():
                self.a.weight += 1
            trainer.record("own", {"count": self.a.weight.sum()})

    log, task = Log(), Own(A)
    start = task.a.weight.item()
    trainer(task, {"a": SGD}, folder=tmp_path, listeners=[log]).fit()
    assert task.a.weight.item() == pytest.approx(start + 4)
    assert len(log.rows) == 4
    assert (tmp_path / "last.safetensors").exists()


@pytest.mark.parametrize(
    ("phases", "optimizers", "settings", "says"),
    [
        ((A,), {}, {}, r"optimizers\.a: is missing"),
        ((A,), {"a": SGD, "c": SGD}, {}, r"optimizers\.c: the task's optimisers are a"),
        ((gvt.Phase("x", trains="aa"),), {"aa": SGD}, {}, "no submodule 'aa'"),
        ((A,), {"a": SGD}, {"ema": EmaConfig(modules=["d"])}, r"train\.ema\.modules: .*'d'"),
        ((A,), {"a": gvt.OptimizerConfig(name="Adamm")}, {}, "did you mean 'Adam'"),
        ((A,), {"a": gvt.OptimizerConfig(name="Adam", lr="fast")}, {}, r"optimizers\.a\.lr"),
        ((A,), {"a": gvt.OptimizerConfig(name="Adam", lr=-1.0)}, {}, "Invalid learning rate"),
        ((A,), {"a": gvt.OptimizerConfig(name="Adam", rl=1.0)}, {}, "no parameter 'rl'"),
        ((A,), {"a": gvt.OptimizerConfig(name="LBFGS")}, {}, "LBFGS is not supported"),
        (
            (A,),
            {"a": gvt.OptimizerConfig(name="SGD", schedule={"name": "ReduceLROnPlateau"})},
            {},
            "ReduceLROnPlateau is not supported",
        ),
        (
            (A,),
            {"a": gvt.OptimizerConfig(name="SGD", schedule={"name": "StepLR"})},
            {},
            r"schedule\.step_size: is missing",
        ),
    ],
)
def test_what_does_not_fit_together_is_one_line(phases, optimizers, settings, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        trainer(TwoNets(*phases), optimizers, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(dir(torch.optim)) & {
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam",
    "RMSprop", "Rprop", "SGD",
}))  # fmt: skip
def test_every_optimizer_resumes_bitwise(name, tmp_path):
    def make(steps):
        torch.manual_seed(0)
        config = gvt.OptimizerConfig(name=name, lr=0.01)
        return trainer(TwoNets(A), {"a": config}, steps=steps, folder=tmp_path)

    make(3).fit()
    resumed, undisturbed = make(6), make(6)
    restore(resumed, file.load(tmp_path / "last.safetensors"))
    resumed.fit()
    undisturbed.fit()
    assert resumed.run.step == 6
    for one, other in zip(resumed.task.parameters(), undisturbed.task.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_trains(precision):
    placement = gvt.Placement(torch.device("cpu"), precision=precision)
    log = Log()
    train = gvt.TrainConfig(steps=30)
    loader = gvt.Loader(Points(), gvt.DataConfig(name="points", batch_size=4), train, placement)
    gvt.Trainer(TwoNets(A), loader, {"a": SGD}, train, placement, listeners=[log]).fit()
    assert log.rows[-1][1]["a"] < log.rows[0][1]["a"] / 4


def test_a_phase_may_ask_for_float32():
    seen = {}

    class Watching(TwoNets):
        def forward(self, phase, batch, step):
            seen[phase] = self.a(batch.images.mean().view(1, 1)).dtype
            return super().forward(phase, batch, step)

    placement = gvt.Placement(torch.device("cpu"), precision="bfloat16")
    train = gvt.TrainConfig(steps=1)
    loader = gvt.Loader(Points(), gvt.DataConfig(name="points", batch_size=4), train, placement)
    exact = gvt.Phase("b", trains="b", precision="float32")
    gvt.Trainer(Watching(A, exact), loader, {"a": SGD, "b": SGD}, train, placement).fit()
    assert seen == {"a": torch.bfloat16, "b": torch.float32}


def test_deterministic_algorithms_are_a_switch_that_is_put_back():
    seen = []

    class Watching(TwoNets):
        def forward(self, phase, batch, step):
            seen.append(torch.are_deterministic_algorithms_enabled())
            return super().forward(phase, batch, step)

    trainer(Watching(A), {"a": SGD}, steps=1, deterministic=True).fit()
    assert seen == [True]
    assert not torch.are_deterministic_algorithms_enabled()


class Unreduced(TwoNets):
    """Its loss is one number a pixel."""

    def forward(self, phase, batch, step):
        return {"error": self.a(batch.images.flatten(1)[:, :1])}

    def evaluate(self, batch, step):
        return [], {"error": (self.forward("a", batch, None)["error"], len(batch))}


def test_a_loss_that_is_not_a_single_number_is_one_line():
    with pytest.raises(gvt.ConfigError, match=r"the loss 'error' came as \(4, 1\), .* its mean"):
        trainer(Unreduced(A), {"a": SGD}, steps=1).fit()
    task = Unreduced(A)
    loader = gvt.Loader(
        Points(), gvt.DataConfig(name="points", batch_size=4), gvt.TrainConfig(steps=1), CPU
    )
    with pytest.raises(gvt.ConfigError, match=r"the loss 'error' came as \(4, 1\)"):
        gvt.evaluate(task, loader.held_out(Points()))

"""Checks that several processes run together: `several.py FOLDER CASE...` in each of them.

A case is a function of this module. What it raises is written to `FOLDER/CASE.RANK`, and so is an
empty text if it raises nothing. Settings of torch.distributed are in the environment.
"""

import sys
import traceback
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import EvaluateConfig
from gvt.device.processes import world
from gvt.loop.state import restore

CPU = gvt.Placement(torch.device("cpu"))
MINUTES = 0.5


class Dots:
    """Random 8x8 images of two classes; images 4i and 4i + 1 have `left`, the others `right`."""

    classes = ("dark", "bright")
    image_shape = (1, 8, 8)
    splits = ("train",)

    def __init__(self, count=16):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(index))
        key, value = "left" if index % 4 < 2 else "right", torch.tensor(index // 4 % 2)
        record = gvt.Record(f"dot {index}", (8, 8))
        return gvt.Sample({"image": image}, {"class": value, key: value}, record)


class Net(nn.Module):
    """Two convolutions as blocks, a linear layer, and a scalar."""

    def __init__(self, channels=1, outputs=2):
        super().__init__()
        wide = nn.Sequential(nn.Conv2d(channels, 5, 3, padding=1), nn.ReLU())
        narrow = nn.Sequential(nn.Conv2d(5, 3, 3, padding=1), nn.ReLU())
        self.blocks = nn.Sequential(wide, narrow)
        self.out = nn.Linear(3, outputs)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.out(self.blocks(images).mean((2, 3))) * self.scale


class OwnNet(Net):
    """A network that shards its first block alone."""

    def shard(self, mesh):
        from torch.distributed.fsdp import fully_shard

        fully_shard(self.blocks[0], mesh=mesh)


class Classify(gvt.Task):
    phases = (gvt.Phase("net", trains="net"),)

    def __init__(self, net=Net):
        super().__init__()
        self.net = net()

    def forward(self, phase, batch, step):
        return {"loss": F.cross_entropy(self.net(batch.images), batch.targets.dense["class"])}

    def evaluate(self, batch, step):
        loss = F.cross_entropy(self.net(batch.images), batch.targets.dense["class"])
        return [], {"loss": (loss, len(batch))}


class Fooled(gvt.Task):
    """A generator and a discriminator, whose phases share the fakes of an iteration."""

    def __init__(self, **penalty):
        super().__init__()
        self.generator = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 64))
        self.discriminator = Net(outputs=1)
        self.phases = (
            gvt.Phase("real", "discriminator", keeps_graph=("generator",), **penalty),
            gvt.Phase("fake", "generator", every=2, offset=1),
        )

    def forward(self, phase, batch, step):
        if "fakes" not in step.memo:
            step.memo["fakes"] = self.generator(step.randn(len(batch), 4)).view(-1, 1, 8, 8)
        if phase == "fake":
            return {"fake": F.softplus(-self.discriminator(step.memo["fakes"])).mean()}
        real = self.discriminator(batch.images)
        fake = self.discriminator(step.memo["fakes"].detach())
        return {"real": (F.softplus(-real) + F.softplus(fake)).mean()}

    def pictures(self, seed, examples):
        latents = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed))
        return {"fakes": self.generator(latents).view(-1, 1, 8, 8).sigmoid()}


MAPS = {"fine": (4, 1), "coarse": (6, 2)}


class Maps(gvt.Backbone):
    """A backbone with a coarse map of a fine one."""

    def __init__(self):
        super().__init__()
        self.feature_info = MAPS
        self.fine = nn.ModuleList([nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())])
        self.coarse = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, images):
        fine = self.fine[0](images)
        return {"fine": fine, "coarse": self.coarse(fine)}

    def split(self, stage):
        assert stage == "fine"
        return Fine(self.fine), Coarse(self.coarse)


class Fine(gvt.Backbone):
    """The fine map of `Maps`."""

    def __init__(self, fine):
        super().__init__()
        self.feature_info = {"fine": MAPS["fine"]}
        self.fine = fine

    def forward(self, images):
        return {"fine": self.fine[0](images)}


class Coarse(nn.Module):
    """What follows the fine map in `Maps`."""

    def __init__(self, coarse):
        super().__init__()
        self.coarse = coarse

    def forward(self, maps):
        return {**maps, "coarse": self.coarse(maps["fine"])}


class Side(gvt.Head):
    """A classifier of the images with one of two targets, on one of the maps."""

    def __init__(self, key, of_map):
        super().__init__()
        self.needs, self.of_map = (key,), of_map
        self.out = nn.Linear(MAPS[of_map][0], 2)
        self.temperature = nn.Linear(1, 2)

    def forward(self, features, batch):
        return {"logits": self.out(features[self.of_map].mean((2, 3)))}

    def loss(self, outputs, targets):
        """Return the loss; a head may use its parameters here, too."""
        logits = outputs["logits"] * self.temperature(outputs["logits"].new_ones(1, 1))
        keys = targets.dense | targets.ragged
        return {"side": F.cross_entropy(logits, torch.stack(list(keys[self.needs[0]])))}

    def predict(self, outputs):
        return [{"class": row.argmax(), "scores": row.softmax(0)} for row in outputs["logits"]]


def sides():
    return gvt.MultiHead(
        Maps(),
        {"left": Side("left", "fine"), "right": Side("right", "coarse")},
        weighting=gvt.create("weighting", "uncertainty"),
    )


def adam(**parameters):
    return gvt.OptimizerConfig(name="AdamW", lr=0.01, weight_decay=0.1, **parameters)


def sgd(**parameters):
    return gvt.OptimizerConfig(name="SGD", lr=0.1, momentum=0.9, **parameters)


def trainer(
    processes, build, optimizer, folder=None, *, placement=CPU, held_out=0, listeners=(), **settings
):
    """Return a trainer of a task with the same weights in every call."""
    torch.manual_seed(0)
    task = build()
    config = gvt.TrainConfig(**{"steps": 4, "pictures_every": None, **settings})
    data = gvt.DataConfig(name="dots", batch_size=2, shuffle=False, resident=False, workers=0)
    loader = gvt.Loader(Dots(), data, config, placement, processes)
    checkpoints = None
    if folder is not None and processes.is_first:
        checkpoints = CheckpointFolder(Path(folder), 0, {"config": {}})
    return gvt.Trainer(
        task,
        loader,
        {phase.optimizer_key: optimizer for phase in task.phases},
        config,
        placement,
        evaluation=EvaluateConfig(split="test" if held_out else None),
        open_split=lambda split: loader.held_out(Dots(held_out), 2),
        world=processes,
        listeners=listeners,
        checkpoints=checkpoints,
    )


def last(folder):
    return file.load(Path(folder) / "last.safetensors")[1]


def check_equal(processes, folder, build, optimizer, **settings):
    """Check that training with and without sharding ends with the same state."""
    for shard in (False, True):
        trainer(processes, build, optimizer, folder / str(shard), shard=shard, **settings).fit()
    if processes.is_first:
        whole, sharded = last(folder / "False"), last(folder / "True")
        assert whole.keys() == sharded.keys()
        for name, tensor in whole.items():
            torch.testing.assert_close(sharded[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


class Log(gvt.Listener):
    def __init__(self):
        self.rows, self.sheets, self.saved = [], [], []

    def losses_read(self, run, rows):
        self.rows += rows

    def pictures_drawn(self, run, step, pictures):
        self.sheets.append(pictures)

    def checkpoint_saved(self, run, path):
        self.saved.append(path)


# --- cases ------------------------------------------------------------------------------------


def weights_of_the_first_process_are_distributed(processes, folder):
    torch.manual_seed(processes.rank)
    task = Classify()
    weight = processes.gather(task.net.out.weight.detach())[0]
    processes.place(task, CPU, shard=True)
    assert task.net.out.weight.to_local().shape != weight.shape
    assert torch.equal(task.net.out.weight.full_tensor(), weight)


def averages_and_a_clipped_norm(processes, folder):
    """Adam, the moving average and the norm over all parameters, sharded or not."""
    check_equal(processes, folder, Classify, adam(), clip_norm=0.05, ema={"decay": 0.9})


def accumulation_rates_and_frozen_parts(processes, folder):
    check_equal(
        processes,
        folder,
        Classify,
        sgd(rates={"net.out": 0.5}),
        clip_value=0.02,
        accumulate=2,
        unfreeze={"net.blocks.0": 2},
    )


def a_network_that_shards_itself(processes, folder):
    check_equal(processes, folder, lambda: Classify(OwnNet), adam())
    task = trainer(processes, lambda: Classify(OwnNet), adam(), shard=True).task
    sharded = [n for n, p in task.named_parameters() if hasattr(p, "device_mesh")]
    assert sharded == ["net.blocks.0.0.weight", "net.blocks.0.0.bias"]


def phases_that_share_a_graph(processes, folder):
    check_equal(processes, folder, Fooled, adam(), steps=5)


def heads_whose_targets_one_process_has(processes, folder):
    """Every batch has the targets of one head in each process."""
    check_equal(processes, folder, sides, adam(), held_out=7)
    check_equal(processes, folder / "every", sides, adam(), held_out=7, accumulate=2)


def heads_with_layers_of_their_own(processes, folder):
    """Every batch has the targets of one head in each process, and the heads share some layers."""

    def build():
        heads = {"left": Side("left", "coarse"), "right": Side("right", "coarse")}
        return gvt.MultiHead(Maps(), heads, share="fine")

    check_equal(processes, folder, build, adam(), held_out=7)


def uneven_held_out_batches(processes, folder):
    """Three batches, and one: some processes have fewer, or none."""
    for count in (5, 2):
        losses = [
            trainer(processes, build, adam(), shard=shard, held_out=count).fit().metrics
            for build in (Classify, sides)
            for shard in (False, True)
        ]
        for whole, sharded in (losses[:2], losses[2:]):
            assert whole.keys() == sharded.keys()
            assert any(name.startswith("test/loss/") for name in whole)
            for name, value in whole.items():
                assert abs(value - sharded[name]) < 1e-4, name


def pictures_are_drawn_by_all_and_shown_by_the_first(processes, folder):
    log = Log()
    listeners = (log,) if processes.is_first else ()
    settings = {"shard": True, "pictures_every": 2, "ema": {"decay": 0.5}, "listeners": listeners}
    done = trainer(processes, Fooled, adam(), **settings)
    done.fit()
    assert len(log.sheets) == (3 if processes.is_first else 0)
    if processes.size == 1:
        return
    weight = done.task.generator[1].weight
    assert weight.to_local().shape[0] < weight.shape[0]


def a_penalty_on_a_sharded_network_is_an_error(processes, folder):
    trainer(processes, lambda: Fooled(eager=True), adam())
    try:
        trainer(processes, lambda: Fooled(eager=True), adam(), shard=True)
    except gvt.ConfigError as error:
        assert "phase real differentiates twice (eager), which sharded networks cannot" in str(
            error
        )
    else:
        raise AssertionError("no error")


def an_optimizer_without_sharding_is_an_error(processes, folder):
    half = gvt.Placement(torch.device("cpu"), precision="float16")
    adafactor = gvt.OptimizerConfig(name="Adafactor")
    for optimizer, placement in ((adafactor, CPU), (sgd(), half)):
        run = trainer(processes, Classify, optimizer, shard=True, placement=placement)
        try:
            run.fit()
        except gvt.ConfigError as error:
            assert "cannot update sharded parameters" in str(error)
        else:
            raise AssertionError("no error")


def channels_last_is_an_error(processes, folder):
    placement = gvt.Placement(torch.device("cpu"), memory_format="channels_last")
    try:
        processes.place(Classify(), placement, shard=True)
    except gvt.ConfigError as error:
        assert "train.memory_format=contiguous" in str(error)
    else:
        raise AssertionError("no error")


class Scaled(Classify):
    """A task whose loss depends on the process, and is missing or infinite in one."""

    def __init__(self, rank, broken=None):
        super().__init__()
        self.rank, self.broken = rank, broken

    def forward(self, phase, batch, step):
        loss = super().forward(phase, batch, step)["loss"]
        if self.rank == self.broken and step.index == 2:
            return {"loss": loss * float("nan")}
        return {
            "loss": loss * 0 + self.rank,
            **({"of one": loss * 0 + 7} if self.rank == 1 else {}),
        }


def logged_losses_are_means(processes, folder):
    log = Log()
    trainer(processes, lambda: Scaled(processes.rank), sgd(), listeners=[log]).fit()
    mean = (processes.size - 1) / 2
    assert log.rows == [(step, {"loss": mean, "of one": 7.0}) for step in range(1, 5)]


def a_loss_of_one_process_stops_all(processes, folder):
    log = Log()
    try:
        trainer(
            processes, lambda: Scaled(processes.rank, 1), sgd(), log_every=1, listeners=[log]
        ).fit()
    except gvt.NonFiniteError as error:
        line = f"process 1 of {processes.size}: the loss 'loss' became nan at step 3"
        assert str(error).startswith(line), error
    else:
        raise AssertionError("no error")
    assert [step for step, _ in log.rows] == [1, 2]


def weights_that_are_not_finite_stop_all(processes, folder):
    run = trainer(processes, Classify, sgd(), folder, shard=True)
    with torch.no_grad():
        run.task.net.out.bias.fill_(float("inf") if processes.rank == 1 else 0.0)
    try:
        run.save()
    except gvt.NonFiniteError as error:
        line = f"process 1 of {processes.size}: task/net.out.bias is not finite after step 0"
        assert str(error).startswith(line), error
    else:
        raise AssertionError("no error")
    assert not folder.exists()


def float16_scales_gradients(processes, folder):
    """All parameters of the optimiser are sharded, and all shards have one scale."""

    def flat():
        return Classify(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Linear(3, 2)))

    half = gvt.Placement(torch.device("cpu"), precision="float16")
    check_equal(processes, folder, flat, sgd(), clip_norm=1.0, placement=half)
    if processes.is_first:
        document, _ = file.load(folder / "True" / "last.safetensors")
        assert document["training"]["scalers"]["net"]["_growth_tracker"] > 0


def a_run_without_a_folder_saves_nothing(processes, folder):
    log = Log()
    trainer(processes, Classify, adam(), shard=True, listeners=[log]).fit()
    assert log.saved == []


def a_network_called_by_one_process_is_an_error(processes, folder):
    """The others wait for it, as long as `train.timeout` allows."""
    task = trainer(processes, Classify, adam(), shard=True).task
    try:
        with processes.together():
            if processes.is_first:
                task.net(torch.zeros(2, 1, 8, 8))
            else:
                processes.any(True)
    except gvt.ProcessError as error:
        assert "waited for each other longer" in str(error) or "did not answer" in str(error), error
    else:
        raise AssertionError("no error")


a_network_called_by_one_process_is_an_error.minutes = 0.05


def resumed(processes, folder, steps):
    """Resume the run of a folder with these processes, save at once, and train until a step."""
    run = trainer(processes, Classify, adam(), folder, steps=steps, shard=True, ema={}, clip_norm=1)
    if (folder / "last.safetensors").exists():
        restore(run, file.load(folder / "last.safetensors"))
        run.checkpoints, kept = kept_apart(run.checkpoints, folder / f"at_once_{processes.size}")
        run.save()
        run.checkpoints = kept
    run.fit()


def kept_apart(checkpoints, folder):
    return (
        None if checkpoints is None else CheckpointFolder(folder, 0, {"config": {}})
    ), checkpoints


def two_steps(processes, folder):
    resumed(processes, folder.parent / "resumed", steps=2)


def four_steps(processes, folder):
    resumed(processes, folder.parent / "resumed", steps=4)


def main(folder, *names):
    torch.set_num_threads(1)
    for name in names:
        case = globals()[name]
        with world(getattr(case, "minutes", MINUTES)) as processes:
            try:
                case(processes, Path(folder) / name)
                text = ""
            except Exception:
                text = traceback.format_exc()
            (Path(folder) / f"{name}.{processes.rank}").write_text(text)
            if text:
                raise SystemExit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""GANs whose discriminator also classifies, and generators that draw by class."""

import copy

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import gvt
from gvt.loop.evaluation import evaluate
from gvt.task import Step
from gvt_gan.dcgan import DCGANGenerator
from gvt_gan.task import GAN

SHAPE = (1, 28, 28)
CLASSES = 3
FACTS = {"image_shape": SHAPE, "num_classes": CLASSES}


def generator(conditional=True):
    return gvt.create("generator", "dcgan", **FACTS, latent=5, width=8, conditional=conditional)


def discriminator(heads=("digit",), **parameters):
    """Return one with classifiers of these names, or heads by name."""
    backbone = {"name": "small_cnn", "widths": [4, 6]}
    chosen = heads if isinstance(heads, dict) else {name: {"name": "classifier"} for name in heads}
    parameters = {"backbone": backbone, "heads": chosen, **FACTS, **parameters}
    return gvt.create("discriminator", "on_backbone", **parameters)


@pytest.fixture
def task():
    torch.manual_seed(0)
    return GAN(generator(), discriminator())


def batch(count=6, known=None):
    """Labelled pictures, all of them unless it is said which are; none of them for an empty one."""
    pictures = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(2))
    present = {} if known is None else {"class": torch.tensor(known).bool()}
    targets = gvt.Targets({"class": torch.arange(count) % CLASSES}, present=present)
    frame = gvt.Frame((SHAPE[1:],) * count, SHAPE[1:])
    return gvt.Batch({"image": pictures}, frame, targets=targets if known != [] else None)


def class_loss(task, images, truth):
    """Return the cross entropy of the discriminator's classifier for images in [-1, 1]."""
    judge = task.discriminator
    batch = gvt.Batch.of_images(images / 2 + 0.5)
    logits = judge.heads["digit"](judge.backbone(batch.images), batch)
    return F.cross_entropy(logits, truth)


def test_the_losses_of_both_phases_by_hand(task):
    data, step = batch(), Step(0)
    first = task("discriminator", data, step)
    second = task("generator", data, step)
    fakes, wanted = step.memo["fakes"], step.memo["classes"]["class"]
    reals = data.images * 2 - 1
    expected = {
        "real": F.softplus(-task.discriminator(reals)).mean(),
        "fake": F.softplus(task.discriminator(fakes)).mean(),
        "real/cross_entropy": class_loss(task, reals, data.targets["class"]),
        "fake/cross_entropy": class_loss(task, fakes, wanted),
    }
    assert list(first) == list(expected)
    for name, loss in expected.items():
        torch.testing.assert_close(first[name], loss)
    assert list(second) == ["generator", "cross_entropy"]
    torch.testing.assert_close(second["generator"], F.softplus(-task.discriminator(fakes)).mean())
    torch.testing.assert_close(second["cross_entropy"], expected["fake/cross_entropy"])


def test_the_class_of_fakes_teaches_the_discriminator_and_then_the_generator(task):
    step = Step(0)
    task("discriminator", batch(), step)["fake/cross_entropy"].backward()
    assert all(p.grad is None for p in task.generator.parameters())
    assert all(p.grad.any() for p in task.discriminator.backbone.parameters())
    task("generator", batch(), step)["cross_entropy"].backward()
    assert all(p.grad is not None for p in task.generator.parameters())
    rows = task.generator.embedding.weight.grad.abs().sum(dim=1) > 0
    assert rows.nonzero().flatten().tolist() == step.memo["classes"]["class"].unique().tolist()


def test_fakes_are_of_the_wanted_classes_which_are_drawn_evenly(task):
    step, same = Step(4, seed=3), Step(4, seed=3)
    task("discriminator", batch(150), step)
    z, numbers = same.randn(150, 5), (same.rand(150) * CLASSES).long()
    assert torch.equal(step.memo["classes"]["class"], numbers)
    assert torch.bincount(numbers).min() > 35 and numbers.max() == CLASSES - 1
    with torch.no_grad():
        torch.testing.assert_close(step.memo["fakes"], task.generator(z, numbers))
        given = z * task.generator.embedding.weight[numbers]
        torch.testing.assert_close(step.memo["fakes"], task.generator.layers(given))
        others = task.generator(z, (numbers + 1) % CLASSES)
    assert not torch.allclose(step.memo["fakes"], others)


def test_accumulated_micro_batches_want_the_classes_of_one_large_batch(task):
    whole, parts = Step(2, seed=1), [Step(2, seed=1, part=i, parts=2) for i in range(2)]
    task("discriminator", batch(8), whole)
    for step in parts:
        task("discriminator", batch(4), step)
    wanted = torch.cat([step.memo["classes"]["class"] for step in parts])
    assert torch.equal(wanted, whole.memo["classes"]["class"])


@pytest.mark.parametrize("known", [[], [0] * 6])
def test_reals_without_labels_teach_what_is_real_only(task, known):
    losses = task("discriminator", batch(known=known), Step(0))
    assert list(losses) == ["real", "fake", "fake/cross_entropy"]
    _, held_out = task.eval().evaluate(batch(known=known), gvt.Step(0))
    assert list(held_out) == ["real", "fake", "generator"]


def test_of_reals_some_of_which_are_labelled_only_those_teach_the_class(task):
    known = [1, 0, 0, 1, 1, 0]
    data = batch(known=known)
    loss = task("discriminator", data, Step(0))["real/cross_entropy"]
    there = torch.tensor(known).bool()
    expected = class_loss(task, data.images[there] * 2 - 1, data.targets["class"][there])
    torch.testing.assert_close(loss, expected)


def losses_of(task, data):
    step = Step(0)
    return {*task("discriminator", data, step), *task("generator", data, step)}


NOTHING = "real images: {} learned nothing in a whole epoch: no sample has class"


@pytest.mark.parametrize(
    ("heads", "silent"),
    [
        (("digit",), ["the discriminator"]),
        (("digit", "other"), ["head digit", "head other"]),
        ((), []),
    ],
)
def test_what_no_real_of_an_epoch_taught_the_discriminator_is_said(heads, silent):
    """Though fakes of a wanted class taught it some."""
    torch.manual_seed(0)
    task = GAN(generator(conditional=bool(heads)), discriminator(heads=heads))
    unlabelled = losses_of(task, batch(known=[]))
    assert any(name.startswith("fake/") for name in unlabelled) == bool(heads)
    said = [NOTHING.format(name) for name in silent]
    assert task.untaught(unlabelled) == task.untaught(()) == said
    assert task.untaught(unlabelled | losses_of(task, batch(known=[0, 1] * 3))) == []
    of_the_generator = set(task("generator", batch(), Step(0)))
    assert task.untaught(of_the_generator) == []  # the discriminator was frozen


def test_of_several_further_heads_only_the_silent_ones_are_named():
    torch.manual_seed(0)
    heads = {"digit": {"name": "classifier"}, "genuine": {"name": "realness"}}
    task = GAN(generator(), discriminator(heads=heads))
    (said,) = task.untaught(losses_of(task, batch()))
    assert said == "real images: head genuine learned nothing in a whole epoch: no sample has real"


def test_a_generator_without_classes_learns_nothing_of_them():
    torch.manual_seed(0)
    plain = GAN(generator(conditional=False), discriminator())
    step = Step(0)
    assert list(plain("discriminator", batch(), step)) == ["real", "fake", "real/cross_entropy"]
    assert list(plain("generator", batch(), step)) == ["generator"]
    assert plain.generator.num_classes == 0 and plain.generator.embedding is None


def test_samples_are_of_the_classes_in_turn_whatever_the_count(task):
    with torch.no_grad():
        few, many = task.eval().sample(5, seed=7), task.sample(70, seed=7)
        z = task._latents(5, 7)
        expected = task.generator(z, torch.tensor([0, 1, 2, 0, 1])) / 2 + 0.5
    torch.testing.assert_close(few, expected.clamp(0, 1))
    torch.testing.assert_close(few, many[:5], rtol=0, atol=1e-6)


def test_each_row_of_the_sheet_is_of_one_class(task):
    wide = GAN(task.generator, task.discriminator, sheet=(4, 2)).eval()
    seen = []
    wide.generator.register_forward_hook(lambda _, given, images: seen.append(given[1]))
    with torch.no_grad():
        sheet = wide.pictures(0, None)["samples"]
    assert sheet.shape == (4, 2, *SHAPE)
    assert seen[0].tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    with torch.no_grad():
        third = wide.generator(wide._latents(8, 0)[4:5], torch.tensor([2])) / 2 + 0.5
    torch.testing.assert_close(sheet[2, :1], third.clamp(0, 1))


def test_held_out_reals_are_classified_and_fakes_judged(task):
    data = batch()
    found = evaluate(task.eval(), [data]).metrics
    with torch.no_grad():
        judge = task.discriminator
        logits = judge.heads["digit"](judge.backbone(data.images), data)
        fakes = task.generator(task._latents(6, 0), torch.arange(6) % CLASSES)
        said = judge(fakes)
    truth = data.targets["class"]
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == truth).float().mean().item())
    assert found["loss/cross_entropy"] == pytest.approx(F.cross_entropy(logits, truth).item())
    assert found["loss/generator"] == pytest.approx(F.softplus(-said).mean().item(), rel=1e-5)
    assert set(task.errors(task.predict(data), data.targets.per_image(6))) == {"digit"}


def test_a_discriminator_that_only_judges_makes_no_predictions():
    plain = GAN(generator(conditional=False), discriminator(heads=()))
    assert plain.metric() is None and plain.errors([], []) == {}
    with pytest.raises(NotImplementedError, match="GAN makes no predictions"):
        plain.predict(batch())


def test_anybodys_discriminator_may_tell_more():
    class Mean(gvt.Discriminator):
        tells = ("class",)

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def judge(self, images, targets):
            logits = self.scale * images.mean(dim=(1, 2, 3))
            return logits, {} if targets is None else {"sum": self.scale * targets["class"].sum()}

        def supervised(self):
            return None

    torch.manual_seed(0)
    other, step = GAN(generator(), Mean()), Step(0)
    losses = other("discriminator", batch(), step)
    assert losses["real/sum"] == 6  # 0, 1, 2, 0, 1, 2
    assert losses["fake/sum"] == step.memo["classes"]["class"].sum()
    assert list(other("generator", batch(), step)) == ["generator", "sum"]
    assert other.metric() is None
    assert other.untaught({*losses, "sum"}) == []
    assert other.untaught({"real", "fake", "fake/sum"}) == [NOTHING.format("the discriminator")]


def test_a_copy_does_the_same_whatever_becomes_of_the_original(task):
    before = task("discriminator", batch(), Step(0))
    twin = copy.deepcopy(task)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.zero_()
    assert all(
        torch.equal(v, before[n]) for n, v in twin("discriminator", batch(), Step(0)).items()
    )


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: GAN(generator(), gvt.create("discriminator", "dcgan", image_shape=SHAPE)),
            "is conditional, but the discriminator does not predict classes",
        ),
        (lambda: GAN(generator(), discriminator(heads=())), "is conditional, but"),
        (lambda: GAN(generator(), discriminator(), together=True), "also predicts class"),
        (
            lambda: GAN(generator(), discriminator(), data_range=(0.0, 1.0)),
            r"takes images in \[-1.0, 1.0\], but the data range is \[0.0, 1.0\]; set data\.range=",
        ),
        (
            lambda: DCGANGenerator(SHAPE, conditional=True),
            "the data has no classes",
        ),
        (lambda: generator()(torch.zeros(1, 5)), "needs labels"),
    ],
)
def test_what_does_not_go_together_is_one_line(build, says):
    with pytest.raises(ValueError, match=says) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_a_run_draws_by_class_and_names_pictures(tmp_path):
    run = gvt.run(
        *("gan.mnist_classes", "data.batch_size=4", "train.steps=2", "evaluate={}", "device=cpu"),
        *("generator.width=8", "discriminator.backbone.widths=[4,4]", "train.log_every=1"),
        *("data.classes=[3,5]", "task.sheet=[2,3]", f"run.root={tmp_path}"),
        quiet=True,
    )
    logged = (run.folder / "metrics.jsonl").read_text()
    for name in ("discriminator/real/cross_entropy", "generator/cross_entropy"):
        assert f"train/{name}" in logged
    drawn, task = gvt.sample(run.checkpoint, 4, 1), gvt.load(run.checkpoint)
    with torch.no_grad():
        expected = task.generator(task._latents(4, 1), torch.tensor([0, 1, 0, 1])) / 2 + 0.5
    torch.testing.assert_close(drawn, expected.clamp(0, 1))
    Image.fromarray((drawn[0, 0] * 255).byte().numpy()).save(tmp_path / "digit.png")
    (found,) = gvt.predict(run.checkpoint, tmp_path / "digit.png")
    assert found.prediction["scores"].shape == (2,)


def test_a_run_warns_of_a_head_that_no_picture_teaches(tmp_path):
    for number in range(4):
        Image.new("L", (8, 8), 60 * number).save(tmp_path / f"{number}.png")
    small = {"name": "small_cnn", "widths": [4]}
    judge = {"name": "on_backbone", "backbone": small, "heads": {"genuine": {"name": "realness"}}}
    recipe = gvt.compose("gan.folder").document() | {"discriminator": judge}
    recipe["data"] |= {"root": str(tmp_path), "size": 8, "channels": 1, "batch_size": 2}
    settings = ("train.steps=2", "generator.width=8", "device=cpu", f"run.root={tmp_path / 'runs'}")
    says = "real images: the discriminator learned nothing in a whole epoch: no sample has real"
    with pytest.warns(UserWarning, match=says):
        gvt.run(recipe, *settings, quiet=True)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_deployed_form_is_the_generator_with_images_as_samples_are(conditional):
    task = GAN(generator(conditional), discriminator(), data_range=(-1.0, 1.0)).eval()
    form = task.deployed()
    assert list(form.inputs) == (["latent", "class"] if conditional else ["latent"])
    assert form.outputs == {"image": "image"}
    assert form.shapes == {"latent": task.generator.latent_shape}
    inputs = [task._latents(5, seed=3)]
    inputs += [task._in_turn(5)] if conditional else []
    with torch.no_grad():
        (images,) = form.module(*inputs)
        torch.testing.assert_close(images, task.sample(5, seed=3))
    assert task.predicts() == {"digit": ("class", "scores")}
    assert GAN(generator(False), discriminator(())).predicts() == {}

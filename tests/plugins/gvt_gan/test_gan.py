"""The GAN task and its light networks."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
import gvt.seeding
from gvt.task import Step
from gvt_gan.task import GAN

pytestmark = pytest.mark.usefixtures("drawn")

SHAPE = (1, 28, 28)


@pytest.fixture
def task():
    torch.manual_seed(0)
    return GAN(
        gvt.create("generator", "dcgan", image_shape=SHAPE, width=8),
        gvt.create("discriminator", "dcgan", image_shape=SHAPE, width=8),
    )


def batch(count=6):
    return gvt.Batch.of_images(torch.rand(count, *SHAPE))


class Ramp(gvt.Generator):
    """Images of two pixels, the same two whatever the latent."""

    latent_shape, image_shape = (1,), (1, 1, 2)

    def __init__(self, left, right):
        super().__init__()
        self.pixels = torch.nn.Parameter(torch.tensor([left, right]))

    def forward(self, z, labels=None):
        return self.pixels.expand(len(z), 1, 1, 2)


class Mean(gvt.Discriminator):
    """Twice the mean of an image is its logit."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, images, labels=None):
        return self.scale * images.mean(dim=(1, 2, 3))


def softplus(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 64)])
def test_shapes_and_ranges_are_as_declared(shape):
    generator = gvt.create("generator", "dcgan", image_shape=shape, latent=7)
    images = generator(torch.randn(5, *generator.latent_shape))
    assert images.shape == (5, *shape)
    low, high = generator.image_range
    assert low <= images.min() < images.max() <= high
    logits = gvt.create("discriminator", "dcgan", image_shape=shape)(images)
    assert logits.shape == (5,)


def test_sides_that_cannot_be_halved_twice_are_refused():
    for kind in ("generator", "discriminator"):
        with pytest.raises(gvt.ConfigError, match="divisible by 4"):
            gvt.create(kind, "dcgan", image_shape=(1, 30, 28))


def test_the_fakes_are_drawn_once_and_the_second_phase_goes_on_through_them(task):
    step, calls = Step(0), []
    task.generator.register_forward_hook(lambda *_: calls.append(1))
    discriminator = task("discriminator", batch(), step)
    assert all(p.grad is None for p in task.generator.parameters())
    sum(discriminator.values()).backward()
    assert all(p.grad is None for p in task.generator.parameters())
    task("generator", batch(), step)["generator"].backward()
    assert all(p.grad is not None for p in task.generator.parameters())
    assert len(calls) == 1


def test_the_losses_are_those_of_the_paper(task):
    data, step = batch(), Step(0)
    losses = task("discriminator", data, step) | task("generator", data, step)
    with torch.no_grad():
        fakes = step.memo["fakes"]
        real = task.discriminator(data.images * 2 - 1).sigmoid()
        fake = task.discriminator(fakes).sigmoid()
    torch.testing.assert_close(losses["real"], -real.log().mean())
    torch.testing.assert_close(losses["fake"], -(1 - fake).log().mean())
    torch.testing.assert_close(losses["generator"], -fake.log().mean())
    assert losses["generator"].item() == pytest.approx(math.log(2), abs=0.1)  # nothing is learned


def test_reals_are_mapped_to_the_data_range_and_fakes_too(task):
    unit = GAN(task.generator, task.discriminator, data_range=(0.0, 1.0))
    seen = []
    unit.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    data = batch()
    unit("discriminator", data, Step(0))
    assert torch.equal(seen[0], data.images)
    assert 0 <= seen[1].min() < seen[1].max() <= 1


def test_pictures_are_those_of_fixed_latents_and_clamped(task):
    first, again, other = task.pictures(0, None), task.pictures(0, None), task.pictures(1, None)
    assert first["samples"].shape == (8, 8, *SHAPE)
    assert 0 <= first["samples"].min() <= first["samples"].max() <= 1
    assert torch.equal(first["samples"], again["samples"])
    assert not torch.equal(first["samples"], other["samples"])


def test_pictures_are_clamped_to_the_range_of_the_data(task):
    beyond = GAN(Ramp(-1.5, 0.5), Mean(), data_range=(-1.0, 1.0))
    assert beyond.sample(1, 0).flatten().tolist() == [0.0, 0.75]
    above = GAN(Ramp(0.5, 9.0), Mean(), data_range=(0.0, 1.0))  # [-1, 1] is mapped to [0, 1]
    assert above.sample(1, 0).flatten().tolist() == [0.75, 1.0]
    assert above.pictures(0, None)["samples"][7, 7].flatten().tolist() == [0.75, 1.0]
    shown, step = GAN(Ramp(-1.5, 0.5), Mean(), show="training"), Step(0)
    shown("generator", batch(), step)
    assert step.pictures["fakes"].flatten().tolist() == [0.0, 0.75]
    assert step.memo["fakes"][0].flatten().tolist() == [-1.5, 0.5]  # unlike what is learned from


@pytest.mark.parametrize("together", [False, True])
def test_the_losses_are_in_float32_of_whatever_logits(task, together):
    noisy = GAN(
        task.generator,
        task.discriminator,
        **{f"{name}_labels": (0.3, 0.9) for name in ("real", "fake", "generator")},
        together=together,
    )
    seen = []
    noisy.discriminator.register_forward_hook(lambda *call: seen.append(call[2]))
    step, same = Step(0), Step(0)
    with torch.autocast("cpu", torch.bfloat16):
        losses = noisy("discriminator", batch(), step) | noisy("generator", batch(), step)
    same.randn(6, *task.generator.latent_shape)
    labels = [0.3 + (0.9 - 0.3) * same.rand(6) for _ in range(3)]
    logits = torch.cat(seen).split(6)
    assert {part.dtype for part in logits} == {torch.bfloat16}
    for name, part, label in zip(("real", "fake", "generator"), logits, labels, strict=True):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(part.float(), label)
        share = 0.5 if together and name != "generator" else 1.0
        assert losses[name].dtype == torch.float32
        assert torch.equal(losses[name], share * expected)


def test_one_label_is_in_float32_of_whatever_logits():
    soft = GAN(Ramp(0.1, 0.2), Mean(), generator_labels=(0.9, 0.9)).bfloat16()
    loss = soft("generator", batch(), Step(0))["generator"]
    logit = soft.discriminator(soft.generator(torch.zeros(1, 1))).item()
    assert loss.item() == pytest.approx(softplus(logit) - 0.9 * logit, rel=1e-6)


def test_the_generator_learns_every_so_often(task):
    lazy = GAN(task.generator, task.discriminator, critic_steps=3)
    for index, learns in enumerate([False, False, True, False]):
        step = Step(index)
        lazy("discriminator", batch(), step)
        assert step.memo["fakes"].requires_grad is learns
    assert [p.every for p in lazy.phases] == [1, 3]


def test_labels_are_drawn_from_their_ranges_for_each_image(task):
    noisy = GAN(
        task.generator,
        task.discriminator.eval(),
        real_labels=(0.9, 1.0),
        fake_labels=(0.0, 0.1),
        generator_labels=(0.8, 0.9),
    )
    step, same = Step(3, seed=1), Step(3, seed=1)
    data = batch()
    losses = noisy("discriminator", data, step) | noisy("generator", data, step)
    same.randn(6, *task.generator.latent_shape)
    drawn = [0.9 + 0.1 * same.rand(6), 0.1 * same.rand(6), 0.8 + 0.1 * same.rand(6)]
    assert all(labels.unique().numel() == 6 for labels in drawn)
    fakes = step.memo["fakes"]
    of_fakes, of_reals = noisy.discriminator(fakes), noisy.discriminator(data.images * 2 - 1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(losses["real"], expected(of_reals, drawn[0]))
    torch.testing.assert_close(losses["fake"], expected(of_fakes, drawn[1]))
    torch.testing.assert_close(losses["generator"], expected(of_fakes, drawn[2]))


@pytest.mark.parametrize("label", [[-0.1, 1.0], [0.9, 0.1], [0.0, 1.1]])
def test_a_label_that_is_no_range_of_probabilities_is_refused(task, label):
    with pytest.raises(ValueError, match="real_labels"):
        GAN(task.generator, task.discriminator, real_labels=tuple(label))


def test_together_is_one_batch_and_the_mean_over_both(task):
    sizes = []
    task.discriminator.eval().register_forward_hook(lambda _, i, o: sizes.append(len(i[0])))
    together = GAN(task.generator, task.discriminator, together=True)
    data = batch()
    one = together("discriminator", data, Step(0))
    two = task("discriminator", data, Step(0))
    assert sizes == [12, 6, 6]
    for name in ("real", "fake"):
        torch.testing.assert_close(one[name], two[name] / 2)


def test_training_shows_the_first_fake_of_the_iteration_as_it_was(task):
    shown = GAN(task.generator, task.discriminator, data_range=(0.0, 1.0), show="training")
    step = Step(0)
    shown("discriminator", batch(), step)
    before = step.pictures["fakes"].clone()
    assert before.shape == (1, *SHAPE)
    assert torch.equal(before, step.memo["fakes"][:1].detach().clamp(0, 1))
    shown("generator", batch(), step)
    assert torch.equal(step.pictures["fakes"], before)
    assert shown.pictures(0, None) == {}


def test_a_sample_is_the_same_whatever_the_count(task):
    with torch.no_grad():
        few, many = task.eval().sample(3, seed=7), task.sample(70, seed=7)
    assert many.shape == (70, *SHAPE)
    torch.testing.assert_close(few, many[:3], rtol=0, atol=1e-6)
    assert not torch.allclose(many[0], many[1])


def test_held_out_losses_are_of_labels_one_and_zero_and_do_not_change(task):
    noisy = GAN(task.generator, task.discriminator, real_labels=(0.5, 0.6), together=True)
    with torch.no_grad():
        predictions, losses = noisy.eval().evaluate(batch(), gvt.Step(0))
        fakes = noisy.to_data_range(noisy.generator(noisy._latents(6, 0)))
        expected = -noisy.discriminator(fakes).sigmoid().log().mean()
    assert predictions == []
    assert {name: count for name, (_, count) in losses.items()} == dict.fromkeys(losses, 6)
    torch.testing.assert_close(losses["generator"][0], expected)


def test_held_out_losses_by_hand():
    task = GAN(Ramp(0.0, 1.0), Mean(), data_range=(-1.0, 1.0))
    white = gvt.Batch.of_images(torch.ones(3, 1, 1, 2))
    _, losses = task.eval().evaluate(white, gvt.Step(0))
    # A real is 1 everywhere, with a logit of 2; a fake has a mean of 0.5, with a logit of 1.
    expected = {"real": softplus(-2), "fake": softplus(1), "generator": softplus(-1)}
    assert {name: loss.item() for name, (loss, _) in losses.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "parameters", "says"),
    [
        ("generator", {"latent": 0}, "latent: .*greater than 0, not 0"),
        ("generator", {"width": 0}, "width: .*greater than 0, not 0"),
        ("generator", {"width": -8}, "width: .*greater than 0, not -8"),
        ("generator", {"width": 12}, "width 12: should be divisible by 8"),
        ("discriminator", {"width": 0}, "width: .*greater than 0"),
        ("discriminator", {"dropout": 1.0}, "dropout: .*less than 1, not"),
        ("discriminator", {"dropout": -0.1}, "dropout: .*greater than or equal to 0"),
    ],
)
def test_impossible_numbers_are_one_line(kind, parameters, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        gvt.create(kind, "dcgan", image_shape=SHAPE, **parameters)
    assert "\n" not in str(caught.value)


def test_the_pictures_of_training_are_the_fakes_before_the_updates(tmp_path):
    run = gvt.run(
        *("gan.mnist", "data.classes=[5]", "data.batch_size=16", "train.steps=3"),
        *("generator.width=8", "discriminator.width=8", "train.ema=null", "task.show=training"),
        *("train.pictures_every=1", "train.seed=5", f"run.root={tmp_path}"),
        quiet=True,
    )
    assert [p.name for p in sorted((run.folder / "samples").iterdir())] == [
        f"fakes_{step:08d}.png" for step in (1, 2, 3)
    ]
    # The first one is of the networks as they were built, and of the first iteration's latents.
    gvt.seeding.seed_everything(gvt.seeding.derive(5, "networks"))
    generator = gvt.create("generator", "dcgan", image_shape=SHAPE, width=8)
    with torch.no_grad():
        fake = generator(Step(0, seed=5).randn(16, 64))[0]
    pixels = ((fake + 1) / 2).clamp(0, 1).mul(255).round()
    saved = torch.from_numpy(np.array(Image.open(run.folder / "samples" / "fakes_00000001.png")))
    assert (saved[..., 0] - pixels[0]).abs().max() <= 1  # another batch size, another last bit

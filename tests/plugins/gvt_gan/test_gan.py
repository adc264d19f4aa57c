"""The GAN task and its light networks."""

import math

import pytest
import torch

import gvt
from gvt.interfaces import Step
from gvt_gan.task import GAN

SHAPE = (1, 28, 28)


@pytest.fixture
def task():
    torch.manual_seed(0)
    return GAN(
        gvt.create("generator", "dcgan", image_shape=SHAPE, width=8),
        gvt.create("discriminator", "dcgan", image_shape=SHAPE, width=8),
    )


def batch(count=6):
    return gvt.Batch(torch.rand(count, *SHAPE), gvt.Frame(((28, 28),) * count, (28, 28)))


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
    first, again, other = task.pictures(0), task.pictures(0), task.pictures(1)
    assert first["samples"].shape == (64, *SHAPE)
    assert 0 <= first["samples"].min() <= first["samples"].max() <= 1
    assert torch.equal(first["samples"], again["samples"])
    assert not torch.equal(first["samples"], other["samples"])


def test_the_generator_learns_every_so_often(task):
    lazy = GAN(task.generator, task.discriminator, critic_steps=3)
    for index, learns in enumerate([False, False, True, False]):
        step = Step(index)
        lazy("discriminator", batch(), step)
        assert step.memo["fakes"].requires_grad is learns
    assert [p.every for p in lazy.phases] == [1, 3]

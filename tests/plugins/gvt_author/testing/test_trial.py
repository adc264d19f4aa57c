"""Tasks are tried with networks by name: those of their example, or tiny ones."""

import pytest
from torch import nn

import gvt
from gvt_author.testing import Skipped
from gvt_author.testing.stand_ins import TinyBackbone, TinyGenerator
from gvt_author.testing.trial import build
from gvt_registry import default_registry


class Layer(nn.Module):
    """A network for the channels of the images."""

    def __init__(self, image_channels: int = 0, image_shape: tuple[int, ...] = (), size: int = 1):
        super().__init__()
        self.layer = nn.Conv2d(image_shape[0], 2, size)


class Two(gvt.Task):
    """Has two generators and a network."""

    def __init__(
        self,
        g_ab: gvt.Generator,
        g_ba: gvt.Generator,
        layer: nn.Module,
        teacher: gvt.Backbone | None = None,
        pupil: gvt.Backbone | None = None,
    ) -> None:
        super().__init__()
        self.g_ab, self.g_ba, self.layer = g_ab, g_ba, layer
        self.teacher, self.pupil = teacher, pupil


class Explained(Two):
    """Says with which networks it is tried."""

    @staticmethod
    def gvt_example(folder):
        return {"layer": {"name": "layer", "size": 3}, "pupil": {"name": "small_cnn"}}


@pytest.fixture(autouse=True)
def components(monkeypatch):
    monkeypatch.setattr(default_registry(), "_in_code", {})
    gvt.register("network", "layer")(Layer)
    gvt.register("task", "two")(Two)
    gvt.register("task", "explained")(Explained)


def test_a_task_is_built_with_networks_for_the_same_images():
    task = build(default_registry().find("task", "explained"), (1, 16, 16))
    assert isinstance(task.g_ab, TinyGenerator) and task.g_ab is not task.g_ba
    assert task.g_ab.image_shape == (1, 16, 16)
    assert (task.layer.layer.in_channels, task.layer.layer.kernel_size) == (1, (3, 3))
    assert task.teacher is None
    assert task.pupil.feature_info != TinyBackbone((1, 16, 16)).feature_info


def test_a_network_of_no_kind_has_to_be_in_the_example():
    with pytest.raises(Skipped, match="no values to try layer with; return them from a static"):
        build(default_registry().find("task", "two"))

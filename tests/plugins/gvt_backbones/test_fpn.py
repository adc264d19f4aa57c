"""A feature pyramid on any backbone."""

import pytest
import torch

import gvt


def fpn(inner, shape=(3, 67, 93), **parameters):
    torch.manual_seed(0)
    return gvt.create("backbone", "fpn", backbone=inner, image_shape=shape, **parameters)


@pytest.mark.parametrize(
    "inner",
    [
        {"name": "small_cnn", "widths": [4, 8]},
        {"name": "timm", "model": "test_resnet"},
        {"name": "timm", "model": "test_vit"},
    ],
)
def test_maps_keep_names_and_sizes_and_are_equally_wide(inner):
    neck = fpn(inner, channels=16)
    below = neck.backbone.feature_info
    assert neck.feature_info == {name: (16, stride) for name, (_, stride) in below.items()}
    images = torch.rand(2, 3, 67, 93)
    maps, features = neck(images), neck.backbone.eval()(images)
    assert [*maps] == [*below]
    assert all(maps[n].shape == (2, 16, *features[n].shape[2:]) for n in below)


def test_coarse_maps_affect_fine_ones():
    neck = fpn({"name": "timm", "model": "test_resnet"}, channels=8, stages=["stage2", "stage5"])
    features = {n: f.detach() for n, f in neck.backbone(torch.rand(2, 3, 67, 93)).items()}
    features["stage5"].requires_grad_()
    neck.pyramid({n: features[n] for n in neck.names})["stage2"].sum().backward()
    assert features["stage5"].grad.abs().sum() > 0


def test_chosen_stages_and_a_pooled_level():
    inner = {"name": "timm", "model": "test_resnet"}
    neck = fpn(inner, (3, 64, 64), channels=8, stages=["stage5", "stage3"], pool=True)
    assert neck.feature_info == {"stage3": (8, 8), "stage5": (8, 32), "pool": (8, 64)}
    sizes = {name: found.shape[-1] for name, found in neck(torch.rand(1, 3, 64, 64)).items()}
    assert sizes == {"stage3": 8, "stage5": 2, "pool": 1}


@pytest.mark.parametrize("stages", [["stage9"], []])
def test_missing_stages_are_one_line(stages):
    with pytest.raises(gvt.ConfigError, match=r"stages .*: the backbone has stage1, stage2"):
        fpn({"name": "small_cnn"}, stages=stages)

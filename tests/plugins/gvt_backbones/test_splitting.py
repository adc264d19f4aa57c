"""Backbones in two parts: up to one of their maps, and the rest."""

import copy

import pytest
import timm
import torch
from torch import nn

import gvt
from gvt_backbones.splitting import cut, twin

CHAINS = ["test_efficientnet", "test_convnext"]  # the conformance kit tries test_resnet


def backbone_of(name, **parameters):
    torch.manual_seed(0)
    return gvt.create("backbone", name, **parameters)


def assert_equal_parts(backbone, stage, images):
    trunk, rest = backbone.split(stage)
    for training in (True, False):
        for module in (backbone, trunk, rest):
            module.train(training)
        with torch.no_grad():
            torch.manual_seed(0)  # some layers are dropped at random in training
            maps = rest(trunk(images))
            torch.manual_seed(0)
            expected = backbone(images)
        assert list(maps) == list(expected)
        assert all(torch.equal(maps[name], feature) for name, feature in expected.items())
    first, second = {*trunk.parameters()}, {*rest.parameters()}
    assert not first & second
    assert first | second == {*backbone.parameters()}
    return trunk, rest


@pytest.mark.parametrize("model", CHAINS)
def test_models_of_timm_split_at_every_map_of_images_of_odd_sizes(model):
    backbone = backbone_of("timm", model=model)
    for stage in backbone.feature_info:
        trunk, _ = assert_equal_parts(backbone, stage, torch.rand(2, 3, 67, 93))
        assert (
            list(trunk.feature_info.items())
            == list(backbone.feature_info.items())[: len(trunk.feature_info)]
        )


@pytest.mark.slow
def test_a_model_with_channels_last_inside_splits():
    model = "swin_tiny_patch4_window7_224"
    backbone = backbone_of("timm", model=model, image_shape=(3, 70, 90))
    assert_equal_parts(backbone, "stage3", torch.rand(1, 3, 70, 90))


def test_chosen_and_final_maps():
    backbone = backbone_of("timm", model="test_convnext", stages=[1, 4], final=True)
    for stage in ("stage1", "stage4", "final"):
        assert_equal_parts(backbone, stage, torch.rand(1, 3, 50, 70))


def test_both_parts_stay_frozen_as_far_as_the_backbone_is():
    backbone = backbone_of("timm", model="test_resnet", freeze=3)
    trunk, rest = assert_equal_parts(backbone, "stage2", torch.rand(2, 3, 64, 64))
    trunk.train()
    rest = copy.deepcopy(rest).train()
    assert not any(p.requires_grad for p in trunk.parameters())
    network = rest.backbone.network
    assert not any(module.training for module in network.layer2.modules())
    assert all(module.training for module in network.layer3.modules())
    assert {p.requires_grad for p in network.layer3.parameters()} == {True}


def test_a_transformer_of_tokens_is_refused_in_one_line_and_splits_at_its_last_map():
    backbone = backbone_of("timm", model="test_vit", image_shape=(3, 32, 32), stages=[2, 6])
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(
        NotImplementedError, match=r"test_vit cannot be split at stage2, .*at stage6"
    ) as caught:
        backbone.split("stage2")
    assert "\n" not in str(caught.value)
    assert backbone.training
    assert all(torch.equal(t, before[n]) for n, t in backbone.state_dict().items())
    assert_equal_parts(backbone, "stage6", torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("small_cnn", {"image_shape": (3, 37, 45), "widths": [4, 4, 4]}),
        ("unet_encoder", {"width": 2, "depth": 3}),
        ("unet_encoder", {"width": 2, "depth": 3, "padding": "valid"}),
        ("fpn", {"backbone": {"name": "unet_encoder", "width": 2, "depth": 2}, "channels": 4}),
    ],
)
def test_chains_of_stages_split_at_every_map(name, parameters):
    backbone = backbone_of(name, **parameters)
    for stage in backbone.feature_info:
        assert_equal_parts(backbone, stage, torch.rand(2, 3, 37, 45))


def test_a_pyramid_belongs_to_the_rest_and_splits_below_the_maps_that_it_uses():
    inner = {"name": "unet_encoder", "width": 2, "depth": 2}
    backbone = backbone_of("fpn", backbone=inner, channels=4, stages=["stage3"], pool=True)
    trunk, rest = assert_equal_parts(backbone, "stage2", torch.rand(2, 3, 16, 16))
    assert list(trunk.feature_info) == ["stage1", "stage2"]
    assert list(rest.pyramid.parameters()) == list(backbone.pyramid.parameters())


@pytest.mark.parametrize("name", ["small_cnn", "unet_encoder", "timm", "fpn"])
def test_a_map_that_it_lacks_is_one_line_with_the_nearest(name):
    parameters = {"fpn": {"backbone": {"name": "unet_encoder"}}, "timm": {"model": "test_resnet"}}
    backbone = backbone_of(name, image_shape=(3, 32, 32), **parameters.get(name, {}))
    with pytest.raises(ValueError, match=r"no map 'stag2'; did you mean .*'stage2'"):
        backbone.split("stag2")


def test_a_twin_has_the_same_tensors_in_modules_of_its_own():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    other = twin(module)
    other[1] = nn.Identity()
    assert isinstance(module[1], nn.BatchNorm2d)
    assert other[0].weight is module[0].weight
    assert other[0] is not module[0]
    assert twin(module)[1].running_mean is module[1].running_mean


class Tied(nn.Module):
    """Uses the first layer twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.first(self.second(self.first(x)))


def test_a_layer_that_runs_on_both_sides_is_not_cut():
    network = Tied()
    assert cut(network, "second", lambda: network(torch.rand(1, 2))) is None
    assert cut(network, "third", lambda: network(torch.rand(1, 2))) is None
    assert not network.first._forward_hooks


def test_a_cut_leaves_the_network_as_it_was():
    network = timm.create_model("test_resnet", num_classes=0).eval()
    images = torch.rand(1, 3, 32, 32)
    first, second = cut(network, "layer2", lambda: network(images))
    with torch.no_grad():
        assert torch.equal(second(first.forward_features(images)), network(images))
    assert not any(module._forward_hooks for module in network.modules())

"""Two heads that are trained with each weighting."""

import pytest
import torch

import gvt
from gvt.loop import capture
from gvt_author.testing.stand_ins import TinyBackbone, TinyHead
from gvt_author.testing.training import STEPS, fitted
from gvt_author.testing.trial import SHAPE, Trial

NAMES = ("uncertainty", "famo", "pcgrad", "cagrad", "nash", "aligned")


def trial(name, seed=0, **parameters):
    gvt.seed_everything(seed)
    backbone = TinyBackbone(SHAPE)
    heads = {head: TinyHead(backbone.feature_info) for head in ("one", "other")}
    weighting = gvt.create("weighting", name, **parameters)
    return Trial(
        component := gvt.MultiHead(backbone, heads, {"other": 3.0}, weighting=weighting),
        component,
        SHAPE,
        ("class",),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_ends_with_the_same_bits(name, tmp_path):
    whole = capture(fitted(trial(name), tmp_path))[1]
    middle = tmp_path / f"step_{STEPS // 2:08d}.safetensors"
    halves = capture(fitted(trial(name, seed=1), tmp_path / "again", middle))[1]
    assert whole.keys() == halves.keys()
    assert all(torch.equal(tensor, halves[key]) for key, tensor in whole.items())
    assert all(tensor.isfinite().all() for tensor in whole.values())


def test_each_weighting_trains_the_backbone_in_its_own_way(tmp_path):
    tensors = {}
    for name in ("fixed", *NAMES):
        trainer = fitted(trial(name), tmp_path / name, steps=3)
        tensors[name] = trainer.task.backbone.stages["stage4"].weight
    for name in NAMES:
        others = [tensors[other] for other in tensors if other != name]
        assert not any(torch.equal(tensors[name], other) for other in others)


def test_the_ball_of_cagrad_with_radius_0_is_the_plain_sum(tmp_path):
    plain = fitted(trial("fixed"), tmp_path / "fixed", steps=3).task.state_dict()
    ball = fitted(trial("cagrad", c=0), tmp_path / "cagrad", steps=3).task.state_dict()
    for name, tensor in plain.items():
        torch.testing.assert_close(ball[name], tensor, rtol=1e-4, atol=1e-6)

"""gvt's own heads keep the rule on padding with other parameters than those of the kit."""

from dataclasses import replace

import pytest

import gvt
from gvt_author.testing.padding import padding_reach
from gvt_author.testing.trial import example
from gvt_registry import default_registry

MODES = {"multiclass": 3, "binary": 2, "multilabel": 3}
LOSSES = ("cross_entropy", "dice", "focal", "lovasz")

VARIANTS = [
    ("classifier", {"grid": 2, "hidden": [8]}),
    ("deeplab", {"output_stride": 8}),
    ("fast_rcnn", {"roi": "align"}),
    ("fcos", {"layers": 0}),
    ("fpn", {"finest": 16}),
    ("localise", {"grid": 1, "hidden": [8]}),
    ("ssd", {"extra": 0}),
    ("unet", {"up": "transpose", "norm": "none"}),
    ("unet", {"up": "nearest", "widths": None}),
    ("yolo_grid", {"convolutions": [], "hidden": []}),
    *(
        ("fcn", {"mode": mode, "num_classes": classes, "losses": loss})
        for mode, classes in MODES.items()
        for loss in LOSSES
    ),
]


def test_all_heads_of_ours_declare_how_far_they_see():
    heads = [o for o in default_registry().offers("head") if o.distribution == "gvt"]
    assert heads
    for offer in heads:
        assert hasattr(offer.load(), "padding_reach"), offer.component.name


@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=[f"{n} {p}" for n, p in VARIANTS])
def test_padding_changes_nothing_with_other_parameters_either(name, parameters):
    offer = default_registry().find("head", name)
    target = offer.load()
    given = {**example(target), **parameters}
    if "losses" in given:
        given["losses"] = {"only": gvt.create("loss", given["losses"])}
    variant = type(target.__name__, (target,), {"gvt_example": staticmethod(lambda folder: given)})
    padding_reach(replace(offer, component=replace(offer.component, target=variant)))

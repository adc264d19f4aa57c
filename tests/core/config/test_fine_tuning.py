"""The settings of fine-tuning: valid values and errors."""

import pytest

import gvt

RECIPE = "classify.mnist"


def test_dotted_names_may_be_nested_mappings():
    config = gvt.compose(
        RECIPE,
        [
            "optimizers.model.rates={backbone: 0.1, backbone.stages.stage1: 1}",
            "train.unfreeze={backbone: 20, backbone.stages.stage2: never}",
            "train.unfreeze.heads=0",
        ],
    )
    assert config.optimizers["model"].rates == {"backbone": 0.1, "backbone.stages.stage1": 1.0}
    unfreeze = {"backbone": 20, "backbone.stages.stage2": "never", "heads": 0}
    assert config.train.unfreeze == unfreeze


def test_rates_are_kept_when_another_optimizer_is_named():
    overrides = ["optimizers.model.rates={backbone: 0.1}", "optimizers.model.name=SGD"]
    optimizer = gvt.compose(RECIPE, [*overrides, "optimizers.model.lr=0.1"]).optimizers["model"]
    assert (optimizer.name, optimizer.rates) == ("SGD", {"backbone": 0.1})
    assert optimizer.parameters == {"lr": 0.1}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.unfreeze={backbone: -1}", r"train\.unfreeze\.backbone: .*greater than or equal"),
        ("train.unfreeze={backbone: later}", r"train\.unfreeze\.backbone: .*'never'"),
        ("train.unfreeze.backbone.stages=soon", r"train\.unfreeze\.backbone\.stages: .*'never'"),
        ("train.unfreeze={backbone: {stages: -3}}", r"unfreeze\.backbone\.stages: .*not -3"),
        ("train.unfreeze={heads: {ink: 1}, heads.ink: 2}", r"unfreeze: heads\.ink is given twice"),
        ("optimizers.model.rates={backbone: 0}", r"rates\.backbone: .*greater than 0"),
        ("evaluate.patience=0", r"evaluate\.patience: .*greater than 0"),
        ("evaluate={split: val, patience: 3}", "evaluate: patience needs best"),
        ("data={name: mnist, balance: true, shuffle: false}", "data: balance=true .* shuffle=true"),
    ],
)
def test_an_invalid_value_is_one_line(override, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        gvt.compose(RECIPE, [override])
    assert "\n" not in str(caught.value)

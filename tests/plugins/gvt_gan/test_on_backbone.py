"""Discriminators out of backbones and heads."""

import copy

import pytest
import torch
import torch.nn.functional as F

import gvt
from gvt_author.testing.trial import build, usual_shape
from gvt_gan.on_backbone import OnBackbone
from gvt_gan.realness import Realness
from gvt_registry import default_registry

SHAPE = (1, 28, 28)
CNN = {"name": "small_cnn", "widths": [4, 6]}
DIGIT = {"name": "classifier"}


def discriminator(**parameters):
    torch.manual_seed(0)
    return gvt.create(
        *("discriminator", "on_backbone"),
        **{"backbone": CNN, "image_shape": SHAPE, "num_classes": 3, **parameters},
    )


def images(count=6):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1


BACKBONES = {o.component.name: o for o in default_registry().offers("backbone")}
OF_IMAGES = [name for name, offer in BACKBONES.items() if offer.load().reads == ("image",)]


def test_a_backbone_of_texts_is_refused():
    with pytest.raises(ValueError, match="sees images, and TextCNN reads tokens"):
        OnBackbone(build(BACKBONES["text_cnn"]))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_any_installed_backbone_judges_images(name):
    torch.manual_seed(0)
    offer = default_registry().find("backbone", name)
    judge = OnBackbone(build(offer), data_range=(-1.0, 1.0))
    pictures = (torch.rand(3, *usual_shape(offer)) * 2 - 1).requires_grad_()
    logits = judge(pictures)
    assert logits.shape == (3,)
    F.softplus(-logits).sum().backward()
    assert pictures.grad.isfinite().all() and pictures.grad.any()
    learned = [p.grad for p in judge.backbone.parameters() if p.grad is not None]
    assert any(gradient.any() for gradient in learned)
    assert all(gradient.isfinite().all() for gradient in learned)


@pytest.mark.parametrize(
    ("given", "low", "high"), [({}, -1, 1), ({"data_range": (0.0, 2.0)}, 0, 2)]
)
def test_the_backbone_sees_images_between_0_and_1(given, low, high):
    judge, seen = discriminator(**given), []
    judge.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pictures = torch.full((2, *SHAPE), float(low))
    pictures[1] = high
    judge(pictures)
    assert seen[0][0].unique().tolist() == [0.0] and seen[0][1].unique().tolist() == [1.0]


def test_the_realness_head_may_be_another_one_and_stands_on_the_same_backbone():
    assert discriminator().realness.layer.in_features == 6
    judge = discriminator(realness={"name": "realness", "grid": 5})
    assert isinstance(judge.realness, Realness) and judge.realness.layer.in_features == 6 * 25
    assert judge(images()).shape == (6,)


class Sure(gvt.Head):
    """What it is told to say of any images."""

    def __init__(self, said):
        super().__init__()
        self.said = said

    def forward(self, features, batch):
        return self.said


@pytest.mark.parametrize(
    ("realness", "count", "gives"),
    [
        (DIGIT, 6, r"Classifier returned \(6, 3\) for 6 images, .*\(6,\)"),
        (DIGIT, 3, r"Classifier returned \(3, 3\) for 3 images, .*\(3,\)"),
        (Sure(torch.zeros(6, 1)), 6, r"Sure returned \(6, 1\) for 6 images, .*\(6,\)"),
        (Sure(torch.zeros(5)), 6, r"Sure returned \(5,\) for 6 images, .*\(6,\)"),
        (Sure(torch.zeros(())), 1, r"Sure returned \(\) for 1 images, .*\(1,\)"),
        (Sure({"map": torch.zeros(6)}), 6, r"Sure returned dict for 6 images, .*\(6,\)"),
    ],
)
def test_a_realness_that_gives_anything_but_a_logit_an_image_is_refused(realness, count, gives):
    judge = discriminator(realness=realness)
    with pytest.raises(gvt.ConfigError, match=f"^discriminator.realness: {gives}") as caught:
        judge(images(count))
    assert "\n" not in str(caught.value)


def test_one_pass_of_the_backbone_serves_all_heads():
    judge, passes = discriminator(heads={"digit": DIGIT, "other": DIGIT}), []
    judge.backbone.register_forward_hook(lambda *call: passes.append(1))
    logits, losses = judge.judge(images(), gvt.Targets({"class": torch.arange(6) % 3}))
    assert len(passes) == 1
    assert torch.equal(logits, judge(images()))
    assert set(losses) == {"digit/cross_entropy", "other/cross_entropy"}


def test_a_further_heads_loss_is_its_own_of_what_carries_a_target_and_weighted():
    judge = discriminator(heads={"digit": DIGIT}, weights={"digit": 0.25})
    truth, known = torch.arange(6) % 3, torch.tensor([1, 0, 1, 1, 0, 0]).bool()
    targets = gvt.Targets({"class": truth.masked_fill(~known, 99)}, present={"class": known})
    _, losses = judge.judge(images(), targets)
    batch = gvt.Batch.of_images(images() / 2 + 0.5)
    logits = judge.heads["digit"](judge.backbone(batch.images), batch)
    expected = 0.25 * F.cross_entropy(logits[known], truth[known])
    assert set(losses) == {"cross_entropy"}
    torch.testing.assert_close(losses["cross_entropy"], expected)
    assert judge.tells == ("class",)


def test_images_without_targets_teach_the_further_heads_nothing():
    judge = discriminator(heads={"digit": DIGIT})
    nobody = gvt.Targets({"class": torch.zeros(6).long()}, present={"class": torch.zeros(6).bool()})
    for targets in (None, gvt.Targets({}), nobody):
        assert judge.judge(images(), targets)[1] == {}


def test_a_further_heads_loss_reaches_the_backbone():
    judge = discriminator(heads={"digit": DIGIT})
    _, losses = judge.judge(images(), gvt.Targets({"class": torch.arange(6) % 3}))
    losses["cross_entropy"].backward()
    assert all(p.grad is not None and p.grad.any() for p in judge.backbone.parameters())
    assert all(p.grad is None for p in judge.realness.parameters())


def test_as_a_task_it_predicts_what_the_further_heads_say():
    judge = discriminator(heads={"digit": DIGIT}).eval()
    pictures = images() / 2 + 0.5
    data = gvt.Batch.of_images(pictures)
    found = judge.supervised().predict(data)
    logits = judge.heads["digit"](judge.backbone(pictures), data)
    torch.testing.assert_close(
        torch.stack([p["digit"]["scores"] for p in found]), logits.softmax(1)
    )
    assert discriminator().supervised() is None and discriminator().tells == ()


def test_a_copy_is_one_of_its_own():
    judge = discriminator(heads={"digit": DIGIT})
    targets = gvt.Targets({"class": torch.arange(6) % 3})
    logits, losses = judge.judge(images(), targets)
    twin = copy.deepcopy(judge)
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter.zero_()
    of_twin, losses_of_twin = twin.judge(images(), targets)
    assert torch.equal(of_twin, logits) and not torch.equal(judge(images()), logits)
    assert torch.equal(losses_of_twin["cross_entropy"], losses["cross_entropy"])


def test_compiling_it_compiles_what_judging_calls():
    judge, compiled = discriminator(heads={"digit": DIGIT}), []

    class Part(gvt.Backbone):
        feature_info = judge.backbone.feature_info

        def compile(self, *args, **kwargs):
            compiled.append((self, args, kwargs))

    parts = Part(), Part(), Part()
    judge.backbone, judge.realness, judge.heads["digit"] = parts
    judge.compile(mode="default")
    assert compiled == [(part, (), {"mode": "default"}) for part in parts]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"weights": {"digit": 1.0}}, "weights for digit; the further heads are none"),
        ({"heads": {"digit": DIGIT}, "weights": {"digits": 1.0}}, "weights for digits.*are digit$"),
        (
            {"heads": {"digit": DIGIT}, "weights": {"digit": 0.0}},
            "weights: should be greater than 0, not .*digit",
        ),
        (
            {"heads": {"digit": {"name": "clasifier"}}},
            "heads: no head is called .*did you mean .classifier",
        ),
        ({"realness": {"name": "realness", "grid": 0}}, "realness.*grid.*greater than 0"),
    ],
)
def test_what_does_not_fit_is_one_line(parameters, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        discriminator(**parameters)
    assert "\n" not in str(caught.value)

"""Segmentation losses against the papers' formulas, computed pixel by pixel."""

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt

NAMES = ("cross_entropy", "dice", "focal", "lovasz")
IGNORED = 255
drawn = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**31)


def loss(name, **parameters):
    return gvt.create("loss", name, **parameters)


def numbers(seed, classes=3, ignored=0.25, shape=(2, 3, 4)):
    """Return logits (N, C, H, W) and class numbers (N, H, W), some of them ignored."""
    source = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape[0], classes, *shape[1:], generator=source)
    targets = torch.randint(classes, shape, generator=source)
    targets[torch.rand(shape, generator=source) < ignored] = IGNORED
    return logits, targets


def labels(seed, channels=2, ignored=0.25, shape=(2, 3, 4)):
    """Return logits and targets of 0 and 1, (N, C, H, W) each, some of them ignored."""
    logits, _ = numbers(seed, channels, shape=shape)
    source = torch.Generator().manual_seed(seed + 1)
    targets = torch.randint(2, logits.shape, generator=source).float()
    targets[torch.rand(logits.shape, generator=source) < ignored] = IGNORED
    return logits, targets


DRAWN = {"numbers": numbers, "labels": labels}


def pixels(logits, targets):
    """Return the probabilities and the class of each pixel that counts."""
    chances = logits.double().softmax(1).movedim(1, -1).flatten(0, -2)
    flat = targets.flatten()
    return [(chances[i], int(n)) for i, n in enumerate(flat.tolist()) if n != IGNORED]


def entries(logits, targets, channel):
    """Return the logit of each pixel of a channel that counts, and whether its target is 1."""
    pairs = zip(logits[:, channel].flatten(), targets[:, channel].flatten().tolist(), strict=True)
    return [(x.double(), bool(t)) for x, t in pairs if t != IGNORED]


def mean(values):
    values = [float(v) for v in values]
    return sum(values) / len(values) if values else 0.0


def lovasz(errors, truth):
    """Return the Lovász extension of 1 - IoU: errors in descending order, by their increments."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    wrong, before, total = set(), 0.0, 0.0
    for i in order:
        wrong.add(i)
        positive = {j for j, t in enumerate(truth) if t}
        # Those in `wrong` are mistaken: true ones missed, others taken for true.
        now = 1 - len(positive - wrong) / len(positive | wrong)
        total += max(0.0, float(errors[i])) * (now - before)
        before = now
    return total


@drawn
@given(seeds, st.sampled_from([None, [0.5, 2.0, 3.0]]), st.sampled_from([0.0, 0.3]))
def test_cross_entropy_of_classes(seed, class_weights, smoothing):
    logits, targets = numbers(seed)
    found = loss("cross_entropy", class_weights=class_weights, label_smoothing=smoothing)
    w = class_weights or [1.0] * 3
    total = share = 0.0
    for chances, number in pixels(logits, targets):
        total += (1 - smoothing) * w[number] * -math.log(chances[number])
        total += smoothing / 3 * sum(w[c] * -math.log(chances[c]) for c in range(3))
        share += w[number]
    assert found(logits, targets).item() == pytest.approx(total / max(share, 1e-9), rel=1e-4)


@drawn
@given(seeds, st.sampled_from([None, [0.5, 2.0]]), st.sampled_from([0.0, 0.3]))
def test_cross_entropy_of_labels(seed, class_weights, smoothing):
    logits, targets = labels(seed)
    found = loss("cross_entropy", class_weights=class_weights, label_smoothing=smoothing)
    w = class_weights or [1.0] * 2
    total = share = 0.0
    for channel in range(2):
        for x, t in entries(logits, targets, channel):
            wanted = t * (1 - smoothing) + smoothing / 2
            chance = x.sigmoid()
            total -= w[channel] * float(wanted * chance.log() + (1 - wanted) * (1 - chance).log())
            share += w[channel]
    assert found(logits, targets).item() == pytest.approx(total / max(share, 1e-9), rel=1e-4)


def test_two_weights_for_one_logit_are_of_background_and_foreground():
    logits, targets = labels(0, channels=1)
    found = loss("cross_entropy", class_weights=[1.0, 5.0])(logits, targets)
    both = entries(logits, targets, 0)
    losses = [(1.0, 5.0)[t] * -math.log((x if t else -x).sigmoid()) for x, t in both]
    share = sum((1.0, 5.0)[t] for _, t in both)
    assert found.item() == pytest.approx(sum(losses) / share, rel=1e-4)


@drawn
@given(seeds, st.sampled_from([0.0, 1.0, 10.0]))
def test_dice_of_classes(seed, smooth):
    logits, targets = numbers(seed)
    both = pixels(logits, targets)
    found = []
    for c in range(3):
        if any(n == c for _, n in both):
            shared = sum(float(p[c]) for p, n in both if n == c)
            sizes = sum(float(p[c]) for p, _ in both) + sum(n == c for _, n in both)
            found.append(1 - (2 * shared + smooth) / (sizes + smooth))
    assert loss("dice", smooth=smooth)(logits, targets).item() == pytest.approx(
        mean(found), abs=1e-5
    )


@drawn
@given(seeds)
def test_dice_of_labels(seed):
    logits, targets = labels(seed)
    found = []
    for c in range(2):
        both = [(float(x.sigmoid()), t) for x, t in entries(logits, targets, c)]
        if any(t for _, t in both):
            shared = sum(p for p, t in both if t)
            found.append(1 - (2 * shared + 1) / (sum(p + t for p, t in both) + 1))
    assert loss("dice")(logits, targets).item() == pytest.approx(mean(found), abs=1e-5)


@drawn
@given(seeds, st.sampled_from([1.0, 2.0, 3.5]), st.sampled_from([None, [0.5, 2.0, 3.0]]))
def test_focal_of_classes(seed, gamma, alpha):
    logits, targets = numbers(seed)
    w = alpha or [1.0] * 3
    both = [(float(p[n]), n) for p, n in pixels(logits, targets)]
    expected = mean(w[n] * (1 - p) ** gamma * -math.log(p) for p, n in both)
    found = loss("focal", gamma=gamma, alpha=alpha)(logits, targets)
    assert found.item() == pytest.approx(expected, rel=1e-4)


@drawn
@given(seeds, st.sampled_from([None, 0.25]))
def test_focal_of_labels(seed, alpha):
    logits, targets = labels(seed)
    losses = []
    for x, t in [pair for c in range(2) for pair in entries(logits, targets, c)]:
        chance = float((x if t else -x).sigmoid())
        weight = 1.0 if alpha is None else (alpha if t else 1 - alpha)
        losses.append(weight * (1 - chance) ** 2 * -math.log(chance))
    assert loss("focal", alpha=alpha)(logits, targets).item() == pytest.approx(
        mean(losses), rel=1e-4
    )


@drawn
@given(seeds)
def test_lovasz_of_classes(seed):
    logits, targets = numbers(seed)
    both = pixels(logits, targets)
    found = []
    for c in range(3):
        truth = [n == c for _, n in both]
        if any(truth):
            errors = [
                float(1 - p[c]) if t else float(p[c]) for (p, _), t in zip(both, truth, strict=True)
            ]
            found.append(lovasz(errors, truth))
    assert loss("lovasz")(logits, targets).item() == pytest.approx(mean(found), abs=1e-5)


@drawn
@given(seeds)
def test_lovasz_of_labels(seed):
    logits, targets = labels(seed)
    found = []
    for c in range(2):
        both = entries(logits, targets, c)
        if both:
            found.append(
                lovasz([float(1 - (x if t else -x)) for x, t in both], [t for _, t in both])
            )
    assert loss("lovasz")(logits, targets).item() == pytest.approx(mean(found), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", DRAWN)
class TestEveryLoss:
    @drawn
    @given(seeds)
    def test_what_is_ignored_changes_nothing(self, name, kind, seed):
        logits, targets = DRAWN[kind](seed)
        ignored = targets == IGNORED
        mask = ignored[:, None].expand_as(logits) if kind == "numbers" else ignored
        other = torch.where(mask, torch.randn_like(logits) * 9, logits)
        found = loss(name)
        torch.testing.assert_close(found(other, targets), found(logits, targets))

    @drawn
    @given(seeds)
    def test_the_order_of_pixels_does_not_matter(self, name, kind, seed):
        logits, targets = DRAWN[kind](seed)
        torch.testing.assert_close(
            loss(name)(logits.flip(0, 3), targets.flip(0, -1)), loss(name)(logits, targets)
        )

    def test_it_is_zero_where_all_is_right(self, name, kind):
        _, targets = DRAWN[kind](0)
        if kind == "numbers":
            truth = targets.where(targets != IGNORED, 0)
            logits = 60 * torch.nn.functional.one_hot(truth, 3).movedim(-1, 1).float()
        else:
            logits = 60 * (targets - 0.5)
        assert loss(name)(logits, targets).item() == pytest.approx(0, abs=1e-6)

    def test_nothing_but_ignored_is_zero_with_a_gradient(self, name, kind):
        logits, targets = DRAWN[kind](0)
        logits.requires_grad_(True)
        found = loss(name)(logits, torch.full_like(targets, IGNORED))
        found.backward()
        assert found.item() == 0
        assert torch.equal(logits.grad, torch.zeros_like(logits))

    def test_a_gradient_step_lowers_it(self, name, kind):
        logits, targets = DRAWN[kind](0)
        logits.requires_grad_(True)
        before = loss(name)(logits, targets)
        before.backward()
        assert logits.grad.isfinite().all()
        after = loss(name)(logits - 0.1 * logits.grad / logits.grad.norm(), targets)
        assert after < before

    def test_it_computes_in_float32(self, name, kind):
        logits, targets = DRAWN[kind](0)
        half = logits.bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            found = loss(name)(half, targets)
        assert torch.equal(found, loss(name)(half.float(), targets))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_classes_does_not_matter(name):
    logits, targets = numbers(3)
    for order in permutations(range(3)):
        renamed = torch.tensor([order.index(n) if n != IGNORED else n for n in targets.flatten()])
        found = loss(name)(logits[:, list(order)], renamed.view_as(targets))
        torch.testing.assert_close(found, loss(name)(logits, targets))


@pytest.mark.parametrize(
    ("name", "parameters", "given_", "says"),
    [
        ("cross_entropy", {"class_weights": [1.0, 2.0]}, numbers, "2 weights for 3 classes"),
        ("cross_entropy", {"class_weights": [1.0] * 3}, labels, "3 weights for 2 classes"),
        ("focal", {"alpha": [1.0, 2.0]}, numbers, "alpha: has 2 weights for 3 classes"),
        ("focal", {"alpha": 0.5}, numbers, "alpha: has to be a list"),
        ("focal", {"alpha": [0.5, 0.5]}, labels, "alpha: has to be one number"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(name, parameters, given_, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        loss(name, **parameters)(*given_(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("cross_entropy", {"class_weights": [-1.0, 2.0]}, "greater than or equal to 0"),
        ("cross_entropy", {"label_smoothing": 1.0}, "less than 1"),
        ("dice", {"smooth": -1.0}, "greater than or equal to 0"),
        ("focal", {"gamma": 0.5}, "greater than or equal to 1"),
    ],
)
def test_impossible_parameters_are_one_line(name, parameters, says):
    with pytest.raises(gvt.ConfigError, match=says):
        loss(name, **parameters)

"""Weightings of gradients, compared with the algorithms of the papers on the vectors themselves."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt

NAMES = ("pcgrad", "cagrad", "nash", "aligned")
OPPOSED = [[1.0, 0.0], [-1.0, 0.5]]
"""Two gradients that conflict, with the scalar products 1, -1 and 1.25."""


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def weights_of(name, gradients, seed=0, **parameters):
    weighting = gvt.create("weighting", name, **parameters)
    heads = [f"head{number}" for number in range(len(gradients))]
    for head in heads:
        weighting.add_head(head)
    return weighting.weights(heads, gradients @ gradients.T, generator(seed))


def step_of(name, gradients, seed=0, **parameters):
    """Return the combined gradient, (D,)."""
    return weights_of(name, gradients, seed, **parameters) @ gradients


def drawn(seed, heads, size=6):
    """Return random gradients, some of them longer than others."""
    values = torch.randn(heads, size, generator=generator(seed), dtype=torch.float64)
    return values * torch.logspace(-1, 1, heads, dtype=torch.float64)[:, None]


several = given(seed=st.integers(0, 10_000), heads=st.integers(2, 6))


# --- PCGrad ----------------------------------------------------------------------------------


def projected(gradients, seed):
    """Return the result of algorithm 1 of the paper."""
    source, results = generator(seed), []
    for i, gradient in enumerate(gradients):
        result = gradient.clone()
        for j in torch.randperm(len(gradients), generator=source).tolist():
            if j != i and result @ gradients[j] < 0:
                result -= (result @ gradients[j]) / gradients[j].square().sum() * gradients[j]
        results.append(result)
    return sum(results)


def test_pcgrad_projects_two_opposed_gradients():
    # (1, 0) - (-1 / 1.25) (-1, 0.5) = (0.2, 0.4), and (-1, 0.5) - (-1 / 1) (1, 0) = (0, 0.5)
    assert step_of("pcgrad", tensor(OPPOSED)).tolist() == pytest.approx([0.2, 0.9])
    assert step_of("pcgrad", tensor(OPPOSED[::-1])).tolist() == pytest.approx([0.2, 0.9])


@several
@settings(max_examples=50, deadline=None)
def test_pcgrad_is_the_algorithm_of_the_paper(seed, heads):
    gradients = drawn(seed, heads, size=3)
    torch.testing.assert_close(step_of("pcgrad", gradients, seed), projected(gradients, seed))


def test_pcgrad_without_a_conflict_is_the_sum():
    assert weights_of("pcgrad", drawn(0, 4).abs()).tolist() == [1, 1, 1, 1]


def test_the_order_of_the_projections_is_drawn():
    gradients = drawn(3, 4, size=2)
    steps = {tuple(step_of("pcgrad", gradients, seed).tolist()) for seed in range(8)}
    assert len(steps) > 1
    assert torch.equal(step_of("pcgrad", gradients, 1), step_of("pcgrad", gradients, 1))


# --- CAGrad ----------------------------------------------------------------------------------


def test_cagrad_of_two_opposed_gradients():
    # The mean is (0, 0.25), so that the ball has radius 0.125. The scalar products of (0, 0.25) + u
    # are u[0] and 0.125 - u[0] + u[1] / 2. They are equal on a line, and their largest value in the
    # ball is where u is on the sphere: u[0] = 0.125 cos(a), with
    # 2 cos(a) = 1 + sin(a) / 2.
    angle = min(
        (math.radians(d / 1000) for d in range(90_000)),
        key=lambda a: abs(2 * math.cos(a) - 1 - math.sin(a) / 2),
    )
    best = [0.125 * math.cos(angle), 0.25 + 0.125 * math.sin(angle)]
    step = step_of("cagrad", tensor(OPPOSED), c=0.5) * 1.5 / 2  # to the scale of the paper
    assert step.tolist() == pytest.approx(best, abs=1e-5)


@given(seed=st.integers(0, 10_000), heads=st.integers(2, 8), c=st.sampled_from([0.1, 0.5, 0.9]))
@settings(max_examples=50, deadline=None)
def test_cagrad_is_the_best_step_in_its_ball(seed, heads, c):
    gradients = drawn(seed, heads, size=5)
    weights = weights_of("cagrad", gradients, c=c)
    step = weights @ gradients * (1 + c) / heads
    mean = gradients.mean(dim=0)
    radius = c * mean.norm()
    assert (step - mean).norm() <= radius * (1 + 1e-9)
    # By duality (equation 3 of the paper), no step in the ball is better than this for any w.
    w = weights * (1 + c) - 1
    assert w.min() >= 0
    worst = (w / w.sum()) @ gradients
    bound = worst @ mean + radius * worst.norm()
    best = (gradients @ step).min()
    assert float(best) == pytest.approx(float(bound), abs=1e-7 * float(gradients.norm() ** 2))


@several
@settings(max_examples=20, deadline=None)
def test_cagrad_without_a_ball_is_the_sum_and_so_are_equal_gradients(seed, heads):
    gradients = drawn(seed, heads)
    assert weights_of("cagrad", gradients, c=0).tolist() == [1] * heads
    equal = gradients[:1].repeat(heads, 1)
    torch.testing.assert_close(step_of("cagrad", equal), equal.sum(dim=0))


# --- Nash-MTL --------------------------------------------------------------------------------


def test_nash_gives_orthogonal_gradients_equal_lengths():
    gradients = tensor([[3.0, 0.0], [0.0, 4.0]])
    length = math.sqrt((9 + 16) / 2)
    assert weights_of("nash", gradients).tolist() == pytest.approx([length / 3, length / 4])


def test_nash_of_two_opposed_unit_vectors():
    # With scalar product -1/2 and equal weights b: b - b / 2 = 1 / b.
    gradients = tensor([[1.0, 0.0], [-0.5, math.sqrt(0.75)]])
    assert weights_of("nash", gradients).tolist() == pytest.approx([math.sqrt(2)] * 2)


@several
@settings(max_examples=50, deadline=None)
def test_nash_solves_the_equation_of_the_paper(seed, heads):
    gradients = drawn(seed, heads, size=8)
    weights = weights_of("nash", gradients)
    scale = gradients.square().sum(dim=1).mean().sqrt()
    paper = weights / scale
    assert paper.min() > 0
    torch.testing.assert_close(gradients @ (paper @ gradients), 1 / paper)
    assert float((paper @ gradients).norm()) == pytest.approx(math.sqrt(heads))


def test_the_direction_of_nash_does_not_depend_on_the_scales_of_losses():
    gradients = drawn(1, 3)
    scales = tensor([[1e-6], [1.0], [1e3]])
    one, other = (step_of("nash", g) for g in (gradients, gradients * scales))
    torch.testing.assert_close(one / one.norm(), other / other.norm())


# --- Aligned-MTL -----------------------------------------------------------------------------


def test_aligned_gives_orthogonal_gradients_equal_lengths():
    gradients = tensor([[3.0, 0.0], [0.0, 4.0]])
    length = math.sqrt((9 + 16) / 2)
    assert step_of("aligned", gradients).tolist() == pytest.approx([length, length])


@several
@settings(max_examples=50, deadline=None)
def test_aligned_is_the_sum_of_the_nearest_orthogonal_rows(seed, heads):
    gradients = drawn(seed, heads, size=8)
    left, values, right = torch.linalg.svd(gradients, full_matrices=False)
    expected = values.square().mean().sqrt() * (left @ right).sum(dim=0)
    torch.testing.assert_close(step_of("aligned", gradients), expected)


# --- all of them -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-5, 3.0]), min_size=3, max_size=3),
        min_size=1,
        max_size=7,
    ),
    scales=st.lists(st.sampled_from([1.0, 1e-3, 1e-20, 1e20]), min_size=7, max_size=7),
)
@settings(max_examples=60, deadline=None)
def test_weights_are_finite_for_any_gradients(name, rows, scales):
    gradients = tensor(rows) * tensor(scales[: len(rows)])[:, None]
    weights = weights_of(name, gradients)
    assert weights.shape == (len(rows),)
    assert weights.isfinite().all()
    if len(rows) == 1:
        assert weights.tolist() == [1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e100])
def test_the_weights_of_gradients_of_any_length_are_the_same(name, scale):
    gradients = drawn(0, 4)
    expected = weights_of(name, gradients)
    torch.testing.assert_close(weights_of(name, gradients * scale), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_permutation_of_the_heads_permutes_the_weights(name):
    gradients = drawn(5, 4)
    order = torch.tensor([2, 0, 3, 1])
    if name == "pcgrad":  # its order is drawn, and makes no difference for two heads
        gradients, order = gradients[:2], torch.tensor([1, 0])
    expected = weights_of(name, gradients)[order]
    torch.testing.assert_close(weights_of(name, gradients[order]), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_without_gradients_or_with_infinite_ones_it_is_the_sum(name, value):
    weighting = gvt.create("weighting", name)
    gram = torch.full((3, 3), value, dtype=torch.float64)
    assert weighting.weights(["a", "b", "c"], gram, generator()).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["pcgrad", "nash"])
def test_a_zero_gradient_changes_nothing_for_the_others(name):
    gradients = torch.cat([drawn(2, 3)[:2], torch.zeros(1, 6, dtype=torch.float64)])
    weights = weights_of(name, gradients)
    assert weights[2] == 1
    torch.testing.assert_close(weights[:2], weights_of(name, gradients[:2]))


@pytest.mark.parametrize("name", NAMES)
def test_exactly_opposed_gradients_cancel_out(name):
    gradients = tensor([[1.0, 2.0], [-1.0, -2.0]])
    torch.testing.assert_close(step_of(name, gradients), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("name", NAMES)
def test_it_uses_gradients_alone_and_has_no_state(name):
    weighting = gvt.create("weighting", name, cosines_every=5)
    assert weighting.uses_gradients and not weighting.observes_losses
    assert weighting.cosines_every == 5
    assert not weighting.state_dict()
    losses = {"ce": torch.tensor(2.0)}
    assert weighting.forward("a", losses) == losses
    assert weights_of(name, drawn(0, 3)).equal(
        copy.deepcopy(weighting).weights(["a", "b", "c"], drawn(0, 3) @ drawn(0, 3).T, generator())
    )

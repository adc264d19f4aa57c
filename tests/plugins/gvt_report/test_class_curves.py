"""Plots of the curves of classes."""

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

import gvt
from gvt_report.class_curves import LOWEST, MOST_CURVES, save_curves


def curves(*means, names=("recall", "precision")):
    """Return level curves, NaN where there is none."""
    x = torch.linspace(0, 1, 11)
    return gvt.Curves(x, torch.tensor(means)[:, None].expand(-1, len(x)), names)


@pytest.fixture
def lines(monkeypatch):
    """Return the lines that are drawn from here on, as (label, color, heights)."""
    found, plot = [], Axes.plot

    def noting(axes, x, y, *rest, **look):
        found.append((look.get("label"), look["color"], y.tolist()))
        return plot(axes, x, y, *rest, **look)

    monkeypatch.setattr(Axes, "plot", noting)
    return found


def test_each_class_with_a_curve_has_a_named_line_and_all_have_a_mean(lines, tmp_path):
    path = tmp_path / "c.png"
    save_curves(curves(0.25, float("nan"), 0.75), ["cat", "dog", "$hen$"], path, "val: some")
    labels, colors, heights = zip(*lines, strict=True)
    assert labels == ("cat  0.250", "$hen$  0.750", "mean of 2 classes  0.500")
    assert len(set(colors)) == 3
    assert [h[5] for h in heights] == [0.25, 0.75, 0.5]
    assert np.asarray(Image.open(path)).min() < 100


def test_a_single_class_is_its_own_mean(lines, tmp_path):
    save_curves(curves(0.25), ["cat"], tmp_path / "c.png")
    assert [label for label, *_ in lines] == ["cat  0.250"]


def test_of_many_classes_the_lowest_are_named(lines, tmp_path):
    count = MOST_CURVES + 5
    means = [(7 * n % count) / count for n in range(count)]
    save_curves(curves(*means), [f"c{n}" for n in range(count)], tmp_path / "c.png")
    assert len(lines) == count + 1
    lowest = sorted(range(count), key=means.__getitem__)[:LOWEST]
    named = [label for label, *_ in lines if label is not None]
    assert named[:-1] == [f"c{n}  {means[n]:.3f}" for n in lowest]
    assert len({color for label, color, _ in lines if label is None}) == 1


def test_up_to_twenty_no_two_lines_are_alike(monkeypatch, tmp_path):
    looks, plot = [], Axes.plot

    def noting(axes, x, y, *style, **look):
        looks.append((*style, look["color"], look.get("linestyle")))
        return plot(axes, x, y, *style, **look)

    monkeypatch.setattr(Axes, "plot", noting)
    save_curves(curves(*[0.5] * MOST_CURVES), list(map(str, range(20))), tmp_path / "c.png")
    assert len(set(looks)) == MOST_CURVES + 1


@pytest.mark.filterwarnings("error")
def test_where_no_class_has_a_curve_the_axes_are_empty(lines, tmp_path):
    save_curves(curves(float("nan"), float("nan")), ["cat", "dog"], tmp_path / "c.png")
    assert lines == []
    assert (tmp_path / "c.png").stat().st_size > 0


def test_axes_bear_the_names_and_shares_are_shown_whole(monkeypatch, tmp_path):
    said, set_them = {}, Axes.set

    def noting(axes, **words):
        said.update(words)
        return set_them(axes, **words)

    monkeypatch.setattr(Axes, "set", noting)
    save_curves(curves(0.5), ["cat"], tmp_path / "a.png", "test, step 1,200: precision_recall")
    assert (said["xlabel"], said["ylabel"]) == ("recall", "precision")
    assert said["title"] == "test, step 1,200: precision_recall"
    assert said.pop("ylim") == (-0.01, 1.02)
    save_curves(curves(50.0, names=("a", "b")), ["cat"], tmp_path / "b.png")
    assert "ylim" not in said
    assert said["xlim"] == (-0.01, 1.02)

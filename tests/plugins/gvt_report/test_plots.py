"""Plots of the log of a run."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from gvt_report.log import read_log
from gvt_report.plots import Chart, charts_of, save_losses_plot, save_scatter

SVG = "{http://www.w3.org/2000/svg}"


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_log(path)


def svg_of(curves, title="here", kind="metric"):
    return Chart(title, kind, curves).svg()


@pytest.fixture
def metrics(tmp_path):
    return tmp_path / "metrics.jsonl"


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_curves_are_sorted_by_what_they_show(metrics):
    names = ["lr/m", "val/iou", "val/loss/x", "train/x", "val/iou/0", "val/iou/17", "train/y"]
    first = written(metrics, *({"step": n, **dict.fromkeys(names, n)} for n in (1, 2)))
    assert [(chart.title, chart.names) for chart in charts_of(first)] == [
        ("Training losses", {0: "x", 1: "y"}),
        ("Held-out losses", {0: "val/loss/x"}),
        ("Held-out metrics", {0: "val/iou"}),
        ("Learning rates", {0: "m"}),
    ]
    second = written(metrics, {"step": 3, "train/y": 1, "val/iou": 1})
    compared = charts_of(first, second)
    assert [chart.title for chart in compared] == [
        *("val/iou", "val/loss/x", "train/x", "train/y", "lr/m")
    ]
    assert compared[0].curves == {0: [(1, 1.0), (2, 2.0)], 1: [(3, 1.0)]}
    assert compared[1].curves == {0: [(1, 1.0), (2, 2.0)]}


def test_what_a_figure_is_counts_and_not_its_name(metrics):
    figures = {"val/iou/0": {"kind": "metric"}, "val/loss/x": {"kind": "metric", "class": "x"}}
    log = written(metrics, {"step": 1, "val/iou/0": 1, "val/loss/x": 1, "figures": figures})
    assert [(chart.title, chart.names) for chart in charts_of(log)] == [
        ("Held-out metrics", {0: "val/iou/0"})
    ]


def with_cosines(metrics, value):
    """Return the log of a loss at every step and of cosines at every tenth."""
    figures = {n: {"kind": "cosine"} for n in ("train/cosine/a/b", "train/cosine/a/c")}
    rows = [{"step": n, "train/a/x": 1000.0 / n} for n in range(1, 101)]
    for row in rows[9::10]:
        row |= {"train/cosine/a/b": value, "train/cosine/a/c": -value}
    return written(metrics, rows[0] | {"figures": figures}, *rows[1:])


@pytest.mark.parametrize("value", [0.01, 1.0])
def test_cosines_have_a_panel_of_their_own_from_minus_1_to_1(value, metrics, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    axes, original = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (axes.extend(self.axes), original(self, *a, **k))
    )
    charts = charts_of(with_cosines(metrics, value))
    assert [(chart.kind, list(chart.names.values())) for chart in charts] == [
        ("training loss", ["a/x"]),
        ("cosine", ["cosine/a/b", "cosine/a/c"]),
    ]
    save_losses_plot(charts, tmp_path / "losses.png")
    ET.fromstring(charts[1].svg())
    losses, *cosines = axes
    assert [panel.get_ylim() for panel in cosines] == [(-1.05, 1.05)] * 2
    assert losses.get_ylim()[1] > 100
    assert cosines[0].get_title() == "Cosines between the heads' gradients"


@pytest.mark.parametrize(("kind", "count", "window"), [
    *(("metric", 99, 1), ("training loss", 100, 2), ("loss", 5000, 100), ("learning rate", 5000, 1))
])  # fmt: skip
def test_a_long_curve_has_a_strong_line_unless_it_is_a_rate(kind, count, window):
    chart = Chart("t", kind, {3: [(n, 0.0) for n in range(count)]})
    assert chart.window(3) == window
    assert chart.note == (f"strong lines are means of {window} neighbours" if window > 1 else "")


def test_names_are_text_and_no_formulas(metrics, tmp_path):
    rows = [{"step": n, r"train/$\nonsense{$": n} for n in range(3)]
    save_losses_plot(charts_of(written(metrics, *rows)), tmp_path / "losses.png")
    assert len(np.unique(pixels(tmp_path / "losses.png"))) > 2


ODD = ["two\nlines", "\udc80", r"$\nonsense{$", "x" * 300]


@pytest.mark.parametrize("name", ODD)
def test_a_curves_name_leaves_room_for_the_curves(name, metrics, tmp_path):
    rows = [{"step": n, f"train/{name}": n, "val/a": n} for n in range(3)]
    save_losses_plot(charts_of(written(metrics, *rows)), tmp_path / "losses.png")
    rows = [{"step": n, "train/a": n, "val/a": n} for n in range(3)]
    save_losses_plot(charts_of(written(metrics, *rows)), tmp_path / "plain.png")
    odd, plain = pixels(tmp_path / "losses.png"), pixels(tmp_path / "plain.png")
    assert odd.shape == plain.shape
    below = slice(odd.shape[0] // 2, None)
    assert (odd[below] == plain[below]).all()


def test_phases_with_odd_names_have_a_scatter(metrics, tmp_path, monkeypatch):
    titles = titles_of(monkeypatch)
    first, second = "two\nlines", "x" * 300
    rows = [{"step": n, f"train/{first}": n, f"train/{second}": -n} for n in range(4)]
    save_scatter(written(metrics, *rows).curves, [first, second], tmp_path / "scatter.png")
    assert titles[0]["xlabel"] == r"two\nlines loss"
    assert titles[0]["ylabel"] == "x" * 23 + "… loss"


@pytest.mark.parametrize("count", [1, 30, 90, 5000])
def test_curves_are_an_element_that_takes_the_colours_of_its_page(count):
    points = [(n, float(np.sin(n / 50))) for n in range(count)]
    svg = svg_of({0: points, 9: points})
    element = ET.fromstring(svg)
    assert element.tag == f"{SVG}svg"
    assert "width" not in element.attrib
    assert not list(element.iter(f"{SVG}style"))
    assert {"var(--c0)", "var(--c1)"} <= set(re.findall(r"var\(--c\d+\)", svg))
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", svg)) == set()
    assert {text.text for text in element.iter(f"{SVG}text")} > {"step"}


def test_a_long_curve_is_thinned_and_keeps_its_extremes():
    values = np.zeros(50_000)
    values[31_234] = 7.0
    svg = svg_of({0: [(n, float(v)) for n, v in enumerate(values)]})
    assert len(svg) < 60_000
    drawn = [p.get("d") for p in ET.fromstring(svg).iter(f"{SVG}path") if p.get("clip-path")]
    tops = [min(float(y) for y in re.findall(r"[ML] \S+ (\S+)", d)) for d in drawn]
    longest = max(drawn, key=len)
    assert min(tops) < 20  # the one spike reaches the upper edge of the axes
    assert longest.count("L") <= 1000


def test_ids_of_two_figures_differ():
    points = [(1, 0.0), (2, 1.0)]
    first, second = (re.findall(r' id="([^"]*)"', svg_of({0: points}, title)) for title in "ab")
    assert first
    assert not set(first) & set(second)


def test_a_scatter_says_how_two_phases_go_together(metrics, tmp_path, monkeypatch):
    rows = [
        {"step": n, "train/d/real": n / 2, "train/d/fake": n / 2, "train/g": -2 * n}
        for n in range(1, 9)
    ]
    rows += [{"step": 9, "train/d/real": 5}, {"step": 10, "train/generator_of_another": 1}]
    titles = titles_of(monkeypatch)
    save_scatter(written(metrics, *rows).curves, ["d", "g"], tmp_path / "scatter.png")
    assert titles == [{"xlabel": "d loss", "ylabel": "g loss", "title": "r = -1.00"}]
    assert Image.open(tmp_path / "scatter.png").size == (720, 600)


@pytest.mark.parametrize("rows", [[(1, 1), (2, 2)], [(0.1, 1), (0.1, 2), (0.1, 3)]])
def test_of_too_few_points_or_a_constant_there_is_no_correlation(
    rows, metrics, tmp_path, monkeypatch
):
    titles = titles_of(monkeypatch)
    lines = [{"step": n, "train/d": d, "train/g": g} for n, (d, g) in enumerate(rows)]
    save_scatter(written(metrics, *lines).curves, ["d", "g"], tmp_path / "scatter.png")
    assert [title["title"] for title in titles] == ["r undefined"]


def test_where_no_step_has_both_phases_there_is_no_scatter(metrics, tmp_path):
    rows = [{"step": 1, "train/d": 1}, {"step": 2, "train/g": 1}]
    save_scatter(written(metrics, *rows).curves, ["d", "g"], tmp_path / "scatter.png")
    assert not (tmp_path / "scatter.png").exists()


def titles_of(monkeypatch):
    """Note what axes are called, while they are drawn for real."""
    from matplotlib.axes import Axes

    found, original = [], Axes.set
    monkeypatch.setattr(Axes, "set", lambda self, **k: (found.append(k), original(self, **k))[1])
    return found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [1, 9, 50])
def test_many_curves_are_named_beside_the_panel(count, metrics, tmp_path):
    rows = [{"step": n, **{f"val/figure_{i}": i + n for i in range(count)}} for n in (1, 2)]
    save_losses_plot(charts_of(written(metrics, *rows)), tmp_path / "losses.png")
    drawn = pixels(tmp_path / "losses.png")
    assert (drawn.shape[1] > 720) is (count > 8)
    assert drawn.min() < 100

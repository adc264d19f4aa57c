"""What the metrics of a run say, and the pictures of it."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image

from gvt.runs.plots import (
    curves_svg,
    of_one_class,
    panels,
    read_curves,
    read_log,
    save_losses_plot,
    save_matrix,
    save_scatter,
)

SVG = "{http://www.w3.org/2000/svg}"


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def metrics(tmp_path):
    return tmp_path / "metrics.jsonl"


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_log_has_curves_rates_and_an_ending(metrics):
    ended = {"event": "ended", "step": 2, "outcome": "success"}
    log = read_log(written(metrics, {"step": 1, "train/a": 3, "lr/m": 0.1, "epoch": 0}, ended))
    assert log.curves == {"train/a": [(1, 3.0)], "lr/m": [(1, 0.1)]}
    assert log.ending == ended
    assert log.step == 2
    assert read_curves(metrics) == {"train/a": [(1, 3.0)]}


def test_a_run_that_goes_on_has_no_ending(metrics):
    rows = [{"step": n, "train/a": n} for n in (1, 2, 3)]
    ended = {"event": "ended", "step": 3, "outcome": "interrupt"}
    log = read_log(written(metrics, *rows, ended, {"event": "resumed", "step": 1}))
    assert log.ending is None
    assert log.step == 1
    assert log.curves == {"train/a": [(1, 1.0)]}


def test_what_is_no_line_of_metrics_is_left_out(metrics):
    metrics.write_bytes(
        b'{"step": 1, "train/a": 0.5}\n[1]\n{"step": "x", "train/a": 1}\n{"a": 1}\n\xff\xfe\n\n'
        b'{"step": 2, "train/a": null, "train/b": "text"}\n{"step": 3, "tra'
    )
    log = read_log(metrics)
    assert log.curves == {"train/a": [(1, 0.5)]}
    assert log.step == 2
    assert read_log(metrics.with_name("none.jsonl")).curves == {}


def test_curves_are_sorted_by_what_they_show():
    names = ["lr/m", "val/iou", "val/loss/x", "train/x", "val/iou/0", "val/iou/17"]
    sorted_out = panels({name: [(1, 0.0)] for name in names})
    assert {kind: list(curves) for kind, curves in sorted_out.items()} == {
        "Training losses": ["train/x"],
        "Held-out losses": ["val/loss/x"],
        "Held-out metrics": ["val/iou"],
        "Learning rates": ["lr/m"],
    }


def test_names_are_text_and_no_formulas(metrics, tmp_path):
    rows = [{"step": n, r"train/$\nonsense{$": n} for n in range(3)]
    save_losses_plot(written(metrics, *rows), tmp_path / "losses.png")
    assert len(np.unique(pixels(tmp_path / "losses.png"))) > 2


ODD = ["two\nlines", "\udc80", r"$\nonsense{$", "x" * 300]


@pytest.mark.parametrize("name", ODD)
def test_a_curves_name_leaves_room_for_the_curves(name, metrics, tmp_path):
    rows = [{"step": n, f"train/{name}": n, "val/a": n} for n in range(3)]
    save_losses_plot(written(metrics, *rows), tmp_path / "losses.png")
    rows = [{"step": n, "train/a": n, "val/a": n} for n in range(3)]
    save_losses_plot(written(metrics, *rows), tmp_path / "plain.png")
    odd, plain = pixels(tmp_path / "losses.png"), pixels(tmp_path / "plain.png")
    assert odd.shape == plain.shape
    below = slice(odd.shape[0] // 2, None)
    assert (odd[below] == plain[below]).all()


def test_odd_names_of_classes_and_a_long_title_are_drawn(tmp_path):
    save_matrix(torch.eye(4), ODD, tmp_path / "odd.png", title=r"$\nonsense{$" * 30)
    save_matrix(torch.eye(4), ["x" * 24] * 4, tmp_path / "plain.png", title="x")
    assert Image.open(tmp_path / "odd.png").size == Image.open(tmp_path / "plain.png").size


def test_phases_with_odd_names_have_a_scatter(metrics, tmp_path, monkeypatch):
    titles = titles_of(monkeypatch)
    first, second = "two\nlines", "x" * 300
    rows = [{"step": n, f"train/{first}": n, f"train/{second}": -n} for n in range(4)]
    save_scatter(written(metrics, *rows), [first, second], tmp_path / "scatter.png")
    assert titles[0]["xlabel"] == r"two\nlines loss"
    assert titles[0]["ylabel"] == "x" * 23 + "… loss"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_cell_that_is_not_finite_is_drawn(value, tmp_path):
    save_matrix(torch.tensor([[value, 1.0], [0.0, 2.0]]), [], tmp_path / "m.png")
    assert len(np.unique(pixels(tmp_path / "m.png"))) > 2


@pytest.mark.parametrize("count", [1, 30, 90, 5000])
def test_curves_are_an_element_that_takes_the_colours_of_its_page(count):
    points = [(n, float(np.sin(n / 50))) for n in range(count)]
    svg = curves_svg({0: points, 9: points}, {0: 1, 9: max(1, count // 50)}, "here")
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
    svg = curves_svg({0: [(n, float(v)) for n, v in enumerate(values)]}, {0: 1000}, "long")
    assert len(svg) < 60_000
    drawn = [p.get("d") for p in ET.fromstring(svg).iter(f"{SVG}path") if p.get("clip-path")]
    tops = [min(float(y) for y in re.findall(r"[ML] \S+ (\S+)", d)) for d in drawn]
    longest = max(drawn, key=len)
    assert min(tops) < 20  # the one spike reaches the upper edge of the axes
    assert longest.count("L") <= 1000


def test_ids_of_two_figures_differ():
    points = [(1, 0.0), (2, 1.0)]
    first, second = (re.findall(r' id="([^"]*)"', curves_svg({0: points}, {0: 1}, s)) for s in "ab")
    assert first
    assert not set(first) & set(second)


def test_a_scatter_says_how_two_phases_go_together(metrics, tmp_path, monkeypatch):
    rows = [
        {"step": n, "train/d/real": n / 2, "train/d/fake": n / 2, "train/g": -2 * n}
        for n in range(1, 9)
    ]
    rows += [{"step": 9, "train/d/real": 5}, {"step": 10, "train/generator_of_another": 1}]
    titles = titles_of(monkeypatch)
    save_scatter(written(metrics, *rows), ["d", "g"], tmp_path / "scatter.png")
    assert titles == [{"xlabel": "d loss", "ylabel": "g loss", "title": "r = -1.00"}]
    assert Image.open(tmp_path / "scatter.png").size == (720, 600)


@pytest.mark.parametrize("rows", [[(1, 1), (2, 2)], [(0.1, 1), (0.1, 2), (0.1, 3)]])
def test_of_too_few_points_or_a_constant_there_is_no_correlation(
    rows, metrics, tmp_path, monkeypatch
):
    titles = titles_of(monkeypatch)
    lines = [{"step": n, "train/d": d, "train/g": g} for n, (d, g) in enumerate(rows)]
    save_scatter(written(metrics, *lines), ["d", "g"], tmp_path / "scatter.png")
    assert [title["title"] for title in titles] == ["r undefined"]


def test_where_no_step_has_both_phases_there_is_no_scatter(metrics, tmp_path):
    rows = [{"step": 1, "train/d": 1}, {"step": 2, "train/g": 1}]
    save_scatter(written(metrics, *rows), ["d", "g"], tmp_path / "scatter.png")
    assert not (tmp_path / "scatter.png").exists()


def titles_of(monkeypatch):
    """Note what axes are called, while they are drawn for real."""
    from matplotlib.axes import Axes

    found, original = [], Axes.set
    monkeypatch.setattr(Axes, "set", lambda self, **k: (found.append(k), original(self, **k))[1])
    return found


def test_a_matrix_is_dark_where_a_row_has_its_share(tmp_path):
    save_matrix(torch.tensor([[0, 90], [10, 0]]), ["a", "b"], tmp_path / "m.png")
    image = pixels(tmp_path / "m.png")
    dark = np.argwhere((image == (8, 48, 107)).all(axis=2))  # the last colour of "Blues"
    image_side = image.shape[1]
    cells = dark[dark[:, 1] < image_side * 0.7]  # what lies further right is the colour bar
    rows, columns = cells[:, 0], cells[:, 1]
    upper = rows < (rows.min() + rows.max()) / 2
    assert columns[upper].min() > columns[~upper].max()  # off the diagonal


@pytest.mark.parametrize("size", [1, 20, 130])
def test_a_matrix_grows_within_reason(size, tmp_path):
    names = [f"class $number$ {n}" * 4 for n in range(size)]
    counts = torch.randint(0, 3_000_000, (size, size), generator=torch.Generator().manual_seed(0))
    save_matrix(counts, names, tmp_path / "m.png", title="val: confusion")
    width, height = Image.open(tmp_path / "m.png").size
    assert 400 < height < width < 2000


@pytest.mark.parametrize("classes", [[], ["only one"]])
def test_without_names_classes_are_numbered(classes, tmp_path):
    save_matrix(torch.zeros(3, 3), classes, tmp_path / "without.png")
    save_matrix(torch.zeros(3, 3), ["0", "1", "2"], tmp_path / "numbered.png")
    assert (pixels(tmp_path / "without.png") == pixels(tmp_path / "numbered.png")).all()


def test_numbers_of_single_classes_are_known_by_their_names():
    classes = ["cat", "dice", "odd/name"]
    single = ["val/iou/cat", "val/where/iou/odd/name", "val/iou/background", "val/iou/3"]
    others = ["val/mean_iou", "val/where/mean_iou", "val/loss/dice", "train/supervised/dice",
              "lr/cat", "val/cat"]  # fmt: skip
    assert [name for name in single + others if of_one_class(name, classes)] == single
    assert [name for name in single if of_one_class(name)] == single[2:]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [1, 9, 50])
def test_many_curves_are_named_beside_the_panel(count, metrics, tmp_path):
    rows = [{"step": n, **{f"val/figure_{i}": i + n for i in range(count)}} for n in (1, 2)]
    save_losses_plot(written(metrics, *rows), tmp_path / "losses.png")
    drawn = pixels(tmp_path / "losses.png")
    assert (drawn.shape[1] > 720) is (count > 8)
    assert drawn.min() < 100

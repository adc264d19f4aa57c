"""Tables of counts as images."""

import numpy as np
import pytest
import torch
from PIL import Image

from gvt.vision.drawing.figures import save_matrix

ODD = ["two\nlines", "\udc80", r"$\nonsense{$", "x" * 300]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_odd_names_of_classes_and_a_long_title_are_drawn(tmp_path):
    save_matrix(torch.eye(4), ODD, tmp_path / "odd.png", title=r"$\nonsense{$" * 30)
    save_matrix(torch.eye(4), ["x" * 24] * 4, tmp_path / "plain.png", title="x")
    assert Image.open(tmp_path / "odd.png").size == Image.open(tmp_path / "plain.png").size


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_cell_that_is_not_finite_is_drawn(value, tmp_path):
    save_matrix(torch.tensor([[value, 1.0], [0.0, 2.0]]), [], tmp_path / "m.png")
    assert len(np.unique(pixels(tmp_path / "m.png"))) > 2


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

"""A reader says of what shape its images are, and is told so again by its document."""

import pytest
from PIL import Image

from gvt import PictureReader


@pytest.mark.parametrize(
    ("size", "fit", "shape"),
    [
        (None, "crop", None),
        ((30, 40), "crop", (3, 30, 40)),
        ((30, 40), "pad", (3, 30, 40)),
        ((30, 40), "stretch", (3, 30, 40)),
        ((30, 40), "within", None),
    ],
)
def test_images_have_the_shape_that_is_declared(size, fit, shape, tmp_path):
    reader = PictureReader(size=size, fit=fit)
    assert reader.image_shape == shape
    assert PictureReader.from_document(reader.document()) == reader
    for number, (width, height) in enumerate(((80, 30), (20, 30))):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (width, height)).save(path)
        image, record = reader.read(path)
        assert record.size == (height, width)
        if shape is not None:
            assert image.shape == shape
        elif fit == "within":
            assert image.shape == ((3, 15, 40), (3, 30, 20))[number]
            assert record.geometry.diag().tolist() == [[0.5, 0.5, 1], [1, 1, 1]][number]
        else:
            assert image.shape == (3, height, width)


def test_an_unknown_fit_names_the_known_ones():
    with pytest.raises(ValueError, match="fit 'inside': crop, pad, stretch, within"):
        PictureReader(fit="inside")


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"white": 0}, "white 0: a number above 0"),
        ({"page": 0}, "page 0: pages are counted from 1"),
    ],
)
def test_impossible_values_are_one_line(parameters, says):
    with pytest.raises(ValueError, match=says):
        PictureReader(**parameters)


def test_a_document_from_before_white_and_page_reads_as_then(tmp_path):
    document = PictureReader(1, (3, 4)).document()
    del document["white"], document["page"]
    assert PictureReader.from_document(document) == PictureReader(1, (3, 4))


def test_white_and_page_are_read_and_kept(tmp_path):
    reader = PictureReader(1, white=4095, page=2)
    assert PictureReader.from_document(reader.document()) == reader
    pages = [Image.new("I;16", (2, 2), value) for value in (65535, 819)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert reader.read(tmp_path / "a.tif")[0].unique().tolist() == [51]

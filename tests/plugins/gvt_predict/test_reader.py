"""How files are read for a trained model: as the training data was."""

from types import SimpleNamespace

import pytest

from gvt import DataInfo, PictureReader, UsageError
from gvt_predict.reader import reader_of

GREY = PictureReader(1, white=4095.0)
SIZED = PictureReader(3, (8, 6), "stretch")


@pytest.mark.parametrize(
    ("reader", "shape", "own_size", "expected"),
    [
        (SIZED, (3, 8, 6), True, SIZED),
        (SIZED, (3, 8, 6), False, SIZED),
        (GREY, None, False, GREY),
        (GREY, (1, 28, 20), True, GREY),
        (GREY, (1, 28, 20), False, PictureReader(1, (28, 20), white=4095.0)),
        (None, (1, 28, 20), False, PictureReader(1, (28, 20), fit="pad")),
        (None, (1, 28, 20), True, PictureReader(1)),
        (None, None, False, PictureReader(3)),
    ],
)
def test_files_fit_the_images_of_the_training(reader, shape, own_size, expected):
    info = DataInfo((), shape, reader=reader and reader.document())
    assert reader_of(SimpleNamespace(info=info), own_size=own_size) == expected


def test_files_have_one_channel_or_three():
    opened = SimpleNamespace(info=DataInfo((), (4, 8, 8)), config=SimpleNamespace(recipe="mine"))
    with pytest.raises(UsageError, match="mine: the model takes images of 4 channels"):
        reader_of(opened, own_size=True)

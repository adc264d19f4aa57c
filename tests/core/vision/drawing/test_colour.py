"""Images of any number of channels, as people see them."""

import pytest
import torch

from gvt.vision.drawing.colour import as_rgb


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (4, (0, 1, 2))]
)
@pytest.mark.parametrize("before", [(), (2,), (2, 3)])
def test_any_number_of_channels_becomes_three(channels, shown, before):
    images = torch.rand(*before, channels, 4, 5)
    rgb = as_rgb(images)
    assert rgb.shape == (*before, 3, 4, 5)
    for place, channel in enumerate(shown):
        assert torch.equal(rgb[..., place, :, :], images[..., channel, :, :])

"""GANs of Keras textbooks and tutorials, layer by layer as published; see `gvt_gan.keras`.

The published discriminators end in a sigmoid. Here it is part of the loss, binary cross entropy on
logits.
"""

from __future__ import annotations

from math import ceil, prod

from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import Discriminator, Dropout, Generator

from .keras import BATCH_NORM, SameConv2d, SameConvTranspose2d, initialise, leaky_relu
from .types import Share


class _SequentialGenerator(Generator):
    """A generator that is a sequence of layers."""

    layers: nn.Sequential

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, H, W) for latents (N, latent)."""
        images: Tensor = self.layers(z)
        return images


class _SequentialDiscriminator(Discriminator):
    """A discriminator that is a sequence of layers, the last one of width 1."""

    layers: nn.Sequential

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,) for images (N, C, H, W)."""
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)


class TextbookConvGenerator(_SequentialGenerator):
    """Dense, 5x5 convolution, 4x4 transposed convolution of stride 2, 5x5 convolution, tanh.

    Args:
        image_shape: (C, H, W); H and W even.
        latent: Length of a latent.
        width: Channels of the hidden layers.
        further: Channels of each further 5x5 convolution before the last one.
        image_range: Values of tanh for black and white. With [0, 1], and reals in [0, 1], the
            discriminator sees the values of tanh unchanged, including those below black.

    Raises:
        ValueError: If a side is odd, or the range is not increasing.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent: PositiveInt = 28,
        width: PositiveInt = 32,
        further: tuple[PositiveInt, ...] = (),
        image_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        super().__init__()
        _check_sides(image_shape, 2)
        if not image_range[0] < image_range[1]:
            raise ValueError(
                f"image_range {list(image_range)}: the first number must be the smaller"
            )
        self.latent_shape = (latent,)
        self.image_shape, self.image_range = image_shape, image_range
        channels, height, image_width = image_shape
        start = (width, height // 2, image_width // 2)
        widths = (width, *further)
        self.layers = nn.Sequential(
            nn.Linear(latent, prod(start)),
            leaky_relu(),
            nn.Unflatten(1, start),
            SameConv2d(width, width, 5),
            leaky_relu(),
            SameConvTranspose2d(width, width, 4, stride=2),
            leaky_relu(),
        )
        for before, after in zip(widths, further, strict=False):
            self.layers.extend([SameConv2d(before, after, 5), leaky_relu()])
        self.layers.extend([SameConv2d(widths[-1], channels, 5), nn.Tanh()])
        self.apply(initialise)


class TextbookConvDiscriminator(_SequentialDiscriminator):
    """Valid 4x4 convolutions with leaky ReLU, dropout, dense.

    Args:
        image_shape: (C, H, W).
        widths: Channels after each convolution; the first has stride 1, the others stride 2.
        dropout: Share of features dropped before the dense layer in training.

    Raises:
        ValueError: If the images are too small for the convolutions.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        widths: tuple[PositiveInt, ...] = (64,),
        dropout: Share = 0.3,
    ) -> None:
        super().__init__()
        channels, *sides = image_shape
        self.layers = nn.Sequential()
        for number, width in enumerate(widths):
            stride = 2 if number else 1
            sides = [(side - 4) // stride + 1 for side in sides]
            self.layers.extend([nn.Conv2d(channels, width, 4, stride=stride), leaky_relu()])
            channels = width
        if min(sides) < 1:
            raise ValueError(
                f"images {image_shape[1]}x{image_shape[2]}: too small for {len(widths)} valid 4x4 "
                "convolutions"
            )
        features = channels * prod(sides)
        self.layers.extend([nn.Flatten(), Dropout(dropout), nn.Linear(features, 1)])
        self.apply(initialise)


class TextbookMLPGenerator(_SequentialGenerator):
    """Two dense layers with ReLU between them, and a sigmoid to images in [0, 1].

    Args:
        image_shape: (C, H, W).
        latent: Length of a latent.
        width: Units of the hidden layer.
    """

    image_range = (0.0, 1.0)

    def __init__(
        self, image_shape: tuple[int, int, int], latent: PositiveInt = 100, width: PositiveInt = 128
    ) -> None:
        super().__init__()
        self.latent_shape = (latent,)
        self.image_shape = image_shape
        self.layers = nn.Sequential(
            nn.Linear(latent, width),
            nn.ReLU(),
            nn.Linear(width, prod(image_shape)),
            nn.Sigmoid(),
            nn.Unflatten(1, image_shape),
        )
        self.apply(initialise)


class TextbookMLPDiscriminator(_SequentialDiscriminator):
    """Two dense layers with ReLU between them.

    Args:
        image_shape: (C, H, W).
        width: Units of the hidden layer.
    """

    def __init__(self, image_shape: tuple[int, int, int], width: PositiveInt = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(image_shape), width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )
        self.apply(initialise)


class TextbookDCGANGenerator(_SequentialGenerator):
    """Dense, then 4x4 transposed convolutions with batch norm and leaky ReLU, tanh.

    The source has no activation after the last layer, and Glorot initialisation; tanh and weights
    from N(0, 0.02) are those of Radford et al. (2015, https://arxiv.org/abs/1511.06434).

    Args:
        image_shape: (C, H, W); H and W divisible by 4.
        latent: Length of a latent.
        width: Channels before the last layer; twice as many a layer earlier, four times at the
            start.

    Raises:
        ValueError: If a side is not divisible by 4.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], latent: PositiveInt = 100, width: PositiveInt = 64
    ) -> None:
        super().__init__()
        _check_sides(image_shape, 4)
        self.latent_shape = (latent,)
        self.image_shape = image_shape
        channels, height, image_width = image_shape
        start = (4 * width, height // 4, image_width // 4)
        self.layers = nn.Sequential(
            nn.Linear(latent, prod(start), bias=False),
            # Before the reshape, as published: every feature has statistics of its own.
            nn.BatchNorm1d(prod(start), **BATCH_NORM),
            leaky_relu(),
            nn.Unflatten(1, start),
            SameConvTranspose2d(4 * width, 2 * width, 4, bias=False),
            nn.BatchNorm2d(2 * width, **BATCH_NORM),
            leaky_relu(),
            SameConvTranspose2d(2 * width, width, 4, stride=2, bias=False),
            nn.BatchNorm2d(width, **BATCH_NORM),
            leaky_relu(),
            SameConvTranspose2d(width, channels, 4, stride=2, bias=False),
            nn.Tanh(),
        )
        self.apply(_initialise_normally)


class TextbookDCGANDiscriminator(_SequentialDiscriminator):
    """4x4 convolutions of stride 2, each with leaky ReLU and dropout, then dense.

    The source has Glorot initialisation; weights from N(0, 0.02) are those of Radford et al. (2015,
    https://arxiv.org/abs/1511.06434).

    Args:
        image_shape: (C, H, W).
        width: Channels after the first convolution; twice as many after the second.
        dropout: Share of features dropped after each convolution in training.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], width: PositiveInt = 64, dropout: Share = 0.3
    ) -> None:
        super().__init__()
        channels, height, image_width = image_shape
        self.layers = nn.Sequential(
            SameConv2d(channels, width, 4, stride=2),
            leaky_relu(),
            Dropout(dropout),
            SameConv2d(width, 2 * width, 4, stride=2),
            leaky_relu(),
            Dropout(dropout),
            nn.Flatten(),
            nn.Linear(2 * width * ceil(height / 4) * ceil(image_width / 4), 1),
        )
        self.apply(_initialise_normally)


def _check_sides(image_shape: tuple[int, int, int], divisor: int) -> None:
    _, height, width = image_shape
    if height % divisor or width % divisor:
        raise ValueError(f"images {height}x{width}: both sides should be divisible by {divisor}")


def _initialise_normally(module: nn.Module) -> None:
    initialise(module)
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)

"""A plugin in a single file: a generator with dense layers.

gvt run gan.mnist generator.name=dense train.steps=20 --plugin examples/my_generator.py
"""

import math

from torch import Tensor, nn

from gvt import Generator
from gvt_registry import Component, hookimpl


class Dense(Generator):
    """Latents to images in [-1, 1], with one hidden layer."""

    def __init__(self, image_shape: tuple[int, int, int], latent: int = 64, hidden: int = 256):
        super().__init__()
        self.latent_shape = (latent,)
        self.image_shape = image_shape
        self.layers = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, math.prod(image_shape)),
            nn.Tanh(),
            nn.Unflatten(1, image_shape),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1] for latents (N, latent)."""
        return self.layers(z)


@hookimpl
def gvt_components() -> Component:
    """Return the generator; its target is `module:name`, as in an installed plugin."""
    return Component("generator", "dense", "my_generator:Dense", summary="Dense layers and tanh")

"""Any network of timm that gives feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

import gvt
from gvt import Backbone, PathText

from .freezing import freeze_parameters, leave_out, parameters_behind
from .timm_networks import check_all_there, check_name, config_of, create, strides_of

_REFUSALS = (RuntimeError, AssertionError, IndexError)
"""What networks raise that do not take images of a size."""

FINAL = "final"
"""The name of a network's own last map."""


class Normalise(nn.Module):
    """Images minus a mean, by a standard deviation, one of each for every channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels: int) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            fits = len(values) == channels
            each = values if fits else [sum(values) / len(values)] * channels
            self.register_buffer(name, torch.tensor(each).view(1, -1, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Return images of the same shape.

        Raises:
            ValueError: If they have another number of channels.
        """
        channels = self.mean.shape[1]
        if images.shape[1] != channels:
            raise ValueError(f"images of {images.shape[1]} channels, for a backbone of {channels}")
        return (images - self.mean) / self.std


class Timm(Backbone):
    """A network of timm (pytorch-image-models), with its own mean and standard deviation.

    Its maps are called after their place in it, from `stage1` on: of a ResNet `stage1` (64, 2) to
    `stage5` (512, 32), of a Swin transformer `stage1` (96, 4) to `stage4` (768, 32). Of several
    with one stride, as a ViT has, the last one counts unless `stages` says otherwise. Images whose
    sides are no multiples of what the network divides them into are padded at the right and the
    bottom.

    Args:
        image_shape: (C, H, W) of the images, None where sizes differ. Networks that are built for
            one size are built for this one.
        model: timm's name, perhaps with a tag: `resnet18`, `resnet18.a1_in1k`.
        pretrained: Download timm's weights.
        weights: A safetensors file in timm's names, such as `gvt import` makes. Neither this nor
            `pretrained` is read when a checkpoint is loaded.
        image_channels: Those of `image_shape` unless given, 3 without either. Weights
            for three are summed for grey images, and repeated and scaled for others; mean and
            standard deviation are then the average of the three.
        stages: The numbers of the maps to return; all unless given. What lies behind the last one
            is left out.
        output_stride: Of the coarsest map; 8 and 16 dilate convolutions instead (Chen et al.
            2017, https://arxiv.org/abs/1706.05587), where the network can.
        freeze: So many stages keep their weights, from the images on, and are always in eval
            mode; `all` of them if it says so.
        freeze_norm: Keep the statistics and weights of every batch norm.
        final: Also return `final`, the last map before the classifier's average. With it a linear
            classifier is the published network, where that has only one behind its average, as
            ResNets and EfficientNets do.

    Raises:
        ValueError: If timm has no such network, it gives no maps or no such stages, or weights
            are not to be had.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] | None = None,
        model: str = "resnet18",
        pretrained: bool = False,
        weights: PathText | None = None,
        image_channels: PositiveInt | None = None,
        stages: tuple[PositiveInt, ...] | None = None,
        output_stride: Literal[8, 16, 32] = 32,
        freeze: NonNegativeInt | Literal["all"] = 0,
        freeze_norm: bool = False,
        final: bool = False,
    ) -> None:
        super().__init__()
        check_name(model)
        if pretrained and weights is not None:
            raise ValueError("pretrained, and weights of a file: give one of them")
        if image_shape is not None and image_channels not in (None, image_shape[0]):
            raise ValueError(f"image_channels {image_channels}, and images have {image_shape[0]}")
        channels = image_shape[0] if image_shape else image_channels or 3
        if gvt.restoring():
            pretrained, weights = False, None
        self.network, self._only_size = create(
            model, channels, image_shape and image_shape[1:], output_stride, pretrained, weights
        )
        config, strides = config_of(model), strides_of(self.network)
        self._name, self._final, self._levels = model, final, _chosen(stages, strides)
        self.normalise = Normalise(config["mean"], config["std"], channels)
        if not final and hasattr(self.network, "prune_intermediate_layers"):
            self.network.prune_intermediate_layers(self._levels, prune_norm=True)
        side = -(-64 // strides[-1]) * strides[-1]
        usual = [(side, side), config["input_size"][1:]]
        every, size = self._tried(channels, [self._only_size] if self._only_size else usual)
        stride_of = {FINAL: strides[-1], **{_name(n): s for n, s in enumerate(strides)}}
        wanted = [*map(_name, self._levels), *([FINAL] if final else [])]
        self.feature_info = {n: (every[n].shape[1], stride_of[n]) for n in wanted}
        self._divisor = strides[-1] if self._only_size else self._divides(every, size)
        leave_out(self.network, parameters_behind(every[name] for name in wanted))
        if weights is not None:
            check_all_there(self.network, weights, model)
        frozen = self._to_freeze(freeze, every, len(strides))
        self._still = freeze_parameters(self.network, frozen, freeze_norm)
        self.train()  # which puts what is frozen into eval mode

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Return the name of a network that timm keeps for tests, small and quick."""
        return {"model": "test_resnet"}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps, of the size of the images by their stride, rounded up or down.

        Raises:
            ValueError: If the images have other channels, or the network takes one size and they
                have another.
        """
        height, width = images.shape[-2:]
        down, right = -height % self._divisor, -width % self._divisor
        if self._only_size not in (None, (height + down, width + right)):
            raise ValueError(
                f"{self._name} is built for images of {_written(self._only_size)} pixels, and "
                f"these have {_written((height, width))}; give data.size"
            )
        images = self.normalise(images)
        if not (down or right):
            return self._maps(images, self._levels)
        maps = self._maps(F.pad(images, (0, right, 0, down)), self._levels)
        for name, (_, stride) in self.feature_info.items():
            maps[name] = maps[name][..., : -(-height // stride), : -(-width // stride)]
        return maps

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what is frozen stays in eval mode."""
        super().train(mode)
        for name in self._still:
            self.network.get_submodule(name).eval()
        return self

    def _maps(self, images: Tensor, levels: Sequence[int]) -> dict[str, Tensor]:
        """Return the maps of normalised images."""
        names = [_name(level) for level in levels]
        found = self.network.forward_intermediates(
            images, indices=[*levels], output_fmt="NCHW", intermediates_only=not self._final
        )
        if not self._final:
            return dict(zip(names, found, strict=True))
        last, maps = found
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            last = last.permute(0, 3, 1, 2).contiguous()
        return {**dict(zip(names, maps, strict=True)), FINAL: last}

    def _tried(
        self, channels: int, sizes: Sequence[tuple[int, int]]
    ) -> tuple[dict[str, Tensor], tuple[int, int]]:
        """Return all maps up to the last one, with their graph, and of which size of image.

        Raises:
            ValueError: If the network takes none of the sizes, or returns no maps.
        """
        self.network.eval()  # or its batch norms would count this image
        for size in sizes:
            try:
                with torch.enable_grad():
                    maps = self._maps(torch.zeros(1, channels, *size), range(self._levels[-1] + 1))
            except _REFUSALS as error:
                refusal = error
                continue
            break
        else:
            raise ValueError(f"{self._name} takes no images of {_written(size)}: {refusal}")
        self.network.train()
        for name, each in maps.items():
            if each.ndim != 4:
                raise ValueError(f"{name} of {self._name} is no map; it has {each.ndim} dimensions")
        return maps, size

    def _divides(self, maps: Mapping[str, Tensor], size: tuple[int, int]) -> int:
        """Return what sides have to be multiples of, or the network loses pixels at the border.

        Args:
            maps: Of an image of a size.
            size: The (H, W) of it.
        """

        def fill(maps: Mapping[str, Tensor], side: int) -> bool:
            each = [(maps[name], stride) for name, (_, stride) in self.feature_info.items()]
            return all(one.shape[-1] >= -(-side // stride) for one, stride in each)

        if not fill(maps, size[1]):
            return 1  # its convolutions lose some anyway
        self.network.eval()
        try:
            channels, odd = self.normalise.mean.shape[1], (size[0] + 1, size[1] + 1)
            with torch.no_grad():
                fits = fill(self._maps(torch.zeros(1, channels, *odd), self._levels), odd[1])
        except _REFUSALS:
            fits = False
        self.network.train()
        return 1 if fits else max(stride for _, stride in self.feature_info.values())

    def _to_freeze(
        self, freeze: int | str, maps: Mapping[str, Tensor], count: int
    ) -> set[nn.Parameter]:
        """Return the parameters of the first stages.

        Raises:
            ValueError: If there are not so many.
        """
        if freeze == "all":
            return {*self.network.parameters()}
        if not isinstance(freeze, int) or freeze > count:
            raise ValueError(f"freeze {freeze}: {self._name} has {count} stages")
        first = [each for name, each in maps.items() if name != FINAL][:freeze]
        return parameters_behind(first)


def _name(level: int) -> str:
    return f"stage{level + 1}"


def _chosen(stages: Sequence[int] | None, strides: Sequence[int]) -> list[int]:
    """Return the indices of the maps to return.

    Raises:
        ValueError: If there is one that the network has not.
    """
    if stages is None:
        # The last of each stride.
        return [n for n, stride in enumerate(strides) if stride not in strides[n + 1 :]]
    if not stages or max(stages) > len(strides) or len({*stages}) != len(stages):
        raise ValueError(f"stages {list(stages)}: numbers from 1 to {len(strides)}, each once")
    return sorted(stage - 1 for stage in stages)


def _written(size: Sequence[int]) -> str:
    return "x".join(map(str, size))

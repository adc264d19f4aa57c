"""Backbone from any model of timm with feature maps."""

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
from gvt.loop import evaluating

from .freezing import freeze_parameters, leave_out, parameters_behind
from .splitting import cut, twin
from .timm_networks import check_all_there, check_name, config_of, create, modules_of, strides_of

_REFUSALS = (RuntimeError, AssertionError, IndexError)
"""Errors that models raise for images of an unsupported size."""

FINAL = "final"
"""Name of the model's own last map."""


class Normalise(nn.Module):
    """Subtraction of a mean and division by a standard deviation, for each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels: int) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            fits = len(values) == channels
            each = values if fits else [sum(values) / len(values)] * channels
            self.register_buffer(name, torch.tensor(each).view(1, -1, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images, of the same shape.

        Raises:
            ValueError: If the images have another number of channels.
        """
        channels = self.mean.shape[1]
        if images.shape[1] != channels:
            raise ValueError(f"images of {images.shape[1]} channels, for a backbone of {channels}")
        return (images - self.mean) / self.std


class Timm(Backbone):
    """A model of timm (pytorch-image-models), with its own mean and standard deviation.

    Its maps are named by position, starting with `stage1`: for a ResNet `stage1` (64, 2) to
    `stage5` (512, 32), for a Swin transformer `stage1` (96, 4) to `stage4` (768, 32). If several
    have one stride, as in a ViT, only the last one is used by default. Images are padded at the
    right and the bottom to multiples of the model's stride.

    Args:
        image_shape: (C, H, W) of the images, None if sizes differ. Models for a single size are
            built for this one.
        model: Name of the model in timm, optionally with a tag: `resnet18`, `resnet18.a1_in1k`.
        pretrained: Whether to download timm's weights.
        weights: A safetensors file with timm's names, such as one from `gvt import`. Neither this
            nor `pretrained` is used when a checkpoint is loaded.
        image_channels: Channels of the images if `image_shape` is None; 3 by default. Weights for
            three channels are summed for grey images, and repeated and scaled for others; mean
            and standard deviation are then averaged over the three.
        stages: Numbers of the maps to return. Layers after the last one are removed. By default
            the last map of each stride.
        output_stride: Stride of the coarsest map; 8 and 16 dilate convolutions (Chen et al. 2017,
            https://arxiv.org/abs/1706.05587), if the model supports it.
        freeze: Number of stages, from the first, whose weights are frozen and which stay in eval
            mode; `all` for the whole model.
        freeze_norm: Whether to freeze the statistics and weights of every batch norm.
        final: Whether to return `final`, too, the last map before the classifier's average
            pooling. A linear classifier on it is the published model, if that has only a linear
            layer after the pooling, as ResNets and EfficientNets do.

    Raises:
        ValueError: If timm has no such model, it has no maps or not these stages, or weights
            are not available.
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
        self.network, self.image_size = create(
            model, channels, image_shape and image_shape[1:], output_stride, pretrained, weights
        )
        config, strides = config_of(model), strides_of(self.network)
        self._name, self._final, self._levels = model, final, _chosen(stages, strides)
        self.normalise = Normalise(config["mean"], config["std"], channels)
        if not final and hasattr(self.network, "prune_intermediate_layers"):
            self.network.prune_intermediate_layers(self._levels, prune_norm=True)
        side = -(-64 // strides[-1]) * strides[-1]
        usual = [(side, side), config["input_size"][1:]]
        maps, size = self._probed(channels, [self.image_size] if self.image_size else usual)
        stride_of = {FINAL: strides[-1], **{_name(n): s for n, s in enumerate(strides)}}
        names = [*map(_name, self._levels), *([FINAL] if final else [])]
        self.feature_info = {n: (maps[n].shape[1], stride_of[n]) for n in names}
        self._divisor = strides[-1] if self.image_size else self._required_multiple(maps, size)
        self._tried = self.image_size or (size[0] + 1, size[1] + 1)
        leave_out(self.network, parameters_behind(maps[name] for name in names))
        if weights is not None:
            check_all_there(self.network, weights, model)
        frozen = self._frozen(freeze, maps, len(strides))
        self._eval_names = freeze_parameters(self.network, frozen, freeze_norm)
        self.train()  # sets frozen modules to eval mode

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Return parameters of a small example, for the conformance kit."""
        return {"model": "test_resnet"}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps, with the size of the images divided by their stride and rounded.

        Raises:
            ValueError: If the images have another number of channels, or another size than the
                only one of the model.
        """
        height, width = images.shape[-2:]
        down, right = -height % self._divisor, -width % self._divisor
        if self.image_size not in (None, (height + down, width + right)):
            raise ValueError(
                f"{self._name} is built for images of {_written(self.image_size)} pixels, and "
                f"these have {_written((height, width))}; give data.size"
            )
        images = self.normalise(images)
        # An exported program has no branch on sizes; without padding, nothing is cut off below.
        if self._divisor == 1 or not (torch.compiler.is_exporting() or down or right):
            return self._maps(images, self._levels)
        maps = self._maps(F.pad(images, (0, right, 0, down)), self._levels)
        for name, (_, stride) in self.feature_info.items():
            maps[name] = maps[name][..., : -(-height // stride), : -(-width // stride)]
        return maps

    def split(self, stage: str) -> tuple[Backbone, nn.Module]:
        """Return the layers up to a map, and those after it.

        The layers have to follow one another, as in a ResNet, an EfficientNet, a ConvNeXt or a Swin
        transformer. Other models can be split at their last map only.
        """
        info = self.up_to(stage)
        if len(info) == len(self.feature_info):
            return self, nn.Identity()
        source, number = torch.Generator().manual_seed(0), len(info) - 1
        images = torch.rand(1, self.normalise.mean.shape[1], *self._tried, generator=source)
        images = images.to(self.normalise.mean.device)
        with evaluating(self):
            module = modules_of(self.network)[self._levels[number]]
            parts = cut(self.network, module, lambda: self(images))
            if parts is not None:
                trunk, rest = self._with(parts[0]), self._with(parts[1])
                trunk.feature_info, trunk._final = info, True
                trunk._levels, rest._levels = self._levels[: number + 1], self._levels[number:]
                later = Later(rest, stage)
                if _agree(self, trunk, later, images):
                    return trunk, later
        raise NotImplementedError(
            f"{self._name} cannot be split at {stage}, since its layers do not simply follow one "
            "another, as those of ResNet, EfficientNet, ConvNeXt and Swin do; it can be split at "
            f"{[*self.feature_info][-1]}"
        )

    def _with(self, network: nn.Module) -> Timm:
        """Return a twin with a part of the network."""
        part = twin(self)
        part.network = network
        modules = dict(network.named_modules())
        part._eval_names = tuple(name for name in self._eval_names if name in modules)
        return part

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen modules stay in eval mode."""
        super().train(mode)
        for name in self._eval_names:
            self.network.get_submodule(name).eval()
        return self

    def _maps(self, images: Tensor, levels: Sequence[int]) -> dict[str, Tensor]:
        """Return the maps of normalised images by name."""
        names = [_name(level) for level in levels]
        outputs = self.network.forward_intermediates(
            images, indices=[*levels], output_fmt="NCHW", intermediates_only=not self._final
        )
        if not self._final:
            return dict(zip(names, outputs, strict=True))
        last, maps = outputs
        if _is_nhwc(self.network):
            last = last.permute(0, 3, 1, 2).contiguous()
        return {**dict(zip(names, maps, strict=True)), FINAL: last}

    def _probed(
        self, channels: int, sizes: Sequence[tuple[int, int]]
    ) -> tuple[dict[str, Tensor], tuple[int, int]]:
        """Return all maps up to the last one, with their graph, and the size of the image.

        Raises:
            ValueError: If the model supports none of the sizes, or returns no maps.
        """
        self.network.eval()  # otherwise batch norms would count this image
        for size in sizes:
            try:
                with torch.enable_grad():
                    maps = self._maps(torch.zeros(1, channels, *size), range(self._levels[-1] + 1))
            except _REFUSALS as error:
                problem = error
                continue
            break
        else:
            raise ValueError(f"{self._name} takes no images of {_written(size)}: {problem}")
        self.network.train()
        for name, feature in maps.items():
            if feature.ndim != 4:
                raise ValueError(
                    f"{name} of {self._name} is not a map; it has {feature.ndim} dimensions"
                )
        return maps, size

    def _required_multiple(self, maps: Mapping[str, Tensor], size: tuple[int, int]) -> int:
        """Return the number that sides have to be multiples of, to lose no pixels at the border.

        Args:
            maps: Maps of an image.
            size: (H, W) of the image.
        """

        def cover(maps: Mapping[str, Tensor], side: int) -> bool:
            strides = ((name, stride) for name, (_, stride) in self.feature_info.items())
            return all(maps[name].shape[-1] >= -(-side // stride) for name, stride in strides)

        if not cover(maps, size[1]):
            return 1  # valid convolutions always lose some
        self.network.eval()
        try:
            channels, odd = self.normalise.mean.shape[1], (size[0] + 1, size[1] + 1)
            with torch.no_grad():
                fits = cover(self._maps(torch.zeros(1, channels, *odd), self._levels), odd[1])
        except _REFUSALS:
            fits = False
        self.network.train()
        return 1 if fits else max(stride for _, stride in self.feature_info.values())

    def _frozen(
        self, freeze: int | str, maps: Mapping[str, Tensor], count: int
    ) -> set[nn.Parameter]:
        """Return the parameters to freeze, those of the first stages.

        Raises:
            ValueError: If there are not that many.
        """
        if freeze == "all":
            return {*self.network.parameters()}
        if not isinstance(freeze, int) or freeze > count:
            raise ValueError(f"freeze {freeze}: {self._name} has {count} stages")
        stages = [feature for name, feature in maps.items() if name != FINAL]
        return parameters_behind(stages[:freeze])


class Later(nn.Module):
    """The layers of a model after a map.

    Args:
        backbone: Twin of the backbone with these layers only.
        stage: Name of the map.
    """

    def __init__(self, backbone: Timm, stage: str) -> None:
        super().__init__()
        self.backbone, self.stage = backbone, stage
        del backbone.normalise

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the maps of the backbone for those of the trunk.

        `final` of the trunk is its last map, without what is cut off of it.
        """
        backbone, last = self.backbone, features[FINAL]
        if _is_nhwc(backbone.network):
            last = last.permute(0, 2, 3, 1).contiguous()
        maps = backbone._maps(last, backbone._levels)
        if backbone._divisor > 1:
            height, width = features[self.stage].shape[-2:]
            stride = backbone.feature_info[self.stage][1]
            maps = {
                name: maps[name][..., : -(-height // n), : -(-width // n)]
                for name in maps
                for n in [backbone.feature_info[name][1] // stride]
            }
        return {name: (maps if name in maps else features)[name] for name in backbone.feature_info}


def _agree(backbone: Timm, trunk: nn.Module, rest: nn.Module, images: Tensor) -> bool:
    """Return whether trunk and rest compute the maps of a backbone, with the same bits."""
    try:
        maps = rest(trunk(images))
    except Exception:  # a network of another structure can raise anything
        return False
    expected = backbone(images)
    return all(torch.equal(maps[name], feature) for name, feature in expected.items())


def _is_nhwc(network: nn.Module) -> bool:
    return getattr(network, "output_fmt", "NCHW") == "NHWC"


def _name(level: int) -> str:
    return f"stage{level + 1}"


def _chosen(stages: Sequence[int] | None, strides: Sequence[int]) -> list[int]:
    """Return the indices of the maps to return.

    Raises:
        ValueError: If the model lacks one.
    """
    if stages is None:
        # The last map of each stride.
        return [n for n, stride in enumerate(strides) if stride not in strides[n + 1 :]]
    if not stages or max(stages) > len(strides) or len({*stages}) != len(stages):
        raise ValueError(f"stages {list(stages)}: give numbers from 1 to {len(strides)}, each once")
    return sorted(stage - 1 for stage in stages)


def _written(size: Sequence[int]) -> str:
    return "x".join(map(str, size))

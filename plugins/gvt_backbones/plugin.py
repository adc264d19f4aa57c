"""Components of the backbones, and the command `gvt import`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import Component, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the backbones."""
    return [
        Component(
            "backbone",
            "small_cnn",
            "gvt_backbones.small_cnn:SmallCNN",
            summary="Textbook CNN: 3x3 convolutions, ReLU and pooling, one stage for each width",
        ),
        Component(
            "backbone",
            "unet_encoder",
            "gvt_backbones.unet_encoder:UNetEncoder",
            summary="Encoder of the U-Net, of any width and depth",
        ),
        Component(
            "backbone",
            "timm",
            "gvt_backbones.timm_backbone:Timm",
            summary="Any model of timm with its weights: ResNet, EfficientNet, ConvNeXt, Swin, ViT",
        ),
        Component(
            "backbone",
            "fpn",
            "gvt_backbones.fpn:FPN",
            summary="Feature pyramid network on another backbone, with maps of equal width",
        ),
    ]


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Offer `gvt import`."""
    from .importing import import_command

    return [import_command]

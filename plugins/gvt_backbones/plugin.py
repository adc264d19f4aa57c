"""The backbones that gvt brings."""

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
            summary="3x3 convolutions, ReLU and pooling, a stage for each width",
        ),
        Component(
            "backbone",
            "unet_encoder",
            "gvt_backbones.unet_encoder:UNetEncoder",
            summary="The contracting half of the U-Net, of any width and depth",
        ),
        Component(
            "backbone",
            "timm",
            "gvt_backbones.timm_backbone:Timm",
            summary="Any network of timm: ResNets, EfficientNets, ConvNeXts, Swin, ViT; weights",
        ),
        Component(
            "backbone",
            "fpn",
            "gvt_backbones.fpn:FPN",
            summary="A feature pyramid on another backbone: maps of every stride, equally wide",
        ),
    ]


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Offer `gvt import`."""
    from .importing import import_command

    return [import_command]

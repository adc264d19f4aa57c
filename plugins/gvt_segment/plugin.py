"""What the segmentation family brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the heads, the losses and the recipes."""
    return [
        Component(
            "head",
            "unet",
            "gvt_segment.unet:UNet",
            summary="The U-Net's decoder with skips, on any backbone",
        ),
        Component(
            "head",
            "fpn",
            "gvt_segment.fpn:FPN",
            summary="A feature pyramid's levels added up and classified",
        ),
        Component(
            "head",
            "deeplab",
            "gvt_segment.deeplab:DeepLab",
            summary="DeepLabV3+: atrous separable pyramid pooling and one skip",
        ),
        Component(
            "head",
            "fcn",
            "gvt_segment.fcn:FCN",
            summary="The plain baseline: 1x1 scores of each map, added up",
        ),
        Component(
            "loss",
            "cross_entropy",
            "gvt_segment.losses:CrossEntropy",
            summary="Cross entropy of pixels, with class weights; 255 is ignored",
        ),
        Component(
            "loss",
            "dice",
            "gvt_segment.losses:Dice",
            summary="1 minus the soft Dice of the classes; 255 is ignored",
        ),
        Component(
            "loss",
            "focal",
            "gvt_segment.losses:Focal",
            summary="Cross entropy that looks away from what is certain; 255 is ignored",
        ),
        Component(
            "loss",
            "lovasz",
            "gvt_segment.losses:Lovasz",
            summary="The Lovász extension of 1 minus IoU; 255 is ignored",
        ),
        Component(
            "recipe",
            "segment.membrane",
            "gvt_segment:recipes/membrane.yaml",
            summary="Neuron membranes in electron microscopy, by a small U-Net",
        ),
        Component(
            "recipe",
            "segment.scenes",
            "gvt_segment:recipes/scenes.yaml",
            summary="Digits on textured ground, pixel by pixel; nothing to download",
        ),
        Component(
            "recipe",
            "segment.folder",
            "gvt_segment:recipes/folder.yaml",
            summary="Your own images and masks: two folders, paired by name",
        ),
    ]

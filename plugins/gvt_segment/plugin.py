"""Components of the segmentation family."""

from gvt_registry import Component, hookimpl

_CLASSES = (
    ("head", "unet", "unet:UNet", "U-Net decoder with skips, on any backbone"),
    ("head", "fpn", "fpn:FPN", "Semantic FPN: the levels of a pyramid, added and classified"),
    ("head", "deeplab", "deeplab:DeepLab", "DeepLabV3+: atrous spatial pyramid pooling, one skip"),
    ("head", "fcn", "fcn:FCN", "FCN, the simple baseline: 1x1 scores of each map, added"),
    ("loss", "cross_entropy", "losses:CrossEntropy", "Pixel cross entropy, with class weights"),
    ("loss", "dice", "losses:Dice", "Dice loss: 1 minus the soft Dice coefficient of the classes"),
    ("loss", "focal", "losses:Focal", "Focal loss: cross entropy with less weight on easy pixels"),
    ("loss", "lovasz", "losses:Lovasz", "Lovász loss: the Lovász extension of 1 minus IoU"),
)

_RECIPES = (
    ("membrane", "Neuron membrane segmentation (ISBI 2012): a small U-Net"),
    ("scenes", "Segmentation of digits on textured ground: FCN; nothing to download"),
    ("folder", "U-Net for your own images and masks: two folders, paired by name"),
)


@hookimpl
def gvt_components() -> list[Component]:
    """Return the heads, the losses and the recipes."""
    components = [
        Component(kind, name, f"gvt_segment.{target}", summary=summary)
        for kind, name, target, summary in _CLASSES
    ]
    for name, summary in _RECIPES:
        target = f"gvt_segment:recipes/{name}.yaml"
        components.append(Component("recipe", f"segment.{name}", target, summary=summary))
    return components

"""Components of the detection family."""

from gvt_registry import Component, hookimpl

_CLASSES = (
    ("head", "faster_rcnn", "FasterRCNN", "Faster R-CNN: two stages, with proposals from anchors"),
    ("head", "mask_rcnn", "MaskRCNN", "Mask R-CNN: Faster R-CNN with a mask for each object"),
    ("head", "fast_rcnn", "FastRCNN", "Fast R-CNN: class and box of proposals from the data"),
    ("head", "fcos", "FCOS", "FCOS: one stage without anchors, on a pyramid; fast"),
    ("head", "ssd", "SSD", "SSD: one stage, from default boxes on several maps"),
    ("head", "yolo_grid", "YOLOGrid", "YOLO, version 1: a grid of cells with boxes and a class"),
    ("head", "localise", "Localise", "Class and box of the single object of an image"),
    ("task", "rcnn", "RCNN", "R-CNN: proposals cropped and classified one by one; for teaching"),
    ("dataset", "proposals", "WithProposals", "Proposals for another data set, computed once"),
)

_RECIPES = (
    ("detect.bccd", "Blood cell detection (BCCD): Faster R-CNN, ResNet-18 pyramid"),
    ("detect.bccd_fast", "Blood cell detection (BCCD): FCOS, EfficientNet-Lite0, in half the time"),
    ("detect.scenes", "Boxes and masks of digits: Mask R-CNN; nothing to download"),
    ("detect.scenes_yolo", "Boxes of digits: YOLO, version 1; nothing to download"),
    ("detect.voc", "Faster R-CNN for your own images, with boxes in Pascal VOC's XML"),
    ("detect.coco", "Mask R-CNN for your own images, with boxes and masks in COCO's JSON"),
    ("detect.yolo", "Faster R-CNN for your own images, with boxes in YOLO's text files"),
    ("localise.scenes", "Class and box of a single digit; nothing to download"),
)


@hookimpl
def gvt_components() -> list[Component]:
    """Return the heads, the task, the data set and the recipes."""
    components = [
        Component(kind, name, f"gvt_detect.{name}:{class_name}", summary=summary)
        for kind, name, class_name, summary in _CLASSES
    ]
    for name, summary in _RECIPES:
        file = name.removeprefix("detect.").replace(".", "_")
        target = f"gvt_detect:recipes/{file}.yaml"
        components.append(Component("recipe", name, target, summary=summary))
    return components


@hookimpl
def gvt_fields() -> dict[str, str]:
    """Return the field of proposals."""
    return {"proposals": "gvt_detect.proposal_field:ProposalField"}

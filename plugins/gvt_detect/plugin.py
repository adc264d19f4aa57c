"""What the detection family brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the heads and the recipes."""
    return [
        Component(
            "head",
            "faster_rcnn",
            "gvt_detect.faster_rcnn:FasterRCNN",
            summary="Boxes in two stages: proposals, then a classifier of each; on any backbone",
        ),
        Component(
            "head",
            "mask_rcnn",
            "gvt_detect.mask_rcnn:MaskRCNN",
            summary="Faster R-CNN with a mask of each object",
        ),
        Component(
            "recipe",
            "detect.bccd",
            "gvt_detect:recipes/bccd.yaml",
            summary="Blood cells of three kinds under the microscope",
        ),
        Component(
            "recipe",
            "detect.scenes",
            "gvt_detect:recipes/scenes.yaml",
            summary="Digits on textured ground with boxes and masks; nothing to download",
        ),
        Component(
            "recipe",
            "detect.voc",
            "gvt_detect:recipes/voc.yaml",
            summary="Your own pictures with boxes in Pascal VOC's XML",
        ),
        Component(
            "recipe",
            "detect.coco",
            "gvt_detect:recipes/coco.yaml",
            summary="Your own pictures with boxes and masks in COCO's JSON",
        ),
        Component(
            "recipe",
            "detect.yolo",
            "gvt_detect:recipes/yolo.yaml",
            summary="Your own pictures with boxes in YOLO's text files",
        ),
    ]

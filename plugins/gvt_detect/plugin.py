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
            "head",
            "fast_rcnn",
            "gvt_detect.fast_rcnn:FastRCNN",
            summary="Fast R-CNN: class and box of proposals that come from outside",
        ),
        Component(
            "head",
            "fcos",
            "gvt_detect.fcos:FCOS",
            summary="Boxes in one stage and without anchors: fast; on a pyramid",
        ),
        Component(
            "head",
            "ssd",
            "gvt_detect.ssd:SSD",
            summary="Boxes in one stage, from default boxes on several maps",
        ),
        Component(
            "head",
            "yolo_grid",
            "gvt_detect.yolo_grid:YOLOGrid",
            summary="The first YOLO: a grid of cells, each with boxes and a class",
        ),
        Component(
            "head",
            "localise",
            "gvt_detect.localise:Localise",
            summary="The one object of an image: its class and its box",
        ),
        Component(
            "task",
            "rcnn",
            "gvt_detect.rcnn:RCNN",
            summary="R-CNN: each proposal cropped and sent through the network; for teaching",
        ),
        Component(
            "dataset",
            "proposals",
            "gvt_detect.proposals:WithProposals",
            summary="Another data set with boxes that may hold an object, computed once and kept",
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
        Component(
            "recipe",
            "detect.bccd_fast",
            "gvt_detect:recipes/bccd_fast.yaml",
            summary="Blood cells, found in one stage, in about half of the time",
        ),
        Component(
            "recipe",
            "detect.scenes_yolo",
            "gvt_detect:recipes/scenes_yolo.yaml",
            summary="Digits on textured ground by the first YOLO; nothing to download",
        ),
        Component(
            "recipe",
            "localise.scenes",
            "gvt_detect:recipes/localise_scenes.yaml",
            summary="The one digit of a picture: which it is, and where; nothing to download",
        ),
    ]

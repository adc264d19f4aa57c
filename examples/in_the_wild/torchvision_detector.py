"""A complete detector of torchvision as a task, with its own losses and predictions.

python examples/in_the_wild/torchvision_detector.py

The detector does not compute losses in eval mode, so an evaluation has only metrics.
"""

import sys

from torchmetrics.detection import IntersectionOverUnion
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

import gvt


@gvt.register("task", "faster_rcnn", summary="torchvision's Faster R-CNN, MobileNet v3, FPN")
class FasterRCNN(gvt.Task):
    phases = (gvt.Phase("detection", trains="model"),)

    def __init__(self, num_classes, side: int = 128):
        super().__init__()
        self.model = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=num_classes + 1,  # torchvision's 0 is the background
            min_size=side,
            max_size=side,
            rpn_post_nms_top_n_train=100,  # small images do not need thousands of proposals
            box_batch_size_per_image=32,
        )

    def forward(self, phase, batch, step):
        pairs = zip(batch.targets["boxes"], batch.targets["labels"], strict=True)
        targets = [{"boxes": boxes, "labels": labels + 1} for boxes, labels in pairs]
        return self.model(unpadded(batch), targets)

    def predict(self, batch):
        predictions = self.model(unpadded(batch))
        return [{**p, "labels": p["labels"] - 1} for p in predictions]

    def metric(self):
        return IntersectionOverUnion(respect_labels=False)


def unpadded(batch):
    """Return the images without padding, as a list."""
    return [i[:, :h, :w] for i, (h, w) in zip(batch.images, batch.frame.sizes, strict=True)]


RECIPE = {
    "recipe": "detector",
    "task": {"name": "faster_rcnn"},
    "data": {
        "name": "scenes",
        "size": 64,
        "objects": [1, 2],
        "digit_size": [20, 40],
        "count": 400,
        "targets": ["boxes", "labels"],
        "batch_size": 4,
        "workers": 0,
    },
    "optimizers": {"model": {"name": "AdamW", "lr": 3e-4}},
    "train": {"steps": 150, "precision": "float32", "clip_norm": 10},
    "evaluate": {"split": "test", "every": None},
}

if __name__ == "__main__":
    run = gvt.run(RECIPE, *sys.argv[1:])
    print(f"IoU on test digits: {run.metrics['test/iou']:.3f}")

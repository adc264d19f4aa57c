"""R-CNN: each proposal is cropped and classified by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder

from gvt import Backbone, Batch, Deployed, Frame, PassedTo, Phase, Step, Task

from .crops import crops
from .detections import Selection, detections, filled_up
from .metrics import DetectionMetric, mistakes
from .proposing import Proposer, proposals_of
from .rcnn_examples import Examples, sampled
from .rpn import full_precision
from .svm import hinge_loss, scores_of
from .types import Share


class RCNN(Task):
    """R-CNN on any backbone: proposals are cropped, warped, classified and refined.

    Girshick et al. 2014, https://arxiv.org/abs/1311.2524. The successive trainings of the paper
    are phases of each iteration here. `network` trains the backbone by a softmax over the classes
    and the background, `svm` fits linear support vector machines to the backbone's features, and
    `boxes` fits the box regression of each class by least squares. The latter two do not change
    the backbone. The paper's C and lambda are the weight decay of the optimisers. A score is the
    softmax's, or the logistic function of 3 m for an SVM with margin m.

    It is slow by design. Fast R-CNN does the same with one pass of the backbone.

    Args:
        backbone: Backbone applied to the crops.
        num_classes: Number of classes.
        classifier: Classifier for predictions: `svm`, as in the paper, or `softmax`.
        crop: Side in pixels of the square crops.
        cells: Cells along each side to which the coarsest map is averaged. With a single cell the
            position of a box relative to its object is hardly visible.
        context: Pixels on each side of a crop that show the surroundings of the proposal.
        proposer: Method that creates proposals if the data has none.
        proposals: Most proposals of an image.
        roi_iou: Smallest IoU at which a proposal has the object's class for the softmax; below it
            is background.
        roi_batch: Proposals of an image to train on, in addition to its true boxes.
        roi_positive: Largest share of objects among them.
        svm_iou: IoU with all objects of a class below which a proposal is a negative example of
            its SVM. True boxes are the positive examples; other proposals are ignored.
        box_iou: Smallest IoU at which a proposal trains the box regression.
        chunk: Crops in one pass of the backbone in predictions.
        nms: IoU above which the box with the lower score of two of a class is dropped.
        **selection: Parameters of `Selection`.

    Raises:
        ValueError: If the data has no classes, or the context leaves no room for the proposal.
    """

    needs = ("boxes", "labels")

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        classifier: Literal["svm", "softmax"] = "svm",
        crop: PositiveInt = 224,
        context: NonNegativeInt = 16,
        cells: PositiveInt = 2,
        proposer: Proposer = "selective_search",
        proposals: PositiveInt = 2000,
        roi_iou: Share = 0.5,
        roi_batch: PositiveInt = 128,
        roi_positive: Share = 0.25,
        svm_iou: Share = 0.3,
        box_iou: Share = 0.6,
        chunk: PositiveInt = 128,
        nms: Share = 0.3,
        **selection: Annotated[Any, PassedTo(Selection)],
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError("num_classes: R-CNN needs boxes with classes, and the data has none")
        if 2 * context >= crop:
            raise ValueError(
                f"context {context} on both sides leaves nothing of a crop of {crop} pixels; "
                "give less than half of it"
            )
        self.num_classes, self.crop, self.context, self.cells = num_classes, crop, context, cells
        self.proposer, self.proposals, self.chunk = proposer, proposals, chunk
        self.roi_iou, self.svm_iou, self.box_iou = roi_iou, svm_iou, box_iou
        self.selection = Selection(nms=nms, **selection)
        self.backbone = backbone
        self.map, (channels, _) = list(backbone.feature_info.items())[-1]
        self.width = channels * cells**2
        self.classifier = nn.Linear(self.width, 1 + num_classes)  # the background is the first
        self.svm = nn.Linear(self.width, num_classes) if classifier == "svm" else None
        self.regressor = nn.Linear(self.width, 4 * num_classes)
        nn.init.normal_(self.regressor.weight, std=1e-3)
        nn.init.zeros_(self.regressor.bias)
        network = Phase("network", trains=("backbone", "classifier"), optimizer="network")
        machines = (Phase("svm", trains="svm"),) if self.svm is not None else ()
        self.phases = (network, *machines, Phase("boxes", trains="regressor", optimizer="boxes"))
        self._sampler = BalancedPositiveNegativeSampler(roi_batch, roi_positive)
        # The paper's targets, scaled to a variance of about 1 as in the authors' code.
        self._coder = BoxCoder((10.0, 10.0, 5.0, 5.0))

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, for the conformance kit."""
        small = {"crop": 16, "context": 2, "proposer": "windows", "proposals": 60}
        return {**small, "roi_batch": 24, "box_iou": 0.4}  # few proposals overlap much

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the loss of a phase by its name; {} if the batch has nothing to train on.

        The regions are sampled, and passed through the backbone, once an iteration.
        """
        if "examples" not in step.memo:
            step.memo["examples"] = self._examples(batch)
        examples, vectors = step.memo["examples"]
        if not len(vectors):
            return {}
        with full_precision(vectors.device):
            if phase == "network":
                classes = (examples.labels + 1).where(examples.iou >= self.roi_iou, 0)
                return {"network": F.cross_entropy(self.classifier(vectors), classes)}
            if phase == "svm":
                margins = self.svm(vectors.detach())  # type: ignore[misc]
                return {"svm": hinge_loss(margins, examples.sides(self.svm_iou))}
            return self._box_loss(vectors.detach(), examples)

    def predict(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the `boxes`, `labels` and `scores` of each image, by descending score."""
        predictions = []
        with torch.no_grad():  # or the feature maps of all crops would be kept
            proposals = proposals_of(batch, self.proposer, self.proposals)
            for image, boxes in zip(_unpadded(batch), proposals, strict=True):
                parts = boxes.split(self.chunk)
                vectors = [self._vectors(self._crops(image, part)) for part in parts]
                with full_precision(boxes.device):
                    predictions.append(self._detections(torch.cat(vectors), boxes, image))
        return predictions

    def predicts(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of the predictions."""
        return {"": ("boxes", "labels", "scores")}

    def deployed(self) -> Deployed:
        """Return the task with proposals as an input, (N, P, 4) in pixels; zeros are left out.

        It cannot be exported as a graph, since crops are classified image by image.
        """
        return Deployed(
            _OfProposals(self),
            {key: key for key in ("image", "proposals")},
            {key: key for key in ("boxes", "labels", "scores")},
            {
                "image": {0: "batch", 2: "height", 3: "width"},
                "proposals": {0: "batch", 1: "proposals"},
            },
        )

    def evaluate(
        self, batch: Batch, step: Step
    ) -> tuple[list[dict[str, Any]], dict[str, tuple[Tensor, int]]]:
        """Return the predictions, and the losses with the number of images with true boxes."""
        losses: dict[str, tuple[Tensor, int]] = {}
        labelled = self._labelled(batch)
        if labelled is not None:
            for phase in self.phases:
                phase_losses = self(phase.name, labelled, step)
                losses |= {name: (loss, len(labelled)) for name, loss in phase_losses.items()}
        return self.predict(batch), losses

    def metric(self) -> DetectionMetric:
        """Return COCO's average precision, over the images with true boxes."""
        return _LabelledMetric(self.num_classes)

    def errors(
        self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Return 1 - F1 of each image's confident detections, 0 without true boxes."""
        errors = torch.zeros(len(targets))
        rows = [i for i, target in enumerate(targets) if set(self.needs) <= target.keys()]
        errors[rows] = mistakes([predictions[i] for i in rows], [targets[i] for i in rows])
        return {"": errors}

    def _labelled(self, batch: Batch) -> Batch | None:
        """Return the images of a batch with boxes and labels; None if there are none."""
        if batch.targets is None:
            return None
        rows = batch.targets.rows_with(self.needs, len(batch))
        if rows is None:
            return batch
        return batch.select(rows) if len(rows) else None

    def _examples(self, batch: Batch) -> tuple[Examples | None, Tensor]:
        """Return the R regions of a batch to train on, and their vectors (R, D)."""
        labelled = self._labelled(batch)
        if labelled is None or labelled.targets is None:
            return None, batch.images.new_zeros(0, self.width)
        samples: list[Examples] = []
        cut: list[Tensor] = []
        for image, proposals, boxes, labels in zip(
            _unpadded(labelled),
            proposals_of(labelled, self.proposer, self.proposals),
            labelled.targets["boxes"],
            labelled.targets["labels"],
            strict=True,
        ):
            examples = sampled(
                proposals, boxes, labels, self.num_classes, self._sampler, self.roi_iou
            )
            samples.append(examples)
            cut.append(self._crops(image, examples.boxes))
        return Examples(*map(torch.cat, zip(*samples, strict=True))), self._vectors(torch.cat(cut))

    def _crops(self, image: Tensor, boxes: Tensor) -> Tensor:
        return crops(image, boxes, self.crop, self.context)

    def _vectors(self, images: Tensor) -> Tensor:
        """Return the backbone's averaged features of crops, flattened, (R, D) float32."""
        if not len(images):
            return images.new_zeros(0, self.width)
        features: Tensor = self.backbone(images)[self.map]
        return F.adaptive_avg_pool2d(features.float(), self.cells).flatten(1)

    def _box_loss(self, vectors: Tensor, examples: Examples) -> dict[str, Tensor]:
        """Return the mean squared error of the box regression, over proposals on objects."""
        rows = (~examples.is_true & (examples.iou >= self.box_iou)).nonzero().flatten()
        if not len(rows):
            return {}
        deltas = self.regressor(vectors[rows]).view(len(rows), -1, 4)
        predicted = deltas[torch.arange(len(rows), device=rows.device), examples.labels[rows]]
        targets = self._coder.encode_single(examples.matched[rows], examples.boxes[rows])
        return {"boxes": F.mse_loss(predicted, targets)}

    def _detections(self, vectors: Tensor, boxes: Tensor, image: Tensor) -> dict[str, Any]:
        if self.svm is not None:
            scores = scores_of(self.svm(vectors))
        else:
            scores = self.classifier(vectors).softmax(dim=1)[:, 1:]
        moved = self._coder.decode_single(self.regressor(vectors), boxes)
        return detections(
            moved.view(len(boxes), self.num_classes, 4),
            scores,
            (image.shape[-2], image.shape[-1]),
            self.selection,
        )


class _OfProposals(nn.Module):
    """R-CNN as a function of images and proposals."""

    def __init__(self, task: RCNN) -> None:
        super().__init__()
        self.task = task

    def forward(self, images: Tensor, proposals: Tensor) -> tuple[Tensor, ...]:
        """Return boxes (N, D, 4), labels (N, D) and scores (N, D), labels filled up with -1."""
        batch = Batch({"image": images, "proposals": proposals}, Frame.of(images))
        predictions = self.task.predict(batch)
        return (*filled_up(predictions, self.task.selection.max_detections).values(),)


class _LabelledMetric(DetectionMetric):
    """Detection metric over the images with true boxes."""

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add the images of a batch with boxes and labels."""
        rows = [i for i, target in enumerate(targets) if set(RCNN.needs) <= target.keys()]
        super().update([predictions[i] for i in rows], [targets[i] for i in rows])


def _unpadded(batch: Batch) -> Iterator[Tensor]:
    """Yield the images without padding, (C, H, W) each."""
    for image, (height, width) in zip(batch.images, batch.frame.sizes, strict=True):
        yield image[:, :height, :width]

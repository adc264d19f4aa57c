"""A plugin whose networks see single pixels, so that what they should say is known."""

import numpy as np
import torch
import torch.nn.functional as F
from skimage import measure
from torch import nn

import gvt
from gvt_registry import Component, hookimpl

NAMES = {"dark": 0, "grey": 1, "light": 2}


@hookimpl
def gvt_components():
    """Offer what segments pictures by their brightness."""
    parts = (
        ("dataset", "shades", "Shades"),
        ("backbone", "pixels", "Pixels"),
        ("head", "shade", "Shade"),
        ("head", "at_least", "AtLeast"),
        ("head", "whole", "Whole"),
        ("head", "things", "Things"),
        ("head", "anything", "Anything"),
    )
    names = [Component(kind, name, f"{__name__}:{target}") for kind, name, target in parts]
    return [*names, *(Component("recipe", n, target=recipe) for n, recipe in RECIPES.items())]


class Shades:
    """Pictures of stripes of three shades; `class` is the shade of the middle."""

    splits = ("train", "val")

    def __init__(self, split, channels: int = 3, size: int | None = None, reads: bool = True,
                 background: bool = False, classes: int = 3):  # fmt: skip
        self.classes = [*NAMES, *map(str, range(3, classes))][: 2 if background else classes]
        self.background = background
        side = size or 24
        self.image_shape = (channels, side, side) if size or not reads else None
        if reads:
            self.reader = gvt.PictureReader(channels, (size, size) if size else None)
        self._shape, self._split = (channels, side, side), split

    def __len__(self):
        return 12

    def __getitem__(self, index):
        generator = gvt.random_source(0, "shades", self._split, index)
        edges = torch.randint(4, self._shape[2] - 4, (2,), generator=generator).sort().values
        semantic = (torch.arange(self._shape[2])[:, None] >= edges).sum(1).expand(self._shape[1:])
        noise = torch.rand(self._shape, generator=generator) * 0.1
        image = (semantic * 0.4 + 0.05 + noise).float()
        masks = torch.stack([semantic >= n for n in range(len(self.classes))])
        middle = semantic[0, self._shape[2] // 2].clamp(max=len(self.classes) - 1)
        targets = {"semantic": semantic.clone(), "class": middle, "masks": masks,
                   "labels": torch.arange(len(self.classes))}  # fmt: skip
        return gvt.Sample(
            {"image": image}, targets, gvt.Record(f"{self._split} {index}", self._shape[1:])
        )


class Pixels(gvt.Backbone):
    """The image itself and its square; of images smaller than its stride nothing is left."""

    def __init__(self, image_shape: tuple[int, int, int] | None = None, stride: int = 1):
        super().__init__()
        channels = image_shape[0] if image_shape else 3
        self.feature_info = {"pixels": (2 * channels, stride)}

    def forward(self, images):
        (_, stride), *_ = self.feature_info.values()
        assert min(images.shape[-2:]) >= stride
        return {"pixels": torch.cat([images, images.square()], dim=1)}


class Shade(gvt.Head):
    """A dense layer a pixel: its class, or none."""

    needs = ("semantic",)

    def __init__(self, feature_info, num_classes: int, background: bool, weights: float = 0.0):
        super().__init__()
        (channels, _), *_ = feature_info.values()
        self.count = num_classes + background
        self.layer = nn.Conv2d(channels, self.count, 1)
        if weights:
            set_nearest(self.layer, channels, weights)

    def forward(self, features, batch):
        return self.layer(features["pixels"])

    def loss(self, outputs, targets):
        return {"ce": F.cross_entropy(outputs.float(), targets["semantic"], ignore_index=255)}

    def predict(self, outputs):
        return [self.decide(s) for s in outputs.float().softmax(dim=1)]

    def metric(self):
        return Table(self.count)

    def errors(self, predictions, targets):
        pairs = zip(predictions, targets, strict=True)
        return torch.stack([(p["semantic"] != t["semantic"]).float().mean() for p, t in pairs])


def set_nearest(layer, channels, sharpness):
    """Set a layer's weights so that the class of the nearest brightness m is the likeliest.

    The logit of brightness x is -(x - m)^2 = 2 m x - x^2 - m^2, and the layer sees x and x^2.
    """
    count, colours = len(layer.bias), channels // 2
    means = (torch.arange(count) + 0.5) / count
    linear = (2 * means)[:, None].expand(-1, colours)
    both = torch.cat([linear, -torch.ones(count, colours)], dim=1) * sharpness / colours
    with torch.no_grad():
        layer.weight.copy_(both.reshape(layer.weight.shape))
        layer.bias.copy_(-sharpness * means.square())


class Table:
    """Of each class its intersection over union, and the confusion matrix."""

    def __init__(self, count):
        from torchmetrics.classification import MulticlassConfusionMatrix

        self._metric = MulticlassConfusionMatrix(count, ignore_index=255)

    def to(self, device):
        self._metric.to(device)

    def update(self, predictions, targets):
        for said, truth in zip(predictions, targets, strict=True):
            assert "scores" not in said  # of pixels, in the canvas's size
            self._metric.update(said["semantic"], truth["semantic"])

    def compute(self):
        table = self._metric.compute()
        both = table.diagonal()
        iou = both / (table.sum(0) + table.sum(1) - both)
        return {"iou": iou, "mean_iou": iou.nanmean(), "confusion": table}


class AtLeast(gvt.Head):
    """Of each pixel every shade that it is at least as light as."""

    needs = ("masks", "labels")

    def __init__(self, feature_info, num_classes: int):
        super().__init__()
        (channels, _), *_ = feature_info.values()
        self.layer = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features, batch):
        return self.layer(features["pixels"])

    def loss(self, outputs, targets):
        truth = torch.stack(list(targets["masks"])).float()
        return {"bce": F.binary_cross_entropy_with_logits(outputs.float(), truth)}

    def predict(self, outputs):
        return [self.decide(s) for s in outputs.float().sigmoid()]

    def decide(self, scores):
        return {"masks": scores > 0.5, "labels": torch.arange(len(scores)), "scores": scores}


class Whole(gvt.Head):
    """Of the whole picture its class, or all labels with a score above 0.4."""

    needs = ("class",)

    def __init__(self, feature_info, num_classes: int, several: bool = False, weights: float = 0.0):
        super().__init__()
        (channels, _), *_ = feature_info.values()
        self.layer, self.several = nn.Linear(channels, num_classes), several
        if weights:
            set_nearest(self.layer, channels, weights)

    def forward(self, features, batch):
        # Of the left half only, so that a flipped picture is another one.
        half = features["pixels"].shape[-1] // 2
        return self.layer(features["pixels"][..., :half].mean(dim=(2, 3)))

    def loss(self, outputs, targets):
        return {"ce": F.cross_entropy(outputs.float(), targets["class"])}

    def predict(self, outputs):
        scores = outputs.float()
        if self.several:
            return [{"labels": (s > 0.4).nonzero().flatten(), "scores": s}
                    for s in scores.sigmoid()]  # fmt: skip
        return [{"class": s.argmax(), "scores": s} for s in scores.softmax(dim=1)]


class Things(gvt.Head):
    """Connected pixels that are not black are one thing, surer the larger, its class its shade."""

    needs = ("boxes", "labels")

    def __init__(self, feature_info, num_classes: int, masks: bool = False, broken: bool = False):
        super().__init__()
        self.count, self.masks, self.broken = num_classes, masks, broken

    def forward(self, features, batch):
        pixels = features["pixels"]
        return pixels[:, : pixels.shape[1] // 2].mean(dim=1)

    def loss(self, outputs, targets):
        return {}

    def predict(self, outputs):
        return [self.found(image.cpu().numpy()) for image in outputs]

    def found(self, image):
        places = measure.label(image > 0.15, connectivity=1)
        things = measure.regionprops(places, intensity_image=image)
        things.sort(key=lambda thing: -thing.num_pixels)
        areas = torch.tensor([thing.num_pixels for thing in things], dtype=torch.float32)
        shades = torch.tensor([float(np.median(image[places == t.label])) for t in things])
        boxes = [[t.bbox[1], t.bbox[0], t.bbox[3], t.bbox[2]] for t in things]
        found = {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": (shades * self.count).round().long() - 1,
            "scores": areas / (areas + 100) * (float("nan") if self.broken else 1),
        }
        if self.masks:
            masks = [torch.from_numpy(places == thing.label) for thing in things]
            empty = torch.zeros(0, *image.shape, dtype=torch.bool)
            found["masks"] = torch.stack(masks) if masks else empty
        return found


class Anything(Whole):
    """Says something that is of neither pictures nor pixels."""

    def predict(self, outputs):
        return [{"boxes": torch.zeros(0, 4)} for _ in outputs]


TRAINING = {
    "task": {"name": "heads"},
    "backbone": {"name": "pixels"},
    "optimizers": {"model": {"name": "Adam", "lr": 0.1}},
    "train": {"steps": 60, "precision": "float32"},
}
SHADES = {"name": "shades", "batch_size": 4, "workers": 0}
RECIPES = {
    "pixels.shade": {**TRAINING, "data": SHADES, "heads": {"where": {"name": "shade"}},
                     "evaluate": {"split": "val"}},
    "pixels.at_least": {**TRAINING, "data": SHADES, "heads": {"where": {"name": "at_least"}}},
    "pixels.both": {**TRAINING, "data": SHADES,
                    "heads": {"where": {"name": "shade"}, "what": {"name": "whole"}}},
    "pixels.whole": {**TRAINING, "data": {**SHADES, "size": 24},
                     "heads": {"what": {"name": "whole"}}},
    "pixels.things": {**TRAINING, "data": SHADES, "heads": {"what": {"name": "things"}}},
    "pixels.anything": {**TRAINING, "data": SHADES, "heads": {"what": {"name": "anything"}}},
}  # fmt: skip

"""A plugin with pictures of squares, and a head that finds what is bright, nearly as it is."""

import torch

import gvt
from gvt_detect.metrics import DetectionMetric, mistakes
from gvt_registry import Component, hookimpl

CLASSES = ["red", "green", "blue"]
SIZE, CANVAS = (60, 80), (30, 40)


@hookimpl
def gvt_components():
    """Offer the data, the heads, and recipes of them."""
    parts = (
        ("dataset", "squares", "Squares"),
        ("head", "bright", "Bright"),
        ("head", "unmeasured", "Unmeasured"),
    )
    names = [Component(kind, name, f"{__name__}:{target}") for kind, name, target in parts]
    return [*names, *(Component("recipe", n, target=recipe) for n, recipe in RECIPES.items())]


class Squares:
    """A square of some of three colours; what is said to be true lies a little beside it.

    The pictures are half as large as their originals.
    """

    splits = ("train", "val", "test")

    def __init__(self, split, names: list[str] | None = None, numbers: list[int] | None = None):
        self.classes = names or CLASSES
        self.image_shape = (3, *CANVAS)
        self._split = split
        if numbers:
            self.category_ids = numbers

    def __len__(self):
        return 7

    def __getitem__(self, index):
        source = gvt.random_source(0, "squares", self._split, index)
        image = 0.2 * torch.rand(3, *CANVAS, generator=source)
        # One picture has nothing on it.
        labels = (torch.rand(3, generator=source) < 0.7 * (index != 3)).nonzero().flatten()
        boxes = torch.zeros(len(labels), 4)
        masks = torch.zeros(len(labels), *CANVAS, dtype=torch.uint8)
        for row, label in enumerate(labels.tolist()):
            left, top = (int(torch.randint(2, n, (), generator=source)) for n in (24, 14))
            side = int(torch.randint(6, 14, (), generator=source))
            light = 0.6 + 0.4 * torch.rand((), generator=source)
            image[label, top : top + side, left : left + side] = light
            beside = torch.randint(-2, 3, (4,), generator=source)
            boxes[row] = torch.tensor([left, top, left + side, top + side]) + beside
            x, y, right, bottom = boxes[row].int().tolist()
            masks[row, y:bottom, x:right] = 1
        half = torch.diag(torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64))
        record = gvt.Record(f"squares/{self._split}/{index}.png", SIZE, half, id=index + 1)
        targets = {"boxes": boxes, "labels": labels, "masks": masks, "class": torch.tensor(0)}
        return gvt.Sample(image, targets, record)


class Bright(gvt.Head):
    """Finds of each colour where it is bright."""

    needs = ("boxes", "labels")

    def __init__(self, feature_info, num_classes: int, masks: bool = False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self._classes, self._masks = num_classes, masks

    def forward(self, features, batch):
        return batch.images

    def loss(self, outputs, targets):
        return {"none": self.weight.square()}

    def predict(self, outputs):
        return [self._found(image) for image in outputs.float()]

    def _found(self, image):
        boxes, labels, scores, masks = [], [], [], []
        for label, channel in enumerate(image):
            bright = channel > 0.5
            if bright.any():
                rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
                boxes.append([int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])])
                labels.append(label)
                scores.append(float(channel[bright].mean()))
                masks.append(bright)
        order = torch.tensor(scores).argsort(descending=True)
        found = {
            "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4)[order],
            "labels": torch.tensor(labels, dtype=torch.int64)[order],
            "scores": torch.tensor(scores)[order],
        }
        if self._masks:
            found["masks"] = torch.stack(masks)[order] if masks else torch.zeros(0, *CANVAS) > 0
        return found

    def metric(self):
        return DetectionMetric(self._classes, self._masks)

    def errors(self, predictions, targets):
        return mistakes(predictions, targets)


class Unmeasured(Bright):
    """The same, and nobody asks how good it is."""

    def metric(self):
        return None


def recipe(**heads):
    return {
        "task": {"name": "heads"},
        "data": {"name": "squares", "batch_size": 3},
        "backbone": {"name": "small_cnn", "widths": [2]},
        "heads": heads,
        "optimizers": {"model": {"name": "SGD", "lr": 0.0}},
        "train": {"steps": 1},
        "evaluate": {"split": "val", "final": "test"},
        "device": "cpu",
    }


RECIPES = {
    "squares.boxes": recipe(squares={"name": "bright"}),
    "squares.masks": recipe(squares={"name": "bright", "masks": True}),
    "squares.several": recipe(squares={"name": "bright"}, name={"name": "classifier"}),
    "squares.names": recipe(name={"name": "classifier"}),
    "squares.unmeasured": recipe(squares={"name": "unmeasured"}),
}

"""A plugin with pictures of squares, and a head that finds what is bright, nearly as it is."""

import torch
from torchvision.ops import box_iou

import gvt
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

    def __init__(
        self,
        split,
        names: list[str] | None = None,
        numbers: list[int] | None = None,
        numbered: bool = True,
        count: int = 7,
    ):
        self.classes = names or CLASSES
        self.image_shape = (3, *CANVAS)
        self._split, self._numbered, self._count = split, numbered, count
        if numbers:
            self.category_ids = numbers

    def __len__(self):
        return self._count

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
        number = index + 1 if self._numbered else None
        record = gvt.Record(f"squares/{self._split}/{index}.png", SIZE, half, id=number)
        targets = {"boxes": boxes, "labels": labels, "masks": masks, "class": torch.tensor(0)}
        return gvt.Sample({"image": image}, targets, record)


class Overlap:
    """How much of what is true is covered by the best of what is found: the mean IoU."""

    def __init__(self, num_classes, masks):
        self._masks, self._classes = masks, num_classes
        self._found = {"": [], "mask_": []}
        self._scores = [[] for _ in range(num_classes)]

    def to(self, device):
        return self

    def update(self, predictions, targets):
        for said, truth in zip(predictions, targets, strict=True):
            for label, score in zip(said["labels"].tolist(), said["scores"].tolist(), strict=True):
                self._scores[label].append(score)
            overlaps = {"": box_iou(truth["boxes"], said["boxes"])}
            if self._masks and "masks" in said:
                overlaps["mask_"] = mask_iou(truth["masks"], said["masks"])
            for prefix, iou in overlaps.items():
                best = best_of(iou, said, truth)
                self._found[prefix] += zip(truth["labels"].tolist(), best.tolist(), strict=True)

    def compute(self):
        found = {}
        for prefix, pairs in self._found.items():
            if not prefix or (self._masks and pairs):
                of_class = [[iou for n, iou in pairs if n == k] for k in range(self._classes)]
                found[f"{prefix}overlap"] = torch.tensor([iou for _, iou in pairs]).mean()
                found[f"{prefix}overlap_class"] = torch.stack(
                    [torch.tensor(values).mean() for values in of_class]
                )
        least = torch.linspace(0, 1, 11)
        counts = [[sum(s >= x for s in scores) for x in least.tolist()] for scores in self._scores]
        counts = torch.tensor(counts, dtype=torch.float32)
        return {**found, "sure": gvt.Curves(least, counts, ("score", "objects"))}


def mask_iou(one, other):
    one, other = (masks.flatten(1).double() for masks in (one, other))
    shared = one @ other.T
    return shared / (one.sum(1)[:, None] + other.sum(1) - shared)


def best_of(iou, said, truth):
    """Return of each true object the IoU with the best of its class, 0 where there is none."""
    iou = iou * (truth["labels"][:, None] == said["labels"])
    return iou.amax(1) if iou.shape[1] else torch.zeros(len(iou))


class Bright(gvt.Head):
    """Finds of each colour where it is bright."""

    needs = ("boxes", "labels")

    def __init__(self, feature_info, num_classes: int, masks: bool = False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self._classes, self._masks = num_classes, masks
        if masks:
            self.needs = (*self.needs, "masks")

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
        return Overlap(self._classes, self._masks)

    def errors(self, predictions, targets):
        pairs = zip(predictions, targets, strict=True)
        best = [best_of(box_iou(t["boxes"], p["boxes"]), p, t) for p, t in pairs]
        return torch.stack([1 - found.mean() if len(found) else torch.zeros(()) for found in best])


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

"""A data set for the examples here: a digit of MNIST somewhere on a larger canvas, in colour."""

import torch

import gvt

SIDE = 64


@gvt.register("dataset", "scenes", summary="A digit somewhere on a canvas, with all its targets")
class Scenes:
    """Pictures (3, 64, 64) with `class`, `semantic`, `boxes` and `labels` of their one digit.

    Args:
        split: `train` or `test`.
        count: How many.
    """

    splits = ("train", "test")
    image_shape = (3, SIDE, SIDE)
    classes = tuple("0123456789")

    def __init__(self, split: str, count: int = 1000):
        self.split, self.count = split, count
        self.digits = gvt.create("dataset", "mnist", split=split)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        digit = self.digits[index]
        label, pixels = int(digit.targets["class"]), digit.image[0]
        # Drawn from its place alone, so that workers, order and resuming change nothing.
        random = gvt.random_source(0, "scenes", self.split, index)
        top, left = torch.randint(SIDE - 28, (2,), generator=random).tolist()
        image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
        image[:, top : top + 28, left : left + 28] = pixels
        ink = image[0] > 127
        y, x = ink.nonzero().unbind(1)
        targets = {
            "class": torch.tensor(label),
            "semantic": torch.where(ink, label, 255),  # 255: nothing is asked of the paper
            "boxes": torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1])[None].float(),
            "labels": torch.tensor([label]),
        }
        return gvt.Sample(image, targets, gvt.Record(f"scene {index}", (SIDE, SIDE)))

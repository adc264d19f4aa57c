"""Overlays of predictions: marks of objects, and items of the legend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torchvision.ops import box_iou

from gvt.vision.drawing import Item, Mark, caption
from gvt_predict.merging import SAME
from gvt_predict.objects import Objects


def marks_of(found: Sequence[Objects], classes: Sequence[str]) -> list[Mark]:
    """Return the marks of the objects of all heads, with names and scores, by descending score.

    With several heads, the boxes of the first have solid lines, the boxes of the others dashed
    lines. An object that two heads detect is named once, with both scores.

    Args:
        found: Objects of each head, in pixels of the image, with scores in descending order.
        classes: Names of the classes.
    """
    named = named_once(found)
    marks: list[tuple[float, Mark]] = []
    for head, objects in enumerate(found):
        rows = zip(objects.boxes.tolist(), objects.labels.tolist(), objects.scores.tolist(),
                   strict=True)  # fmt: skip
        for row, (box, label, score) in enumerate(rows):
            scores = named.get((head, row), [])
            name = caption(classes[label] if label < len(classes) else label)
            text = f"{name} {' / '.join(f'{s:.2f}' for s in scores)}" if scores else ""
            mark = Mark(label, box, text, dashes=head)
            if objects.masks is not None:
                part = objects.masks[row]
                mark = replace(mark, mask=part.pixels.numpy(), corner=(part.left, part.top))
            marks.append((max([score, *scores]), mark))
    return [mark for _, mark in sorted(marks, key=lambda pair: -pair[0])]


def named_once(found: Sequence[Objects]) -> dict[tuple[int, int], list[float]]:
    """Return the scores to write at each object, by the indices of its head and its row.

    If an earlier head has an object of the same class, and the intersection over union of the boxes
    is above one half, the later object is left out and its score is added to the earlier one.
    """
    named: dict[tuple[int, int], list[float]] = {}
    for head, objects in enumerate(found):
        earlier = [*named]
        boxes = torch.tensor([found[h].boxes[r].tolist() for h, r in earlier]).reshape(-1, 4)
        labels = torch.tensor([int(found[h].labels[r]) for h, r in earlier], dtype=torch.int64)
        free = torch.ones(len(earlier))
        rows = zip(objects.boxes, objects.labels, objects.scores.tolist(), strict=True)
        for row, (box, label, score) in enumerate(rows):
            shared = box_iou(box[None], boxes)[0].nan_to_num() * free * (labels == label)
            best = int(shared.argmax()) if earlier else None
            if best is not None and shared[best] > SAME:
                free[best] = 0
                named[earlier[best]].append(score)
            else:
                named[head, row] = [score]
    return named


def legend_items(
    words: Iterable[tuple[str, str]],
    finding: Sequence[str],
    painted: Iterable[int],
    classes: Sequence[str],
) -> Iterator[Item]:
    """Yield the items of the legend below an image.

    Args:
        words: Heads with predictions for the whole image, each with its text.
        finding: Heads that detect objects; if there are several, the legend explains their lines.
        painted: Indices of the painted classes of pixels.
        classes: Names of the classes.
    """
    for head, text in words:
        yield Item(f"{caption(head)}: {text}", begins=True)
    for number, head in enumerate(finding if len(finding) > 1 else ()):
        yield Item(caption(head), dashes=number, begins=not number)
    for place, number in enumerate(sorted(painted)):
        yield Item(caption(classes[number]), color=number, begins=not place)

"""What is drawn of predictions: objects as marks, and the items of the legend below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torchvision.ops import box_iou

from gvt.vision.drawing import Item, Mark, caption
from gvt_predict.merging import SAME
from gvt_predict.objects import Objects


def marks_of(found: Sequence[Objects], classes: Sequence[str]) -> list[Mark]:
    """Return the objects of all heads as they are drawn, with names and scores, the surest first.

    If there are several heads, the boxes of the first have whole lines, and those of the others
    broken ones. An object that two of them find is named once, with the scores of both.

    Args:
        found: The objects of each head, in pixels of the image, with falling scores.
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
    """Return the scores that are written at each object, by the numbers of its head and its row.

    An object of a further head that another head has found is left out, and its score is written
    at the other one: their boxes are of one class and agree on more than half of what they are
    together.
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
    """Yield what is in the legend below an image.

    Args:
        words: Heads, each with what it says of the whole image.
        finding: Heads that find objects; their lines are explained if there are several.
        painted: Classes of pixels that there are.
        classes: Names of the classes.
    """
    for head, text in words:
        yield Item(f"{caption(head)}: {text}", begins=True)
    for number, head in enumerate(finding if len(finding) > 1 else ()):
        yield Item(caption(head), dashes=number, begins=not number)
    for place, number in enumerate(sorted(painted)):
        yield Item(caption(classes[number]), color=number, begins=not place)

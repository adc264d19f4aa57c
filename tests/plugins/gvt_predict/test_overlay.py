"""What is drawn of predictions: objects with names and scores, and a legend."""

import torch

from gvt_predict.objects import Objects, Part
from gvt_predict.overlay import legend_items, marks_of, named_once

CLASSES = ("cell", "nucleus", "membrane")


def objects(boxes, labels, masks=None):
    scores = 0.9 - torch.arange(len(boxes)) * 0.02
    return Objects(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels), scores, masks)


def test_an_object_that_two_heads_find_is_named_once_with_both_scores():
    one = objects([[10.0, 10, 50, 50], [60, 60, 90, 90]], [0, 1])
    boxes = [[12.0, 10, 52, 50], [11, 10, 51, 50], [60, 60, 90, 90], [100, 100, 110, 110]]
    other = objects(boxes, [0, 0, 0, 1])
    found = named_once([one, other])
    assert {key: [round(s, 2) for s in scores] for key, scores in found.items()} == {
        (0, 0): [0.9, 0.9], (0, 1): [0.88],  # the last one's other is of another class
        (1, 1): [0.88], (1, 2): [0.86], (1, 3): [0.84],
    }  # fmt: skip
    nothing = objects([], [])
    assert [*named_once([nothing, one]).values()] == [*named_once([one, nothing]).values()]
    marks = marks_of([one, other], CLASSES)
    assert [(mark.box[0], mark.text, mark.dashes) for mark in marks] == [
        (10, "cell 0.90 / 0.90", 0), (12, "", 1), (60, "nucleus 0.88", 0),
        (11, "cell 0.88", 1), (60, "cell 0.86", 1), (100, "nucleus 0.84", 1),
    ]  # fmt: skip


def test_masks_are_drawn_where_they_are_and_classes_without_a_name_have_their_number():
    part = Part(30, 40, torch.eye(3, dtype=torch.bool))
    (mark,) = marks_of([objects([[40.0, 30, 43, 33]], [7], (part,))], CLASSES)
    assert (mark.number, mark.text, mark.corner) == (7, "7 0.90", (40, 30))
    assert mark.mask.tolist() == part.pixels.tolist()


def test_what_is_said_of_the_image_comes_first_and_lines_are_explained_if_they_differ():
    words = [("label", "cell 0.93"), ("tags", "nothing")]
    found = legend_items(words, ["digits"], {2, 0}, CLASSES)
    assert [(i.text, i.color, i.dashes) for i in found] == [
        ("label: cell 0.93", None, None), ("tags: nothing", None, None),
        ("cell", 0, None), ("membrane", 2, None),
    ]  # fmt: skip
    several = legend_items([], ["digits", "boxes"], (), CLASSES)
    assert [(i.text, i.dashes) for i in several] == [("digits", 0), ("boxes", 1)]

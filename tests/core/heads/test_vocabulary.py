"""A head's own classes among those of mixed data."""

import torch
from hypothesis import given
from hypothesis import strategies as st

import gvt
from gvt.batch import Targets
from gvt.heads.vocabulary import Vocabulary


@st.composite
def vocabularies(draw):
    total = draw(st.integers(1, 12))
    numbers = draw(st.permutations(range(total)))[: draw(st.integers(1, total))]
    return Vocabulary("a", tuple(f"c{n}" for n in numbers), tuple(numbers), total)


@given(vocabularies(), st.integers(0, 5))
def test_what_a_head_says_comes_back_to_it_as_it_was(words, seed):
    torch.manual_seed(seed)
    count = len(words.classes)
    semantic = torch.randint(0, count + 1, (3, 4))
    semantic[0, 0] = 255
    said = [
        {"class": torch.tensor(count - 1), "scores": torch.rand(count)},
        {
            "boxes": torch.rand(2, 4),
            "labels": torch.randint(0, count, (2,)),
            "scores": torch.rand(2),
        },
        {"semantic": semantic, "scores": torch.rand(count + 1, 3, 4)},
        {"labels": torch.arange(count), "scores": torch.rand(count)},
    ]
    for prediction in said:
        there = words.outside(prediction)
        back = words.own(there)
        assert back.keys() == prediction.keys()
        for key, value in prediction.items():
            assert torch.equal(back[key], value), key


def test_numbers_are_those_of_all_parts_outside():
    words = Vocabulary("cells", ("RBC", "WBC"), (3, 1), 4)
    found = words.outside({"class": torch.tensor(0), "scores": torch.tensor([0.75, 0.25])})
    assert found["class"] == 3
    assert found["scores"].tolist() == [0, 0.25, 0, 0.75]
    semantic = words.outside({"semantic": torch.tensor([[0, 1, 2, 255]])})["semantic"]
    assert semantic.tolist() == [[3, 1, 4, 255]]


def test_targets_are_the_heads_own():
    words = Vocabulary("cells", ("RBC", "WBC"), (3, 1), 4)
    targets = Targets(
        {"class": torch.tensor([1, 3]), "semantic": torch.tensor([[[4, 255]], [[3, 1]]])},
        {"labels": [torch.tensor([3, 1, 1]), None], "boxes": [torch.zeros(3, 4), None]},
    )
    own = words.own_targets(targets)
    assert own["class"].tolist() == [1, 0]
    assert own["semantic"].tolist() == [[[2, 255]], [[0, 1]]]
    assert own["labels"][0].tolist() == [0, 1, 1]
    assert own["labels"][1] is None
    assert own["boxes"][0] is targets["boxes"][0]


def test_shares_of_classes_are_those_of_the_heads_classes():
    words = Vocabulary("cells", ("RBC", "WBC"), (3, 1), 4)
    own = words.own_targets(Targets({"class": torch.tensor([[0.0, 0.25, 0.0, 0.75]])}))
    assert own["class"].tolist() == [[0.75, 0.25]]


def test_figures_of_classes_bear_their_names():
    words = Vocabulary("cells", ("RBC", "WBC"), (3, 1), 4)
    table = torch.tensor([[1, 2], [3, 4]])
    curves = gvt.Curves(torch.arange(2.0), torch.tensor([[0.5, 0.25], [1.0, 0.0]]), ("x", "y"))
    found = words.named(
        {
            "iou": torch.tensor([0.1, 0.2, 0.9]),
            "mean": torch.tensor(0.5),
            "confusion": table,
            "curve": curves,
            "of_others": torch.rand(7),
        }
    )
    assert found["iou/RBC"] == torch.tensor(0.1)
    assert found["iou/WBC"] == torch.tensor(0.2)
    assert found["iou/background"] == torch.tensor(0.9)
    assert found["mean"] == 0.5
    assert found["of_others"].shape == (7,)
    assert found["confusion"].tolist() == [[0, 0, 0, 0], [0, 4, 0, 3], [0, 0, 0, 0], [0, 2, 0, 1]]
    assert found["curve"].y[3].tolist() == [0.5, 0.25]
    assert found["curve"].y[0].isnan().all()

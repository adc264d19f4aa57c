"""Lines of YOLO's other tasks: keypoints, tracks, confidences and oriented boxes."""

import math

import numpy as np
import pytest

import gvt
from gvt_data.boxes.yolo import YOLO

CENTRES = [(0.2, 0.3), (0.45, 0.4), (0.7, 0.6), (0.3, 0.75), (0.8, 0.2)]
WIDTH, HEIGHT = 0.2, 0.25
FLAGS = {"seen": (2, 2, 2, 2), "hidden": (1, 1, 1, 1), "mixed": (2, 0, 1, 2)}


def write(root, lines, draws, extra=""):
    """Write pictures of 40x20 with a line each."""
    for number, line in enumerate(lines):
        draws(root / f"images/{number}.jpg", (20, 40))
        path = root / f"labels/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{line}\n")
    (root / "data.yaml").write_text(f"names: [cat, dog]\n{extra}\n")
    return str(root)


def text(*numbers):
    return "0 " + " ".join(f"{number:g}" for number in numbers)


def posed(flags, centres=CENTRES):
    """Return boxes with points, around the centre, that have a flag each unless it is None."""
    lines = []
    for x, y in centres:
        points = []
        for at, flag in enumerate(flags):
            angle = 2.4 * at
            point = (x + 0.08 * math.cos(angle), y + 0.1 * math.sin(angle))
            points += point if flag is None else [*point, flag]
        lines.append(text(x, y, WIDTH, HEIGHT, *points))
    return lines


def boxes_of(dataset):
    return [dataset[index].targets["boxes"].tolist() for index in range(len(dataset))]


def expected(centres=CENTRES):
    return [
        [pytest.approx([40 * (x - 0.1), 20 * (y - 0.125), 40 * (x + 0.1), 20 * (y + 0.125)])]
        for x, y in centres
    ]


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("place", ["yaml", "parameter"])
def test_keypoints_that_are_declared_are_not_read_and_boxes_are(flags, place, draws, tmp_path):
    yaml = "kpt_shape: [4, 3]\nflip_idx: [0, 1, 2, 3]" if place == "yaml" else ""
    root = write(tmp_path, posed(flags), draws, yaml)
    keypoints = None if place == "yaml" else (4, 3)
    with pytest.warns(UserWarning, match=r"not the keypoints behind each \(4 of 3 numbers\)"):
        dataset = YOLO("train", root, val=0.0, keypoints=keypoints)
    assert boxes_of(dataset) == expected()
    assert "masks" not in dataset[0].targets
    assert dataset.info.problems == {}


@pytest.mark.filterwarnings("ignore:.*keypoints behind")
def test_points_of_two_numbers_may_be_declared(draws, tmp_path):
    root = write(tmp_path, posed((None,) * 3), draws, "kpt_shape: [3, 2]")
    assert boxes_of(YOLO("train", root, val=0.0)) == expected()


@pytest.mark.filterwarnings("ignore:.*keypoints behind")
@pytest.mark.parametrize("line", [text(0.5, 0.5, 0.2, 0.2), text(*[0.5] * 15), text(*[0.5] * 17)])
def test_lines_that_do_not_fit_the_keypoints_are_an_error(line, draws, tmp_path):
    root = write(tmp_path, [*posed(FLAGS["seen"]), line], draws, "kpt_shape: [4, 3]")
    count = len(line.split()) - 1
    message = (
        rf"5\.txt: line 1 \(cat\): has {count} numbers .* 4 keypoints of 3 \(kpt_shape\) has 16"
    )
    with pytest.raises(gvt.DataError, match=message):
        YOLO("train", root, val=0.0)
    with pytest.warns(UserWarning, match="1 malformed annotation"):
        dataset = YOLO("train", root, val=0.0, on_error="skip")
    assert boxes_of(dataset) == [*expected(), []]


@pytest.mark.parametrize("shape", ["17", "[4]", "[0, 3]", "[4, 5]", "[true, 3]", "[a, b]"])
def test_a_shape_of_keypoints_is_two_numbers(shape, draws, tmp_path):
    root = write(tmp_path, posed(FLAGS["seen"]), draws, f"kpt_shape: {shape}")
    with pytest.raises(gvt.DataError, match=r"data\.yaml: kpt_shape: .* is not \[K, 2\] or \[K"):
        YOLO("train", root, val=0.0)


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("on_error", ["error", "clip", "skip"])
def test_undeclared_keypoints_are_not_outlines(flags, on_error, draws, tmp_path):
    root = write(tmp_path, posed(flags), draws)
    with pytest.raises(gvt.DataError, match=r"as a box with 4 keypoints has; set kpt_shape: \[4, "):
        YOLO("train", root, val=0.0, on_error=on_error)


def test_one_odd_line_does_not_hide_keypoints(draws, tmp_path):
    lines = posed(FLAGS["seen"], CENTRES * 4)
    lines[0] = text(0.1, 0.1, 0.2, 0.1, 0.15, 0.25)
    with pytest.raises(gvt.DataError, match=r"as a box with 4 keypoints has"):
        YOLO("train", write(tmp_path, lines, draws), val=0.0)


@pytest.mark.parametrize("points", [1, 2, 3, 4, 6])
def test_points_without_flags_may_be_either(points, draws, tmp_path):
    root = write(tmp_path, posed((None,) * points), draws)
    with pytest.raises(gvt.DataError, match=r"may be an outline of .*data\.keypoints=none"):
        YOLO("train", root, val=0.0)


@pytest.mark.parametrize(
    "points", [[(-0.05, -0.05), (0.05, 0.03)], [(0, 0.1), (0, -0.1), (0.02, 0)]]
)
def test_keypoints_that_happen_to_be_a_polygon_are_refused(points, draws, tmp_path):
    lines = []
    for n in range(8):
        x, y = (25 + 4 * n) / 128, 0.25
        behind = [value for right, down in points for value in (x + right, y + down)]
        lines.append(text(x, y, 30 / 128, 0.25, *behind))
    with pytest.raises(gvt.DataError, match=r"may be an outline of .*data\.keypoints=none"):
        YOLO("train", write(tmp_path, lines, draws), val=0.0)


@pytest.mark.filterwarnings("ignore:split train")
@pytest.mark.parametrize("points", [1, 3, 5, 17])
def test_keypoints_of_an_odd_count_are_named(points, draws, tmp_path):
    root = write(tmp_path, posed((2,) * points), draws)
    with pytest.raises(
        gvt.DataError, match=r"line 1 \(cat\): has .* kpt_shape: " rf"\[{points}, 3\]"
    ):
        YOLO("train", root, val=0.0)


def tracked(*behind, count=20):
    """Return boxes with other numbers behind them, such as a confidence and a number of each."""
    lines = []
    for number in range(count):
        x, y = CENTRES[number % 5]
        lines.append(text(x, y, WIDTH, HEIGHT, *(value(number) for value in behind)))
    return lines


@pytest.mark.parametrize(
    ("behind", "message"),
    [
        ((lambda n: 0.5 + n / 50,), "has 5 numbers after the class; the last may be a confid"),
        ((lambda n: n + 1,), "has 5 numbers after the class; the last may be a confid"),
        ((lambda n: 0.5 + n / 50, lambda n: n + 1), "look like a confidence and a track id"),
        ((lambda n: 0.5 + n / 50, lambda n: 1), "may be an outline of three points, or a box with"),
        ((lambda n: n + 1, lambda n: 0.5 + n / 50), "may be an outline of three points"),
    ],
)
def test_what_a_tracker_adds_is_refused(behind, message, draws, tmp_path):
    root = write(tmp_path, tracked(*behind), draws)
    with pytest.raises(gvt.DataError, match=message):
        YOLO("train", root, val=0.0)


def polygon(number, corners, x=0.4, y=0.4):
    """Return corners on an ellipse, all around."""
    angles = np.linspace(0, 2 * math.pi, corners, endpoint=False) + number
    return np.stack([x + 0.1 * np.cos(angles), y + 0.15 * np.sin(angles)], axis=1).flatten()


def test_outlines_with_a_confidence_and_a_track_id_are_refused(draws, tmp_path):
    lines = [text(*polygon(n, 5 + n), 0.9, n % 4) for n in range(8)]
    with pytest.raises(gvt.DataError, match="last two numbers look like a confidence and a track"):
        YOLO("train", write(tmp_path, lines, draws), val=0.0)
    odd = [text(*polygon(n, 5 + n), 0.9) for n in range(8)]
    with pytest.raises(gvt.DataError, match="8 malformed annotations"):
        YOLO("train", write(tmp_path, odd, draws), val=0.0)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("counts", [(5,), (8,), (3, 7, 4), (40,)])
def test_outlines_are_read_wherever_they_are(counts, draws, tmp_path):
    shapes = [polygon(n, counts[n % len(counts)], *CENTRES[n % 5]) for n in range(6)]
    dataset = YOLO("train", write(tmp_path, [text(*s) for s in shapes], draws), val=0.0)
    for shape, (box,) in zip(shapes, boxes_of(dataset), strict=True):
        x, y = shape[::2] * 40, shape[1::2] * 20
        assert box == pytest.approx([x.min(), y.min(), x.max(), y.max()], abs=1e-3)
    assert all(len(dataset[index].targets["masks"]) == 1 for index in range(6))


@pytest.mark.filterwarnings("error::UserWarning")
def test_triangles_are_read_with_keypoints_none(draws, tmp_path):
    shapes = [polygon(n, 3) for n in range(6)]
    root = write(tmp_path, [text(*shape) for shape in shapes], draws)
    with pytest.raises(gvt.DataError, match=r"outline of three points.*set data\.keypoints=none"):
        YOLO("train", root, val=0.0)
    dataset = YOLO("train", root, val=0.0, keypoints="none")
    assert boxes_of(dataset)[0][0][2] == pytest.approx(20)
    assert "masks" in dataset[0].targets


@pytest.mark.filterwarnings("error::UserWarning")
def test_triangles_at_the_other_side_can_be_nothing_else(draws, tmp_path):
    shapes = [polygon(n, 3, x=0.85) for n in range(6)]
    dataset = YOLO("train", write(tmp_path, [text(*s) for s in shapes], draws), val=0.0)
    assert len(dataset) == 6


def test_oriented_boxes_are_outlines_with_a_warning(draws, tmp_path):
    lines = [text(x - 0.1, y, x, y - 0.15, x + 0.1, y, x, y + 0.15) for x, y in CENTRES]
    root = write(tmp_path, lines, draws)
    with pytest.warns(
        UserWarning, match=r"0\.txt: line 1: has the four corners of an oriented box"
    ):
        dataset = YOLO("train", root, val=0.0)
    x, y = CENTRES[0]
    box = [40 * (x - 0.1), 20 * (y - 0.15), 40 * (x + 0.1), 20 * (y + 0.15)]
    assert boxes_of(dataset)[0] == [pytest.approx(box)]


@pytest.mark.filterwarnings("error::UserWarning")
def test_upright_corners_lose_nothing(draws, tmp_path):
    lines = [
        text(x - 0.1, y - 0.1, x + 0.1, y - 0.1, x + 0.1, y + 0.1, x - 0.1, y + 0.1)
        for x, y in CENTRES
    ]
    dataset = YOLO("train", write(tmp_path, lines, draws), val=0.0)
    assert boxes_of(dataset)[0] == [pytest.approx([4, 4, 12, 8])]

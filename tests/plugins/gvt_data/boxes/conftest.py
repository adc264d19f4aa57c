"""The same few pictures with boxes, written in each of the three formats."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ("cell", "dot")


@dataclass
class Scene:
    """A picture with its objects, each a label and a box in exact pixels."""

    name: str
    size: tuple[int, int]
    objects: list[tuple[str, tuple[float, ...]]] = field(default_factory=list)


SCENES = (
    Scene("a", (30, 40), [("cell", (2, 3, 22, 13)), ("dot", (10, 5, 40, 30))]),
    Scene("b", (48, 32), [("dot", (0, 0, 32, 24))]),
    Scene("c", (20, 20)),
)


def draw(path: Path, size: tuple[int, int]) -> None:
    """Write a picture (H, W) of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(sum(size)).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(noise).save(path)


def xml(scene: Scene, extra: str = "") -> str:
    """Return a scene as a program for labelling would write it, corners exact."""
    objects = "".join(
        f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{box[0]}</xmin>"
        f"<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>\n"
        for label, box in scene.objects
    )
    height, width = scene.size
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return (
        f"<annotation>\n<filename>{scene.name}.png</filename>{size}\n{objects}{extra}</annotation>"
    )


def voc(root: Path, scenes=SCENES) -> Path:
    """Write scenes as a training split in Pascal VOC's layout, whose other splits are empty."""
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets/Main").mkdir(parents=True)
    for scene in scenes:
        draw(root / f"JPEGImages/{scene.name}.png", scene.size)
        (root / f"Annotations/{scene.name}.xml").write_text(xml(scene))
    (root / "ImageSets/Main/train.txt").write_text("".join(f"{s.name}\n" for s in scenes))
    (root / "ImageSets/Main/val.txt").touch()
    return root


def document(scenes=SCENES) -> dict:
    """Return scenes as COCO's JSON has them, with an outline around each box."""
    images, annotations = [], []
    for number, scene in enumerate(scenes, 1):
        height, width = scene.size
        images.append(
            {"id": number, "file_name": f"{scene.name}.png", "width": width, "height": height}
        )
        for label, (left, top, right, bottom) in scene.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 10 + NAMES.index(label) if label in NAMES else 99,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                }
            )
    categories = [{"id": 10 + number, "name": name} for number, name in enumerate(NAMES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(root: Path, scenes=SCENES, content: dict | None = None) -> Path:
    """Write scenes as a training split in COCO's layout, whose other splits are empty."""
    (root / "annotations").mkdir(parents=True)
    empty = json.dumps({"images": [], "annotations": [], "categories": []})
    (root / "annotations/instances_val2017.json").write_text(empty)
    for scene in scenes:
        draw(root / f"train2017/{scene.name}.png", scene.size)
    text = json.dumps(document(scenes) if content is None else content)
    (root / "annotations/instances_train2017.json").write_text(text)
    return root


def yolo(root: Path, scenes=SCENES) -> Path:
    """Write scenes as a training split in YOLO's layout."""
    (root / "labels/train").mkdir(parents=True)
    for scene in scenes:
        draw(root / f"images/train/{scene.name}.png", scene.size)
        height, width = scene.size
        lines = [
            f"{NAMES.index(label) if label in NAMES else 9} "
            f"{(left + right) / 2 / width} {(top + bottom) / 2 / height} "
            f"{(right - left) / width} {(bottom - top) / height}"
            for label, (left, top, right, bottom) in scene.objects
        ]
        if lines:
            (root / f"labels/train/{scene.name}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(f"names: {json.dumps(NAMES)}\n")
    return root


@pytest.fixture
def formats():
    """Return by name of the format what writes scenes in it."""
    return {"voc": voc, "coco": coco, "yolo": yolo}


@pytest.fixture
def scene():
    """Return the class of scenes."""
    return Scene


@pytest.fixture
def scenes():
    """Return the usual scenes."""
    return SCENES


@pytest.fixture
def as_xml():
    """Return what makes a scene XML."""
    return xml


@pytest.fixture
def as_document():
    """Return what makes scenes a COCO document."""
    return document


@pytest.fixture
def draws():
    """Return what draws a picture."""
    return draw

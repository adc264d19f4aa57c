"""Merging of objects from overlapping tiles, so that each object occurs once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gvt_predict.objects import Objects, Part
from gvt_predict.tiles import Box

SAME = 0.5
"""Two boxes of one class from two tiles are the same object above this overlap."""

TRUSTED = 0.5
"""A whole object replaces a part of it if its score is at least this share of the part's."""

_BORDER = 0.01
"""Share of a tile's side, at least two pixels, within which a box touches the tile's border."""


@dataclass(frozen=True)
class _Pairs:
    """Pairs of overlapping objects of one class in two tiles.

    Attributes:
        one: Rows of the objects of one tile, (P,).
        other: Rows of the objects of the other tile, (P,).
        shared: Areas of the intersections of the boxes in square pixels, (P,).
        within: Intersection over union of the boxes within the overlap of the tiles, (P,).
    """

    one: Tensor
    other: Tensor
    shared: Tensor
    within: Tensor


def merged(by_tile: Mapping[Box, Objects], size: tuple[int, int]) -> Objects:
    """Merge the objects of the tiles of an image; the scores are in descending order.

    Objects of one class from different tiles are merged in three ways. An object that is cut by the
    border of its tile is dropped if an object that is whole in another tile covers more than half
    of it. Cut parts become one object if their intersection over union is above one half within
    the overlap of their tiles. If the intersection over union of two objects is above one half,
    the one with the higher score is kept. Objects of one tile are never merged.

    Args:
        by_tile: Objects of each tile, in pixels of the image, with scores in descending order.
        size: (H, W) of the image.
    """
    tiles = list(by_tile)
    if len(tiles) == 1:
        return by_tile[tiles[0]]
    objects = _concatenated(list(by_tile.values()))
    counts = torch.tensor([len(part) for part in by_tile.values()])
    tile_of = torch.repeat_interleave(counts)
    is_cut = torch.cat([_cut(part.boxes, tile, size) for tile, part in by_tile.items()])
    pairs = _pairs(tiles, objects, tile_of)
    dropped = _covered(objects, is_cut, pairs)
    groups = _groups(is_cut & ~dropped, tile_of.tolist(), pairs)
    whole = _hulls(objects, groups, dropped)
    return _best(whole, groups, dropped, tile_of.tolist(), pairs)


def _concatenated(parts: list[Objects]) -> Objects:
    masks: tuple[Part, ...] | None = None
    if all(part.masks is not None for part in parts):
        masks = tuple(mask for part in parts for mask in part.masks or ())
    boxes, labels, scores = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("boxes", "labels", "scores")
    )
    return Objects(boxes, labels, scores, masks)


def _cut(boxes: Tensor, tile: Box, size: tuple[int, int]) -> Tensor:
    """Return which boxes (M, 4) touch a border of their tile that is inside the image."""
    height, width = size
    x, y = (max(2.0, _BORDER * side) for side in (tile.right - tile.left, tile.bottom - tile.top))
    left, top, right, bottom = boxes.unbind(dim=1)
    touches = torch.zeros(len(boxes), dtype=torch.bool)
    if tile.left > 0:
        touches |= left <= tile.left + x
    if tile.top > 0:
        touches |= top <= tile.top + y
    if tile.right < width:
        touches |= right >= tile.right - x
    if tile.bottom < height:
        touches |= bottom >= tile.bottom - y
    return touches


def _pairs(tiles: list[Box], objects: Objects, tile_of: Tensor) -> _Pairs:
    """Return the pairs to compare, built tile by tile, since all pairs would be too many."""
    areas = torch.tensor([[t.left, t.top, t.right, t.bottom] for t in tiles], dtype=torch.float64)
    boxes = objects.boxes.double()
    rows = [(tile_of == number).nonzero().flatten() for number in range(len(tiles))]
    ones, others, overlaps = [], [], []
    for first in range(len(tiles)):
        common = _intersections(areas[first], areas[first + 1 :])
        for step in (_areas(common) > 0).nonzero().flatten().tolist():
            overlap = common[step]
            one, other = (
                part[_areas(_intersections(overlap, boxes[part])) > 0]
                for part in (rows[first], rows[first + 1 + step])
            )
            shared = _areas(_intersections(boxes[one, None], boxes[other])) > 0
            a, b = (shared & (objects.labels[one, None] == objects.labels[other])).nonzero().T
            ones.append(one[a])
            others.append(other[b])
            overlaps.append(overlap.expand(len(a), 4))
    if not ones:
        empty = torch.zeros(0, dtype=torch.int64)
        return _Pairs(empty, empty, empty.double(), empty.double())
    one, other, overlap = torch.cat(ones), torch.cat(others), torch.cat(overlaps)
    shared = _areas(_intersections(boxes[one], boxes[other]))
    visible = sum(_areas(_intersections(overlap, boxes[rows])) for rows in (one, other))
    return _Pairs(one, other, shared, shared / (visible - shared))


def _covered(objects: Objects, is_cut: Tensor, pairs: _Pairs) -> Tensor:
    """Return which objects (M,) are cut parts of a whole object with a sufficient score."""
    dropped = torch.zeros(len(objects), dtype=torch.bool)
    areas, scores = _areas(objects.boxes.double()), objects.scores
    for part, whole in ((pairs.one, pairs.other), (pairs.other, pairs.one)):
        is_inside = pairs.shared > SAME * areas[part]
        is_trusted = scores[whole] >= TRUSTED * scores[part]
        dropped[part[is_cut[part] & ~is_cut[whole] & is_inside & is_trusted]] = True
    return dropped


def _groups(is_cut: Tensor, tile_of: list[int], pairs: _Pairs) -> list[int]:
    """Return the first row of each object's group: the parts of one object in different tiles."""
    groups = list(range(len(is_cut)))
    members = {row: [row] for row in groups}
    agree = is_cut[pairs.one] & is_cut[pairs.other] & (pairs.within > SAME)
    for pair in pairs.within.masked_fill(~agree, 0).argsort(descending=True, stable=True).tolist():
        if not agree[pair]:
            break
        first, second = sorted((groups[int(pairs.one[pair])], groups[int(pairs.other[pair])]))
        if first == second:
            continue
        tiles = [{tile_of[row] for row in members[group]} for group in (first, second)]
        if tiles[0].isdisjoint(tiles[1]):
            for row in members[second]:
                groups[row] = first
            members[first] += members.pop(second)
    return groups


def _hulls(objects: Objects, groups: list[int], dropped: Tensor) -> Objects:
    """Return the objects, with the first of each group extended to the box and score of all."""
    boxes, scores = objects.boxes.clone(), objects.scores.clone()
    masks = None if objects.masks is None else list(objects.masks)
    for row, group in enumerate(groups):
        if row == group or dropped[row]:
            continue
        boxes[group, :2] = torch.minimum(boxes[group, :2], objects.boxes[row, :2])
        boxes[group, 2:] = torch.maximum(boxes[group, 2:], objects.boxes[row, 2:])
        scores[group] = torch.maximum(scores[group], objects.scores[row])
        if masks is not None:
            masks[group] = _union(masks[group], masks[row])
    return Objects(boxes, objects.labels, scores, None if masks is None else tuple(masks))


def _best(
    objects: Objects, groups: list[int], dropped: Tensor, tile_of: list[int], pairs: _Pairs
) -> Objects:
    """Return one object for each group, after suppression of duplicates in different tiles."""
    group_of = torch.tensor(groups, dtype=torch.int64)
    one, other = group_of[pairs.one], group_of[pairs.other]
    boxes = objects.boxes.double()
    shared = _areas(_intersections(boxes[one], boxes[other]))
    is_same = shared > SAME * (_areas(boxes[one]) + _areas(boxes[other]) - shared)
    is_same &= (one != other) & ~dropped[one] & ~dropped[other]
    tiles: dict[int, set[int]] = {}
    for group, tile in zip(groups, tile_of, strict=True):
        tiles.setdefault(group, set()).add(tile)
    duplicates: dict[int, set[int]] = {}
    for a, b in zip(one[is_same].tolist(), other[is_same].tolist(), strict=True):
        if tiles[a].isdisjoint(tiles[b]):
            duplicates.setdefault(a, set()).add(b)
            duplicates.setdefault(b, set()).add(a)
    best: list[int] = []
    suppressed = {row for row, group in enumerate(groups) if row != group or dropped[row]}
    for row in objects.scores.argsort(descending=True, stable=True).tolist():
        if row not in suppressed:
            best.append(row)
            suppressed |= duplicates.get(row, set())
    return objects.picked(torch.tensor(best, dtype=torch.int64))


def _union(one: Part, other: Part) -> Part:
    """Return the union of two masks."""
    parts = [part for part in (one, other) if part.pixels.numel()]
    if len(parts) < 2:
        return parts[0] if parts else one
    top, left = min(p.top for p in parts), min(p.left for p in parts)
    bottom = max(p.top + p.pixels.shape[0] for p in parts)
    right = max(p.left + p.pixels.shape[1] for p in parts)
    pixels = torch.zeros(bottom - top, right - left, dtype=torch.bool)
    for part in parts:
        height, width = part.pixels.shape
        y, x = part.top - top, part.left - left
        pixels[y : y + height, x : x + width] |= part.pixels
    return Part(top, left, pixels)


def _intersections(one: Tensor, other: Tensor) -> Tensor:
    """Return the intersections of boxes (..., 4); empty ones have negative sides."""
    corner = torch.maximum(one[..., :2], other[..., :2])
    return torch.cat([corner, torch.minimum(one[..., 2:], other[..., 2:])], dim=-1)


def _areas(boxes: Tensor) -> Tensor:
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]

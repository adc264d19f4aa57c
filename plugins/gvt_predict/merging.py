"""Objects found in overlapping tiles as those of one picture, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gvt_predict.objects import Objects, Part
from gvt_predict.tiles import Box

SAME = 0.5
"""Boxes of one class in two tiles with more in common than this are of one object."""

TRUSTED = 0.5
"""A whole object takes the place of its parts if it has at least this share of their scores."""

_BORDER = 0.01
"""Share of a tile's side, at least two pixels, within which a box touches the tile's border."""


@dataclass(frozen=True)
class _Pairs:
    """Objects of one class in two tiles that have something in common.

    Attributes:
        one: (P,) rows of objects.
        other: (P,) rows of objects of other tiles.
        shared: (P,) what they have in common, in square pixels.
        within: (P,) its share of what both are together where both tiles see it.
    """

    one: Tensor
    other: Tensor
    shared: Tensor
    within: Tensor


def merged(found: Mapping[Box, Objects], size: tuple[int, int]) -> Objects:
    """Return the objects of a picture from those of its tiles, with falling scores.

    Objects of one class and of different tiles are taken for one: by more than half of what both
    are together the better one stays. An object that a border cuts gives way to one that is whole
    in another tile and covers more than half of it; and parts that borders cut become one object
    if they agree on more than half of what they are where both tiles see them. Objects of one
    tile stay apart.

    Args:
        found: Of each tile, in pixels of the picture, with falling scores.
        size: The picture's (H, W).
    """
    tiles = list(found)
    if len(tiles) == 1:
        return found[tiles[0]]
    everything = _joined(list(found.values()))
    of_tile = torch.repeat_interleave(torch.tensor([len(found[tile]) for tile in tiles]))
    cut = torch.cat([_cut(found[tile].boxes, tile, size) for tile in tiles])
    pairs = _pairs(tiles, everything, of_tile)
    dropped = _covered(everything, cut, pairs)
    groups = _united(cut & ~dropped, of_tile.tolist(), pairs)
    whole = _hulls(everything, groups, dropped)
    return _best(whole, groups, dropped, of_tile.tolist(), pairs)


def _joined(parts: list[Objects]) -> Objects:
    masks: tuple[Part, ...] | None = None
    if all(part.masks is not None for part in parts):
        masks = tuple(mask for part in parts for mask in part.masks or ())
    boxes, labels, scores = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("boxes", "labels", "scores")
    )
    return Objects(boxes, labels, scores, masks)


def _cut(boxes: Tensor, tile: Box, size: tuple[int, int]) -> Tensor:
    """Return which boxes (M, 4) touch a border of their tile behind which the picture goes on."""
    height, width = size
    near = [max(2.0, _BORDER * side) for side in (tile.right - tile.left, tile.bottom - tile.top)]
    left, top, right, bottom = boxes.unbind(dim=1)
    touches = torch.zeros(len(boxes), dtype=torch.bool)
    if tile.left > 0:
        touches |= left <= tile.left + near[0]
    if tile.top > 0:
        touches |= top <= tile.top + near[1]
    if tile.right < width:
        touches |= right >= tile.right - near[0]
    if tile.bottom < height:
        touches |= bottom >= tile.bottom - near[1]
    return touches


def _pairs(tiles: list[Box], objects: Objects, of_tile: Tensor) -> _Pairs:
    """Return what is to be compared, found tile by tile, since all with all are too many."""
    areas = torch.tensor([[t.left, t.top, t.right, t.bottom] for t in tiles], dtype=torch.float64)
    boxes = objects.boxes.double()
    rows = [(of_tile == number).nonzero().flatten() for number in range(len(tiles))]
    ones, others, zones = [], [], []
    for first in range(len(tiles)):
        common = _intersections(areas[first], areas[first + 1 :])
        for step in (_areas(common) > 0).nonzero().flatten().tolist():
            zone = common[step]
            one, other = (
                part[_areas(_intersections(zone, boxes[part])) > 0]
                for part in (rows[first], rows[first + 1 + step])
            )
            shared = _areas(_intersections(boxes[one, None], boxes[other])) > 0
            a, b = (shared & (objects.labels[one, None] == objects.labels[other])).nonzero().T
            ones.append(one[a])
            others.append(other[b])
            zones.append(zone.expand(len(a), 4))
    if not ones:
        nothing = torch.zeros(0, dtype=torch.int64)
        return _Pairs(nothing, nothing, nothing.double(), nothing.double())
    one, other, zone = torch.cat(ones), torch.cat(others), torch.cat(zones)
    shared = _areas(_intersections(boxes[one], boxes[other]))
    seen = sum(_areas(_intersections(zone, boxes[rows])) for rows in (one, other))
    return _Pairs(one, other, shared, shared / (seen - shared))


def _covered(objects: Objects, cut: Tensor, pairs: _Pairs) -> Tensor:
    """Return which objects (M,) are cut and to be seen whole, and sure enough, elsewhere."""
    dropped = torch.zeros(len(objects), dtype=torch.bool)
    areas, scores = _areas(objects.boxes.double()), objects.scores
    for part, whole in ((pairs.one, pairs.other), (pairs.other, pairs.one)):
        inside = pairs.shared > SAME * areas[part]
        sure = scores[whole] >= TRUSTED * scores[part]
        dropped[part[cut[part] & ~cut[whole] & inside & sure]] = True
    return dropped


def _united(cut: Tensor, of_tile: list[int], pairs: _Pairs) -> list[int]:
    """Return of each object the first one of its group: parts of one object, each of a tile."""
    groups = list(range(len(cut)))
    members = {row: [row] for row in groups}
    agree = cut[pairs.one] & cut[pairs.other] & (pairs.within > SAME)
    for pair in pairs.within.masked_fill(~agree, 0).argsort(descending=True, stable=True).tolist():
        if not agree[pair]:
            break
        first, second = sorted((groups[int(pairs.one[pair])], groups[int(pairs.other[pair])]))
        if first == second:
            continue
        tiles = [{of_tile[row] for row in members[group]} for group in (first, second)]
        if tiles[0].isdisjoint(tiles[1]):
            for row in members[second]:
                groups[row] = first
            members[first] += members.pop(second)
    return groups


def _hulls(objects: Objects, groups: list[int], dropped: Tensor) -> Objects:
    """Return the objects with those that stand for a group as large, and as sure, as all of it."""
    boxes, scores = objects.boxes.clone(), objects.scores.clone()
    masks = None if objects.masks is None else list(objects.masks)
    for row, group in enumerate(groups):
        if row == group or dropped[row]:
            continue
        boxes[group, :2] = torch.minimum(boxes[group, :2], objects.boxes[row, :2])
        boxes[group, 2:] = torch.maximum(boxes[group, 2:], objects.boxes[row, 2:])
        scores[group] = torch.maximum(scores[group], objects.scores[row])
        if masks is not None:
            masks[group] = _either(masks[group], masks[row])
    return Objects(boxes, objects.labels, scores, None if masks is None else tuple(masks))


def _best(
    objects: Objects, groups: list[int], dropped: Tensor, of_tile: list[int], pairs: _Pairs
) -> Objects:
    """Return one object of each group, and of those in different tiles that are one the best."""
    group_of = torch.tensor(groups, dtype=torch.int64)
    one, other = group_of[pairs.one], group_of[pairs.other]
    boxes = objects.boxes.double()
    shared = _areas(_intersections(boxes[one], boxes[other]))
    same = shared > SAME * (_areas(boxes[one]) + _areas(boxes[other]) - shared)
    same &= (one != other) & ~dropped[one] & ~dropped[other]
    tiles: dict[int, set[int]] = {}
    for group, tile in zip(groups, of_tile, strict=True):
        tiles.setdefault(group, set()).add(tile)
    rivals: dict[int, set[int]] = {}
    for a, b in zip(one[same].tolist(), other[same].tolist(), strict=True):
        if tiles[a].isdisjoint(tiles[b]):
            rivals.setdefault(a, set()).add(b)
            rivals.setdefault(b, set()).add(a)
    kept: list[int] = []
    gone = {row for row, group in enumerate(groups) if row != group or dropped[row]}
    for row in objects.scores.argsort(descending=True, stable=True).tolist():
        if row not in gone:
            kept.append(row)
            gone |= rivals.get(row, set())
    return objects.picked(torch.tensor(kept, dtype=torch.int64))


def _either(one: Part, other: Part) -> Part:
    """Return the mask of what is in one of two, or in both."""
    there = [part for part in (one, other) if part.pixels.numel()]
    if len(there) < 2:
        return there[0] if there else one
    top, left = min(p.top for p in there), min(p.left for p in there)
    bottom = max(p.top + p.pixels.shape[0] for p in there)
    right = max(p.left + p.pixels.shape[1] for p in there)
    pixels = torch.zeros(bottom - top, right - left, dtype=torch.bool)
    for part in there:
        height, width = part.pixels.shape
        y, x = part.top - top, part.left - left
        pixels[y : y + height, x : x + width] |= part.pixels
    return Part(top, left, pixels)


def _intersections(one: Tensor, other: Tensor) -> Tensor:
    """Return what boxes (..., 4) have in common; it is turned over where they have nothing."""
    least = torch.maximum(one[..., :2], other[..., :2])
    return torch.cat([least, torch.minimum(one[..., 2:], other[..., 2:])], dim=-1)


def _areas(boxes: Tensor) -> Tensor:
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]

"""Several heads on one backbone: the supervised task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gvt.batch import Batch, Targets
from gvt.interfaces import Backbone, Head, Metric, Phase, Prediction, Step, Task


class MultiHead(Task):
    """One backbone pass a batch, and every head on its features.

    A head learns from those samples that carry the targets it needs; a batch without any teaches
    it nothing. With one head, losses, metrics and predictions bear their own names, with several
    `head/name`, and a prediction is a dict of the heads' predictions.

    Args:
        backbone: Images to named feature maps.
        heads: Heads by names of one's own, each built from `backbone.feature_info`.
        weights: Factor of each head's losses, 1 unless given.

    Raises:
        ValueError: If there is no head, or a weight is for none of them.
    """

    phases = (Phase("supervised", trains=("backbone", "heads"), optimizer="model"),)

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head],
        weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        if not heads:
            raise ValueError("a MultiHead task needs at least one head")
        unknown = set(weights or {}) - set(heads)
        if unknown:
            raise ValueError(f"weights for {sorted(unknown)}, the heads are {sorted(heads)}")
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.weights = {name: (weights or {}).get(name, 1.0) for name in heads}

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return every head's weighted losses."""
        features = self.backbone(batch.images)
        found: dict[str, Tensor] = {}
        for name, head in self._heads():
            selected = _taught(head, features, batch)
            if selected is not None:
                outputs = head(*selected)
                found |= self._losses(name, head, outputs, selected[1].targets)
        return found

    def predict(self, batch: Batch) -> list[Prediction]:
        """Return one prediction an image."""
        return self._predict(self._outputs(self.backbone(batch.images), batch))

    def decide(self, head: str, scores: Tensor) -> Prediction:
        """Return what a head, "" for the only one, decides of the scores of pixels (K, H, W)."""
        of = dict(self._heads())
        return (of[head] if head else next(iter(of.values()))).decide(scores)

    def evaluate(self, batch: Batch) -> tuple[list[Prediction], dict[str, tuple[Tensor, int]]]:
        """Return predictions, and losses with the number of samples of each, from one pass."""
        features = self.backbone(batch.images)
        outputs = self._outputs(features, batch)
        losses: dict[str, tuple[Tensor, int]] = {}
        for name, head in self._heads():
            selected = _taught(head, features, batch)
            if selected is None:
                continue
            # Only where some samples lack targets is a head run on the others alone again.
            whole = selected[1] is batch
            of_selected = outputs[name] if whole else head(*selected)
            found = self._losses(name, head, of_selected, selected[1].targets)
            losses |= {n: (loss, len(selected[1])) for n, loss in found.items()}
        return self._predict(outputs), losses

    def metric(self) -> Metric | None:
        """Return a metric that gives each head's metric its share."""
        metrics = {n: m for n, h in self._heads() if (m := h.metric()) is not None}
        needs = {n: h.needs for n, h in self._heads()}
        return _MultiHeadMetric(metrics, needs, single=len(self.heads) == 1) if metrics else None

    def errors(
        self, predictions: list[Prediction], targets: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Return as `mistakes`, or `head/mistakes`, how wrong each head is about each image."""
        found: dict[str, Tensor] = {}
        single = len(self.heads) == 1
        for name, head in self._heads():
            rows = [i for i, target in enumerate(targets) if set(head.needs) <= target.keys()]
            if not rows:
                continue
            own = [predictions[i] if single else predictions[i][name] for i in rows]
            errors = head.errors(own, [targets[i] for i in rows])
            if errors is not None:
                all_errors = errors.new_zeros(len(targets))
                all_errors[rows] = errors
                found["mistakes" if single else f"{name}/mistakes"] = all_errors
        return found

    def _heads(self) -> list[tuple[str, Head]]:
        return list(self.heads.items())  # type: ignore[arg-type]

    def _outputs(self, features: Mapping[str, Tensor], batch: Batch) -> dict[str, Any]:
        return {name: head(features, batch) for name, head in self._heads()}

    def _predict(self, outputs: Mapping[str, Any]) -> list[Prediction]:
        by_head = {name: head.predict(outputs[name]) for name, head in self._heads()}
        if len(by_head) == 1:
            return next(iter(by_head.values()))
        return [dict(zip(by_head, p, strict=True)) for p in zip(*by_head.values(), strict=True)]

    def _losses(
        self, name: str, head: Head, outputs: Any, targets: Targets | None
    ) -> dict[str, Tensor]:
        assert targets is not None  # `_taught` lets no batch without targets through
        prefix = "" if len(self.heads) == 1 else f"{name}/"
        weight = self.weights[name]
        found = head.loss(outputs, targets)
        return {f"{prefix}{k}": v if weight == 1 else weight * v for k, v in found.items()}


def _taught(
    head: Head, features: Mapping[str, Tensor], batch: Batch
) -> tuple[Mapping[str, Tensor], Batch] | None:
    """Return the features and samples that carry what the head needs, None if there are none."""
    if batch.targets is None:
        return None
    rows = batch.targets.rows_with(head.needs, len(batch))
    if rows is None:
        return features, batch
    if not len(rows):
        return None
    there = rows.to(batch.images.device)
    return {name: feature[there] for name, feature in features.items()}, batch.select(rows)


class _MultiHeadMetric:
    """Gives every head's metric the predictions of that head and the truths that it needs."""

    def __init__(
        self, metrics: Mapping[str, Metric], needs: Mapping[str, tuple[str, ...]], single: bool
    ) -> None:
        self._metrics, self._needs, self._single = metrics, needs, single

    def to(self, device: torch.device) -> _MultiHeadMetric:
        for metric in self._metrics.values():
            metric.to(device)
        return self

    def update(self, predictions: list[Any], targets: list[Any]) -> None:
        for name, metric in self._metrics.items():
            needs = set(self._needs[name])
            pairs = [
                (p if self._single else p[name], t)
                for p, t in zip(predictions, targets, strict=True)
                if needs <= t.keys()
            ]
            if pairs:
                metric.update([p for p, _ in pairs], [t for _, t in pairs])

    def compute(self) -> dict[str, Any]:
        found = {name: _named(metric.compute()) for name, metric in self._metrics.items()}
        if self._single:
            return dict(next(iter(found.values())))
        return {f"{n}/{k}": v for n, values in found.items() for k, v in values.items()}


def _named(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"metric": value}

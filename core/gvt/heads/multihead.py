"""The supervised task: one backbone with several heads."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from gvt.batch import Batch, Targets
from gvt.errors import DataError
from gvt.heads.deployed import DeployedHeads
from gvt.heads.multihead_metric import MultiHeadMetric, judged
from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Backbone, Head, Metric, Prediction, Weighting
from gvt.predictions import short_name
from gvt.task import Deployed, Phase, Step, Task

_TAKEN = frozenset({*dir(nn.ModuleDict()), *dir(nn.ParameterDict())})
"""Names of attributes of the containers of heads."""


class MultiHead(Task):
    """One backbone pass for each batch, and every head on its features.

    A head learns from the samples that have the targets it needs, and its losses are means over
    these; without any, it has no loss. A prediction is `{head: {key: value}}`. Losses and metrics
    are called `head/name`, or `name` if there is one head.

    Args:
        backbone: Backbone from images to named feature maps.
        heads: Heads by any names, each built from `backbone.feature_info`.
        weights: Factor of the losses of each head, 1 by default.
        weighting: How the losses of the heads train the backbone; by default they are added up.
        vocabularies: The classes of each head that learns from one part of mixed data.
        share: The last feature map up to which the heads share the backbone, such as `stage4`; all
            of it by default. Each head has a copy of the later layers to itself, which begins with
            the same weights.

    Attributes:
        backbone: The layers that the heads share.
        branches: The layers between these and each head, by head.
        whole: The backbone that was passed. It tells what it declares, such as the `feature_info`
            of the heads, and is not called.

    Raises:
        ValueError: If there is no head, a name is not valid for a module, a weight or a vocabulary
            is for none of the heads, the backbone has no map `share`, or it is not a
            `gvt.Backbone`, which only `share` requires.
        NotImplementedError: If the backbone cannot be split at `share`.
    """

    whole: Backbone

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head],
        weights: dict[str, NonNegativeFloat] | None = None,
        weighting: Weighting | None = None,
        vocabularies: Mapping[str, Vocabulary] | None = None,
        share: str | None = None,
    ) -> None:
        super().__init__()
        if not heads:
            raise ValueError("a MultiHead task needs at least one head")
        for what, by_head in (("weights", weights), ("vocabularies", vocabularies)):
            if unknown := sorted(set(by_head or {}) - set(heads)):
                raise ValueError(f"{what} for {unknown}, the heads are {sorted(heads)}")
        if share and not isinstance(backbone, Backbone):
            raise ValueError(f"share: a {type(backbone).__name__} is not a gvt.Backbone")
        # `whole` is not a submodule, so its weights have no second names.
        self.share, self.__dict__["whole"] = share, backbone
        self.backbone, rest = backbone.split(share) if share else (backbone, nn.Identity())
        self.heads, self.branches = nn.ModuleDict(), nn.ModuleDict()
        module: object = weighting  # as it may be in code that is not type-checked
        if module is not None and not isinstance(module, Weighting):
            raise ValueError(f"weighting {module!r}: build one with gvt.create('weighting', ...)")
        self.weighting = Weighting() if weighting is None else weighting
        self.weights = dict(weights or {})
        self.vocabularies = dict(vocabularies or {})
        for name, head in heads.items():
            self._put(name, head, copy.deepcopy(rest) if self.heads else rest)
        learned = ("weighting",) if [*self.weighting.parameters()] else ()
        trains = ("backbone", "branches", "heads", *learned)
        shared = ("backbone",)
        phase = Phase("supervised", trains, optimizer="model", weighting="weighting", shared=shared)
        self.phases = (phase,)

    def add_head(
        self, name: str, head: Head, *, weight: float = 1.0, vocabulary: Vocabulary | None = None
    ) -> Head:
        """Add a head, and return it; `gvt.add_head` adds one by its name in the registry.

        The outputs of the other heads do not change. To train only the new head, freeze the rest:
        `gvt.TrainConfig(unfreeze={"backbone": "never", "heads.old": "never"})`. With `share`, its
        branch is a copy of that of the first head, with the weights that it has now.

        Args:
            name: Name of the head in this task.
            head: The head, built from `whole.feature_info`.
            weight: Factor of its losses.
            vocabulary: Its classes, if it learns from one part of mixed data.

        Raises:
            ValueError: If there is a head of that name already, the name is not valid, or `head`
                is not a head.
        """
        if name in self.heads:
            raise ValueError(f"there is a head {name!r} already; remove it first")
        module: object = head  # as it may be in code that is not type-checked
        if not isinstance(module, nn.Module):
            hint = "; gvt.add_head takes a name in the registry" if isinstance(module, str) else ""
            raise ValueError(f"head {name!r} is a {type(module).__name__}, not a gvt.Head{hint}")
        weights = next(self.backbone.parameters(), None)
        branch = copy.deepcopy(next(iter(self.branches.values())))
        self._put(name, head if weights is None else head.to(weights.device), branch)
        head.train(self.training)
        self.weights[name] = weight
        if vocabulary is not None:
            self.vocabularies[name] = vocabulary
        return head

    def remove_head(self, name: str) -> Head:
        """Remove a head, and return it; with one left, losses and metrics have the short names.

        Raises:
            ValueError: If there is no head of that name, or it is the only one.
        """
        if name not in self.heads:
            raise ValueError(f"there is no head {name!r}; the heads are {', '.join(self.heads)}")
        if len(self.heads) == 1:
            raise ValueError(f"{name!r} is the only head; add another one first")
        head: Any = self.heads.pop(name)
        del self.branches[name]
        self.weights.pop(name, None)
        self.vocabularies.pop(name, None)
        self.weighting.remove_head(name)
        return head  # type: ignore[no-any-return]

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return every head's weighted losses."""
        losses: dict[str, Tensor] = {}
        features = self._features(batch)
        for name, rows, samples, targets in self._lessons(batch, features, step):
            outputs = self._output(name, rows, samples)
            step.tie(self.heads[name], outputs)
            if targets is not None:
                losses |= self._losses(name, outputs, targets)
        return losses

    def predict(self, batch: Batch) -> list[Prediction]:
        """Return one prediction an image, `{head: {key: value}}`."""
        return self._predict(self._outputs(self._features(batch), batch))

    def predicts(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of the predictions of each head; () of one that does not declare them."""
        return {name: getattr(head, "predicts", ()) for name, head in self._heads()}

    def deployed(self) -> Deployed:
        """Return the backbone with its heads: what they read in, and what they predict out.

        Raises:
            NotImplementedError: If a head has no deployed form; names it.
        """
        module = DeployedHeads(self.backbone, dict(self._heads()), self.vocabularies, self.branches)
        dynamic = {name: module.dynamic(name) for name in module.inputs}
        return Deployed(module, module.inputs, module.outputs, dynamic)

    def decide(self, head: str, scores: Tensor) -> Prediction:
        """Return the prediction of a head from the scores of pixels (K, H, W)."""
        decider: Any = self.heads[head]
        words = self.vocabularies.get(head)
        if words is None:
            return decider.decide(scores)  # type: ignore[no-any-return]
        return words.outside(decider.decide(words.own_scores(scores)))

    def evaluate(
        self, batch: Batch, step: Step
    ) -> tuple[list[Prediction], dict[str, tuple[Tensor, int]]]:
        """Return predictions, and losses with the number of samples of each, from one pass."""
        features = self._features(batch)
        outputs = self._outputs(features, batch)
        losses: dict[str, tuple[Tensor, int]] = {}
        for name, rows, samples, targets in self._lessons(batch, features, step):
            # If some samples lack targets, the head is run again on the others.
            is_partial = step.any(samples is not batch)
            of_head = self._output(name, rows, samples) if is_partial else outputs[name]
            of_name = {} if targets is None else self._losses(name, of_head, targets)
            for loss_name, loss in of_name.items():
                losses[loss_name] = loss, len(samples)
        return self._predict(outputs), losses

    def metric(self) -> Metric | None:
        """Return a metric that combines those of the heads; None if no head has one."""
        metric = MultiHeadMetric(dict(self._heads()), self.vocabularies)
        return metric if metric.metrics else None

    def errors(
        self, predictions: list[Prediction], targets: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Return the error of each head for each image, (N,), 0 without targets for the head."""
        by_head: dict[str, Tensor] = {}
        for name, head in self._heads():
            words = self.vocabularies.get(name)
            rows, *pair = judged(name, head.needs, words, predictions, targets)
            if rows and (errors := head.errors(*pair)) is not None:
                by_head[name] = errors.new_zeros(len(targets))
                by_head[name][rows] = errors
        return by_head

    def untaught(self, losses: Collection[str]) -> list[str]:
        """Return a message for each of several heads that had none of these losses."""
        if len(self.heads) == 1:
            return []  # the trainer has a message for the whole task
        messages = []
        for name, head in self._heads():
            if not any(loss.startswith(f"{name}/") for loss in losses):
                words = self.vocabularies.get(name)
                of_part = "" if words is None else f" of part {words.part}"
                messages.append(
                    f"head {name} learned nothing in a whole epoch: no sample{of_part} has "
                    f"{', '.join(head.needs) or 'what it needs'}"
                )
        return messages

    def _features(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the feature maps of the inputs that the backbone reads.

        Raises:
            DataError: If the batch lacks one.
        """
        reads = getattr(self.backbone, "reads", ("image",))
        if lacking := [key for key in reads if key not in batch.inputs]:
            raise DataError(
                f"the backbone reads {', '.join(reads)}, and the data has no {', '.join(lacking)}; "
                f"its inputs are {', '.join(batch.inputs)}"
            )
        features: Mapping[str, Tensor] = self.backbone(*(batch.inputs[key] for key in reads))
        return features

    def _heads(self) -> list[tuple[str, Head]]:
        return list(self.heads.items())  # type: ignore[arg-type]

    def _put(self, name: str, head: Head, branch: nn.Module) -> None:
        if not name or "." in name or "/" in name or name in _TAKEN:
            raise ValueError(f"a head cannot be called {name!r}; give it another name")
        self.heads[name], self.branches[name] = head, branch
        self.weights.setdefault(name, 1.0)
        self.weighting.add_head(name)

    def _outputs(self, features: Mapping[str, Tensor], batch: Batch) -> dict[str, Any]:
        return {name: self._output(name, features, batch) for name in self.heads}

    def _output(self, name: str, features: Mapping[str, Tensor], batch: Batch) -> Any:
        return self.heads[name](self.branches[name](features), batch)

    def _predict(self, outputs: Mapping[str, Any]) -> list[Prediction]:
        by_head = {name: head.predict(outputs[name]) for name, head in self._heads()}
        for name, words in self.vocabularies.items():
            by_head[name] = [words.outside(prediction) for prediction in by_head[name]]
        return [dict(zip(by_head, p, strict=True)) for p in zip(*by_head.values(), strict=True)]

    def _lessons(
        self, batch: Batch, features: Mapping[str, Tensor], step: Step
    ) -> Iterator[tuple[str, Mapping[str, Tensor], Batch, Targets | None]]:
        """Yield the heads that learn from a batch, each with the result of `taught`.

        If networks are sharded, a head that learns in another process only has no targets.
        """
        for name, head in self._heads():
            lesson = taught(head, features, batch, self.vocabularies.get(name))
            if step.any(lesson is not None):
                yield name, *(lesson or (features, batch, None))

    def _losses(self, name: str, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        head: Any = self.heads[name]
        losses: dict[str, Tensor] = head.loss(outputs, targets)
        if (weight := self.weights[name]) != 1:
            losses = {key: weight * loss for key, loss in losses.items()}
        losses = self.weighting(name, losses) if losses else {}
        return {short_name(name, self.heads, key): loss for key, loss in losses.items()}


def taught(
    head: Head, features: Mapping[str, Tensor], batch: Batch, vocabulary: Vocabulary | None = None
) -> tuple[Mapping[str, Tensor], Batch, Targets] | None:
    """Return the features, samples and targets that a head learns from; None if there are none.

    Args:
        head: The head.
        features: Feature maps of the whole batch.
        batch: All samples, with the targets that they have.
        vocabulary: The part of mixed data that the head learns from; the targets returned have its
            class numbers.
    """
    if batch.targets is None:
        return None
    rows = batch.targets.rows_with(head.needs, len(batch))
    if vocabulary is not None:
        rows = _of_part(rows, batch, vocabulary.part)
    if rows is not None:
        if not len(rows):
            return None
        there = rows.to(next(iter(features.values())).device)
        features = {key: feature[there] for key, feature in features.items()}
        batch = batch.select(rows)
    assert batch.targets is not None
    targets = batch.targets if vocabulary is None else vocabulary.own_targets(batch.targets)
    return features, batch, targets


def _of_part(rows: Tensor | None, batch: Batch, part: str) -> Tensor | None:
    """Return which of some rows, None for all, belong to one part of mixed data; None for all."""
    if len(batch.records) != len(batch):
        raise ValueError("a batch of mixed data has a record of each sample, which names its part")
    of_part = torch.tensor([record.part == part for record in batch.records], dtype=torch.bool)
    if rows is not None:
        return rows[of_part[rows]]
    return None if bool(of_part.all()) else of_part.nonzero().flatten()

"""The task of a generative adversarial network."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import (
    Batch,
    Deployed,
    Discriminator,
    Generator,
    Metric,
    Phase,
    Shown,
    Step,
    Targets,
    Task,
    random_source,
)

from .judging import Judge, judged, supervised
from .ranges import Range, between

SAMPLES_AT_ONCE = 64


class GAN(Task):
    """Generative adversarial network (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

    The discriminator is trained for positive logits of real and negative logits of generated
    images ("fakes"), the generator for positive logits of fakes (the non-saturating loss), both
    with binary cross entropy on logits. Fakes are generated once for each iteration: the first
    phase uses them detached, the second backpropagates through them.

    A discriminator may also predict other targets, such as the class (see `gvt_gan.judging.Judge`).
    It learns them from real images that have them. A generator with `num_classes` is conditional:
    classes are drawn uniformly, the discriminator learns them from the fakes, too, and the
    generator is trained for fakes that are classified correctly (auxiliary classifier GAN, Odena et
    al. 2017, https://arxiv.org/abs/1610.09585).

    Args:
        generator: Latents to images in its `image_range`; conditional if it has `num_classes`.
        discriminator: Images in the data range to logits.
        data_range: Range that real images, which are in [0, 1], are mapped to before the
            discriminator; by default the range of the generator.
        critic_steps: Steps of the discriminator for each step of the generator.
        real_labels: Target of the discriminator for reals, between 0 (fake) and 1 (real); drawn
            uniformly from the range for each image.
        fake_labels: Target of the discriminator for fakes, likewise.
        generator_labels: Target of the generator for fakes, likewise.
        together: Whether reals and fakes pass the discriminator as one batch, with the mean over
            both as loss; otherwise the loss is the sum of the two means.
        sheet: Rows and columns of the sheet of samples; each row shows one class if the generator
            is conditional.
        show: `samples` shows images from latents that are fixed over the run; `training` shows the
            first fake of the iteration, before both updates.

    Raises:
        ValueError: If labels are not a range within [0, 1], the generator is conditional but the
            discriminator does not predict classes, the discriminator takes images of another range,
            or it predicts other targets and `together` is set.
    """

    exports = ("torch",)

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        data_range: Range | None = None,
        critic_steps: PositiveInt = 1,
        real_labels: Range = (1.0, 1.0),
        fake_labels: Range = (0.0, 0.0),
        generator_labels: Range = (1.0, 1.0),
        together: bool = False,
        sheet: tuple[PositiveInt, PositiveInt] = (8, 8),
        show: Literal["samples", "training"] = "samples",
    ) -> None:
        super().__init__()
        labels = {"real": real_labels, "fake": fake_labels, "generator": generator_labels}
        for name, (low, high) in labels.items():
            if not 0 <= low <= high <= 1:
                raise ValueError(f"{name}_labels [{low}, {high}]: should be a range within [0, 1]")
        self.phases = (
            Phase("discriminator", trains="discriminator", keeps_graph=("generator",)),
            Phase("generator", trains="generator", every=critic_steps, offset=critic_steps - 1),
        )
        self.generator = generator
        self.discriminator = discriminator
        self.data_range = data_range or generator.image_range
        self.classes = int(getattr(generator, "num_classes", 0))
        self.labels, self.together = labels, together
        self.sheet, self.show = sheet, show
        self._check_networks()

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the losses `real` and `fake` of the discriminator, or `generator`.

        Losses of other targets are named `real/...` and `fake/...` in the discriminator's phase.
        """
        fakes, classes = self._fakes(len(batch), step)
        if phase == "generator":
            logits, further = judged(self.discriminator, fakes, classes)
            return {"generator": self._loss("generator", logits, step), **further}
        reals, fakes = self._real(batch), fakes.detach()
        losses: dict[str, Tensor] = {}
        if self.together:
            real_logits, fake_logits = self.discriminator(torch.cat([reals, fakes])).chunk(2)
        else:
            real_logits, further = judged(self.discriminator, reals, batch.targets)
            losses |= {f"real/{name}": loss for name, loss in further.items()}
            fake_logits, further = judged(self.discriminator, fakes, classes)
            losses |= {f"fake/{name}": loss for name, loss in further.items()}
        share = 0.5 if self.together else 1.0
        return {
            "real": share * self._loss("real", real_logits, step),
            "fake": share * self._loss("fake", fake_logits, step),
            **losses,
        }

    def predict(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the discriminator's predictions of other targets for each image."""
        task = supervised(self.discriminator)
        return super().predict(batch) if task is None else task.predict(batch)

    def predicts(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of the discriminator's predictions of other targets, by head."""
        task = supervised(self.discriminator)
        return {} if task is None else task.predicts()

    def deployed(self) -> Deployed:
        """Return the generator: latents, and classes if it is conditional, to images in [0, 1].

        Its inputs are `latent` (N, *latent_shape) float32, normal noise, and `class` (N,) int64.
        """
        inputs = ("latent", "class") if self.classes else ("latent",)
        return Deployed(
            _Generated(self),
            {name: name for name in inputs},
            {"image": "image"},
            {name: {0: "batch"} for name in inputs},
            {"latent": self.generator.latent_shape},
        )

    def decide(self, head: str, scores: Tensor) -> dict[str, Any]:
        """Return the decision of a further head of the discriminator on scores (K, H, W)."""
        task = supervised(self.discriminator)
        return super().decide(head, scores) if task is None else task.decide(head, scores)

    def evaluate(
        self, batch: Batch, step: Step
    ) -> tuple[list[dict[str, Any]], dict[str, tuple[Tensor, int]]]:
        """Return predictions and losses on held-out images, with the labels 1 and 0.

        Fakes have the same latents in every batch, and the classes in turn. Predictions and losses
        of other targets are those for real images.
        """
        count = len(batch)
        fakes = self._generated(self._latents(count, seed=0), self._in_turn(count))
        real_logits, fake_logits = self.discriminator(self._real(batch)), self.discriminator(fakes)
        losses = {
            "real": (_cross_entropy(real_logits, 1.0), count),
            "fake": (_cross_entropy(fake_logits, 0.0), count),
            "generator": (_cross_entropy(fake_logits, 1.0), count),
        }
        task = supervised(self.discriminator)
        if task is None:
            return [], losses
        predictions, further = task.evaluate(batch, step)
        return predictions, losses | further

    def metric(self) -> Metric | None:
        """Return the metric of the discriminator's predictions of other targets."""
        task = supervised(self.discriminator)
        return None if task is None else task.metric()

    def errors(
        self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Return the errors of the discriminator's predictions of other targets, (N,) each."""
        task = supervised(self.discriminator)
        return {} if task is None else task.errors(predictions, targets)

    def untaught(self, losses: Collection[str]) -> list[str]:
        """Return warnings about targets that the discriminator has not learned from real images.

        Targets learned from fakes alone do not count: predictions for reals may be wrong.
        """
        if losses and "real" not in losses:
            return []  # the discriminator was frozen
        if not isinstance(self.discriminator, Judge) or not self.discriminator.tells:
            return []
        task = supervised(self.discriminator)
        names = {name.removeprefix("real/") for name in losses if name.startswith("real/")}
        # Losses of a single further head have no prefix, and its task returns no warning.
        messages = [] if task is None else task.untaught(names)
        if not names and not messages:
            keys = ", ".join(self.discriminator.tells)
            messages = [f"the discriminator learned nothing in a whole epoch: no sample has {keys}"]
        return [f"real images: {message}" for message in messages]

    def sample(self, count: int, seed: int) -> Tensor:
        """Generate images, (N, C, H, W) in [0, 1]; image i depends on the seed and i only.

        If the generator is conditional, image i is of class i % K.
        """
        return self._drawn(self._latents(count, seed), self._in_turn(count))

    def pictures(self, seed: int, examples: Batch | None) -> dict[str, Tensor | Shown]:
        """Return a sheet of samples, with the same latents for the same seed."""
        if self.show == "training":
            return {}  # see `_fakes`
        rows, columns = self.sheet
        row_classes = self._in_turn(rows)
        classes = None if row_classes is None else row_classes.repeat_interleave(columns)
        samples = self._drawn(self._latents(rows * columns, seed), classes)
        return {"samples": samples.unflatten(0, self.sheet)}

    def to_data_range(self, images: Tensor) -> Tensor:
        """Map images from the generator's range to the range of the discriminator."""
        return between(self.generator.image_range, self.data_range, images)

    def _check_networks(self) -> None:
        """Check that generator and discriminator fit each other."""
        tells = self.discriminator.tells if isinstance(self.discriminator, Judge) else ()
        if self.classes and "class" not in tells:
            raise ValueError(
                "the generator is conditional, but the discriminator does not predict classes: add "
                "a head that does (discriminator.name=on_backbone discriminator.heads=...), or set "
                "conditional=false"
            )
        if self.together and tells:
            raise ValueError(
                f"together=true needs a discriminator without further heads; this one also "
                f"predicts {', '.join(tells)}"
            )
        seen = getattr(self.discriminator, "data_range", None)
        if seen is not None and tuple(seen) != tuple(self.data_range):
            raise ValueError(
                f"the discriminator takes images in {list(seen)}, but the data range is "
                f"{list(self.data_range)}; set data.range={list(self.data_range)}"
            )

    def _real(self, batch: Batch) -> Tensor:
        return between((0.0, 1.0), self.data_range, batch.images)

    def _fakes(self, count: int, step: Step) -> tuple[Tensor, Targets | None]:
        """Return the fakes of an iteration, with a graph if the generator is trained in it.

        Their classes are returned as targets if the generator is conditional.
        """
        if "fakes" not in step.memo:
            trains = self.phases[1].is_due(step.index)
            latents = step.randn(count, *self.generator.latent_shape)
            classes = (step.rand(count) * self.classes).long() if self.classes else None
            with torch.set_grad_enabled(trains and torch.is_grad_enabled()):
                step.memo["fakes"] = self._generated(latents, classes)
            step.memo["classes"] = None if classes is None else Targets({"class": classes})
            if self.show == "training":
                step.pictures["fakes"] = self._displayed(step.memo["fakes"][:1].detach())
        return step.memo["fakes"], step.memo["classes"]

    def _generated(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Return images in the data range, of the classes (N,) if the generator is conditional."""
        arguments = (latents,) if classes is None else (latents, classes)
        return self.to_data_range(self.generator(*arguments))

    def _drawn(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Return images in [0, 1], generated in chunks."""
        chunks = latents.split(SAMPLES_AT_ONCE)
        labels = [None] * len(chunks) if classes is None else classes.split(SAMPLES_AT_ONCE)
        pairs = zip(chunks, labels, strict=True)
        return self._displayed(torch.cat([self._generated(*pair) for pair in pairs]))

    def _in_turn(self, count: int) -> Tensor | None:
        """Return the classes in turn, (count,); None if the generator is not conditional."""
        if not self.classes:
            return None
        return torch.arange(count, device=next(self.generator.parameters()).device) % self.classes

    def _displayed(self, images: Tensor) -> Tensor:
        """Return images of the data range clamped to it, in [0, 1]."""
        return between(self.data_range, (0.0, 1.0), images.float()).clamp(0, 1)

    def _latents(self, count: int, seed: int) -> Tensor:
        """Return latents; each depends on the seed and its index only."""
        latents = [
            torch.randn(self.generator.latent_shape, generator=random_source(seed, "latent", i))
            for i in range(count)
        ]
        return torch.stack(latents).to(next(self.generator.parameters()).device)

    def _loss(self, name: str, logits: Tensor, step: Step) -> Tensor:
        low, high = self.labels[name]
        if low == high:
            return _cross_entropy(logits, low)
        return _cross_entropy(logits, low + (high - low) * step.rand(len(logits)))


class _Generated(nn.Module):
    """The generator of a task, with images in [0, 1]."""

    def __init__(self, task: GAN) -> None:
        super().__init__()
        self.generator = task.generator

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        """Return images (N, C, H, W) for latents, and classes if it is conditional."""
        images = self.generator(*inputs).float()
        return (between(self.generator.image_range, (0.0, 1.0), images).clamp(0, 1),)


def _cross_entropy(logits: Tensor, labels: Tensor | float) -> Tensor:
    """Return the mean loss, computed in float32, since bfloat16 cannot represent a label of 0.9."""
    logits = logits.float()
    if not isinstance(labels, Tensor):
        labels = torch.full_like(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)

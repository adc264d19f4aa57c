"""A generator against a discriminator."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from gvt import (
    Batch,
    Discriminator,
    Generator,
    Metric,
    Phase,
    Step,
    Targets,
    Task,
    random_source,
)

from .judging import Judge, judged, supervised
from .ranges import Range, between

SAMPLES_AT_ONCE = 64


class GAN(Task):
    """The game of Goodfellow and others (2014, https://arxiv.org/abs/1406.2661).

    The discriminator learns to give reals a positive and fakes a negative logit, the generator to
    get positive ones (the non-saturating loss), both by binary cross entropy on logits. Fakes are
    drawn once an iteration: the first phase sees them detached, the second goes on through them.

    A discriminator may tell more, such as the class (see `gvt_gan.judging.Judge`): it then also
    learns that, of reals that carry it. A generator with `num_classes` draws by class: the wanted
    classes are drawn evenly, the discriminator learns them of its fakes, and the generator learns
    to draw such as are told rightly (Odena and others 2017, https://arxiv.org/abs/1610.09585).

    Args:
        generator: Latents to images in its `image_range`, by class if it has `num_classes`.
        discriminator: Images in the data's range to logits.
        data_range: What real images, which come in [0, 1], are mapped to before the
            discriminator; the generator's own range unless given.
        critic_steps: Steps of the discriminator for each one of the generator.
        real_labels: What the discriminator is to say of a real, 1 being sure that it is one; a
            range is drawn from uniformly, for each image anew.
        fake_labels: The same of a fake.
        generator_labels: The same of a fake, as the generator wishes it.
        together: Reals and fakes go through the discriminator as one batch, and its loss is the
            mean over both; otherwise it is the sum of the two means.
        sheet: Rows and columns of the sheet of samples; each row is of one class where the
            generator draws by class.
        show: `samples` are drawn from latents that stay the same over the run; `training` is the
            first fake of the iteration, as it was before both updates.

    Raises:
        ValueError: If labels are no range within [0, 1], the generator draws by class and the
            discriminator tells none, or the discriminator takes images of another range, or tells
            more though reals and fakes go through it together.
    """

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
                raise ValueError(f"{name}_labels [{low}, {high}]: has to be a range within [0, 1]")
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
        """Return the losses `real` and `fake` of the discriminator, or that of the generator.

        Those of what else the discriminator tells follow, in its own phase as `real/...` and
        `fake/...`.
        """
        fakes, wanted = self._fakes(len(batch), step)
        if phase == "generator":
            logits, further = judged(self.discriminator, fakes, wanted)
            return {"generator": self._loss("generator", logits, step), **further}
        reals, fakes = self._real(batch), fakes.detach()
        losses: dict[str, Tensor] = {}
        if self.together:
            of_reals, of_fakes = self.discriminator(torch.cat([reals, fakes])).chunk(2)
        else:
            of_reals, told = judged(self.discriminator, reals, batch.targets)
            losses |= {f"real/{name}": loss for name, loss in told.items()}
            of_fakes, told = judged(self.discriminator, fakes, wanted)
            losses |= {f"fake/{name}": loss for name, loss in told.items()}
        share = 0.5 if self.together else 1.0
        return {
            "real": share * self._loss("real", of_reals, step),
            "fake": share * self._loss("fake", of_fakes, step),
            **losses,
        }

    def predict(self, batch: Batch) -> list[dict[str, Any]]:
        """Return what the discriminator tells of each image besides whether it is real."""
        task = supervised(self.discriminator)
        return super().predict(batch) if task is None else task.predict(batch)

    def decide(self, head: str, scores: Tensor) -> dict[str, Any]:
        """Return what a further head of the discriminator decides of scores (K, H, W)."""
        task = supervised(self.discriminator)
        return super().decide(head, scores) if task is None else task.decide(head, scores)

    def evaluate(self, batch: Batch) -> tuple[list[dict[str, Any]], dict[str, tuple[Tensor, int]]]:
        """Return the losses on held-out images, with the labels 1 and 0.

        Fakes are of the same latents in every batch, of the classes in turn. With them come the
        predictions and losses of what else the discriminator tells, of reals.
        """
        count = len(batch)
        fakes = self._generated(self._latents(count, seed=0), self._in_turn(count))
        of_reals, of_fakes = self.discriminator(self._real(batch)), self.discriminator(fakes)
        losses = {
            "real": _cross_entropy(of_reals, 1.0),
            "fake": _cross_entropy(of_fakes, 0.0),
            "generator": _cross_entropy(of_fakes, 1.0),
        }
        found = {name: (loss, count) for name, loss in losses.items()}
        task = supervised(self.discriminator)
        if task is None:
            return [], found
        predictions, told = task.evaluate(batch)
        return predictions, found | told

    def metric(self) -> Metric | None:
        """Return the metric of what the discriminator tells besides whether an image is real."""
        task = supervised(self.discriminator)
        return None if task is None else task.metric()

    def errors(
        self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Return how wrong the discriminator is in what else it tells, (N,)."""
        task = supervised(self.discriminator)
        return {} if task is None else task.errors(predictions, targets)

    def untaught(self, losses: Collection[str]) -> list[str]:
        """Return what is to be said of what the discriminator tells and no real taught it.

        What it learned of fakes alone does not count: it need not hold for reals.
        """
        if losses and "real" not in losses:
            return []  # it was frozen
        if not isinstance(self.discriminator, Judge) or not self.discriminator.tells:
            return []
        task = supervised(self.discriminator)
        told = {name.removeprefix("real/") for name in losses if name.startswith("real/")}
        # With one further head losses do not bear its name, and that task is silent about it.
        found = [] if task is None else task.untaught(told)
        if not told and not found:
            keys = ", ".join(self.discriminator.tells)
            found = [f"the discriminator learned nothing in a whole epoch: no sample has {keys}"]
        return [f"of reals, {said}" for said in found]

    def sample(self, count: int, seed: int) -> Tensor:
        """Return new pictures, (N, C, H, W) in [0, 1]; each has a latent of its own seed.

        Where the generator draws by class, picture i is of class i % K.
        """
        return self._drawn(self._latents(count, seed), self._in_turn(count))

    def pictures(self, seed: int) -> dict[str, Tensor]:
        """Return a sheet of samples, always of the same latents for the same seed."""
        if self.show == "training":
            return {}  # each iteration shows its own
        rows, columns = self.sheet
        of_rows = self._in_turn(rows)
        wanted = None if of_rows is None else of_rows.repeat_interleave(columns)
        samples = self._drawn(self._latents(rows * columns, seed), wanted)
        return {"samples": samples.unflatten(0, self.sheet)}

    def to_data_range(self, images: Tensor) -> Tensor:
        """Return a generator's output in the range that the discriminator sees."""
        return between(self.generator.image_range, self.data_range, images)

    def _check_networks(self) -> None:
        """Check that generator and discriminator fit each other."""
        tells = self.discriminator.tells if isinstance(self.discriminator, Judge) else ()
        if self.classes and "class" not in tells:
            raise ValueError(
                "the generator draws by class, and the discriminator tells none: give it a head "
                "that learns classes (discriminator.name=on_backbone discriminator.heads=...), or "
                "let the generator draw without"
            )
        if self.together and tells:
            raise ValueError(
                f"together=true is for a discriminator that only tells reals from fakes; this one "
                f"also tells {', '.join(tells)}"
            )
        seen = getattr(self.discriminator, "data_range", None)
        if seen is not None and tuple(seen) != tuple(self.data_range):
            raise ValueError(
                f"the discriminator takes images in {list(seen)}, and they come in "
                f"{list(self.data_range)}; give data.range={list(self.data_range)}"
            )

    def _real(self, batch: Batch) -> Tensor:
        return between((0.0, 1.0), self.data_range, batch.images)

    def _fakes(self, count: int, step: Step) -> tuple[Tensor, Targets | None]:
        """Return this iteration's fakes, with a graph if the generator learns in it.

        With them come the classes that they are to be of, if the generator draws by class.
        """
        if "fakes" not in step.memo:
            learns = self.phases[1].is_due(step.index)
            latents = step.randn(count, *self.generator.latent_shape)
            wanted = (step.rand(count) * self.classes).long() if self.classes else None
            with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
                step.memo["fakes"] = self._generated(latents, wanted)
            step.memo["wanted"] = None if wanted is None else Targets({"class": wanted})
            if self.show == "training":
                step.pictures["fakes"] = self._for_eyes(step.memo["fakes"][:1].detach())
        return step.memo["fakes"], step.memo["wanted"]

    def _generated(self, latents: Tensor, wanted: Tensor | None) -> Tensor:
        """Return images of the data's range, of the wanted classes (N,) if there are any."""
        given = (latents,) if wanted is None else (latents, wanted)
        return self.to_data_range(self.generator(*given))

    def _drawn(self, latents: Tensor, wanted: Tensor | None) -> Tensor:
        """Return pictures for eyes, a part of them at a time."""
        parts = latents.split(SAMPLES_AT_ONCE)
        of_parts = [None] * len(parts) if wanted is None else wanted.split(SAMPLES_AT_ONCE)
        pairs = zip(parts, of_parts, strict=True)
        return self._for_eyes(torch.cat([self._generated(*pair) for pair in pairs]))

    def _in_turn(self, count: int) -> Tensor | None:
        """Return all classes one after the other, (count,); None where there are none."""
        if not self.classes:
            return None
        return torch.arange(count, device=next(self.generator.parameters()).device) % self.classes

    def _for_eyes(self, images: Tensor) -> Tensor:
        """Return images of the data's range clamped to it, in [0, 1]."""
        return between(self.data_range, (0.0, 1.0), images.float()).clamp(0, 1)

    def _latents(self, count: int, seed: int) -> Tensor:
        """Return latents of which each depends on the seed and its own number alone."""
        drawn = [
            torch.randn(self.generator.latent_shape, generator=random_source(seed, "latent", i))
            for i in range(count)
        ]
        return torch.stack(drawn).to(next(self.generator.parameters()).device)

    def _loss(self, whose: str, logits: Tensor, step: Step) -> Tensor:
        low, high = self.labels[whose]
        if low == high:
            return _cross_entropy(logits, low)
        return _cross_entropy(logits, low + (high - low) * step.rand(len(logits)))


def _cross_entropy(logits: Tensor, labels: Tensor | float) -> Tensor:
    """Return the mean in float32, also of logits in bfloat16, which has no label of 0.9."""
    logits = logits.float()
    if not isinstance(labels, Tensor):
        labels = torch.full_like(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)

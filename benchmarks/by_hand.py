"""Training loops of two recipes in plain PyTorch, as a baseline without gvt.

They use the same techniques as gvt: data on the device as uint8, channels last, autocast, no
gradients for modules that are not trained, and losses that are read at intervals.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

import gvt
from gvt.data.order import Order
from gvt.seeding import derive, seed_everything


class ByHand(ABC):
    """A training loop that can be run in blocks of steps.

    Args:
        task: The task, for its modules only.
        config: The configuration, for its settings.
        dataset: The training data.
        placement: Precision and memory format.
        order: The order of the samples, the same as in gvt's loop.
    """

    def __init__(
        self,
        task: gvt.Task,
        config: gvt.RunConfig,
        dataset: gvt.Dataset,
        placement: gvt.Placement,
        order: Order,
    ) -> None:
        self.task, self.config = task, config
        inputs, targets = dataset.tensors()
        self.images = inputs["image"]
        self.labels = targets["class"]
        channels_last = placement.memory_format == "channels_last"
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.precision = getattr(torch, placement.precision)
        self.batches = _batches(order)
        self.losses: list[Tensor] = []
        self.steps = 0

    def run(self, steps: int, seed: int | None = None) -> None:
        """Train for a number of steps; with a seed, using the same random numbers as gvt."""
        for _ in range(steps):
            if seed is not None:
                seed_everything(derive(seed, "loop", self.steps, 0))
            indices = next(self.batches)
            images = self.images[indices].to(torch.float32).div_(255)
            images = images.contiguous(memory_format=self.layout)
            self.losses += self.step(images, self.labels[indices], seed)
            self.steps += 1
            if self.steps % self.config.train.log_every == 0:
                torch.stack(self.losses).tolist()
                self.losses = []

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor, seed: int | None) -> list[Tensor]:
        """Train for one step on images in [0, 1], and return the losses."""

    def autocast(self) -> torch.autocast:
        """Return the context of the forward passes."""
        return torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32)

    def adam(self, key: str, parameters: Iterator[Tensor]) -> torch.optim.Adam:
        """Return an Adam optimiser with the parameters of the recipe."""
        return torch.optim.Adam(parameters, fused=True, **self.config.optimizers[key].parameters)


class Classifier(ByHand):
    """The loop of classify.mnist."""

    def __init__(self, *arguments, total_steps: int) -> None:
        super().__init__(*arguments)
        self.optimizer = self.adam("model", self.task.parameters())
        warmup = self.config.optimizers["model"].warmup
        parts = [
            LinearLR(self.optimizer, 1 / (warmup + 1), total_iters=warmup),
            CosineAnnealingLR(self.optimizer, max(1, total_steps - warmup)),
        ]
        self.schedule = SequentialLR(self.optimizer, parts, milestones=[warmup])

    def step(self, images: Tensor, labels: Tensor, seed: int | None) -> list[Tensor]:
        """Train on one batch."""
        self.optimizer.zero_grad()
        with self.autocast():
            batch = gvt.Batch.of_images(images)
            logits = self.task.heads.digit(self.task.backbone(images), batch)
            loss = F.cross_entropy(logits, labels)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return [loss.detach()]


class DCGAN(ByHand):
    """The loop of gan.mnist_dcgan."""

    def __init__(self, *arguments, total_steps: int) -> None:
        super().__init__(*arguments)
        self.adam_g = self.adam("generator", self.task.generator.parameters())
        self.adam_d = self.adam("discriminator", self.task.discriminator.parameters())

    def step(self, images: Tensor, labels: Tensor, seed: int | None) -> list[Tensor]:
        """Train the discriminator, then the generator, on one batch of fakes."""
        generator, discriminator = self.task.generator, self.task.discriminator
        reals = images * 2 - 1
        latents = self.latents(len(images), seed)
        discriminator.requires_grad_(True)
        self.adam_d.zero_grad()
        with self.autocast():
            fakes = generator(latents)
            real = _cross_entropy(discriminator(reals), 1.0)
            fake = _cross_entropy(discriminator(fakes.detach()), 0.0)
        (real + fake).backward()
        self.adam_d.step()

        discriminator.requires_grad_(False)
        self.adam_g.zero_grad()
        with self.autocast():
            loss = _cross_entropy(discriminator(fakes), 1.0)
        loss.backward()
        self.adam_g.step()
        return [real.detach(), fake.detach(), loss.detach()]

    def latents(self, count: int, seed: int | None) -> Tensor:
        """Return the latents of the fakes."""
        shape = self.task.generator.latent_shape
        if seed is None:
            return torch.randn(count, *shape)
        return gvt.Step(self.steps, seed=seed).randn(count, *shape)


LOOPS: dict[str, type[ByHand]] = {"classify.mnist": Classifier, "gan.mnist_dcgan": DCGAN}
"""The loop of each recipe."""


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _batches(order: Order) -> Iterator[Tensor]:
    """Yield the indices of each batch, endlessly."""
    size, epoch = order.batch_size, 0
    while True:
        shuffled = order.epoch(epoch)
        for begin in range(0, order.count - size + 1, size):
            yield shuffled[begin : begin + size]
        epoch += 1

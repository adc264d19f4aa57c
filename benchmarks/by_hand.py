"""The loops of two recipes written out by hand in plain PyTorch: what the loop costs without gvt.

They do everything that is good practice and that gvt does: data on the device as uint8, channels
last, autocast, no gradients for a network that is not trained, losses read every so often.
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
    """One loop, which can be run block by block.

    Args:
        task: The networks; what the task computes is written out anew here.
        config: The recipe, for its numbers.
        dataset: The training data.
        placement: Precision and memory format.
        order: Which samples come when, so that both loops see the same ones.
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
        self.images, targets = dataset.tensors()
        self.labels = targets["class"]
        channels_last = placement.memory_format == "channels_last"
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.precision = getattr(torch, placement.precision)
        self.batches = _batches(order)
        self.unread: list[Tensor] = []
        self.done = 0

    def run(self, steps: int, seed: int | None = None) -> None:
        """Train so many steps; with a seed, on the random numbers that gvt draws there."""
        for _ in range(steps):
            if seed is not None:
                seed_everything(derive(seed, "loop", self.done, 0))
            indices = next(self.batches)
            images = self.images[indices].to(torch.float32).div_(255)
            images = images.contiguous(memory_format=self.layout)
            self.unread += self.step(images, self.labels[indices], seed)
            self.done += 1
            if self.done % self.config.train.log_every == 0:
                torch.stack(self.unread).tolist()
                self.unread = []

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor, seed: int | None) -> list[Tensor]:
        """Train one step on images in [0, 1], and return its losses."""

    def autocast(self) -> torch.autocast:
        """Return the context of the forward passes."""
        return torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32)

    def adam(self, key: str, parameters: Iterator[Tensor]) -> torch.optim.Adam:
        """Return the optimiser of a recipe that names Adam."""
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
            features = self.task.backbone(images)
            loss = F.cross_entropy(self.task.heads.digit(features, None), labels)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return [loss.detach()]


class DCGAN(ByHand):
    """The loop of gan.mnist_dcgan."""

    def __init__(self, *arguments, total_steps: int) -> None:
        super().__init__(*arguments)
        self.of_generator = self.adam("generator", self.task.generator.parameters())
        self.of_discriminator = self.adam("discriminator", self.task.discriminator.parameters())

    def step(self, images: Tensor, labels: Tensor, seed: int | None) -> list[Tensor]:
        """Train the discriminator, then the generator, on one batch of fakes."""
        generator, discriminator = self.task.generator, self.task.discriminator
        reals = images * 2 - 1
        latents = self.latents(len(images), seed)
        discriminator.requires_grad_(True)
        self.of_discriminator.zero_grad()
        with self.autocast():
            fakes = generator(latents)
            of_reals, of_fakes = discriminator(reals), discriminator(fakes.detach())
            real, fake = _cross_entropy(of_reals, 1.0), _cross_entropy(of_fakes, 0.0)
        (real + fake).backward()
        self.of_discriminator.step()

        discriminator.requires_grad_(False)
        self.of_generator.zero_grad()
        with self.autocast():
            wished = _cross_entropy(discriminator(fakes), 1.0)
        wished.backward()
        self.of_generator.step()
        return [real.detach(), fake.detach(), wished.detach()]

    def latents(self, count: int, seed: int | None) -> Tensor:
        """Return latents for fakes."""
        shape = self.task.generator.latent_shape
        if seed is None:
            return torch.randn(count, *shape)
        return gvt.Step(self.done, seed=seed).randn(count, *shape)


LOOPS: dict[str, type[ByHand]] = {"classify.mnist": Classifier, "gan.mnist_dcgan": DCGAN}
"""The loop of each recipe."""


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _batches(order: Order) -> Iterator[Tensor]:
    """Yield the indices of each batch, epoch by epoch, without end."""
    size, epoch = order.batch_size, 0
    while True:
        shuffled = order.epoch(epoch)
        for begin in range(0, order.count - size + 1, size):
            yield shuffled[begin : begin + size]
        epoch += 1

"""A usual training script for a recipe: torchvision's MNIST, a DataLoader, a loop.

python usual_script.py RECIPE FOLDER WORKERS STEPS

Modules, optimisers and batch size are those of the recipe, but with torch's dropout. All else is as
in PyTorch's tutorials on MNIST and DCGAN: each sample is an image transformed by ToTensor and
Normalize, batches are contiguous and float32, and the losses of reals and fakes are backpropagated
one after the other. Prints the end times of the steps as a JSON list.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

import gvt
from gvt.data_info import DataInfo
from gvt.session.build import build_task, open_dataset

Step = Callable[[Tensor, Tensor], dict[str, Tensor]]


def classifier(task: gvt.Task, config: gvt.RunConfig) -> Step:
    """Return the step of a classifier."""
    backbone, head = task.backbone, task.heads.digit
    optimizer = torch.optim.Adam(task.parameters(), **config.optimizers["model"].parameters)

    def step(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        optimizer.zero_grad()
        batch = gvt.Batch.of_images(images)
        loss = F.cross_entropy(head(backbone(images), batch), labels)
        loss.backward()
        optimizer.step()
        return {"loss": loss}

    return step


def dcgan(task: gvt.Task, config: gvt.RunConfig) -> Step:
    """Return the step of https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html."""
    generator, discriminator = task.generator, task.discriminator
    adam_g, adam_d = (
        torch.optim.Adam(module.parameters(), **config.optimizers[name].parameters)
        for name, module in (("generator", generator), ("discriminator", discriminator))
    )
    criterion = torch.nn.BCEWithLogitsLoss()

    def step(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        real, fake = torch.ones(len(images)), torch.zeros(len(images))
        discriminator.zero_grad()
        real_loss = criterion(discriminator(images), real)
        real_loss.backward()
        fakes = generator(torch.randn(len(images), *generator.latent_shape))
        fake_loss = criterion(discriminator(fakes.detach()), fake)
        fake_loss.backward()
        adam_d.step()

        generator.zero_grad()
        generator_loss = criterion(discriminator(fakes), real)
        generator_loss.backward()
        adam_g.step()
        return {"discriminator": real_loss + fake_loss, "generator": generator_loss}

    return step


# The step, and the mean and standard deviation of Normalize, by recipe.
SCRIPTS: dict[str, tuple[Callable[[gvt.Task, gvt.RunConfig], Step], float, float]] = {
    "classify.mnist": (classifier, 0.1307, 0.3081),
    "gan.mnist_dcgan": (dcgan, 0.5, 0.5),
}


def _use_dropout_of_torch(task: nn.Module) -> None:
    for parent in list(task.modules()):
        for name, child in parent.named_children():
            if isinstance(child, gvt.Dropout):
                setattr(parent, name, nn.Dropout(child.p))


def main() -> None:
    recipe, folder, workers, steps = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    make_step, mean, deviation = SCRIPTS[recipe]
    config = gvt.compose(recipe)
    torch.manual_seed(0)
    task = build_task(config, DataInfo.of(open_dataset(config, "train"), config.data.range)).train()
    _use_dropout_of_torch(task)
    step = make_step(task, config)
    normalised = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((mean,), (deviation,))]
    )
    dataset = datasets.MNIST(folder, train=True, transform=normalised)
    loader = DataLoader(dataset, config.data.batch_size, shuffle=True, num_workers=workers)
    times: list[float] = []
    epochs = itertools.chain.from_iterable(loader for _ in itertools.count())
    for images, labels in itertools.islice(epochs, steps):
        losses = step(images, labels)
        if len(times) % config.train.log_every == 0:
            shown = "  ".join(f"{name} {loss.item():.4f}" for name, loss in losses.items())
            print(f"step {len(times)}  {shown}", file=sys.stderr)
        times.append(time.perf_counter())
    print(json.dumps(times))


if __name__ == "__main__":
    main()

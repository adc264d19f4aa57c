"""The script that one usually writes for a recipe: torchvision's MNIST, a DataLoader, a loop.

python usual_script.py RECIPE FOLDER WORKERS STEPS

The networks, their optimisers and the batch size are the recipe's, but dropout is torch's; all else
is as in PyTorch's own tutorials on MNIST and DCGAN: each sample is a picture that goes through
ToTensor and Normalize, batches are contiguous and float32, the fakes' and the reals' losses go
backward one after another. Prints the times at which the steps ended as a JSON list.
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
        loss = F.cross_entropy(head(backbone(images), None), labels)
        loss.backward()
        optimizer.step()
        return {"loss": loss}

    return step


def dcgan(task: gvt.Task, config: gvt.RunConfig) -> Step:
    """Return the step of https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html."""
    generator, discriminator = task.generator, task.discriminator
    of_generator, of_discriminator = (
        torch.optim.Adam(network.parameters(), **config.optimizers[name].parameters)
        for name, network in (("generator", generator), ("discriminator", discriminator))
    )
    criterion = torch.nn.BCEWithLogitsLoss()

    def step(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        real, fake = torch.ones(len(images)), torch.zeros(len(images))
        discriminator.zero_grad()
        loss_of_reals = criterion(discriminator(images), real)
        loss_of_reals.backward()
        fakes = generator(torch.randn(len(images), *generator.latent_shape))
        loss_of_fakes = criterion(discriminator(fakes.detach()), fake)
        loss_of_fakes.backward()
        of_discriminator.step()

        generator.zero_grad()
        loss_of_generator = criterion(discriminator(fakes), real)
        loss_of_generator.backward()
        of_generator.step()
        return {"discriminator": loss_of_reals + loss_of_fakes, "generator": loss_of_generator}

    return step


# Of each recipe its step, and the mean and standard deviation of Normalize.
SCRIPTS: dict[str, tuple[Callable[[gvt.Task, gvt.RunConfig], Step], float, float]] = {
    "classify.mnist": (classifier, 0.1307, 0.3081),
    "gan.mnist_dcgan": (dcgan, 0.5, 0.5),
}


def _take_dropout_of_torch(task: nn.Module) -> None:
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
    _take_dropout_of_torch(task)
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

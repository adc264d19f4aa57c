"""A classifier of digits, put together in code: data, networks, loop, evaluation.

python examples/train_in_code.py

`gvt run classify.mnist` does the same from a recipe, and writes a run folder as it goes.
"""

import torch

import gvt


def main():
    torch.manual_seed(0)  # the networks' first weights; the loop seeds each step by itself
    placement = gvt.Placement.resolve()  # what suits this machine: device, precision, format

    # MNIST is carried inside the package, so nothing is downloaded.
    digits = gvt.create("dataset", "mnist", split="train")
    test_digits = gvt.create("dataset", "mnist", split="test")

    # What a recipe gets filled in, code hands over: shapes, classes, feature maps.
    backbone = gvt.create(
        "backbone", "small_cnn", image_shape=digits.info.image_shape, widths=[16, 32]
    )
    classifier = gvt.create(
        "head",
        "classifier",
        feature_info=backbone.feature_info,
        num_classes=len(digits.info.classes),
        grid=5,
    )
    task = gvt.MultiHead(backbone, {"digit": classifier})

    settings = gvt.TrainConfig(steps=100, log_every=20)
    loader = gvt.Loader(digits, gvt.DataConfig(name="mnist"), settings, placement)
    trainer = gvt.Trainer(
        task,
        loader,
        {"model": gvt.OptimizerConfig(name="Adam", lr=2e-3)},
        settings,
        placement,
        listeners=[gvt.Display("digits")],
    )
    trainer.fit()

    found = gvt.evaluate(task, loader.held_out(test_digits, batch_size=1000))
    print(f"accuracy on {len(test_digits):,} test digits: {found.metrics['accuracy']:.3f}")


if __name__ == "__main__":
    main()

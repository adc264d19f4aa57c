"""Build and train an MNIST classifier in code: data, model, training loop, evaluation.

python examples/train_in_code.py

`gvt run classify.mnist` does the same from a recipe, and writes a run folder.
"""

import torch

import gvt


def main():
    torch.manual_seed(0)  # for the initial weights; the loop seeds each step
    placement = gvt.Placement.resolve()  # device, precision and memory format for this machine

    # MNIST is part of the package, so nothing is downloaded.
    digits = gvt.create("dataset", "mnist", split="train")
    test_digits = gvt.create("dataset", "mnist", split="test")

    # Image shape, feature maps and number of classes, which gvt fills in for a recipe.
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

    evaluation = gvt.evaluate(task, loader.held_out(test_digits, batch_size=1000))
    print(f"accuracy on {len(test_digits):,} test digits: {evaluation.metrics['accuracy']:.3f}")


if __name__ == "__main__":
    main()

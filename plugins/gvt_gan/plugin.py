"""What the GAN family brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the task, the networks, the head and the recipes."""
    task = Component(
        "task",
        "gan",
        "gvt_gan.task:GAN",
        summary="A generator against a discriminator, non-saturating BCE on logits",
    )
    realness = Component(
        "head",
        "realness",
        "gvt_gan.realness:Realness",
        summary="Real or not: one dense layer on the coarsest feature map",
    )
    return [task, *_generators(), *_discriminators(), realness, *_recipes()]


def _generators() -> list[Component]:
    rows = [
        (
            "dcgan",
            "gvt_gan.dcgan:DCGANGenerator",
            "Dense, then upsampling convolutions; light and free of batch statistics",
        ),
        (
            "textbook_conv",
            "gvt_gan.textbook:TextbookConvGenerator",
            "Dense, convolutions and one doubling of the size, tanh",
        ),
        (
            "textbook_mlp",
            "gvt_gan.textbook:TextbookMLPGenerator",
            "Two dense layers and a sigmoid",
        ),
        (
            "textbook_dcgan",
            "gvt_gan.textbook:TextbookDCGANGenerator",
            "Dense, transposed convolutions with batch norm, tanh",
        ),
    ]
    return [Component("generator", name, target, summary=text) for name, target, text in rows]


def _discriminators() -> list[Component]:
    rows = [
        (
            "dcgan",
            "gvt_gan.dcgan:DCGANDiscriminator",
            "Strided convolutions with leaky ReLU, then dense",
        ),
        (
            "on_backbone",
            "gvt_gan.on_backbone:OnBackbone",
            "Any backbone with the head `realness`, and perhaps further heads",
        ),
        (
            "textbook_conv",
            "gvt_gan.textbook:TextbookConvDiscriminator",
            "Valid convolutions with leaky ReLU, dropout, then dense",
        ),
        (
            "textbook_mlp",
            "gvt_gan.textbook:TextbookMLPDiscriminator",
            "Two dense layers",
        ),
        (
            "textbook_dcgan",
            "gvt_gan.textbook:TextbookDCGANDiscriminator",
            "Strided convolutions with leaky ReLU and dropout, then dense",
        ),
    ]
    return [Component("discriminator", name, target, summary=text) for name, target, text in rows]


def _recipes() -> list[Component]:
    summaries = {
        "folder": "A GAN on a folder of your own pictures",
        "mnist": "Digits out of noise: a light DCGAN, minutes on a laptop's CPU",
        "mnist_classes": "Digits by class: a discriminator on a backbone tells which one it sees",
        "mnist_dcgan": "Digits by a Keras tutorial's DCGAN",
        "mnist_five": "Fives by a Keras textbook's GAN, in 100 steps",
        "mnist_five_deep": "gan.mnist_five, one convolution deeper in both networks",
        "mnist_mlp": "Digits by a Keras textbook's dense GAN",
    }
    return [
        Component("recipe", f"gan.{name}", f"gvt_gan:recipes/{name}.yaml", summary=summary)
        for name, summary in summaries.items()
    ]

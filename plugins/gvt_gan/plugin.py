"""Components of the GAN family."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the task, the networks, the head and the recipes."""
    task = Component(
        "task",
        "gan",
        "gvt_gan.task:GAN",
        summary="Generative adversarial network: non-saturating BCE loss on logits",
    )
    realness = Component(
        "head",
        "realness",
        "gvt_gan.realness:Realness",
        summary="Real or fake logit: one dense layer on the coarsest feature map",
    )
    return [task, *_generators(), *_discriminators(), realness, *_recipes()]


def _generators() -> list[Component]:
    rows = [
        (
            "dcgan",
            "gvt_gan.dcgan:DCGANGenerator",
            "Light DCGAN: dense, upsampling and convolutions, with group norm",
        ),
        (
            "textbook_conv",
            "gvt_gan.textbook:TextbookConvGenerator",
            "Textbook CNN: dense, convolutions, one doubling of the size, tanh",
        ),
        (
            "textbook_mlp",
            "gvt_gan.textbook:TextbookMLPGenerator",
            "Textbook MLP: two dense layers, sigmoid",
        ),
        (
            "textbook_dcgan",
            "gvt_gan.textbook:TextbookDCGANGenerator",
            "Keras tutorial's DCGAN: dense, transposed convolutions with batch norm, tanh",
        ),
    ]
    return [Component("generator", name, target, summary=text) for name, target, text in rows]


def _discriminators() -> list[Component]:
    rows = [
        (
            "dcgan",
            "gvt_gan.dcgan:DCGANDiscriminator",
            "Light DCGAN: strided convolutions with leaky ReLU, dense",
        ),
        (
            "on_backbone",
            "gvt_gan.on_backbone:OnBackbone",
            "Any backbone with the head `realness`, and optionally further heads",
        ),
        (
            "textbook_conv",
            "gvt_gan.textbook:TextbookConvDiscriminator",
            "Textbook CNN: valid convolutions with leaky ReLU, dropout, dense",
        ),
        (
            "textbook_mlp",
            "gvt_gan.textbook:TextbookMLPDiscriminator",
            "Textbook MLP: two dense layers",
        ),
        (
            "textbook_dcgan",
            "gvt_gan.textbook:TextbookDCGANDiscriminator",
            "Keras tutorial's DCGAN: strided convolutions with leaky ReLU and dropout, dense",
        ),
    ]
    return [Component("discriminator", name, target, summary=text) for name, target, text in rows]


def _recipes() -> list[Component]:
    summaries = {
        "folder": "Light DCGAN on a folder of your own images",
        "mnist": "MNIST digit generator: a light DCGAN, trains in minutes on a laptop's CPU",
        "mnist_classes": "Class-conditional MNIST digit generator: an auxiliary classifier GAN",
        "mnist_dcgan": "MNIST digit generator: the DCGAN of a Keras tutorial",
        "mnist_five": "Generator of MNIST fives: the CNN of a Keras textbook, 100 steps",
        "mnist_five_deep": "Generator of MNIST fives: gan.mnist_five with one more convolution",
        "mnist_mlp": "MNIST digit generator: the MLP of a Keras textbook",
    }
    return [
        Component("recipe", f"gan.{name}", f"gvt_gan:recipes/{name}.yaml", summary=summary)
        for name, summary in summaries.items()
    ]

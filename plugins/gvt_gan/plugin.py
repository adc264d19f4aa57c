"""What the GAN family brings."""

from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components() -> list[Component]:
    """Offer the task, the networks and the recipes."""
    return [
        Component(
            "task",
            "gan",
            "gvt_gan.task:GAN",
            summary="A generator against a discriminator, non-saturating BCE on logits",
        ),
        Component(
            "generator",
            "dcgan",
            "gvt_gan.dcgan:DCGANGenerator",
            summary="Dense, then upsampling convolutions; light and free of batch statistics",
        ),
        Component(
            "discriminator",
            "dcgan",
            "gvt_gan.dcgan:DCGANDiscriminator",
            summary="Strided convolutions with leaky ReLU, then dense",
        ),
        Component(
            "recipe",
            "gan.mnist",
            "gvt_gan:recipes/mnist.yaml",
            summary="Digits out of noise: a light DCGAN, minutes on a laptop's CPU",
        ),
    ]

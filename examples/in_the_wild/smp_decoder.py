"""Encoders of segmentation_models.pytorch as a backbone, and its U-Net decoder as a head.

pip install segmentation-models-pytorch
python examples/in_the_wild/smp_decoder.py
"""

import sys

import segmentation_models_pytorch as smp
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torchmetrics.classification import MulticlassJaccardIndex

import gvt


@gvt.register("backbone", "smp", summary="An encoder of segmentation_models.pytorch")
class Encoder(gvt.Backbone):
    def __init__(self, image_shape, encoder: str = "resnet18", depth: int = 3):
        super().__init__()
        self.encoder = smp.encoders.get_encoder(
            encoder, in_channels=image_shape[0], depth=depth, weights=None
        )
        channels = self.encoder.out_channels  # starting with the image itself
        self.feature_info = {f"stage{i}": (c, 2**i) for i, c in enumerate(channels)}

    def forward(self, images):
        return dict(zip(self.feature_info, self.encoder(images), strict=True))


@gvt.register("head", "smp_unet", summary="The U-Net decoder of segmentation_models.pytorch")
class Unet(gvt.Head):
    needs = ("semantic",)

    def __init__(
        self, feature_info, num_classes, background, widths: tuple[int, ...] = (64, 32, 16)
    ):
        super().__init__()
        channels = [channels for channels, _ in feature_info.values()]
        self.channels = num_classes + background  # pixels of no class come last
        self.decoder = UnetDecoder(channels, widths, n_blocks=len(widths))
        self.classes = smp.base.SegmentationHead(widths[-1], self.channels)

    def forward(self, features, batch):
        return self.classes(self.decoder(list(features.values())))

    def loss(self, outputs, targets):
        return {"cross_entropy": F.cross_entropy(outputs, targets["semantic"], ignore_index=255)}

    def predict(self, outputs):
        return [self.decide(scores) for scores in outputs.float().softmax(1)]

    def metric(self):
        index = MulticlassJaccardIndex(self.channels, ignore_index=255)
        return gvt.StackedMetric(index, "semantic", "semantic", name="iou")


RECIPE = {
    "recipe": "smp",
    "task": {"name": "heads"},
    "data": {
        "name": "scenes",
        "size": 64,
        "digit_size": [20, 40],
        "targets": ["semantic"],
        "batch_size": 16,
    },
    "backbone": {"name": "smp"},
    "heads": {"digit": {"name": "smp_unet"}},
    "optimizers": {"model": {"name": "Adam", "lr": 1e-3}},
    "train": {"steps": 300},
    "evaluate": {"split": "test", "every": None},
}

if __name__ == "__main__":
    run = gvt.run(RECIPE, *sys.argv[1:])
    print(f"IoU on test digits: {run.metrics['test/iou']:.3f}")

"""Train three heads on one backbone: python examples/mix_heads.py"""

import gvt

scenes = {"name": "scenes", "size": 32, "objects": [1, 1], "digit_size": [14, 22], "held_out": 200}
train, test = (gvt.create("dataset", split=split, **scenes) for split in ("train", "test"))
backbone = gvt.create("backbone", "unet_encoder", image_shape=train.info.image_shape, width=16)
facts = {"feature_info": backbone.feature_info, "num_classes": len(train.info.classes)}
heads = {
    "label": gvt.create("head", "classifier", **facts),
    "boxes": gvt.create("head", "fcos", **facts, layers=1, maps=["stage3"]),
    "pixels": gvt.create("head", "fcn", **facts, background=True, finest=1),
}
task = gvt.MultiHead(backbone, heads, weights={"pixels": 0.5})

settings, placement = gvt.TrainConfig(steps=100, log_every=50), gvt.Placement.resolve()
loader = gvt.Loader(train, gvt.DataConfig(name="scenes", batch_size=16), settings, placement)
adam = {"model": gvt.OptimizerConfig(name="AdamW", lr=5e-3)}
gvt.Trainer(task, loader, adam, settings, placement, listeners=[gvt.Display("mix")]).fit()
evaluation = gvt.evaluate(task, loader.held_out(test), classes=train.info.classes)
for name in ("label/accuracy", "boxes/ap50", "pixels/mean_iou"):
    print(f"{name} {evaluation.metrics[name]:.3f}")

"""Train three heads on one backbone, and predict with them: python examples/mix_heads.py"""

from torchvision.transforms.v2.functional import to_pil_image

import gvt

scenes = {"name": "scenes", "size": 32, "objects": [1, 1], "digit_size": [14, 22], "held_out": 200}
train, test = (gvt.create("dataset", split=split, **scenes) for split in ("train", "test"))
backbone = gvt.create("backbone", "unet_encoder", data=train, width=16)
given = {"data": train, "backbone": backbone}
heads = {
    "label": gvt.create("head", "classifier", **given),
    "boxes": gvt.create("head", "fcos", layers=1, maps=["stage3"], **given),
    "pixels": gvt.create("head", "fcn", finest=1, **given),
}
task = gvt.MultiHead(backbone, heads, weights={"pixels": 0.5})
run = gvt.fit(task, train, held_out=test, recipe="mix", steps=300, batch_size=16, lr=5e-3)
to_pil_image(test[0].image).save("scene.png")
path = gvt.save(task, "mixed.safetensors")
for result in gvt.predict(path, "scene.png", "predict.score=0.3", out="predictions"):
    print(result.summary)
print(gvt.load(path).predict(gvt.Batch.of_images(test[0].image[None] / 255)))

"""Train three heads on one backbone, and predict with them: python examples/mix_heads.py"""

from torchvision.transforms.v2.functional import to_pil_image

import gvt

scenes = {"name": "scenes", "digit_size": [56, 80], "held_out": 100}
small = {"size": 112, "objects": [1, 2], **scenes}
train, test = (gvt.create("dataset", split=split, **small) for split in ("train", "test"))
backbone = gvt.create("backbone", "unet_encoder", data=train, width=8)
largest = gvt.create("head", "classifier", data=train, backbone=backbone)
boxes = gvt.create("head", "fcos", data=train, backbone=backbone, layers=1, maps=["stage4"])
pixels = gvt.create("head", "fcn", data=train, backbone=backbone, finest=4)
task = gvt.MultiHead(backbone, {"largest": largest, "boxes": boxes, "pixels": pixels})
run = gvt.fit(task, train, held_out=test, recipe="mix", steps=300, batch_size=16, lr=2e-3)
large = gvt.create("dataset", split="test", size=320, objects=[6, 6], **scenes)
to_pil_image(large[0].image).save("scene.png")
path = gvt.save(task, "mixed.safetensors")
print(gvt.predict(path, "scene.png", out="predictions")[0].summary)  # and scene_overlay.png
print([*gvt.load(path).heads])

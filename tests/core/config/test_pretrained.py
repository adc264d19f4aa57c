"""Networks with weights of their own, in checkpoints that need these no more."""

import pytest
import torch
from torch import nn

import gvt
from gvt_registry import default_registry


class Begun(gvt.Backbone):
    """A third party's backbone: its weights begin as a file of its own says.

    Args:
        image_shape: (C, H, W) of the images.
        file: Where its weights are.
    """

    def __init__(self, image_shape: tuple[int, int, int], file: str) -> None:
        super().__init__()
        self.layer = nn.Conv2d(image_shape[0], 4, 3, stride=2)
        self.feature_info = {"map": (4, 2)}
        if not gvt.restoring():
            self.layer.load_state_dict(torch.load(file, weights_only=True))

    def forward(self, images):
        """Return the map."""
        return {"map": self.layer(images)}


class Neck(gvt.Backbone):
    """A backbone on another one.

    Args:
        backbone: What it stands on.
    """

    def __init__(self, backbone: gvt.Backbone) -> None:
        super().__init__()
        self.backbone, self.feature_info = backbone, backbone.feature_info

    def forward(self, images):
        """Return the map."""
        return self.backbone(images)


@pytest.fixture
def offered(monkeypatch):
    """Offer both for one test."""
    monkeypatch.setattr(default_registry(), "_in_code", {})
    gvt.register("backbone", "begun")(Begun)
    gvt.register("backbone", "neck")(Neck)


@pytest.mark.parametrize(
    "backbone",
    ["{{name: begun, file: {0}}}", "{{name: neck, backbone: {{name: begun, file: {0}}}}}"],
)
def test_a_checkpoint_loads_and_resumes_without_what_its_weights_began_with(
    offered, tmp_path, backbone
):
    file = tmp_path / "begin.pth"
    begin = {"weight": torch.full((4, 1, 3, 3), 0.5), "bias": torch.zeros(4)}
    torch.save(begin, file)
    root = f"run.root={tmp_path / 'runs'}"
    few = ("heads.digit.grid=1", "train.steps=1", "optimizers.model.lr=0", "evaluate={}")
    run = gvt.run("classify.mnist", f"backbone={backbone.format(file)}", *few, root, quiet=True)
    file.unlink()
    [weight] = [t for n, t in gvt.load(run.folder).state_dict().items() if "layer.weight" in n]
    assert torch.equal(weight, begin["weight"])
    assert gvt.resume(run.folder, "train.steps=2", quiet=True).step == 2
    assert not gvt.restoring()
    with pytest.raises(FileNotFoundError):
        gvt.create("backbone", "begun", image_shape=(1, 8, 8), file=str(file))

"""Models of timm as backbones."""

import os
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import gvt

# These two have feature maps since 1.0.31 (test_coatnet is there since then).
OF_LATE = pytest.mark.skipif(
    tuple(map(int, timm.__version__.split(".")[:3])) < (1, 0, 31),
    reason=f"timm {timm.__version__} has no feature maps of this network; 1.0.31 does",
)
FAMILIES = [
    "test_resnet",
    "test_efficientnet",
    "test_convnext",  # its stem cuts images into tiles
    "test_vit",  # one stride, positions that are learned
    pytest.param("test_coatnet", marks=OF_LATE),  # windows for one size of image
    "mobilenetv3_small_050",
    pytest.param("hrnet_w18_small", marks=OF_LATE),  # takes multiples of its stride only
    "swin_tiny_patch4_window7_224",  # NHWC inside
]


def timm_backbone(model="test_resnet", shape=(3, 64, 64), **parameters):
    torch.manual_seed(0)
    return gvt.create("backbone", "timm", image_shape=shape, model=model, **parameters)


def maps_of(backbone, images):
    with torch.no_grad():
        return backbone.eval()(images)


def steps_of(backbone, steps=3):
    """Train for a few steps, and return the state before."""
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in backbone.parameters() if p.requires_grad], lr=0.01)
    backbone.train()
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack([m.square().mean() for m in backbone(torch.rand(4, 3, 64, 64)).values()]).sum(
            dim=0
        ).backward()
        optimizer.step()
    return before


@pytest.mark.parametrize("model", FAMILIES)
def test_maps_are_as_declared_at_odd_sizes(model):
    backbone = timm_backbone(model, (3, 67, 93))
    maps = maps_of(backbone, torch.rand(2, 3, 67, 93))
    assert {n: tuple(m.shape) for n, m in maps.items()} == {
        name: (2, channels, ceil(67 / stride), ceil(93 / stride))
        for name, (channels, stride) in backbone.feature_info.items()
    }
    assert all(p.requires_grad for p in backbone.parameters())


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "swin_tiny_patch4_window7_224"])
def test_maps_are_those_of_timm(model):
    backbone = timm_backbone(model, (3, 224, 224))
    other = timm.create_model(model, num_classes=0, img_size=224) if "vit" in model else None
    network = (other or timm.create_model(model, num_classes=0)).eval()
    given = backbone.network.state_dict()
    if other is not None:  # where ours is asked for other sizes, its positions are stretched
        given["pos_embed"] = network.state_dict()["pos_embed"]
        backbone.network.set_input_size((224, 224))
        backbone.network.load_state_dict(given)
    assert all("norm" in name for name in network.load_state_dict(given, strict=False).missing_keys)
    images = torch.rand(1, 3, 224, 224)
    config = network.pretrained_cfg
    mean, std = (torch.tensor(config[n]).view(1, 3, 1, 1) for n in ("mean", "std"))
    with torch.no_grad():
        theirs = network.forward_intermediates(
            (images - mean) / std, output_fmt="NCHW", intermediates_only=True
        )
    ours = maps_of(backbone, images)
    for name, found in ours.items():
        torch.testing.assert_close(found, theirs[int(name.removeprefix("stage")) - 1])


def test_sizes_that_differ_from_the_data():
    backbone = timm_backbone("test_vit", None)
    assert maps_of(backbone, torch.rand(1, 3, 50, 100))["stage6"].shape == (1, 64, 4, 7)


@OF_LATE
def test_a_model_for_one_size_refuses_others():
    with pytest.raises(
        ValueError, match=r"test_coatnet is built for images of 64x64 pixels.*90x64"
    ):
        timm_backbone("test_coatnet")(torch.rand(1, 3, 90, 64))


def test_stages_are_chosen_and_what_lies_behind_is_left_out():
    backbone = timm_backbone(stages=[4, 2])
    assert backbone.feature_info == {"stage2": (32, 4), "stage4": (192, 16)}
    assert not list(backbone.network.layer4.parameters())
    assert list(maps_of(backbone, torch.rand(1, 3, 64, 64))) == ["stage2", "stage4"]


def test_an_output_stride_dilates():
    backbone = timm_backbone(output_stride=16)
    assert list(backbone.feature_info.values())[-2:] == [(48, 8), (96, 16)]
    assert maps_of(backbone, torch.rand(1, 3, 64, 64))["stage5"].shape[-1] == 4


def test_the_final_map_under_timm_s_classifier_is_the_published_network():
    backbone = timm_backbone("test_efficientnet", (3, 96, 96), final=True)
    assert list(backbone.feature_info.items())[-1] == ("final", (256, 32))
    network = timm.create_model("test_efficientnet").eval()
    network.load_state_dict(backbone.network.state_dict(), strict=False)
    images = torch.rand(2, 3, 96, 96)
    pooled = maps_of(backbone, images)["final"].mean(dim=(2, 3))
    with torch.no_grad():
        theirs = network(backbone.normalise(images))
        torch.testing.assert_close(network.classifier(pooled), theirs)


def test_the_final_map_beside_finer_ones():
    backbone = timm_backbone("test_convnext", (3, 50, 70), stages=[1], final=True)
    assert backbone.feature_info == {"stage1": (24, 4), "final": (64, 32)}
    sizes = {n: tuple(m.shape[2:]) for n, m in maps_of(backbone, torch.rand(1, 3, 50, 70)).items()}
    assert sizes == {"stage1": (13, 18), "final": (2, 3)}


@pytest.mark.parametrize("freeze", [1, 3, "all"])
def test_frozen_stages_keep_every_bit(freeze):
    backbone = timm_backbone(freeze=freeze)
    if freeze == "all":
        backbone.train()
        before = {n: t.clone() for n, t in backbone.state_dict().items()}
        backbone(torch.rand(4, 3, 64, 64))
    else:
        before = steps_of(backbone)
    after = backbone.state_dict()
    moved = {n.split(".")[1] for n, t in after.items() if not torch.equal(t, before[n])}
    parts = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]
    first = {1: 2, 3: 4, "all": 6}[freeze]
    assert moved == set(parts[first:])


def test_frozen_norms_keep_statistics_and_weights():
    before = steps_of(backbone := timm_backbone(freeze_norm=True))
    after = backbone.state_dict()
    norms = [
        f"network.{name}."
        for name, module in backbone.network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    assert norms
    for name, tensor in after.items():
        still = name.startswith((*norms, "normalise."))
        assert torch.equal(tensor, before[name]) == still, name


def test_weights_for_grey_images_are_equivalent_on_grey(tmp_path):
    colour = timm_backbone()
    save_file(colour.network.state_dict(), tmp_path / "w.safetensors")
    grey = timm_backbone(shape=(1, 64, 64), weights=str(tmp_path / "w.safetensors"))
    images = torch.rand(2, 1, 64, 64)
    ours, theirs = maps_of(grey, images), maps_of(colour, images.expand(-1, 3, -1, -1))
    for name, found in ours.items():
        torch.testing.assert_close(found, theirs[name], rtol=1e-4, atol=1e-5)


def test_four_channels_and_weights_of_their_own(tmp_path):
    three = timm_backbone()
    save_file(three.network.state_dict(), tmp_path / "3.safetensors")
    four = timm_backbone(shape=(4, 64, 64), weights=str(tmp_path / "3.safetensors"))
    weight = three.network.conv1[0].weight
    expected = torch.cat([weight, weight[:, :1]], dim=1) * 3 / 4
    torch.testing.assert_close(four.network.conv1[0].weight, expected)
    save_file(four.network.state_dict(), tmp_path / "4.safetensors")
    again = timm_backbone(shape=(4, 64, 64), weights=str(tmp_path / "4.safetensors"))
    assert torch.equal(again.network.conv1[0].weight, four.network.conv1[0].weight)
    with pytest.raises(gvt.ConfigError, match="4 image channels, and these images have 5"):
        timm_backbone(shape=(5, 64, 64), weights=str(tmp_path / "4.safetensors"))


def test_other_channels_are_normalised_by_the_average():
    backbone = timm_backbone("test_efficientnet", (2, 64, 64))
    torch.testing.assert_close(
        backbone.normalise.mean.flatten(), torch.full((2,), (0.485 + 0.456 + 0.406) / 3)
    )
    with pytest.raises(ValueError, match="images of 3 channels, for a backbone of 2"):
        backbone(torch.rand(1, 3, 64, 64))


def test_position_embeddings_of_a_vit_are_resized(tmp_path):
    one = timm_backbone("test_vit")
    save_file(one.network.state_dict(), tmp_path / "w.safetensors")
    other = timm_backbone("test_vit", (3, 96, 96), weights=str(tmp_path / "w.safetensors"))
    images = torch.rand(1, 3, 96, 96)
    torch.testing.assert_close(maps_of(other, images), maps_of(one, images))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"model": "resnt18"}, "no model 'resnt18'; did you mean 'resnet18'"),
        ({"model": "resnet18.nope"}, "no weights tagged 'nope'; there are a1_in1k"),
        ({"model": "test_vit", "final": True}, "final of test_vit is not a map"),
        ({"model": "test_vit", "output_stride": 8}, "timm's test_vit cannot be built like this: "),
        ({"stages": [1, 6]}, r"stages \[1, 6\]: give numbers from 1 to 5"),
        ({"stages": []}, "stages .*: give numbers from 1 to 5"),
        ({"freeze": 9}, "freeze 9: test_resnet has 5 stages"),
        ({"freeze": -1}, "freeze"),
        ({"image_channels": 1}, "image_channels 1, and images have 3"),
        ({"weights": "nix.safetensors"}, "there is no file 'nix.safetensors'"),
        ({"weights": __file__}, "is not a safetensors file .*gvt import"),
        ({"weights": "x", "pretrained": True}, "give one of them"),
    ],
)
def test_invalid_parameters_are_one_line(parameters, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        timm_backbone(**parameters)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path):
    state = timm_backbone().network.state_dict()
    for change, says in [
        (lambda s: s.pop("layer4.0.conv1.weight"), "lacks 1 of the .* first layer4.0.conv1.weight"),
        (lambda s: s.update({"conv1.0.weight": torch.rand(5, 3, 3, 3)}), "size mismatch for conv1"),
    ]:
        changed = dict(state)
        change(changed)
        save_file(changed, tmp_path / "w.safetensors")
        with pytest.raises(gvt.ConfigError, match=says) as caught:
            timm_backbone(weights=str(tmp_path / "w.safetensors"))
        assert "\n" not in str(caught.value)


OFFLINE = """
import sys, torch, gvt
from safetensors.torch import load_file
try:
    gvt.create("backbone", "timm", model="test_resnet", pretrained=True)
except gvt.ConfigError as error:
    print(error)
found = gvt.create("backbone", "timm", model="test_convnext", pretrained=True)
print(torch.equal(found.network.stem[0].weight, load_file(sys.argv[1])["stem.0.weight"]))
"""


@pytest.mark.slow
def test_offline_downloads_are_one_line_and_cached_weights_are_found(tmp_path):
    """Without a connection, and with the cached weights of one model."""
    repository = tmp_path / "hub" / "models--timm--test_convnext.r160_in1k"
    weights = repository / "snapshots" / "0" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0")
    save_file(timm.create_model("test_convnext").state_dict(), weights)
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    proxies = ("https_proxy", "all_proxy")
    environment = {n: v for n, v in os.environ.items() if n.lower() not in proxies} | nobody
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(weights)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert "retry" not in done.stderr.lower()  # nor does it wait for a minute
    first, second = done.stdout.splitlines()
    assert "the weights of test_resnet are not available (127.0.0.1 does not respond)" in first
    assert "weights=FILE" in first
    assert "gvt import" in first
    assert second == "True"


@pytest.mark.slow
def test_a_checkpoint_needs_no_weights_file(tmp_path):
    weights = tmp_path / "w.safetensors"
    save_file(timm.create_model("test_resnet", in_chans=1).state_dict(), weights)
    run = gvt.run(
        "classify.mnist",
        f"backbone={{name: timm, model: test_resnet, weights: {weights}}}",
        "heads.digit.grid=1",
        "data.batch_size=8",
        "train.steps=2",
        "evaluate.final=null",
        f"run.root={tmp_path / 'runs'}",
        quiet=True,
    )
    Path(weights).unlink()
    loaded = gvt.load(run.folder)
    trained = run.task.state_dict()
    assert all(torch.equal(t, trained[n].cpu()) for n, t in loaded.state_dict().items())
    assert gvt.resume(run.folder, "train.steps=3", quiet=True).step == 3
    with pytest.raises(gvt.ConfigError, match="there is no file"):
        gvt.create("backbone", "timm", model="test_resnet", weights=str(weights))


def test_an_exported_vision_transformer_takes_images_of_any_size():
    backbone = gvt.create("backbone", "timm", model="test_vit", image_shape=(3, 64, 64))
    head = gvt.create("head", "classifier", feature_info=backbone.feature_info, num_classes=3)
    form = gvt.MultiHead(backbone, {"head": head}).eval().deployed()
    example = (torch.rand(2, 3, 64, 96),)
    shapes = form.dynamic_shapes(example)
    program = torch.export.export(form.module, example, dynamic_shapes=shapes).module()
    for size in ((70, 101), (96, 64)):
        images = torch.rand(3, 3, *size)
        for found, expected in zip(program(images), form.module(images), strict=True):
            torch.testing.assert_close(found, expected)

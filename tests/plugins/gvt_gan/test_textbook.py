"""The textbook GANs: Keras's layers, the networks as published, and their recipes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gvt
from gvt.cli.describe import describe
from gvt.data_info import DataInfo
from gvt.loop.optim import Optimizer
from gvt.session.build import build_task, open_dataset
from gvt.task import Step
from gvt_gan.keras import SameConv2d, SameConvTranspose2d

pytestmark = pytest.mark.usefixtures("drawn")

GREY, COLOUR = (1, 28, 28), (3, 32, 32)

# Of each network of a recipe: kind, name, parameters, and its published size at 28x28 grey.
PUBLISHED = [
    ("mnist_five", "generator", "textbook_conv", {}, 224_737),
    ("mnist_five", "discriminator", "textbook_conv", {}, 41_089),
    ("mnist_five_deep", "generator", "textbook_conv", {"further": [64]}, 276_801),
    ("mnist_five_deep", "discriminator", "textbook_conv", {"widths": [64, 64]}, 74_433),
    ("mnist_mlp", "generator", "textbook_mlp", {}, 114_064),
    ("mnist_mlp", "discriminator", "textbook_mlp", {}, 100_609),
    ("mnist_dcgan", "generator", "textbook_dcgan", {}, 1_936_256),
    ("mnist_dcgan", "discriminator", "textbook_dcgan", {}, 138_561),
]
NETWORKS = [row[1:] for row in PUBLISHED]
GENERATORS = [row[1:3] for row in NETWORKS if row[0] == "generator"]
RECIPES = sorted({row[0] for row in PUBLISHED})


def size(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def build(recipe, *overrides):
    config = gvt.compose(f"gan.{recipe}", overrides)
    return build_task(config, DataInfo(("5",), GREY, config.data.range))


def slope(x):
    return F.leaky_relu(x, 0.3)


def batch(count=6):
    torch.manual_seed(1)
    return gvt.Batch.of_images(torch.rand(count, *GREY))


# --- Keras's layers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "seen"),
    [
        (5, 4, 1, [3, 4, 4, 3, 2]),  # one pixel of padding before, two after
        (5, 4, 2, [3, 4, 2]),
        (6, 4, 2, [3, 4, 3]),
        (5, 5, 1, [3, 4, 5, 4, 3]),
        (5, 2, 1, [2, 2, 2, 2, 1]),
        (6, 3, 2, [3, 3, 2]),
        (5, 1, 2, [1, 1, 1]),
    ],
)
def test_the_odd_pixel_of_padding_is_at_the_right_and_the_bottom(side, kernel, stride, seen):
    layer = SameConv2d(1, 1, kernel, stride=stride, bias=False)
    nn.init.ones_(layer.weight)  # the output counts the pixels that a kernel sees of the image
    seen = torch.tensor(seen, dtype=torch.float32)
    square = layer(torch.ones(1, 1, side, side))[0, 0]
    torch.testing.assert_close(square, seen[:, None] * seen)
    high = layer(torch.ones(1, 1, side, 8))[0, 0]  # height and width are not mixed up
    assert high.shape == (len(seen), math.ceil(8 / stride))
    torch.testing.assert_close(high[:, 1] / high[0, 1], seen / seen[0])


@pytest.mark.parametrize(
    ("kernel", "stride"), [(4, 1), (4, 2), (5, 1), (5, 2), (3, 2), (2, 2), ((4, 5), (1, 2))]
)
def test_a_transposed_convolution_is_the_gradient_of_the_convolution(kernel, stride):
    torch.manual_seed(0)
    forth = SameConv2d(2, 3, kernel, stride=stride, bias=False)
    back = SameConvTranspose2d(3, 2, kernel, stride=stride, bias=False)
    back.load_state_dict(forth.state_dict())
    down, right = back.stride
    images = torch.randn(2, 2, 5 * down, 7 * right, requires_grad=True)
    small = torch.randn(2, 3, 5, 7)
    forth(images).backward(small)
    torch.testing.assert_close(back(small), images.grad)


@pytest.mark.parametrize(
    ("stride", "at", "rows"),
    [
        (1, 0, [0, 1, 2]),  # one row is cropped at the top ...
        (1, 2, [1, 2, 3, 4]),
        (1, 4, [3, 4]),  # ... and two at the bottom
        (2, 0, [0, 1, 2]),
        (2, 4, [7, 8, 9]),
    ],
)
def test_what_a_transposed_convolution_crops(stride, at, rows):
    layer = SameConvTranspose2d(1, 1, 4, stride=stride, bias=False)
    nn.init.ones_(layer.weight)
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, at, at] = 1
    expected = torch.zeros(5 * stride, 5 * stride)
    expected[torch.tensor(rows)[:, None], torch.tensor(rows)] = 1
    torch.testing.assert_close(layer(image)[0, 0], expected)


def operations(layer, images):
    with torch.profiler.profile() as profile:
        layer(images)
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize(
    ("layer", "sides", "is_symmetric"),
    [
        (SameConv2d(2, 3, 5), (9, 12), True),
        (SameConv2d(2, 3, 4, stride=2), (8, 12), True),
        (SameConv2d(2, 3, 4, stride=2), (8, 11), False),  # as many sides as it takes
        (SameConv2d(2, 3, (5, 3)), (9, 12), True),  # 2 and 1: height and width each have their own
        (SameConv2d(2, 3, 4), (9, 12), False),
        (SameConvTranspose2d(2, 3, 4, stride=2), (5, 7), True),
        (SameConvTranspose2d(2, 3, (5, 3)), (5, 7), True),
        (SameConvTranspose2d(2, 3, 4), (5, 7), False),
    ],
)
def test_padding_of_its_own_only_where_it_is_not_symmetric(layer, sides, is_symmetric):
    torch.manual_seed(0)
    images = torch.randn(2, 2, *sides)
    padded = "aten::constant_pad_nd" in operations(layer, images)
    assert padded is not is_symmetric
    side = zip(sides, layer.kernel_size, layer.stride, strict=True)
    if isinstance(layer, SameConvTranspose2d):
        total = [kernel - stride for _, kernel, stride in side]
        whole = F.conv_transpose2d(images, layer.weight, layer.bias, layer.stride)
        (down, right), (high, wide) = total, whole.shape[-2:]
        expected = whole[
            ..., down // 2 : high - (down + 1) // 2, right // 2 : wide - (right + 1) // 2
        ]
    else:
        total = [(-(-n // s) - 1) * s + k - n for n, k, s in side]
        before, after = [n // 2 for n in total], [(n + 1) // 2 for n in total]
        around = F.pad(images, (before[1], after[1], before[0], after[0]))
        expected = F.conv2d(around, layer.weight, layer.bias, layer.stride)
    torch.testing.assert_close(layer(images), expected)


# --- networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name", "parameters", "count"), NETWORKS)
def test_a_network_has_its_published_size(kind, name, parameters, count):
    assert size(gvt.create(kind, name, image_shape=GREY, **parameters)) == count


@pytest.mark.parametrize("shape", [GREY, COLOUR, (3, 24, 40)])
@pytest.mark.parametrize(("name", "parameters"), GENERATORS)
def test_images_have_their_shape_and_range(name, parameters, shape):
    generator = gvt.create("generator", name, image_shape=shape, latent=7, width=8, **parameters)
    images = generator(torch.randn(5, *generator.latent_shape))
    assert generator.latent_shape == (7,)
    assert images.shape == (5, *shape) == (5, *generator.image_shape)
    low, high = generator.image_range
    assert low == (0 if name == "textbook_mlp" else -1)
    assert low <= images.min() < images.max() <= high == 1


@pytest.mark.parametrize("shape", [GREY, COLOUR, (3, 25, 38)])
@pytest.mark.parametrize(
    ("name", "parameters"), [row[1:3] for row in NETWORKS if row[0] == "discriminator"]
)
def test_logits_are_one_an_image_and_of_both_signs(name, parameters, shape):
    torch.manual_seed(0)
    discriminator = gvt.create("discriminator", name, image_shape=shape, **parameters).eval()
    logits = discriminator(torch.randn(64, *shape))
    assert logits.shape == (64,)
    assert logits.min() < 0 < logits.max()


def test_the_convolutional_generator_is_the_textbooks():
    torch.manual_seed(0)
    network = gvt.create("generator", "textbook_conv", image_shape=GREY, further=[64])
    w = list(network.parameters())
    z = torch.randn(3, 28)
    x = slope(z @ w[0].T + w[1]).reshape(3, 32, 14, 14)
    x = slope(F.conv2d(x, w[2], w[3], padding=2))
    x = slope(F.conv_transpose2d(x, w[4], w[5], stride=2, padding=1))
    x = slope(F.conv2d(x, w[6], w[7], padding=2))
    torch.testing.assert_close(network(z), F.conv2d(x, w[8], w[9], padding=2).tanh())
    assert len(w) == 10


def test_the_convolutional_discriminator_is_the_textbooks():
    torch.manual_seed(0)
    network = gvt.create("discriminator", "textbook_conv", image_shape=GREY, widths=[64, 64]).eval()
    w = list(network.parameters())
    images = torch.rand(3, *GREY)
    x = slope(F.conv2d(images, w[0], w[1]))
    x = slope(F.conv2d(x, w[2], w[3], stride=2)).flatten(1)
    torch.testing.assert_close(network(images), (x @ w[4].T + w[5]).squeeze(1))


def test_the_dense_networks_are_the_textbooks():
    torch.manual_seed(0)
    generator = gvt.create("generator", "textbook_mlp", image_shape=GREY)
    discriminator = gvt.create("discriminator", "textbook_mlp", image_shape=GREY)
    w, v = list(generator.parameters()), list(discriminator.parameters())
    z = torch.randn(3, 100)
    images = ((z @ w[0].T + w[1]).relu() @ w[2].T + w[3]).sigmoid()
    torch.testing.assert_close(generator(z), images.reshape(3, *GREY))
    logits = (images @ v[0].T + v[1]).relu() @ v[2].T + v[3]
    torch.testing.assert_close(discriminator(images.reshape(3, *GREY)), logits.squeeze(1))


def test_the_dcgan_generator_is_the_textbooks():
    torch.manual_seed(0)
    network = gvt.create("generator", "textbook_dcgan", image_shape=GREY)
    w = [p for p in network.parameters() if p.ndim > 1]
    z = torch.randn(16, 100)

    def normalised(x):  # at its start batch norm neither scales nor shifts
        return F.batch_norm(x, None, None, training=True, eps=1e-3)

    x = slope(normalised(z @ w[0].T)).reshape(16, 256, 7, 7)
    x = F.conv_transpose2d(x, w[1], stride=1)[..., 1:-2, 1:-2]
    x = F.conv_transpose2d(slope(normalised(x)), w[2], stride=2, padding=1)
    x = F.conv_transpose2d(slope(normalised(x)), w[3], stride=2, padding=1)
    torch.testing.assert_close(network(z), x.tanh())
    assert len(w) == 4


def test_the_dcgan_discriminator_is_the_textbooks():
    torch.manual_seed(0)
    network = gvt.create("discriminator", "textbook_dcgan", image_shape=GREY).eval()
    w = list(network.parameters())
    images = torch.rand(3, *GREY)
    x = slope(F.conv2d(images, w[0], w[1], stride=2, padding=1))
    x = slope(F.conv2d(x, w[2], w[3], stride=2, padding=1)).flatten(1)
    torch.testing.assert_close(network(images), (x @ w[4].T + w[5]).squeeze(1))


@pytest.mark.parametrize(("name", "count"), [("textbook_conv", 1), ("textbook_dcgan", 2)])
def test_dropout_is_of_single_features_and_in_training_only(name, count):
    network = gvt.create("discriminator", name, image_shape=GREY)
    dropped = [m for m in network.modules() if type(m) is gvt.Dropout]
    assert [m.p for m in dropped] == [0.3] * count
    images = torch.rand(4, *GREY)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_batch_norm_is_kerass():
    generator = gvt.create("generator", "textbook_dcgan", image_shape=GREY)
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert [m.num_features for m in norms] == [7 * 7 * 256, 128, 64]
    assert {m.eps for m in norms} == {1e-3}
    norms[1](torch.full((2, 128, 3, 3), 5.0))
    # A hundredth of the new mean is taken over, and 99 hundredths of the old one kept.
    torch.testing.assert_close(norms[1].running_mean, torch.full((128,), 0.05))


@pytest.mark.parametrize(("kind", "name", "parameters", "_"), NETWORKS)
def test_first_weights(kind, name, parameters, _):
    torch.manual_seed(0)
    network = gvt.create(kind, name, image_shape=GREY, **parameters)
    layers = [m for m in network.modules() if isinstance(getattr(m, "weight", None), nn.Parameter)]
    for layer in layers:
        assert layer.bias is None or not layer.bias.any()
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert (layer.weight == 1).all()
        elif name == "textbook_dcgan":
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert layer.weight.abs().max() > 0.04  # two standard deviations: not cut off
        else:
            first, second, *kernel = layer.weight.shape
            bound = math.sqrt(6 / ((first + second) * math.prod(kernel)))
            assert 0.95 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "says"),
    [
        ("generator", "textbook_conv", {"image_shape": (1, 27, 28)}, "27x28.*divisible by 2"),
        ("generator", "textbook_dcgan", {"image_shape": (1, 28, 30)}, "28x30.*divisible by 4"),
        ("discriminator", "textbook_conv", {"image_shape": (1, 3, 28)}, "3x28: too small for"),
        (
            "discriminator",
            "textbook_conv",
            {"image_shape": GREY, "widths": [4] * 5},
            "too small for 5 valid 4x4 convolutions",
        ),
        *(
            (
                "generator",
                name,
                {"image_shape": GREY, parameter: value},
                f"{parameter}: .*not {value}",
            )
            for name in ("textbook_conv", "textbook_mlp", "textbook_dcgan")
            for parameter, value in (("latent", 0), ("width", 0), ("width", -1))
        ),
        (
            "generator",
            "textbook_conv",
            {"image_shape": GREY, "further": [8, 0]},
            "further: .*greater than 0, not",
        ),
        (
            "discriminator",
            "textbook_conv",
            {"image_shape": GREY, "widths": [0]},
            "widths: .*greater than 0, not",
        ),
        (
            "discriminator",
            "textbook_mlp",
            {"image_shape": GREY, "width": 0},
            "width: .*greater than 0, not",
        ),
        (
            "discriminator",
            "textbook_dcgan",
            {"image_shape": GREY, "width": -4},
            "width: .*greater than 0, not",
        ),
        *(
            (
                "discriminator",
                name,
                {"image_shape": GREY, "dropout": share},
                f"dropout: .*not {share}",
            )
            for name in ("textbook_conv", "textbook_dcgan")
            for share in (1.0, -0.5)
        ),
        (
            "generator",
            "textbook_conv",
            {"image_shape": GREY, "image_range": [1, 1]},
            r"image_range \[1.0, 1.0\]: the first number must be the smaller",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(kind, name, parameters, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        gvt.create(kind, name, **parameters)
    assert "\n" not in str(caught.value)


# --- recipes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipes_networks_have_their_published_sizes(recipe):
    task = build(recipe)
    published = {row[1]: row[4] for row in PUBLISHED if row[0] == recipe}
    assert {name: size(network) for name, network in task.named_children()} == published


@pytest.mark.parametrize(
    ("recipe", "kind", "numbers"),
    [
        ("mnist_five", "RMSprop", {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7}),
        ("mnist_five_deep", "RMSprop", {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7}),
        ("mnist_mlp", "Adam", {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-7}),
        ("mnist_dcgan", "Adam", {"lr": 2e-4, "betas": (0.5, 0.999), "eps": 1e-7}),
    ],
)
def test_the_optimisers_carry_kerass_numbers(recipe, kind, numbers):
    config = gvt.compose(f"gan.{recipe}")
    assert config.optimizers.keys() == {"generator", "discriminator"}
    for key, optimizer in config.optimizers.items():
        weights = {"w": nn.Parameter(torch.zeros(1))}
        built = Optimizer(key, weights, optimizer, 100, torch.amp.GradScaler(enabled=False)).torch
        group = built.param_groups[0]
        assert type(built).__name__ == kind
        assert {name: group[name] for name in numbers} == numbers
        assert not group["weight_decay"] and not group.get("momentum")
        assert not group.get("centered") and not group.get("amsgrad")


@pytest.mark.parametrize(
    ("recipe", "reals_range", "fakes_range"),
    [
        ("mnist_five", (0, 1), (-1, 1)),  # tanh's values as they are
        ("mnist_five_deep", (0, 1), (-1, 1)),
        ("mnist_mlp", (0, 1), (0, 1)),
        ("mnist_dcgan", (-1, 1), (-1, 1)),
    ],
)
def test_what_a_discriminator_sees(recipe, reals_range, fakes_range):
    torch.manual_seed(0)
    task, inputs, drawn = build(recipe), [], []
    task.discriminator.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    task.generator.register_forward_hook(lambda *call: drawn.append(call[2]))
    data = batch()
    task("discriminator", data, Step(0))
    assert len(inputs) == (1 if recipe.startswith("mnist_five") else 2)  # together or apart
    reals, fakes = torch.cat(inputs).chunk(2)
    assert torch.equal(fakes, drawn[0])
    low, high = reals_range
    torch.testing.assert_close(reals, data.images * (high - low) + low)
    low, high = fakes_range
    assert low <= fakes.min() < fakes.max() <= high
    assert (fakes < 0).any() == (low < 0)


@pytest.mark.parametrize("recipe", ["mnist_five", "mnist_five_deep"])
def test_fives_in_their_order_for_100_steps_with_noisy_labels(recipe):
    config = gvt.compose(f"gan.{recipe}")
    fives = open_dataset(config, "train")
    assert len(fives) == 5421 and fives.info.classes == ("5",)
    assert not config.data.shuffle and config.data.batch_size == 50
    assert config.train.steps == 100 and config.train.pictures_every == 1
    torch.manual_seed(0)
    task = build(recipe)
    # The logit is 3, whatever is seen.
    nn.init.zeros_(task.discriminator.layers[-1].weight)
    nn.init.constant_(task.discriminator.layers[-1].bias, 3.0)
    data, step = batch(50), Step(0)
    losses = task("discriminator", data, step) | task("generator", data, step)
    # Cross entropy is softplus(3) - 3 * label, and the mean of 50 labels is near their range's;
    # reals and fakes each are half of one batch.
    softplus = math.log1p(math.exp(3))
    labels = {name: (softplus - loss.item()) / 3 for name, loss in losses.items()}
    labels |= {n: (softplus - 2 * losses[n].item()) / 3 for n in ("real", "fake")}
    assert labels == pytest.approx({"real": 0.95, "fake": 0.05, "generator": 0.95}, abs=0.02)


def test_the_long_recipe_says_how_long_the_source_is():
    config, text = gvt.compose("gan.mnist_dcgan"), describe("gan.mnist_dcgan")
    assert config.train.epochs == 2
    assert "epochs: 2 #" in text and "50,000" in text and "train.steps=50000" in text
    assert "1,936,256 parameters" in text and "138,561 parameters" in text


@pytest.mark.parametrize(
    ("recipe", "sheet"),
    [
        ("mnist_five", "fakes"),
        ("mnist_five_deep", "fakes"),
        ("mnist_mlp", "samples"),
        ("mnist_dcgan", "samples"),
    ],
)
def test_it_runs_and_shows_pictures(recipe, sheet, tmp_path):
    settings = ("data.batch_size=10", "train.steps=3", "device=cpu", f"run.root={tmp_path}")
    run = gvt.run(f"gan.{recipe}", *settings, quiet=True)
    drawn = {path.name for path in (run.folder / "samples").glob("*.png")}
    assert {f"{sheet}_{1:08d}.png", f"{sheet}_{3:08d}.png"} <= drawn
    assert len(drawn) == (3 if sheet == "fakes" else 2)
    task = gvt.load(run.checkpoint)
    assert task.pictures(0, None).keys() == ({"samples"} if sheet == "samples" else set())


def test_the_dense_gan_shows_a_strip_of_ten():
    assert build("mnist_mlp").pictures(0, None)["samples"].shape == (1, 10, *GREY)


def test_fives_appear(tmp_path):
    settings = ("data.batch_size=10", "train.steps=30", "train.pictures_every=null")
    run = gvt.run("gan.mnist_five", *settings, "device=cpu", f"run.root={tmp_path}", quiet=True)
    torch.manual_seed(0)
    untrained = build("mnist_five")
    fives = open_dataset(gvt.compose("gan.mnist_five"), "train").tensors()[0]["image"] / 255

    def likeness(images):
        means = torch.stack([fives.mean(0).flatten(), images.mean(0).flatten()])
        return torch.corrcoef(means)[0, 1].item()

    with torch.no_grad():
        assert likeness(untrained.sample(50, seed=0)) < 0.4
        assert likeness(run.task.sample(50, seed=0)) > 0.7

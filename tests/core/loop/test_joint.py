"""The gradients that heads have in the parameters they share, combined by a weighting."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gvt
from gvt.loop.listener import Listener

CPU = gvt.Placement.resolve("cpu", "float32", "contiguous")


class Backbone(gvt.Backbone):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.unused = nn.Linear(2, 2)
        self.feature_info = {"c1": (3, 1)}

    def forward(self, images):
        return {"c1": self.conv(images)}


class Mean(gvt.Head):
    """A head that learns one target of an image, from the means of the map."""

    def __init__(self, key):
        super().__init__()
        self.needs = (key,)
        self.out = nn.Linear(3, 2)

    def forward(self, features, batch):
        return self.out(features["c1"].mean((2, 3)))

    def loss(self, outputs, targets):
        return {"ce": F.cross_entropy(outputs, torch.stack([*targets[self.needs[0]]]))}


class Dots:
    """Eight images with two targets; the last half of them lacks `right` if it is `partial`."""

    splits = ("train",)

    def __init__(self, partial=False):
        source = torch.Generator().manual_seed(0)
        self.images = torch.rand(8, 1, 5, 5, generator=source)
        self.left = torch.randint(2, (8,), generator=source)
        self.right = torch.randint(2, (8,), generator=source)
        self.partial = partial
        self.info = gvt.DataInfo(classes=("a", "b"), image_shape=(1, 5, 5))

    def __len__(self):
        return 8

    def __getitem__(self, index):
        targets = {"class": self.left[index], "right": self.right[index]}
        if self.partial and index >= 4:
            targets.pop("right")
        return gvt.Sample({"image": self.images[index]}, targets, gvt.Record(str(index), (5, 5)))


class Told(gvt.Weighting):
    """Weights that are given, of what it notes."""

    uses_gradients = True
    observes_losses = True

    def __init__(self, *weights, **settings):
        super().__init__(**settings)
        self._weights = torch.tensor(weights, dtype=torch.float64)
        self.grams, self.observed = [], []

    def weights(self, heads, gram, generator):
        self.grams.append((list(heads), gram, torch.rand((), generator=generator).item()))
        return self._weights[: len(heads)]

    def observe(self, losses):
        self.observed.append(dict(losses))


class Log(Listener):
    def __init__(self):
        self.rows = {}

    def losses_read(self, run, rows):
        self.rows |= dict(rows)


def trained(weighting, *, steps=1, batch_size=8, accumulate=1, data=None, freeze=False, **more):
    """Return a task after SGD steps of size 1, its weights before, and the log."""
    torch.manual_seed(0)
    heads = {"a": Mean("class"), "b": Mean("right")}
    task = gvt.MultiHead(Backbone(), heads, weights={"b": 3.0}, weighting=weighting)
    if freeze:
        task.backbone.requires_grad_(False)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    settings = gvt.TrainConfig(steps=steps, accumulate=accumulate, log_every=1)
    config = gvt.DataConfig(
        name="dots", batch_size=batch_size, shuffle=False, workers=0, resident=False
    )
    log = Log()
    loader = gvt.Loader(data or Dots(), config, settings, CPU)
    optimizer = {"model": gvt.OptimizerConfig(name="SGD", lr=1.0, **more)}
    gvt.Trainer(task, loader, optimizer, settings, CPU, listeners=[log]).fit()
    return task, before, log.rows


def gradients(data, size=8):
    """Return the gradient of each head in the convolution, of its loss times its factor."""
    torch.manual_seed(0)
    heads = {"a": Mean("class"), "b": Mean("right")}
    backbone = Backbone()
    features = backbone(data.images[:size])
    found = []
    for head, targets, factor in ((heads["a"], data.left, 1.0), (heads["b"], data.right, 3.0)):
        loss = factor * F.cross_entropy(head(features, None), targets[:size])
        grads = torch.autograd.grad(loss, list(backbone.conv.parameters()), retain_graph=True)
        found.append(torch.cat([grad.reshape(-1) for grad in grads]))
    return torch.stack(found)


def moved(task, before, name):
    state = task.state_dict()
    names = [n for n in before if n.startswith(name)]
    return torch.cat([(before[n] - state[n]).reshape(-1) for n in names])


def test_each_head_has_its_weight_in_the_shared_parameters_alone():
    weighting = Told(2.0, 0.5)
    task, before, _ = trained(weighting)
    plain, _, _ = trained(None)
    rows = gradients(Dots())
    torch.testing.assert_close(moved(task, before, "backbone.conv"), 2 * rows[0] + 0.5 * rows[1])
    for head in ("heads.a", "heads.b"):
        torch.testing.assert_close(moved(task, before, head), moved(plain, before, head))
    ((heads, gram, _),) = weighting.grams
    assert heads == ["a", "b"]
    assert gram.dtype == torch.float64
    torch.testing.assert_close(gram, (rows @ rows.T).double(), rtol=1e-5, atol=1e-8)


def test_parameters_without_a_gradient_are_left_alone():
    task, before, _ = trained(Told(2.0, 0.5), weight_decay=0.5)
    assert not moved(task, before, "backbone.unused").any()
    assert moved(task, before, "backbone.conv").any()


def test_micro_batches_are_averaged_before_they_are_combined():
    whole, halves = Told(2.0, 0.5), Told(2.0, 0.5)
    task, before, _ = trained(whole)
    other, _, _ = trained(halves, batch_size=4, accumulate=2)
    torch.testing.assert_close(moved(other, before, ""), moved(task, before, ""))
    torch.testing.assert_close(halves.grams[0][1], whole.grams[0][1], rtol=1e-5, atol=1e-8)
    assert halves.observed[0] == pytest.approx(whole.observed[0], rel=1e-6)


def test_the_mean_loss_of_each_head_is_observed():
    weighting = Told(1.0, 1.0)
    _, _, rows = trained(weighting, batch_size=4, accumulate=2, data=Dots(partial=True))
    # The second micro-batch has no target for b, so its mean is that of the first one.
    assert weighting.observed[0] == pytest.approx({"a": rows[1]["a/ce"], "b": rows[1]["b/ce"]})


def test_the_random_numbers_of_a_step_are_a_function_of_its_number():
    first, again = Told(1.0, 1.0), Told(1.0, 1.0)
    trained(first, steps=3)
    trained(again, steps=3)
    numbers = [number for _, _, number in first.grams]
    assert numbers == [number for _, _, number in again.grams]
    assert len({*numbers}) == 3


@pytest.mark.parametrize("case", ["frozen", "untaught"])
def test_a_head_without_a_gradient_has_no_weight(case):
    weighting = Told(2.0, 0.5)
    if case == "frozen":
        task, before, _ = trained(weighting, freeze=True)
        assert weighting.grams == []
        assert moved(task, before, "heads.a").any()
    else:
        data = Dots()
        data.partial, data.images = True, data.images.flip(0)
        data = torch.utils.data.Subset(data, [4, 5, 6, 7])
        data.info = data.dataset.info
        trained(weighting, data=data, batch_size=4)
        ((heads, gram, _),) = weighting.grams
        assert heads == ["a"]
        assert gram.shape == (1, 1)


def test_cosines_are_logged_every_so_often():
    task, before, rows = trained(gvt.Weighting(cosines_every=2), steps=4)
    assert [step for step, row in rows.items() if "cosine/a/b" in row] == [1, 3]
    one, other = gradients(Dots())
    expected = F.cosine_similarity(one, other, dim=0).item()
    assert rows[1]["cosine/a/b"] == pytest.approx(expected, abs=1e-5)
    plain, _, _ = trained(None, steps=4)
    torch.testing.assert_close(moved(task, before, ""), moved(plain, before, ""))


def test_scaled_gradients_are_combined_as_unscaled_ones(monkeypatch):
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *_, **__: scaler("cpu", init_scale=1024.0))
    scaled = Told(2.0, 0.5)
    task, before, _ = trained(scaled)
    monkeypatch.undo()
    plain = Told(2.0, 0.5)
    other, _, _ = trained(plain)
    torch.testing.assert_close(scaled.grams[0][1], plain.grams[0][1])
    torch.testing.assert_close(moved(task, before, ""), moved(other, before, ""))


def test_a_single_head_is_not_weighted():
    weighting = Told(2.0)
    heads = {"a": Mean("class")}
    task = gvt.MultiHead(Backbone(), heads, weighting=weighting)
    settings = gvt.TrainConfig(steps=1)
    config = gvt.DataConfig(name="dots", batch_size=4, workers=0, resident=False)
    loader = gvt.Loader(Dots(), config, settings, CPU)
    optimizers = {"model": gvt.OptimizerConfig(name="SGD", lr=1.0)}
    gvt.Trainer(task, loader, optimizers, settings, CPU).fit()
    assert weighting.grams == weighting.observed == []

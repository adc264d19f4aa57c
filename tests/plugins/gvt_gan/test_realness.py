"""The head that tells reals from fakes."""

import pytest
import torch

import gvt
from gvt_gan.realness import Realness

INFO = {"fine": (2, 2), "coarse": (3, 4)}


def batch(images, targets=None):
    return gvt.Batch.of_images(images, targets=targets)


class Grey(gvt.Backbone):
    """An image's own pixels."""

    def __init__(self):
        super().__init__()
        self.feature_info = {"image": (1, 1)}
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        return {"image": images * self.scale}


def test_a_logit_is_a_layer_on_the_averaged_coarsest_map():
    head = Realness(INFO)
    features = {"fine": torch.randn(4, 2, 8, 6), "coarse": torch.randn(4, 3, 4, 3)}
    logits = head(features, batch(torch.rand(4, 1, 16, 12)))
    expected = features["coarse"].mean(dim=(2, 3)) @ head.layer.weight[0] + head.layer.bias
    assert logits.shape == (4,)
    torch.testing.assert_close(logits, expected)


def test_a_grid_keeps_where_things_are():
    head = Realness(INFO, grid=2)
    coarse = torch.randn(2, 3, 2, 2)
    logits = head({"coarse": coarse}, batch(torch.rand(2, 1, 8, 8)))
    expected = coarse.flatten(1) @ head.layer.weight[0] + head.layer.bias
    torch.testing.assert_close(logits, expected)
    larger = torch.nn.functional.interpolate(coarse, scale_factor=3)  # whose cells average to it
    torch.testing.assert_close(head({"coarse": larger}, batch(torch.rand(2, 1, 8, 8))), expected)


@pytest.mark.parametrize("is_dense", [True, False])
def test_the_loss_is_the_cross_entropy_in_float32(is_dense):
    truth = torch.tensor([1, 0, 1])
    targets = gvt.Targets({"real": truth}) if is_dense else gvt.Targets({}, {"real": [*truth]})
    logits = torch.tensor([0.5, -1.0, -2.0], dtype=torch.bfloat16)
    loss = Realness(INFO).loss(logits, targets)["binary_cross_entropy"]
    says = logits.float().sigmoid()
    expected = -torch.stack([says[0], 1 - says[1], says[2]]).log().mean()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)


def test_predictions_errors_and_accuracy_by_hand():
    head = Realness(INFO)
    predictions = head.predict(torch.tensor([0.0, 2.0, -2.0, 3.0]))
    assert [int(p["real"]) for p in predictions] == [0, 1, 0, 1]
    targets = [{"real": torch.tensor(number)} for number in (0, 0, 0, 1)]
    wrong = torch.tensor(2.0).sigmoid().item()
    assert head.errors(predictions, targets).tolist() == pytest.approx([0, wrong, 0, 0])
    metric = head.metric()
    metric.update(predictions, targets)
    assert float(metric.compute()["accuracy"]) == 0.75


def test_on_its_own_it_learns_from_those_samples_that_say_whether_they_are_real():
    torch.manual_seed(0)
    backbone = Grey()
    task = gvt.MultiHead(backbone, {"real": Realness(backbone.feature_info)})
    truth = torch.arange(8) % 2
    images = torch.rand(8, 1, 6, 6) * 0.2 + 0.7 * truth.view(-1, 1, 1, 1)
    known = torch.arange(8) < 6
    filled = torch.where(known, truth, 7)  # nobody may read what an unlabelled one holds
    data = batch(images, gvt.Targets({"real": filled}, present={"real": known}))
    optimizer = torch.optim.Adam(task.parameters(), lr=0.3)
    for index in range(60):
        optimizer.zero_grad()
        loss = task("supervised", data, gvt.Step(index))["binary_cross_entropy"]
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        expected = torch.nn.functional.binary_cross_entropy_with_logits(
            task.heads["real"](task.backbone(images), data)[:6], truth[:6].float()
        )
    found = gvt.evaluate(task, [data]).metrics
    assert found["accuracy"] == 1.0
    assert found["loss/binary_cross_entropy"] == pytest.approx(expected.item(), rel=1e-5)
    assert found["loss/binary_cross_entropy"] < 0.2

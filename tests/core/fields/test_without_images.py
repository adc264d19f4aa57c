"""Tasks on what is not an image: one backbone on tokens, and a held-out loss with noise."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import gvt
from gvt.loop.state import capture, restore

CPU = gvt.Placement.resolve("cpu", precision="float32")
LENGTH, WORDS = 12, 20


class Words:
    """Sequences of words; class 1 if word 7 is among them."""

    splits = ("train", "val")

    def __init__(self, split="train"):
        source = torch.Generator().manual_seed(int(split == "val"))
        self._tokens = torch.randint(0, WORDS, (96, LENGTH), generator=source)
        self._tokens[::2] += self._tokens[::2].eq(7).long()
        self._labels = self._tokens.eq(7).any(dim=1).long()
        self.info = gvt.DataInfo(("without", "with"), None, labels=self._labels)

    def __len__(self):
        return len(self._tokens)

    def __getitem__(self, index):
        record = gvt.Record(f"text {index}", (0, 0))
        return gvt.Sample({"words": self._tokens[index]}, {"class": self._labels[index]}, record)


class WordMaps(gvt.Backbone):
    """Features of words: maps (N, C, 1, L)."""

    reads = ("words",)

    def __init__(self):
        super().__init__()
        self.feature_info = {"words": (8, 1)}
        self.embedding = nn.Embedding(WORDS, 8)

    def forward(self, words):
        return {"words": self.embedding(torch.stack(list(words))).mT[:, :, None]}


class Present(gvt.Head):
    """Classifies a map by its maximum; it needs no image plane."""

    needs = ("class",)

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 2)

    def forward(self, features, batch):
        return self.linear(features["words"].amax(dim=(2, 3)))

    def loss(self, outputs, targets):
        return {"cross_entropy": functional.cross_entropy(outputs, targets["class"])}

    def predict(self, outputs):
        scores = outputs.softmax(dim=1)
        return [{"class": s.argmax(), "scores": s} for s in scores]

    def metric(self):
        from torchmetrics.classification import MulticlassAccuracy

        return gvt.StackedMetric(
            MulticlassAccuracy(2, average="micro"), "class", "class", "accuracy"
        )


@pytest.fixture(scope="module")
def noise(load):
    return load("noise.py")


def trainer(task, dataset=None, **settings):
    train = gvt.TrainConfig(**{"steps": 60, "seed": 3, **settings})
    data = gvt.DataConfig(name="words", batch_size=16, workers=0)
    dataset = dataset or Words()
    loader = gvt.Loader(dataset, data, train, CPU)
    keys = {phase.optimizer_key for phase in task.phases}
    return gvt.Trainer(
        task,
        loader,
        {key: gvt.OptimizerConfig(name="Adam", lr=0.05) for key in keys},
        train,
        CPU,
        evaluation=gvt.EvaluateConfig(split="val", every=20),
        open_split=lambda split: loader.held_out(type(dataset)(split)),
        classes=dataset.info.classes,
    )


def test_heads_learn_from_what_the_backbone_reads():
    torch.manual_seed(0)
    task = gvt.MultiHead(WordMaps(), {"present": Present()})
    run = trainer(task).fit()
    assert run.metrics["val/accuracy"] > 0.95
    assert run.metrics["val/loss/cross_entropy"] < 0.3


def test_data_without_an_input_of_the_backbone_is_one_line():
    task = gvt.MultiHead(WordMaps(), {"present": Present()})
    with pytest.raises(gvt.DataError, match="reads words, and the data has no words; its inputs"):
        task.predict(gvt.Batch.of_images(torch.zeros(2, 1, 4, 4)))


def evaluated(task, seed=0, split="val"):
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    batches = [gvt.Batch.of_images(images), gvt.Batch.of_images(images)]
    return gvt.evaluate(task, batches, seed=seed, split=split).metrics["loss/mse"]


def test_a_held_out_loss_with_noise_is_the_same_in_every_evaluation(noise):
    torch.manual_seed(0)
    task = noise.Denoiser()
    state = torch.get_rng_state()
    first = evaluated(task)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert evaluated(task) == first
    assert len({first, evaluated(task, seed=1), evaluated(task, split="test")}) == 3


def test_the_noise_of_a_batch_depends_on_its_number(noise):
    losses = []

    class Noting(noise.Denoiser):
        def evaluate(self, batch, step):
            losses.append(float(self("denoise", batch, step)["mse"]))
            return super().evaluate(batch, step)

    evaluated(Noting())
    assert losses[0] != losses[1]


def test_a_run_with_noise_resumes_bitwise_and_shows_held_out_samples(noise):
    def states(stop):
        torch.manual_seed(0)
        made = trainer(noise.Denoiser(), noise.Bars(), steps=40, pictures_every=20)
        if stop:
            torch.manual_seed(0)
            half = trainer(noise.Denoiser(), noise.Bars(), steps=20)
            half.fit()
            document, tensors = capture(half)
            restore(made, (document, {n: t.clone() for n, t in tensors.items()}))
        made.fit()
        return made, capture(made)[1], made.run.metrics["val/loss/mse"]

    made, whole, loss = states(stop=False)
    _, resumed, resumed_loss = states(stop=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert loss == resumed_loss
    examples = made.task.shown[-1]
    expected = noise.Bars("val")[0].image
    assert len(examples) == 16 and torch.equal(examples.images[0], expected)


def test_tasks_with_the_signatures_of_before_are_refused_when_they_are_defined():
    with pytest.raises(
        TypeError, match=r"Old\.evaluate\(self, batch\) should be evaluate\(self, b"
    ):

        class Old(gvt.Task):
            def evaluate(self, batch):
                return [], {}

    with pytest.raises(TypeError, match=r"Sheets\.pictures\(self, seed\) should be pictures"):

        class Sheets(gvt.Task):
            def pictures(self, seed):
                return {}


def test_a_metric_gets_the_inputs_that_it_needs_without_padding(noise):
    shapes = []

    class Brightness:
        needs = ("image",)

        def to(self, device):
            return self

        def update(self, predictions, targets):
            shapes.extend(tuple(target["image"].shape) for target in targets)

        def compute(self):
            return torch.tensor(float(len(shapes)))

    class Judged(noise.Denoiser):
        def evaluate(self, batch, step):
            return [{"class": torch.tensor(0)}] * len(batch), {}

        def metric(self):
            return Brightness()

    frame = gvt.Frame(((4, 6), (5, 3)), (5, 6))
    images = gvt.Batch(
        {"image": torch.zeros(2, 1, 5, 6)}, frame, gvt.Targets({}), [gvt.Record("a", (4, 6))] * 2
    )
    assert gvt.evaluate(Judged(), [images]).metrics == {"metric": 2.0}
    assert shapes == [(1, 4, 6), (1, 5, 3)]

"""The report of a run, and the comparison of several."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from PIL import Image

import gvt
from gvt.runs.folder import RunFolder
from gvt_report.media import LARGEST_SIDE
from gvt_report.report import write_report
from gvt_report.summary import summarise

SECTIONS = {"metrics", "curves", "pictures", "configuration", "environment"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CONFIG = {"recipe": "classify.toy", "train": {"steps": 10, "seed": 0}, "data": {"classes": [5, 7]}}
ENVIRONMENT = {"python": "3.12.1", "versions": {"torch": "2.11.0"}, "threads": 1}
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """A report, taken apart."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.urls, self.images, self.words = [], [], [], [], []
        self._open = []
        self.feed(text)
        self.source = text
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.urls += [attrs[a] for a in ("src", "href", "xlink:href", "srcset") if a in attrs]
        self.images += [attrs] if tag == "img" else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append(data)


def make(root, *rows, config=CONFIG, environment=ENVIRONMENT):
    folder = RunFolder.create(root, config["recipe"])
    folder.describe(config, environment)
    folder.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def report(tmp_path, *folders):
    write_report([summarise(folder) for folder in folders], tmp_path / "page.html")
    return Page((tmp_path / "page.html").read_text(encoding="utf-8"))


def picture(path, size=(20, 10), color="red"):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, color).save(path)


def trained(last=10, **more):
    return [{"step": n, "epoch": 0, "train/loss_a": 1 / n, "lr/model": 0.1} for n in range(1, last)]


def ended(outcome, step=10, **more):
    line = {"event": "ended", "step": step, "total_steps": 1000, "outcome": outcome}
    return line | {"error": None, "seconds": 75.2, "resume": "gvt resume over/there", **more}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A run of each kind, as short as they come."""
    root = f"run.root={tmp_path_factory.mktemp('runs')}"
    small = ("data.batch_size=16", "train.steps=3", root)
    widths = ("generator.width=8", "discriminator.width=8", "data.classes=[5]")
    classify = ("backbone.widths=[4]", "data.holdout=50", "evaluate.final=val")
    return [
        gvt.run("gan.mnist", *small, *widths, "train.pictures_every=2", quiet=True),
        gvt.run("classify.mnist", *small, *classify, "evaluate.every=2", quiet=True),
    ]


def test_a_real_run_is_on_one_page_without_any_request(real, tmp_path):
    for run in real:
        page = report(tmp_path, RunFolder(run.folder))
        assert set(page.ids) >= SECTIONS | {"files"}
        assert len(page.ids) == len(set(page.ids))
        assert "script" not in page.tags
        assert all(url.startswith(("data:", "#")) for url in page.urls)
        assert not re.search(r"@import|url\((?!#)", page.source)
        assert page.tags.count("svg") >= 2
        assert set(re.findall(r"url\(#([^)]+)\)", page.source)) <= set(page.ids)
        assert {url[1:] for url in page.urls if url.startswith("#")} <= set(page.ids)
        assert "checkpoints/last.safetensors" in page.text
        assert page.text.startswith(f"{run.folder.parent.name}, 2")


def test_a_real_run_shows_its_last_pictures_as_they_are(real, tmp_path):
    page = report(tmp_path, RunFolder(real[0].folder))
    contents = [base64.b64decode(image["src"].partition(",")[2]) for image in page.images]
    samples = real[0].folder / "samples"
    assert (samples / "samples_00000003.png").read_bytes() in contents
    assert (samples / "samples_00000002.png").read_bytes() not in contents
    assert (real[0].folder / "progress.png").read_bytes() in contents


def test_metrics_are_listed_by_split_with_their_steps(tmp_path):
    rows = [
        *({"step": n, "train/ce": 1.23456789 / n, "lr/model": 0.1} for n in (1, 2, 3, 4)),
        {"step": 3, "val/accuracy": 0.5, "val/loss/ce": 2.0},
        {"step": 4, "val/accuracy": 0.8765432, "test/accuracy": 0.75, "val/iou/0": 0.125},
    ]
    page = report(tmp_path, make(tmp_path, *rows))
    assert "val step 4 test step 4 training step 4" in page.text
    assert "accuracy 0.87654 0.75 — loss/ce 2 step 3 — 0.30864" in page.text
    assert "By class: 1 numbers val step 4 iou/0 0.125" in page.text
    assert "Curves of single classes are left out" in page.text


def test_cosines_are_listed_below_the_training_losses(tmp_path):
    figures = {"train/cosine/a/b": {"kind": "cosine"}}
    rows = [{"step": n, "train/a": 0.5, "train/cosine/a/b": -n / 8} for n in (1, 2)]
    rows = [rows[0] | {"figures": figures}, rows[1], {"step": 3, "train/a": 0.25}]
    page = report(tmp_path, make(tmp_path, *rows))
    assert "training step 3 loss/a 0.25 cosine/a/b -0.25 step 2" in page.text
    assert "Cosines between the heads' gradients" in page.text


def evaluated(folder, split, step, **metrics):
    folder.evaluations.mkdir(exist_ok=True)
    document = {"split": split, "step": step, "metrics": metrics, "tables": {}}
    (folder.evaluations / f"{split}.json").write_text(json.dumps(document))


def test_an_evaluation_after_the_run_is_among_its_metrics(tmp_path):
    rows = [*trained(), {"step": 8, "val/accuracy": 0.5, "val/loss/ce": 2.0}, ended("success")]
    folder = make(tmp_path, *rows)
    evaluated(folder, "val", 10, accuracy=0.625, f1=None)
    evaluated(folder, "test", 10, **{"accuracy": 0.75, "iou/0": 0.125})
    evaluated(folder, "train", 10, accuracy=0.875)
    page = report(tmp_path, folder)
    assert "val step 10 test step 10 train_eval step 10 training step 9" in page.text
    assert "accuracy 0.625 0.75 0.875 — f1 nan — — — loss/ce 2 step 8" in page.text
    assert "By class: 1 numbers test step 10 iou/0 0.125" in page.text
    page = report(tmp_path, folder, make(tmp_path, *trained()))
    assert "test/accuracy 0.75 —" in page.text


def test_an_evaluation_of_steps_that_were_undone_does_not_count(tmp_path):
    folder = make(tmp_path, *trained(30), {"event": "resumed", "step": 10})
    evaluated(folder, "test", 29, accuracy=0.75)
    evaluated(folder, "val", 10, accuracy=0.25)
    page = report(tmp_path, folder)
    assert "0.75" not in page.text
    assert "accuracy 0.25" in page.text


@pytest.mark.parametrize(
    "content", ['{"split": ', "[]", '{"split": "val", "step": 1, "metrics": {"a": "b"}}']
)
def test_an_evaluation_that_cannot_be_read_is_named(content, tmp_path):
    folder = make(tmp_path, *trained())
    evaluated(folder, "val", 1, accuracy=0.625)
    (folder.evaluations / "test.json").write_text(content)
    page = report(tmp_path, folder)
    assert "test.json cannot be shown: " in page.text
    assert "accuracy 0.625" in page.text


@pytest.mark.parametrize(
    ("rows", "said", "command"),
    [
        ([ended("success")], "Finished at step 10 of 1,000, after 0:01:15.", None),
        ([ended("interrupt")], "Interrupted at step 10 of 1,000", "gvt resume over/there"),
        ([ended("failure", error="a < b")], "after 0:01:15. a < b", "gvt resume over/there"),
        ([], "Running, or killed: the last logged step is 9.", "gvt resume {folder}"),
        (
            [ended("success"), {"event": "resumed", "step": 5}],
            "Running, or killed: the last logged step is 5.",
            "gvt resume {folder}",
        ),
    ],
)
def test_the_status_of_a_run_and_the_command_to_continue(rows, said, command, tmp_path):
    folder = make(tmp_path, *trained(), *rows)
    page = report(tmp_path, folder)
    assert said in page.text
    if command is None:
        assert "gvt resume" not in page.text
    else:
        assert command.format(folder=folder.path) in page.text


def test_the_report_of_a_run_without_steps_states_what_is_missing(tmp_path):
    folder = make(tmp_path)
    folder.metrics.unlink()
    folder.environment.unlink()
    page = report(tmp_path, folder)
    for words in (
        "no step is logged yet",
        "No losses or evaluations are logged yet.",
        "There is nothing to draw yet.",
        "This run has no pictures.",
        "There is no environment.json.",
    ):
        assert words in page.text
    assert not {"svg", "img"} & set(page.tags)


def test_a_truncated_line_and_a_damaged_file_are_tolerated(tmp_path):
    folder = make(tmp_path, *trained(5))
    folder.metrics.write_text(folder.metrics.read_text() + '{"step": 5, "tra')
    folder.environment.write_text('{"python": ')
    folder.data.write_bytes(b"no picture")
    picture(folder.progress)
    folder.scatter_plot.write_bytes(folder.progress.read_bytes()[:45])
    page = report(tmp_path, folder)
    assert "the last logged step is 4." in page.text
    assert "environment.json cannot be read" in page.text
    assert "data.png cannot be shown" in page.text
    assert "scatter.png cannot be shown" in page.text
    assert len(page.images) == 1


def test_names_are_text_whatever_they_say(tmp_path):
    evil = "<script>alert('1')</script>"
    config = {"recipe": evil, "heads": {evil: {"name": '"><img src=http://x>'}}}
    rows = [{"step": n, f"train/{evil}": n, "val/<b>": n, f"lr/{evil}": 1} for n in (1, 2)]
    environment = {evil: {evil: evil}}
    folders = [make(tmp_path, *rows, config=config, environment=environment) for _ in range(2)]
    folders[1].describe(config | {"heads": evil}, {evil: 1})
    picture(folders[0].samples / "<i>_00000001.png")
    for shown in (folders[:1], folders):
        page = report(tmp_path, *shown)
        assert not {"script", "b"} & set(page.tags)
        assert page.text.count(evil) >= 4
        assert all(url.startswith(("data:", "#")) for url in page.urls)


def test_two_runs_side_by_side_show_what_differs(tmp_path):
    other = CONFIG | {"train": {"steps": 10, "seed": 1}, "extra": None}
    evaluated = [{"step": n, "val/accuracy": n / 10} for n in (5, 8)]
    first = make(tmp_path, *trained(), *evaluated, ended("success"))
    second = make(tmp_path, *trained(7), config=other, environment=ENVIRONMENT | {"threads": 4})
    picture(first.data)
    page = report(tmp_path, first, second)
    assert set(page.ids) >= SECTIONS
    assert len(page.ids) == len(set(page.ids))
    differing = page.text.partition("What differs in the configuration")[2]
    differing, _, rest = differing.partition("Last metrics")
    assert "train.seed 0 1" in differing
    assert "extra — null" in differing
    assert "train.steps" not in page.text
    assert "data.classes" not in page.text
    assert "val/accuracy 0.8 step 8 — train/loss_a 0.11111 0.16667 lr/model" in rest
    assert page.tags.count("svg") == 3
    assert "This run has none." in page.text
    assert "threads 1 4" in page.text.partition("What differs in the environment")[2]
    assert "versions.torch" not in page.text


def test_each_run_has_a_name_and_a_colour_of_its_own(tmp_path):
    folders = [make(tmp_path / str(n), *trained()) for n in range(3)]
    for folder in folders[:2]:
        folder.path.rename(folder.path.with_name("2026-01-31_12-00-00"))
    same = [RunFolder(folder.path.with_name("2026-01-31_12-00-00")) for folder in folders[:2]]
    page = report(tmp_path, *same, folders[2])
    assert "classify.toy 2026-01-31 12:00:00 [1]" in page.text
    assert "classify.toy 2026-01-31 12:00:00 [2]" in page.text
    assert "the runs have the same configuration" in page.text
    assert all(f"stroke: var(--c{n})" in page.source for n in range(3))


def test_a_long_run_gives_a_small_page(tmp_path):
    rows = [{"step": n, **{f"train/{k}": n % 97 / 97 for k in "abc"}} for n in range(1, 5001)]
    report(tmp_path, make(tmp_path, *rows))
    assert (tmp_path / "page.html").stat().st_size < 150_000


def test_large_pictures_are_made_smaller_and_small_ones_larger(tmp_path):
    folder = make(tmp_path)
    picture(folder.data, (4000, 2000))
    picture(folder.samples / "digits_00000012.png", (62, 31))
    page = report(tmp_path, folder)
    small, large = page.images
    assert (small["width"], small["height"], small["class"]) == ("496", "248", "enlarged")
    content = base64.b64decode(large["src"].partition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (LARGEST_SIDE, LARGEST_SIDE // 2)
    assert "digits step 12" in page.text


def test_a_folder_that_is_not_a_run_folder_is_named(tmp_path):
    with pytest.raises(gvt.UsageError, match="is not a run folder: it has no config") as error:
        summarise(RunFolder(tmp_path / "nowhere"))
    assert "nowhere" in str(error.value)
    assert not (tmp_path / "page.html").exists()


CHECK = """
<script>
addEventListener("load", () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const found = {
    sections: all("section").filter((s) => s.offsetHeight > 40).map((s) => s.id),
    broken: all("img").filter((i) => !i.complete || !i.naturalWidth || !i.offsetWidth).length,
    images: all("img").length,
    empty: all("svg").filter((s) => s.getBoundingClientRect().height < 100).length,
    curves: all("svg path[style*='--c']").length,
    unpainted: all("svg path[style*='--c']")
      .filter((p) => getComputedStyle(p).stroke === "none").length,
    requests: performance.getEntriesByType("resource").map((r) => r.name)
      .filter((name) => !name.startsWith("data:")),
    overflow: document.documentElement.scrollWidth - innerWidth,
  };
  document.body.replaceChildren();
  document.body.dataset.found = btoa(JSON.stringify(found));
});
</script>
"""


def browser():
    named = os.environ.get("GVT_BROWSER")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.mark.skipif(browser() is None, reason=f"no browser: none of {BROWSERS}, no GVT_BROWSER")
@pytest.mark.parametrize("count", [1, 2])
def test_a_browser_shows_all_of_it(count, real, tmp_path):
    page = tmp_path / "page.html"
    write_report([summarise(RunFolder(run.folder)) for run in real[:count]], page)
    page.write_text(page.read_text(encoding="utf-8") + CHECK, encoding="utf-8")
    command = [
        *(browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=500,900"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--no-first-run", "--disable-extensions"),
        *("--dump-dom", page.as_uri()),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    answer = re.search(r'data-found="([^"]+)"', shown.stdout)
    assert answer, shown.stdout[-500:] + shown.stderr[-2000:]
    found = json.loads(base64.b64decode(answer[1]))
    assert set(found["sections"]) >= SECTIONS
    assert found["images"] >= 3
    assert found["broken"] == found["empty"] == found["unpainted"] == 0
    assert found["curves"] > 4
    assert found["requests"] == []
    assert found["overflow"] <= 0

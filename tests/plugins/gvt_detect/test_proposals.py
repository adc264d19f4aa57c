"""The data set `proposals`: what it passes on, and its cache."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

import gvt
from gvt.data_info import DataInfo
from gvt.interfaces import FileDataset, MixedDataset, ResidentDataset
from gvt_data.image_folder import ImageFolder
from gvt_detect.proposals import WithProposals, load, save
from gvt_detect.proposing import proposals_in

SCENES = {"name": "scenes", "count": 4, "held_out": 3, "size": 64}
BOXES = torch.tensor([[1.0, 2, 30, 40], [5, 5, 6, 7.5]])


def opened(cache, split="train", of=SCENES, **parameters):
    return gvt.create("dataset", "proposals", split=split, of=of, cache=str(cache), **parameters)


def files(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_samples_are_those_of_the_other_data_set_with_proposals(tmp_path):
    whole, inner = opened(tmp_path, "val"), gvt.create("dataset", split="val", **SCENES)
    assert len(whole) == len(inner) == 3
    for index in range(3):
        found, alone = whole[index], inner[index]
        assert torch.equal(found.image, alone.image)
        assert found.record.source == alone.record.source
        assert found.targets.keys() == alone.targets.keys()
        wanted = proposals_in(alone.image, "selective_search", 2000)
        assert torch.equal(found.inputs["proposals"], wanted)


def test_the_info_is_that_of_the_other_data_set(tmp_path):
    whole, inner = opened(tmp_path), gvt.create("dataset", split="train", **SCENES)
    assert whole.info == DataInfo.of(inner)
    assert torch.equal(whole.info.labels, inner.info.labels)
    assert not isinstance(whole, FileDataset | MixedDataset)
    parts = gvt.create("dataset", "mixed", split="train", parts={"one": SCENES, "two": SCENES})
    mixed = opened(tmp_path, of=parts)
    assert isinstance(mixed, MixedDataset)
    assert (mixed.parts, mixed.info.parts) == (parts.parts, parts.info.parts)
    folder = ImageFolder("train", **ImageFolder.gvt_example(tmp_path))
    of_files = opened(tmp_path, of=folder)
    assert isinstance(of_files, FileDataset)
    assert (of_files.files, of_files.reader) == (folder.files, folder.reader)


def test_whole_tensors_are_not_passed_on(tmp_path):
    dense = {**SCENES, "targets": ["class"]}
    assert isinstance(gvt.create("dataset", split="train", **dense), ResidentDataset)
    assert not isinstance(opened(tmp_path, of=dense), ResidentDataset)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_of_it_reads_the_same(tmp_path, copied):
    whole = opened(tmp_path, proposer="windows", most=20)
    found = copied(whole)
    assert torch.equal(found[1].inputs["proposals"], whole[1].inputs["proposals"])


# --- the cache -------------------------------------------------------------------------------


def test_the_second_access_reads_the_cache(tmp_path):
    whole = opened(tmp_path)
    first = whole[0].inputs["proposals"]
    (path,) = files(tmp_path)
    save(path, path.stem, BOXES)  # boxes that no proposer returns
    assert torch.equal(whole[0].inputs["proposals"], BOXES)
    assert torch.equal(opened(tmp_path)[0].inputs["proposals"], BOXES)
    assert not torch.equal(first, BOXES)


def test_other_pictures_and_other_settings_are_kept_apart(tmp_path):
    found = [
        opened(tmp_path)[0],
        opened(tmp_path)[1],
        opened(tmp_path, most=3)[0],
        opened(tmp_path, proposer="selective_search_quality")[0],
    ]
    assert len(files(tmp_path)) == 4
    assert [len(s.inputs["proposals"]) == 3 for s in found] == [False, False, True, False]
    # The same pixels in the data of another size, order or name are the same pictures.
    again = opened(tmp_path, of={**SCENES, "count": 2})
    assert torch.equal(again[1].inputs["proposals"], found[1].inputs["proposals"])
    assert len(files(tmp_path)) == 4


def test_proposals_of_another_opencv_are_not_read(tmp_path, monkeypatch):
    _ = opened(tmp_path)[0]
    (before,) = files(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "4.9.0")
    _ = opened(tmp_path)[0]
    assert len(files(tmp_path)) == 2 and before in files(tmp_path)


def test_windows_are_not_cached(tmp_path):
    assert len(opened(tmp_path, proposer="windows", most=30)[0].inputs["proposals"]) == 30
    assert not files(tmp_path)


def test_a_damaged_file_is_recomputed(tmp_path):
    whole = opened(tmp_path)
    wanted = whole[0].inputs["proposals"]
    (path,) = files(tmp_path)
    good = path.read_bytes()
    for wrong in (b"", b"no tensors", good[:40], good[:-1], good[:-3] + b"\xff\xff\xff"):
        path.write_bytes(wrong)
        assert torch.equal(whole[0].inputs["proposals"], wanted)
        assert path.read_bytes() == good
    save(path, "of another picture", BOXES)
    assert torch.equal(whole[0].inputs["proposals"], wanted)
    assert files(tmp_path) == [path]  # and nothing unfinished lies about


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    path = tmp_path / "one"
    save(path, "key", BOXES)
    good = path.read_bytes()
    for place in range(len(good)):
        wrong = bytearray(good)
        wrong[place] ^= 1 << place % 8
        path.write_bytes(wrong)
        found = load(path, "key")
        # A name in the file's header may change into an equal one, and the boxes never.
        assert found is None or torch.equal(found, BOXES)


def test_no_proposals_are_cached_too(tmp_path):
    save(tmp_path / "one", "key", torch.zeros(0, 4))
    assert load(tmp_path / "one", "key").shape == (0, 4)
    assert load(tmp_path / "none", "key") is None


def written_often(path):
    for _ in range(100):
        save(path, "key", BOXES)
        found = load(path, "key")
        if found is None or not torch.equal(found, BOXES):
            return False
    return True


def test_several_processes_write_at_once(tmp_path):
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        assert all(pool.map(written_often, [tmp_path / "folder" / "one"] * 2))
    assert [path.name for path in files(tmp_path)] == ["one"]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(gvt.DataError, match=r"data\.cache: .*name another folder") as error:
        _ = opened(tmp_path / "file")[0]
    assert "\n" not in str(error.value)


def test_the_default_folder_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "gvt"))
    inner = gvt.create("dataset", split="train", **SCENES)
    _ = WithProposals("train", inner)[0]
    assert len(files(tmp_path / "gvt" / "proposals")) == 1


def test_the_other_data_set_has_the_same_split(tmp_path):
    assert len(opened(tmp_path, "val")) == 3 and len(opened(tmp_path, "train")) == 4
    with pytest.raises(gvt.ConfigError, match="no split 'other'"):
        opened(tmp_path, "other")

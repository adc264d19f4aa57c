"""A list of entries on disk is whole whenever somebody looks."""

import json
from io import FileIO

import pytest

from gvt_predict.entries import EntryFile


def test_it_is_a_json_list_after_every_picture(tmp_path):
    path = tmp_path / "new" / "predictions.json"
    file = EntryFile(path)
    assert not path.exists()
    said = []
    for number in (0, 2, 0, 1):
        more = [{"picture": len(said), "of": n, "name": "é"} for n in range(number)]
        file.add(more)
        said += more
        assert json.loads(path.read_bytes()) == said
    file.close()
    assert len(path.read_text().splitlines()) == 2 + len(said)


def test_an_earlier_file_is_replaced_with_the_first_picture(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text("of an earlier day, and longer than what follows now")
    file = EntryFile(path)
    file.close()
    assert path.read_text().startswith("of an earlier day")
    file = EntryFile(path)
    file.add([])
    file.close()
    assert json.loads(path.read_text()) == []


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    class Narrow(FileIO):
        """A file on a disk with room for 60 bytes."""

        def write(self, content):
            room = 60 - self.tell()
            if not room:
                raise OSError(28, "No space left on device")
            return super().write(bytes(content)[:room])

    monkeypatch.setattr("gvt.files.FileIO", Narrow)
    path = tmp_path / "predictions.json"
    file = EntryFile(path)
    file.add([{"number": 1}])
    with pytest.raises(OSError, match=r"No space left on device: .*predictions\.json"):
        file.add([{"number": number} for number in range(20)])
    assert json.loads(path.read_text()) == [{"number": 1}]
    file.close()

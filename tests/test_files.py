"""Files: whole or not at all, whoever writes and whatever fails; folders that one run holds."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from pfa_edu import _files
from pfa_edu.errors import OutputError
from pfa_edu.lessons import notebooks


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def full(fd):
    raise OSError(28, "No space left on device")


def test_a_file_is_whole_under_its_own_name_with_the_usual_rights(tmp_path):
    path = _files.write(tmp_path / "new" / "a.bin", lambda file: file.write(b"one"))
    assert (path, path.read_bytes()) == (tmp_path / "new" / "a.bin", b"one")
    assert _files.write(path, lambda file: file.write(b"two")).read_bytes() == b"two"
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    long = "x" * 251 + ".bin"  # as long as most file systems let a name be
    _files.write(tmp_path / "new" / long, lambda file: file.write(b"three"))
    assert names(tmp_path / "new") == ["a.bin", long]


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = _files.write_text(tmp_path / "a.txt", "before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"could not write .*a\.txt \(No space left on device\): free .* untouched"):
        _files.write_text(path, "after")
    with pytest.raises(OutputError, match=r"b\.txt \(No space left on device\): free some space or .* folder\.$"):
        _files.write_text(tmp_path / "b.txt", "after")
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_a_writer_that_fails_or_is_interrupted_leaves_nothing(tmp_path):
    for error in (KeyboardInterrupt, ZeroDivisionError):

        def fill(file, error=error):
            file.write(b"half")
            raise error

        with pytest.raises(error):
            _files.write(tmp_path / "a.bin", fill)
    assert names(tmp_path) == []


def test_where_no_file_can_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"file/a\.txt .*another folder"):
        _files.write_text(tmp_path / "file" / "a.txt", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"folder .*Is a directory"):
        _files.write_text(tmp_path / "folder", "")
    assert names(tmp_path) == ["file", "folder"]


def test_many_writers_of_one_path(tmp_path):
    """Readers meet the whole text of one of them at any moment."""
    path = _files.write_text(tmp_path / "a.txt", "0" * 50_000)
    threads = [
        threading.Thread(target=lambda i=i: [_files.write_text(path, str(i) * 50_000) for _ in range(20)])
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        text = path.read_text()
        assert len(text) == 50_000
        assert len(set(text)) == 1
    assert names(tmp_path) == ["a.txt"]


def test_json_keeps_every_digit_and_csv_six(tmp_path):
    numbers = [1 / 3, 98.38, 1e-12, 12345678.9, float(np.float32(0.1))]
    assert pd.read_json(_files.write_json(numbers, tmp_path / "a.json"), precise_float=True)[0].tolist() == numbers
    frame = pd.DataFrame({"rule": "PFA-o ½", "value": numbers})
    text = _files.write_csv(frame, tmp_path / "a.csv").read_bytes().decode("utf-8")
    assert text.split("\n")[:3] == ["rule,value", "PFA-o ½,0.333333", "PFA-o ½,98.38"]
    assert text.endswith("1.23457e+07\nPFA-o ½,0.1\n")


def test_what_is_no_json_touches_nothing(tmp_path):
    path = _files.write_json([1], tmp_path / "a.json")
    with pytest.raises(TypeError):
        _files.write_json({"value": np.float32(1)}, path)
    assert path.read_text() == "[1]"


def test_a_folder_is_held_once(tmp_path):
    with _files.held(tmp_path / "run") as folder:
        assert folder.is_dir()
        with pytest.raises(OutputError, match="run is in use by another run"), _files.held(folder):
            pass
        code = "import sys; from pfa_edu._files import held\nwith held(sys.argv[1]): pass"
        other = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
        assert "in use by another run" in other.stderr
    with _files.held(folder):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write in .*file"), _files.held(tmp_path / "file"):
        pass


def test_a_folder_is_free_again_after_its_holder_was_killed(tmp_path):
    code = "import sys, time; from pfa_edu._files import held\n"
    code += "with held(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        process.kill()
    with _files.held(tmp_path):
        pass


def test_what_killed_writers_left_is_removed(tmp_path):
    old, new = tmp_path / ".old.part", tmp_path / ".new.part"
    for path in (old, new, tmp_path / "mine.part"):
        path.touch()
    for path in (old, tmp_path / "mine.part"):
        os.utime(path, (time.time() - 4000,) * 2)
    with _files.held(tmp_path):
        assert names(tmp_path) == [".new.part", "mine.part", "run.lock"]


def test_somebodys_work_is_moved_aside(tmp_path):
    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        path.write_text(text)
        _files.move_aside(path)
    path.symlink_to(tmp_path / "nowhere")
    _files.move_aside(path)
    assert names(tmp_path) == ["a.before-1.txt", "a.before-2.txt", "a.before-3.txt"]
    assert (tmp_path / "a.before-2.txt").read_text() == "two"
    with pytest.raises(OutputError, match=r"could not rename .*a\.txt"):
        _files.move_aside(path)


def test_a_lesson_that_cannot_be_replaced_stays_under_its_own_name(tmp_path, monkeypatch):
    notebooks.copy(tmp_path)
    mine = tmp_path / notebooks.all_lessons()[0]
    mine.write_text("hours of work")
    before = names(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        notebooks.copy(tmp_path, force=True)
    assert mine.read_text() == "hours of work"
    assert names(tmp_path) == before

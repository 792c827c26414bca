"""The examples run as they are."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_callbacks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "callbacks.py"), run_name="__main__")
    rows = Path("out/steps.csv").read_text().splitlines()
    assert rows[0] == "step,loss"
    steps = [int(row.split(",")[0]) for row in rows[1:]]
    assert steps == list(range(1, 3 * (4000 // 64) + 1))


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    import pfa_edu as pe

    callback = runpy.run_path(str(EXAMPLES / "callbacks.py"))["ToTensorBoard"](str(tmp_path))
    pe.experiment("mnist", "fa", scale="smoke", epochs=1, out=None, callbacks=[callback]).run("none")
    assert list(tmp_path.glob("events*"))

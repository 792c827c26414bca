"""The examples run as they are, and show what they say."""

import importlib.util
import itertools
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import pfa_edu as pe

EXAMPLES = Path(__file__).parent.parent / "examples"
LIMIT = pe.alignment_limit(10)


def test_callbacks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "callbacks.py"), run_name="__main__")
    rows = Path("out/steps.csv").read_text().splitlines()
    assert rows[0] == "step,loss"
    steps = [int(row.split(",")[0]) for row in rows[1:]]
    assert steps == list(range(1, 3 * (4000 // 64) + 1))


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    callback = runpy.run_path(str(EXAMPLES / "callbacks.py"))["ToTensorBoard"](str(tmp_path))
    pe.experiment("mnist", "fa", scale="smoke", epochs=1, out=None, callbacks=[callback]).run("none")
    assert list(tmp_path.glob("events*"))


def printed(name, *launcher, needs=()):
    """What the example prints in a process of its own, as a user would start it; skipped where a package is missing."""
    for package in needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install {package}")
    quiet = os.environ | {
        "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "default",
    }  # fmt: skip
    command = [sys.executable, *launcher, str(EXAMPLES / name)]
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def angles(text):
    """The angles of every line that has some, in degrees."""
    lines = [[float(a) for a in re.findall(r"(\d+\.\d)°", line)] for line in text.splitlines()]
    return [line for line in lines if line]


def assert_falls(lines):
    """From about a right angle to about the limit, in every layer; the last, of 10 neurons, ends some degrees below."""
    assert all(angle > 80 for angle in lines[0])
    for first, then in itertools.pairwise(lines):
        assert all(b < a + 1 for a, b in zip(first, then, strict=True))
    assert lines[-1] == pytest.approx([LIMIT] * len(lines[-1]), abs=6)


@pytest.mark.slow
def test_fsdp():
    two = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    text = printed("fsdp.py", *two)
    lines = angles(text)
    assert len(lines) == 4
    assert_falls(lines)
    for rank in (0, 1):
        share = int(re.search(rf"rank {rank} held (\d+) % of what learns", text)[1])
        assert 45 <= share <= 55


def parts(text):
    """What is printed under 'closed form:', 'with clipping, closed form:' and so on, by these headings."""
    found = re.split(r"^((?:with clipping, )?\w+ form):$", text, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def assert_both_forms(text):
    by_form = parts(text)
    assert_falls(angles(by_form["closed form"]))
    assert "refused: the gradient of the Linear layer of shape" in by_form["with clipping, closed form"]
    assert "was changed between backward and step (clipping" in by_form["with clipping, closed form"]
    assert_falls(angles(by_form["with clipping, coupled form"]))


@pytest.mark.slow
def test_accelerate():
    assert_both_forms(printed("accelerated.py", needs=["accelerate"]))


@pytest.mark.slow
def test_accelerate_on_two_processes():
    two = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert_both_forms(printed("accelerated.py", *two, needs=["accelerate"]))


@pytest.mark.slow
def test_lightning():
    assert_both_forms(printed("lightning_module.py", needs=["lightning"]))


@pytest.mark.slow
def test_transformers_trainer():
    text = printed("hf_trainer.py", needs=["transformers", "accelerate"])
    by_form = parts(text)
    assert "refused: PFA's closed form holds under torch's own SGD only" in by_form["closed form"]
    assert "is trained by AdamW" in by_form["closed form"]
    mean = [line[0] for line in angles(by_form["coupled form"])]
    assert mean == sorted(mean, reverse=True)
    assert mean[0] > 80
    assert mean[-1] == pytest.approx(LIMIT, abs=4)
    losses = [float(x) for x in re.findall(r"loss (\d+\.\d+)", by_form["coupled form"])]
    assert losses[-1] < losses[0]


def test_recurrent(capsys):
    runpy.run_path(str(EXAMPLES / "recurrent.py"), run_name="__main__")
    found = re.findall(r"accuracy +(\d+\.\d) %, recurrent path at +(\d+\.\d) degrees", capsys.readouterr().out)
    (bp, _), (pfa, turned), (fa, fixed) = [(float(a), float(b)) for a, b in found]
    assert min(bp, pfa, fa) > 30  # guessing gives 10
    assert turned < 70 < fixed  # the same F at every time step, on its way to W


def test_any_optimizer():
    train = runpy.run_path(str(EXAMPLES / "any_optimizer.py"))["train"]
    angles, accuracy = train("AdamW", "coupled", epochs=5)
    assert angles[0] > 40
    assert abs(angles[-1] - pe.alignment_limit(10)) < 3
    assert accuracy > 70

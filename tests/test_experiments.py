"""Runs that are cut, resumed, copied, mistaken and killed; on the digits that need no download."""

import os
import re
import signal
import subprocess
import sys
import time

import filelock
import pandas as pd
import pytest
import torch

import pfa_edu as pe
from pfa_edu.cli import main
from pfa_edu.train import checkpoint as checkpoints
from pfa_edu.train import trainer as training


def smoke(rule="pfa", out=None, **changes):
    return pe.experiment("mnist", rule, scale="smoke", out=out, device="cpu", **changes)


def same(a, b):
    """The two runs' numbers, but for the seconds they took, bit for bit."""
    a, b = (f[f.metric != "seconds"].reset_index(drop=True) for f in (a, b))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.mark.parametrize("rule", pe.known_rules())
def test_every_rule_learns(rule):
    frame = smoke(rule).run("none").frame
    assert list(frame.columns) == ["rule", "seed", "epoch", "layer", "metric", "value"]
    accuracy = frame[frame.metric == "test_accuracy"].set_index("epoch").value
    assert list(accuracy.index) == [0, 1, 2, 3]
    assert accuracy[0] < 35 < 60 < accuracy[3] <= 100
    path = frame[(frame.metric == "path_alignment") & (frame.epoch == 3)].set_index("layer").value
    floor = {"bp": 0, "kp": 0, "pfa-o": 0, "pfa": pe.alignment_limit(10)}
    if rule in floor:  # the strong decay lasted long enough at this scale
        assert (path - floor[rule]).abs().max() < 10


@pytest.mark.parametrize("rule", ["bp", "kp", "pfa", "dfa", pe.SF("batch")])
def test_a_cut_run_goes_on_bit_for_bit(rule, tmp_path, monkeypatch):
    whole = smoke(rule).run("none").frame
    one_epoch, calls = training.Trainer._one_epoch, []

    def cut(self):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return one_epoch(self)

    monkeypatch.setattr(training.Trainer, "_one_epoch", cut)
    with pytest.raises(KeyboardInterrupt):
        smoke(rule, tmp_path).run("none")
    torch.manual_seed(123)  # whatever else the process does in between
    resumed = smoke(rule, tmp_path).run("none")
    assert len(calls) == 4  # one, the cut one, and the two that were left
    same(whole, resumed.frame)
    assert (resumed.folder / "metrics.csv").exists()


def test_a_killed_process_goes_on(tmp_path):
    command = [sys.executable, "-m", "pfa_edu", "run", "mnist", "--rule", "pfa", "--scale", "smoke", "--epochs", "30"]
    command += ["--device", "cpu", "--out"]
    quiet = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen([*command, str(tmp_path / "killed")], **quiet)
    checkpoint = tmp_path / "killed" / "mnist-smoke" / "pfa-seed0" / "checkpoint.pt"
    give_up = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < give_up:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 1 <= checkpoints.load_checkpoint(checkpoint)["epoch"] < 30
    for folder in ("killed", "whole"):
        subprocess.run([*command, str(tmp_path / folder)], check=True, **quiet)
    states = [
        checkpoints.load_checkpoint(tmp_path / f / "mnist-smoke" / "pfa-seed0" / "checkpoint.pt")
        for f in ("killed", "whole")
    ]
    assert [s["epoch"] for s in states] == [30, 30]
    for key, value in states[0]["net"].items():
        assert torch.equal(value, states[1]["net"][key]), key


def test_tracker_changes_nothing(monkeypatch):
    rule = pe.SF("batch")
    seen = smoke(rule).run("none").net.state_dict()
    monkeypatch.setattr(training.Tracker, "record", lambda self, epoch: None)
    unseen = smoke(rule).run("none").net.state_dict()
    assert all(torch.equal(seen[k], unseen[k]) for k in seen)


def test_same_seed_same_weights_for_every_rule():
    nets = [smoke(rule).trainer(pe.data.load("mnist-5k")).net for rule in pe.known_rules()]
    assert all(torch.equal(nets[0].fc1.weight, net.fc1.weight) for net in nets)


def broken(kind, folder):
    """A checkpoint of the given kind in the run's folder."""
    folder.mkdir(parents=True)
    path = folder / "checkpoint.pt"
    if kind == "foreign":
        torch.save({"model": torch.zeros(3)}, path)
    elif kind == "truncated":
        checkpoints.save_checkpoint(path, {"x": torch.zeros(1000)})
        path.write_bytes(path.read_bytes()[:1500])
    return path.read_bytes()


@pytest.mark.parametrize(("kind", "message"), [("foreign", "not a checkpoint"), ("truncated", "truncated or foreign")])
def test_broken_checkpoints(kind, message, tmp_path):
    e = smoke("fa", tmp_path)
    before = broken(kind, e.folder)
    with pytest.raises(pe.CheckpointError, match=message):
        e.run("none")
    assert (e.folder / "checkpoint.pt").read_bytes() == before


def test_checkpoint_of_another_run(tmp_path):
    smoke("fa", tmp_path).run("none")
    with pytest.raises(pe.CheckpointError, match=r"fa-seed0 holds another run.*lr 0.01 there, 0.02 here.*--out DIR"):
        smoke("fa", tmp_path, lr=0.02).run("none")


def test_two_runs_in_one_folder(tmp_path):
    e = smoke("fa", tmp_path)
    e.folder.mkdir(parents=True)
    with filelock.FileLock(e.folder / "run.lock"), pytest.raises(pe.OutputError, match="in use by another run"):
        e.run("none")


def test_unwritable_and_full_folders(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(pe.OutputError, match="cannot write in"):
        smoke("fa", tmp_path / "file").run("none")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    e = smoke("fa", tmp_path)
    smoke("fa", tmp_path, epochs=3).run("none")
    before = (e.folder / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(pe.OutputError, match="No space left"):
        checkpoints.save_checkpoint(e.folder / "checkpoint.pt", {})
    assert (e.folder / "checkpoint.pt").read_bytes() == before


def test_diverging_loss_is_named():
    with pytest.raises(pe.DivergenceError, match=r"loss became (nan|inf) in epoch 1 at step \d+ \(mnist fa seed 0\)"):
        smoke("fa", lr=1e6).run("none")


UNKNOWN = [
    (("mnits", "fa"), {}, "did you mean 'mnist'"),
    (("mnist", "pfaoo"), {}, "did you mean 'pfa-o'"),
    (("mnist", "fa"), {"scale": "papr"}, "did you mean 'paper'"),
    (("mnist", "fa"), {"dataset": "mnist5k"}, "did you mean 'mnist-5k'"),
    (("mnist", "fa"), {"epoch": 3}, "did you mean 'epochs'"),
    (("mnist", "fa"), {"epochs": 0}, "epochs 0"),
    (("mnist", "fa"), {"lr": -1}, "learning rate -1"),
    (("mnist", "fa"), {"seed": -1}, "seed -1"),
]


@pytest.mark.parametrize(("args", "kwargs", "message"), UNKNOWN, ids=[m for *_, m in UNKNOWN])
def test_unknown_settings(args, kwargs, message):
    with pytest.raises(pe.ConfigError, match=message):
        pe.experiment(*args, **kwargs)


def test_paper_settings():
    recipe = pe.experiment("mnist", "pfa", scale="paper").recipe
    assert (recipe.epochs, recipe.batch_size, recipe.lr_at(19), recipe.lr_at(20), recipe.lr_at(30)) == (
        40,
        64,
        0.01,
        0.005,
        0.0025,
    )
    assert (recipe.decay_at(0), recipe.decay_at(936), recipe.decay_at(937)) == (0.03, 0.03, 9e-5)
    plain = pe.experiment("mnist", "fa", scale="paper").recipe
    assert (plain.decay_at(0), plain.decay_at(937), plain.momentum) == (1e-4, 1e-4, 0.9)


def test_command_line(tmp_path, capsys):
    assert main(["list"]) == 0
    assert "mnist-5k" in capsys.readouterr().out
    for experiment in ("mnist", "sparse"):  # side by side: neither is in the other's way
        assert main(["run", experiment, "--rule", "PFAo" if experiment == "mnist" else "pfa", "--scale", "smoke",
                     "--device", "cpu", "--epochs", "1", "--out", str(tmp_path)]) == 0  # fmt: skip
        told = capsys.readouterr().out
        assert re.search(r"after epoch 1 .*test_accuracy", told)
        assert re.search(r"\nfc3 +[\d. –e-]+\n\nkept in", told)
    assert main(["reproduce", "mnist", "--jobs", "0"]) == 1
    assert capsys.readouterr().err.strip() == "pfa-edu: --jobs 0: it must be a number of at least 1"
    assert main(["run", "relatives", "--rule", "pfa"]) == 1
    assert "pfa-edu reproduce relatives" in capsys.readouterr().err
    assert main(["run", "mnist", "--rule", "pfaa"]) == 1
    assert "did you mean 'pfa'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["run", "mnist"])


def test_flags_of_a_rule_and_of_the_recipe(tmp_path, capsys):
    command = ["run", "mnist", "--scale", "smoke", "--out", str(tmp_path), "--epochs", "1"]
    assert main([*command, "--rule", "pfa", "--ratio", "20", "--lr", "0.05", "--lr-drops", "2,3"]) == 0
    assert (tmp_path / "mnist-smoke" / "pfa_ratio=20-seed0" / "metrics.csv").exists()  # as ratio=20 is called in Python
    frame = pd.read_csv(tmp_path / "mnist-smoke" / "pfa_ratio=20-seed0" / "metrics.csv")
    assert frame.loc[frame.metric == "lr", "value"].tolist() == [0.05]
    capsys.readouterr()
    for flags, message in [
        (["--rule", "pfa", "--ratio", "zero"], "ratio 'zero': it must be a finite number"),
        (["--rule", "fa", "--epochs", "2.5"], "epochs 2.5: it must be a whole number"),
        (["--rule", "fa", "--device", "gpu"], "device 'gpu' is unknown"),
        (["--rule", "fa", "--seed", "100000000000000"], "seed 100000000000000"),
        (["--rule", "nosuch:Rule"], "rule 'nosuch:Rule' cannot be imported"),
        (["--rule", "fa", "--optimizer", "Adamw"], "did you mean 'AdamW'"),
    ]:
        assert main([*command, *flags]) == 1
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):  # a knob that FA does not have
        main([*command, "--rule", "fa", "--ratio", "3"])
    assert main(["reproduce", "mnist", "--dataset", "nosuch"]) == 1
    assert "unknown dataset 'nosuch'" in capsys.readouterr().err


PARAMETERS = "# Change these and run again\nseeds = 1\nrules = []"


def test_notebook_refuses_an_unknown_parameter():
    from pfa_edu.lessons import notebooks as lesson

    with pytest.raises(pe.ConfigError, match="unknown parameter 'sede': did you mean 'seeds'"):
        lesson.check_parameters({"In": ["", PARAMETERS, "# Parameters\nsede = 3\n", "now"], "sede": 3})


@pytest.mark.parametrize(
    "cells",
    [
        ["", PARAMETERS, "# Parameters\nseeds = 3\n", "now"],
        ["", PARAMETERS, "now"],  # nothing was injected
        ["", PARAMETERS, "now", "net = 3", PARAMETERS, "now"],  # everything run twice, the reader's own names between
    ],
)
def test_notebook_minds_only_what_was_injected(cells):
    from pfa_edu.lessons import notebooks as lesson

    lesson.check_parameters({"In": cells, "net": 3, "seeds": 3})


def test_notebook_headless(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pfa_edu", "reproduce", "mnist", "--scale", "smoke", "--rules", "bp,fa,pfa"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PFA" in done.stdout.splitlines()[-10:][0] + done.stdout
    frame = pd.read_csv(out / "results.csv")
    assert set(frame.rule) == {"bp", "fa", "pfa"}
    assert frame[frame.metric == "test_accuracy"].value.between(0, 100).all()
    assert frame[frame.metric == "gradient_angle"].value.between(0, 180).all()
    for name in ("accuracy", "path_alignment", "norm_ratio", "gradient_angle"):
        assert (out / f"{name}.png").stat().st_size > 20_000
        assert "<svg" in (out / f"{name}.svg").read_text()[:2000]
    assert "Traceback" not in (out / "mnist.html").read_text()

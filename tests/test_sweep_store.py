"""What a sweep's folder keeps: results while they grow, grids that are added to, and files that somebody has broken."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from test_sweep import SMOKE, WRONG, records, runs, stamps

import pfa_edu as pe
from pfa_edu.cli import main
from pfa_edu.runs import report, store
from pfa_edu.runs.experiments import COLUMNS
from pfa_edu.runs.plans import plan
from pfa_edu.runs.sweeps import read_toml

QUIET = {"jobs": 1, "progress": "none", **SMOKE}


def accuracies(frame):
    return frame[(frame.metric == "test_accuracy") & (frame.epoch == frame.epoch.max())]


# Results while they grow


def test_a_run_is_kept_after_every_epoch(tmp_path):
    seen = []

    def look(run):  # called when an epoch has ended, before it is kept
        record = store.read(e.folder)
        seen.append((record and record["state"], store.results(e.folder, e), store.results(e.folder, e, partial=True)))

    e = pe.experiment("mnist", "pfa", out=tmp_path, callbacks=(look,), **SMOKE)
    frame = e.run("none").frame
    assert [state for state, *_ in seen] == [None, "running", "running"]
    assert all(done is None for _, done, _ in seen)
    for epoch, (*_, partial) in enumerate(seen):
        if epoch:
            pd.testing.assert_frame_equal(partial, frame[frame.epoch <= epoch], check_exact=True)
    assert store.read(e.folder)["state"] == "done"
    pd.testing.assert_frame_equal(store.results(e.folder, e), frame, check_exact=True)
    before = stamps(tmp_path)
    grid = pe.run_grid([e], progress="none")  # a run made on its own is done for a grid too
    assert (stamps(tmp_path), len(grid)) == (before, len(frame))


def test_a_run_goes_on_with_what_was_there(tmp_path):
    """While a cut run is taken up again, and where it then fails, its results so far stay readable."""
    e = pe.experiment("mnist", "bp", out=tmp_path, epochs=2, lr_drops=(), **SMOKE)
    rows = [("bp", 0, 0, "network", "test_accuracy", 10.0)]
    store.write(e.folder, dataclasses.replace(e, frame=pd.DataFrame(rows, columns=COLUMNS)), "cut")
    assert store.told(e.folder, e) == "0/2 epochs"
    for record in (store.write(e.folder, e, "running"), store.failed(e.folder, e, "why")):
        assert record["rows"] == [list(rows[0])]
        assert store.results(e.folder, e) is None
        assert len(store.results(e.folder, e, partial=True)) == 1
    assert store.told(e.folder, e) == "failed"


def test_partial_results_of_a_sweep(tmp_path, capsys):
    pe.sweep("mnist", ["bp", "fa"], out=tmp_path, minutes=0, **QUIET)
    assert not len(pe.sweep_results(tmp_path))
    partial = pe.sweep_results(tmp_path, partial=True)
    assert set(zip(partial.rule, partial.epoch, strict=True)) == {("bp", 0), ("fa", 0)}
    (tmp_path / "f.toml").write_text(f"experiments='mnist'\nrules=['bp', 'fa']\nscale='smoke'\nout='{tmp_path}'")
    assert main(["sweep", str(tmp_path / "f.toml"), "--list"]) == 0
    assert capsys.readouterr().out.count("0/3 epochs") == 2


# A folder that holds a sweep already


def test_a_second_sweep_is_added(tmp_path, capsys):
    how = {"out": tmp_path, **QUIET, "progress": "line", "epochs": 1, "lr_drops": []}
    first = pe.sweep("mnist", ["bp", "fa"], **how, lr=[0.01, 0.02])
    kept = json.loads((tmp_path / "grid.json").read_text())
    before = stamps(tmp_path)
    capsys.readouterr()
    other = pe.sweep("mnist", "kp", **how, momentum=0.5)
    assert set(zip(other.rule, other.momentum, strict=True)) == {("kp", 0.5)}
    assert "holds 4 more runs, of other sweeps" in capsys.readouterr().out
    assert json.loads((tmp_path / "grid.json").read_text())["runs"][:4] == kept["runs"]
    every = accuracies(pe.sweep_results(tmp_path))  # and each says what the other sweep has set
    assert sorted(zip(every.rule, every.lr, every.momentum, strict=True)) == [
        ("bp", 0.01, 0.9), ("bp", 0.02, 0.9), ("fa", 0.01, 0.9), ("fa", 0.02, 0.9), ("kp", 0.01, 0.5),
    ]  # fmt: skip
    assert len(pd.read_csv(tmp_path / "results.csv")) == len(first) + len(other)
    more = pe.sweep("mnist", ["bp", "fa"], 2, **how, lr=[0.01, 0.02])  # more seeds: the old ones are not run again
    assert len(accuracies(more)) == 8
    assert {path: stamp for path, stamp in stamps(tmp_path).items() if path in before} == before
    assert len(accuracies(pe.sweep_results(tmp_path))) == 9


def test_a_changed_preset_does_not_take_the_old_runs_out_of_the_sweep(tmp_path, monkeypatch):
    pe.sweep("mnist", "bp", out=tmp_path, **QUIET)
    before = (tmp_path / "grid.json").read_bytes(), (tmp_path / "results.csv").read_bytes()
    monkeypatch.setattr("pfa_edu.runs.store.identity", lambda e: {**e.identity, "lr": 5})
    with pytest.raises(pe.CheckpointError, match=r"bp-seed0 holds another run.*lr 0.01 there, 5 here"):
        pe.sweep("mnist", "bp", out=tmp_path, **QUIET)
    assert ((tmp_path / "grid.json").read_bytes(), (tmp_path / "results.csv").read_bytes()) == before


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "other"}'])
def test_a_broken_grid_file(content, tmp_path):
    pe.sweep("mnist", "bp", out=tmp_path, **QUIET, minutes=0)
    (tmp_path / "grid.json").write_text(content)
    for ask in (lambda: pe.sweep("mnist", "bp", out=tmp_path, **QUIET), lambda: pe.sweep_results(tmp_path)):
        with pytest.raises(pe.OutputError, match=r"grid.json cannot be read .*: delete it and start the sweep again"):
            ask()
    assert (tmp_path / "grid.json").read_text() == content


# Broken records

BROKEN = ["", "{", "[]", "\0\0", '{"format": "pfa_edu run 0"}', '{"format": "pfa_edu run 1", "state": "done"}',
          '{"format": "pfa_edu run 1", "state": "done", "identity": {}, "columns": ["a"], "rows": [[1, 2]]}',
          '{"format": "pfa_edu run 1", "state": ["x"], "identity": {}}']  # fmt: skip


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_record_stops_no_other_run(content, tmp_path, capsys):
    broken, other = runs(tmp_path, ["bp", "fa"], 1)
    broken.folder.mkdir(parents=True)
    (broken.folder / store.FILE).write_text(content)
    with pytest.raises(pe.GridError, match=r"1 of 2 runs failed, the other 1 .*\n  bp-seed0: .*run.json ") as failed:
        pe.run_grid([broken, other], progress="line")
    assert "delete it" in str(failed.value) or "choose another folder" in str(failed.value)
    assert "bp-seed0 FAILED: " in capsys.readouterr().out
    assert set(failed.value.frame.rule) == {"fa"}
    assert (broken.folder / store.FILE).read_text() == content, "it is the user's to delete"
    assert store.told(broken.folder, broken) == "broken"
    (broken.folder / store.FILE).unlink()
    assert set(pe.run_grid([broken, other], progress="none").rule) == {"bp", "fa"}


def test_results_of_a_sweep_with_a_broken_record(tmp_path):
    pe.sweep("mnist", ["bp", "fa"], out=tmp_path, **QUIET)
    next(tmp_path.rglob("bp-seed0")).joinpath(store.FILE).write_text("{")
    with pytest.warns(UserWarning, match=r"left out: .*bp-seed0/run.json cannot be read .*: delete it"):
        assert set(pe.sweep_results(tmp_path).rule) == {"fa"}
    with pytest.raises(pe.GridError, match="delete it, and the run goes on from its checkpoint"):
        pe.sweep("mnist", ["bp", "fa"], out=tmp_path, **QUIET)
    assert set(pd.read_csv(tmp_path / "results.csv").rule) == {"fa"}


def test_a_disk_that_takes_nothing_is_a_failure_of_its_run(tmp_path):
    (tmp_path / "runs" / "mnist-smoke").mkdir(parents=True)
    (tmp_path / "runs" / "mnist-smoke" / "bp-seed0").write_text("in the way")
    with pytest.raises(pe.GridError, match=r"1 of 2 runs failed.*\n  bp-seed0: .*Not a directory"):
        pe.run_grid(runs(tmp_path, ["bp", "fa"], 1), progress="none")
    assert len(records(tmp_path)) == 1


# Settings


def test_numbers_of_any_kind_are_one_setting(tmp_path):
    plain = plan("mnist", {"name": "pfa", "ratio": [1, 20]}, 2, scale="smoke", lr=[0.5, 1], epochs=2, lr_drops=[1])
    numpy = plan(
        "mnist", {"name": "pfa", "ratio": np.array([1.0, 20.0])}, np.int64(2), scale="smoke",
        lr=np.array([0.5, 1.0]), epochs=np.float64(2), lr_drops=np.array([1]),
    )  # fmt: skip
    assert [e.folder for e in plain] == [e.folder for e in numpy]
    assert [json.dumps(e.identity) for e in plain] == [json.dumps(e.identity) for e in numpy]
    (tmp_path / "f.toml").write_text("experiments='mnist'\nrules={name='pfa', ratio=20.0}\nseeds=[1.0]\nout='x'")
    told = plan(**read_toml(tmp_path / "f.toml"))[0].folder
    assert told == plan("mnist", pe.PFA(ratio=20), [np.uint8(1)], out="x")[0].folder
    assert told.name == "pfa_ratio=20-seed1"


def test_every_field_of_the_recipe_is_an_axis():
    swept = {"strong_on": ["all", "weights"], "strong_decay": [0.1, 0.2], "batch_size": [32, 64], "lr_gamma": 0.1}
    planned = plan("mnist", "pfa", scale="smoke", **swept)
    assert {(e.recipe.strong_on, e.recipe.strong_decay, e.recipe.batch_size) for e in planned} == {
        (on, decay, size) for on in ("all", "weights") for decay in (0.1, 0.2) for size in (32, 64)
    }
    assert {e.recipe.lr_gamma for e in planned} == {0.1}
    assert len({e.folder for e in planned}) == 8


def test_networks_and_optimisers_are_axes():
    planned = plan("mnist", "bp", scale="smoke", network=["mlp-8-8", "mlp-16-16"], optimizer=["SGD", "AdamW"])
    assert [(e.network, e.optimizer.cls.__name__) for e in planned] == [
        ("mlp-8-8", "SGD"), ("mlp-8-8", "AdamW"), ("mlp-16-16", "SGD"), ("mlp-16-16", "AdamW"),
    ]  # fmt: skip
    assert planned[1].folder.as_posix() == "out/sweep/runs/network=mlp-8-8-optimizer=AdamW/mnist-smoke/bp-seed0"


def mine(rule, seed, width=8, scale="smoke"):
    return pe.experiment("mnist", rule, seed, scale, network=f"mlp-{width}-{width}")


def test_an_experiment_of_your_own_takes_settings_of_its_own(tmp_path):
    planned = plan(mine, ["bp", "fa"], width=[8, 16], out="x")
    assert [e.network for e in planned] == ["mlp-8-8", "mlp-8-8", "mlp-16-16", "mlp-16-16"]
    assert planned[2].folder.as_posix() == "x/runs/width=16/mnist-smoke/bp-seed0"
    with pytest.raises(pe.ConfigError, match="unknown setting of a sweep 'widht': did you mean 'width'"):
        plan(mine, "bp", widht=8)
    with pytest.raises(pe.ConfigError, match="unknown setting of a sweep 'width'"):
        plan("mnist", "bp", width=8)
    (tmp_path / "f.toml").write_text("experiments='test_sweep_store:mine'\nrules='bp'\nwidth=[8, 16]\nout='x'")
    assert [e.network for e in plan(**read_toml(tmp_path / "f.toml"))] == ["mlp-8-8", "mlp-16-16"]


def test_a_file_that_begins_with_a_mark(tmp_path):
    (tmp_path / "f.toml").write_bytes("\ufeffexperiments = 'mnist'\nrules = 'bp'".encode())
    assert read_toml(tmp_path / "f.toml")["experiments"] == "mnist"


@pytest.mark.parametrize("name", ["jobs", "threads", "minutes", "seeds"])
def test_the_same_error_from_a_file(name, tmp_path, capsys):
    (tmp_path / "f.toml").write_text(f"experiments='mnist'\nrules='bp'\nout='{tmp_path}/out'\n{name}='5'")
    assert main(["sweep", str(tmp_path / "f.toml")]) == 1
    assert f"{name} '5': it must be a" in capsys.readouterr().err
    assert any(name in settings for settings, _ in WRONG), "and from Python: test_sweep.WRONG"


def test_the_table_of_a_sweep_leaves_no_experiment_out():
    """One experiment has validation images, the other has none; a learning rate is not rounded."""
    rows = [("mnist", "bp", 0, 2, "network", "test_accuracy", 97.5), ("mnist", "bp", 0, 2, "network", "test_loss", 1.0),
            ("cifar10", "bp", 0, 2, "network", "validation_accuracy", 80.5),
            ("cifar10", "bp", 0, 2, "network", "test_accuracy", 79.0)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["experiment", *COLUMNS])
    told = [line.split()[:4] for line in report.of_sweep(frame).splitlines()[1:]]
    assert told == [["mnist", "bp", "test_accuracy", "97.5"], ["cifar10", "bp", "validation_accuracy", "80.5"]]
    rates = pd.concat([frame[:2].assign(lr=lr) for lr in (0.001, 0.002)])[["lr", *COLUMNS]]
    assert [line.split()[0] for line in report.of_sweep(rates).splitlines()[1:]] == ["0.001", "0.002"]
    losses = frame[frame.metric == "test_loss"]
    assert report.of_sweep(losses).splitlines()[0].split() == ["rule", "test_loss,", "mean", "std", "seeds"]

"""Grids: what they consist of, that every engine gives the same bits, and that nothing is lost by whatever dies."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

import pfa_edu as pe
from pfa_edu.cli import main
from pfa_edu.runs import grid, report, store
from pfa_edu.runs.sweeps import plan, read_toml, settings

SMOKE = {"scale": "smoke", "device": "cpu"}
EXAMPLE = Path(__file__).parent.parent / "examples" / "sweep.toml"


def runs(out, rules=("bp", "fa", "pfa", "sf"), seeds=2, cls=pe.Experiment, **settings):
    planned = plan("mnist", list(rules), seeds, out=out, **SMOKE, **settings)
    return [cls(**{f.name: getattr(e, f.name) for f in dataclasses.fields(e)}) for e in planned]


def same(a, b):
    """The two frames' numbers, but for the seconds that runs took, bit for bit."""
    a, b = (f[f.metric != "seconds"].reset_index(drop=True) for f in (a, b))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.fixture(scope="module")
def serial():
    """The eight runs, one after the other in this process, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    frames = [e.run("none").frame for e in unkept()]
    torch.set_num_threads(before)
    return pd.concat(frames, ignore_index=True)


def unkept():
    """The same runs, without folders."""
    return [dataclasses.replace(e, out=None) for e in runs("nowhere")]


def records(out):
    return {path: json.loads(path.read_text()) for path in sorted(Path(out).rglob(store.FILE))}


def alive(pid):
    """Not merely an entry in the table of processes: where process 1 reaps nobody, a dead orphan stays as a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stamps(out):
    return {path: path.stat().st_mtime_ns for path in Path(out).rglob(store.FILE)}


# What a grid consists of

PLANS = [
    ({"rules": "bp"}, ["mnist-smoke/bp-seed0"]),
    ({"rules": ["bp", "fa"], "seeds": [3, 1]}, ["bp-seed3", "fa-seed3", "bp-seed1", "fa-seed1"]),
    ({"rules": {"name": "pfa", "ratio": [1, 10]}}, ["pfa_ratio=1-seed0", "pfa-seed0"]),
    ({"rules": [pe.SF("batch"), {"name": ["fa", "dfa"], "density": 0.5}]},
     ["sf_kind=batch-seed0", "fa_density=0.5-seed0", "dfa_density=0.5-seed0"]),
    ({"rules": "bp", "lr": [0.1, 0.2]}, ["runs/lr=0.1/mnist-smoke/bp-seed0", "runs/lr=0.2/mnist-smoke/bp-seed0"]),
    ({"rules": "bp", "scale": ["smoke", "paper"]}, ["mnist-smoke/bp-seed0", "mnist-paper/bp-seed0"]),
    ({"rules": "bp", "dataset": ["mnist", "mnist-5k"]},
     ["runs/mnist-smoke-mnist/bp-seed0", "runs/mnist-smoke/bp-seed0"]),
    ({"rules": "bp", "lr_drops": [1, 2]}, ["lr_drops=1,2/mnist-smoke/bp-seed0"]),
    ({"rules": "bp", "lr_drops": [[1], [1, 2]]},
     ["lr_drops=1/mnist-smoke/bp-seed0", "lr_drops=1,2/mnist-smoke/bp-seed0"]),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "folders"), PLANS, ids=[f[0] for _, f in PLANS])
def test_plan(settings, folders):
    planned = plan("mnist", **{"scale": "smoke", "out": "x", **settings})
    assert len(planned) == len(folders)
    for run, folder in zip(planned, folders, strict=True):
        assert run.folder.as_posix().endswith(folder)


WRONG = [
    ({"rules": "pfaa"}, "did you mean 'pfa'"),
    ({"rules": {"name": "pfa", "ration": 3}}, "did you mean 'ratio'"),
    ({"rules": {"ratio": 3}}, "a name with its knobs"),
    ({"rules": {"name": "pfa", "ratio": [1, "two"]}}, "ratio 'two'"),
    ({"rules": {"name": "pfa", "ratio": []}}, "rules is empty"),
    ({"rules": []}, "rules is empty"),
    ({"seeds": 0}, "seeds is empty"),
    ({"seeds": "3"}, "seeds '3': it must be a whole number"),
    ({"seeds": [0, True]}, "seed True: it must be a whole number"),
    ({"seeds": 10**9}, "seeds 1000000000: it must be a number from 0 to 100000"),
    ({"seeds": range(10**9)}, r"seeds range\(0, 1000000000\): more than 100,000 values"),
    ({"seeds": 400, "lr": [0.1 * i for i in range(1, 301)]}, "400 seeds × 300 lr: 120,000 runs, more than the 100,000"),
    ({"rules": {"name": "pfa", "ratio": range(1, 400), "density": [i / 300 for i in range(1, 300)]}}, "119,301 runs"),
    ({"lr": []}, "lr is empty"),
    ({"lr": [0.1, "0.2"]}, "learning rate '0.2': it must be a finite number"),
    ({"lr": -1}, "learning rate -1"),
    ({"epochs": 2.5}, "epochs 2.5: it must be a whole number"),
    ({"lr_drops": ["a"]}, "lr_drops"),
    ({"lrr": 1}, "did you mean 'lr'"),
    ({"sclae": "smoke"}, "did you mean 'scale'"),
    ({"strong_on": ["all", "weight"]}, "did you mean 'weights'"),
    ({"scale": [["smoke"]]}, r"scale \['smoke'\]: a name, or a list of names"),
    ({"dataset": 5}, "dataset 5: a name"),
    ({"device": ["cpu"]}, r"device \['cpu'\]: a name, one for the whole sweep"),
    ({"experiments": [["mnist"]]}, r"experiment \['mnist'\]: a name"),
    ({"scale": "smok"}, "did you mean 'smoke'"),
    ({"experiments": ["mnist", "mnits"]}, "did you mean 'mnist'"),
    ({"rules": ["pfa", {"name": "pfa", "ratio": 10}]}, "2 runs of the grid share the folder"),
    ({"jobs": 0}, "jobs 0: it must be a number of at least 1"),
    ({"jobs": 1.5}, "jobs 1.5: it must be a whole number"),
    ({"minutes": "5"}, "minutes '5': it must be a finite number"),
    ({"minutes": -1}, "minutes -1: it must be a number of at least 0"),
    ({"progress": "bars"}, "progress 'bars'"),
    ({"threads": "2"}, "threads '2': it must be a whole number"),
    ({"backend": "daks"}, "did you mean 'dask'"),
    ({"backend": "dask"}, "where its scheduler is"),
    ({"scheduler": "tcp://x:1"}, "'loky' has none"),
    ({"out": 3}, "out 3"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=[m for _, m in WRONG])
def test_wrong_sweeps_end_before_anything_runs(settings, message, tmp_path):
    with pytest.raises(pe.ConfigError, match=message):
        pe.sweep(**{"experiments": "mnist", "rules": "bp", "out": tmp_path / "out", **SMOKE, **settings})
    assert not (tmp_path / "out").exists()


WRONG_FILES = [
    ("rules = 'bp'", "does not say which experiments"),
    ("experiments = 'mnist'", "does not say which rules"),
    ("experiments = 'mnist'\nrules = 'bp'\nseed = 3", "unknown key in f.toml 'seed': did you mean 'seeds'"),
    ("experiments = 'mnist'\nrules = 'bp'\nlr = 3", "unknown key in f.toml 'lr'"),
    ("experiments = 'mnist'\nrules = 'bp'\n[recipe]\nepoch = 3", r"key of \[recipe\] in f.toml 'epoch': did you mean"),
    ("experiments = 'mnist'\nrules = 'bp'\nrecipe = 3", "is not a table"),
    ("experiments = = 3", r"is not valid TOML: .*line 1"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_FILES, ids=[m for _, m in WRONG_FILES])
def test_wrong_files(text, message, tmp_path):
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(pe.ConfigError, match=message):
        read_toml(tmp_path / "f.toml")
    with pytest.raises(pe.ConfigError, match="cannot read"):
        read_toml(tmp_path / "absent.toml")


def test_the_example_file(tmp_path, capsys):
    given = read_toml(EXAMPLE)
    assert len(plan(**given)) == 24
    text = EXAMPLE.read_text()
    for name in settings():
        assert (
            name in ("batch_size", "lr_gamma", "momentum", "weight_decay", "strong_decay", "strong_steps")
            or name in text
        )
    assert main(["sweep", str(EXAMPLE), "--out", str(tmp_path), "--list"]) == 0
    assert capsys.readouterr().out.count("to do") == 24
    assert not list(tmp_path.iterdir())


# Engines


def test_processes_give_the_same_bits_and_keep_them(tmp_path, serial, capsys):
    frame = pe.run_grid(runs(tmp_path), jobs=2, progress="line")
    same(frame, serial)
    said = capsys.readouterr().out
    assert "grid: 8 runs, 0 done already" in said
    assert "grid 8/8: " in said
    before = stamps(tmp_path)
    assert len(before) == 8
    same(pe.run_grid(runs(tmp_path), jobs=2, progress="line"), serial)
    assert "8 runs, 8 done already" in capsys.readouterr().out
    assert stamps(tmp_path) == before
    more = pe.run_grid(runs(tmp_path, seeds=3), jobs=1, progress="none", threads=1)  # in this process, seed 2 only
    assert set(more.seed) == {0, 1, 2}
    assert {p: s for p, s in stamps(tmp_path).items() if p in before} == before


def test_runs_that_keep_nothing(serial, capsys):
    experiments = unkept()[:2]
    frame = pe.run_grid(experiments, jobs=2, progress="line")
    assert ": bp-seed0 done in" in capsys.readouterr().out, "and not the name of a folder that goes"
    same(frame, serial.iloc[: len(frame)])
    same(experiments[1].frame, frame.iloc[len(experiments[0].frame) :])


def test_a_time_limit_cuts_and_the_next_call_goes_on(tmp_path, serial):
    cut = pe.run_grid(runs(tmp_path, ["pfa"], 1), progress="none", minutes=0, threads=1)
    assert cut.epoch.max() == 0
    assert [record["state"] for record in records(tmp_path).values()] == ["cut"]
    whole = pe.run_grid(runs(tmp_path, ["pfa"], 1), progress="none", threads=1)
    same(whole, serial[(serial.seed == 0) & (serial.rule == "pfa")])


def test_many_runs_are_a_line_each(tmp_path, monkeypatch, capsys):
    for shown, epochs in ((2, 6), (1, 0)):
        monkeypatch.setattr(grid, "_SHOWN", shown)
        pe.run_grid(runs(tmp_path / str(shown), ["bp", "fa"], 1), progress="line")
        told = capsys.readouterr().out
        assert told.count("epoch ") == epochs
        assert "grid 2/2: fa-seed0 done" in told
    assert "epoch 3/3" in next((tmp_path / "1").rglob("bp-seed0/log.txt")).read_text(), "it is kept all the same"


def test_a_sweep_has_a_time_limit_too(tmp_path):
    how = {"rules": "bp", "out": tmp_path, "jobs": 1, "progress": "none", **SMOKE}
    assert not len(pe.sweep("mnist", minutes=0, **how)), "nothing is done yet"
    assert set(pe.sweep("mnist", **how).epoch) == {0, 1, 2, 3}


def test_a_sweep_is_told_as_means_over_seeds():
    rows = [(lr, 10, rule, seed, epoch, "network", "test_accuracy", value)
            for lr, rule, values in ((0.1, "bp", (90, 92)), (0.1, "pfa", (80, 80)), (0.2, "bp", (70, 71)))
            for seed, value in enumerate(values) for epoch, value in ((1, 5.0), (2, value))]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["lr", "ratio", "rule", "seed", "epoch", "layer", "metric", "value"])
    lines = [line.split() for line in report.of_sweep(frame).splitlines()[1:]]
    assert [[*map(float, (a, *rest))] for a, _, *rest in lines] == [
        [0.1, 91, 1.41, 2], [0.1, 80, 0, 2], [0.2, 70.5, 0.71, 2]
    ]  # fmt: skip
    assert [line[1] for line in lines] == ["bp", "pfa", "bp"]


def test_where_the_data_is_reaches_every_run():
    planned = plan("mnist", ["bp", "fa"], data_root="there", workers=2, scale="smoke")
    assert {(str(e.data_root), e.workers) for e in planned} == {("there", 2)}


def test_sweep_and_its_store(tmp_path, capsys):
    asked = {"rules": ["bp", {"name": "pfa", "ratio": [1, 10]}], "lr": [0.01, 0.02], "progress": "none", **SMOKE}
    with pytest.raises(pe.OutputError, match="holds no sweep"):
        pe.sweep_results(tmp_path)
    frame = pe.sweep("mnist", out=tmp_path, jobs=1, **asked)
    assert list(frame.columns[:6]) == ["experiment", "scale", "dataset", "lr", "ratio", "density"]
    assert list(frame.columns[6:]) == ["rule", "seed", "epoch", "layer", "metric", "value"]
    last = frame[(frame.metric == "test_accuracy") & (frame.epoch == 3)]
    assert set(zip(last.lr, last.ratio.fillna(0), strict=True)) == {(lr, r) for lr in (0.01, 0.02) for r in (0, 1, 10)}
    pd.testing.assert_frame_equal(frame, pe.sweep_results(tmp_path), check_exact=True)
    kept = pd.read_csv(tmp_path / "results.csv")
    assert list(kept.columns) == list(frame.columns)
    assert len(kept) == len(frame)

    smaller = pe.sweep("mnist", out=tmp_path, **asked | {"lr": 0.02, "rules": "bp"})  # other runs stay, but apart
    assert set(zip(smaller.rule, smaller.lr, strict=True)) == {("bp", 0.02)}
    assert len(records(tmp_path)) == 6


def test_another_configuration_never_takes_an_old_result(tmp_path):
    pe.run_grid(runs(tmp_path, ["fa"], 1), progress="none")
    changed = runs(tmp_path, ["fa"], 1)
    changed[0].recipe = dataclasses.replace(changed[0].recipe, lr=0.5)
    before = stamps(tmp_path)
    with pytest.raises(pe.CheckpointError, match=r"seed0 holds another run.*lr 0.01 there, 0.5 here"):
        pe.run_grid(changed, progress="none")
    assert stamps(tmp_path) == before


def test_a_failed_run_is_told_and_stops_no_other(tmp_path, capsys):
    text = f'experiments = "mnist"\nscale = "smoke"\ndevice = "cpu"\nrules = "fa"\nout = "{tmp_path}/out"\n[recipe]\n'
    (tmp_path / "f.toml").write_text(text + "lr = [1e6, 0.01]\nepochs = 1\nlr_drops = []")
    for attempt in range(2):
        assert main(["sweep", str(tmp_path / "f.toml"), "--jobs", "1"]) == 1
        said = capsys.readouterr()
        assert f"2 runs, {attempt} done already" in said.out  # the second time only the failed one is taken up
        assert "lr=1000000-epochs=1-lr_drops=/mnist-smoke/fa-seed0 FAILED" in said.out
        assert "lr 1000000," in said.out
        assert "Traceback (most recent call last)" in said.out
        assert "1 of 2 runs failed, the other 1 are done and kept" in said.err
        assert "DivergenceError: the loss became" in said.err
    assert set(pd.read_csv(tmp_path / "out" / "results.csv").lr) == {0.01}


class Deadly(pe.Experiment):
    """Kills its process, as a lack of memory would: FA always, PFA the first time only."""

    def run(self, progress="auto", deadline=None):
        flag = Path(self.out) / "died"
        if self.rule.name == "fa" or (self.rule.name == "pfa" and not flag.exists()):
            flag.touch(exist_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(progress, deadline)


@pytest.mark.slow
def test_dead_processes_lose_nothing(tmp_path, serial):
    with pytest.raises(pe.GridError, match=r"1 of 4 runs failed.*\n.*fa-seed0: .*the process died under it") as failed:
        pe.run_grid(runs(tmp_path, seeds=1, cls=Deadly), jobs=2, progress="none")
    same(failed.value.frame, serial[(serial.seed == 0) & (serial.rule != "fa")])


@pytest.mark.slow
def test_a_killed_sweep_goes_on_with_what_is_missing(tmp_path):
    command = [sys.executable, "-m", "pfa_edu", "sweep", str(EXAMPLE), "--jobs", "2", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        states = [r["state"] for r in records(tmp_path).values()]
        if states.count("done") >= 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    give_up = time.monotonic() + 30
    # of finished runs too: a record is written after the last epoch and once more at the end
    while any(alive(r["pid"]) for r in records(tmp_path).values()):
        assert time.monotonic() < give_up, "workers outlived their sweep"
        time.sleep(0.1)
    left = records(tmp_path)
    done = {path: stamp for path, stamp in stamps(tmp_path).items() if left[path]["state"] == "done"}
    assert 3 <= len(done) < 24
    assert len(pe.sweep_results(tmp_path).groupby(["lr", "rule", "seed"])) == len(done)  # readable as it is
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"grid: 24 runs, {len(done)} done already" in again.stdout
    assert {path: stamp for path, stamp in stamps(tmp_path).items() if path in done} == done
    assert len(pe.sweep_results(tmp_path).groupby(["lr", "rule", "seed"])) == 24


# Clusters


def cluster_of_two(**more):
    distributed = pytest.importorskip("distributed", reason="dask's distributed is not installed")
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50, **more
    )


@pytest.mark.slow
def test_dask_loses_nothing_with_a_worker(tmp_path, serial):
    """One of two worker processes is killed while it runs; dask starts another, the run goes on from its checkpoint."""
    killed = []

    def kill_one():
        while not killed:
            busy = {path: r["pid"] for path, r in records(tmp_path).items() if r["state"] == "running"}
            if busy and len(records(tmp_path)) > 2:
                killed.append(next(iter(busy.items())))
                os.kill(killed[0][1], signal.SIGKILL)
            time.sleep(0.05)

    with cluster_of_two() as cluster:
        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        frame = pe.run_grid(runs(tmp_path), progress="none", backend="dask", scheduler=cluster.scheduler_address)
        killer.join()
    same(frame, serial)
    path, pid = killed[0]
    assert {record["pid"] for record in records(tmp_path).values()}.isdisjoint({os.getpid()})
    assert records(tmp_path)[path]["pid"] != pid


@pytest.mark.slow
def test_dask_giving_up_a_run_is_its_failure(tmp_path, serial):
    dask = pytest.importorskip("dask", reason="dask is not installed")
    deadly = runs(tmp_path, ["bp", "fa"], 1, cls=Deadly)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        cluster_of_two() as cluster,
        pytest.raises(pe.GridError, match=r"1 of 2 runs failed.*\n.*fa-seed0: KilledWorker") as failed,
    ):
        pe.run_grid(deadly, progress="none", backend="dask", scheduler=cluster.scheduler_address)
    same(failed.value.frame, serial[(serial.seed == 0) & (serial.rule == "bp")])

"""Several processes at one sweep, each taking the next free run; and rules of your own, wherever a run goes."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest
from test_sweep import SMOKE, cluster_of_two, records, runs, same, serial  # noqa: F401 - serial is a fixture

import pfa_edu as pe
from pfa_edu.cli import main
from pfa_edu.rules import base
from pfa_edu.runs import grid, store
from pfa_edu.runs.plans import plan

LOCKS = ("grid.lock", "run.lock")  # another sweep has the run; or `pfa-edu run` has


class Held:
    """Holds a run's folder until it is let go, as another process would."""

    def __init__(self, folder, lock):
        folder.mkdir(parents=True)
        self.lock, self.ready, self.done = filelock.FileLock(folder / lock), threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._hold, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def _hold(self):
        with self.lock:
            self.ready.set()
            self.done.wait(60)

    def let_go(self):
        self.done.set()
        self.thread.join()


class Freeing(pe.Experiment):
    """Lets go of what another process holds as soon as it has run."""

    held = None

    def run(self, progress="auto", deadline=None):
        super().run(progress, deadline)
        if self.rule.name == "fa":
            Freeing.held.let_go()
        return self


@pytest.mark.parametrize("lock", LOCKS)
def test_a_run_that_another_process_holds_is_looked_at_again(lock, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grid, "POLL_S", 0.01)
    asked = runs(tmp_path, ["bp", "fa"], 1, cls=Freeing)
    Freeing.held = Held(asked[0].folder, lock)
    frame = pe.run_grid(asked, progress="line")
    assert list(frame.rule.unique()) == ["bp", "fa"]
    said = capsys.readouterr().out
    assert said.index("grid 1/2: fa-seed0 done") < said.index("grid 2/2: bp-seed0 done")


@pytest.mark.parametrize("lock", LOCKS)
def test_waiting_ends_with_the_run_or_the_time(lock, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grid, "POLL_S", 0.05)
    held = Held(runs(tmp_path, ["bp"], 1)[0].folder, lock)
    assert set(pe.run_grid(runs(tmp_path, ["bp", "fa"], 1), progress="none", wait=False).rule) == {"fa"}
    assert set(pe.run_grid(runs(tmp_path, ["bp", "fa"], 1), progress="none", minutes=0.002).rule) == {"fa"}
    threading.Timer(0.5, held.let_go).start()
    assert set(pe.run_grid(runs(tmp_path, ["bp", "fa"], 1), progress="line").rule) == {"bp", "fa"}
    assert capsys.readouterr().out.count("waiting for 1 that other processes run") == 1


def test_what_another_process_measured_so_far_is_in_the_frame(tmp_path):
    """It holds the run, is not waited for, and has come to epoch 1."""
    e = runs(tmp_path, ["bp"], 1)[0]
    frame = pe.experiment("mnist", "bp", out=None, epochs=1, lr_drops=(), **SMOKE).run("none").frame
    held = Held(e.folder, "grid.lock")
    e.frame = frame
    assert store.progress(e.folder, e)["state"] == "running"
    same(pe.run_grid([e], progress="none", wait=False), frame)
    held.let_go()


class Telling(pe.Experiment):
    """While BP runs, another process fails with FA, or ends it."""

    state = ""

    def run(self, progress="auto", deadline=None):
        if self.rule.name == "bp":
            other = plan("mnist", "fa", out=self.out.parent, **SMOKE)[0]
            if Telling.state == "failed":
                store.failed(other.folder, other, "ValueError: elsewhere")
            else:
                store.ended(other.folder, other.run("none"), 1)
        else:
            raise AssertionError("FA is not to be run here")
        return super().run(progress, deadline)


@pytest.mark.parametrize("state", ["failed", "done"])
def test_what_another_process_has_ended_is_not_run_again(state, tmp_path):
    Telling.state = state
    asked = runs(tmp_path, ["bp", "fa"], 1, cls=Telling)
    if state == "done":
        assert set(pe.run_grid(asked, progress="none").rule) == {"bp", "fa"}
        return
    with pytest.raises(pe.GridError, match=r"1 of 2 runs failed.*\n  fa-seed0: ValueError: elsewhere"):
        pe.run_grid(asked, progress="none")
    assert set(pe.run_grid(runs(tmp_path, ["bp", "fa"], 1), progress="none").rule) == {"bp", "fa"}  # asked again


@pytest.mark.slow
def test_two_processes_share_a_sweep(tmp_path, serial):  # noqa: F811
    """Each run is made once, by one of them; one of the two is killed on its way, and the other takes over."""
    out, rules = tmp_path / "out", '["bp", "fa", "pfa", "sf"]'
    told = (
        f"experiments = 'mnist'\nrules = {rules}\nseeds = 2\nscale = 'smoke'\ndevice = 'cpu'\nout = '{out}'\njobs = 1"
    )
    (tmp_path / "f.toml").write_text(told)
    command = [sys.executable, "-m", "pfa_edu", "sweep", str(tmp_path / "f.toml")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first = None
    while first is None:  # the first that has done one is killed
        done = [r["pid"] for r in records(out).values() if r["state"] == "done"]
        first = next((p for p in both if p.pid in done), None)
        assert all(p.poll() is None for p in both)
    first.kill()
    first.communicate()
    other = next(p for p in both if p is not first)
    said = other.communicate(timeout=300)[0]
    assert other.returncode == 0
    assert "grid 8/8: " in said
    kept = records(out)
    assert {r["state"] for r in kept.values()} == {"done"}
    assert {r["pid"] for r in kept.values()} == {p.pid for p in both}
    frame = pe.sweep_results(out)
    same(
        frame[serial.columns].sort_values(["seed", "rule"], kind="stable"),
        serial.sort_values(["seed", "rule"], kind="stable"),
    )


class Erased(pe.Experiment):
    """Somebody deletes the record of FA, the first time, and its process dies."""

    def run(self, progress="auto", deadline=None):
        flag = Path(self.out) / "died"
        if self.rule.name == "fa" and not flag.exists():
            flag.touch()
            (self.folder / store.FILE).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(progress, deadline)


@pytest.mark.slow
def test_a_record_that_goes_with_its_process_is_no_loss(tmp_path):
    assert set(pe.run_grid(runs(tmp_path, ["bp", "fa"], 1, cls=Erased), jobs=2, progress="line").rule) == {"bp", "fa"}


class Unsendable(pe.Experiment):
    """Cannot be unpickled elsewhere."""

    def __reduce__(self):
        return (int, ("no number",))


@pytest.mark.slow
def test_what_cannot_be_sent_to_a_process_is_told(tmp_path):
    with pytest.raises(pe.PfaEduError, match=r"backend 'loky' cannot run the grid: .* With jobs=1 it runs in this"):
        pe.run_grid(runs(tmp_path, ["bp", "fa"], 1, cls=Unsendable), jobs=2, progress="none")
    assert set(pe.run_grid(runs(tmp_path, ["bp", "fa"], 1, cls=Unsendable), progress="none").rule) == {"bp", "fa"}


# Rules of your own

RULE = '''
import pfa_edu as pe


class Scaled(pe.Rule):
    """Sends back a multiple of what backprop would."""

    gain: float = 1.0

    def make(self, layer):
        return ScaledFeedback(self.gain)


class ScaledFeedback(pe.Feedback):
    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def path(self, weight):
        return pe.Path(F=GAIN * self.gain * weight.detach())


GAIN = 1.0
'''
SCRIPT = """
if __name__ == "__main__":
    import json, sys
    rules = [Scaled(gain=2), {"name": "scaled", "gain": 3}]
    frame = pe.sweep("mnist", rules, out=sys.argv[1], jobs=2, progress="none", **json.loads(sys.argv[2]))
    print(json.dumps(sorted(frame.rule.unique())))
"""
BRIEF = {**SMOKE, "epochs": 1, "lr_drops": []}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A file of yours, in a folder that Python searches here."""
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(RULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for cls in list(base._classes):
        if cls.__module__ == name:
            base.forget(cls)


def losses(frame):
    last = frame[(frame.metric == "train_loss") & (frame.epoch == 1)]
    return dict(zip(last.rule, last.value, strict=True))


def test_a_rule_of_your_own_in_a_sweep(module, tmp_path, capsys):
    asked = {"name": f"{module}:Scaled", "gain": [1, 2]}
    frame = pe.sweep("mnist", ["bp", asked], out=tmp_path / "a", jobs=1, progress="none", **BRIEF)
    assert set(zip(frame.rule, frame.gain.fillna(0), strict=True)) == {("bp", 0), ("scaled", 1), ("scaled gain=2", 2)}
    assert losses(frame)["scaled"] == losses(frame)["bp"]  # with gain 1 it is backprop
    assert losses(frame)["scaled gain=2"] != losses(frame)["bp"]
    text = f"experiments='mnist'\nscale='smoke'\nout='{tmp_path}/b'\njobs=1\n[[rules]]\nname='{module}:Scaled'\ngain=2"
    (tmp_path / "f.toml").write_text(text + "\n[recipe]\nepochs=1\nlr_drops=[]")
    assert main(["sweep", str(tmp_path / "f.toml")]) == 0
    assert losses(pe.sweep_results(tmp_path / "b")) == {"scaled gain=2": losses(frame)["scaled gain=2"]}


@pytest.mark.slow
def test_processes_see_your_rule_as_it_is_now(module, tmp_path):
    """joblib keeps its processes for the next call; these would know the module as it was, or not at all."""
    where = {"jobs": 2, "progress": "none", **BRIEF}
    pe.sweep("mnist", ["bp", "fa"], out=tmp_path / "0", **where)  # processes that begin before the file is imported
    asked = [{"name": f"{module}:Scaled", "gain": [1, 2]}]
    before = losses(pe.sweep("mnist", asked, out=tmp_path / "1", **where))
    file = Path(sys.modules[module].__file__)
    file.write_text(RULE.replace("GAIN = 1.0", "GAIN = 0.5  # another length, so that no cache is taken for it"))
    after = losses(pe.sweep("mnist", asked, out=tmp_path / "2", **where))
    assert after["scaled gain=2"] == before["scaled"]
    assert after["scaled"] != before["scaled"]


@pytest.mark.slow
def test_a_rule_that_a_script_defines(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(RULE + SCRIPT)
    command = [sys.executable, "-W", "error", str(script), str(tmp_path / "out"), json.dumps(BRIEF)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == ["scaled gain=2", "scaled gain=3"]


@pytest.mark.slow
def test_dask_workers_find_your_rule(module, tmp_path):
    with cluster_of_two() as cluster:  # before the folder of the file is known: workers elsewhere do not know it either
        asked = {"name": f"{module}:Scaled", "gain": [1, 2]}
        how = {"backend": "dask", "scheduler": cluster.scheduler_address, "progress": "none", **BRIEF}
        frame = pe.sweep("mnist", ["bp", asked], out=tmp_path / "out", **how)
    assert losses(frame)["scaled"] == losses(frame)["bp"]
    assert {r["pid"] for r in records(tmp_path).values()}.isdisjoint({os.getpid()})

"""Two processes that train one network compute what one process computes; and what happens when one of them dies."""

import itertools
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import pfa_edu as pe
from pfa_edu.data import Dataset, PictureFolder
from pfa_edu.train import checkpoint as checkpoints
from pfa_edu.train import ranks as parallel

RULES = [
    pe.BP(), pe.FA(), pe.FA(density=0.5), pe.DFA(), pe.SF(), pe.SF("fixed"), pe.SF("batch"), pe.KP(), pe.PFA(2),
    pe.PFA(2, density=0.5), pe.PFA(2, form="closed"), pe.PFAo(), pe.PFAo(form="closed"),
]  # fmt: skip
RECIPE = pe.Recipe(epochs=4, batch_size=16, lr=0.05, lr_drops=(2,), weight_decay=1e-3, strong_decay=0.1,
                   strong_steps=7)  # fmt: skip


def environment(rank, port):
    """What torchrun sets, on the loopback interface."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def trainer(rule, ranks=None, recipe=RECIPE):
    """A convolution and a linear layer, without batch norm, in float64; 80 pictures, so 5 steps an epoch."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(100, 1, 6, 6, generator=g, dtype=torch.float64), torch.randint(0, 3, (100,), generator=g)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    net = pe.convert(net.double(), rule, init="xavier", verbose=False)
    data = Dataset("pictures", x[:80], y[:80], x[80:], y[80:], 3, padding=1, flip=True)
    return pe.Trainer(net, data, recipe, 4, {"rule": rule.label}, ranks=ranks)


def outcome(rule, ranks=None):
    t = trainer(rule, ranks)
    t.train(progress="none")
    return {
        "net": {name: v.numpy() for name, v in t.net.state_dict().items()},
        "momentum": [v["momentum_buffer"].numpy() for v in t.optimizer.state_dict()["state"].values()],
        "rows": [row for row in t.rows if row[2] != "seconds"],
    }


class Widen(nn.Module):
    def forward(self, x):
        return x.double()


def on_pictures(root, ranks=None):
    """The same on a folder of pictures, in float64 after the first layer: the weights after 12 steps."""
    torch.manual_seed(1)
    net = nn.Sequential(Widen(), nn.Conv2d(3, 4, 8, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)).double()
    net = pe.convert(net, pe.PFA(2, form="closed"), init="xavier", verbose=False)
    data, recipe = PictureFolder("pictures", root, torch.device("cpu"), 64, workers=0), pe.Recipe(2, 4, lr=0.01)
    t = pe.Trainer(net, data, recipe, 4, {}, ranks=ranks)
    t.tracker.probe = (t.tracker.probe[0].double(), t.tracker.probe[1])
    t.train(progress="none")
    return {name: v.numpy() for name, v in net.state_dict().items()}


def work(rank, port, path):
    """What each of two ranks does: trains every rule, then is led astray on purpose."""
    torch.set_num_threads(1)
    os.environ |= environment(rank, port)
    found = {}
    with parallel.join("cpu") as ranks:
        for rule in RULES:
            found[str(rule)] = outcome(rule, ranks)
        found["pictures"] = on_pictures(path / "pictures", ranks)
        astray = {}
        for rule, name in ASTRAY:
            t = trainer(rule, ranks)
            t._evaluate()
            if rank == 1:
                t.net.state_dict()[name].view(-1)[-1].nextafter_(torch.tensor(9.0).double())
            try:
                t.train(progress="none")
            except pe.ParallelError as error:
                astray[name] = str(error)
        found["astray"] = astray
        found["first"] = ranks.first(lambda: f"made by rank {rank}")
        try:
            ranks.first(lambda: checkpoints.load_checkpoint(path / "none.pt"))
        except pe.CheckpointError as error:
            found["refused"] = str(error)
        try:
            trainer(pe.FA(), ranks, pe.Recipe(epochs=1, batch_size=15, lr=0.1))
        except pe.ConfigError as error:
            found["uneven"] = str(error)
        net = nn.BatchNorm1d(2)
        net.running_mean.fill_(rank + 1.0)
        ranks.take_statistics(net)
        found["statistics"] = net.running_mean.tolist()
    (path / f"{rank}.pickle").write_bytes(pickle.dumps(found))


ASTRAY = [(pe.PFA(2), "2.feedback.B"), (pe.PFA(2, form="closed"), "0.feedback.a"), (pe.DFA(), "5.feedback.D"),
          (pe.FA(density=0.5), "0.feedback.mask"), (pe.BP(), "5.bias")]  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of the two ranks found."""
    path, port, context = tmp_path_factory.mktemp("ranks"), free_port(), multiprocessing.get_context("spawn")
    for part, name, k in itertools.product(("train", "val"), "abc", range(8)):
        folder = path / "pictures" / part / name
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(k).integers(0, 156, (70, 90, 3), dtype=np.uint8)
        pixels[..., "abc".index(name)] += 99
        Image.fromarray(pixels).save(folder / f"{k}.jpg")
    processes = [context.Process(target=work, args=(rank, port, path), daemon=True) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(500)
    assert [process.exitcode for process in processes] == [0, 0]
    found = [pickle.loads((path / f"{rank}.pickle").read_bytes()) for rank in (0, 1)]
    return [f | {"root": path / "pictures"} for f in found]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_two_ranks_equal_one_process(rule, two):
    one, (first, second) = outcome(rule), (found[str(rule)] for found in two)
    assert first["rows"] == second["rows"]
    for name, value in one["net"].items():
        assert (first["net"][name] == second["net"][name]).all(), name
        assert abs(first["net"][name] - value).max() < 1e-13, name
    for a, b in zip(first["momentum"], one["momentum"], strict=True):
        assert abs(a - b).max() < 1e-13
    for mine, theirs in zip(one["rows"], first["rows"], strict=True):
        assert mine[:3] == theirs[:3]
        assert mine[3] == pytest.approx(theirs[3], rel=1e-6, abs=1e-6, nan_ok=True)  # losses are kept in float32
    start = trainer(rule).net.state_dict()
    assert abs(start["0.weight"].numpy() - first["net"]["0.weight"]).max() > 1e-2  # it did learn


@pytest.mark.slow
def test_two_ranks_equal_one_process_on_pictures(two):
    for name, value in on_pictures(two[0]["root"]).items():
        assert (two[0]["pictures"][name] == two[1]["pictures"][name]).all(), name
        assert abs(two[0]["pictures"][name] - value).max() < 1e-13, name


@pytest.mark.slow
def test_ranks_that_differ_are_an_error(two):
    for found in two:
        assert set(found["astray"]) == {name for _, name in ASTRAY}
        for name, message in found["astray"].items():
            assert message.startswith(f"{name} on rank 1 is no longer what it is on rank 0")


@pytest.mark.slow
def test_what_rank_0_does_for_all(two):
    for found in two:
        assert found["first"] == "made by rank 0"
        assert "none.pt cannot be read" in found["refused"]
        assert "a batch of 15 cannot be shared evenly by 2 processes" in found["uneven"]
        assert found["statistics"] == [1.0, 1.0]


def test_shares_make_up_the_batch():
    plan = torch.arange(2 * 6 * 4).view(2, 6, 4)
    parts = [parallel.Ranks(rank, 3).share(plan) for rank in range(3)]
    assert torch.equal(torch.cat(parts, dim=1), plan)
    with pytest.raises(pe.ConfigError, match=r"batch of 6 cannot be shared evenly by 4 .* start 3"):
        parallel.Ranks(0, 4).share(plan)


def test_only_run_goes_with_torchrun(monkeypatch, capsys):
    from pfa_edu.cli import main

    for name, value in environment(1, 1).items():
        monkeypatch.setenv(name, value)
    assert main(["list"]) == 1
    assert "pfa-edu (rank 1): torchrun is for 'run' alone" in capsys.readouterr().err
    with pytest.raises(pe.ConfigError, match="every process takes a GPU of its own"), parallel.join("cuda:0"):
        pass


RUN = ["run", "mnist", "--rule", "pfa", "--scale", "smoke", "--device", "cpu"]


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_and_leaves_its_checkpoint(tmp_path):
    port, command = free_port(), [sys.executable, "-m", "pfa_edu", *RUN, "--out", str(tmp_path), "--epochs"]
    checkpoint = tmp_path / "mnist-smoke" / "pfa-seed0" / "checkpoint.pt"
    processes = [
        subprocess.Popen([*command, "200"], env=os.environ | environment(rank, port), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        give_up = time.monotonic() + 400
        while not checkpoint.exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGKILL)
        out, err = processes[0].communicate(timeout=120)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert processes[0].returncode == 1
    assert "2 processes, 32 samples each of every batch of 64" in out
    assert "pfa-edu (rank 0): rank 0 of 2 lost the others" in err
    assert "run the same command again" in err
    assert "Traceback" not in err

    state = checkpoints.load_checkpoint(checkpoint)
    assert 1 <= state["epoch"] < 200
    epochs = str(state["epoch"] + 1)
    state["identity"]["epochs"] = state["epoch"] + 1  # to see one more epoch, and not all 200
    checkpoints.save_checkpoint(checkpoint, state)
    done = subprocess.run([*command, epochs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"going on after epoch {state['epoch']}" in done.stdout
    assert checkpoints.load_checkpoint(checkpoint)["epoch"] == state["epoch"] + 1


@pytest.mark.slow
def test_torchrun(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "pfa_edu"]
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run([*command, *RUN, "--out", str(tmp_path)], env=quiet, capture_output=True, text=True,
                          check=False, timeout=500)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 3/3") == done.stdout.count("kept in") == 1  # rank 0 alone prints
    frame = pd.read_csv(tmp_path / "mnist-smoke" / "pfa-seed0" / "metrics.csv")
    alone = pe.experiment("mnist", "pfa", scale="smoke", out=None, device="cpu").run("none").frame
    for metric in ("train_loss", "test_accuracy", "path_alignment"):
        a, b = (f[f.metric == metric].value.to_numpy() for f in (frame, alone))
        assert a == pytest.approx(b, rel=2e-2, abs=0.5), metric  # float32: rounding grows over 186 steps

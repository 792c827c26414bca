"""Seeds as one batch: each run is what it is alone, in its folder as in its numbers; and what cannot share a batch."""

import itertools
import json
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pfa_edu as pe
from pfa_edu.runs import seeds, working
from pfa_edu.train.checkpoint import load_checkpoint

RULES = [
    pe.BP(), pe.FA(), pe.SF("fixed"), pe.KP(), pe.DFA(), pe.PFA(2), pe.PFA(2, form="explicit"),
    pe.PFA(2, form="coupled"), pe.PFA(2, density=0.5), pe.PFAo(),
]  # fmt: skip
RECIPE = pe.Recipe(epochs=3, batch_size=8, lr=0.05, lr_drops=(2,), weight_decay=1e-3, strong_decay=0.1, strong_steps=7,
                   strong_on="weights")  # fmt: skip


def points():
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn(60, 6, generator=g), torch.randint(0, 3, (60,), generator=g)
    return pe.data.from_tensors("points", train=(x[:40], y[:40]), test=(x[40:], y[40:]))


class Widen(nn.Module):
    def forward(self, x):
        return x.double()


def network():
    """In float64, where a batch of networks rounds to the ninth digit as each does alone."""
    parts = dict(pe.mlp((6, 8, 7, 3)).double().named_children())
    return nn.Sequential(OrderedDict(widen=Widen(), **parts))


def mine(rule="fa", out=None, data=None, **settings):
    settings = {"network": network, "recipe": RECIPE} | settings
    return pe.Experiment(data=data or points(), rule=rule, out=out, name="points", device="cpu", **settings)


def alone(seed, rule="fa", out=None, **settings):
    return mine(rule, out, seed=seed, **settings).run("none")


def same(a, b, close=1e-9):
    """Two runs: what was measured, and the weights, feedback included."""
    left, right = (e.frame[e.frame.metric != "seconds"].reset_index(drop=True) for e in (a, b))
    names = ["rule", "seed", "epoch", "layer", "metric"]
    assert left[names].equals(right[names])
    # losses are kept in float32; an angle of rounding size is the root of one
    np.testing.assert_allclose(left.value, right.value, rtol=1e-5, atol=1e-5)
    theirs = b.net.state_dict()
    for name, value in a.net.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=close, atol=close)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_each_seed_is_what_it_is_alone(rule):
    data = points()
    together = pe.run_seeds(mine(rule, data=data), [0, 1, 5], progress="none")
    assert [e.seed for e in together] == [0, 1, 5]
    for e in together:
        same(e, alone(e.seed, rule, data=data))
    first, second = (e.net.fc1.weight for e in together[:2])
    assert (first - second).abs().max() > 0.1


def test_float32():
    data = points()

    def single():
        return pe.mlp((6, 32, 32, 3))

    for e in pe.run_seeds(mine(pe.PFA(2), data=data, network=single), range(3), progress="none"):
        one = alone(e.seed, pe.PFA(2), data=data, network=single)
        for name, value in e.net.state_dict().items():
            torch.testing.assert_close(value, one.net.state_dict()[name], rtol=1e-5, atol=1e-5)


def test_folders_are_as_if_run_alone(tmp_path):
    data = points()
    together = pe.run_seeds(mine(pe.PFA(2), tmp_path / "a", data), [0, 1], progress="none")
    for e in together:
        one = alone(e.seed, pe.PFA(2), tmp_path / "b", data=data)
        assert sorted(p.name for p in e.folder.iterdir()) == sorted(p.name for p in one.folder.iterdir())
        a, b = (load_checkpoint(folder / "checkpoint.pt") for folder in (e.folder, one.folder))
        assert a["identity"] == b["identity"]
        assert a["optimizer"]["param_groups"] == b["optimizer"]["param_groups"]
        assert torch.equal(a["order"], b["order"])
        for i, state in b["optimizer"]["state"].items():
            torch.testing.assert_close(a["optimizer"]["state"][i]["momentum_buffer"], state["momentum_buffer"])


class Cut(Exception):
    pass


def cut(run):
    if run.epoch == 1 and run.seed == 1:
        raise Cut


def test_a_run_that_was_cut_goes_on_either_way(tmp_path):
    data = points()
    with pytest.raises(Cut):
        pe.run_seeds(mine(pe.PFA(2), tmp_path, data, callbacks=(cut,)), [0, 1, 2], progress="none")
    # seed 0 has an epoch, 1 and 2 have none yet
    assert [(tmp_path / "points" / f"pfa_ratio=2-seed{s}" / "checkpoint.pt").exists() for s in range(3)] == [1, 0, 0]
    expected = {s: alone(s, pe.PFA(2), data=data) for s in range(3)}
    same(alone(0, pe.PFA(2), tmp_path, data=data), expected[0])  # from the batch's checkpoint, alone
    with pytest.raises(Cut):
        alone(1, pe.PFA(2), tmp_path, data=data, callbacks=(cut,))
    for e in pe.run_seeds(mine(pe.PFA(2), tmp_path, data), [0, 1, 2], progress="none"):  # one of them is done
        same(e, expected[e.seed])


def wild():
    """Seed 1's first weights are too large for any number."""
    net = network()
    if torch.initial_seed() == 1:
        nn.init.constant_(net.fc1.weight, 1e200)
        nn.init.constant_(net.fc2.weight, 1e200)
    return net


def test_one_that_diverges_leaves_the_others_alone(tmp_path):
    data = points()
    with pytest.raises(pe.DivergenceError, match="seed 1"):
        pe.run_seeds(mine("fa", tmp_path, data, network=wild), [0, 1, 2], progress="none")
    for seed in (0, 2):
        kept = load_checkpoint(tmp_path / "points" / f"fa-seed{seed}" / "checkpoint.pt")
        assert kept["epoch"] == 3
        one = alone(seed, "fa", data=data, network=wild)
        torch.testing.assert_close(kept["net"]["fc1.weight"], one.net.fc1.weight.detach(), rtol=1e-9, atol=1e-9)
    assert not (tmp_path / "points" / "fa-seed1" / "checkpoint.pt").exists()


class EveryStep(pe.Callback):
    def on_step(self, run):
        pass


def with_dropout():
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))


def with_batch_norm():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"network": with_dropout}, "draws random numbers"),
        ({"network": with_batch_norm}, "changes its buffers"),
        ({"rule": pe.SF("batch")}, "draws random numbers"),
        ({"optimizer": "AdamW"}, "the optimiser is AdamW"),
        ({"callbacks": (EveryStep(),)}, "a callback or a rule acts at every step"),
        ({"execution": pe.Execution(precision="bf16")}, "in float32 only"),
    ],
    ids=["dropout", "batch norm", "brSF", "AdamW", "every step", "bf16"],
)
def test_what_cannot_share_a_batch(settings, why):
    with pytest.raises(pe.ConfigError, match=why):
        pe.run_seeds(mine(**settings), [0, 1], progress="none")


def test_seeds_that_are_no_seeds():
    with pytest.raises(pe.ConfigError, match="without a seed"):
        pe.run_seeds(mine(), [])
    with pytest.raises(pe.ConfigError, match="which all differ"):
        pe.run_seeds(mine(), [1, 1], progress="none")


def test_a_grid_of_batches(tmp_path, monkeypatch):
    data = points()

    def runs(out):
        return [mine(rule, out, data, seed=s) for rule, s in itertools.product(("fa", pe.SF("batch")), range(3))]

    sizes = []
    real = working.run_together
    monkeypatch.setattr(working, "run_together", lambda runs, *rest: sizes.append(len(runs)) or real(runs, *rest))
    one = pe.run_grid(runs(tmp_path / "a"), progress="none")
    assert sizes == []
    both = pe.run_grid(runs(tmp_path / "b"), progress="none", together=True)
    assert sizes == [3]  # brSF draws, and runs alone
    timeless = (frame[frame.metric != "seconds"].reset_index(drop=True) for frame in (one, both))
    a, b = timeless
    assert a.drop(columns="value").equals(b.drop(columns="value"))
    np.testing.assert_allclose(a.value, b.value, rtol=1e-5, atol=1e-5)
    pe.run_grid(runs(tmp_path / "b"), progress="none", together=True)
    assert sizes == [3]  # there was nothing left to do


def test_a_failure_in_a_batch_is_that_runs(tmp_path):
    data = points()
    runs = [mine("fa", tmp_path, data, seed=s, network=wild) for s in range(3)]
    with pytest.raises(pe.GridError, match="1 of 3 runs failed, the other 2 are done") as error:
        pe.run_grid(runs, progress="none", together=True)
    assert sorted(set(error.value.frame.seed)) == [0, 2]


def test_batches_leave_work_for_every_job(monkeypatch):
    monkeypatch.setattr(seeds, "_worth_it", lambda e: e.rule.name == "fa")
    data = points()
    runs = dict(enumerate(mine(rule, None, data, seed=s) for rule in ("fa", "bp") for s in range(5)))
    assert seeds.shared(runs, 1) == [[0, 1, 2, 3, 4], [5], [6], [7], [8], [9]]
    assert seeds.shared({i: runs[i] for i in range(5)}, 2) == [[0, 1, 2], [3, 4]]


def test_only_small_networks_are_worth_it(monkeypatch):
    assert seeds._worth_it(mine())
    monkeypatch.setattr(seeds, "MOST_WEIGHTS", 100)
    assert not seeds._worth_it(mine())


BENCH = Path(__file__).parent.parent / "figures" / "bench"


def test_the_committed_bench_is_what_its_readme_says():
    networks = json.loads((BENCH / "seeds.json").read_text())["networks"]
    table = (BENCH / "README.md").read_text().partition("## Seeds as one batch")[2]
    names = {"BP": "BP", "FA": "FA", "PFA, closed": "PFA closed", "PFA, explicit, ratio 10": "PFA explicit"}
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", table, flags=re.MULTILINE)
    assert [row[0] for row in rows] == list(names)
    for name, *values in rows:
        for value, measured in zip(values, networks.values(), strict=True):
            assert float(value) == pytest.approx(measured[names[name]]["faster_cpu"], abs=0.005)
    for row in itertools.chain.from_iterable(n.values() for n in networks.values()):
        assert row["learning"] > seeds.MOST_WEIGHTS or min(row["faster"], row["faster_cpu"]) >= 1.3

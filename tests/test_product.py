"""The closed form's draw, a piece at a time: the same law as the whole draw's, and no more memory than a step needs."""

import subprocess
import sys

import pytest
import torch

import pfa_edu as pe
from pfa_edu.rules import product


def closed(ratio, out=8, fan_in=5, seed=0):
    torch.manual_seed(seed)
    return pe.Linear(fan_in, out, rule=pe.PFA(ratio, form="closed"), dtype=torch.float64)


def explicit(ratio, out=8, fan_in=5, seed=0):
    torch.manual_seed(seed)
    return pe.Linear(fan_in, out, rule=pe.PFA(ratio, form="explicit"), dtype=torch.float64)


def test_one_piece_is_the_whole_draw():
    """What fits into a piece is drawn as before: old runs go on to the last bit."""
    c, e = closed(10), explicit(10)
    torch.testing.assert_close(c.feedback.G, e.feedback.B @ e.feedback.B.t(), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(c.feedback_weight(), e.feedback_weight(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("piece", [1, 64, 1000])
def test_pieces_are_summed_to_G_and_E(monkeypatch, piece):
    drawn = []
    whole = product._pieces

    def spy(*args):
        for B, R in whole(*args):
            drawn.append((B, R))
            yield B, R

    monkeypatch.setattr(product, "_PIECE", piece)
    monkeypatch.setattr(product, "_pieces", spy)
    layer = closed(10)
    B, R = torch.cat([b for b, _ in drawn], 1), torch.cat([r for _, r in drawn])
    assert (B.shape, R.shape) == ((8, 80), (80, 5))
    assert len(drawn) == max(1, -(-80 // max(1, piece // 8)))
    torch.testing.assert_close(layer.feedback.G, B @ B.t())
    torch.testing.assert_close(layer.feedback.E, B @ R - B @ B.t() @ layer.weight.detach())


def test_pieces_have_the_whole_draws_statistics(monkeypatch):
    """Over 400 draws: mean and standard deviation of G's diagonal, of the rest of G, and of B R."""

    def numbers(piece):
        monkeypatch.setattr(product, "_PIECE", piece)
        found = []
        for seed in range(400):
            layer = closed(3, seed=seed)
            G = layer.feedback.G
            BR = layer.feedback.E + G @ layer.weight.detach()
            off = G[~torch.eye(8, dtype=bool)]
            found.append([G.diag().mean(), G.diag().std(), off.mean(), off.std(), BR.mean(), BR.std()])
        found = torch.tensor(found)
        return found.mean(0), found.std(0) / 20  # the mean over draws and its standard error

    (whole, error), (pieces, _) = numbers(2**22), numbers(16)
    assert whole[0] == pytest.approx(1, abs=4 * float(error[0]))  # E[B Bᵀ] = I
    assert ((whole - pieces).abs() < 4 * 2**0.5 * error).all()


_PEAK = """
import resource, torch, pfa_edu as pe
torch.set_num_threads(1)
net = pe.mlp((784, 512, 512, 10))
net = pe.convert(net, pe.PFA({ratio}, form="closed"), inplace=True, verbose=False) if {ratio} else net
sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for _ in range(3):
    pe.train_step(net, sgd, torch.nn.functional.cross_entropy, torch.randn(64, 784), torch.randint(10, (64,)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_peak_memory_at_ratio_1000():
    """At most 1.3 times what plain torch takes for the same network; the whole draw took 2.5 GB."""

    def peak(ratio):
        done = subprocess.run([sys.executable, "-c", _PEAK.format(ratio=ratio)], capture_output=True, check=True)
        return int(done.stdout)

    assert peak(1000) < 1.3 * peak(0)


def test_ratios_that_no_machine_can_hold_are_refused_before(monkeypatch):
    with pytest.raises(pe.ConfigError, match=r"ratio 1000000\.0: it must be a number greater than 0 and at most 10000"):
        pe.PFA(1e6)
    monkeypatch.setattr(product, "_physical_memory", lambda: 2.0**30)
    with pytest.raises(pe.MemoryLimitError, match=r"5000000 mid neurons .* GiB in training, and there are 1: choose"):
        pe.Linear(784, 500, rule=pe.PFA(10_000, form="explicit"))

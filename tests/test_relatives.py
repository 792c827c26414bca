"""Weight mirrors and noise beforehand: what they do, and what they must leave alone."""

import copy

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.lessons import kin

DOUBLE = torch.float64


def net(rule=None, dtype=torch.float32):
    torch.manual_seed(0)
    return pe.convert(pe.mlp((20, 16, 12, 5)).to(dtype), rule or pe.FA(), init="xavier", verbose=False)


def test_the_mirrors_mean_is_the_weight():
    """One step of rate 1 is the correlation itself: unbiased, with the spread that independent samples have."""
    torch.manual_seed(0)
    layer = nn.Sequential(pe.Linear(6, 4, rule=pe.FA(), dtype=DOUBLE))
    batch = 200_000
    kin.mirror_weights(layer, 1, batch=batch, rate=1.0)
    W, F = layer[0].weight.detach(), layer[0].feedback.F
    # Var(a_i h_j) = ‖w_i‖² + w_ij² for standard normal h
    spread = ((W.square().sum(1, keepdim=True) + W.square()) / batch).sqrt()
    score = (F - W) / spread
    assert score.abs().max() < 5
    assert 0.5 < score.square().mean() < 2


def test_the_mirror_forgets_its_start():
    """F after n steps is linear in F₀ with the factor (1 − rate)ⁿ: two starts, the same noise."""
    one, two = net(dtype=DOUBLE), net(dtype=DOUBLE)
    for layer in pe.layers(two).values():
        layer.feedback.F.add_(1.0)
    for n in (one, two):
        kin.mirror_weights(n, 40, rate=0.05)
    for a, b in zip(pe.layers(one).values(), pe.layers(two).values(), strict=True):
        left = (b.feedback.F - a.feedback.F) / 0.95**40
        torch.testing.assert_close(left, torch.ones_like(left), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_the_mirror_turns_F_to_W(rate):
    n = net()
    before = copy.deepcopy(n.state_dict())
    kin.mirror_weights(n, 400, rate=rate)
    for name, layer in pe.layers(n).items():
        noise = (rate / 2 * layer.in_features / 64) ** 0.5  # ‖F − W‖/‖W‖, as the docstring has it
        found = (layer.feedback.F - layer.weight).norm() / layer.weight.norm()
        assert found < 1.5 * noise + 0.01, name
    assert max(pe.path_alignment(n).values()) < 25
    changed = {k for k, v in n.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {f"fc{i}.feedback.F" for i in (1, 2, 3)}


def test_a_masked_mirror_stays_masked():
    n = net(pe.FA(density=0.5))
    kin.mirror_weights(n, 5)
    for layer in pe.layers(n).values():
        assert (layer.feedback.F[layer.feedback.mask == 0] == 0).all()


def test_noise_turns_W_to_F():
    torch.manual_seed(0)
    n = pe.convert(pe.mlp((100, 100, 10)), pe.FA(), init="xavier", verbose=False)
    start = pe.path_alignment(n)
    fixed = [layer.feedback.F.clone() for layer in pe.layers(n).values()]
    kin.pretrain_on_noise(n, 700, (100,), 10)
    assert pe.path_alignment(n)["fc2"] < start["fc2"] - 6
    assert all(torch.equal(layer.feedback.F, F) for layer, F in zip(pe.layers(n).values(), fixed, strict=True))


def test_neither_leaves_a_trace():
    torch.manual_seed(0)
    n = nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 5))
    n = pe.convert(n, pe.FA(), verbose=False)
    nnf.cross_entropy(n(torch.randn(8, 20)), torch.arange(8) % 5).backward()
    n.eval()
    grads = [p.grad.clone() for p in n.parameters()]
    running = n[1].running_mean.clone()
    stream = torch.get_rng_state()
    kin.pretrain_on_noise(n, 3, (20,), 5)
    kin.mirror_weights(n, 3)
    assert torch.equal(torch.get_rng_state(), stream)
    assert torch.equal(n[1].running_mean, running)
    assert all(torch.equal(p.grad, g) for p, g in zip(n.parameters(), grads, strict=True))
    assert not any(m.training for m in n.modules())


@pytest.mark.parametrize("rule", [kin.Noise(), kin.Mirror(), pe.SF("batch")], ids=str)
def test_equal_cost(rule, tmp_path):
    def run(out):
        e = kin.equal_cost(rule, scale="smoke", device="cpu", out=out)
        frame = e.run(progress="none").frame
        return e, frame[frame.metric != "seconds"]

    _, frame = run(None)
    assert frame.equals(run(None)[1])
    whole = 3 * (4000 // 64)  # epochs × steps: what the experiment itself costs
    cost = frame[frame.metric == "cost"].set_index("epoch").value
    assert whole - 2 <= cost.iloc[-1] <= whole
    assert cost.is_monotonic_increasing
    assert (cost[0] > 0) == (rule.name == "noise")
    assert frame[frame.metric == "test_accuracy"].value.iloc[-1] > 50
    # a run that is cut after an epoch goes on with its mirror, and does not train on noise a second time
    cut = kin.equal_cost(rule, scale="smoke", device="cpu", out=tmp_path)
    trainer = cut.trainer(cut.load())
    cut.folder.mkdir(parents=True)
    trainer._in_time = lambda deadline: trainer.epoch == 0
    trainer.train(cut.folder / "checkpoint.pt", progress="none")
    assert trainer.epoch == 1
    again = run(tmp_path)[1]
    assert again.reset_index(drop=True).equals(frame.reset_index(drop=True))


def test_the_rules_take_part_in_a_grid(tmp_path):
    grid = [kin.equal_cost(r, scale="smoke", out=tmp_path) for r in (kin.Mirror(share=0.4), "fa")]
    frame = pe.run_grid(grid, jobs=1, progress="none")
    assert list(frame.rule.unique()) == ["mirror share=0.4", "fa"]


ERRORS = [
    (lambda: kin.mirror_weights(net(pe.KP()), 1), "layer fc1 learns by KP"),
    (lambda: kin.pretrain_on_noise(net(pe.PFA(2)), 1, (20,), 5), "layer fc1 learns by PFA"),
    (lambda: kin.mirror_weights(net(), 1, rate=0), "rate 0: it must be a number greater than 0"),
    (lambda: kin.pretrain_on_noise(net(), -1, (20,), 5), "steps -1: it must be a number of at least 0"),
    (lambda: kin.mirror_weights(nn.Sequential(pe.Conv2d(1, 2, 3, rule=pe.FA())), 1), "a convolution"),
    (lambda: pe.rule("miror"), "did you mean 'mirror'"),
    (lambda: kin.Mirror(share=1), "share 1: it must be a number from 0 to 0.9"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(call, message):
    with pytest.raises(pe.ConfigError, match=message):
        call()

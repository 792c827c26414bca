"""What is measured, against cases whose answer is known beforehand."""

import copy
import math

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe

DOUBLE = torch.float64


@pytest.mark.parametrize("radians", [0.0, 1e-6, 1e-3, math.pi / 4, math.pi / 2, 3.0])
@pytest.mark.parametrize("sizes", [(1, 1), (1e-12, 1e9)])
def test_angle_of_a_turned_vector(radians, sizes):
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(12, 2, dtype=DOUBLE))
    u, v = (basis @ torch.tensor([math.cos(t), math.sin(t)], dtype=DOUBLE) for t in (0.0, radians))
    got = pe.angle(sizes[0] * u.view(3, 4), sizes[1] * v.view(3, 4)).item()
    assert math.radians(got) == pytest.approx(radians, rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("ratio", [1, 10, 100])
def test_limit_is_reached_with_r_as_b_transposed_w(ratio):
    torch.manual_seed(0)
    net = nn.Sequential(pe.Linear(160, 120, rule=pe.PFA(ratio)))
    with torch.no_grad():
        net[0].feedback.R.copy_(net[0].feedback.B.t() @ net[0].weight)
    got = pe.path_alignment(net)["0"]
    assert got == pytest.approx(math.degrees(math.atan(ratio**-0.5)), abs=1)
    assert pe.alignment_limit(ratio) == pytest.approx(math.degrees(math.acos((ratio / (ratio + 1)) ** 0.5)))


# Simulated for W 100 × 256 at ratio 10, one or a few draws each (design, oracles).
@pytest.mark.parametrize(("density", "known"), [(0.5, 24.3), (0.3, 30.6), (0.17, 38.6), (0.1, 47.3), (0.05, 58.9)])
def test_limit_of_sparse_feedback(density, known):
    torch.manual_seed(0)
    layers = [pe.Linear(256, 100, rule=pe.PFA(10, density=density)) for _ in range(3)]
    for layer in layers:
        R = layer.feedback.B.t() @ layer.weight * layer.feedback.R_mask
        layer.feedback.R.data.copy_(R)
    simulated = sum(pe.path_alignment(layer)["linear"] for layer in layers) / len(layers)
    theory = pe.alignment_limit(10, density, out=100)
    assert simulated == pytest.approx(theory, abs=0.6)
    assert theory == pytest.approx(known, abs=0.3)
    assert pe.alignment_limit(10, density, out=10**9) == pytest.approx(pe.alignment_limit(10, density))
    assert pe.alignment_limit(10, density) < theory


@pytest.mark.parametrize("scale", [1.0, 0.5, 3.0])
def test_norm_ratio_and_angle_of_a_scaled_copy(scale):
    net = nn.Sequential(pe.Linear(5, 4, rule=pe.KP()))
    net[0].feedback.F.data.copy_(-scale * net[0].weight)
    assert pe.norm_ratio(net)["0"] == pytest.approx(scale)
    assert pe.path_alignment(net)["0"] == pytest.approx(180)


def noisy(rule):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(64, 8), nn.ReLU(),
        nn.Linear(8, 3),
    )  # fmt: skip
    return pe.convert(net, rule, verbose=False)


@pytest.mark.parametrize("rule", [pe.BP(), pe.SF("batch"), pe.PFA(2), pe.DFA()], ids=str)
def test_gradient_angle_leaves_no_trace(rule):
    net = noisy(rule)
    x, y = torch.randn(9, 1, 6, 6), torch.arange(9) % 3
    nnf.cross_entropy(net(x), y).backward()
    held = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    state, stream = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    angles = pe.gradient_angle(net, nnf.cross_entropy, x, y)
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    now = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(held, now, strict=True))
    assert all(m.training for m in net.modules())
    assert angles["7"] == pytest.approx(0, abs=1e-3)  # nothing comes back through the last layer's own feedback
    hidden = [angles["0"], angles["5"]]
    assert max(hidden) == 0 if rule == pe.BP() else min(hidden) > 5


@pytest.mark.parametrize(
    ("lr", "momentum", "decay"), [(0.01, 0.9, 0.03), (0.1, 0.0, 0.5), (0.01, 0.5, 0.3)], ids=str
)  # fmt: skip
def test_fading_is_what_sgd_does_to_a_scalar(lr, momentum, decay):
    a = nn.Parameter(torch.ones((), dtype=DOUBLE))
    optimizer = torch.optim.SGD([a], lr=lr, momentum=momentum, weight_decay=decay)
    values = [1.0]
    while values[-1] > 0.06:
        a.grad = torch.zeros_like(a)
        optimizer.step()
        values.append(a.item())
    steps = len(values) - 1
    assert pe.steps_to_fade(0.06, lr, momentum, decay) == steps
    for t in (0, 1, 2, steps // 2, steps):
        assert pe.mismatch(t, lr, momentum, decay) == pytest.approx(values[t], rel=1e-12)


@pytest.mark.parametrize("rule", [pe.PFA(2), pe.SF("batch")], ids=str)
def test_tracker_does_not_change_a_run(rule):
    def run(tracked):
        net = noisy(rule)
        x, y = torch.randn(9, 1, 6, 6, generator=torch.Generator().manual_seed(2)), torch.arange(9) % 3
        tracker = pe.Tracker(net, nnf.cross_entropy, (x, y))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for epoch in range(4):
            if tracked:
                tracker.record(epoch)
            optimizer.zero_grad()
            nnf.cross_entropy(net(x), y).backward()
            optimizer.step()
        return net.state_dict(), tracker.rows

    (plain, none), (tracked, rows) = run(False), run(True)
    assert all(torch.equal(plain[k], tracked[k]) for k in plain)
    assert not none
    assert len(rows) == 4 * (3 * 6 + 2)  # epochs, layers, metrics; two of the network


@pytest.mark.parametrize(
    "call",
    [
        lambda: pe.alignment_limit(0), lambda: pe.alignment_limit(10, 1.5), lambda: pe.alignment_limit(10, out=0),
        lambda: pe.steps_to_fade(1.0, 0.1, 0, 0.1),
        lambda: pe.steps_to_fade(0.5, 0.1, 1.0, 0.1), lambda: pe.steps_to_fade(0.5, 0.1, 0.9, 0.0),
    ],
)  # fmt: skip
def test_errors(call):
    with pytest.raises(pe.ConfigError):
        call()


def test_angle_of_nothing_is_not_a_number():
    assert math.isnan(pe.angle(torch.zeros(3), torch.ones(3)).item())

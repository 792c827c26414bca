"""Weight and node perturbation: unbiased, as noisy as the formula says, and as dear."""

import itertools
import math

import pytest
import torch

import pfa_edu as pe
from pfa_edu.lessons import perturbation as pert

DOUBLE = torch.float64
BOTH = [pert.weight_perturbation, pert.node_perturbation]


def problem(sizes=(6, 5, 3), batch=4, seed=0):
    stream = torch.Generator().manual_seed(seed)
    pairs = itertools.pairwise(sizes)
    weights = [torch.randn(out, n, generator=stream, dtype=DOUBLE) / n**0.5 for n, out in pairs]
    x = torch.randn(batch, sizes[0], generator=stream, dtype=DOUBLE)
    return weights, x, torch.arange(batch) % sizes[-1]


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors])


def estimates(method, weights, x, y, n, **settings):
    stream = torch.Generator().manual_seed(1)
    return torch.stack([flat(method(weights, x, y, generator=stream, **settings)) for _ in range(n)])


def test_the_gradient_is_autograds_mean():
    weights, x, y = problem()
    linear = [torch.nn.Linear(n, out, bias=False, dtype=DOUBLE) for n, out in ((6, 5), (5, 3))]
    net = torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1])
    with torch.no_grad():
        net[0].weight.copy_(weights[0])
        net[2].weight.copy_(weights[1])
    torch.nn.functional.cross_entropy(net(x), y).backward()
    for found, layer in zip(pert.gradient(weights, x, y), (net[0], net[2]), strict=True):
        torch.testing.assert_close(found, layer.weight.grad)


@pytest.mark.parametrize("method", BOTH)
def test_unbiased(method):
    """The mean of 2,000 estimates lies about the gradient as its standard error says: no bias, no wrong factor."""
    weights, x, y = problem()
    g = flat(pert.gradient(weights, x, y))
    found = estimates(method, weights, x, y, 2000, sigma=1e-4)
    score = (found.mean(0) - g) / (found.std(0) / len(found) ** 0.5)
    assert score.abs().max() < 4.5
    assert 0.5 < score.square().mean() < 1.7
    assert g.abs().max() > 10 * (found.std(0) / len(found) ** 0.5).median()  # the test can tell g from 0


@pytest.mark.parametrize("method", BOTH)
def test_a_large_change_is_biased(method):
    """One way, the estimate's error grows as σ; both ways, as σ²: with the same noise, so that only σ differs."""
    weights, x, y = problem()

    def off(sigma, both_ways):
        small = estimates(method, weights, x, y, 20, sigma=1e-5, both_ways=True)
        return (estimates(method, weights, x, y, 20, sigma=sigma, both_ways=both_ways) - small).norm().item()

    assert math.log2(off(2e-3, False) / off(1e-3, False)) == pytest.approx(1, abs=0.1)
    # ReLUs that tip over in between add a little of their own
    assert math.log2(off(4e-3, True) / off(2e-3, True)) == pytest.approx(2, abs=0.6)
    assert off(2e-3, True) < off(2e-3, False) / 10


def test_weight_variance_grows_with_the_network():
    """E‖ĝ − g‖² = (n + 1)‖g‖²: measured in three networks, and its slope against n on logarithmic axes is 1."""
    sizes, variance = [], []
    for hidden in (3, 12, 48):
        weights, x, y = problem((6, hidden, 3))
        g = flat(pert.gradient(weights, x, y))
        found = estimates(pert.weight_perturbation, weights, x, y, 400)
        sizes.append(len(g))
        variance.append(((found - g).square().sum(1).mean() / g.square().sum()).item())
        assert variance[-1] == pytest.approx(len(g) + 1, rel=0.3)
    slope = (math.log(variance[-1]) - math.log(variance[0])) / (math.log(sizes[-1]) - math.log(sizes[0]))
    assert slope == pytest.approx(1, abs=0.1)


def test_node_variance_follows_the_neurons():
    """For one sample E‖ĝ − g‖² = Σ_l (‖δ‖² n_l + ‖δ_l‖²) ‖h_l‖²: neurons count, and not the weights."""
    for inputs in (4, 64):
        weights, x, y = problem((inputs, 8, 3), batch=1)
        g = pert.gradient(weights, x, y)
        _, h = pert.forward(weights, x)
        length = [p.norm() for p in h]
        delta = [G.norm() / n for G, n in zip(g, length, strict=True)]  # ∇W = δ hᵀ for one sample
        whole = sum(d**2 for d in delta)
        expected = sum((whole * len(W) + d**2) * n**2 for W, d, n in zip(weights, delta, length, strict=True))
        found = estimates(pert.node_perturbation, weights, x, y, 800)
        assert (found - flat(g)).square().sum(1).mean().item() == pytest.approx(expected.item(), rel=0.2)


def test_nodes_need_fewer_tries_than_weights():
    found = pert.angles(*problem((50, 20, 5), batch=16), tries=[50])
    assert found.loc[50, "weights, formula"] == pytest.approx(pert.expected_angle(50, 1100))
    assert found.loc[50, "weights"] == pytest.approx(found.loc[50, "weights, formula"], abs=4)
    assert found.loc[50, "nodes"] < found.loc[50, "weights"] - 20


def test_the_angle_after_many_tries():
    weights, x, y = problem((6, 5, 3))
    g = flat(pert.gradient(weights, x, y))
    stream = torch.Generator().manual_seed(0)
    for angle in (40, 20):
        tries = round(pert.tries_for(angle, len(g)))
        found = [
            pe.angle(flat(pert.weight_perturbation(weights, x, y, tries, generator=stream)), g).item()
            for _ in range(8)
        ]  # fmt: skip
        assert sum(found) / 8 == pytest.approx(angle, rel=0.12)
        assert pert.expected_angle(tries, len(g)) == pytest.approx(angle, rel=0.01)


def test_the_price_of_pfas_angle_is_the_ratio_times_the_network():
    for ratio in (1, 10, 100):
        assert pert.tries_for(pe.alignment_limit(ratio), 1001) == pytest.approx(ratio * 1000)


ERRORS = [
    (lambda: pert.weight_perturbation(*problem(), tries=0), "tries 0: it must be a number of at least 1"),
    (lambda: pert.node_perturbation(*problem(), sigma=0), "sigma 0: it must be a number greater than 0"),
    (lambda: pert.tries_for(0, 10), "degrees 0: it must be a number greater than 0"),
    (lambda: pert.tries_for(90, 10), "degrees 90: it must be below 90"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(call, message):
    with pytest.raises(pe.ConfigError, match=message):
        call()

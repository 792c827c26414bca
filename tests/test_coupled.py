"""The coupled form against R moved by hand: by Bᵀ times the update of W, decayed as W is, under every optimiser."""

import copy

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe

DOUBLE = torch.float64


def network(form, rule=pe.PFA):
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, 2)
    ).double()
    torch.manual_seed(1)
    return pe.convert(plain, rule(form=form) if rule is pe.PFAo else rule(2, form=form), verbose=False)


def batches(n):
    g = torch.Generator().manual_seed(5)
    return [(torch.randn(8, 1, 5, 5, generator=g, dtype=DOUBLE), torch.randint(2, (8,), generator=g)) for _ in range(n)]


class ByHand:
    """B and R of the explicit draw, and R moved after every step, in plain arithmetic."""

    def __init__(self, explicit):
        self.parts = {
            n: (layer.feedback.B, layer.feedback.R.detach().clone()) for n, layer in pe.layers(explicit).items()
        }

    def F(self, name):
        B, R = self.parts[name]
        return torch.einsum("om,m...->o...", B, R)

    def step(self, before, after, shrink):
        """W went from ``before`` to ``after``; the decay alone would have made it shrink · before."""
        for name, (B, R) in self.parts.items():
            update = after[name] - shrink * before[name]
            self.parts[name] = (B, shrink * R + torch.einsum("om,o...->m...", B, update))


def weights(net):
    return {n: layer.weight.detach().clone() for n, layer in pe.layers(net).items()}


def clip(net):
    nn.utils.clip_grad_norm_(net.parameters(), 0.1)


def clip_values(net):
    nn.utils.clip_grad_value_(net.parameters(), 0.01)


OPTIMIZERS = {
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=2.0),
    "AdamW amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=2.0, amsgrad=True),
    "Adam decoupled": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=2.0, decoupled_weight_decay=True),
    "NAdam decoupled": lambda p: torch.optim.NAdam(p, lr=0.01, weight_decay=2.0, decoupled_weight_decay=True),
    "Adam without decay": lambda p: torch.optim.Adam(p, lr=0.01),
    "RMSprop without decay": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "SGD without momentum": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.5),
}


@pytest.mark.parametrize("change", [None, clip, clip_values], ids=["plain", "norm", "value"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_R_moved_by_the_update_of_W(name, change):
    net, hand = network("coupled"), ByHand(network("explicit"))
    optimizer = OPTIMIZERS[name](net.parameters())
    for i, (x, y) in enumerate(batches(25)):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 if i < 10 else 0.005  # a schedule of the learning rate, and one of the decay
            if group.get("weight_decay"):
                group["weight_decay"] = 2.0 if i < 15 else 0.1
        before = weights(net)
        optimizer.zero_grad()
        nnf.cross_entropy(net(x), y).backward()
        if change is not None:
            change(net)
        optimizer.step()
        group = optimizer.param_groups[0]
        hand.step(before, weights(net), 1 - group["lr"] * group.get("weight_decay", 0.0))
    for layer_name, layer in pe.layers(net).items():
        torch.testing.assert_close(layer.feedback_weight(), hand.F(layer_name), rtol=0, atol=1e-12)
        # and the start has faded, as far as there is a decay
        assert (layer.feedback.a < 1) == bool(optimizer.param_groups[0].get("weight_decay"))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_under_muon():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 2, bias=False)).double()
    nets = []
    for form in ("coupled", "explicit"):
        torch.manual_seed(1)
        nets.append(pe.convert(plain, pe.PFA(2, form=form), verbose=False))
    net, hand = nets[0], ByHand(nets[1])
    optimizer = torch.optim.Muon(net.parameters(), lr=0.02, weight_decay=0.5)
    for x, y in [(torch.randn(8, 6, dtype=DOUBLE), torch.randint(2, (8,))) for _ in range(10)]:
        before = weights(net)
        pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
        hand.step(before, weights(net), 1 - 0.02 * 0.5)
    for name, layer in pe.layers(net).items():
        torch.testing.assert_close(layer.feedback_weight(), hand.F(name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", [pe.PFA, pe.PFAo])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("dampening", [0.0, 0.3])
def test_under_sgd_it_is_the_closed_form_to_the_bit_and_the_explicit_one(rule, nesterov, dampening):
    if nesterov and dampening:
        pytest.skip("torch has no such SGD")
    end = {}
    for form in ("coupled", "closed", "explicit"):
        net = network(form, rule)
        optimizer = torch.optim.SGD(
            net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1, nesterov=nesterov, dampening=dampening
        )
        for i, (x, y) in enumerate(batches(30)):
            optimizer.param_groups[0]["weight_decay"] = 0.1 if i < 20 else 0.001
            pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
        end[form] = {n: layer.feedback_weight() for n, layer in pe.layers(net).items()}
    for name, F in end["coupled"].items():
        assert torch.equal(F, end["closed"][name])
        torch.testing.assert_close(F, end["explicit"][name], rtol=0, atol=1e-12)


def test_groups_that_spare_biases_from_decay():
    """The usual two groups: ``a`` fades with the weight, wherever one-dimensional parameters are."""
    net = network("coupled")
    decay = [p for p in net.parameters() if p.dim() > 1]
    spared = [p for p in net.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 1.0}, {"params": spared, "weight_decay": 0.0}], lr=0.1
    )
    for x, y in batches(3):
        pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
    for layer in pe.layers(net).values():
        assert layer.feedback.a.item() == pytest.approx(0.9**3, rel=1e-6)


def test_a_masked_path():
    torch.manual_seed(1)
    net = pe.convert(pe.mlp((6, 5, 2)).double(), pe.PFA(2, density=0.5, form="coupled"), verbose=False)
    torch.manual_seed(1)
    twin = pe.convert(pe.mlp((6, 5, 2)).double(), pe.PFA(2, density=0.5, form="explicit"), verbose=False)
    twin.load_state_dict(pe.strip(net).state_dict(), strict=False)
    R = {n: layer.feedback.current(layer.weight).clone() for n, layer in pe.layers(net).items()}
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=1.0)
    for _ in range(5):
        before = weights(net)
        x = torch.randn(4, 6, dtype=DOUBLE)
        pe.train_step(net, optimizer, nnf.mse_loss, x, torch.ones(4, 2, dtype=DOUBLE))
        for n, layer in pe.layers(net).items():
            f = layer.feedback
            R[n] = 0.99 * R[n] + f.R_mask * (f.B.t() @ (layer.weight.detach() - 0.99 * before[n]))
    for n, layer in pe.layers(net).items():
        torch.testing.assert_close(layer.feedback_weight(), layer.feedback.B @ R[n], rtol=0, atol=1e-12)


class Lion(torch.optim.Optimizer):
    """Some optimiser of somebody's own, with decoupled decay."""

    def __init__(self, params):
        super().__init__(params, {"lr": 0.01, "weight_decay": 1.0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * p.grad.sign())


def test_an_unknown_optimiser_is_asked_for_its_law():
    net = network("coupled")
    (x, y), optimizer = batches(1)[0], Lion(net.parameters())
    with pytest.raises(pe.ConfigError, match=r"how Lion decays a weight is not known.*pe.decay_law\(Lion"):
        pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
    pe.decay_law(Lion, "decoupled")
    pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
    assert next(iter(pe.layers(net).values())).feedback.a.item() == pytest.approx(0.99)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad])
def test_decay_that_is_scaled_entry_by_entry_is_refused(optimizer):
    net = network("coupled")
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(pe.ConfigError, match=r"scales entry by entry.*Use AdamW, or form='explicit'"):
        pe.train_step(net, optimizer(net.parameters(), weight_decay=0.1), nnf.cross_entropy, *batches(1)[0])
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_start_fades_in_half_precision(dtype):
    """lr · decay = 1e-4 is lost in bfloat16's three digits: ``a`` is kept in float32."""
    net = pe.convert(pe.mlp((6, 5, 2)), pe.PFA(2, form="coupled"), verbose=False).to(dtype)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.01)
    x = torch.randn(4, 6).to(dtype)
    for _ in range(10):
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()
    for layer in pe.layers(net).values():
        assert layer.feedback.a.dtype == torch.float32
        assert layer.feedback.G.dtype == dtype
        assert layer.feedback.a.item() == pytest.approx((1 - 1e-4) ** 10, rel=1e-6)

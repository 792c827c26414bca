"""What a researcher met in the first hour: each once gave a wrong number, or broke something, without a word."""

import collections

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def converted(rule):
    return pe.convert(network(), rule, verbose=False)


def step(net, optimizer):
    optimizer.zero_grad()
    net(X).square().sum().backward()
    optimizer.step()


def left(net):
    """What is left of each layer's start."""
    return [layer.feedback.a.item() for layer in pe.layers(net).values()]


@pytest.mark.parametrize("rule", [pe.FA(), pe.PFA(2), pe.PFA(2, form="closed")], ids=str)
def test_optimisers_go_on_after_strip(rule):
    net = converted(rule)
    stripped = pe.strip(net)
    for other in (network(), stripped, net):
        step(other, torch.optim.SGD(other.parameters(), 0.01))


class OwnLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x, y=None):
        logits = self.head(torch.tanh(self.body(x)))
        return {"logits": logits} if y is None else {"logits": logits, "loss": nnf.cross_entropy(logits, y)}


def test_dfa_in_a_network_that_computes_its_own_loss():
    net, y = pe.convert(OwnLoss(), pe.DFA(output="logits"), verbose=False), torch.tensor([0, 1, 2, 0, 1])
    with pytest.raises(pe.ConfigError, match=r"computes its loss itself.*call it without targets"):
        net(X, y)
    nnf.cross_entropy(net(X)["logits"], y).backward()
    assert net.body.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("form", ["closed", "coupled"])
def test_a_layer_that_is_unfrozen_later(form):
    net = converted(pe.PFA(4, form=form))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=1.0)
    net[2].weight.requires_grad_(False)
    step(net, optimizer)
    net[2].weight.requires_grad_(True)
    for _ in range(3):
        step(net, optimizer)
    assert left(net) == pytest.approx([0.9**4, 0.9**3, 0.9**4])


def test_an_optimisers_state_that_is_loaded_and_groups_that_are_replaced():
    net = converted(pe.PFA(4, form="coupled"))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=1.0)
    step(net, optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.param_groups[0]["weight_decay"] = 0.5
    step(net, optimizer)
    assert left(net) == pytest.approx([0.9 * 0.95] * 3)
    optimizer.param_groups.clear()
    optimizer.add_param_group({"params": list(net.parameters()), "lr": 0.1, "weight_decay": 0.0})
    step(net, optimizer)
    assert left(net) == pytest.approx([0.9 * 0.95] * 3)


class Lora(nn.Linear):
    def __init__(self):
        super().__init__(8, 3)
        self.down, self.up = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.randn(3, 2))

    def forward(self, x):
        return nnf.linear(x, self.weight, self.bias) + x @ self.down.T @ self.up.T


class Dropped(nn.Linear):
    def forward(self, x):
        return nnf.dropout(super().forward(x), 0.5, self.training)


@pytest.mark.parametrize(
    ("make", "why"),
    [(Lora, "more in it than a weight and a bias"), (lambda: Dropped(8, 3), "not linear in its weight")],
)
def test_subclasses_that_would_be_counted_twice(make, why):
    model = nn.Sequential(nn.Linear(6, 8), make()).eval()
    with pytest.warns(pe.ConversionWarning, match=f"1 .*{why}"):
        net = pe.convert(model, pe.FA(), verbose=False)
    assert list(pe.layers(net)) == ["0"]


@pytest.mark.parametrize("form", ["closed", "coupled"])
def test_weights_initialised_again_after_convert(form):
    net = converted(pe.PFA(4, form=form))
    for layer in pe.layers(net).values():
        nn.init.kaiming_normal_(layer.weight)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with pytest.raises(pe.ConfigError, match=r"changed after its feedback was drawn.*reset_feedback"):
        step(net, optimizer)
    for layer in pe.layers(net).values():
        layer.reset_feedback()
    assert all(angle > 60 for angle in pe.path_alignment(net).values())
    step(net, optimizer)


@pytest.mark.parametrize("change", [lambda n: n.double(), lambda n: n.bfloat16(), lambda n: n.requires_grad_(True)])
def test_a_cast_is_no_new_weight(change):
    net = change(converted(pe.PFA(4, form="coupled")))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    net(X.to(net[0].weight.dtype)).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("form", ["closed", "coupled"])
def test_weight_norm_put_on_after_convert(form):
    net = converted(pe.PFA(4, form=form))
    nn.utils.parametrizations.weight_norm(net[2])
    with pytest.raises(pe.ConfigError, match="computed from others"):
        net(X)


def test_gradients_changed_through_data_and_a_late_hook():
    net = converted(pe.PFA(4, form="closed"))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    net(X).square().sum().backward()
    for p in net.parameters():
        p.grad.data.clamp_(-0.01, 0.01)
    with pytest.raises(pe.ConfigError, match="changed between backward and step"):
        optimizer.step()
    step(net, optimizer)
    net[2].weight.register_hook(lambda g: 2 * g)
    with pytest.raises(pe.ConfigError, match="gradient hook"):
        step(net, optimizer)


def test_a_gradient_that_is_set_to_zero_and_not_used_is_no_fault():
    net = converted(pe.PFA(4, form="closed"))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=1.0)
    step(net, optimizer)
    optimizer.zero_grad(set_to_none=False)
    net[0](X).sum().backward()  # the upper layers are skipped, as stochastic depth does
    optimizer.step()
    assert left(net) == pytest.approx([0.81] * 3)


def test_a_step_that_a_gradient_scaler_skips():
    net = converted(pe.PFA(4, form="coupled"))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=1.0, fused=True)
    scaler = torch.amp.GradScaler("cpu")
    before = net[0].weight.detach().clone()
    scaler.scale(net(X).sum() * torch.inf).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(net[0].weight, before)
    assert left(net) == [1, 1, 1]


def test_an_optimiser_whose_decay_is_its_own():
    net = converted(pe.PFA(4, form="coupled"))
    with pytest.raises(pe.ConfigError, match="how ASGD decays a weight is not known"):
        step(net, torch.optim.ASGD(net.parameters()))


class Adapted(nn.Module):
    def __init__(self):
        super().__init__()
        self.main, self.extra = nn.Linear(6, 6), nn.Linear(6, 6)
        self.main.register_forward_hook(lambda module, args, out: out + self.extra(out))

    def forward(self, x):
        return self.main(x)


def test_hooks_that_hold_modules_hold_the_copys():
    model = Adapted()
    net = pe.convert(model, pe.FA(), verbose=False)
    net(X).sum().backward()
    assert model.extra.weight.grad is None
    assert net.extra.weight.grad is not None
    assert isinstance(net.main._forward_hooks, collections.OrderedDict)


@pytest.mark.parametrize("rule", [pe.KP(), pe.PFA(2)], ids=str)
def test_the_audit_compares_the_groups_of_a_weight_and_its_feedback(rule):
    net = converted(rule)
    weights = [layer.weight for layer in pe.layers(net).values()]
    others = [p for p in net.parameters() if all(p is not w for w in weights)]
    groups = [{"params": weights, "weight_decay": 1.0}, {"params": others, "weight_decay": 0.0}]
    found = pe.audit(net, X, optimizer=torch.optim.SGD(groups, lr=0.1))
    assert any("another weight_decay" in problem for problem in found.problems)
    assert pe.audit(net, X, optimizer=torch.optim.SGD(net.parameters(), lr=0.1)).ok


class Following(pe.rules.feedback.Fading):
    """Somebody's own feedback that follows W, and is not complete."""

    def path(self, weight):
        return pe.Path(F=weight.detach())


def test_a_following_feedback_of_ones_own_says_what_it_lacks():
    class Followed(pe.Rule, abstract=True):
        def make(self, layer):
            return Following(layer.weight, strict=False)

    net = converted(Followed())
    with pytest.raises(pe.ConfigError, match=r"Following follows W: define current\(self, weight\)"), pe.anchored(net):
        pass

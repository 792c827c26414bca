"""What would silently part the feedback from what is said of it, and is an error instead."""

import contextlib

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe

STRICT = [
    pe.PFA(2, form="closed"),
    pe.PFA(2, form="deferred"),
    pe.PFA(2, density=0.5, form="deferred"),
    pe.PFAo("closed"),
]
LEARNING = [pe.KP(), pe.PFA(2), pe.PFAo()]


def network(rule):
    torch.manual_seed(0)
    return pe.convert(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)), rule, verbose=False)


def sgd(net, **kwargs):
    return torch.optim.SGD(net.parameters(), lr=0.1, **kwargs)


def backward(net, optimizer=None):
    if optimizer is not None:
        optimizer.zero_grad()
    torch.manual_seed(1)
    nnf.cross_entropy(net(torch.randn(5, 4)), torch.tensor([0, 1, 0, 1, 1])).backward()


def clip_norm(net):
    nn.utils.clip_grad_norm_(net.parameters(), 1e-3)


def clip_value(net):
    nn.utils.clip_grad_value_(net.parameters(), 1e-3)


@pytest.mark.parametrize("clip", [clip_norm, clip_value])
@pytest.mark.parametrize("rule", STRICT, ids=str)
def test_clipping(rule, clip):
    net = network(rule)
    optimizer = sgd(net)
    backward(net, optimizer)
    clip(net)
    with pytest.raises(pe.ConfigError, match=r"was changed between backward and step .clipping.*coupled"):
        optimizer.step()


@pytest.mark.parametrize("rule", STRICT, ids=str)
def test_a_gradient_hook(rule):
    net = network(rule)
    net[2].weight.register_hook(lambda g: 2 * g)
    optimizer = sgd(net)
    backward(net, optimizer)
    with pytest.raises(pe.ConfigError, match="has a gradient hook"):
        optimizer.step()


class Subclass(torch.optim.SGD):
    pass


@pytest.mark.parametrize("make", [Subclass, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
@pytest.mark.parametrize("rule", STRICT, ids=str)
def test_another_optimiser_and_a_subclass_of_sgd(rule, make):
    net = network(rule)
    before = net[0].weight.clone()
    backward(net)
    with pytest.raises(pe.ConfigError, match=f"holds under torch's own SGD only.*{make.__name__}: use form='coupled'"):
        make(net.parameters(), lr=0.1).step()
    assert torch.equal(net[0].weight, before)


def clamped(net):
    with torch.no_grad():
        net[2].weight.clamp_(-0.1, 0.1)


def clamped_data(net):
    net[2].weight.data.clamp_(-0.1, 0.1)


@pytest.mark.parametrize("move", [clamped, clamped_data])
@pytest.mark.parametrize("rule", STRICT, ids=str)
def test_a_weight_that_is_moved_between_two_steps(rule, move):
    net = network(rule)
    optimizer = sgd(net)
    backward(net, optimizer)
    optimizer.step()
    move(net)
    backward(net, optimizer)
    with pytest.raises(pe.ConfigError, match=r"was changed between two steps.*pe.anchored"):
        optimizer.step()


@pytest.mark.parametrize("move", [clamped, clamped_data])
@pytest.mark.parametrize("rule", STRICT, ids=str)
def test_anchored_keeps_the_feedback_and_goes_on(rule, move):
    """F stays while W is moved by hand, and then learns on as the explicit form's would."""
    ends = []
    explicit = {"PFA": pe.PFA(2, density=getattr(rule, "density", 1)), "PFAo": pe.PFAo()}[type(rule).__name__]
    for which in (rule, explicit):
        net = network(which).double()
        net[0].feedback, net[2].feedback = (network(which).double()[i].feedback for i in (0, 2))
        optimizer = sgd(net, weight_decay=0.3)
        torch.manual_seed(1)
        x, y = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1])
        pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
        kept = net[2].feedback_weight()
        with pe.anchored(net):
            move(net)
        torch.testing.assert_close(net[2].feedback_weight(), kept)
        pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
        ends.append(net[2].feedback_weight())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("form", ["closed", "coupled", "deferred"])
def test_steps_within_backprop(form):
    net = network(pe.PFA(2, form=form))
    optimizer = sgd(net)
    for _ in range(2):
        backward(net, optimizer)
        optimizer.step()
    with pe.backprop(net):
        backward(net, optimizer)
        with pytest.raises(pe.ConfigError, match="did not come through its rule"):
            optimizer.step()


@pytest.mark.parametrize("form", ["closed", "coupled", "deferred"])
def test_measuring_in_between_is_no_fault(form):
    net = network(pe.PFA(2, form=form))
    optimizer = sgd(net, momentum=0.9, weight_decay=0.1)
    for _ in range(4):
        backward(net, optimizer)
        pe.gradient_angle(net, nnf.cross_entropy, torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1]))
        pe.path_alignment(net)
        optimizer.step()
        optimizer.step()  # twice with one gradient is strange, but means what it says


@pytest.mark.parametrize("form", ["closed", "coupled"])
def test_accumulated_gradients_and_frozen_layers(form):
    net = network(pe.PFA(2, form=form))
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1, weight_decay=1.0)
    for set_to_none in (True, False):
        optimizer.zero_grad(set_to_none)
        for _ in range(3):
            backward(net)
        optimizer.step()
    assert net[0].feedback.a == 1
    assert net[2].feedback.a.item() == pytest.approx(0.81)


@pytest.mark.parametrize("named", [False, True], ids=["step(closure)", "step(closure=closure)"])
def test_what_a_closure_does_to_its_gradients_is_seen(named):
    def clipped():
        backward(net, optimizer)
        clip_norm(net)

    for rule in (pe.PFA(2, form="closed"), pe.PFA(2, form="coupled")):
        net = network(rule)
        optimizer = sgd(net)
        before = [p.detach().clone() for p in net.parameters()]
        refused = pytest.raises(pe.ConfigError, match="between backward and step") if rule.form == "closed" else None
        with refused or contextlib.nullcontext():
            optimizer.step(closure=clipped) if named else optimizer.step(clipped)
        moved = any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
        assert moved == (rule.form == "coupled")


def test_a_closure_that_leaves_the_rule_is_seen():
    net = network(pe.PFA(2, form="coupled"))
    optimizer = sgd(net)

    def around():
        with pe.backprop(net):
            backward(net, optimizer)

    with pytest.raises(pe.ConfigError, match="did not come through its rule"):
        optimizer.step(around)


def test_a_step_with_a_closure():
    net = network(pe.PFA(2, form="closed"))
    optimizer = sgd(net, weight_decay=1.0)

    def closure():
        backward(net, optimizer)

    for _ in range(3):
        optimizer.step(closure)
    assert net[2].feedback.a.item() == pytest.approx(0.9**3)


@pytest.mark.parametrize("rule", LEARNING, ids=str)
def test_an_optimiser_made_before_the_conversion(rule):
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    optimizer = sgd(model)
    net = pe.convert(model, rule, inplace=True, verbose=False)
    backward(net, optimizer)
    with pytest.raises(pe.ConfigError, match=r"feedback\.[RF] learns, and is not in the optimiser"):
        optimizer.step()
    optimizer.add_param_group({"params": [p for layer in pe.layers(net).values() for p in layer.feedback_parameters()]})
    optimizer.step()


@pytest.mark.parametrize("change", ["set_rule", "reset_feedback"])
@pytest.mark.parametrize("rule", LEARNING, ids=str)
def test_feedback_drawn_again_after_the_optimiser_was_made(rule, change):
    net = network(rule)
    optimizer = sgd(net)
    backward(net, optimizer)
    optimizer.step()
    net[2].set_rule(rule) if change == "set_rule" else net[2].reset_feedback()
    backward(net, optimizer)
    with pytest.raises(pe.ConfigError, match=r"feedback\.[RF] learns, and is not in the optimiser"):
        optimizer.step()


def test_feedback_in_another_optimiser_and_feedback_that_is_kept_fixed():
    net = network(pe.KP())
    own = {id(p) for layer in pe.layers(net).values() for p in layer.feedback_parameters()}
    first = torch.optim.SGD([p for p in net.parameters() if id(p) not in own], lr=0.1)
    second = torch.optim.SGD([p for p in net.parameters() if id(p) in own], lr=0.1)
    pe.check_optimizer(first, second)
    backward(net)
    first.step()
    fixed = network(pe.KP())
    for layer in pe.layers(fixed).values():
        layer.feedback.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in fixed.parameters() if p.requires_grad], lr=0.1)
    backward(fixed)
    optimizer.step()


@pytest.mark.parametrize("rule", STRICT, ids=str)
def test_a_weight_that_is_loaded_without_its_feedback(rule):
    """F stays what it was, as the explicit form's would; the law goes on from the new weight."""
    net, other = network(rule).double(), nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    F = net[2].feedback_weight()
    with contextlib.suppress(RuntimeError):
        net.load_state_dict(other.state_dict())  # torch says what is missing, and loads the rest
    assert torch.equal(net[2].weight, other[2].weight)
    torch.testing.assert_close(net[2].feedback_weight(), F)
    again = network(rule).double()
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again[2].feedback_weight(), F)


FOREIGN = [("fa", "kp"), ("kp", "fa"), ("sf", "bp"), ("bp", "sf"), ("pfa form=closed", "pfa-o form=closed")]


@pytest.mark.parametrize(("one", "other"), FOREIGN)
def test_a_state_dict_of_another_rule_is_refused(one, other):
    with pytest.raises(RuntimeError, match=r"0 learns by .*, and the state dict was made by .*pe.strip"):
        network(pe.rule(other)).load_state_dict(network(pe.rule(one)).state_dict())


@pytest.mark.parametrize("rule", [pe.FA(), pe.KP(), pe.PFA(2), pe.PFA(2, form="closed"), pe.DFA()], ids=str)
def test_a_second_derivative_is_refused(rule):
    net, x = network(rule), torch.randn(5, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
    with pytest.raises(pe.ConfigError, match=r"second derivative through a learning rule.*pe.backprop"):
        slope.square().sum().backward()
    with pe.backprop(net):
        (slope,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()

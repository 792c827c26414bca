"""torch.func over networks that learn by a rule: gradients, per-sample gradients, forward mode, seeds as one batch."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn
from torch.func import functional_call, grad, grad_and_value, hessian, jvp, stack_module_state, vmap

import pfa_edu as pe

DOUBLE = torch.float64
RULES = [
    pe.BP(), pe.FA(), pe.FA(density=0.5), pe.SF(), pe.SF("fixed"), pe.KP(), pe.PFA(2), pe.PFA(2, density=0.5),
    pe.PFA(2, form="closed"), pe.PFA(2, form="coupled"), pe.PFA(2, density=0.5, form="deferred"), pe.PFAo(),
    pe.PFAo("closed"), pe.DFA(),
]  # fmt: skip
every_rule = pytest.mark.parametrize("rule", RULES, ids=str)
# torch's own forward mode compiles its formulas with what it has itself deprecated
forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")


class Scaled(nn.Linear):
    """A layer with a forward of its own: what pfa_edu's generic path is for."""

    def forward(self, h):
        return 2 * nnf.linear(h, self.weight, self.bias)


def network(rule, seed=0):
    """Two convolutions, one of them grouped, and two linear layers, in float64."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 3, stride=2, groups=2), nn.Tanh(), nn.Flatten(),
        nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 3),
    )  # fmt: skip
    return pe.convert(net.to(DOUBLE), rule, verbose=False)


def batch(n=6):
    g = torch.Generator().manual_seed(5)
    return torch.randn(n, 1, 6, 6, generator=g, dtype=DOUBLE), torch.randint(0, 3, (n,), generator=g)


def state(net):
    return {n: p.detach() for n, p in net.named_parameters()}, dict(net.named_buffers())


def own_gradients(net, x, y):
    """What backward leaves in the parameters; zeros for one that the backward pass did not reach."""
    net.zero_grad()
    loss = nnf.cross_entropy(net(x), y)
    loss.backward()
    grads = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in net.named_parameters()}
    return grads, loss.detach()


def loss_of(net, buffers):
    return lambda params, x, y: nnf.cross_entropy(functional_call(net, (params, buffers), (x,)), y)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@every_rule
def test_grad_is_the_rules_own(rule):
    net, (x, y) = network(rule), batch()
    params, buffers = state(net)
    expected, _ = own_gradients(net, x, y)
    close(grad(loss_of(net, buffers))(params, x, y), expected)
    if not isinstance(rule, pe.BP):  # and not backprop's
        with pe.backprop(net):
            exact, _ = own_gradients(net, x, y)
        assert (expected["0.weight"] - exact["0.weight"]).abs().max() > 1e-3


@every_rule
def test_gradients_of_every_sample(rule):
    net, (x, y) = network(rule), batch()
    params, buffers = state(net)
    loss = loss_of(net, buffers)
    found = vmap(grad(lambda p, a, b: loss(p, a[None], b[None])), (None, 0, 0))(params, x, y)
    for i in range(len(x)):
        one, _ = own_gradients(net, x[i : i + 1], y[i : i + 1])
        close({name: g[i] for name, g in found.items()}, one)


@forward_mode
@every_rule
def test_forward_mode_is_the_plain_networks(rule):
    net, (x, _) = network(rule), batch()
    params, buffers = state(net)
    plain = pe.strip(net)
    of_plain, _ = state(plain)
    torch.manual_seed(7)
    along = {n: torch.randn_like(p) for n, p in params.items()}
    dx = torch.randn_like(x)
    found = jvp(lambda p, x: functional_call(net, (p, buffers), (x,)), (params, x), (along, dx))
    expected = jvp(
        lambda p, x: functional_call(plain, p, (x,)), (of_plain, x), ({n: along[n] for n in of_plain}, dx)
    )  # fmt: skip
    close(found, expected)


@every_rule
def test_five_networks_as_one_batch(rule):
    nets, (x, y) = [network(rule, seed) for seed in range(5)], batch()
    params, buffers = stack_module_state(nets)
    params = {n: p.detach() for n, p in params.items()}

    def loss(params, buffers, x, y):
        return loss_of(nets[0], buffers)(params, x, y)

    grads, losses = vmap(grad_and_value(loss), (0, 0, None, None))(params, buffers, x, y)
    for seed, net in enumerate(nets):
        expected, value = own_gradients(net, x, y)
        close(losses[seed], value)
        close({n: g[seed] for n, g in grads.items()}, expected)


def test_a_magnitude_for_every_network_of_the_batch():
    """brSF draws in every training forward pass, here for each of five networks."""
    nets, (x, y) = [network(pe.SF("batch"), seed) for seed in range(5)], batch()
    params, buffers = stack_module_state(nets)
    params = {n: p.detach() for n, p in params.items()}
    before = buffers["5.feedback.M"].clone()

    def loss(params, buffers, x, y):
        return loss_of(nets[0], buffers)(params, x, y)

    grads, _ = vmap(grad_and_value(loss), (0, 0, None, None), randomness="different")(params, buffers, x, y)
    drawn = buffers["5.feedback.M"]
    assert (drawn != before).all()
    assert len({m.sum().item() for m in drawn}) == 5
    for seed, net in enumerate(nets):
        net.eval()  # it keeps the magnitude that it is given
        net.load_state_dict({n: b[seed] for n, b in buffers.items()}, strict=False)
        expected, _ = own_gradients(net, x, y)
        close({n: g[seed] for n, g in grads.items()}, expected)


@forward_mode
@every_rule
def test_a_second_derivative_is_refused(rule):
    net, (x, y) = network(rule), batch()
    params, buffers = state(net)
    loss = loss_of(net, buffers)

    def of_first(weight):
        return loss({**params, "0.weight": weight}, x, y)

    first = params["0.weight"]
    twice = (
        lambda: hessian(of_first)(first),
        lambda: grad(lambda w: grad(of_first)(w).square().sum())(first),
    )
    if isinstance(rule, pe.BP):  # nothing is replaced there, so there is one
        plain = pe.strip(net)
        kept, _ = state(plain)
        expected = hessian(lambda w: nnf.cross_entropy(functional_call(plain, {**kept, "0.weight": w}, (x,)), y))(first)
        close(twice[0](), expected)
        return
    for second in twice:
        with pytest.raises(pe.ConfigError, match=r"a second derivative through a learning rule .* pe.backprop"):
            second()
    with pe.backprop(net):
        assert twice[0]().shape == (*first.shape, *first.shape)


@forward_mode
@pytest.mark.parametrize("rule", [pe.FA(), pe.KP(), pe.PFA(2), pe.PFA(2, form="closed")], ids=str)
def test_a_layer_with_a_forward_of_its_own(rule):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), Scaled(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(DOUBLE)
    net = pe.convert(net, rule, verbose=False)
    x, y = torch.randn(6, 4, dtype=DOUBLE), torch.arange(6) % 3
    params, buffers = state(net)
    loss = loss_of(net, buffers)
    close(grad(loss)(params, x, y), own_gradients(net, x, y)[0])
    found = vmap(grad(lambda p, a, b: loss(p, a[None], b[None])), (None, 0, 0))(params, x, y)
    close({n: g[2] for n, g in found.items()}, own_gradients(net, x[2:3], y[2:3])[0])
    dx = torch.randn_like(x)
    moved = jvp(lambda x: functional_call(net, (params, buffers), (x,)), (x,), (dx,))
    close(moved, jvp(pe.strip(net), (x,), (dx,)))

"""Every rule against oracles of its own: autograd with F in W's place, numpy by hand, the literal pathway."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.nn import functional

RULES = [
    pe.BP(), pe.FA(), pe.FA(density=0.5), pe.SF(), pe.SF("fixed"), pe.SF(density=0.5), pe.KP(), pe.PFA(3),
    pe.PFA(0.5), pe.PFA(3, density=0.5), pe.PFA(3, form="closed"), pe.PFA(3, form="deferred"),
    pe.PFA(3, density=0.5, form="deferred"), pe.PFAo(), pe.PFAo("closed"),
]  # fmt: skip
CONVS = [
    {}, {"stride": 2}, {"padding": 1}, {"padding": "same"}, {"padding": "valid"}, {"padding": "same", "kernel_size": 4},
    {"dilation": 2, "padding": 2}, {"groups": 2, "padding": 1}, {"stride": (2, 1), "padding": (0, 1), "groups": 4},
    {"padding": 1, "padding_mode": "circular"}, {"padding": 2, "padding_mode": "reflect"}, {"bias": False},
]  # fmt: skip
DOUBLE = torch.float64


def linear(rule, bias=True, out=6):
    torch.manual_seed(0)
    return pe.Linear(5, out, bias, rule=rule, dtype=DOUBLE)


def conv(rule, **kwargs):
    torch.manual_seed(0)
    kernel = kwargs.pop("kernel_size", 3)
    return pe.Conv2d(4, 8, kernel, **kwargs, rule=rule, dtype=DOUBLE)


def gradients(layer, h, delta):
    """dL/dh, dL/dW, dL/db for δ at the output."""
    h = h.clone().requires_grad_()
    layer.zero_grad()
    layer(h).backward(delta)
    return h.grad, layer.weight.grad, None if layer.bias is None else layer.bias.grad


def check_against_autograd(layer, h):
    """W's gradient is the plain layer's; the input's is the plain layer's with F in W's place."""
    plain = copy.deepcopy(layer)
    plain.set_rule(pe.BP())
    out = plain(h)
    delta = torch.randn(out.shape, dtype=DOUBLE)
    assert torch.equal(layer(h), out)
    with_f = copy.deepcopy(plain)
    with torch.no_grad():
        with_f.weight.copy_(layer.feedback_weight())
    h_f, _, _ = gradients(with_f, h, delta)
    _, grad_W, grad_b = gradients(plain, h, delta)
    own_h, own_W, own_b = gradients(layer, h, delta)
    torch.testing.assert_close(own_h, h_f, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(own_W, grad_W, rtol=1e-12, atol=1e-12)
    if grad_b is not None:
        torch.testing.assert_close(own_b, grad_b, rtol=1e-12, atol=1e-12)
    check_feedback_gradient(layer, grad_W)


def check_feedback_gradient(layer, grad_W):
    f = layer.feedback
    if isinstance(layer.rule, pe.KP):
        torch.testing.assert_close(f.F.grad, grad_W)
    elif hasattr(f, "R"):
        expected = torch.einsum("om,o...->m...", f.B, grad_W)
        expected = expected if f.R_mask is None else expected * f.R_mask
        torch.testing.assert_close(f.R.grad, expected)
    elif hasattr(f, "a"):
        assert f.a == 1
        assert not f.a.requires_grad


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 5), (5,), (200, 5)], ids=str)
def test_linear(rule, shape):
    check_against_autograd(linear(rule), torch.randn(shape, dtype=DOUBLE))


@pytest.mark.filterwarnings("ignore:Using padding=.same.:UserWarning")  # torch's own, for backprop
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("kwargs", CONVS, ids=str)
def test_conv(rule, kwargs):
    check_against_autograd(conv(rule, **kwargs), torch.randn(3, 4, 9, 10, dtype=DOUBLE))


def test_conv_without_batch():
    check_against_autograd(conv(pe.PFA(2), padding=1), torch.randn(4, 9, 9, dtype=DOUBLE))


def test_numpy_backward_of_two_layers():
    """Nothing of torch's autograd in the expected numbers."""
    torch.manual_seed(0)
    first, second = (pe.Linear(a, b, rule=pe.FA(), dtype=DOUBLE) for a, b in [(4, 6), (6, 3)])
    x, e = torch.randn(5, 4, dtype=DOUBLE), torch.randn(5, 3, dtype=DOUBLE)
    second(torch.relu(first(x))).backward(e)
    X, W1, F2, E = (t.detach().numpy() for t in (x, first.weight, second.feedback.F, e))
    A1 = X @ W1.T
    delta1 = (E @ F2) * (A1 > 0)
    np.testing.assert_allclose(second.weight.grad, E.T @ np.maximum(A1, 0))
    np.testing.assert_allclose(first.weight.grad, delta1.T @ X)
    np.testing.assert_allclose(first.bias.grad, delta1.sum(0))


@pytest.mark.parametrize("rows", [1, 500])
def test_both_orders_of_multiplication_agree(rows):
    G, W, E = (torch.randn(s, dtype=DOUBLE) for s in [(8, 8), (8, 5), (8, 5)])
    path = functional.Path(L=G, M=W, E=E, a=torch.tensor(0.3, dtype=DOUBLE))
    h, delta = torch.randn(rows, 5, dtype=DOUBLE, requires_grad=True), torch.randn(rows, 8, dtype=DOUBLE)
    functional.linear(h, W, None, path).backward(delta)
    torch.testing.assert_close(h.grad, delta @ (G @ W + 0.3 * E))


def test_dfa_linear_and_conv():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 1), nn.Flatten(), nn.Linear(64, 3))
    net = pe.convert(net.double(), pe.DFA(), verbose=False)
    x = torch.randn(5, 2, 8, 8, dtype=DOUBLE)
    inputs = {}
    for name in ("2", "4"):
        net.get_submodule(name).register_forward_pre_hook(lambda m, args, n=name: inputs.update({n: args[0]}))
    out = net(x)
    for h in inputs.values():
        h.retain_grad()
    e = torch.randn_like(out)
    out.backward(e)
    torch.testing.assert_close(inputs["4"].grad, e @ net[4].feedback.D)
    spread = e[:, :, None, None].expand(-1, -1, 4, 4)
    expected = torch.nn.grad.conv2d_input((5, 4, 4, 4), net[2].feedback.D, spread, 1, 1)
    torch.testing.assert_close(inputs["2"].grad, expected)
    torch.testing.assert_close(net[4].weight.grad, e.t() @ inputs["4"])


def train(net, steps=60, nesterov=True, make=None):
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1, nesterov=nesterov)
    opt = opt if make is None else make(net.parameters())
    g = torch.Generator().manual_seed(1)
    for i in range(steps):
        if i == steps // 2:
            opt.param_groups[0].update(lr=0.02, weight_decay=0.01)
        x = torch.randn(16, *net.shape, generator=g, dtype=DOUBLE)
        opt.zero_grad()
        nnf.cross_entropy(net(x), torch.arange(16) % 3).backward()
        opt.step()
    return net


def small(rule, kind):
    torch.manual_seed(3)
    if kind == "linear":
        net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
        net.shape = (6,)
    else:
        net = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(36, 3)
        )
        net.shape = (2, 5, 5)
    shape = net.shape
    net = pe.convert(net.double(), rule, init="xavier", verbose=False)
    net.shape = shape
    return net


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(
    ("explicit", "closed"),
    [
        (pe.PFA(4), pe.PFA(4, form="closed")), (pe.PFAo(), pe.PFAo("closed")), (pe.PFA(4), pe.PFA(4, form="deferred")),
        (pe.PFA(4, density=0.3), pe.PFA(4, density=0.3, form="deferred")),
    ],
)  # fmt: skip
def test_closed_and_deferred_form_equal_explicit(kind, nesterov, explicit, closed):
    a, b = (train(small(r, kind), nesterov=nesterov) for r in (explicit, closed))
    for one, two in zip(pe.layers(a).values(), pe.layers(b).values(), strict=True):
        torch.testing.assert_close(one.weight, two.weight, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.feedback_weight(), two.feedback_weight(), rtol=0, atol=1e-12)


def test_explicit_equals_the_literal_pathway():
    """δ goes through B to the mid neurons, through R to the layer below; R learns by its own Hebbian product."""
    net = train(small(pe.PFA(4), "linear"), nesterov=False)
    start = small(pe.PFA(4), "linear")
    state = []
    for layer in pe.layers(start).values():
        state.append([t.detach().numpy().copy() for t in (layer.weight, layer.bias, layer.feedback.R)])
    B = [layer.feedback.B.numpy() for layer in pe.layers(start).values()]
    velocity = [[np.zeros_like(p) for p in ps] for ps in state]
    g = torch.Generator().manual_seed(1)
    target = np.eye(3)[np.arange(16) % 3]
    for i in range(60):
        lr, decay = (0.05, 0.1) if i < 30 else (0.02, 0.01)
        x = torch.randn(16, 6, generator=g, dtype=DOUBLE).numpy()
        (W1, b1, _), (W2, b2, R2) = state
        h = np.maximum(x @ W1.T + b1, 0)
        z = np.exp(h @ W2.T + b2)
        d2 = (z / z.sum(1, keepdims=True) - target) / 16
        mid2 = d2 @ B[1]
        d1 = (mid2 @ R2) * (h > 0)
        grads = [[d1.T @ x, d1.sum(0), (d1 @ B[0]).T @ x], [d2.T @ h, d2.sum(0), mid2.T @ h]]
        for ps, vs, gs in zip(state, velocity, grads, strict=True):
            for p, v, grad in zip(ps, vs, gs, strict=True):
                v[:] = 0.9 * v + grad + decay * p
                p -= lr * v
    for layer, (W, b, R) in zip(pe.layers(net).values(), state, strict=True):
        for ours, theirs in ((layer.weight, W), (layer.bias, b), (layer.feedback.R, R)):
            np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-11)


def test_kp_is_pfa_with_identity():
    a, b = small(pe.KP(), "linear"), small(pe.PFAo(), "linear")
    for one, two in zip(pe.layers(a).values(), pe.layers(b).values(), strict=True):
        with torch.no_grad():
            two.weight.copy_(one.weight)
            two.feedback.B.copy_(torch.eye(len(two.feedback.B)))
            two.feedback.R.copy_(one.feedback.F)
    train(a), train(b)
    for one, two in zip(pe.layers(a).values(), pe.layers(b).values(), strict=True):
        torch.testing.assert_close(one.weight, two.weight, rtol=0, atol=1e-12)


def test_faded_pfa_o_is_backprop():
    net = small(pe.PFAo("closed"), "conv")
    for layer in pe.layers(net).values():
        layer.feedback.a.data.zero_()
    x, y = torch.randn(4, 2, 5, 5, dtype=DOUBLE), torch.tensor([0, 1, 2, 0])
    assert max(pe.gradient_angle(net, nnf.cross_entropy, x, y).values()) < 1e-6
    assert max(pe.path_alignment(net).values()) < 1e-6


@pytest.mark.parametrize(("ratio", "density"), [(1, 1.0), (10, 1.0), (10, 0.3)])
def test_initial_statistics(ratio, density):
    torch.manual_seed(0)
    layer = pe.Linear(256, 100, rule=pe.PFA(ratio, density=density))
    G = layer.feedback.B @ layer.feedback.B.t()
    assert G.diagonal().mean().item() == pytest.approx(1, abs=0.05)
    assert abs((G - torch.diag(G.diagonal())).mean().item()) < 0.01
    assert (layer.feedback.R != 0).double().mean().item() == pytest.approx(density, abs=0.02)
    assert (layer.feedback.B != 0).double().mean().item() == pytest.approx(density, abs=0.03)
    torch.testing.assert_close(layer.weight.std(), torch.tensor((2 / 356) ** 0.5), rtol=0.02, atol=0)


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize(
    "make", [None, lambda p: torch.optim.Adam(p, lr=0.01), lambda p: torch.optim.AdamW(p, lr=0.01)],
    ids=["sgd", "adam", "adamw"],
)  # fmt: skip
def test_masked_feedback_stays_masked(kind, make):
    net = train(small(pe.PFA(4, density=0.3), kind), make=make)
    for layer in pe.layers(net).values():
        assert (layer.feedback.R[layer.feedback.R_mask == 0] == 0).all()
        assert (layer.feedback.R[layer.feedback.R_mask == 1] != 0).all()


ALL = [*RULES, pe.SF("batch"), pe.DFA()]
ALL.remove(pe.PFA(0.5))  # gives no whole mid for the three outputs of these networks


@pytest.mark.parametrize("rule", ALL, ids=str)
@pytest.mark.parametrize("copied", ["deepcopy", "pickle", "state_dict", "compile"])
def test_copies_learn_the_same(rule, copied):
    net = small(rule, "conv")
    if isinstance(rule, pe.SF) and rule.kind == "batch":
        net.eval()  # a magnitude that is drawn anew cannot be the same twice
    if copied == "deepcopy":
        other = copy.deepcopy(net)
    elif copied == "pickle":
        other = pickle.load(io.BytesIO(pickle.dumps(net)))
    elif copied == "compile":
        torch.compiler.reset()
        other = torch.compile(net, fullgraph=True, backend="aot_eager")
    else:
        torch.manual_seed(99)
        other = pe.convert(small(pe.BP(), "conv"), rule, init="xavier", verbose=False)
        other.load_state_dict(net.state_dict())
        other.train(net.training)
    x, y = torch.randn(4, 2, 5, 5, dtype=DOUBLE), torch.tensor([0, 1, 2, 0])
    got = []
    for n in (net, other):
        n.zero_grad()
        nnf.cross_entropy(n(x), y).backward()
        got.append([p.grad.clone() for p in n.parameters()])
    for one, two in zip(*got, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_autocast_keeps_float32_gradients(rule):
    torch.manual_seed(0)
    net = pe.convert(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)), rule, verbose=False)
    net.eval()
    x, y = torch.randn(8, 2, 5, 5), torch.arange(8) % 3
    nnf.cross_entropy(net(x), y).backward()
    exact = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        loss = nnf.cross_entropy(net(x), y)
    loss.backward()
    for p, g in zip(net.parameters(), exact, strict=True):
        assert p.grad.dtype == torch.float32
        assert (p.grad - g).norm() <= 0.1 * g.norm() + 1e-6  # bf16 keeps 8 bits, and a unit near 0 may flip


ERRORS = [
    (lambda: pe.PFA(0), "ratio 0"),
    (lambda: pe.PFA(-1), "ratio -1"),
    (lambda: pe.Linear(3, 7, rule=pe.PFA(0.3)), "2.1 mid neurons"),
    (lambda: pe.FA(density=0), "density 0"),
    (lambda: pe.SF(density=1.5), "density 1.5"),
    (lambda: pe.PFA(density=0.5, form="closed"), "closed form does not hold for masked"),
    (lambda: pe.PFA(form="close"), "did you mean 'closed'"),
    (lambda: pe.SF("unifrom"), "did you mean 'uniform'"),
    (lambda: pe.rule("pfaa"), "did you mean 'pfa'"),
    (lambda: pe.rule("fa", ratio=3), "unknown knob of fa 'ratio'"),
    (lambda: pe.Linear(3, 4, rule=pe.DFA()), "DFA must know"),
    (lambda: pe.Linear(3, 4, rule="pfaa"), "did you mean 'pfa'"),
    (lambda: pe.Linear(3, 4, rule=pe.DFA(2))(torch.randn(2, 3, requires_grad=True)), "outside a forward pass"),
    (lambda: pe.Linear(3, 4, rule=pe.DFA(2)).feedback_weight(), "no feedback weight"),
    (lambda: pe.path_alignment(nn.Linear(2, 2)), "no layer with a rule"),
    (lambda: pe.convert(nn.ReLU(), pe.FA()), "no layer to convert"),
    (lambda: pe.convert(pe.mlp((4, 3)), pe.FA(), skip="fc9"), "no layer is called 'fc9'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(call, message):
    with pytest.raises(pe.ConfigError, match=message):
        call()


def test_a_deferred_first_layer_does_nothing_until_it_is_looked_at(monkeypatch):
    explicit, net = small(pe.PFA(4, density=0.3), "conv"), small(pe.PFA(4, density=0.3), "conv")
    torch.manual_seed(5)
    explicit[0].set_rule(explicit[0].rule)
    torch.manual_seed(5)
    net[0].set_rule(pe.PFA(4, density=0.3, form="deferred"))
    with monkeypatch.context() as m:
        m.setattr(type(net[0].feedback), "_aligned", None)  # whoever would work R out in training fails
        train(net)
    train(explicit)
    torch.testing.assert_close(net[0].feedback.path(net[0].weight).M, explicit[0].feedback.R, rtol=0, atol=1e-12)
    torch.testing.assert_close(net[2].feedback.R, explicit[2].feedback.R, rtol=0, atol=1e-12)


def closed_net(form):
    net = small(pe.PFA(4, form=form), "linear")
    net(torch.randn(2, 6, dtype=DOUBLE)).sum().backward()
    return net


@pytest.mark.parametrize("form", ["closed", "deferred"])
def test_closed_form_refuses_adam(form):
    net = closed_net(form)
    before = net[0].weight.clone()
    with pytest.raises(pe.ConfigError, match=rf"{form} form holds under torch's own SGD only.*Adam"):
        torch.optim.Adam(net.parameters()).step()
    assert torch.equal(before, net[0].weight)

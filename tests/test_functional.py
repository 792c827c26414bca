"""The backward pass against references composed here from torch's plain operations and from numpy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.nn import functional
from pfa_edu.nn.functional import Path

DOUBLE = torch.float64
RULES = [
    pe.BP(), pe.FA(), pe.FA(density=0.4), pe.SF(), pe.SF("fixed"), pe.SF("batch"), pe.SF("batch", density=0.4), pe.KP(),
    pe.PFA(3), pe.PFA(0.5), pe.PFA(3, density=0.4), pe.PFA(3, form="closed"), pe.PFAo(), pe.PFAo("closed"),
    pe.PFA(3, density=0.4, form="deferred"),
]  # fmt: skip
# the layer's settings; the same settings for the plain operation: (left, right, top, bottom), mode and the rest
CONVS = [
    ({}, (0, 0, 0, 0), "constant", {}),
    ({"stride": 2}, (0, 0, 0, 0), "constant", {"stride": 2}),
    ({"stride": (2, 3), "padding": (1, 0)}, (0, 0, 1, 1), "constant", {"stride": (2, 3)}),
    ({"padding": 1}, (1, 1, 1, 1), "constant", {}),
    ({"padding": "same"}, (1, 1, 1, 1), "constant", {}),
    ({"padding": "same", "kernel_size": 4}, (1, 2, 1, 2), "constant", {}),
    ({"padding": "same", "kernel_size": (2, 5)}, (2, 2, 0, 1), "constant", {}),
    ({"padding": "same", "dilation": 2}, (2, 2, 2, 2), "constant", {"dilation": 2}),
    ({"padding": "valid"}, (0, 0, 0, 0), "constant", {}),
    ({"dilation": 2, "stride": 2}, (0, 0, 0, 0), "constant", {"dilation": 2, "stride": 2}),
    ({"groups": 2, "padding": 1}, (1, 1, 1, 1), "constant", {"groups": 2}),
    ({"padding": 1, "padding_mode": "circular"}, (1, 1, 1, 1), "circular", {}),
    ({"padding": "same", "kernel_size": 4, "padding_mode": "reflect"}, (1, 2, 1, 2), "reflect", {}),
]  # fmt: skip


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-12)


def check(layer, operation, h):
    """``operation(h, W, b)`` is the plain torch operation of ``layer``."""
    h = h.requires_grad_()
    out = layer(h)
    F = layer.feedback_weight()  # after the forward pass, which is what may draw a magnitude anew
    delta = torch.randn(out.shape, dtype=DOUBLE)
    trained = list(layer.parameters())
    got = torch.autograd.grad(out, [h, *trained], delta)
    by_name = dict(zip([n for n, _ in layer.named_parameters()], got[1:], strict=True))

    plain = operation(h, layer.weight, layer.bias)
    close(out, plain)
    grad_W, grad_b = torch.autograd.grad(plain, [layer.weight, layer.bias], delta)
    close(got[0], torch.autograd.grad(operation(h, F, None), h, delta)[0])
    close(by_name.pop("weight"), grad_W)
    close(by_name.pop("bias"), grad_b)

    if by_name:  # what is left learns in the feedback
        (name,) = by_name
        B = getattr(layer.feedback, "B", None)
        expected = {
            "feedback.F": lambda: grad_W,
            "feedback.R": lambda: (B.t() @ grad_W.flatten(1)).view(layer.feedback.R.shape),
            "feedback.a": lambda: torch.zeros((), dtype=DOUBLE),
        }[name]()
        mask = getattr(layer.feedback, "R_mask", None)
        masked = name == "feedback.R" and mask is not None
        close(by_name[name], expected * mask if masked else expected)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 5), (300, 5)], ids=str)
def test_linear(rule, shape):
    torch.manual_seed(0)
    check(pe.Linear(5, 6, rule=rule, dtype=DOUBLE), nnf.linear, torch.randn(shape, dtype=DOUBLE))


@pytest.mark.filterwarnings("ignore:Using padding=.same.:UserWarning")  # torch's own, for backprop
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(("settings", "ends", "mode", "plain"), CONVS, ids=[str(c[0]) for c in CONVS])
def test_conv(rule, settings, ends, mode, plain):
    torch.manual_seed(0)
    layer = pe.Conv2d(4, 6, **{"kernel_size": 3, **settings}, rule=rule, dtype=DOUBLE)

    def operation(h, W, b):
        return nnf.conv2d(nnf.pad(h, ends, mode), W, b, **plain)

    check(layer, operation, torch.randn(2, 4, 9, 8, dtype=DOUBLE))


def test_feedback_equal_to_the_weight_is_backprop():
    h, W, K = (torch.randn(s, dtype=DOUBLE, requires_grad=True) for s in [(7, 5), (6, 5), (3, 5, 3, 3)])
    image = torch.randn(2, 5, 6, 6, dtype=DOUBLE, requires_grad=True)
    for ours, plain, inputs in (
        (functional.linear(h, W, None, Path(F=W.detach())), nnf.linear(h, W), (h, W)),
        (
            functional.convolution(image, K, None, Path(F=K.detach()), functional.Conv((2, 1), (1, 1), (1, 1))),
            nnf.conv2d(image, K, None, (2, 1), 1),
            (image, K),
        ),
    ):
        delta = torch.randn_like(plain)
        for a, b in zip(
            torch.autograd.grad(ours, inputs, delta), torch.autograd.grad(plain, inputs, delta), strict=True
        ):
            assert torch.equal(a, b)


def parts(rows):
    """The arrays of a layer 5 → 8 with 3 in the middle, and everything of the path."""
    rng = np.random.default_rng(0)
    sizes = {"h": (rows, 5), "delta": (rows, 8), "F": (8, 5), "L": (8, 3), "M": (3, 5), "E": (8, 5)}
    return {name: rng.standard_normal(size) for name, size in sizes.items()}


# Two rows take (δ L) M, a thousand take δ (L M): both, and every set of parts that a rule may give.
@pytest.mark.parametrize("rows", [1, 2, 1000])
@pytest.mark.parametrize("given", ["F", "LM", "FEa", "LMEa"])
def test_every_set_of_parts(rows, given):
    p = parts(rows)
    tensors = {k: torch.tensor(p[k], requires_grad=k in "FM") for k in given if k != "a"}
    if "a" in given:
        tensors["a"] = torch.tensor(0.3, dtype=DOUBLE)
    F = sum((p["F"] if "F" in given else 0, p["L"] @ p["M"] if "L" in given else 0,
             0.3 * p["E"] if "E" in given else 0))  # fmt: skip
    np.testing.assert_allclose(Path(**tensors).form().detach(), F, atol=1e-12)
    h = torch.tensor(p["h"], requires_grad=True)
    functional.linear(h, torch.ones(8, 5, dtype=DOUBLE), None, Path(**tensors)).backward(torch.tensor(p["delta"]))
    np.testing.assert_allclose(h.grad, p["delta"] @ F, atol=1e-11)
    grad_W = p["delta"].T @ p["h"]
    if "M" in given:
        np.testing.assert_allclose(tensors["M"].grad, p["L"].T @ grad_W, atol=1e-10)
    if "F" in given:
        np.testing.assert_allclose(tensors["F"].grad, grad_W, atol=1e-10)


@pytest.mark.parametrize("rule", [pe.FA(), pe.SF(), pe.KP(), pe.PFA(2), pe.PFA(2, form="closed")], ids=str)
def test_three_layers_in_numpy(rule):
    torch.manual_seed(0)
    net = [pe.Linear(a, b, rule=rule, dtype=DOUBLE) for a, b in [(4, 6), (6, 5), (5, 3)]]
    x, e = torch.randn(7, 4, dtype=DOUBLE), torch.randn(7, 3, dtype=DOUBLE)
    h = x
    for i, layer in enumerate(net):
        h = layer(h if i == 0 else torch.tanh(h))
    h.backward(e)

    below = x.numpy()
    inputs = []
    for layer in net:
        inputs.append(below)
        below = np.tanh(below @ layer.weight.detach().numpy().T)
    delta = e.numpy()
    for layer, h in zip(reversed(net), reversed(inputs), strict=True):
        np.testing.assert_allclose(layer.weight.grad, delta.T @ h, atol=1e-12)
        np.testing.assert_allclose(layer.bias.grad, delta.sum(0), atol=1e-12)
        f, W = layer.feedback, layer.weight.detach().numpy()
        held = {k: v.detach().numpy() for k, v in f.state_dict().items()}
        F = {
            "fa": lambda h=held: h["F"], "kp": lambda h=held: h["F"],
            "sf": lambda h=held, W=W: np.sign(W) * np.sqrt(2 / sum(W.shape)),
            "pfa": lambda h=held, W=W: h["B"] @ h["R"] if "B" in h else h["G"] @ W + h["a"] * h["E"],
        }[rule.name]()  # fmt: skip
        delta = (delta @ F) * (1 - h**2)


DFA_CONVS = [
    {}, {"stride": 2}, {"stride": 2, "padding": 1}, {"padding": "same"}, {"dilation": 2, "padding": 1},
    {"stride": 3, "dilation": 2}, {"groups": 2, "padding": 1},
]  # fmt: skip


@pytest.mark.parametrize("settings", DFA_CONVS, ids=str)
def test_dfa_conv(settings):
    torch.manual_seed(0)
    last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Conv2d(4, 6, 3, **settings), nn.Tanh(), last).to(DOUBLE)
    net = pe.convert(net, pe.DFA(), verbose=False)
    seen = {}
    net[2].register_forward_pre_hook(lambda m, args: (args[0].retain_grad(), seen.update(h=args[0]))[0])
    net[2].register_forward_hook(lambda m, args, out: seen.update(out=out))
    x = torch.randn(5, 2, 12, 11, dtype=DOUBLE)
    e = torch.randn(5, 3, dtype=DOUBLE)
    net(x).backward(e)
    D = net[2].feedback.D
    assert D.shape == (3, 4, 3, 3)
    at_each_position = e[:, :, None, None].expand(-1, -1, *seen["out"].shape[2:])
    plain = {k: v for k, v in settings.items() if k != "groups"}
    plain["padding"] = {"same": 1}.get(plain.get("padding"), plain.get("padding", 0))
    close(seen["h"].grad, torch.nn.grad.conv2d_input(seen["h"].shape, D, at_each_position, **plain))


def test_dfa_linear():
    torch.manual_seed(0)
    net = pe.convert(pe.mlp((4, 6, 5, 3)).to(DOUBLE), pe.DFA(), verbose=False)
    x, e = torch.randn(7, 4, dtype=DOUBLE), torch.randn(7, 3, dtype=DOUBLE)
    out = net(x)
    plain = x
    inputs = []
    for name in ("fc1", "fc2", "fc3"):
        layer = getattr(net, name)
        inputs.append(plain)
        plain = layer.weight @ plain.t() + layer.bias[:, None]
        plain = plain.t() if name == "fc3" else plain.t().clamp(min=0)
    close(out, plain)
    out.backward(e)
    d2 = (e @ net.fc3.feedback.D) * (inputs[2] > 0)
    d1 = (e @ net.fc2.feedback.D) * (inputs[1] > 0)
    for name, delta, h in (("fc3", e, inputs[2]), ("fc2", d2, inputs[1]), ("fc1", d1, inputs[0])):
        close(getattr(net, name).weight.grad, (delta.t() @ h).detach())

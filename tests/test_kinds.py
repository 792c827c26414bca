"""Every kind of layer that can hold a rule, against the generic path and against torch itself."""

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.nn import functional
from pfa_edu.nn.kinds import Generic

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's, of its own layers
DOUBLE = torch.float64
RULES = [pe.FA(), pe.SF(), pe.KP(), pe.PFA(2), pe.PFA(2, density=0.5), pe.PFA(2, form="closed"), pe.PFAo()]


class Mirror(pe.Feedback):
    """F is W, so that a rule's gradients have to be backprop's."""

    def path(self, weight):
        return pe.Path(F=weight.detach())


@pytest.fixture
def mirror():
    class Mirrored(pe.Rule):
        name = "mirrored"

        def make(self, layer):
            return Mirror()

    yield Mirrored()
    pe.rules.base.forget(Mirrored)


LAYERS = [  # torch's class, its arguments, the input's shape
    (nn.Linear, {"in_features": 5, "out_features": 4}, (3, 5)),
    (nn.Linear, {"in_features": 5, "out_features": 4, "bias": False}, (2, 3, 5)),
    (nn.Conv1d, {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 1}, (2, 4, 9)),
    (nn.Conv1d, {"in_channels": 4, "out_channels": 6, "kernel_size": 4, "padding": "same", "groups": 2}, (2, 4, 9)),
    (nn.Conv1d, {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1, "padding_mode": "circular"},
     (4, 9)),
    (nn.Conv3d, {"in_channels": 2, "out_channels": 4, "kernel_size": (2, 3, 1), "dilation": (1, 2, 1)},
     (2, 2, 4, 6, 3)),
    (nn.Conv3d, {"in_channels": 2, "out_channels": 4, "kernel_size": 2, "padding": "same", "groups": 2},
     (2, 2, 3, 3, 3)),
    (nn.ConvTranspose1d, {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "output_padding": 1},
     (2, 4, 5)),
    (nn.ConvTranspose2d, {"in_channels": 4, "out_channels": 6, "kernel_size": (3, 2), "stride": (1, 2), "padding": 1,
                          "groups": 2}, (2, 4, 5, 4)),
    (nn.ConvTranspose2d, {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "bias": False, "dilation": 2},
     (4, 5, 4)),
    (nn.ConvTranspose3d, {"in_channels": 4, "out_channels": 2, "kernel_size": 2, "stride": 2}, (2, 4, 2, 3, 2)),
]  # fmt: skip
NAMES = [f"{cls.__name__}-{i}" for i, (cls, _, _) in enumerate(LAYERS)]


def converted(plain, rule):
    torch.manual_seed(1)
    return pe.convert(plain, rule, verbose=False)


def gradients(out, delta, *of):
    return torch.autograd.grad(out, of, delta, allow_unused=True)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(("cls", "kwargs", "shape"), LAYERS, ids=NAMES)
def test_the_fast_path_is_the_generic_one(cls, kwargs, shape, rule):
    """Value, input's gradient, ∇W, ∇b and what the feedback learns from."""
    torch.manual_seed(0)
    plain = cls(**kwargs, dtype=DOUBLE)
    layer = converted(plain, rule)
    assert isinstance(layer, cls)
    h = torch.randn(shape, dtype=DOUBLE, requires_grad=True)
    bias = () if layer.bias is None else (layer.bias,)
    learned = (layer.weight, *bias, *layer.feedback_parameters())

    own = dict(layer.named_parameters(recurse=False))

    def op(x, weight):
        once = {"bias": bias[0].detach()} if bias and weight is not layer.weight else {}  # it learns in the first call
        return torch.func.functional_call(copy.deepcopy(plain), {**own, "weight": weight, **once}, x)

    path = layer.feedback.path(layer.oriented(layer.weight))
    reference = functional.generic(op, h, layer.weight, path, layer.original)
    out = layer(h)
    torch.testing.assert_close(out, plain(h), rtol=0, atol=0)
    torch.testing.assert_close(reference, out, rtol=0, atol=1e-14)
    delta = torch.randn_like(out)
    for ours, theirs in zip(gradients(out, delta, h, *learned), gradients(reference, delta, h, *learned), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    # F has W's shape and stands in W's place: the input's gradient is the plain layer's with F as its weight
    with_F = copy.deepcopy(plain)
    with torch.no_grad():
        with_F.weight.copy_(layer.feedback_weight())
    torch.testing.assert_close(gradients(out := layer(h), delta, h), gradients(with_F(h), delta, h))


@pytest.mark.parametrize(("cls", "kwargs", "shape"), LAYERS, ids=NAMES)
def test_feedback_equal_to_the_weight_is_backprop(cls, kwargs, shape, mirror):
    torch.manual_seed(0)
    plain = cls(**kwargs, dtype=DOUBLE)
    layer = converted(plain, mirror)
    h = torch.randn(shape, dtype=DOUBLE, requires_grad=True)
    delta = torch.randn_like(plain(h))
    ours = gradients(layer(h), delta, h, *layer.parameters())
    for a, b in zip(ours, gradients(plain(h), delta, h, *plain.parameters()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("cls", "kwargs", "shape"), LAYERS, ids=NAMES)
def test_dfa_sends_the_output_error_to_every_kind(cls, kwargs, shape):
    """By hand: the error, repeated at every output position, back through the layer with D for its weight."""
    if len(shape) == len(LAYERS[0][2]) - 1 or shape == (4, 9) or shape == (4, 5, 4):
        shape = (1, *shape)
    torch.manual_seed(0)
    head = nn.Linear(kwargs.get("out_channels", kwargs.get("out_features")), 3, dtype=DOUBLE)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = cls(**kwargs, dtype=DOUBLE), head

        def forward(self, h):
            a = self.body(h)
            pooled = a if isinstance(self.body, nn.Linear) else a.flatten(2).mean(2)
            return self.head(pooled)

    net = pe.convert(Net(), pe.DFA(), skip="head", verbose=False)
    h = torch.randn(shape, dtype=DOUBLE, requires_grad=True)
    out = net(h)
    e = torch.randn_like(out)
    out.backward(e)
    D = net.body.feedback.D  # (classes, in, *kernel): W's shape with the classes in place of the outputs
    twin_kwargs = {k: v for k, v in kwargs.items() if k not in ("groups", "bias")}
    twin_kwargs["out_channels" if "out_channels" in kwargs else "out_features"] = 3
    twin = cls(**twin_kwargs, bias=False, dtype=DOUBLE)
    with torch.no_grad():
        twin.weight.copy_(D.transpose(0, 1) if isinstance(twin, nn.modules.conv._ConvTransposeNd) else D)
    h2 = h.detach().clone().requires_grad_()
    a = twin(h2)
    e_everywhere = e if isinstance(twin, nn.Linear) else e.reshape(*e.shape, *(1,) * (a.dim() - 2)).expand_as(a)
    a.backward(e_everywhere)
    torch.testing.assert_close(h.grad, h2.grad, rtol=1e-11, atol=1e-12)


class Scaled(nn.Conv2d):
    """A subclass with a forward of its own, linear in its weight."""

    def forward(self, h):
        return super().forward(nnf.pad(h, (1, 0, 1, 0))) * 0.5


class Standardised(nn.Conv2d):
    """Not linear in its weight."""

    def forward(self, h):
        return self._conv_forward(h, self.weight / self.weight.norm(), self.bias)


class Renamed(nn.Linear):
    """Nothing of its own but a name and a method."""

    def size(self):
        return self.in_features


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_subclass_with_a_forward_of_its_own(rule):
    torch.manual_seed(0)
    plain = Scaled(2, 4, 2, dtype=DOUBLE)
    layer = converted(plain, rule)
    assert isinstance(layer, (Scaled, Generic))
    h = torch.randn(3, 2, 5, 5, dtype=DOUBLE, requires_grad=True)
    out = layer(h)
    torch.testing.assert_close(out, plain(h), rtol=0, atol=1e-15)
    delta = torch.randn_like(out)
    with_F = copy.deepcopy(plain)
    with torch.no_grad():
        with_F.weight.copy_(layer.feedback_weight())
    torch.testing.assert_close(gradients(layer(h), delta, h), gradients(with_F(h), delta, h))
    own = gradients(layer(h), delta, layer.weight, layer.bias)
    torch.testing.assert_close(own, gradients(plain(h), delta, plain.weight, plain.bias))
    again = pickle.load(io.BytesIO(pickle.dumps(layer)))
    torch.testing.assert_close(gradients(again(h), delta, h), gradients(layer(h), delta, h))


def test_subclasses_that_cannot_be_judged_are_named():
    with pytest.warns(pe.ConversionWarning, match="0 .a Standardised, whose own forward is not linear in its weight"):
        pe.convert(nn.Sequential(Standardised(2, 2, 1), nn.Conv2d(2, 2, 1)), pe.FA(), verbose=False)
    with pytest.warns(pe.ConversionWarning, match="0 .a Scaled with a forward of its own, which DFA cannot reach"):
        net = pe.convert(nn.Sequential(Scaled(2, 2, 1), nn.Conv2d(2, 2, 1)), pe.DFA(), verbose=False)
    assert type(net[0]) is Scaled


def test_a_subclass_without_a_forward_keeps_the_fast_path_and_its_methods():
    layer = pe.convert(Renamed(3, 2), pe.FA(), verbose=False)
    assert isinstance(layer, pe.Linear)
    assert layer.size() == 3
    assert type(pe.strip(layer)) is Renamed
    assert type(copy.deepcopy(layer)) is type(layer)


def test_lazy_layers_take_the_rule_with_their_first_batch():
    torch.manual_seed(0)
    net = pe.convert(
        nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)), pe.FA(), verbose=False
    )
    x = torch.randn(2, 1, 5, 5)
    out = net(x)
    assert [type(m) for m in pe.layers(net).values()] == [pe.Conv2d, pe.Linear]
    a = net[:3](x).detach().requires_grad_()
    torch.testing.assert_close(gradients(net[3](a), torch.ones_like(out), a)[0], torch.ones(2, 3) @ net[3].feedback.F)
    lazy = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2))
    assert len(pe.layers(pe.convert(lazy, pe.DFA(), example=torch.randn(2, 5), verbose=False))) == 2


@pytest.mark.parametrize("rule", [pe.DFA(), pe.PFA(2)], ids=str)
def test_the_first_output_of_a_lazy_layer_is_already_the_rules(rule):
    torch.manual_seed(0)
    net = pe.convert(nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(3)), rule, verbose=False)
    x = torch.randn(2, 5)
    net(x).sum().backward()
    first = net[0].weight.grad.clone()
    net.zero_grad()
    net(x).sum().backward()
    torch.testing.assert_close(net[0].weight.grad, first)
    with pe.backprop(net):
        net.zero_grad()
        net(x).sum().backward()
    assert not torch.allclose(net[0].weight.grad, first)


ATTENTION = [
    {}, {"batch_first": True}, {"bias": False}, {"kdim": 5, "vdim": 3}, {"add_bias_kv": True}, {"add_zero_attn": True},
    {"batch_first": True, "add_bias_kv": True, "add_zero_attn": True},
]  # fmt: skip
MASKS = ["none", "causal", "bool", "padding", "heads", "both"]


def attended(net, kwargs, mask, weights, h):
    q, k, v = h
    first = kwargs.get("batch_first")
    batch, T, S = (q.shape[0], q.shape[1], k.shape[1]) if first else (q.shape[1], q.shape[0], k.shape[0])
    given = {"need_weights": weights is not None, "average_attn_weights": weights != "by head"}
    blocked = torch.arange(T)[:, None] < torch.arange(S)[None, :] - 1
    if mask in ("bool", "both"):
        given["attn_mask"] = blocked
    if mask == "causal":
        given["attn_mask"] = torch.zeros(T, S, dtype=DOUBLE).masked_fill(blocked, -torch.inf)
    if mask == "heads":
        given["attn_mask"] = torch.stack([torch.roll(blocked, 0, 0)] * batch * net.num_heads)
    if mask in ("padding", "both"):
        given["key_padding_mask"] = torch.arange(S).expand(batch, S) >= S - 1
    return net(q, k, v, **given)


@pytest.mark.parametrize("weights", [None, "mean", "by head"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kwargs", ATTENTION, ids=str)
def test_attention_is_torchs(kwargs, mask, weights, mirror):
    """Outputs and attention weights; and, with F := W, every gradient."""
    torch.manual_seed(0)
    plain = nn.MultiheadAttention(8, 2, dtype=DOUBLE, **kwargs)
    net = pe.convert(plain, mirror, verbose=False)
    assert list(pe.layers(net)) == ["out_proj", "q", "k", "v"]
    sizes = [(2, 4, 8), (2, 5, kwargs.get("kdim", 8)), (2, 5, kwargs.get("vdim", 8))]
    h = [torch.randn(s, dtype=DOUBLE) for s in sizes]
    h = [t.requires_grad_() if kwargs.get("batch_first") else t.transpose(0, 1).requires_grad_() for t in h]
    (ours, own), (theirs, their) = (attended(n, kwargs, mask, weights, h) for n in (net, plain))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    if weights:
        torch.testing.assert_close(own, their, rtol=0, atol=1e-13)
    delta = torch.randn_like(ours)
    named = dict(plain.named_parameters())
    a = gradients(ours, delta, *h, *(dict(net.named_parameters())[n] for n in named))
    for x, y in zip(a, gradients(theirs, delta, *h, *named.values()), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", [*RULES, pe.DFA()], ids=str)
def test_transformer_layer(rule):
    """q, k, v and out learn by the rule; the state dict keeps torch's names; no word about what is not reached."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True), nn.Linear(8, 4))
    net = pe.convert(plain, rule, verbose=False)
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(net(x), plain(x), rtol=0, atol=1e-6)
    assert {n.rpartition(".")[2] for n in pe.layers(net)} == {"q", "k", "v", "out_proj", "linear1", "linear2", "1"}
    assert set(plain.state_dict()) <= set(net.state_dict())
    own = pe.gradient_angle(net, nnf.mse_loss, x, torch.randn(2, 5, 4))
    assert all(own[n] > 1 for n in own if n.rpartition(".")[2] in "qkv")
    stripped = pe.strip(net)
    assert type(stripped[0].self_attn) is nn.MultiheadAttention
    assert list(stripped.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(stripped(x), plain(x), rtol=0, atol=0)


def test_attention_is_copied_pickled_and_loaded():
    torch.manual_seed(0)
    net = pe.MultiheadAttention(8, 2, rule=pe.PFA(2), batch_first=True)
    other = pe.MultiheadAttention(8, 2, rule=pe.PFA(2), batch_first=True)
    other.load_state_dict(net.state_dict())
    x = torch.randn(1, 3, 8, requires_grad=True)
    expected = gradients(net(x, x, x)[0].sum(), None, x)[0]
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), other):
        assert copied.q.parameter is copied.in_proj_weight
        torch.testing.assert_close(gradients(copied(x, x, x)[0].sum(), None, x)[0], expected)


def test_a_projections_angles_are_those_of_its_part():
    torch.manual_seed(0)
    net = pe.MultiheadAttention(8, 2, rule=pe.FA())
    expected = pe.angle(net.k.feedback.F, net.in_proj_weight[8:16]).item()
    assert pe.path_alignment(net)["k"] == pytest.approx(expected)

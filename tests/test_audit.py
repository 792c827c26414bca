"""pe.audit, and the silent faults that it and convert() have to see."""

import copy
import functools
import warnings

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.nn.calling import call


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def converted(net, rule="fa", **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pe.ConversionWarning)
        return pe.convert(net, rule, verbose=False, **kwargs)


def learns(found):
    return {row.name: row.learns for row in found.rows}


# Ways in which a network may hold a layer besides the attribute that registers it


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)
        self.hold()

    def hold(self):
        pass

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Listed(Two):
    def hold(self):
        self.steps = [[self.a], torch.tanh, (self.b,)]

    def forward(self, x):
        return self.steps[2][0](self.steps[1](self.steps[0][0](x)))


class InDict(Two):
    def hold(self):
        self.steps = {"first": self.a, "rest": {"last": self.b}}

    def forward(self, x):
        return self.steps["rest"]["last"](torch.tanh(self.steps["first"](x)))


class Bound(Two):
    def hold(self):
        self.first, self.rest = self.a.forward, [self.b.forward]

    def forward(self, x):
        return self.rest[0](torch.tanh(self.first(x)))


class Lambda(Two):
    def hold(self):
        a, old = self.a, self.b.forward
        self.whole = lambda x: old(torch.tanh(a(x)))

    def forward(self, x):
        return self.whole(x)


class Default(Two):
    def hold(self):
        def whole(x, a=self.a, *, last=self.b.forward):
            return last(torch.tanh(a(x)))

        self.whole = whole

    def forward(self, x):
        return self.whole(x)


class Partial(Two):
    def hold(self):
        self.whole = functools.partial(lambda a, b, x: b(torch.tanh(a(x))), self.a.forward, b=self.b)

    def forward(self, x):
        return self.whole(x=x)


class Functional(Two):
    def forward(self, x):
        return nnf.linear(torch.tanh(nnf.linear(x, weight=self.a.weight, bias=self.a.bias)), self.b.weight, self.b.bias)


class Nested(Two):
    def hold(self):
        self.inner = Functional()

    def forward(self, x):
        return self.b(torch.tanh(self.a(x))) + self.inner(x)


ALIASES = [Two, Listed, InDict, Bound, Lambda, Default, Partial, Functional, Nested]


@pytest.mark.parametrize("inplace", [False, True], ids=["copy", "inplace"])
@pytest.mark.parametrize("kind", ALIASES, ids=lambda k: k.__name__)
def test_wherever_a_layer_is_held_it_learns_by_its_rule(kind, inplace):
    plain, x = kind(), torch.randn(6, 4)
    expected = plain(x)
    net = pe.convert(copy.deepcopy(plain) if kind in (Two, Listed) else plain, "fa", inplace=inplace, verbose=False)
    torch.testing.assert_close(net(x), expected)
    found = pe.audit(net, x)
    assert found.ok, found
    assert {n: v for n, v in learns(found).items() if n.endswith("weight")}.keys() >= {"a.weight", "b.weight"}
    assert all(v == "fa" for n, v in learns(found).items() if n.endswith("weight"))
    net(x).sum().backward()  # by hand: the error reaches a through b's F
    delta = torch.ones(6, 3) @ net.b.feedback.F * (1 - torch.tanh(net.a(x)) ** 2)
    torch.testing.assert_close(net.a.weight.grad, (delta.t() @ x).detach())


@pytest.mark.parametrize("kind", ALIASES, ids=lambda k: k.__name__)
def test_a_copy_does_not_hang_on_its_original(kind):
    plain, x = kind(), torch.randn(6, 4)
    net = pe.convert(plain, "fa", verbose=False)
    expected = net(x)
    with torch.no_grad():
        for p in plain.parameters():
            p.zero_()
    assert torch.equal(net(x), expected)
    back = pe.strip(net)
    torch.testing.assert_close(back(x), expected)
    assert {type(m) for m in back.modules()} == {type(m) for m in plain.modules()}
    back(x).sum().backward()
    assert back.a.weight.grad is not None
    assert net.a.weight.grad is None


class Matrix(Two):
    """Multiplies by a layer's weight itself."""

    def forward(self, x):
        return self.b(torch.tanh(x @ self.a.weight.t() + self.a.bias))


class Both(Two):
    def forward(self, x):
        return self.b(torch.tanh(self.a(x))) + nnf.linear(x, self.a.weight).sum() + (self.a.weight**2).sum()


@pytest.mark.parametrize("kind", [Matrix, Both], ids=lambda k: k.__name__)
def test_what_cannot_be_routed_is_named(kind):
    net, x = pe.convert(kind(), "fa", verbose=False), torch.randn(6, 4)
    found = pe.audit(net, x)
    assert not found.ok
    assert any("a.weight" in problem and "outside" in problem for problem in found.problems)
    assert learns(found)["a.weight"] == "backprop"
    with pytest.warns(pe.ConversionWarning, match="a .its weight is used outside its forward"):
        net = pe.convert(kind(), "fa", verbose=False, example=x)
    assert list(pe.layers(net)) == ["b"]
    net(x).sum().backward()
    assert pe.audit(net, x).ok


class Frozen(Two):
    def hold(self):
        self.a.weight.requires_grad_(False)
        self.below = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.b(torch.tanh((x * self.below) @ self.a.weight.t()))


def test_a_frozen_weight_that_is_used_outside_is_seen():
    with pytest.warns(pe.ConversionWarning, match="a .its weight is used outside its forward"):
        net = pe.convert(Frozen(), "fa", verbose=False, example=torch.randn(6, 4))
    assert not net.a.weight.requires_grad
    found = pe.audit(net, torch.randn(6, 4))
    assert found.ok
    assert learns(found)["a.weight"] == "nothing"


class Idle(Two):
    def hold(self):
        self.c = nn.Linear(4, 4)


def test_a_layer_that_is_not_called_is_named():
    with pytest.warns(pe.ConversionWarning, match="on this example: c: has a rule, but was not called"):
        net = pe.convert(Idle(), "kp", verbose=False, example=torch.randn(6, 4))
    rows = {row.name: row for row in pe.audit(net, torch.randn(6, 4)).rows}
    assert (rows["c.weight"].learns, rows["c.weight"].called) == ("nothing", "not called")
    assert rows["c.feedback.F"].learns == "nothing"


def test_a_hand_made_matrix_is_named():
    class HandMade(Two):
        def hold(self):
            self.mixing = nn.Parameter(torch.randn(4, 4))

        def forward(self, x):
            return super().forward(x @ self.mixing)

    with pytest.warns(pe.ConversionWarning, match="mixing .a matrix of HandMade's own"):
        net = pe.convert(HandMade(), "fa", verbose=False)
    row = next(row for row in pe.audit(net, torch.randn(6, 4)).rows if row.name == "mixing")
    assert (row.learns, row.differs) == ("below fa", True)
    assert "a matrix of HandMade's own" in row.why


@pytest.mark.parametrize("rule", ["pfa", "kp"])
def test_feedback_that_no_optimiser_holds_is_named(rule):
    net = Two()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net = pe.convert(net, rule, inplace=True, verbose=False)
    found = pe.audit(net, torch.randn(6, 4), optimizer=optimizer)
    part = "feedback.F" if rule == "kp" else "feedback.R"
    assert [problem.split(" learns")[0] for problem in found.problems] == [f"a: {part}", f"b: {part}"]
    assert {row.feedback for row in found.rows if row.feedback} == {"not in the optimiser"}
    assert learns(found)[f"a.{part}"] == "nothing"
    with pytest.raises(pe.ConfigError, match="is not in the optimiser that moves the layer's weight"):
        optimizer.step()
    assert pe.audit(net, torch.randn(6, 4), optimizer=torch.optim.SGD(net.parameters(), lr=0.1)).ok


@pytest.mark.parametrize("change", ["set_rule", "reset_feedback"])
def test_feedback_drawn_after_the_optimiser_is_named(change):
    net = converted(Two(), "kp")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net.a.set_rule("pfa") if change == "set_rule" else net.a.reset_feedback()
    found = pe.audit(net, torch.randn(6, 4), optimizer=[optimizer])
    assert len(found.problems) == 1
    assert found.problems[0].startswith("a: feedback.")


def test_a_form_that_the_optimiser_does_not_allow_is_named():
    net = converted(Two(), pe.PFA(2, form="closed"))
    adam = torch.optim.Adam(net.parameters())
    found = pe.audit(net, torch.randn(6, 4), optimizer=adam)
    assert len(found.problems) == 2
    assert all("closed form holds under torch's own SGD only" in problem for problem in found.problems)
    assert {row.feedback for row in found.rows if row.feedback} == {"follows W"}


def test_a_parameter_outside_the_optimiser_learns_nothing():
    net = converted(Two())
    found = pe.audit(net, torch.randn(6, 4), optimizer=torch.optim.SGD(net.b.parameters(), lr=0.1))
    assert found.ok
    assert learns(found) == {"a.weight": "nothing", "a.bias": "nothing", "b.weight": "fa", "b.bias": "backprop"}


# The forward, hooks, parameters and buffers that somebody has put on a layer


def test_a_forward_set_on_the_object_stays_and_is_named():
    net, x = Two(), torch.randn(6, 4)
    net.a.forward = lambda h: 2 * nn.Linear.forward(net.a, h)
    expected = net(x)
    with pytest.warns(pe.ConversionWarning, match="a .a forward was set on the object itself"):
        made = pe.convert(net, "fa", verbose=False)
    assert list(pe.layers(made)) == ["b"]
    assert torch.equal(made(x), expected)
    assert torch.equal(pe.strip(made)(x), expected)


def test_all_that_hangs_on_a_layer_survives():
    net, seen = Two(), []
    net.a.register_full_backward_hook(lambda m, before, after: seen.append(("backward", before, after)))
    net.a.register_forward_hook(lambda m, args, out: seen.append("forward"))
    net.a._register_state_dict_hook(lambda m, state, prefix, meta: state.update({f"{prefix}told": torch.ones(())}))
    net.a.register_parameter("gain", nn.Parameter(torch.ones(2)))
    net.a.register_buffer("count", torch.zeros(3))
    net.a.note = ["mine"]
    made = pe.convert(net, "fa", verbose=False)
    for one in (made, pe.strip(made)):
        seen.clear()
        one(torch.randn(6, 4, requires_grad=True)).sum().backward()
        assert [s if isinstance(s, str) else s[0] for s in seen] == ["forward", "backward"]
        assert one.a.note == ["mine"]
        assert {"a.gain", "a.count", "a.told"} <= set(one.state_dict())
    assert list(pe.strip(made).state_dict()) == list(net.state_dict())


# What audit itself promises


def everything(net):
    state = {f"{n} {kind}": getattr(p, kind) for n, p in net.named_parameters() for kind in ("data", "grad")}
    flags = [(p.requires_grad, id(p)) for p in net.parameters()]
    flags += [(layer.mark.fed, layer.training, sorted(vars(layer))) for layer in pe.layers(net).values()]
    flags += [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in net.modules()]
    kept = {f"{n} {kind}": getattr(layer, kind) for n, layer in pe.layers(net).items() for kind in ("h", "delta")}
    state |= {**dict(net.named_buffers()), **kept, "random": torch.get_rng_state()}
    return {n: t.clone() for n, t in state.items() if t is not None}, flags


class Recorded(pe.FA):
    records = True


pe.rules.base.forget(Recorded)


@pytest.mark.parametrize("rule", [Recorded(), pe.SF("batch"), pe.PFA(2, form="coupled"), pe.DFA()], ids=str)
def test_audit_leaves_no_trace(rule):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(36, 3))
    net, x = converted(net, rule), torch.randn(4, 2, 5, 5)
    net(x).sum().backward()
    before = everything(net)
    found = pe.audit(net, x)
    assert found.ok, found
    tensors, flags = everything(net)
    assert flags == before[1]
    assert tensors.keys() == before[0].keys()
    assert all(torch.equal(t, before[0][n]) for n, t in tensors.items())
    again = pe.audit(net, x)
    assert (again.rows, again.problems) == (found.rows, found.problems)


def test_convert_with_an_example_leaves_no_trace_of_its_passes():
    net = pe.convert(Two(), Recorded(), example=torch.randn(6, 4), verbose=False)
    for layer in pe.layers(net).values():
        assert not layer.mark.fed
        assert not {"h", "delta", "affine", "_watched"} & set(vars(layer))


def test_dropout_has_the_same_masks_in_both_passes():
    net = converted(nn.Sequential(nn.Linear(50, 50), nn.Dropout(), nn.Linear(50, 50), nn.Dropout()))
    rows = {row.name: row for row in pe.audit(net, torch.randn(3, 50)).rows}
    assert rows["2.weight"].differs is False
    assert rows["0.weight"].differs is True


class Several(Two):
    def forward(self, x, scale=None, *, shift=0.0):
        h = self.a(x * (1 if scale is None else scale)) + shift
        return {"h": h, "n": torch.arange(3), "y": (self.b(h), None)}


@pytest.mark.parametrize(
    "example",
    [(torch.ones(2, 4),), (torch.ones(2, 4), torch.ones(4)), ((torch.ones(2, 4), torch.ones(4)),),
     ({"x": torch.ones(2, 4), "shift": 1.0},)],
    ids=["tensor", "arguments", "tuple", "dict"],
)  # fmt: skip
def test_examples_and_outputs_of_every_shape(example):
    found = pe.audit(converted(Several()), *example)
    assert found.ok
    assert learns(found) == {"a.weight": "fa", "a.bias": "below fa", "b.weight": "fa", "b.bias": "backprop"}


def test_a_loss_of_ones_own():
    net = converted(Several())
    found = pe.audit(net, torch.randn(6, 4), loss_fn=lambda out: out["h"].square().sum())
    assert learns(found)["b.weight"] == "nothing"
    assert learns(found)["a.bias"] == "backprop"


def test_one_layer_is_a_last_layer_and_sends_nothing():
    found = pe.audit(converted(nn.Sequential(nn.Linear(4, 3))), torch.randn(2, 4))
    assert found.rows[0].differs is False
    assert "a last layer" in found.rows[0].why
    assert "its feedback is not used" in found.rows[0].why


def test_feedback_that_is_w_itself_changes_nothing():
    net = converted(Two(), pe.PFAo("closed"))
    for layer in pe.layers(net).values():
        layer.feedback.a.zero_()
    found = pe.audit(net, torch.randn(6, 4))
    assert found.ok
    assert learns(found)["a.bias"] == "backprop"


class Restless(Two):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


def test_two_passes_that_differ_are_a_problem():
    found = pe.audit(converted(Restless()), torch.randn(6, 4))
    assert ["two passes over the same example" in problem for problem in found.problems] == [True]


def test_gradients_that_are_not_finite_are_a_problem():
    found = pe.audit(converted(Two()), torch.full((6, 4), float("nan")))
    assert ["not finite" in problem for problem in found.problems] == [True]


def test_nothing_that_learns_is_a_problem():
    net = converted(Two()).requires_grad_(False)
    found = pe.audit(net, torch.randn(6, 4))
    assert ["this example shows nothing" in problem for problem in found.problems] == [True]
    assert set(learns(found).values()) == {"nothing"}


def test_a_wrong_gradient_is_a_problem():
    """A layer whose forward does not go through its rule, though it is its own."""
    net = converted(Two())
    net.b.__dict__["forward"] = functools.partial(nn.Linear.forward, net.b)
    found = pe.audit(net, torch.randn(6, 4))
    assert [problem.split(":")[0] for problem in found.problems] == ["b.weight"]
    assert learns(found)["b.weight"] == "backprop"


def test_within_backprop_the_table_says_so():
    net = converted(Two())
    with pe.backprop(net):
        found = pe.audit(net, torch.randn(6, 4))
    assert set(learns(found).values()) == {"backprop"}


def test_two_rules_in_one_network():
    net = converted(nn.Sequential(*(nn.Linear(4, 4) for _ in range(3))))
    net[1].set_rule("kp")
    found = learns(pe.audit(net, torch.randn(3, 4)))
    assert (found["0.bias"], found["1.bias"], found["2.bias"]) == ("below fa, kp", "below fa", "backprop")
    assert found["1.weight"] == found["1.feedback.F"] == "kp"


def test_the_table_can_be_read_and_counted():
    found = pe.audit(converted(Two(), "pfa"), torch.randn(6, 4))
    text = str(found).splitlines()
    assert text[0].split() == ["name", "shape", "learns", "called", "differs", "feedback", "why"]
    assert text[1].split()[:3] == ["a.weight", "5×4", "pfa"]
    assert text[1].index("own forward") == text[0].index("called")
    assert text[-2] == "6 parameters: 4 pfa, 1 below pfa, 1 backprop."
    assert text[-1] == "No problems."
    assert repr(found) == str(found)
    frame = found.frame()
    assert list(frame.columns) == list(found.rows[0]._fields)
    assert list(frame.learns) == [row.learns for row in found.rows]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: pe.audit(converted(Two())), "audit needs an example"),
        (lambda: pe.audit(Two(), torch.ones(1, 4)), "no layer with a rule"),
        (lambda: pe.audit(converted(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))), torch.ones(1, 4)), "0 is lazy"),
    ],
)
def test_errors(ask, message):
    with pytest.raises(pe.ConfigError, match=message):
        ask()


# Networks of torchvision, timm and transformers that use weights through torch's functions, or keep them in Conv1D


def test_swin_learns_by_its_rule_through_functional_calls():
    from zoo import ZOO

    net, x = ZOO["swin"]()
    net = converted(net, "kp")
    found = pe.audit(net, x)
    assert found.ok
    rows = {row.name: row for row in found.rows}
    routed = [n for n, row in rows.items() if row.called == "routed" and n.endswith("weight")]
    assert len(routed) == 8  # qkv and proj of four blocks
    for n in routed:
        assert rows[n].learns == "kp"
        assert rows[f"{n.removesuffix('weight')}feedback.F"].learns == "kp"
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    F = net.features[1][0].attn.qkv.feedback.F.detach().clone()
    call(net, x).sum().backward()
    optimizer.step()
    assert not torch.equal(F, net.features[1][0].attn.qkv.feedback.F)


def test_conv1d_of_transformers_has_a_rule():
    from zoo import ZOO

    net, x = ZOO["hf_gpt2"]()
    net = converted(net, "fa")
    found = pe.audit(net, x)
    assert found.ok
    own = [row for row in found.rows if row.name.startswith("transformer.h.") and len(row.shape) == 2]
    assert len(own) == 8
    assert {(row.learns, row.called) for row in own} == {("fa", "own forward")}

"""Networks of several inputs and of any output: they are called, and their gradients compared, as they are."""

from collections import OrderedDict, namedtuple

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.nn.calling import call, tensors, with_tensors


class Two(nn.Module):
    """Of two inputs; ``wrap`` makes its output of the logits."""

    def __init__(self, wrap=lambda logits: logits):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 8), nn.Linear(3, 8), nn.Linear(8, 2)
        self.wrap = wrap

    def forward(self, left, right, scale=1.0):
        return self.wrap(self.out(torch.relu(self.a(left) + scale * self.b(right))))


def made(wrap=lambda logits: logits):
    torch.manual_seed(0)
    net = Two(wrap)
    return pe.convert(net, "fa", inplace=True, verbose=False)


LEFT, RIGHT, Y = torch.ones(6, 4), torch.arange(18.0).view(6, 3), torch.arange(6) % 2


def test_tuples_are_arguments_and_mappings_keywords():
    net = made()
    expected = net(LEFT, RIGHT, 2.0)
    assert torch.equal(call(net, (LEFT, RIGHT, 2.0)), expected)
    assert torch.equal(call(net, {"left": LEFT, "scale": 2.0, "right": RIGHT}), expected)
    assert call(len, [1, 2, 3]) == 3  # a list is one argument


def test_angles_are_the_same_however_the_inputs_come():
    net, loss = made(), nnf.cross_entropy
    found = pe.gradient_angle(net, loss, (LEFT, RIGHT), Y)
    assert found == pe.gradient_angle(net, loss, {"left": LEFT, "right": RIGHT}, Y)
    assert found["a"] > 5  # a's error comes by random feedback
    assert found["out"] == pytest.approx(0, abs=1e-3)


class Output(OrderedDict):
    """As transformers' ModelOutput: a mapping whose entries are attributes too."""

    def __getattr__(self, name):
        return self[name]


Named = namedtuple("Named", ["logits", "extra"])


@pytest.mark.parametrize(
    ("wrap", "logits"),
    [
        (lambda t: (t, None), lambda out: out[0]),
        (lambda t: {"logits": t, "hidden": [t * 2]}, lambda out: out["logits"]),
        (lambda t: Named(t, "words"), lambda out: out.logits),
        (lambda t: Output(logits=t), lambda out: out.logits),
        (lambda t: Output(loss=nnf.cross_entropy(t, Y), logits=t), None),
    ],
)
def test_outputs_of_any_kind(wrap, logits):
    if logits is None:  # the network computes its loss itself, and there is no target
        found = pe.gradient_angle(made(wrap), lambda out: out.loss, (LEFT, RIGHT))
    else:
        found = pe.gradient_angle(made(wrap), lambda out, y: nnf.cross_entropy(logits(out), y), (LEFT, RIGHT), Y)
    assert found == pytest.approx(pe.gradient_angle(made(), nnf.cross_entropy, (LEFT, RIGHT), Y))


def test_structures_are_kept():
    found = with_tensors(Output(a=torch.zeros(1), b=(1, [torch.ones(1)])), lambda t: t + 1)
    assert isinstance(found, Output)
    assert found.a.item() == 1
    assert found.b[1][0].item() == 2
    assert [t.item() for t in tensors(found)] == [1, 2]
    assert with_tensors(Named(torch.zeros(1), None), torch.exp).logits.item() == 1


def test_a_step_and_a_tracker_take_them_too():
    net = made()
    before = net.a.weight.detach().clone()
    pe.train_step(net, torch.optim.SGD(net.parameters(), lr=0.1), nnf.cross_entropy, (LEFT, RIGHT), Y)
    assert not torch.equal(net.a.weight, before)
    tracker = pe.Tracker(net, nnf.cross_entropy, ((LEFT, RIGHT), Y))
    tracker.record(0.5)
    assert {(0.5, "a", "gradient_angle"), (0.5, "network", "activation_range")} <= {row[:3] for row in tracker.rows}

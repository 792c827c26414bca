"""convert() on other people's networks: what it reaches, what it says of the rest."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import pfa_edu as pe

NETS = [("resnet18", 21, 32), ("vgg11", 11, 32), ("mobilenet_v3_small", 54, 64)]


@pytest.mark.parametrize("rule", [pe.PFA(2), pe.FA(), pe.DFA()], ids=str)
@pytest.mark.parametrize(("name", "count", "side"), NETS)
def test_torchvision(name, count, side, rule, capsys):
    model = getattr(torchvision.models, name)(num_classes=10)
    if name == "vgg11":  # its 4096-wide head would only cost memory here
        model.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(512 * 49, 64), nn.ReLU(), nn.Linear(64, 10), nn.Identity()
        )
        count = 10
    net = pe.convert(model, rule)
    assert f"{count} layers now learn by" in capsys.readouterr().out
    assert len(pe.layers(net)) == count
    assert not any(isinstance(m, (pe.Linear, pe.Conv2d)) for m in model.modules())  # the model given stays as it was
    net.train()(torch.randn(2, 3, side, side)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_keeps_weights_unless_asked():
    model = pe.mlp((20, 30, 4))
    kept = pe.convert(model, pe.FA(), verbose=False)
    assert torch.equal(kept.fc1.weight, model.fc1.weight)
    drawn = pe.convert(model, pe.FA(), init="xavier", verbose=False)
    assert not torch.equal(drawn.fc1.weight, model.fc1.weight)
    assert (drawn.fc1.bias == 0).all()
    assert drawn.fc1.weight.abs().max() <= (6 / 50) ** 0.5


def test_inplace_keeps_the_parameters():
    model = pe.mlp((4, 3, 2))
    weights = list(model.parameters())
    net = pe.convert(model, pe.FA(), inplace=True, verbose=False)
    assert net is model
    assert [id(p) for p in net.parameters()] == [id(p) for p in weights]


def test_skip():
    net = pe.convert(pe.mlp((4, 3, 3, 2)), pe.FA(), skip=["fc[12]"], verbose=False)
    assert list(pe.layers(net)) == ["fc3"]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.body, self.head = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.body(self.embed(x)))


class Outside(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.mid = nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.mid(self.encode(x)) @ self.encode.weight


class HandMade(nn.Module):
    def __init__(self):
        super().__init__()
        self.mixing, self.out = nn.Parameter(torch.ones(4, 4)), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(x @ self.mixing)


UNREACHED = [
    (lambda: nn.Sequential(nn.GRU(3, 3), nn.Linear(3, 2)), {}, "0 .a recurrent layer", {"1"}),
    (HandMade, {}, "mixing .a matrix of HandMade's own", {"out"}),
    (Tied, {}, "head .its weight is tied", {"body"}),
    (
        lambda: nn.Sequential(weight_norm(nn.Linear(4, 4)), nn.Linear(4, 2)),
        {},
        "parametrised",
        {"1"},
    ),
    (Outside, {"example": torch.ones(2, 4)}, "encode .its weight is used outside", {"mid"}),
]


@pytest.mark.parametrize(("make", "kwargs", "message", "reached"), UNREACHED, ids=[m for *_, m, _ in UNREACHED])
def test_what_cannot_be_reached_is_named(make, kwargs, message, reached):
    with pytest.warns(pe.ConversionWarning, match=message):
        net = pe.convert(make(), pe.FA(), verbose=False, **kwargs)
    assert set(pe.layers(net)) == reached


def test_dfa_sees_how_many_outputs_there_are_on_an_example():
    """The layer that is registered last need not be the head."""

    class HeadFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(5, 3), nn.Linear(4, 5)

        def forward(self, x):
            return {"aside": x, "y": self.head(torch.tanh(self.body(x)))}

    net = pe.convert(HeadFirst(), pe.DFA(output="y"), example=torch.ones(2, 4), verbose=False)
    assert net.head.feedback.D.shape == (3, 5)
    assert net.body.feedback.D.shape == (3, 4)
    assert pe.audit(net, torch.randn(6, 4)).ok

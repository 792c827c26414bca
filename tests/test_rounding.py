"""Whether a gradient angle is valid: the estimated rounding of backprop's gradient against the same in float64."""

import copy
import math

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe


def true_error(net, loss_fn, x, y):
    """Degrees between backprop's gradient in the network's dtype and in float64, per layer."""

    def gradients(net, x):
        with pe.backprop(net):
            return torch.autograd.grad(loss_fn(net(x), y), [layer.weight for layer in pe.layers(net).values()])

    pairs = zip(gradients(net, x), gradients(copy.deepcopy(net).double(), x.double()), strict=True)
    return dict(zip(pe.layers(net), (pe.angle(a, b).item() for a, b in pairs), strict=True))


def points():
    torch.manual_seed(0)
    x = torch.randn(256, 20)
    return x, x[:, :3].argmax(1)


def mlp(rule="fa"):
    torch.manual_seed(0)
    return pe.convert(pe.mlp((20, 64, 64, 3)), rule, verbose=False)


def near(found, truth, factor):
    assert found.keys() == truth.keys()
    for name in truth:
        assert truth[name] / factor < found[name] < truth[name] * factor, (name, found[name], truth[name])


def test_a_network_at_its_start():
    x, y = points()
    near(pe.reference_error(mlp(), nnf.cross_entropy, x, y), true_error(mlp(), nnf.cross_entropy, x, y), 6)


@pytest.mark.parametrize("scale", [1, 3])
def test_a_loss_that_is_nearly_zero(scale):
    """Learned to 1e-6 the angles are still good; three times larger logits leave rounding noise."""
    x, y = points()
    net = mlp("bp")
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(400):
        pe.train_step(net, adam, nnf.cross_entropy, x, y)
    with torch.no_grad():
        net.fc3.weight *= scale
        net.fc3.bias *= scale
    found = pe.reference_error(net, nnf.cross_entropy, x, y)
    near(found, true_error(net, nnf.cross_entropy, x, y), 6)
    assert all((error > 5) == (scale == 3) for error in found.values())
    assert all(math.isnan(a) == (scale == 3) for a in pe.gradient_angle(net, nnf.cross_entropy, x, y).values())


def test_a_sum_that_cancels():
    """At the optimum of least squares the samples' gradients cancel: what is left is their rounding."""
    x, _ = points()
    t = torch.randn(256, 3)
    best = torch.linalg.lstsq(torch.cat([x, torch.ones(256, 1)], 1).double(), t.double()).solution  # (21, 3)
    net = pe.convert(nn.Linear(20, 3), "bp", verbose=False)
    net.weight.data.copy_(best[:20].t())
    net.bias.data.copy_(best[20])
    assert pe.reference_error(net, nnf.mse_loss, x, t)["linear"] > 10
    assert math.isnan(pe.gradient_angle(net, nnf.mse_loss, x, t)["linear"])
    net.weight.data.mul_(1.0001)
    assert pe.reference_error(net, nnf.mse_loss, x, t)["linear"] < 1
    assert pe.gradient_angle(net, nnf.mse_loss, x, t)["linear"] == 0


def test_what_depth_makes_of_bfloat16():
    torch.manual_seed(0)
    net = pe.convert(pe.resnet20(width=4), "fa", verbose=False).bfloat16()
    x, y = torch.randn(32, 3, 32, 32).bfloat16(), torch.arange(32) % 10
    found, truth = pe.reference_error(net, nnf.cross_entropy, x, y), true_error(net, nnf.cross_entropy, x, y)
    near(found, truth, 4)
    assert truth["conv1"] > 10
    assert math.isnan(pe.gradient_angle(net, nnf.cross_entropy, x, y)["conv1"])


def test_underflow():
    torch.manual_seed(0)
    parts = [part for _ in range(20) for part in (nn.Linear(20, 20), nn.Sigmoid())]
    net = pe.convert(nn.Sequential(*parts, nn.Linear(20, 3)), "fa", verbose=False).half()
    x, y = points()
    found = pe.reference_error(net, nnf.cross_entropy, x.half(), y)
    assert found["0"] == 90
    assert found["40"] < 5


class Weighted(nn.Module):
    """A loss that holds tensors of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("w", torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, out, y):
        return nnf.cross_entropy(out, y, weight=self.w)


def by_hand(out, y):
    """A loss that fills a tensor in place."""
    hot = torch.zeros(len(y), 3)
    hot.scatter_(1, y[:, None], 1.0)
    hot[:, 0] += 0.0
    return -(out.log_softmax(1) * hot).sum(1).mean()


def test_losses_that_bring_tensors_along():
    x, y = points()
    plain = pe.reference_error(mlp(), nnf.cross_entropy, x, y)
    for loss in (Weighted(), by_hand):
        found = pe.reference_error(mlp(), loss, x, y)
        assert all(v < 1e-4 for v in found.values())
    assert found == pytest.approx(plain, rel=0.3)


def test_a_loss_that_cannot_be_checked_says_so():
    class Single(torch.autograd.Function):
        @staticmethod
        def forward(ctx, out):
            if out.dtype is not torch.float32:
                raise RuntimeError("float32 only")
            ctx.shape = out.shape
            return out.sum()

        @staticmethod
        def backward(ctx, grad):
            return grad.expand(ctx.shape)

    x, y = points()
    with pytest.warns(pe.RoundingWarning, match="float32 only"):
        found = pe.reference_error(mlp(), lambda out, y: Single.apply(out), x, y)
    assert all(v < 1e-3 for v in found.values())

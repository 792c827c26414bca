"""What is measured: angles between paths, angles between gradients, norms."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .errors import ConfigError
from .nn.modules import RuleLayer, backprop, layers
from .rules import Feedback

Loss = Callable[[Tensor, Tensor], Tensor]


def angle(u: Tensor, v: Tensor) -> Tensor:
    """The angle between vec(u) and vec(v) in degrees, a float64 scalar tensor; NaN if either is all zeros.

    Kahan's formula 2·atan2(|û − v̂|, |û + v̂|), which keeps its digits near 0° where arccos loses half of them.

    >>> angle(torch.tensor([1., 0.]), torch.tensor([1., 1.])).item()
    45.0
    """
    u, v = u.detach().double().flatten(), v.detach().double().flatten()
    u, v = u / u.norm(), v / v.norm()
    return torch.rad2deg(2 * torch.atan2((u - v).norm(), (u + v).norm()))


def path_alignment(net: nn.Module) -> dict[str, float]:
    """Angle in degrees between vec(F) and vec(W) for every layer with a feedback weight: 0 under backprop.

    90° says that the feedback knows nothing of W. DFA's layers have no F and are left out. (The paper's 'path
    alignment'.)
    """
    return _per_layer(net, lambda layer: angle(layer.feedback_weight(), layer.weight))


def norm_ratio(net: nn.Module) -> dict[str, float]:
    """‖F‖/‖W‖ (Frobenius) for every layer with a feedback weight: 1 under backprop."""
    return _per_layer(
        net, lambda layer: layer.feedback_weight().double().norm() / layer.weight.detach().double().norm()
    )


def _per_layer(net: nn.Module, measure: Callable[[RuleLayer], Tensor]) -> dict[str, float]:
    found = {n: layer for n, layer in layers(net).items() if layer.feedback is None or not layer.feedback.direct}
    if not found:
        return {}
    values = torch.stack([measure(layer) for layer in found.values()]).tolist()  # one transfer for all layers
    return dict(zip(found, values, strict=True))


def gradient_angle(net: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor) -> dict[str, float]:
    """Angle in degrees between the rule's weight gradient and backprop's, per layer, at the same weights and batch.

    0° is backprop's own direction, 90° no information; beyond it a step of this layer alone would raise the loss.
    Shapes: ``x`` (batch, ...), ``y`` whatever ``loss_fn(net(x), y)`` takes; the loss must be a scalar. Leaves the
    network, its ``.grad``, its batch-norm statistics and the random stream as they were.
    """
    found = {name: layer for name, layer in layers(net).items() if layer.weight.requires_grad}
    if not found:
        raise ConfigError("gradient_angle: every layer's weight is frozen (requires_grad=False)")
    weights = [layer.weight for layer in found.values()]

    def gradients() -> tuple[Tensor, ...]:
        with _undisturbed(net), torch.enable_grad():
            return torch.autograd.grad(loss_fn(net(x), y), weights, allow_unused=True, materialize_grads=True)

    own = gradients()
    with backprop(net):
        exact = gradients()
    values = torch.stack([angle(a, b) for a, b in zip(own, exact, strict=True)]).tolist()
    return dict(zip(found, values, strict=True))


@contextlib.contextmanager
def _undisturbed(net: nn.Module) -> Iterator[None]:
    """Puts buffers and the random stream back as they were, so that looking does not change what is looked at."""
    # Feedback keeps its present draw: a new one in one pass only would shift dropout's masks between the two passes
    drawn = [m for m in net.modules() if isinstance(m, Feedback) and m.training]
    for m in drawn:
        m.training = False
    buffers = [(b, b.detach().clone()) for b in net.buffers() if b is not None]
    cuda = sorted({p.device.index for p in net.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        finally:
            for m in drawn:
                m.training = True
    with torch.no_grad():
        for b, before in buffers:
            b.copy_(before)


class Tracker:
    """Records path alignment, norm ratio and gradient angle of ``net`` whenever asked, without changing its training.

    ``probe``: the fixed batch (x, y) for the gradient angle. ``rows``: a list of (epoch, layer, metric, value).

    >>> tracker = Tracker(net, loss_fn, probe=(x, y))   # doctest: +SKIP
    >>> tracker.record(epoch=0)                         # doctest: +SKIP
    """

    def __init__(self, net: nn.Module, loss_fn: Loss, probe: tuple[Tensor, Tensor]):
        self.net, self.loss_fn, self.probe = net, loss_fn, probe
        self.rows: list[tuple[int, str, str, float]] = []

    def record(self, epoch: int) -> None:
        """Measures now; ``epoch`` is the number of epochs completed (0 = before training)."""
        measured = {
            "path_alignment": path_alignment(self.net),
            "norm_ratio": norm_ratio(self.net),
            "gradient_angle": gradient_angle(self.net, self.loss_fn, *self.probe),
        }
        self.rows += [(epoch, name, metric, v) for metric, by in measured.items() for name, v in by.items()]

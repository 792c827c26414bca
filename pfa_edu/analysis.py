"""What is measured: angles between paths, angles between gradients, norms, and what theory says of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .errors import ConfigError
from .feedback import Direct, SignSymmetric
from .layers import backprop, layers

Loss = Callable[[Tensor, Tensor], Tensor]
_KURTOSIS = 1.8  # of a uniform variable


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


def _per_layer(net: nn.Module, measure: Callable[[nn.Module], Tensor]) -> dict[str, float]:
    found = {name: layer for name, layer in layers(net).items() if not isinstance(layer.feedback, Direct)}
    if not found:
        return {}
    values = torch.stack([measure(layer) for layer in found.values()]).tolist()  # one transfer for all layers
    return dict(zip(found, values, strict=True))


def gradient_angle(net: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor) -> dict[str, float]:
    """Angle in degrees between the rule's weight gradient and backprop's, per layer, at the same weights and batch.

    0° is backprop's own direction, 90° no information; beyond it a step of this layer alone would raise the loss.
    Shapes: ``x`` (batch, ...),
    ``y`` whatever ``loss_fn(net(x), y)`` takes; the loss must be a scalar. Leaves the network, its ``.grad``, its
    batch-norm statistics and the random stream as they were.
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
    # brSF keeps its present magnitudes: a draw in one pass only would shift dropout's masks between the two passes
    drawn = [m for m in net.modules() if isinstance(m, SignSymmetric) and m.training]
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


def alignment_limit(ratio: float, density: float = 1.0, out: float = math.inf) -> float:
    """The path angle that PFA reaches once its initial mismatch has faded: arctan(1/sqrt(ratio·density)), in degrees.

    The angle between F = B R and W where R = mask ∘ Bᵀ W, for a random B, both with masks of ``density`` p: 45° at
    ratio 1, 17.55° at 10. PFA-o's limit is 0. This holds for wide layers; with few synapses left on a neuron the angle
    is larger, and for ``out`` output neurons the masks and B, drawn independently, give on average
    ⟨F, W⟩ = p ‖W‖² and ‖F‖² = (p² (1 − 1/mid) + p (out − 1 + κ/p)/mid) ‖W‖², mid = ratio·out, κ = 1.8 the kurtosis of
    B's uniform entries before the mask. Hence tan² = (out − 1 + κ/p)/(mid p) − 1/mid.

    >>> round(alignment_limit(10), 3), round(alignment_limit(10, density=0.1, out=100), 1)
    (17.548, 47.2)
    """
    if not ratio > 0:
        raise ConfigError(f"ratio {ratio!r}: mid neurons per output neuron, a positive number")
    if not 0 < density <= 1:
        raise ConfigError(f"density {density!r} is the fraction of feedback synapses that exist: it must be in (0, 1]")
    if not out >= 1:
        raise ConfigError(f"out {out!r}: the number of output neurons, at least 1")
    finite = 1 + ((_KURTOSIS / density - 1) - density) / out  # the sum above, in units of its limit 1/(ratio p)
    return math.degrees(math.atan(math.sqrt(finite / (ratio * density))))


def mismatch(steps: int, lr: float, momentum: float, weight_decay: float) -> float:
    """a_t after ``steps`` of SGD: what the optimiser makes of the scalar 1 with a zero gradient.

    It is the part of the initial mismatch E that is left in F = G W + a E (design: the closed form).
    """
    a, velocity = 1.0, 0.0
    for _ in range(steps):
        velocity = momentum * velocity + weight_decay * a
        a -= lr * velocity
    return a


def steps_to_fade(target: float, lr: float, momentum: float, weight_decay: float) -> int:
    """The number of SGD steps after which a_t is at most ``target``: how long a strong decay has to last.

    >>> steps_to_fade(0.06, lr=0.01, momentum=0.9, weight_decay=0.03)
    920
    """
    if not 0 < target < 1 or min(lr, weight_decay) <= 0 or not 0 <= momentum < 1:
        raise ConfigError(
            f"steps_to_fade needs 0 < target < 1, positive lr and weight_decay and 0 <= momentum < 1; got target "
            f"{target}, lr {lr}, weight_decay {weight_decay}, momentum {momentum}"
        )
    a, velocity, steps = 1.0, 0.0, 0
    while a > target:
        velocity = momentum * velocity + weight_decay * a
        a -= lr * velocity
        steps += 1
    return steps

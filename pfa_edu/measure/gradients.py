"""How far a rule's weight gradients point away from backprop's, and whether that angle may be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..nn.calling import call, tensors
from ..nn.layer import RuleLayer, backprop, layers
from ..nn.sharded import is_sharded
from ..nn.usage import undisturbed
from .paths import angle
from .rounding import MOST, loss_errors, reference_angle
from .shaking import shaken_errors
from .watching import Watch

Loss = Callable[..., Tensor]


def gradient_angle(net: nn.Module, loss_fn: Loss, x: Any, *targets: Any) -> dict[str, float]:
    """Angle in degrees between the rule's weight gradient and backprop's, per layer, at the same weights and batch.

    0° is backprop's own direction, 90° no information; beyond it a step of this layer alone would raise the loss.
    **NaN: not valid.** There rounding alone may have turned backprop's gradient by more than 5°
    (:func:`reference_error` says by how much), or one of the two gradients is zero.

    ``x``: a tensor (batch, ...); a tuple, whose parts are the network's arguments; or a dict of its keyword arguments.
    ``targets``: whatever ``loss_fn(net(x), *targets)`` takes. The network's output goes to the loss as it is (a tensor,
    tuple, dict, transformers' ModelOutput); the loss must be a scalar. Leaves the network, its ``.grad``, its
    batch-norm statistics and the random stream as they were.

    >>> import pfa_edu as pe
    >>> net = pe.convert(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), pe.BP(), verbose=False)
    >>> gradient_angle(net, nn.functional.cross_entropy, torch.randn(5, 4), torch.arange(5) % 3)
    {'0': 0.0, '2': 0.0}
    """
    return compare(net, loss_fn, x, *targets).angles


def reference_error(net: nn.Module, loss_fn: Loss, x: Any, *targets: Any) -> dict[str, float]:
    """Degrees by which rounding may have turned backprop's own gradient, per layer; the arguments of gradient_angle.

    An estimate: ``pfa_edu/measure/rounding.py`` derives it and says how good it is. 90: there is no gradient at all.
    NaN: the layer does its work outside its own forward, and was not seen.
    """
    return compare(net, loss_fn, x, *targets).errors


def activation_scale(net: nn.Module, x: Any) -> dict[str, float]:
    """The size of every layer's output, sqrt(mean a²), in the order in which the layers are called on ``x``.

    Sizes that grow or shrink from layer to layer are the first sign that credit assignment fails in a deep network.

    >>> import pfa_edu as pe
    >>> net = nn.Sequential(pe.Linear(4, 4), pe.Linear(4, 4))
    >>> for layer in net:
    ...     _ = layer.weight.data.copy_(3 * torch.eye(4))
    >>> {name: round(size, 3) for name, size in activation_scale(net, torch.ones(2, 4)).items()}
    {'0': 3.0, '1': 9.0}
    """
    watch = Watch()
    with undisturbed(net), torch.no_grad(), watch.on(layers(net)):
        call(net, x)
    return _numbers(watch.rms)


def scale_ratios(scales: dict[str, float]) -> dict[str, float]:
    """``activation_growth``: the last layer's size to the first's; ``activation_range``: the largest to the smallest.

    >>> scale_ratios({"fc1": 0.5, "fc2": 2.0, "fc3": 1.0})
    {'activation_growth': 2.0, 'activation_range': 4.0}
    """
    sizes = torch.tensor(list(scales.values()) or [float("nan")], dtype=torch.float64)  # (layers,); a dead one is 0
    ratios = torch.stack([sizes[-1] / sizes[0], sizes.max() / sizes.min()])
    return dict(zip(("activation_growth", "activation_range"), ratios.tolist(), strict=True))


class Compared(NamedTuple):
    """What two passes tell, per layer: gradient angles (NaN where not valid), reference errors, activation sizes."""

    angles: dict[str, float]
    errors: dict[str, float]
    scales: dict[str, float]


def compare(net: nn.Module, loss_fn: Loss, x: Any, *targets: Any) -> Compared:
    """One pass by the rules and one by backprop, where sizes are taken on the way; a smaller one for rounding."""
    everywhere = layers(net)
    if any(is_sharded(layer.weight) for layer in everywhere.values()):
        raise ConfigError(
            "gradient_angle: the weights are spread over several processes (FSDP2), where no gradient of a whole one "
            "is kept: load the full state dict into a network of one process and measure there"
        )
    found = {name: layer for name, layer in everywhere.items() if layer.weight.requires_grad}
    if not found:
        raise ConfigError("gradient_angle: every layer's weight is frozen (requires_grad=False)")
    with undisturbed(net), torch.enable_grad():
        loss = loss_fn(call(net, x), *targets)
        own = _parts(found, _gradients(loss, found))
    watch = Watch()
    with backprop(net):
        with undisturbed(net), torch.enable_grad(), watch.on(everywhere):
            out = call(net, x)
            ends = [t for t in tensors(out) if t.requires_grad]
            both = _gradients(loss_fn(out, *targets), found, ends)
            whole, errors = both[: len(found)], both[len(found) :]
            wrong = loss_errors(loss_fn, out, targets, errors)
        held = [layer.parameter for layer in found.values()]
        shaken = shaken_errors(net, loss_fn, (x, *targets), held, whole)  # (layers,)
    exact = _parts(found, whole)
    turned = [
        reference_angle(g, watch.sizes.get(name, ()), wrong, moved)
        for name, g, moved in zip(found, exact, shaken, strict=True)
    ]
    angles = [torch.where(error > MOST, torch.nan, angle(a, b)) for error, a, b in zip(turned, own, exact, strict=True)]
    return Compared(
        _numbers(dict(zip(found, angles, strict=True))), _numbers(dict(zip(found, turned, strict=True))),
        _numbers(watch.rms),
    )  # fmt: skip


def _gradients(loss: Tensor, found: dict[str, RuleLayer], ends: list[Tensor] | None = None) -> tuple[Tensor, ...]:
    wanted: list[Tensor] = [*(layer.parameter for layer in found.values()), *(ends or [])]
    return torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)


def _parts(found: dict[str, RuleLayer], grads: tuple[Tensor, ...]) -> list[Tensor]:
    """Of every layer's parameter's gradient the part that is the layer's own: attention keeps q, k, v in one matrix."""
    return [layer.part(grad) for layer, grad in zip(found.values(), grads, strict=True)]


def _numbers(scalars: dict[str, Tensor]) -> dict[str, float]:
    """As Python numbers, in one transfer."""
    return dict(zip(scalars, torch.stack(list(scalars.values())).tolist(), strict=True)) if scalars else {}

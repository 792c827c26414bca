"""How the feedback weight F lies to the forward weight W, layer by layer: angle, length, signs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..nn.layer import RuleLayer, layers
from ..nn.sharded import whole


def angle(u: Tensor, v: Tensor) -> Tensor:
    """The angle between vec(u) and vec(v) in degrees, a float64 scalar tensor; NaN if either is all zeros.

    Kahan's formula 2·atan2(|û − v̂|, |û + v̂|), which keeps its digits near 0° where arccos loses half of them.

    >>> angle(torch.tensor([1., 0.]), torch.tensor([1., 1.])).item()
    45.0
    """
    u, v = u.detach().double().flatten(), v.detach().double().flatten()
    length = u.norm()
    v = v * (length / v.norm())  # as long as u, which serves as well as both of length 1
    apart = (u - v).norm()
    return torch.rad2deg(2 * torch.atan2(apart / length, v.add_(u).norm() / length))


def length_ratio(F: Tensor, W: Tensor) -> Tensor:
    """‖F‖/‖W‖ (Frobenius), a float64 scalar tensor."""
    return F.double().norm() / W.detach().double().norm()


def same_signs(F: Tensor, W: Tensor) -> Tensor:
    """The fraction of entries of F with W's sign, of those that are zero in neither; NaN if there are none.

    >>> same_signs(torch.tensor([1.0, -2.0, 3.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 1.0])).item() * 3
    2.0
    """
    F, W = F.detach(), W.detach()
    there = (F != 0) & (W != 0)  # W's shape
    alike = (F > 0) == (W > 0)
    return (alike & there).count_nonzero().double() / there.count_nonzero()


MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "path_alignment": angle, "norm_ratio": length_ratio, "sign_agreement": same_signs,
}  # fmt: skip


def path_alignment(net: nn.Module) -> dict[str, float]:
    """Angle in degrees between vec(F) and vec(W) for every layer with a feedback weight: 0 under backprop.

    90° says that the feedback knows nothing of W. DFA's layers have no F and are left out. (The paper's 'path
    alignment'.)
    """
    return path_measures(net, "path_alignment")["path_alignment"]


def norm_ratio(net: nn.Module) -> dict[str, float]:
    """‖F‖/‖W‖ (Frobenius) for every layer with a feedback weight: 1 under backprop."""
    return path_measures(net, "norm_ratio")["norm_ratio"]


def sign_agreement(net: nn.Module) -> dict[str, float]:
    """The fraction of F's entries that have W's sign, for every layer with a feedback weight: 1 under backprop.

    0.5 is chance. Entries that are zero in F (sparse feedback) or in W are left out; NaN where none remain.
    """
    return path_measures(net, "sign_agreement")["sign_agreement"]


def path_measures(net: nn.Module, *names: str) -> dict[str, dict[str, float]]:
    """The named measures, by default all of them, of every layer with a feedback weight; F is formed once a layer."""
    names = names or tuple(MEASURES)
    found = {n: layer for n, layer in layers(net).items() if layer.feedback is None or not layer.feedback.direct}
    if not found:
        return {name: {} for name in names}
    values = torch.stack([_measured(layer, names) for layer in found.values()]).t().tolist()  # one transfer for all
    return {name: dict(zip(found, row, strict=True)) for name, row in zip(names, values, strict=True)}


def _measured(layer: RuleLayer, names: tuple[str, ...]) -> Tensor:
    with whole(layer):
        F = layer.feedback_weight()  # W's shape
        return torch.stack([MEASURES[name](F, layer.weight) for name in names])  # (names,)

"""Everything that is measured of a network in training, as rows for the table of results."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..nn.layer import layers
from .gradients import Loss, compare, scale_ratios
from .paths import path_measures

Row = tuple[float, str, str, float]  # epoch, layer or 'network', metric, value


class Tracker:
    """Records what a network's feedback and gradients are like whenever asked, without changing its training.

    Of every layer: path alignment, norm ratio, sign agreement, gradient angle, and two checks of the angle's worth, the
    size of the activations and by how much rounding may have turned backprop's gradient. Of the network: how much the
    activations grow over its depth. ``probe``: the fixed batch (x, \\*targets), as :func:`gradient_angle` takes it.
    ``rows``: a list of (epoch, layer, metric, value).

    >>> tracker = Tracker(net, loss_fn, probe=(x, y))   # doctest: +SKIP
    >>> tracker.record(epoch=0)                         # doctest: +SKIP
    >>> tracker.record(epoch=0.25)                      # doctest: +SKIP
    """

    def __init__(self, net: nn.Module, loss_fn: Loss, probe: tuple[Any, ...]):
        self.net, self.loss_fn, self.probe = net, loss_fn, probe
        self.rows: list[Row] = []

    def record(self, epoch: float) -> None:
        """Measures now; ``epoch``: how many are completed, 0 before training, 0.25 a quarter through the first."""
        compared = compare(self.net, self.loss_fn, *self.probe)
        scales = {name: compared.scales[name] for name in layers(self.net) if name in compared.scales}
        measured = {
            **path_measures(self.net),
            "gradient_angle": compared.angles,
            "reference_error": compared.errors,
            "activation_rms": scales,
        }
        self.rows += [(epoch, name, metric, v) for metric, by in measured.items() for name, v in by.items()]
        self.rows += [(epoch, "network", metric, v) for metric, v in scale_ratios(compared.scales).items()]

    def take(self) -> list[Row]:
        """The rows so far; they are then no longer here."""
        rows, self.rows = self.rows, []
        return rows

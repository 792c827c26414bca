"""A small drawing of a network under one rule: the forward path above, the feedback path below, layer by layer.

Circles are neurons, squares carry errors, diamonds are PFA's mid neurons. Forward lines run to the right and stay
grey; feedback lines run to the left and take the colour and weight of the angle between F and W.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from .picture import GREY, INK
from .race_engine import Entry

# Cividis without its pale end: readable by the colour-blind, and dark = aligned in a grey print too.
ANGLES = mpl.colormaps["cividis"].resampled(91)
_TOP, _LOW = (0.63, 0.91), (0.17, 0.45)  # the heights between which neurons stand: forward, feedback
_GAP = 0.02  # between a neuron's middle and the lines
_DRAWN = 5  # neurons drawn of a layer, however many it has
_MID = 7  # of PFA's mid neurons


def angle_colour(degrees: float) -> tuple[float, float, float, float]:
    """0° the darkest, 90° and more the palest."""
    return ANGLES(min(max(degrees, 0.0), 90.0) / 90 * 0.85)


class NetworkDrawing:
    """Draws the parts that stay onto ``ax`` and gives, by layer, the artists that change (``feedback``).

    ``layers``: the layers' names from input to output. ``direct``: the output error goes straight to every layer (DFA);
    there is no F, so its lines stay grey.
    """

    def __init__(self, ax: Axes, entry: Entry, layers: list[str], inputs: int, outputs: int, direct: bool = False):
        self.ax, self.entry, self.rule = ax, entry, entry.rule()
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.axis("off")
        drawn = [min(inputs, _DRAWN), *[_DRAWN] * (len(layers) - 1), min(outputs, _DRAWN)]
        x = np.linspace(0.05, 0.95, len(drawn))
        self._forward = [_column(x[i], n, _TOP) for i, n in enumerate(drawn)]
        self._errors = [_column(x[i], n, _LOW) for i, n in enumerate(drawn)]
        self._random = np.random.default_rng(0)  # which of the lines of a sparse path are drawn
        for left, right in pairwise(self._forward):
            ax.add_patch(_strokes(_between(left, right), edgecolor="#BBBBBB", linewidth=0.5))
        for points in self._forward:
            ax.plot(*points.T, "o", color="white", markeredgecolor=INK, markersize=5, zorder=3)
        for points in self._errors:
            ax.plot(*points.T, "s", color="white", markeredgecolor=GREY, markersize=4.2, zorder=3)
        ax.text(0.0, 1.0, "forward W →", fontsize=9, color=GREY, va="center")
        told = (self.rule.equation or entry.name).partition(",")[0]  # "F = B R", not by which way
        ax.text(0.0, 0.54, f"← feedback: {told}", fontsize=9, color=GREY, va="center")
        self.feedback: dict[str, PathPatch] = {}
        self.middles: dict[str, float] = {}
        for name, (left, right) in zip(layers, pairwise(self._errors), strict=True):
            self.middles[name] = (left[0, 0] + right[0, 0]) / 2
            ax.text(self.middles[name], 0.09, name, fontsize=9, color=GREY, ha="center", va="center")
            if not direct:
                self.feedback[name] = self._path(name, left, right)
        if direct:
            self._direct()

    def _path(self, name: str, left: np.ndarray, right: np.ndarray) -> PathPatch:
        """The feedback lines of one layer, from the errors at ``right`` to those at ``left``."""
        mid_neurons = self.rule.mid(_DRAWN * 20)  # of a layer large enough that every ratio gives a whole number
        if mid_neurons is not None:
            count, (low, high) = (_DRAWN if mid_neurons == _DRAWN * 20 else _MID), _LOW
            mid = _column(self.middles[name], count, (low - 0.01, high + 0.01))
            self.ax.plot(*mid.T, "D", color="white", markeredgecolor=GREY, markersize=3, zorder=3)
            lines = self._kept(_between(right, mid)) + self._kept(_between(mid, left))
        else:
            lines = self._kept(_between(right, left))
        strokes = _strokes(lines, zorder=2, animated=True)
        self.ax.add_patch(strokes)
        return strokes

    def _kept(self, lines: list[np.ndarray]) -> list[np.ndarray]:
        """As many of the lines as the path is dense, and at least one."""
        keep = self._random.random(len(lines)) < self.entry.density
        keep[0] |= not keep.any()
        return [line for line, kept in zip(lines, keep, strict=True) if kept]

    def _direct(self) -> None:
        """DFA: bows from the output's error to every hidden layer, under the layers between."""
        source = self._errors[-1].mean(axis=0)
        t = np.linspace(0, 1, 20)[:, None]
        for points in self._errors[1:-1]:
            bow = np.array([(source[0] + points[0, 0]) / 2, 0.06])
            lines = [(1 - t) ** 2 * source + 2 * t * (1 - t) * bow + t**2 * p for p in points]
            self.ax.add_patch(_strokes(self._kept(lines), edgecolor=GREY, linewidth=0.8, zorder=2))

    def set_angle(self, name: str, degrees: float) -> PathPatch:
        """Colours the feedback path of layer ``name``, to be drawn again; returns it."""
        lines = self.feedback[name]
        lines.set_edgecolor(angle_colour(degrees))
        lines.set_linewidth(0.5 + 1.0 * (1 - min(degrees, 90.0) / 90))
        return lines

    def place(self, name: str) -> tuple[float, float, float, float]:
        """The rectangle of the axes (x0, y0, x1, y1) that the feedback path of ``name`` lies in."""
        i = list(self.feedback).index(name)
        return self._errors[i][0, 0] + _GAP / 2, _LOW[0] - 0.03, self._errors[i + 1][0, 0] - _GAP / 2, _LOW[1] + 0.03


def _strokes(lines: list[np.ndarray], **look: Any) -> PathPatch:
    """All lines, each (points, 2), as one path: drawn at once, which is many times faster than one by one."""
    codes = [code for line in lines for code in (Path.MOVETO, *[Path.LINETO] * (len(line) - 1))]
    return PathPatch(Path(np.concatenate(lines), codes), fill=False, **look)


def _column(x: float, count: int, span: tuple[float, float]) -> np.ndarray:
    """(count, 2) points above one another."""
    return np.stack([np.full(count, x), np.linspace(*span, count)], axis=1)


def _between(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Every line from a point of ``a`` to a point of ``b``, each (2, 2), that stops short of the neurons themselves.

    Nothing of a path then lies under a neuron, so that a path can be wiped and drawn again by itself.
    """
    short = _GAP / abs(b[0, 0] - a[0, 0])
    return [np.stack([p + short * (q - p), q + short * (p - q)]) for p in a for q in b]

"""The paper's Figure 3, alive: what the product B R makes of a weight W, once R is aligned, and why.

compute(ratio, density, out, fan_in, orthogonal, seed) → Aligned → DimensionsPicture
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import ScalarFormatter
from torch import Tensor, nn

from ...errors import ConfigError
from ...measure import angle
from ...plots import rule_look
from ...rules import alignment_limit
from ...rules.product import draw_product
from .base import Explorer
from .controls import Number, Switch
from .heatmaps import FourMatrices
from .picture import INK, tidy

CONTROLS = (
    Number("ratio", "Ratio mid / out", "Mid neurons per output neuron", 1, 100, 10, step=0.05, log=True),
    Number("density", "Density", "Fraction of the synapses in B and in R that exist", 0.05, 1, 1, step=0.05),
    Switch("orthogonal", "Orthogonal B", "B with orthonormal rows, as in PFA-o, instead of random entries"),
    Number("out", "Output neurons", "Rows of W, and of B", 20, 200, 100, step=10, whole=True),
    Number("fan_in", "Input neurons", "Columns of W, and of R", 20, 512, 256, step=4, whole=True),
    Number("seed", "Seed", "Another draw of W, B and the masks", 0, 99, 0, whole=True),
)
QUESTION = "Predict first: at what angle to W is F = B R, and what changes it? Then move a control."
_RATIOS = np.geomspace(1, 100, 60)
_MASKED = 6  # input neurons whose part of R's mask is looked at; each has a spectrum of its own


@dataclass(frozen=True)
class Aligned:
    """An aligned feedback path. W (out, in), B (out, mid), R = Bᵀ W (mid, in), F = B R (out, in), each masked."""

    ratio: float  # mid/out as it is: mid is a whole number
    density: float
    orthogonal: bool
    W: Tensor
    B: Tensor
    R: Tensor
    F: Tensor
    eigenvalues: np.ndarray  # rising, of what W is multiplied by, over their mean: see ``spectrum``
    angle: float  # degrees between vec(F) and vec(W)

    @property
    def spread(self) -> float:
        """The angle in degrees that the eigenvalues' spread makes, for a W that is independent of B."""
        return math.degrees(math.atan(self.eigenvalues.std() / self.eigenvalues.mean()))


def compute(ratio: float, density: float, out: int, fan_in: int, orthogonal: bool, seed: int) -> Aligned:
    """Draws W Xavier-uniform and B as PFA does, and sets R to where learning leads it: Bᵀ W.

    >>> round(compute(ratio=10, density=1.0, out=100, fan_in=256, orthogonal=True, seed=0).angle, 3)
    0.0
    """
    mid = round(ratio * out)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        W = nn.init.xavier_uniform_(torch.empty(out, fan_in))
        B, _ = draw_product(W[:, :1], mid, orthogonal, density)  # one column: R's start is of no interest here
        if density < 1:
            B *= torch.rand_like(B) < density
        R = B.t() @ W  # (mid, in)
        mask = torch.rand_like(R) < density if density < 1 else torch.ones_like(R, dtype=torch.bool)
        R *= mask
        F = B @ R  # (out, in)
    return Aligned(mid / out, density, orthogonal, W, B, R, F, spectrum(B, mask), angle(F, W).item())


def spectrum(B: Tensor, mask: Tensor) -> np.ndarray:
    """Rising eigenvalues of what stands between W and F, divided by their mean.

    Dense, F = (B Bᵀ) W. With R = ``mask`` ∘ Bᵀ W, column j of W meets a matrix of its own, B Mⱼ Bᵀ, where Mⱼ keeps the
    mid neurons that have a synapse from input j: B Bᵀ alone then says nothing about the angle. So the eigenvalues of
    some of these matrices are taken together. B (out, mid), mask (mid, in); result (out,) or (some · out,).
    """
    columns = mask[:, :1] if mask.all() else mask[:, :_MASKED]
    kept = B * columns.t()[:, None, :]  # (some, out, mid)
    values = torch.linalg.eigvalsh(kept @ kept.mT).flatten().sort().values.numpy()
    return values / values.mean()


def marchenko_pastur(x: np.ndarray, ratio: float) -> np.ndarray:
    """Density at ``x`` of the eigenvalues of B Bᵀ for a large random B (out, mid), entries of variance 1/mid.

    Marchenko and Pastur (1967), with ``ratio`` = mid/out of at least 1: between (1 − 1/√ratio)² and (1 + 1/√ratio)².
    """
    if not ratio >= 1:
        raise ConfigError(f"ratio {ratio!r}: below 1, B Bᵀ has eigenvalues that are 0 and no density there")
    low, high = edges(ratio)
    x = np.asarray(x, dtype=float)
    inside = (x > low) & (x < high) & (x > 0)
    safe = np.where(inside, x, 1.0)
    return np.where(inside, ratio * np.sqrt(np.abs((high - safe) * (safe - low))) / (2 * np.pi * safe), 0.0)


def edges(ratio: float) -> tuple[float, float]:
    """The smallest and largest eigenvalue of B Bᵀ for a large random B: (1 ∓ 1/√ratio)²."""
    return (1 - ratio**-0.5) ** 2, (1 + ratio**-0.5) ** 2


def sparse_limit(ratio: float, density: float, out: int) -> float:
    """Expected angle in degrees for a random B with masks of ``density`` on B and R; dense, the limit of wide layers.

    >>> round(sparse_limit(ratio=10, density=0.5, out=100), 1)
    24.3
    """
    return alignment_limit(ratio) if density == 1 else alignment_limit(ratio, density, out)


def theory(result: Aligned) -> float | None:
    """The angle that theory expects; None for a sparse orthogonal B, for which we have none."""
    if result.orthogonal:
        return 0.0 if result.density == 1 else None
    return sparse_limit(result.ratio, result.density, len(result.W))


def summary(result: Aligned) -> str:
    expected = theory(result)
    told = "no theory for a sparse orthogonal B" if expected is None else f"theory {expected:.1f}°"
    low, high = result.eigenvalues[[0, -1]]
    return (
        f"Ratio {result.ratio:.3g}: the angle between F = B R and W is {result.angle:.1f}° ({told}). "
        f"Eigenvalues of {_product(result)} over their mean from {low:.2f} to {high:.2f}; "
        f"this spread makes {result.spread:.1f}°."
    )


def _product(result: Aligned) -> str:
    """What W is multiplied by, in symbols."""
    return "B Bᵀ" if result.density == 1 else "B Mⱼ Bᵀ"


class DimensionsPicture(FourMatrices):
    """B, R, their product and W; F against W; the spectrum between the two; the angle against the ratio."""

    def __init__(self) -> None:
        super().__init__(("×", "=", "≈"))
        self.name_matrices("B, fixed", "R, learned", "F = B R", "W")
        random, orthogonal = rule_look("pfa"), rule_look("pfa-o")
        ax = self.left
        tidy(ax, "What stretches W on its way to F: eigenvalues", " ", "Density")
        ax.set(xlim=(0, 4.5), ylim=(0, 5))
        self._bars = ax.stairs([0], [0, 1], fill=True, facecolor=random.colour, alpha=0.45, label="measured")
        (self._law,) = ax.plot([], [], color=INK, linestyle=":", linewidth=1.8, label="Marchenko-Pastur")
        self._range = ax.text(0.99, 0.45, "", transform=ax.transAxes, fontsize=9, color=INK, ha="right")
        self._whose = ax.text(0.5, -0.19, "", transform=ax.transAxes, fontsize=10, color=INK, ha="center", va="top")
        self.live(self._bars, self._law, self._range, self._whose)
        self.answers(self._bars, self._law, self._range, ax.legend(loc="upper right", frameon=False, fontsize=9))

        self.angle_axes("The angle between F and W", "Ratio mid / out")
        ax = self.right
        ax.set_xscale("log")
        ax.set(xlim=(0.9, 112), xticks=[1, 2, 5, 10, 20, 50, 100])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.minorticks_off()
        (curve,) = ax.plot(
            _RATIOS, [alignment_limit(r) for r in _RATIOS], color=INK, linestyle=":", linewidth=1.6,
            label="dense random B: arctan(1/√ratio)",
        )  # fmt: skip
        zero = ax.axhline(0, color=orthogonal.colour, linestyle="-.", linewidth=1.2, label="dense orthogonal B: 0°")
        dashed: dict[str, Any] = {"color": random.colour, "linestyle": "--", "linewidth": 1.4}
        (self._sparse,) = ax.plot([], [], label="this density, where below 1", **dashed)
        (self._point,) = ax.plot([], [], marker=random.marker, markersize=9, markeredgecolor="white")
        self._value = ax.text(0, 0, "", fontsize=10.5, fontweight="bold", color=INK, va="bottom", ha="left")
        self.live(self._sparse, self._point, self._value)
        legend = ax.legend(loc="upper right", frameon=False, fontsize=9)
        self.answers(curve, zero, self._sparse, self._point, self._value, legend, self._maps[2])

    def show(self, result: Aligned) -> None:
        for place, matrix in enumerate((result.B, result.R, result.F, result.W)):
            self.show_matrix(place, matrix, scale=matrix.square().mean().sqrt().item())
        style = rule_look("pfa-o" if result.orthogonal else "pfa")
        self.show_cloud(result.F, result.W, result.angle, style.colour)
        self._show_spectrum(result)

        self._bars.set_facecolor(style.colour)
        self._point.set(color=style.colour, marker=style.marker)
        self._point.set_data([result.ratio], [result.angle])
        self._value.set_text(f"{result.angle:.1f}°")
        self._value.set(x=result.ratio, y=result.angle + 4, ha="left" if result.ratio < 50 else "right")
        sparse = result.density < 1 and not result.orthogonal
        out = len(result.W)
        self._sparse.set_data(
            (_RATIOS, [sparse_limit(r, result.density, out) for r in _RATIOS]) if sparse else ([], [])
        )

    def _show_spectrum(self, result: Aligned) -> None:
        ratio = result.ratio * result.density  # of the mid neurons that are left to one input
        low, high = edges(max(ratio, 1))
        plain = result.orthogonal and result.density == 1
        width = 0.08 if plain else (high - low) / 18  # 1 is in the middle of one of the first kind
        bins = np.arange(0, result.eigenvalues[-1] + 2 * width, width)
        heights, bins = np.histogram(np.maximum(result.eigenvalues, 0), bins, density=True)
        self._bars.set_data(np.minimum(heights, 5), bins)
        x = np.linspace(low, high, 120)[1:-1]
        known = not result.orthogonal and ratio >= 1
        self._law.set_data((x, np.minimum(marchenko_pastur(x, ratio), 5)) if known else ([], []))
        self._range.set_text(
            f"from {result.eigenvalues[0]:.2f} to {result.eigenvalues[-1]:.2f}\nspread: {result.spread:.1f}°"
        )
        each = "" if result.density == 1 else " (Mⱼ: the mask of input j)"
        self._whose.set_text(f"Eigenvalue of {_product(result)}{each}, over the mean")


def explorer() -> Explorer:
    """The explorer of feedback dimensions: a ratio of 1 to 100, density, sizes, random or orthogonal B, seed."""
    return Explorer(CONTROLS, compute, DimensionsPicture(), summary, question=QUESTION)

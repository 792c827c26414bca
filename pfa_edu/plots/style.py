"""How figures look, and how they are saved: quiet axes in seaborn's theme, a legend that is never over data.

No pyplot: its global figure registry leaks memory in long sessions. Seaborn is imported where something is drawn, not
up here, as it takes a second or two: whoever only asks for a rule's colour does not wait for it.
"""

from __future__ import annotations

import functools
import io
import math
import os
import textwrap
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import pandas as pd
from matplotlib import figure
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .._files import write
from ..rules import Look
from .on_page import picture_html

INK, GREY, PAPER = "#222222", "#666666", (0, (4, 2))
_FRAME, _GRID = "#AAAAAA", "#E8E8E8"
_P = ParamSpec("_P")
_one_theme = threading.RLock()  # seaborn sets matplotlib's settings for the whole process


class Figure(figure.Figure):
    """A matplotlib figure that a notebook shows without further ado, whatever backend is active."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        # Twice the pixels of the displayed size: sharp on dense screens. Without this method IPython prints only the
        # type's name, unless the inline backend happens to have been switched on.
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=160)
        width, height = self.get_size_inches() * 80
        return buffer.getvalue(), {"width": int(width), "height": int(height)}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        png, size = self._repr_png_()
        alt = self.get_suptitle() or "figure"
        return {"text/html": picture_html(png, size["width"], alt), "image/png": png}, {"image/png": size}


def themed(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Runs ``draw`` in the theme of this package's figures; what was set before comes back afterwards."""

    @functools.wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        import seaborn as sns

        quiet = {
            "axes.edgecolor": _FRAME, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
            "grid.color": _GRID, "axes.spines.top": False, "axes.spines.right": False,
        }  # fmt: skip
        with _one_theme, sns.axes_style("whitegrid", quiet), sns.plotting_context("paper", font_scale=1.05):
            return draw(*args, **kwargs)

    return drawn


def grid(n: int, xlabel: str, ylabel: str, beside: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` panels with shared axes, at most four abreast; only the outer ones are labelled.

    ``beside``: inches to the right of the panels for a colour bar.
    """
    columns = n if n <= 4 else math.ceil(n / math.ceil(n / 4))
    rows = math.ceil(n / columns)
    size = (max(6.4, 1.0 + 2.6 * columns) + beside, 1.55 + 2.5 * rows)
    fig = Figure(figsize=size, layout="constrained")
    axes = list(fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for i, ax in enumerate(axes[:n]):
        lowest, leftmost = i + columns >= n, i % columns == 0  # the panel above a gap is the lowest of its column
        ax.tick_params(labelbottom=lowest, labelleft=leftmost)
        ax.set_xlabel(xlabel if lowest else "")
        ax.set_ylabel(ylabel if leftmost else "")
    for ax in axes[n:]:
        ax.remove()
    return fig, axes[:n]


def limits(ax: Axes, low: float, high: float, least: float = 0.0) -> None:
    """The y axis from ``low`` to ``high`` with a margin, at least ``least`` in all; above 100 no more than needed."""
    margin = 0.06 * (high - low) or 0.5
    low, high = low - margin, high + margin
    if high - low < least:
        top = min((low + high + least) / 2, max(high, 100.0))
        low, high = top - least, top
    ax.set_ylim(low, high)


def ratio_axis(ax: Axes) -> None:
    """Norm ratios, from zero: only so are distances between lines honest; dotted where F is as long as W."""
    alike = ax.get_shared_y_axes().get_siblings(ax)
    ax.set_ylim(0, 1.06 * max(1.0, *(other.dataLim.ymax for other in alike if other.has_data())))
    ax.axhline(1, color=INK, linestyle=":", linewidth=1.3, zorder=1)


def angle_axis(ax: Axes, theory: float | None = 90.0) -> None:
    """Degrees: the same axis for every run, unless angles go further; a little below 0, so that 0 is not cut."""
    highest = max((other.dataLim.ymax for other in ax.figure.axes if other.has_data()), default=0)
    ax.set_yticks(range(0, 91 if highest <= 93 else 181, 15 if highest <= 120 else 30))
    ax.set_ylim(-2, max(97, highest + 4))
    if theory is not None:
        ax.axhline(theory, color=INK, linestyle=":", linewidth=1.3, zorder=1)


def dress(ax: Axes, title: str, epochs: bool = True) -> None:
    """The title of themed axes, and ticks at whole epochs."""
    ax.set_title(title, loc="left", fontweight="bold")
    if not epochs:
        return
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    low, high = ax.dataLim.intervalx
    if low == high:  # a single epoch: no fractions of epochs beside it
        ax.set_xlim(low - 0.9, high + 0.9)


def look(ax: Axes, title: str) -> None:
    """The theme for axes that exist already, such as an explorer's: a bold title, quiet lines, a grid behind."""
    ax.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)
    ax.xaxis.label.set(fontsize=10, color=INK)
    ax.yaxis.label.set(fontsize=10, color=INK)
    ax.tick_params(labelsize=9, color=_FRAME, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(_FRAME)
    ax.set_axisbelow(True)
    ax.grid(visible=True, color=_GRID, linewidth=0.8)


def rule_handle(look: Look, note: str = "") -> Line2D:
    label = f"{look.label} ({note})" if note else look.label
    return Line2D([], [], color=look.colour, marker=look.marker, markeredgecolor="white", linewidth=1.8,
                  markersize=6.5 * look.size, label=label)  # fmt: skip


def theory_handle(label: str) -> Line2D:
    return Line2D([], [], color=INK, linestyle=":", linewidth=1.3, label=label)


def legend(fig: Figure, handles: Sequence[Line2D], paper: pd.DataFrame | None = None, band: bool = False) -> None:
    """Below the panels, never over data, in as many columns as the figure is wide enough for.

    ``paper``: the published rows that were drawn, if any; ``band``: with their scatter.
    """
    shown: list[Any] = list(handles)  # matplotlib takes a pair, too, as one handle; its types do not say so
    labels = [str(handle.get_label()) for handle in handles]
    if paper is not None and len(paper):
        one = paper["std"].isna().all()
        labels.append("the paper's (1 seed)" if one else "the paper's mean" + " ± 1 std" * band)
        line = Line2D([], [], color=GREY, linestyle=PAPER, linewidth=1.1, marker="o", markersize=4.5,
                      markerfacecolor="white", markeredgecolor=GREY)  # fmt: skip
        shown.append((Patch(color=GREY, alpha=0.18, linewidth=0), line) if band and not one else line)
    if not shown:
        return
    widths = [0.085 * len(label) + 0.6 for label in labels]  # inches: its letters, and the line before
    width = fig.get_figwidth()
    ncols = len(shown) if sum(widths) <= width else max(1, int(width / max(widths)))
    fig.set_figheight(fig.get_figheight() + 0.2 * (math.ceil(len(shown) / ncols) - 1))  # not at the panels' expense
    fig.legend(shown, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=9.5)


def colour_bar(fig: Figure, axes: Sequence[Axes], colours: Mapping[str, str]) -> None:
    """The layers of a deep network as a scale from input to output; five of them have room for their names."""
    names, n = list(colours), len(colours)
    norm = BoundaryNorm([i - 0.5 for i in range(n + 1)], n)
    scale = ScalarMappable(norm, ListedColormap(list(colours.values())))
    named = [round(i * (n - 1) / 4) for i in range(5)]
    bar = fig.colorbar(scale, ax=axes, location="right", aspect=30, pad=0.01, ticks=named)
    bar.ax.set_yticklabels([names[i] for i in named], fontsize=8.5)
    bar.ax.set_title("Layer", loc="left", fontsize=9)
    bar.ax.invert_yaxis()  # the input first, as one reads
    bar.ax.minorticks_off()
    bar.ax.grid(visible=False)
    bar.outline.set_visible(False)


def headline(fig: Figure, title: str, seeds: pd.Series, about: str = "", notes: Iterable[str] = (),
             spread: bool = True) -> None:  # fmt: skip
    """The title, and small below it how many ``seeds`` stand behind the lines, what was run, and further ``notes``."""
    low, high = seeds.min(), seeds.max()
    several = f"{high} seeds" if low == high else f"{low} to {high} seeds"
    behind = "1 seed" if high == 1 else f"mean ± 1 std of {several}" if spread else f"mean of {several}"
    text = "  ·  ".join(part for part in (behind, about, *notes) if part)
    lines = textwrap.wrap(text, int(14 * fig.get_figwidth()))  # letters of this size to the inch
    inch = 1 / fig.get_figheight()
    layout = fig.get_layout_engine()
    assert layout is not None
    layout.set(rect=(0, 0, 1, 1 - (0.37 + 0.17 * len(lines)) * inch))  # type: ignore[call-arg]
    fig.suptitle(title, x=0.01, y=1 - 0.08 * inch, ha="left", va="top", fontsize=12.5, color=INK)
    fig.text(0.01, 1 - 0.33 * inch, "\n".join(lines), fontsize=9.5, color=GREY, va="top")


def save(fig: figure.Figure, folder: str | os.PathLike[str], name: str) -> list[Path]:
    """Write ``folder/name.png`` (150 dpi) and ``folder/name.svg``; returns both paths.

    Each file appears whole or not at all. Raises OutputError if the folder cannot be written.
    """
    paths = []
    for kind in ("png", "svg"):
        fill = functools.partial(fig.savefig, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        paths.append(write(Path(folder) / f"{name}.{kind}", fill))
    return paths

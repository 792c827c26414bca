"""How figures look, and how they are saved: one colour and marker per rule, quiet axes, a legend never over data.

No pyplot: its global figure registry leaks memory in long sessions and is not safe between threads.
"""

from __future__ import annotations

import functools
import io
import math
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .._files import write
from ..rules import Look, known_rules

# The rules' own colours are Okabe and Ito's palette, told apart by the colour-blind too. A rule without a look of its
# own takes the next of these, which are none of them (Paul Tol's muted scheme).
_CYCLE = ["#882255", "#44AA99", "#999933", "#332288", "#AA4499", "#117733", "#661100", "#6699CC"]
_MARKERS = "ph8P<>dH"


def rule_look(label: str) -> Look:
    """How a rule is shown, by the label that results have: 'pfa', or with knobs, 'pfa ratio=20'.

    A rule that this process does not know (results of somebody else) is shown under its own name.

    >>> rule_look("pfa ratio=20").label
    'PFA ratio=20'
    """
    name, _, knobs = label.partition(" ")
    cls = known_rules().get(name)
    look = cls.look if cls is not None else None
    if look is None:
        without = [n for n, c in known_rules().items() if c.look is None]
        i = without.index(name) if name in without else zlib.crc32(name.encode())
        look = Look(name, _CYCLE[i % len(_CYCLE)], _MARKERS[i % len(_MARKERS)])
    return look._replace(label=f"{look.label} {knobs}") if knobs else look


def in_order(labels: Iterable[str]) -> list[str]:
    """Each label once, in the order of legends and tables: that of the rules, then the unknown ones by name."""
    order = {name: i for i, name in enumerate(known_rules())}
    return sorted(dict.fromkeys(labels), key=lambda label: (order.get(label.split()[0], len(order)), label))


INK, GREY, PAPER = "#222222", "#666666", (0, (4, 2))


class Figure(figure.Figure):
    """A matplotlib figure that a notebook shows by itself, whatever backend is active."""

    def _repr_png_(self):
        # Twice the pixels of the displayed size: sharp on dense screens. Without this method IPython prints only the
        # type's name, unless the inline backend happens to have been switched on.
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=160)
        width, height = self.get_size_inches() * 80
        return buffer.getvalue(), {"width": int(width), "height": int(height)}


def layer_colours(layers: Sequence[str]) -> dict[str, str]:
    """A colour for each layer: viridis without its yellow end, which fades on white; dark = near the input."""
    shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.82, len(layers)))
    return {layer: mpl.colors.to_hex(shade) for layer, shade in zip(layers, shades, strict=True)}


def grid(n: int, xlabel: str, ylabel: str) -> tuple[Figure, list]:
    """A figure of ``n`` panels with shared axes, at most four abreast; only the outer ones are labelled."""
    columns = n if n <= 4 else math.ceil(n / math.ceil(n / 4))
    rows = math.ceil(n / columns)
    fig = Figure(figsize=(max(6.4, 1.0 + 2.6 * columns), 1.55 + 2.5 * rows), layout="constrained")
    axes = list(fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for i, ax in enumerate(axes[:n]):
        lowest, leftmost = i + columns >= n, i % columns == 0  # the panel above a gap is the lowest of its column
        ax.tick_params(labelbottom=lowest, labelleft=leftmost)
        ax.set_xlabel(xlabel if lowest else "")
        ax.set_ylabel(ylabel if leftmost else "")
    for ax in axes[n:]:
        ax.remove()
    return fig, axes[:n]


def line(ax, rows, colour, label, **style):
    if rows.empty:
        return
    one = {} if len(rows) > 1 else {"marker": "o"}  # a line of one point is invisible
    ax.plot(rows["epoch"], rows["mean"], color=colour, label=label, **{"linewidth": 1.8, "zorder": 3, **one, **style})
    if rows["std"].notna().any():
        low, high = rows["mean"] - rows["std"], rows["mean"] + rows["std"]
        ax.fill_between(rows["epoch"], low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def rule_line(ax, rows, rule, phase):
    """``phase`` in [0, 1) staggers the markers, so that curves on top of each other still show every rule's."""
    style, n = rule_look(rule), len(rows)
    every = max(1, n // 6)
    line(
        ax,
        rows,
        style.colour,
        style.label,
        linestyle="-",
        marker=style.marker,
        markersize=5 * style.size,
        markeredgecolor="white",
        markeredgewidth=0.6,
        markevery=(int(phase * every), every),
    )


def paper_line(ax, rows, colour, points=0):
    """Behind our line; ``points`` hollow dots in front of it show the paper's curve even where ours covers it."""
    if rows.empty:
        return
    rows = rows.sort_values("epoch")
    ax.plot(rows["epoch"], rows["mean"], color=colour, linestyle=PAPER, linewidth=1.1, alpha=0.7, zorder=2.5)
    if points:
        dots = rows.iloc[:: -max(1, len(rows) // points)]  # from the end, which is what one compares
        ax.plot(dots["epoch"], dots["mean"], "o", color=colour, markerfacecolor="white", markersize=3.5, zorder=4)


def limits(ax, low, high):
    margin = 0.06 * (high - low) or 0.5
    ax.set_ylim(low - margin, high + margin)


def angle_axis(ax, theory=90.0):
    # Fixed, the same picture for every run, unless angles go further; a little more than 0 to 95, so that 0 is not cut.
    highest = max((other.dataLim.ymax for other in ax.figure.axes if other.has_data()), default=0)
    ax.set_yticks(range(0, 181 if highest > 93 else 91, 15))
    ax.set_ylim(-2, max(97, highest + 4))
    if theory is not None:
        ax.axhline(theory, color=INK, linestyle=":", linewidth=1.3, zorder=1)


def dress(ax, title):
    """The look of axes over epochs."""
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    low, high = ax.dataLim.intervalx
    if low == high:  # a single epoch: no fractions of epochs beside it
        ax.set_xlim(low - 0.9, high + 0.9)
    look(ax, title)


def look(ax, title):
    """The look of any axes: a bold title on the left, quiet lines, a grid behind the data."""
    ax.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)
    ax.xaxis.label.set(fontsize=10, color=INK)
    ax.yaxis.label.set(fontsize=10, color=INK)
    ax.tick_params(labelsize=9, color="#AAAAAA", labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#AAAAAA")
    ax.set_axisbelow(True)
    ax.grid(visible=True, color="#E8E8E8", linewidth=0.8)


def rule_handle(rule, note=""):
    style = rule_look(rule)
    label = f"{style.label} ({note})" if note else style.label
    return Line2D([], [], color=style.colour, marker=style.marker, markeredgecolor="white", linewidth=1.8,
                  markersize=6.5 * style.size, label=label)  # fmt: skip


def theory_handle(label):
    return Line2D([], [], color=INK, linestyle=":", linewidth=1.3, label=label)


def legend(fig, handles, paper):
    """Below the panels, never over data, in as many columns as the figure is wide enough for."""
    if paper is not None and len(paper):
        style = {"linestyle": PAPER, "linewidth": 1.1, "marker": "o", "markersize": 4.5, "markerfacecolor": "white"}
        handles = [*handles, Line2D([], [], color=GREY, label="the paper's result", **style)]
    widths = [0.085 * len(handle.get_label()) + 0.6 for handle in handles]  # inches: its letters, and the line before
    width = fig.get_figwidth()
    ncols = len(handles) if sum(widths) <= width else max(1, int(width / max(widths)))
    fig.legend(handles=handles, loc="outside lower center", ncols=ncols, frameon=False, fontsize=9.5)


def headline(fig, title, stats, about=""):
    """The title, and small below it how many seeds stand behind the lines, and what the runs were ``about``."""
    low, high = stats["seeds"].min(), stats["seeds"].max()
    seeds = f"{high} seeds" if low == high else f"{low} to {high} seeds"
    note = "1 seed" if high == 1 else f"mean ± 1 std of {seeds}"
    note = f"{note}  ·  {about}" if about else note
    inch = 1 / fig.get_figheight()
    fig.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.54 * inch))  # the two lines stand above everything else
    fig.suptitle(title, x=0.01, y=1 - 0.08 * inch, ha="left", va="top", fontsize=12.5, color=INK)
    fig.text(0.01, 1 - 0.33 * inch, note, fontsize=9.5, color=GREY, va="top")


def save(fig: figure.Figure, folder: str | os.PathLike, name: str) -> list[Path]:
    """Write ``folder/name.png`` (150 dpi) and ``folder/name.svg``; returns both paths.

    Each file appears whole or not at all. Raises OutputError if the folder cannot be written.
    """
    paths = []
    for kind in ("png", "svg"):
        fill = functools.partial(fig.savefig, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        paths.append(write(Path(folder) / f"{name}.{kind}", fill))
    return paths

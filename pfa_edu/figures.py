"""Every picture and table of results: pure functions from a tidy frame of runs to a figure.

The frame has the columns ``rule`` (bp, fa, dfa, sf, kp, pfa, pfa-o), ``seed``, ``epoch`` (epochs completed, 0 = before
training), ``layer`` ('network' for whole-net metrics; layers in the order of the forward pass), ``metric``, ``value``.
One visual grammar holds throughout: solid = measured here (line: mean over seeds, band: ±1 std), dashed or hollow = the
paper's, dotted = theory. Rules differ in colour and marker, layers in brightness, so a grey print stays readable.

The std divides by n, not n − 1 (the paper does not say which it uses), and is NaN for a single seed.
No pyplot: its global figure registry leaks memory in long sessions and is not safe between threads.
"""

from __future__ import annotations

import io
import math
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from . import errors


@dataclass(frozen=True)
class RuleStyle:
    label: str
    colour: str
    marker: str
    size: float = 1.0  # evens out the areas of the markers
    linestyle: str = "-"  # dashed is kept for the paper, dotted for theory


# Okabe and Ito's palette: told apart by the colour-blind too. The order here is the order of every legend and table.
RULE_STYLE = {
    "bp": RuleStyle("BP", "#000000", "o"),
    "fa": RuleStyle("FA", "#E69F00", "v"),
    "dfa": RuleStyle("DFA", "#56B4E9", "s"),
    "sf": RuleStyle("SF", "#009E73", "*", 1.6),
    "kp": RuleStyle("KP", "#CC79A7", "X", 1.2),
    "pfa": RuleStyle("PFA", "#D55E00", "D"),
    "pfa-o": RuleStyle("PFA-o", "#0072B2", "^"),
}
_INK, _GREY, _PAPER = "#222222", "#666666", (0, (4, 2))
_COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]
_NEAR = 3.0  # accuracy points below the best within which rules are compared in the right-hand panel


class Figure(figure.Figure):
    """A matplotlib figure that a notebook shows by itself, whatever backend is active."""

    def _repr_png_(self):
        # Twice the pixels of the displayed size: sharp on dense screens. Without this method IPython prints only the
        # type's name, unless the inline backend happens to have been switched on.
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=160)
        width, height = self.get_size_inches() * 80
        return buffer.getvalue(), {"width": int(width), "height": int(height)}


# ---------------------------------------------------------------------------------------------------- figures


def accuracy(frame: pd.DataFrame, published: pd.DataFrame | None = None, title: str | None = None) -> Figure:
    """Test accuracy in percent: per epoch (left), and after the last epoch, enlarged, every seed a dot (right).

    ``published``: what ``published.curves`` returns; drawn for the rules and epochs that ``frame`` has. Epoch 0 is left
    out, chance level would flatten everything else. Raises ConfigError if the frame has no test accuracy.
    """
    stats = _stats(frame, "test_accuracy")
    if (stats["epoch"] > 0).any():
        stats = stats[stats["epoch"] > 0]
    rules = _rules(stats)
    paper = _paper(published, "test_accuracy", stats)

    fig = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[1.75, 1])
    for i, rule in enumerate(rules):
        _paper_line(left, _select(paper, rule=rule), RULE_STYLE[rule].colour)
        _rule_line(left, _select(stats, rule=rule), rule, i / len(rules))
    # Slow starters would stretch the axis: once curves are long, the lowest 3 % of the points may fall below it.
    low = stats["mean"].quantile(0.03 if stats["epoch"].nunique() >= 10 else 0)
    _limits(left, low, stats["mean"].max())
    left.set(xlabel="Epochs of training", ylabel="Test accuracy in %")
    _dress(left, "Every epoch")
    _last_epoch(right, frame, stats, paper, rules)
    _legend(fig, [_rule_handle(rule) for rule in rules], paper)
    _headline(fig, title or "Test accuracy of each learning rule", stats)
    return fig


def path_alignment(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, limits: dict[str, float] | None = None
) -> Figure:
    """Angle in degrees between feedback weight F and forward weight W per layer, one panel per rule (BP: always 0).

    ``limits``: the theoretical end point per rule in degrees, as {'pfa': 17.55, 'pfa-o': 0}.
    Raises ConfigError if no rule in the frame but BP has the metric.
    """
    title = "How far the feedback weights F point away from the forward weights W"
    return _rule_panels(frame, published, "path_alignment", title, "Path alignment ∠(F, W)\nin degrees", limits)


def norm_ratio(frame: pd.DataFrame, published: pd.DataFrame | None = None) -> Figure:
    """Length of the feedback weight relative to the forward weight, ‖F‖/‖W‖, per layer; one panel per rule (BP: 1)."""
    title = "How long the feedback weights F are, relative to the forward weights W"
    return _rule_panels(frame, published, "norm_ratio", title, "Norm ratio ‖F‖ / ‖W‖", None)


def gradient_angle(frame: pd.DataFrame) -> Figure:
    """Angle in degrees between each rule's weight gradient and backprop's; 90 = no information about descent.

    One panel per layer with the rules as lines; a deep net (over 6 layers) gets one panel per rule instead.
    """
    stats = _stats(frame, "gradient_angle")
    title, ylabel = "How far each rule's weight update points away from backprop's", "Gradient angle to BP\nin degrees"
    layers = list(dict.fromkeys(stats["layer"]))
    if len(layers) > 6:
        return _rule_panels(frame, None, "gradient_angle", title, ylabel, None)
    rules = _rules(stats)
    fig, axes = _grid(len(layers), "Epochs of training", ylabel)
    for ax, layer in zip(axes, layers, strict=True):
        for i, rule in enumerate(rules):
            _rule_line(ax, _select(stats, rule=rule, layer=layer), rule, i / len(rules))
        _angle_axis(ax)
        _dress(ax, layer)
    handles = [*(_rule_handle(rule) for rule in rules), _theory_handle("no information: 90°")]
    _legend(fig, handles, None)
    _headline(fig, title, stats)
    return fig


def layer_colours(layers: Sequence[str]) -> dict[str, str]:
    """A colour for each layer: viridis without its yellow end, which fades on white; dark = near the input."""
    shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.82, len(layers)))
    return {layer: mpl.colors.to_hex(shade) for layer, shade in zip(layers, shades, strict=True)}


# ---------------------------------------------------------------------------------------------------- tables


def table(frame: pd.DataFrame, published: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per rule: the numbers after the last epoch that all of the rule's seeds have reached (``epochs``).

    Accuracies in percent; ``paper_mean`` and ``paper_std`` are the published ones after the SAME epoch, and
    ``difference`` is ours minus theirs in points. ``path_min``, ``path_max``: path alignment in degrees, the lowest and
    highest layer. ``gradient_angle``: degrees, mean over the hidden layers (the output layer's is exact in every rule).
    NaN where a number does not exist.
    """
    _stats(frame, "test_accuracy")  # for its checks
    rows = []
    for rule, runs in frame.groupby("rule"):
        scores = _last(runs, "test_accuracy")
        epoch = scores["epoch"].iloc[0] if len(scores) else math.nan
        ours = scores["value"]
        paper = _select(published, rule=rule, metric="test_accuracy", epoch=epoch)
        path = _last(runs, "path_alignment").groupby("layer")["value"].mean()
        angle = _last(runs, "gradient_angle").groupby("layer", sort=False)["value"].mean()
        rows.append(
            {
                "rule": rule,
                "seeds": len(ours),
                "epochs": epoch,
                "accuracy_mean": ours.mean(),
                "accuracy_std": ours.std(ddof=0) if len(ours) > 1 else math.nan,
                "paper_mean": paper["mean"].mean(),
                "paper_std": paper["std"].mean(),
                "path_min": path.min(),
                "path_max": path.max(),
                "gradient_angle": (angle.iloc[:-1] if len(angle) > 1 else angle).mean(),
            }
        )
    result = pd.DataFrame(rows).set_index("rule").loc[_rules(frame)].reset_index()
    result.insert(7, "difference", result["accuracy_mean"] - result["paper_mean"])
    return result


def format_table(table: pd.DataFrame) -> str:
    """What ``table`` returns as plain text for a terminal, under 100 characters wide; '–' where there is no number."""

    def number(value, pattern):
        return "–" if pd.isna(value) else pattern.format(value)

    def pair(mean, std):
        return number(mean, "{:.2f}") + ("" if pd.isna(std) else f" ± {std:.2f}")

    lines = [("rule", "seeds", "epochs", "accuracy %", "paper %", "difference", "path angle °", "gradient angle °")]
    for row in table.itertuples():
        low, high = number(row.path_min, "{:.1f}"), number(row.path_max, "{:.1f}")
        lines.append(
            (
                RULE_STYLE[row.rule].label,
                str(row.seeds),
                number(row.epochs, "{:.0f}"),
                pair(row.accuracy_mean, row.accuracy_std),
                pair(row.paper_mean, row.paper_std),
                number(round(row.difference, 2) + 0.0, "{:+.2f}"),  # + 0.0: no "-0.00"
                low if low == high else f"{low} to {high}",
                number(row.gradient_angle, "{:.1f}"),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([c[0].ljust(widths[0]), *map(str.rjust, c[1:], widths[1:])]) for c in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def save(fig: figure.Figure, folder: str | os.PathLike, name: str) -> list[Path]:
    """Write ``folder/name.png`` (150 dpi) and ``folder/name.svg``; returns both paths.

    Each file appears whole or not at all. Raises OutputError if the folder cannot be written.
    """
    folder, paths = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            fig.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            path = folder / f"{name}.{kind}"
            part = folder / f".{uuid.uuid4().hex}.part"
            try:
                part.write_bytes(buffer.getvalue())
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
            paths.append(path)
    except OSError as error:
        reason = error.strerror or error
        raise errors.OutputError(f"cannot write figure {name!r} into folder {str(folder)!r}: {reason}") from error
    return paths


# ---------------------------------------------------------------------------------------------------- numbers


def _stats(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean, std (NaN for one seed) and number of seeds per rule, layer and epoch; ``depth`` numbers the layers."""
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise errors.ConfigError(f"not a frame of runs: without the columns {', '.join(missing)}")
    for rule in frame["rule"].unique():
        if rule not in RULE_STYLE:
            raise errors.unknown("rule", rule, RULE_STYLE)
    rows = _select(frame, metric=metric)
    rows = rows[np.isfinite(rows["value"].astype(float))]
    if rows.empty:
        there = ", ".join(sorted(frame["metric"].unique())) or "none"
        raise errors.ConfigError(f"the frame has no values of metric {metric!r}; its metrics: {there}")
    groups = rows.groupby(["rule", "layer", "epoch"], sort=False)["value"]
    stats = groups.agg(mean="mean", std=lambda v: v.std(ddof=0) if len(v) > 1 else math.nan, seeds="count")
    stats = stats.reset_index()
    depth = {layer: i for i, layer in enumerate(rows["layer"].unique())}  # the frame names them from input to output
    stats["depth"] = stats["layer"].map(depth)
    return stats.sort_values(["depth", "epoch"], ignore_index=True)


def _select(frame: pd.DataFrame | None, **wanted) -> pd.DataFrame:
    if frame is None:
        return pd.DataFrame({name: [] for name in ("rule", "epoch", "layer", "metric", "mean", "std")}, dtype=float)
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def _last(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One rule's rows at the last epoch that all of its seeds have reached, so that the mean is over like and like."""
    rows = _select(runs, metric=metric)
    rows = rows[np.isfinite(rows["value"].astype(float))]
    return _select(rows, epoch=rows.groupby("seed")["epoch"].max().min()) if len(rows) else rows


def _paper(published: pd.DataFrame | None, metric: str, stats: pd.DataFrame) -> pd.DataFrame:
    """The published rows of the rules and layers in ``stats``, no further than its last epoch."""
    rows = _select(published, metric=metric)
    keep = rows["rule"].isin(stats["rule"]) & rows["layer"].isin(stats["layer"])
    return rows[keep & (rows["epoch"] <= stats["epoch"].max()) & (rows["epoch"] >= stats["epoch"].min())]


def _rules(frame: pd.DataFrame) -> list[str]:
    there = set(frame["rule"])
    return [rule for rule in RULE_STYLE if rule in there]


# ---------------------------------------------------------------------------------------------------- drawing


def _rule_panels(frame, published, metric, title, ylabel, limits) -> Figure:
    """One panel per rule, one line per layer; backprop is left out, its feedback weight is its forward weight."""
    stats = _stats(frame, metric)
    if set(stats["rule"]) == {"bp"}:
        raise errors.ConfigError(f"{metric} is trivial for bp, and the frame has it for no other rule")
    stats = stats[stats["rule"] != "bp"]
    rules, layers = _rules(stats), list(dict.fromkeys(stats["layer"]))
    paper, limits = _paper(published, metric, stats), limits or {}
    colours = layer_colours(layers)

    fig, axes = _grid(len(rules), "Epochs of training", ylabel)
    for ax, rule in zip(axes, rules, strict=True):
        ours, theirs = _select(stats, rule=rule), _select(paper, rule=rule)
        for layer in layers:
            _paper_line(ax, _select(theirs, layer=layer), colours[layer], points=8)
            _line(ax, _select(ours, layer=layer), colours[layer], layer)
        if metric == "norm_ratio":
            ax.axhline(1, color=_INK, linestyle=":", linewidth=1.3, zorder=1)
        else:
            _angle_axis(ax, 90 if metric == "gradient_angle" else limits.get(rule))
        _dress(ax, RULE_STYLE[rule].label)
        if rule in limits:
            ax.set_title(f"theory: {limits[rule]:.4g}°", loc="right", fontsize=9, color=_GREY)
    if metric == "norm_ratio":
        axes[0].set_ylim(0, None)  # a ratio: only from zero are distances between lines honest

    theory = {
        "norm_ratio": "equally long: 1",
        "gradient_angle": "no information: 90°",
        "path_alignment": "theoretical limit" if set(limits) & set(rules) else "",
    }[metric]
    shown = layers if len(layers) <= 8 else [layers[round(i)] for i in np.linspace(0, len(layers) - 1, 5)]
    handles = [Line2D([], [], color=colours[layer], linewidth=1.8, label=layer) for layer in shown]
    _legend(fig, handles + ([_theory_handle(theory)] if theory else []), paper)
    _headline(fig, title, stats)
    return fig


def _grid(n: int, xlabel: str, ylabel: str) -> tuple[Figure, list]:
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


def _line(ax, rows, colour, label, **style):
    if rows.empty:
        return
    one = {} if len(rows) > 1 else {"marker": "o"}  # a line of one point is invisible
    ax.plot(rows["epoch"], rows["mean"], color=colour, label=label, **{"linewidth": 1.8, "zorder": 3, **one, **style})
    if rows["std"].notna().any():
        low, high = rows["mean"] - rows["std"], rows["mean"] + rows["std"]
        ax.fill_between(rows["epoch"], low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def _rule_line(ax, rows, rule, phase):
    """``phase`` in [0, 1) staggers the markers, so that curves on top of each other still show every rule's."""
    style, n = RULE_STYLE[rule], len(rows)
    every = max(1, n // 6)
    _line(
        ax,
        rows,
        style.colour,
        style.label,
        linestyle=style.linestyle,
        marker=style.marker,
        markersize=5 * style.size,
        markeredgecolor="white",
        markeredgewidth=0.6,
        markevery=(int(phase * every), every),
    )


def _paper_line(ax, rows, colour, points=0):
    """Behind our line; ``points`` hollow dots in front of it show the paper's curve even where ours covers it."""
    if rows.empty:
        return
    rows = rows.sort_values("epoch")
    ax.plot(rows["epoch"], rows["mean"], color=colour, linestyle=_PAPER, linewidth=1.1, alpha=0.7, zorder=2.5)
    if points:
        dots = rows.iloc[:: -max(1, len(rows) // points)]  # from the end, which is what one compares
        ax.plot(dots["epoch"], dots["mean"], "o", color=colour, markerfacecolor="white", markersize=3.5, zorder=4)


def _last_epoch(ax, frame, stats, paper, rules):
    """The comparison that curves cannot show: every rule's last epoch side by side, the near ones enlarged."""
    scores = {rule: _last(_select(frame, rule=rule), "test_accuracy") for rule in rules}
    means = {rule: rows["value"].mean() for rule, rows in scores.items()}
    near = [rule for rule in rules if means[rule] >= max(means.values()) - _NEAR]
    near = near if len(near) > len(rules) / 2 else rules  # an enlarged view of a minority compares too little
    edges = []
    for x, rule in enumerate(rules):
        if rule not in near:
            ax.annotate(
                f"{means[rule]:.1f}\n↓", (x, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8.5,
                color=RULE_STYLE[rule].colour,
            )  # fmt: skip
            continue
        style, values = RULE_STYLE[rule], scores[rule]["value"]
        theirs = _select(paper, rule=rule, epoch=scores[rule]["epoch"].iloc[0])
        shift = 0.16 if len(theirs) else 0
        std = values.std(ddof=0) if len(values) > 1 else 0
        ax.errorbar(
            x - shift, means[rule], std or None, color=style.colour, marker=style.marker, markersize=7 * style.size,
            markeredgecolor="white", linewidth=1.8, zorder=4, label=style.label,
        )  # fmt: skip
        if len(values) > 1:
            # Seeds side by side, not on the bar: it would hide them.
            spread = np.linspace(-0.07, 0.07, len(values)) + x - shift - 0.2
            ax.plot(spread, values, ".", color=style.colour, markersize=3.5, alpha=0.6, zorder=3)
        for mean, error in zip(theirs["mean"], theirs["std"].fillna(0), strict=True):
            ax.errorbar(
                x + shift, mean, error or None, color=style.colour, marker=style.marker, markersize=6 * style.size,
                markerfacecolor="white", linewidth=1, linestyle="none", alpha=0.75, zorder=3,
            )  # fmt: skip
            edges += [mean - error, mean + error]
        edges += [means[rule] - std, means[rule] + std, values.min(), values.max()]
    _limits(ax, min(edges), max(edges))
    ax.set_xlim(-0.6, len(rules) - 0.4)
    _dress(ax, "After the last epoch" + (", seed by seed" if stats["seeds"].max() > 1 else ""))
    ax.set_xticks(range(len(rules)), [RULE_STYLE[rule].label for rule in rules])
    ax.grid(visible=False, axis="x")


def _limits(ax, low, high):
    margin = 0.06 * (high - low) or 0.5
    ax.set_ylim(low - margin, high + margin)


def _angle_axis(ax, theory=90.0):
    ax.set_ylim(-2, 97)  # fixed: the same picture for every run; a little more than 0 to 95, so that 0 is not cut
    ax.set_yticks([0, 15, 30, 45, 60, 75, 90])
    if theory is not None:
        ax.axhline(theory, color=_INK, linestyle=":", linewidth=1.3, zorder=1)


def _dress(ax, title):
    ax.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=_INK)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    low, high = ax.dataLim.intervalx
    if low == high:  # a single epoch: no fractions of epochs beside it
        ax.set_xlim(low - 0.9, high + 0.9)
    ax.xaxis.label.set(fontsize=10, color=_INK)
    ax.yaxis.label.set(fontsize=10, color=_INK)
    ax.tick_params(labelsize=9, color="#AAAAAA", labelcolor=_INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#AAAAAA")
    ax.set_axisbelow(True)
    ax.grid(visible=True, color="#E8E8E8", linewidth=0.8)


def _rule_handle(rule):
    style = RULE_STYLE[rule]
    return Line2D([], [], color=style.colour, marker=style.marker, markeredgecolor="white", linewidth=1.8,
                  markersize=6.5 * style.size, label=style.label)  # fmt: skip


def _theory_handle(label):
    return Line2D([], [], color=_INK, linestyle=":", linewidth=1.3, label=label)


def _legend(fig, handles, paper):
    """Below the panels, never over data, in as many columns as the figure is wide enough for."""
    if paper is not None and len(paper):
        style = {"linestyle": _PAPER, "linewidth": 1.1, "marker": "o", "markersize": 4.5, "markerfacecolor": "white"}
        handles = [*handles, Line2D([], [], color=_GREY, label="the paper's result", **style)]
    widths = [0.085 * len(handle.get_label()) + 0.6 for handle in handles]  # inches: its letters, and the line before
    width = fig.get_figwidth()
    ncols = len(handles) if sum(widths) <= width else max(1, int(width / max(widths)))
    fig.legend(handles=handles, loc="outside lower center", ncols=ncols, frameon=False, fontsize=9.5)


def _headline(fig, title, stats):
    """The title, and small below it how many seeds stand behind the lines."""
    low, high = stats["seeds"].min(), stats["seeds"].max()
    seeds = f"{high} seeds" if low == high else f"{low} to {high} seeds"
    note = "1 seed" if high == 1 else f"mean ± 1 std of {seeds}"
    inch = 1 / fig.get_figheight()
    fig.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.54 * inch))  # the two lines stand above everything else
    fig.suptitle(title, x=0.01, y=1 - 0.08 * inch, ha="left", va="top", fontsize=12.5, color=_INK)
    fig.text(0.01, 1 - 0.33 * inch, note, fontsize=9.5, color=_GREY, va="top")

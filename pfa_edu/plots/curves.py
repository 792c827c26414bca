"""Every picture of results: pure functions from a tidy frame of runs to a figure.

The frame has the columns ``rule`` (bp, fa, dfa, sf, kp, pfa, pfa-o), ``seed``, ``epoch`` (epochs completed, 0 = before
training), ``layer`` ('network' for whole-net metrics; layers in the order of the forward pass), ``metric``, ``value``.
One visual grammar holds throughout: solid = measured here (line: mean over seeds, band: ±1 std), dashed or hollow = the
paper's, dotted = theory. Rules differ in colour and marker, layers in brightness, so a grey print stays readable.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from .. import errors
from . import numbers, style
from .style import Figure

_NEAR = 3.0  # accuracy points below the best within which rules are compared in the right-hand panel


def accuracy(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, title: str | None = None, about: str = ""
) -> Figure:
    """Accuracy in percent: per epoch (left), and after the last epoch, enlarged, every seed a dot (right).

    On the validation images where the runs had any, else on the test images; the axis says which.

    ``published``: what ``published.curves`` returns; drawn for the rules and epochs that ``frame`` has.
    ``about``: what was run, in a few words below the title, here and in every other picture.
    Epoch 0 is left out, chance level would flatten everything else. Raises ConfigError if the frame has no accuracy.
    """
    metric = numbers.watched(frame)
    part = {"test_accuracy": "Test", "validation_accuracy": "Validation"}[metric]
    stats = numbers.stats(frame, metric)
    if (stats["epoch"] > 0).any():
        stats = stats[stats["epoch"] > 0]
    rules = numbers.rules(stats)
    paper = numbers.paper(published, metric, stats)

    fig = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[1.75, 1])
    for i, rule in enumerate(rules):
        style.paper_line(left, numbers.select(paper, rule=rule), style.rule_look(rule).colour)
        style.rule_line(left, numbers.select(stats, rule=rule), rule, i / len(rules))
    # Slow starters would stretch the axis: once curves are long, the lowest 3 % of the points may fall below it.
    low = stats["mean"].quantile(0.03 if stats["epoch"].nunique() >= 20 else 0)
    style.limits(left, low, stats["mean"].max())
    left.set(xlabel="Epochs of training", ylabel=f"{part} accuracy in %")
    style.dress(left, "Every epoch")
    _last_epoch(right, frame, metric, stats, paper, rules)
    lengths = {rule: _length(numbers.select(stats, rule=rule)) for rule in rules}
    unequal = len(set(lengths.values())) > 1  # an unfinished grid: every curve says what stands behind it
    style.legend(fig, [style.rule_handle(rule, lengths[rule] if unequal else "") for rule in rules], paper)
    style.headline(fig, title or f"{part} accuracy of each learning rule", stats, about)
    return fig


def path_alignment(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, limits: dict[str, float] | None = None, about: str = ""
) -> Figure:
    """Angle in degrees between feedback weight F and forward weight W per layer, one panel per rule (BP: always 0).

    ``limits``: the theoretical end point per rule in degrees, as {'pfa': 17.55, 'pfa-o': 0}.
    Raises ConfigError if no rule in the frame but BP has the metric.
    """
    title = "How far the feedback weights F point away from the forward weights W"
    ylabel = "Path alignment ∠(F, W)\nin degrees"
    return _rule_panels(frame, published, "path_alignment", title, ylabel, limits, about)


def norm_ratio(frame: pd.DataFrame, published: pd.DataFrame | None = None, about: str = "") -> Figure:
    """Length of the feedback weight relative to the forward weight, ‖F‖/‖W‖, per layer; one panel per rule (BP: 1)."""
    title = "How long the feedback weights F are, relative to the forward weights W"
    return _rule_panels(frame, published, "norm_ratio", title, "Norm ratio ‖F‖ / ‖W‖", None, about)


def gradient_angle(frame: pd.DataFrame, about: str = "") -> Figure:
    """Angle in degrees between each rule's weight gradient and backprop's; 90 = no information about descent.

    One panel per layer with the rules as lines; a deep net (over 6 layers) gets one panel per rule instead (see also
    :func:`by_depth`).
    """
    stats = numbers.stats(frame, "gradient_angle")
    title, ylabel = "How far each rule's weight update points away from backprop's", "Gradient angle to BP\nin degrees"
    layers = list(dict.fromkeys(stats["layer"]))
    if len(layers) > 6:
        return _rule_panels(frame, None, "gradient_angle", title, ylabel, None, about)
    rules = numbers.rules(stats)
    fig, axes = style.grid(len(layers), "Epochs of training", ylabel)
    for ax, layer in zip(axes, layers, strict=True):
        for i, rule in enumerate(rules):
            style.rule_line(ax, numbers.select(stats, rule=rule, layer=layer), rule, i / len(rules))
        style.angle_axis(ax)
        style.dress(ax, layer)
    handles = [*(style.rule_handle(rule) for rule in rules), style.theory_handle("no information: 90°")]
    style.legend(fig, handles, None)
    style.headline(fig, title, stats, about)
    return fig


def by_depth(frame: pd.DataFrame, published: pd.DataFrame | None = None, about: str = "") -> Figure:
    """Every layer after the last epoch, from input to output: path alignment (left), gradient angle (right), degrees.

    For deep networks, where a line per layer over time is hard to read. Raises ConfigError without these metrics.
    """
    fig, axes = style.grid(2, "Layer, from input to output", "Angle in degrees")
    everything, drawn = [], None
    titles = {"path_alignment": "Path alignment ∠(F, W)", "gradient_angle": "Gradient angle to BP"}
    for ax, (metric, title) in zip(axes, titles.items(), strict=True):
        stats = numbers.at_the_end(numbers.stats(frame, metric))
        rules = [rule for rule in numbers.rules(stats) if rule != "bp"]  # backprop's angles are 0
        everything.append(stats[stats["rule"] != "bp"])
        depth = dict(zip(stats["layer"], stats["depth"], strict=True))
        for i, rule in enumerate(rules):
            rows = numbers.select(stats, rule=rule).sort_values("depth")
            theirs = numbers.select(published, rule=rule, metric=metric, epoch=rows["epoch"].max())
            theirs = theirs.assign(at=theirs["layer"].map(depth)).dropna(subset=["at"]).sort_values("at")
            colour = style.rule_look(rule).colour
            style.paper_line(ax, theirs.assign(epoch=theirs["at"] + 1), colour, points=len(theirs))
            style.rule_line(ax, rows.assign(epoch=rows["depth"] + 1), rule, i / len(rules))
            drawn = theirs if len(theirs) else drawn
        style.angle_axis(ax)
        style.dress(ax, title)
    stats = pd.concat(everything)
    handles = [style.rule_handle(rule) for rule in numbers.rules(stats)]
    style.legend(fig, [*handles, style.theory_handle("no information: 90°")], drawn)
    style.headline(fig, "Angles in every layer after the last epoch", stats, about)
    return fig


def _length(stats: pd.DataFrame) -> str:
    seeds = stats["seeds"].max()
    return f"{seeds} seed{'s' if seeds > 1 else ''}, {stats['epoch'].max():g} epochs"


def _rule_panels(frame, published, metric, title, ylabel, limits, about) -> Figure:
    """One panel per rule, one line per layer; backprop is left out, its feedback weight is its forward weight."""
    stats = numbers.stats(frame, metric)
    if set(stats["rule"]) == {"bp"}:
        raise errors.ConfigError(f"{metric} is trivial for bp, and the frame has it for no other rule")
    stats = stats[stats["rule"] != "bp"]
    rules, layers = numbers.rules(stats), list(dict.fromkeys(stats["layer"]))
    paper, limits = numbers.paper(published, metric, stats), limits or {}
    colours = style.layer_colours(layers)

    fig, axes = style.grid(len(rules), "Epochs of training", ylabel)
    for ax, rule in zip(axes, rules, strict=True):
        ours, theirs = numbers.select(stats, rule=rule), numbers.select(paper, rule=rule)
        for layer in layers:
            style.paper_line(ax, numbers.select(theirs, layer=layer), colours[layer], points=8)
            style.line(ax, numbers.select(ours, layer=layer), colours[layer], layer)
        if metric == "norm_ratio":
            ax.axhline(1, color=style.INK, linestyle=":", linewidth=1.3, zorder=1)
        else:
            style.angle_axis(ax, 90 if metric == "gradient_angle" else limits.get(rule))
        style.dress(ax, style.rule_look(rule).label)
        if rule in limits:
            ax.set_title(f"theory: {limits[rule]:.4g}°", loc="right", fontsize=9, color=style.GREY)
    if metric == "norm_ratio":
        axes[0].set_ylim(0, None)  # a ratio: only from zero are distances between lines honest

    theory = {
        "norm_ratio": "equally long: 1",
        "gradient_angle": "no information: 90°",
        "path_alignment": "theoretical limit" if set(limits) & set(rules) else "",
    }[metric]
    shown = layers if len(layers) <= 8 else [layers[round(i)] for i in np.linspace(0, len(layers) - 1, 5)]
    handles = [Line2D([], [], color=colours[layer], linewidth=1.8, label=layer) for layer in shown]
    style.legend(fig, handles + ([style.theory_handle(theory)] if theory else []), paper)
    style.headline(fig, title, stats, about)
    return fig


def _last_epoch(ax, frame, metric, stats, paper, rules):
    """The comparison that curves cannot show: every rule's last epoch side by side, the near ones enlarged."""
    scores = {rule: numbers.last(numbers.select(frame, rule=rule), metric) for rule in rules}
    means = {rule: rows["value"].mean() for rule, rows in scores.items()}
    near = [rule for rule in rules if means[rule] >= max(means.values()) - _NEAR]
    near = near if len(near) > len(rules) / 2 else rules  # an enlarged view of a minority compares too little
    edges = []
    for x, rule in enumerate(rules):
        if rule not in near:
            ax.annotate(
                f"{means[rule]:.1f}\n↓", (x, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8.5,
                color=style.rule_look(rule).colour,
            )  # fmt: skip
            continue
        look, values = style.rule_look(rule), scores[rule]["value"]
        theirs = numbers.select(paper, rule=rule, epoch=scores[rule]["epoch"].iloc[0])
        shift = 0.16 if len(theirs) else 0
        std = values.std(ddof=0) if len(values) > 1 else 0
        ax.errorbar(
            x - shift, means[rule], std or None, color=look.colour, marker=look.marker, markersize=7 * look.size,
            markeredgecolor="white", linewidth=1.8, zorder=4, label=look.label,
        )  # fmt: skip
        if len(values) > 1:
            # Seeds side by side, not on the bar: it would hide them.
            spread = np.linspace(-0.07, 0.07, len(values)) + x - shift - 0.2
            ax.plot(spread, values, ".", color=look.colour, markersize=3.5, alpha=0.6, zorder=3)
        for mean, error in zip(theirs["mean"], theirs["std"].fillna(0), strict=True):
            ax.errorbar(
                x + shift, mean, error or None, color=look.colour, marker=look.marker, markersize=6 * look.size,
                markerfacecolor="white", linewidth=1, linestyle="none", alpha=0.75, zorder=3,
            )  # fmt: skip
            edges += [mean - error, mean + error]
        edges += [means[rule] - std, means[rule] + std, values.min(), values.max()]
    style.limits(ax, min(edges), max(edges))
    ax.set_xlim(-0.6, len(rules) - 0.4)
    style.dress(ax, "After the last epoch" + (", seed by seed" if stats["seeds"].max() > 1 else ""))
    ax.set_xticks(range(len(rules)), [style.rule_look(rule).label for rule in rules])
    ax.grid(visible=False, axis="x")

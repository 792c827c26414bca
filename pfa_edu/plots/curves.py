"""Pictures of results over epochs: pure functions from a tidy frame of runs to a figure.

The frame has the columns ``rule`` (labels: 'bp', 'pfa', 'pfa ratio=20'), ``seed``, ``epoch`` (epochs completed, 0 =
before training), ``layer`` ('network' for whole-net metrics; layers in the order of the forward pass), ``metric`` and
``value``. One visual grammar holds throughout: solid = measured here (line: mean over seeds, band: ±1 std), dashed or
hollow = the paper's, dotted = theory. Rules differ in colour and marker, layers in brightness, so a grey print stays
readable.

``leaves``, wherever it is an argument: the runs follow the paper's schedule up to that epoch and no further. The
published curves end there, with their scatter around them, and a thin line says so.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.lines import Line2D

from .. import errors
from . import draw, numbers, statistics, style
from .ending import last_epoch
from .looks import in_order, is_backprop, layer_colours, looks_of
from .statistics import select
from .style import Figure, themed

_DEEP = 8  # layers that a legend can name; beyond, a colour bar does
_NONE = 0.05  # degrees below which an angle is 0: float32 cannot tell smaller ones


@themed
def accuracy(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, title: str | None = None, about: str = "", *,
    leaves: float | None = None,
) -> Figure:  # fmt: skip
    """Accuracy in percent: per epoch (left), and after the last epoch, enlarged, every seed a dot (right).

    On the validation images where the runs had any, else on the test images; the axis says which.

    ``published``: what ``published.curves`` returns; drawn for the rules and epochs that ``frame`` has.
    ``about``: what was run, in a few words below the title, here and in every other picture.
    Epoch 0 is left out, chance level would flatten everything else. Raises ConfigError if the frame has no accuracy.
    """
    metric = numbers.watched(frame)
    part = {"test_accuracy": "Test", "validation_accuracy": "Validation"}[metric]
    rows = statistics.rows_of(frame, metric)
    if (rows["epoch"] > 0).any():
        rows = rows[rows["epoch"] > 0]
    stats = statistics.over_seeds(rows, metric)
    shown = looks_of(stats["rule"])
    paper = numbers.paper(published, metric, stats, leaves)

    fig = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[1.75, 1])
    for i, (rule, look) in enumerate(shown.items()):
        draw.paper_curve(left, select(paper, rule=rule), look.colour, band=leaves is not None)
        draw.rule_curve(left, select(rows, rule=rule), look, i / len(shown))
    # Slow starters would stretch the axis: once curves are long, the lowest 3 % of the points may fall below it.
    means = pd.concat([stats["mean"], paper["mean"]])
    style.limits(left, means.quantile(0.03 if stats["epoch"].nunique() >= 20 else 0), means.max())
    left.set(xlabel="Epochs of training", ylabel=f"{part} accuracy in %")
    style.dress(left, "Every epoch")
    draw.leaving(left, leaves, stats["epoch"].max(), 0.02)
    last_epoch(right, rows, metric, paper, shown)
    behind = standing(stats)
    style.legend(fig, [style.rule_handle(look, behind[rule]) for rule, look in shown.items()], paper,
                 band=leaves is not None)  # fmt: skip
    style.headline(fig, title or f"{part} accuracy of each learning rule", stats["seeds"], about)
    return fig


@themed
def path_alignment(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, limits: dict[str, float] | None = None,
    about: str = "", *, leaves: float | None = None,
) -> Figure:  # fmt: skip
    """Angle in degrees between feedback weight F and forward weight W per layer, one panel per rule (BP: always 0).

    ``limits``: the theoretical end point per rule in degrees, as {'pfa': 17.55, 'pfa-o': 0}.
    Raises ConfigError if no rule in the frame but BP has the metric.
    """
    title = "How far the feedback weights F point away from the forward weights W"
    ylabel = "Path alignment ∠(F, W)\nin degrees"
    return _rule_panels(frame, published, "path_alignment", title, ylabel, limits or {}, about, leaves)


@themed
def norm_ratio(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, about: str = "", *, leaves: float | None = None
) -> Figure:
    """Length of the feedback weight relative to the forward weight, ‖F‖/‖W‖, per layer; one panel per rule (BP: 1)."""
    title = "How long the feedback weights F are, relative to the forward weights W"
    return _rule_panels(frame, published, "norm_ratio", title, "Norm ratio ‖F‖ / ‖W‖", {}, about, leaves)


@themed
def gradient_angle(frame: pd.DataFrame, about: str = "") -> Figure:
    """Angle in degrees between each rule's weight gradient and backprop's; 90 = no information about descent.

    One panel per layer with the rules as lines; a deep net (over 6 layers) gets one panel per rule instead (see also
    :func:`by_depth`). A layer whose angle is 0 in every rule, as the output layer's is, is said in words.
    """
    title, ylabel = "How far each rule's weight update points away from backprop's", "Gradient angle to BP\nin degrees"
    rows = statistics.rows_of(frame, "gradient_angle")
    layers = list(dict.fromkeys(rows["layer"]))
    if len(layers) > 6:
        return _rule_panels(frame, None, "gradient_angle", title, ylabel, {}, about, None)
    stats, shown = statistics.over_seeds(frame, "gradient_angle"), looks_of(rows["rule"])
    panels, notes = _with_angles(rows, "layer", layers)
    notes += numbers.not_valid(frame)
    fig, axes = style.grid(len(panels), "Epochs of training", ylabel)
    for ax, layer in zip(axes, panels, strict=True):
        for i, (rule, look) in enumerate(shown.items()):
            draw.rule_curve(ax, select(rows, rule=rule, layer=layer), look, i / len(shown))
        style.angle_axis(ax)
        style.dress(ax, layer)
    behind = standing(stats)
    handles = [style.rule_handle(look, behind[rule]) for rule, look in shown.items()]
    style.legend(fig, [*handles, style.theory_handle("no information: 90°")])
    style.headline(fig, title, stats["seeds"], about, notes)
    return fig


def standing(stats: pd.DataFrame) -> dict[str, str]:
    """What stands behind each rule's curve, in words; empty where it is the same for all, as in a finished grid."""
    said = {}
    for rule, rows in stats.groupby("rule"):
        low, high, epochs = rows["seeds"].min(), rows["seeds"].max(), rows["epoch"].max()
        seeds = f"{high}" if low == high else f"{low} to {high}"
        said[str(rule)] = f"{seeds} seed{'s' if high > 1 else ''}, {epochs:g} epoch{'s' if epochs != 1 else ''}"
    return said if len(set(said.values())) > 1 else dict.fromkeys(said, "")


def _with_angles(rows: pd.DataFrame, column: str, names: list[str]) -> tuple[list[str], list[str]]:
    """The ``names`` whose panel has an angle to show, and a sentence about the others; all of them if none has."""
    largest = rows.groupby(column)["value"].max()
    panels = [name for name in names if largest[name] >= _NONE]
    if not panels:
        return names, []
    zero = [looks_of(names)[name].label if column == "rule" else name for name in names if name not in panels]
    of = "in every layer" if column == "rule" else "in every rule"
    return panels, [f"{', '.join(zero)}: 0° {of}"] if zero else []


def _rule_panels(
    frame: pd.DataFrame, published: pd.DataFrame | None, metric: str, title: str, ylabel: str,
    limits: dict[str, float], about: str, leaves: float | None,
) -> Figure:  # fmt: skip
    """One panel per rule, one line per layer; backprop is left out, its feedback weight is its forward weight."""
    rows, stats = statistics.rows_of(frame, metric), statistics.over_seeds(frame, metric)
    rules = [rule for rule in in_order(rows["rule"]) if not is_backprop(rule)]
    if not rules:
        only = ", ".join(in_order(rows["rule"]))
        raise errors.ConfigError(f"{metric} is trivial for {only}, and the frame has it for no other rule")
    notes: list[str] = []
    if metric != "norm_ratio":
        rules, notes = _with_angles(rows, "rule", rules)
    if metric == "gradient_angle":
        notes = notes + numbers.not_valid(frame)
    stats = stats[stats["rule"].isin(rules)]
    shown, layers = looks_of(frame["rule"]), list(dict.fromkeys(stats["layer"]))
    paper, behind = numbers.paper(published, metric, stats, leaves), standing(stats)
    colours, deep = layer_colours(layers), len(layers) > _DEEP

    fig, axes = style.grid(len(rules), "Epochs of training", ylabel, beside=1.3 if deep else 0)
    for ax, rule in zip(axes, rules, strict=True):
        ours, theirs = select(rows, rule=rule), select(paper, rule=rule)
        for layer in layers:
            draw.paper_curve(ax, select(theirs, layer=layer), colours[layer], points=8, size=2 if deep else 3.5)
            # twenty bands on top of each other show nothing, so the lines of a deep network are thin and alone
            draw.curve(ax, select(ours, layer=layer), colours[layer], layer, band=not deep,
                       linewidth=1.1 if deep else 1.8)  # fmt: skip
        if metric != "norm_ratio":
            style.angle_axis(ax, 90 if metric == "gradient_angle" else limits.get(rule))
        style.dress(ax, shown[rule].label)
        said = [behind[rule], f"theory: {limits[rule]:.4g}°" if rule in limits else ""]
        ax.set_title("\n".join(filter(None, said)), loc="right", fontsize=8.5, color=style.GREY)
    for ax in axes:
        if metric == "norm_ratio":
            style.ratio_axis(ax)
        draw.leaving(ax, leaves, stats["epoch"].max(), 0.08 if metric == "norm_ratio" else 0.5)

    theory = {
        "norm_ratio": "equally long: 1",
        "gradient_angle": "no information: 90°",
        "path_alignment": "theoretical limit" if set(limits) & set(rules) else "",
    }[metric]
    handles = [] if deep else [Line2D([], [], color=c, linewidth=1.8, label=name) for name, c in colours.items()]
    if deep:
        style.colour_bar(fig, axes, colours)
    style.legend(fig, handles + ([style.theory_handle(theory)] if theory else []), paper)
    style.headline(fig, title, stats["seeds"], about, notes, spread=not deep)
    return fig

"""The projections of a transformer, one panel for each kind: what happens to them from the first block to the last."""

from __future__ import annotations

import pandas as pd

from .. import errors
from ..nn.transformers import KINDS, part_of
from . import draw, numbers, statistics, style
from .curves import standing
from .looks import is_backprop, looks_of
from .statistics import last, select
from .style import Figure, themed

_TITLES = {
    "path_alignment": "How far the feedback weights of each projection point away from its forward weights",
    "gradient_angle": "How far the weight update of each projection points away from backprop's",
}
_YLABELS = {
    "path_alignment": "Path alignment ∠(F, W)\nin degrees",
    "gradient_angle": "Gradient angle to BP\nin degrees",
}


@themed
def projections(frame: pd.DataFrame, metric: str = "gradient_angle", about: str = "") -> Figure:
    """``metric`` ('gradient_angle' or 'path_alignment') of q, k, v, out, up and down against the block, after training.

    One line for each rule but backprop, whose angles are 0. The embedding and the head are in no block and left out.
    """
    if metric not in _TITLES:
        raise errors.unknown("metric of projections", metric, _TITLES)
    rows = statistics.rows_of(frame, metric)
    rows = rows[~rows["rule"].map(is_backprop)]
    places = {layer: part_of(layer) for layer in rows["layer"].unique()}
    block, part = ({layer: place[i] for layer, place in places.items()} for i in (0, 1))
    rows = rows.assign(block=1 + rows["layer"].map(block).astype(float), kind=rows["layer"].map(part))
    rows = rows.dropna(subset=["block"])
    if rows.empty:
        raise errors.ConfigError(f"projections: {metric} of no rule but backprop is in the frame, where it is 0")
    stats, shown = statistics.over_seeds(rows, metric), looks_of(rows["rule"])
    kinds = [kind for kind in KINDS if (rows["kind"] == kind).any()]
    fig, axes = style.grid(len(kinds), "Block, from input to output", _YLABELS[metric])
    for ax, kind in zip(axes, kinds, strict=True):
        for i, (rule, look) in enumerate(shown.items()):
            ends = last(select(rows, rule=rule, kind=kind), metric)
            draw.rule_curve(ax, ends, look, i / len(shown), x="block")
        style.angle_axis(ax)
        style.dress(ax, kind)
    behind = standing(stats)
    handles = [style.rule_handle(look, behind[rule]) for rule, look in shown.items()]
    style.legend(fig, [*handles, style.theory_handle("no information: 90°")])
    notes = numbers.not_valid(frame) if metric == "gradient_angle" else []
    style.headline(fig, _TITLES[metric], stats["seeds"], about, notes)
    return fig

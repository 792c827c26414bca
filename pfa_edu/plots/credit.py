"""Three checks of credit assignment, side by side: where they fail, accuracy and a mean angle may still look fine.

After arXiv 2606.21126 (2026): a network may reach a decent accuracy with its last layer alone, and an angle to a
reference that is rounding noise may be any number.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from .. import errors
from ..measure.rounding import MOST
from . import draw, numbers, statistics, style
from .curves import standing
from .looks import in_order, looks_of
from .statistics import finite, last, select
from .style import Figure, themed

_LEAST = 1e-6  # degrees: below, nothing can be told apart


@themed
def checks(frame: pd.DataFrame, frozen: pd.DataFrame | None = None, about: str = "") -> Figure:
    """Size of the activations, validity of the reference, gain from depth: one panel each, all after the last epoch.

    Left: sqrt(mean a²) of every layer's output. Lines that climb or fall by orders of magnitude are a bad sign. Middle:
    by how much rounding may have turned backprop's own gradient; where it is more than 5°, the gradient angle of that
    layer is *not valid* and is left out everywhere. Right: what training the lower layers gains over freezing them at
    their random start, see :func:`depth_utility`; ``frozen``: the runs with ``frozen=...``.

    A frame of a sweep over ``frozen`` holds both, and is told apart by its column of that name.
    """
    trained, frozen = _arms(frame, frozen)
    scales, worth = (statistics.rows_of(trained, metric) for metric in ("activation_rms", "reference_error"))
    stats = statistics.over_seeds(scales, "activation_rms")
    shown, behind = looks_of(stats["rule"]), standing(stats)
    fig = Figure(figsize=(11.8, 4.7), layout="constrained")
    left, middle, right = fig.subplots(1, 3, width_ratios=[1, 1, 0.9])
    for ax, rows, metric in ((left, scales, "activation_rms"), (middle, worth, "reference_error")):
        place = {layer: i + 1 for i, layer in enumerate(scales["layer"].unique())}
        for i, (rule, look) in enumerate(shown.items()):
            ends = last(select(rows, rule=rule), metric)
            ends = ends.assign(depth=ends["layer"].map(place), value=ends["value"].clip(lower=_LEAST))
            draw.rule_curve(ax, ends, look, i / len(shown), x="depth")
        ax.set_yscale("log")
        ax.set_xlabel("Layer, from input to output")
    style.dress(left, "1. Size of the activations")
    left.set_ylabel("RMS of the layer's output")
    style.dress(middle, "2. Validity of the reference")
    middle.set_ylabel("Error of BP's own gradient by rounding, °")
    _not_valid(middle)
    style.dress(right, "3. Gain from depth", epochs=False)
    _utility(right, trained, frozen, list(shown))
    notes = [] if frozen is None else ["gains with 95 % confidence intervals"]
    style.legend(fig, [style.rule_handle(look, behind[rule]) for rule, look in shown.items()])
    style.headline(fig, "Three checks of credit assignment, after the last epoch", stats["seeds"], about, notes)
    return fig


def depth_utility(frame: pd.DataFrame, frozen: pd.DataFrame | None = None) -> pd.DataFrame:
    """What training the lower layers gains: per rule, accuracy with them minus accuracy with them frozen, in points.

    ``frame``: runs in which all layers learn; ``frozen``: the same rules and seeds with ``frozen=1`` or names of lower
    layers. Or one frame with a column ``frozen``, as a sweep over it gives. Columns: ``rule``, ``trained``, ``frozen``
    (mean accuracies in percent), ``gain``, ``low``, ``high`` (mean of the differences seed by seed and its 95 %
    confidence interval), ``seeds``. A gain of 0 says that the rule uses the network as a random projection with one
    trained readout.

    >>> runs = [("pfa", seed, 1, "network", "test_accuracy", 90.0 + seed) for seed in (0, 1)]
    >>> trained = pd.DataFrame(runs, columns=statistics.COLUMNS)
    >>> gain = depth_utility(trained, trained.assign(value=trained["value"] - 5))
    >>> gain[["rule", "gain", "low", "high", "seeds"]].values.tolist()
    [['pfa', 5.0, 5.0, 5.0, 2]]
    """
    trained, frozen = _arms(frame, frozen)
    if frozen is None:
        raise errors.ConfigError("depth_utility: there are no runs with frozen layers: run the same with frozen=1")
    metric = numbers.watched(trained)
    rows = []
    for rule in in_order(trained["rule"]):
        ours, control = (finite(select(runs, rule=rule), metric) for runs in (trained, frozen))
        if len(ours) and len(control):
            found = statistics.paired(ours, control)
            rows.append(
                {
                    "rule": rule,
                    "trained": last(ours, metric)["value"].mean(),
                    "frozen": last(control, metric)["value"].mean(),
                    "gain": found["mean"],
                    **{name: found[name] for name in ("low", "high", "seeds")},
                }
            )
    if not rows:
        raise errors.ConfigError("depth_utility: no rule has both runs that train all layers and runs with frozen ones")
    return pd.DataFrame(rows)


def _arms(frame: pd.DataFrame, frozen: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The runs that train every layer, and those that do not."""
    if frozen is not None or "frozen" not in frame.columns:
        return frame, frozen
    none = frame["frozen"].isna() | frame["frozen"].astype(str).isin(["0", "0.0"])
    kinds = frame.loc[~none, "frozen"].unique()
    if len(kinds) > 1:
        told = ", ".join(map(str, kinds))
        raise errors.ConfigError(f"the frame has runs with several settings of frozen ({told}): select one of them")
    return frame[none], frame[~none] if len(kinds) else None


def _not_valid(ax: Axes) -> None:
    """The region where angles are left out."""
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, MOST / 1e3), max(high, 90.0))
    ax.axhspan(MOST, ax.get_ylim()[1], color=style.GREY, alpha=0.15, linewidth=0, zorder=0.5)
    ax.annotate(
        "angle not valid", (0.97, MOST), (0, 4), xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="right", va="bottom", fontsize=9, color=style.GREY,
    )  # fmt: skip


def _utility(ax: Axes, trained: pd.DataFrame, frozen: pd.DataFrame | None, rules: list[str]) -> None:
    shown = looks_of(rules)
    ax.axhline(0, color=style.INK, linestyle=":", linewidth=1.3, zorder=1)
    ax.set_ylabel("Gain over frozen lower layers, points")
    if frozen is None:
        ax.set_yticks([])
        ax.set_xticks([])
        ax.text(
            0.5, 0.6, "no runs with frozen layers:\nrun the same with frozen=1", ha="center", va="center",
            transform=ax.transAxes, color=style.GREY,
        )  # fmt: skip
        return
    gains = depth_utility(trained, frozen).set_index("rule")
    for x, rule in enumerate(rules):
        if rule not in gains.index:
            continue
        gain, half = gains.loc[rule, "gain"], gains.loc[rule, "high"] - gains.loc[rule, "gain"]
        look = shown[rule]
        bar: dict[str, Any] = {} if pd.isna(half) else {"yerr": half}
        ax.errorbar(
            x, gain, **bar, color=look.colour, marker=look.marker, markersize=7 * look.size, markeredgecolor="white",
            linewidth=1.8, capsize=3,
        )  # fmt: skip
    names = [shown[rule].label for rule in rules]
    tilted: dict[str, Any] = {"rotation": 40, "ha": "right"} if sum(map(len, names)) > 18 else {}
    ax.set_xticks(range(len(rules)), names, **tilted)
    ax.set_xlim(-0.6, len(rules) - 0.4)
    ax.grid(visible=False, axis="x")

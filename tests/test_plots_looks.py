"""Who is drawn how: rules, their variants, rules of one's own, unknown ones."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from plot_frames import LIMITS, PAPER, lines, looks_right, mnist_runs, of

import pfa_edu as pe
from pfa_edu import plots
from pfa_edu.plots.looks import in_order, is_backprop, looks_of, rule_look
from pfa_edu.rules import BP, forget

PAPERS = ["bp", "fa", "dfa", "sf", "kp", "pfa", "pfa-o"]


def apart(found, least):
    """Whether any two of these looks can be told apart by their colours."""
    colours = np.array([to_rgb(look.colour) for look in found])
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    return distance[~np.eye(len(colours), dtype=bool)].min() > least


def test_rules_differ_in_colour_and_in_marker():
    found = [rule_look(rule) for rule in PAPERS]
    assert [look.label for look in found] == ["BP", "FA", "DFA", "SF", "KP", "PFA", "PFA-o"]
    assert len({look.marker for look in found}) == 7
    assert apart(found, 0.25)


@pytest.mark.parametrize(
    "variants",
    [
        ["pfa", "pfa ratio=1", "pfa ratio=100"],
        ["pfa", *(f"pfa ratio={ratio}" for ratio in (1, 2, 3, 5, 20, 50, 100))],
        ["pfa", "pfa ratio=9.5", "pfa ratio=11"],
        ["sf", "sf kind=fixed", "sf kind=batch"],
        ["fa", *(f"fa density={density}" for density in (0.5, 0.3, 0.17, 0.1, 0.05))],
        ["pfa ratio=20 density=0.3", "pfa ratio=20", "pfa density=0.3", "pfa"],
        ["theirs", "another", "a third", "theirs rate=0.1", "theirs rate=0.2"],
    ],
    ids=lambda variants: variants[1],
)
def test_variants_of_a_rule_are_told_apart(variants):
    found = looks_of(variants)
    assert apart(found.values(), 0.02)
    assert len({look.marker for look in found.values()}) == len(variants)
    assert found[variants[0]].label in (rule_look(variants[0]).label, variants[0])
    assert looks_of(reversed(variants)) == found  # the order in which a frame has them does not matter


def test_a_variant_says_which_and_keeps_its_shade_from_figure_to_figure():
    assert rule_look("pfa ratio=100").label == "PFA ratio=100"
    assert looks_of(["pfa", "fa", "pfa ratio=100"])["pfa ratio=100"] == rule_look("pfa ratio=100")
    brightness = [sum(to_rgb(rule_look(r).colour)) for r in ("pfa ratio=1", "pfa ratio=3", "pfa", "pfa ratio=100")]
    assert brightness == sorted(brightness, reverse=True)  # from light to dark with the knob


def test_twenty_variants_still_have_colours_of_their_own():
    found = looks_of(["pfa", *(f"pfa ratio={ratio}" for ratio in range(11, 31))])
    assert len({look.colour for look in found.values()}) == 21


def test_order_counts_numbers_as_numbers():
    assert in_order(["zz", "pfa ratio=20", "aa", "pfa-o", "pfa ratio=3", "pfa", "bp", "pfa"]) == [
        "bp", "pfa", "pfa ratio=3", "pfa ratio=20", "pfa-o", "aa", "zz",
    ]  # fmt: skip


@pytest.fixture
def mine():
    class Mine(pe.Rule):
        """Feedback by a rule of one's own."""

        def make(self, layer):
            return None

    yield Mine
    forget(Mine)


def test_a_rule_of_ones_own_is_in_every_figure_and_table(mine):
    frame = mnist_runs(seeds=2)
    frame = pd.concat([frame, of(frame, rule="pfa").assign(rule=mine.name)], ignore_index=True)
    colour = rule_look("mine").colour
    assert colour not in {rule_look(rule).colour for rule in PAPERS}
    fig = plots.accuracy(frame, PAPER)
    (line,) = lines(fig.axes[0], "mine")
    assert line.get_color() == colour
    assert "mine" in [tick.get_text() for tick in fig.axes[1].get_xticklabels()]
    for figure in (plots.path_alignment(frame, PAPER, LIMITS), plots.norm_ratio(frame, PAPER)):
        assert figure.axes[-1].get_title("left") == "mine"
    for figure in (plots.gradient_angle(frame), plots.by_depth(frame)):
        assert [line.get_color() for line in lines(figure.axes[-1], "mine")] == [colour]
    looks_right(fig)
    assert "mine" in list(plots.table(frame)["rule"])
    assert any(line.startswith("mine ") for line in plots.format_table(plots.table(frame)).splitlines())

    sparse = frame.assign(density=1.0)
    assert lines(plots.sparse(sparse).axes[0], "mine")[0].get_color() == colour
    assert "mine 1" in list(plots.sparse_table(sparse)["label"])
    spent = frame[frame.metric == "test_accuracy"].assign(metric="cost", value=lambda rows: rows.epoch * 937)
    costly = pd.concat([frame, spent], ignore_index=True)
    assert lines(plots.relatives(costly).axes[0], "mine")[0].get_color() == colour
    assert "mine" in list(plots.relatives_table(costly, None, threshold=97)["label"])


def test_backprop_is_known_by_its_rule():
    class Reference(BP):
        name = "autograd"

    try:
        assert [is_backprop(label) for label in ("bp", "autograd", "pfa", "theirs")] == [True, True, False, False]
        frame = mnist_runs(seeds=2).replace({"rule": {"bp": "autograd"}})
        assert [ax.get_title("left") for ax in plots.path_alignment(frame).axes] == ["FA", "SF", "PFA", "PFA-o"]
        assert plots.table(frame).set_index("rule").loc["pfa", "to_bp_seeds"] == 2
    finally:
        forget(Reference)


def test_theme_leaves_nothing_behind():
    before = dict(mpl.rcParams)
    plots.accuracy(mnist_runs(seeds=1))
    assert dict(mpl.rcParams) == before


def test_seaborn_is_imported_when_something_is_drawn():
    code = "import sys, pfa_edu; pfa_edu.plots.rule_look('pfa'); sys.exit('seaborn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0

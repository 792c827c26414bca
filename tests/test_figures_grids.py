"""The figures of sparse feedback and of PFA's relatives: what they draw is what the frame says."""

import itertools

import numpy as np
import pandas as pd
import pytest

import pfa_edu as pe
from pfa_edu import plots as figures
from pfa_edu.lessons.kin import RELATIVES

LABELS = {name: r.label for name, r in RELATIVES.items()}


def row(rule, seed, epoch, layer, metric, value, **more):
    return {"rule": rule, "seed": seed, "epoch": epoch, "layer": layer, "metric": metric, "value": value, **more}


def sparse_frame():
    rows = []
    for rule, p, seed in itertools.product(["bp", "fa", "pfa"], [1, 0.3, 0.05], [0, 1]):
        if rule == "bp" and p < 1:
            continue
        at = {"density": p}
        rows.append(row(rule, seed, 3, "network", "test_accuracy", 90 + 5 * p + seed, **at))
        rows.append(row(rule, seed, 3, "fc2", "path_alignment", 50 - 20 * p, **at))
        rows.append(row(rule, seed, 3, "fc2", "gradient_angle", 40 - 20 * p, **at))
    return pd.DataFrame(rows)


def labelled(ax, label):
    (line,) = (found for found in ax.lines if found.get_label() == label)
    return line


def test_sparse_draws_the_means_over_density():
    theory = {1: 17.5, 0.3: 30.6}
    fig = figures.sparse(sparse_frame(), theory=theory, simulated={0.3: 31.0})
    left, right = fig.axes
    line = labelled(left, "PFA")
    np.testing.assert_allclose(line.get_xdata(), [0.05, 0.3, 1])
    np.testing.assert_allclose(line.get_ydata(), [90.75, 92, 95.5])
    np.testing.assert_allclose(labelled(right, "FA").get_ydata(), [49, 44, 30])
    assert left.get_xscale() == right.get_xscale() == "log"
    assert any(list(found.get_ydata()) == [30.6, 17.5] for found in right.lines)
    assert any(list(found.get_ydata()) == [31.0] for found in right.lines)


def test_sparse_table_has_a_row_for_each_density():
    table = figures.sparse_table(sparse_frame())
    assert list(table.label) == ["BP", "FA 1", "FA 0.3", "FA 0.05", "PFA 1", "PFA 0.3", "PFA 0.05"]
    assert table.set_index("label").accuracy_mean["PFA 0.3"] == pytest.approx(92)
    assert "PFA 0.05" in figures.format_table(table)


def test_sparse_refuses_other_frames():
    with pytest.raises(pe.ConfigError, match="without the column density"):
        figures.sparse(sparse_frame().drop(columns="density"))
    with pytest.raises(pe.ConfigError, match="only bp"):
        figures.sparse(sparse_frame().query("rule == 'bp'"))


def relatives_frame():
    rows = []
    for name, seed, epoch in itertools.product(["bp", "mirror"], [0, 1], [0, 1, 2]):
        accuracy = {0: 10, 1: 80, 2: 90 if name == "bp" or seed == 0 else 84}[epoch]
        rows.append(row(name, seed, epoch, "network", "test_accuracy", accuracy))
        rows.append(row(name, seed, epoch, "network", "cost", 100 * epoch * (1.5 if name == "mirror" else 1)))
        rows.append(row(name, seed, epoch, "fc2", "path_alignment", 0 if name == "bp" else 90 - 30 * epoch))
    return pd.DataFrame(rows)


def test_relatives_stand_over_their_cost():
    fig = figures.relatives(relatives_frame(), LABELS, "fc2", threshold=85)
    left, right = fig.axes
    np.testing.assert_allclose(labelled(left, "Weight mirror").get_xdata(), [150, 300])
    np.testing.assert_allclose(labelled(left, "Weight mirror").get_ydata(), [80, 87])
    np.testing.assert_allclose(labelled(right, "Weight mirror").get_ydata(), [90, 60, 30])


def test_steps_to_the_threshold():
    table = figures.relatives_table(relatives_frame(), LABELS, threshold=85).set_index("label")
    assert table.steps["BP"] == 200
    assert np.isnan(table.steps["Weight mirror"])  # one of its seeds never gets there
    easier = figures.relatives_table(relatives_frame(), LABELS, threshold=80).set_index("label")
    assert easier.steps["Weight mirror"] == 150
    assert "–" in figures.format_table(table.reset_index()).splitlines()[-1]


def test_every_relative_has_a_look_of_its_own():
    from pfa_edu.plots.cost import _LOOK

    looks = [(_LOOK[name].colour, _LOOK[name].marker) for name in RELATIVES]
    assert len(set(looks)) == len(looks)

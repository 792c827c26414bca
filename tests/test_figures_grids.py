"""The figures of sparse feedback and of PFA's relatives: what they draw is what the frame says."""

import itertools

import numpy as np
import pandas as pd
import pytest

import pfa_edu as pe
from pfa_edu import plots as figures
from pfa_edu.lessons.kin import RELATIVES
from pfa_edu.plots.looks import looks_of

LABELS = {rule.label: name for name, (rule, _) in RELATIVES.items()}


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
    found = looks_of(LABELS)
    assert len({look.colour for look in found.values()}) == len({look.marker for look in found.values()}) == len(LABELS)
    assert found["mirror"].label == "Weight mirror"


def test_relatives_without_labels_are_called_as_everywhere():
    fig = figures.relatives(relatives_frame())
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["BP", "Weight mirror"]
    assert list(figures.relatives_table(relatives_frame(), None, threshold=85).label) == ["BP", "Weight mirror"]


def test_relatives_are_compared_with_backprop_at_the_end_of_their_runs():
    frame = relatives_frame()
    frame = frame[(frame.rule == "bp") | (frame.epoch < 2)]  # the mirror's epochs cost more: it has fewer
    table = figures.relatives_table(frame, LABELS, threshold=85).set_index("rule")
    assert table.loc["mirror", "to_bp"] == 80 - 90
    assert table.loc["mirror", "epochs"] == 1


def test_relatives_need_their_cost():
    frame = relatives_frame()
    without = frame[(frame.metric != "cost") | (frame.rule == "bp")]
    for call in (figures.relatives, lambda f: figures.relatives_table(f, LABELS, 85)):
        with pytest.raises(pe.ConfigError, match="lacks the metric 'cost' of mirror"):
            call(without)
    with pytest.raises(pe.ConfigError, match="name none of the frame's rules: they are bp, mirror"):
        figures.relatives(frame, {"pfaa": "PFA"})


def test_sparse_compares_every_density_with_backprop():
    table = figures.sparse_table(sparse_frame()).set_index("label")
    assert table.loc["FA 0.3", "to_bp"] == pytest.approx(5 * 0.3 - 5)  # backprop: 95, by seed one more
    assert np.isnan(table.loc["BP", "to_bp"])

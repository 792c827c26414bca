"""The paper's numbers: the count of epochs, the agreement of curves and table, and safety of the cache."""

import math

import pandas as pd
import pytest

from pfa_edu import errors
from pfa_edu.plots import published


def at(rule, epoch, metric, layer="network"):
    rows = published.curves("mnist")
    rows = rows[(rows.rule == rule) & (rows.epoch == epoch) & (rows.metric == metric) & (rows.layer == layer)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_columns_rules_and_metrics():
    curves = published.curves("mnist")
    assert list(curves.columns) == ["rule", "epoch", "layer", "metric", "mean", "std"]
    assert set(curves.metric) == {"test_accuracy", "path_alignment", "norm_ratio"}
    by_metric = curves.groupby("metric")["rule"].unique().map(set)
    assert by_metric["test_accuracy"] == {"bp", "fa", "dfa", "sf", "pfa", "pfa-o"}
    assert by_metric["path_alignment"] == by_metric["norm_ratio"] == {"fa", "sf", "pfa", "pfa-o"}
    assert set(curves[curves.metric == "test_accuracy"].layer) == {"network"}
    assert set(curves[curves.metric != "test_accuracy"].layer) == {"fc1", "fc2", "fc3"}
    assert not curves.duplicated(["rule", "epoch", "layer", "metric"]).any()
    assert curves["mean"].notna().all()


def test_accuracy_counts_completed_epochs():
    accuracy = published.curves("mnist").query("metric == 'test_accuracy'")
    for _, rows in accuracy.groupby("rule"):
        assert list(rows.epoch) == list(range(1, 41))
    # First and last rows of the file, whose own epochs are 0 and 39.
    assert tuple(at("bp", 1, "test_accuracy")[["mean", "std"]]) == (96.752, 0.131)
    assert tuple(at("pfa-o", 40, "test_accuracy")[["mean", "std"]]) == (98.416, 0.040)


def test_alignment_counts_completed_epochs():
    alignment = published.curves("mnist").query("metric != 'test_accuracy'")
    for _, rows in alignment.groupby(["rule", "metric", "layer"]):
        assert list(rows.epoch) == [*range(39), 40]  # nothing was measured between the 39th epoch and the end
    assert at("fa", 0, "path_alignment", "fc1")["mean"] == 89.868
    assert at("pfa", 1, "path_alignment", "fc1")["mean"] == 31.779
    assert at("pfa", 38, "path_alignment", "fc2")["mean"] == 19.512
    assert at("pfa", 40, "path_alignment", "fc2")["mean"] == 19.497
    assert at("pfa-o", 40, "norm_ratio", "fc3")["mean"] == 1.018
    assert alignment["std"].isna().all()


def test_the_table_is_the_end_of_the_curves():
    final = published.final("mnist")
    assert final["pfa"] == (98.39, 0.04)
    curves = published.curves("mnist")
    assert set(final) == set(curves.rule)
    for rule, (mean, std) in final.items():
        row = at(rule, 40, "test_accuracy")
        assert row["mean"] == pytest.approx(mean, abs=0.0051)
        assert row["std"] == pytest.approx(std, abs=0.0051)


def test_every_listed_experiment_loads_and_its_caller_owns_the_result():
    for name in published.experiments():
        first, final = published.curves(name), published.final(name)
        pristine = first.copy()
        first["mean"] = math.nan
        final.clear()
        pd.testing.assert_frame_equal(published.curves(name), pristine)
        assert published.final(name)


@pytest.mark.parametrize("load", [published.curves, published.final])
@pytest.mark.parametrize("name", ["mnis", "", None, ["mnist"]])
def test_unknown_experiment(load, name):
    with pytest.raises(errors.ConfigError, match="mnist"):
        load(name)

"""Tables of results, and figures in files."""

import numpy as np
import pandas as pd
import pytest
from plot_frames import CIFAR, PAPER, evening, mnist_runs, of
from scipy import stats

from pfa_edu import errors, plots
from pfa_edu.plots.statistics import half_width, student_t


@pytest.fixture(scope="module")
def frame():
    return mnist_runs()


def test_table_holds_the_last_epoch(frame):
    table = plots.table(frame, PAPER)
    assert list(table["rule"]) == ["bp", "fa", "dfa", "sf", "pfa", "pfa-o"]
    row = table.set_index("rule").loc["pfa"]
    scores = of(frame, rule="pfa", metric="test_accuracy", epoch=40)["value"]
    assert row["seeds"] == 5
    assert row["epochs"] == 40
    assert row["accuracy_mean"] == pytest.approx(scores.mean())
    assert row["accuracy_std"] == pytest.approx(np.std(scores))
    assert (row["paper_mean"], row["paper_std"]) == (98.392, 0.043)
    assert row["difference"] == pytest.approx(scores.mean() - 98.392)
    path = of(frame, rule="pfa", metric="path_alignment", epoch=40).groupby("layer")["value"].mean()
    assert (row["path_min"], row["path_max"]) == pytest.approx((path.min(), path.max()))
    angle = of(frame, rule="pfa", metric="gradient_angle", epoch=40)
    assert row["gradient_angle"] == pytest.approx(angle[angle.layer != "fc3"]["value"].mean())
    assert np.isnan(table.set_index("rule").loc["dfa", "path_max"])
    assert row["accuracy_on"] == "test"
    assert all(kind.kind in "if" for kind in table.drop(columns=["rule", "accuracy_on"]).dtypes)


def test_table_needs_nothing_but_accuracy(frame):
    row = plots.table(frame[(frame.metric == "test_accuracy") & (frame.seed == 0)]).iloc[0]
    names = ["accuracy_std", "paper_mean", "paper_std", "difference", "path_min", "path_max", "gradient_angle"]
    assert row[names].isna().all()
    assert row["accuracy_mean"] > 98


def test_format_table(frame):
    text = plots.format_table(plots.table(frame, PAPER)).splitlines()
    assert len(text) == 8
    assert len({len(line) for line in text}) == 1
    assert len(text[0]) <= 100
    assert "98.39 ± 0.04" in next(line for line in text if line.startswith("PFA "))
    alone = plots.format_table(plots.table(of(frame, seed=0))).splitlines()
    assert "paper" in text[0]
    assert "paper" not in alone[0], "no column for what is not there"
    assert "–" in next(line for line in alone if line.startswith("DFA "))  # no F, no path angle
    assert "nan" not in "".join(text + alone)


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 9, 30, 101])
def test_student_t_is_scipys(dof):
    assert student_t(dof) == pytest.approx(stats.t.ppf(0.975, dof), rel=1e-9)
    assert student_t(dof, 0.5) == pytest.approx(stats.t.ppf(0.75, dof), rel=1e-9)


def last_scores(frame, rule):
    return of(frame, rule=rule, metric="test_accuracy", epoch=40).set_index("seed")["value"]


def test_confidence_interval_of_the_mean(frame):
    row = plots.table(frame).set_index("rule").loc["fa"]
    scores = last_scores(frame, "fa")
    low, high = stats.t.interval(0.95, 4, loc=scores.mean(), scale=stats.sem(scores))
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx((low, high))
    assert np.isnan(half_width(scores[:1]))


def test_difference_to_backprop_is_paired_by_seed(frame):
    frame = frame.copy()  # what a seed does to both rules, here by up to 4 points, is no part of their difference
    frame.loc[frame.metric == "test_accuracy", "value"] += frame["seed"]
    row = plots.table(frame).set_index("rule").loc["pfa"]
    ours, bp = last_scores(frame, "pfa"), last_scores(frame, "bp")
    assert row["to_bp"] == pytest.approx((ours - bp).mean())
    interval = stats.ttest_rel(ours, bp).confidence_interval(0.95)
    assert (row["to_bp_low"], row["to_bp_high"]) == pytest.approx((interval.low, interval.high))
    assert row["to_bp_high"] - row["to_bp_low"] < 0.5 < row["accuracy_high"] - row["accuracy_low"]
    fewer = plots.table(frame[(frame.rule != "pfa") | frame.seed.isin([1, 3])]).set_index("rule").loc["pfa"]
    assert fewer["to_bp_seeds"] == 2
    assert fewer["to_bp"] == pytest.approx((ours - bp)[[1, 3]].mean())
    bp_row = plots.table(frame).set_index("rule").loc["bp"]
    assert bp_row[["to_bp", "to_bp_low", "to_bp_seeds"]].isna().all()
    assert plots.table(frame[frame.rule != "bp"])["to_bp"].isna().all()


def test_an_unfinished_rule_is_compared_with_backprop_at_the_same_epoch(frame):
    table = plots.table(frame[(frame.rule != "pfa") | (frame.epoch <= 7)])
    row = table.set_index("rule").loc["pfa"]
    at = of(frame, metric="test_accuracy", epoch=7)
    assert row["to_bp_epoch"] == 7
    assert row["to_bp"] == pytest.approx(of(at, rule="pfa")["value"].mean() - of(at, rule="bp")["value"].mean())
    behind = plots.table(frame[(frame.rule != "bp") | (frame.epoch <= 7)])
    assert set(behind["to_bp_epoch"].dropna()) == {7}
    text = plots.format_table(behind).splitlines()
    assert all("after 7" in line for line in text if line.startswith(("FA", "PFA")))


def test_one_row_for_each_setting_that_tells_runs_apart(frame):
    settings = [frame.assign(density=p, value=frame["value"] + shift) for p, shift in ((1.0, 0), (0.1, -2))]
    both = pd.concat([settings[0], settings[1][settings[1].rule != "bp"]], ignore_index=True)
    table = plots.table(both, by=["density"]).set_index(["rule", "density"])
    plain = plots.table(frame).set_index("rule")
    for rule in ("fa", "pfa"):
        assert table.loc[(rule, 1.0), "accuracy_mean"] == pytest.approx(plain.loc[rule, "accuracy_mean"])
        for density, shift in ((1.0, 0), (0.1, -2)):  # backprop has one density: both are compared with that
            assert table.loc[(rule, density), "to_bp"] == pytest.approx(plain.loc[rule, "to_bp"] + shift)
    with pytest.raises(errors.ConfigError, match="two runs share rule"):
        plots.table(both)
    with pytest.raises(errors.ConfigError, match="leave out either published or by"):
        plots.table(both, PAPER, by=["density"])
    with pytest.raises(errors.ConfigError, match="lacks the columns densiti"):
        plots.table(both, by=["densiti"])


def test_runs_that_leave_the_papers_schedule_are_compared_before_they_do():
    frame = evening({"bp": [20], "pfa": [20], "fa": [9]})
    table = plots.table(frame, CIFAR, leaves=14).set_index("rule")
    paper = of(CIFAR, metric="validation_accuracy")
    for rule, epoch in {"bp": 14, "pfa": 14, "fa": 9}.items():
        row = table.loc[rule]
        assert row["paper_epoch"] == epoch
        assert row["paper_mean"] == of(paper, rule=rule, epoch=epoch)["mean"].item()
        assert row["difference"] == pytest.approx(1)
    assert list(table["epochs"]) == [20, 9, 20]
    text = plots.format_table(table.reset_index()).splitlines()
    assert "at epoch" in text[0]
    assert "at epoch" not in plots.format_table(plots.table(evening({"bp": [9]}), CIFAR, leaves=14))


def test_save_writes_both_files_whole(frame, tmp_path):
    paths = plots.save(plots.gradient_angle(frame), tmp_path / "new" / "folder", "angles.v2")
    assert [path.name for path in paths] == ["angles.v2.png", "angles.v2.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["angles.v2.png", "angles.v2.svg"]


def test_save_names_the_folder_it_cannot_write(frame, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(errors.OutputError, match="taken"):
        plots.save(plots.gradient_angle(frame), tmp_path / "taken", "angles")
    assert (tmp_path / "taken").read_text() == "a file"

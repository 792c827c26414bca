"""The README's Python, executed as it stands."""

import re
from pathlib import Path

import pytest
import torch

import pfa_edu as pe

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def code(heading: str) -> str:
    """The first Python block under ``heading``."""
    section = README.split(f"\n## {heading}\n", 1)[1]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)


def test_your_own_rule():
    names: dict = {"pe": pe}
    try:
        exec(code("Your own rule"), names)
        assert pe.rule("shrunk", size=0.1).label == "shrunk size=0.1"
        net = pe.convert(pe.mlp((6, 5, 4)), "shrunk", verbose=False)
        layer = net.fc2
        torch.testing.assert_close(layer.feedback_weight(), 0.05 * layer.weight.detach().sign())
        assert len([line for line in code("Your own rule").splitlines() if line]) <= 16
    finally:
        pe.rules.forget(names["Shrunk"])


@pytest.mark.slow
def test_your_own_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"pe": pe, "torch": torch, "__name__": "__main__"}
    exec(code("Your own experiment"), names)
    frame = names["frame"]
    assert set(frame.rule) == {"bp", "fa", "pfa", "pfa ratio=1"}
    assert set(frame.lr) == {0.05, 0.1}
    assert frame.groupby(["rule", "lr"]).seed.nunique().eq(3).all()
    assert (tmp_path / "runs" / "points" / "fa-seed0" / "metrics.csv").exists()
    last = frame[(frame.metric == "test_accuracy") & (frame.epoch == 5)]
    assert last.value.mean() > 80


@pytest.mark.parametrize("size", ["small", pytest.param("as it stands", marks=pytest.mark.slow)])
def test_your_own_network(size, capsys):
    lines = code("In your own network")
    names: dict = {}
    torch.manual_seed(0)
    if size == "small":  # another network in ResNet-18's place, the rest as it stands
        resnet, small = "torchvision.models.resnet18(num_classes=10)", "pe.mlp((3 * 64 * 64, 20, 10))"
        assert resnet in lines
        exec(lines.replace(resnet, small), names)
    else:
        exec(lines, names)
        assert pe.path_alignment(names["net"])["conv1"] == pytest.approx(90.1, abs=2)
    report = pe.audit(names["net"], names["x"], optimizer=names["sgd"])
    assert report.ok, report.problems
    assert str(report) in capsys.readouterr().out
    assert "pe.steps_to_fade(0.06, lr=0.02, momentum=0.9, weight_decay=0.1)  # 120" in lines
    assert pe.steps_to_fade(0.06, lr=0.02, momentum=0.9, weight_decay=0.1) == 120
    assert pe.alignment_limit(ratio=10) == pytest.approx(17.548, abs=0.001)

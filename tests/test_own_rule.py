"""A rule of your own is one file and touches no other: it is known, measured, trained, drawn and raced like any."""

import copy
import importlib
import re
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu import plots
from pfa_edu.cli import main
from pfa_edu.lessons.explorers.race_engine import Entry, Race, Settings
from pfa_edu.rules import forget

RULE = '''
import pfa_edu as pe


class Mine(pe.Rule):
    """F is the weight at the start, ``gain`` times, and never learns."""

    gain: float = 1.0

    def make(self, layer):
        return Frozen(layer.weight, self.gain)


class Frozen(pe.Feedback):
    def __init__(self, weight, gain):
        super().__init__()
        self.register_buffer("F", gain * weight.detach().clone())

    def path(self, weight):
        return pe.Path(F=self.F)
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The class, from a file in the current folder that nobody has imported yet."""
    (tmp_path / "mymodule.py").write_text(RULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    cls = type(pe.rule("mymodule:Mine"))
    yield cls
    if pe.known_rules().get("mine") is cls:
        forget(cls)
    del sys.modules["mymodule"]


def network(rule):
    torch.manual_seed(0)
    return pe.convert(nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double(), rule, verbose=False)


def batch():
    x = torch.randn(16, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x, x[:, :3].argmax(1)


def test_it_is_known_by_its_name_and_by_its_module(mine):
    assert pe.rule("mine") == mine(gain=1.0)
    assert pe.rule("mymodule:Mine", gain=2) == pe.rule("MINE", gain=2) == mine(2)
    assert list(pe.known_rules())[-1] == "mine"
    assert (mine().label, mine(2).label) == ("mine", "mine gain=2")
    with pytest.raises(pe.ConfigError, match=r"unknown knob of mine 'gian': did you mean 'gain'"):
        pe.rule("mine", gian=2)


def test_it_is_forgotten_again(mine):
    forget(mine)
    with pytest.raises(pe.ConfigError, match="unknown rule 'mine'"):
        pe.rule("mine")


def test_its_feedback_carries_the_error_back(mine):
    """The gradient of the first layer, by hand: δ₂ goes back through gain · W₂ at the start."""
    net, (x, y) = network(mine(2)), batch()
    start = net[2].weight.detach().clone()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    pe.train_step(net, optimizer, nnf.cross_entropy, x, y)
    assert not torch.equal(net[2].weight, start)
    torch.testing.assert_close(net[2].feedback_weight(), 2 * start)
    optimizer.zero_grad()
    nnf.cross_entropy(net(x), y).backward()
    with torch.no_grad():
        h = torch.tanh(net[0](x))  # (16, 8)
        delta = (torch.softmax(net[2](h), 1) - nnf.one_hot(y, 3)) / 16  # (16, 3)
        expected = ((delta @ (2 * start)) * (1 - h**2)).t() @ x  # (8, 5)
    torch.testing.assert_close(net[0].weight.grad, expected)


@pytest.mark.parametrize(("gain", "degrees"), [(2.0, 0.0), (-0.5, 180.0)])
def test_it_is_measured(mine, gain, degrees):
    net, (x, y) = network(mine(gain)), batch()
    assert pe.path_alignment(net) == pytest.approx({"0": degrees, "2": degrees}, abs=1e-5)
    assert pe.norm_ratio(net) == pytest.approx({"0": abs(gain), "2": abs(gain)})
    # the last layer's error comes from nowhere else, and the first's is gain times backprop's
    angles = pe.gradient_angle(net, nnf.cross_entropy, x, y)
    assert angles == pytest.approx({"0": degrees, "2": 0.0}, abs=1e-5)


def test_it_is_saved_and_copied(mine):
    net = network(mine(2))
    other = network(mine(2))
    for layer in pe.layers(other).values():
        layer.feedback.F.zero_()
    other.load_state_dict(net.state_dict())
    for n in (copy.deepcopy(net), other):
        torch.testing.assert_close(n[2].feedback_weight(), net[2].feedback_weight(), rtol=0, atol=0)


def test_it_trains_is_drawn_and_tabled(mine, tmp_path):
    e = pe.experiment("mnist", mine(2), scale="smoke", dataset="mnist-5k", epochs=1, out=tmp_path)
    frame = e.run(progress="none").frame
    assert e.folder == tmp_path / "mnist-smoke" / "mine_gain=2-seed0"
    assert set(frame["rule"]) == {"mine gain=2"}
    last = frame[frame["epoch"] == 1].set_index(["metric", "layer"])["value"]
    assert last["test_accuracy"].item() > 50
    assert 0 < last["path_alignment", "fc2"] < 45  # W has moved away from its start
    assert plots.rule_look("mine gain=2").label == "mine gain=2"
    assert "mine gain=2" in plots.format_table(plots.table(frame))
    figure = plots.accuracy(frame)
    drawn = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert any("mine gain=2" in text for text in drawn)


def test_it_races(mine):
    assert Entry("mine").rule() == mine()
    race = Race(Settings(entries=(Entry("bp"), Entry("mine")), dataset="spirals", width=16))
    for _ in range(5):
        race.step()
    race.measure()
    assert [lane.label for lane in race.lanes] == ["bp", "mine"]
    start, now = (race.lanes[1].angles[i].path["fc2"] for i in (0, -1))
    assert start == pytest.approx(0, abs=1e-3)
    assert now > start


def test_it_is_listed(mine, capsys):
    assert main(["list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("rules")]
    assert line.endswith(", mine")


class Unfinished(pe.Feedback):
    """A feedback whose path lacks what the test leaves out."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def path(self, weight):
        square = torch.eye(len(weight))  # (out, out)
        return pe.Path(**{part: square if part == "L" else weight.detach() for part in self.parts})


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("", "a feedback path without parts"),
        ("FL", "with F, L alone"),
        ("M", "with M alone"),
        ("FE", "with F, E alone"),
    ],
)
def test_a_path_that_lacks_a_part_is_an_error(kind, parts, message):
    """Not a gradient that stops there without a word, nor backprop's in its place."""
    layer = pe.Linear(4, 4) if kind == "linear" else pe.Conv2d(4, 4, 3, padding=1)
    layer.feedback = Unfinished(parts)
    x = torch.randn(2, 4) if kind == "linear" else torch.randn(2, 4, 5, 5)
    if parts:  # half of a part is an error in a first layer too
        with pytest.raises(pe.ConfigError, match=message):
            layer(x)
    else:
        layer(x).sum().backward()  # a first layer sends nothing back and needs no path
        assert layer.weight.grad is not None
    with pytest.raises(pe.ConfigError, match=message):
        layer(x.requires_grad_())


def test_the_rule_in_the_contributors_guide_works():
    """It is defined as printed, and sends back what its text says."""
    guide = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "pe.Rule" in block]
    names = {"__name__": "guide"}
    exec(code, names)
    try:
        layer = pe.Linear(4, 3, rule=pe.rule("halved", share=0.25))
        h = torch.randn(2, 4, requires_grad=True)
        layer(h).sum().backward()
        torch.testing.assert_close(h.grad, torch.ones(2, 3) @ (0.25 * layer.weight.detach()))
    finally:
        forget(names["Halved"])


def test_on_the_command_line_its_knobs_are_flags(mine, tmp_path, capsys):
    command = ["run", "mnist", "--scale", "smoke", "--epochs", "1", "--out", "runs", "--rule", "mymodule:Mine"]
    assert main([*command, "--gain", "2"]) == 0
    assert (tmp_path / "runs" / "mnist-smoke" / "mine_gain=2-seed0" / "metrics.csv").exists()
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--ratio", "2"])
    assert "--ratio" in capsys.readouterr().err

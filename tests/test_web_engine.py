"""The playground's engine against the package: the same weights on the same batches have to give the same numbers."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as nnf
from node import WEB, call
from torch import Tensor, nn

import pfa_edu as pe
from pfa_edu.nn.layer import layers
from pfa_edu.nn.models import mlp
from pfa_edu.train.step import train_step

SIZES = (20, 24, 16, 5)
STEPS, BATCH = 200, 16
LOOKS = [0, 1, 2, 10, 50, 99, 100, 101, 150, 200]  # strong decay until step 100
PACE = {"lr": 0.02, "momentum": 0.9, "weightDecay": 1e-3, "strongDecay": 0.03, "strongSteps": 100}
# name in the playground -> the rule here; PFA in its explicit form, with B and R, which the playground never forms
RULES: dict[str, pe.Rule] = {
    "bp": pe.BP(), "fa": pe.FA(), "dfa": pe.DFA(), "sf uniform": pe.SF(), "sf fixed": pe.SF(kind="fixed"),
    "sf batch": pe.SF(kind="batch"), "kp": pe.KP(), "pfa": pe.PFA(ratio=4, form="explicit"),
    "pfa-o": pe.PFAo(form="explicit"),
}  # fmt: skip


class Samples:
    """Points whose class a random linear map decides, so that there is something to learn."""

    def __init__(self, n: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(n, SIZES[0], generator=generator)  # (n, inputs)
        teacher = torch.randn(SIZES[0], SIZES[-1], generator=torch.Generator().manual_seed(7))
        self.y = (self.x @ teacher).argmax(1)

    def sent(self) -> dict[str, list]:
        return {"x": self.x.flatten().tolist(), "y": self.y.tolist()}


def feedback_of(layer: Any) -> dict[str, list[float]]:
    """The tensors of a layer's feedback that the playground is to begin with."""
    held = layer.feedback.state_dict() if layer.feedback is not None else {}
    return {name: value.flatten().tolist() for name, value in held.items() if name in ["F", "M", "D", "B", "R"]}


def look(net: nn.Module, loss: float, test: Samples, probe: Samples) -> dict[str, Any]:
    found = layers(net)
    with torch.no_grad():
        accuracy = (net(test.x).argmax(1) == test.y).double().mean().item() * 100
    direct = [layer.feedback is not None and layer.feedback.direct for layer in found.values()]
    nan = dict.fromkeys(found, math.nan)
    return {
        "W": [layer.weight.detach().clone() for layer in found.values()],
        "b": [layer.bias.detach().clone() for layer in found.values()],
        "F": [
            (layer.feedback.D if d else layer.feedback_weight()).detach().clone()
            for d, layer in zip(direct, found.values(), strict=True)
        ],
        "loss": loss,
        "accuracy": accuracy,
        "pathAngle": list((nan | pe.path_alignment(net)).values()),
        "normRatio": list((nan | pe.norm_ratio(net)).values()),
        "gradientAngle": list(pe.gradient_angle(net, nnf.cross_entropy, probe.x, probe.y).values()),
    } | one_sample(net, test.x[:1], test.y[:1])


def one_sample(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, list[Tensor]]:
    """What the page draws of a shown sample: every layer's activity, and the error that the rule brings it."""
    outs: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _, __, out: outs.append(out)) for layer in layers(net).values()]
    net.eval()  # brSF keeps its magnitudes
    errors = torch.autograd.grad(nnf.cross_entropy(net(x), y), outs)
    net.train()
    for hook in hooks:
        hook.remove()
    hidden = [out.detach().relu()[0] for out in outs[:-1]]
    return {"activations": [*hidden, outs[-1].detach().softmax(1)[0]], "errors": [error[0] for error in errors]}


def trained(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the playground is to be given, and all that torch makes of it."""
    torch.manual_seed(0)
    rule = RULES[name]
    net = pe.convert(mlp(SIZES), rule, init="xavier", verbose=False)
    found, batches = layers(net), [Samples(BATCH, seed) for seed in range(1000, 1000 + STEPS)]
    test, probe = Samples(200, 1), Samples(64, 2)
    kind = getattr(rule, "kind", "uniform")
    given = {
        "rule": name.split()[0], "kind": kind, "ratio": getattr(rule, "ratio", 1), "sizes": SIZES, "pace": PACE,
        "W": [layer.weight.flatten().tolist() for layer in found.values()],
        "feedback": [feedback_of(layer) for layer in found.values()],
        "batches": [batch.sent() for batch in batches], "probe": probe.sent(), "test": test.sent(), "looks": LOOKS,
    }  # fmt: skip
    recipe = pe.Recipe(
        epochs=1, batch_size=BATCH, lr=PACE["lr"], weight_decay=PACE["weightDecay"],
        strong_decay=PACE["strongDecay"], strong_steps=int(PACE["strongSteps"]),
    )  # fmt: skip
    sgd = torch.optim.SGD(net.parameters(), lr=PACE["lr"], momentum=PACE["momentum"])
    loss, told = math.nan, []
    magnitudes: list[list[list[float]]] = [[] for _ in found]
    for step, batch in enumerate([*batches, None]):
        if step in LOOKS:
            told.append(look(net, loss, test, probe))
        if batch is None:
            break
        strong = rule.aligns_by_decay
        sgd.param_groups[0]["weight_decay"] = recipe.decay_at(step) if strong else recipe.weight_decay
        loss = train_step(net, sgd, nnf.cross_entropy, batch.x, batch.y).item()
        if kind == "batch":
            for drawn, layer in zip(magnitudes, found.values(), strict=True):
                drawn.append(layer.feedback.M.flatten().tolist())
    if kind == "batch":
        for feedback, drawn in zip(given["feedback"], magnitudes, strict=True):
            feedback["Ms"] = drawn
    return given, told


@pytest.mark.parametrize("name", RULES)
def test_every_weight_angle_and_accuracy_is_the_packages_own(name: str, tmp_path: Path) -> None:
    """200 steps with the strong decay, the switch and the gentle one: equal to 1e-4 at every look."""
    given, expected = trained(name)
    answer = call("parity", given, tmp_path)
    assert len(answer["told"]) == len(expected) == len(LOOKS)
    worst: dict[str, float] = {}
    for step, ours, theirs in zip(LOOKS, answer["told"], expected, strict=True):
        for what, value in theirs.items():
            apart = furthest(ours[what], value)
            worst[what] = max(worst.get(what, 0.0), apart)
            assert apart < 1e-4, f"{name}, {what} after {step} steps: {apart:.1e} apart"
    assert expected[-1]["accuracy"] > 60  # of five classes: it did learn, and is not all zeros
    print(name, worst)


def furthest(ours: Any, theirs: Any) -> float:
    """The largest difference; NaN (null) has to be NaN on both sides, and counts as no difference."""
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        return max(map(furthest, ours, theirs))
    if isinstance(theirs, Tensor):
        return (torch.tensor(ours).view_as(theirs) - theirs).abs().max().item()
    if ours is None or math.isnan(theirs):
        assert ours is None
        assert math.isnan(theirs)
        return 0.0
    return abs(ours - theirs)


def runner(rule: str, ratio: float = 1, kind: str = "uniform") -> dict[str, Any]:
    return {"rule": rule, "ratio": ratio, "kind": kind}


def config(*runners: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "runners": list(runners), "dataset": "spirals", "hidden": [16, 16], "lr": 0.05, "momentum": 0.9,
        "weightDecay": 1e-4, "strongDecay": 0.02, "strongSteps": 150, "batch": 32, "seed": 3,
    } | changes  # fmt: skip


@pytest.mark.parametrize(("name", "ratio"), [("pfa", 0.5), ("pfa", 4), ("pfa-o", 1), ("kp", 1), ("fa", 1), ("dfa", 1)])
def test_limits_are_the_packages_own(name: str, ratio: float, tmp_path: Path) -> None:
    """Where theory says the path angle ends, for layers of several widths."""
    outs = [16, 10, 2]
    rule = pe.rule(name, **({"ratio": ratio} if name == "pfa" else {}))
    nothing: list[list[float]] = [[0.0] * 3 * 16, [0.0] * 16 * 10, [0.0] * 10 * 2]
    one = {"x": [1.0, 2.0, 3.0], "y": [0]}
    feedback = [
        {"F": W, "D": [0.0] * (2 * fan_in), "B": [1.0] * (out * round(ratio * out)),
         "R": [1.0] * (round(ratio * out) * fan_in)}
        for W, out, fan_in in zip(nothing, outs, [3, *outs], strict=False)
    ]  # fmt: skip
    answer = call(
        "parity", runner(name, ratio) | {"sizes": [3, *outs], "W": nothing, "feedback": feedback, "batches": [one],
                   "probe": one, "test": one, "pace": PACE, "looks": []}, tmp_path
    )  # fmt: skip
    expected = [rule.limit(out) for out in outs]
    assert answer["limits"] == (expected if expected[0] is None else pytest.approx(expected, abs=1e-9))


def test_seeking_replaying_and_resetting_are_exact(tmp_path: Path) -> None:
    """Bit for bit: back, forth, slowly, over a change of pace, from the start again. Three rules, one drawn anew."""
    racers = [runner("pfa", ratio=10), runner("sf", kind="batch"), runner("kp")]
    answer = call("replay", {"config": config(*racers), "far": 260}, tmp_path)
    wrong = [what for what, held in answer.items() if held is False]
    assert wrong == []
    assert answer["failures"] == []
    assert answer["kinds"] == ["ready", "frame"]
    assert answer["longest"] <= 12  # milliseconds in which it does not listen: a slice of 8, and a frame
    assert answer["speeds"] == pytest.approx([10, 200], rel=0.05)  # steps a second, as asked for
    assert 40 <= answer["framesASecond"] <= 60
    assert answer["refused"]["step"] == 3  # after six refusals the race goes on as it was
    for failure, told in zip(
        answer["refused"]["failures"],
        ["ratio 0.3125 would give 5", "depth 0", "lr NaN", "seek -1", "lr 50", "play at 0"], strict=True,
    ):  # fmt: skip
        assert told in failure


def test_digits_learn_and_a_step_is_fast(tmp_path: Path) -> None:
    """196-64-64-10, batch 32, one rule: 300 steps a second of one core's time, measuring and snapshots included."""
    digits = config(runner("pfa", ratio=10), dataset="digits", hidden=[64, 64], strongSteps=300)
    answer = call("speed", {"config": digits, "steps": 600}, tmp_path)
    assert answer["accuracy"] > 88
    assert answer["stepsPerSecond"] > 300


def test_the_product_in_wide_registers_is_the_plain_one(tmp_path: Path) -> None:
    """For sizes that fill no tile, transposed or not, added or not; float32 sums against double ones."""
    sizes = [(1, 1, 1), (4, 8, 3), (5, 9, 7), (3, 17, 2), (32, 64, 196), (64, 196, 32), (33, 10, 64), (300, 300, 300)]
    answer = call("matrix", {"sizes": sizes}, tmp_path)
    assert answer["wide"] is True  # node has them since version 16.4
    assert answer["products"] == 8 * len(sizes)
    assert answer["worst"] < 2e-6


def test_the_pages_digits_are_the_packages_own(tmp_path: Path) -> None:
    """What make_digits.py writes is what is committed, and the page reads from it what went in."""
    spec = importlib.util.spec_from_file_location("make_digits", WEB / "make_digits.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    committed = maker.TO.read_text()
    maker.TO = tmp_path / "src" / "digits.txt"
    maker.main()
    assert maker.TO.read_text() == committed
    data = pe.data.load("mnist-5k")
    (answer,) = call("data", {"names": ["digits"]}, tmp_path)
    for part, (x, y, each) in {
        "train": (data.train_x, data.train_y, maker.TRAIN), "test": (data.test_x, data.test_y, maker.TEST)
    }.items():  # fmt: skip
        greys, labels = maker.chosen(x, y, each)
        assert answer[part]["y"] == labels.tolist()
        expected = (torch.tensor(greys.reshape(-1), dtype=torch.float64) / 15 - 0.1307) / 0.3081
        assert torch.allclose(torch.tensor(answer[part]["x"], dtype=torch.float64), expected, atol=1e-6)


def test_toys_lie_in_the_map_and_show_every_class_alike(tmp_path: Path) -> None:
    names = ["moons", "circles", "xor", "spirals"]
    for name, told in zip(names, call("data", {"names": names}, tmp_path), strict=True):
        for part, n in (("train", 600), ("test", 400)):
            x = torch.tensor(told[part]["x"]).view(-1, 2)
            assert len(x) == len(told[part]["y"]) == n
            assert x.abs().max() < 1.25, name
            counts = torch.bincount(torch.tensor(told[part]["y"]), minlength=told["classes"])
            assert counts.max() - counts.min() <= 1


def test_snapshots_stay_few_and_near(tmp_path: Path) -> None:
    """64 MB at most, whatever the length of the race; the way from the nearest is a small part of it."""
    seeks = [100, 12_345, 99_999]
    for size, most in ((1000, 200), (200_000, 80), (10_000_000, 8)):  # numbers in one
        answer = call("snapshots", {"size": size, "steps": 100_000, "seeks": seeks}, tmp_path)
        assert answer["most"] <= most + 1
        for step, found in zip(seeks, answer["found"], strict=True):
            assert 0 <= step - found <= 2 * 100_000 / most
        assert answer["afterCut"] <= seeks[0]


def test_a_lane_whose_loss_is_not_finite_stands_still(tmp_path: Path) -> None:
    """The other goes on, until it falls as well; seeking to before the fall brings the lane back."""
    wild = config(runner("bp"), runner("dfa"), dataset="digits", hidden=[64] * 5, lr=1, momentum=0.99, weightDecay=0)
    answer = call("falling", {"config": wild, "steps": 40}, tmp_path)
    first, second = answer["fellAt"]
    assert first < second < 40
    assert answer["finite"] is True
    assert answer["standsStill"] is True
    assert answer["beforeItFell"] is None


def test_the_engines_own_draws_have_the_right_sizes_and_lead_to_the_limits(tmp_path: Path) -> None:
    """All lanes begin with the same W; F is about as long as W and knows nothing of it, and ends where theory says."""
    racers = [runner("pfa", 10), runner("pfa", 1), runner("pfa-o")]
    fading = config(*racers, dataset="digits", hidden=[64, 64], lr=0.05, strongDecay=0.03, strongSteps=5000)
    answer = call("draws", {"config": fading, "steps": 500}, tmp_path)
    outs, ins = [64, 64, 10], [196, 64, 64]
    xavier = [math.sqrt(2 / (out + fan_in)) for out, fan_in in zip(outs, ins, strict=True)]
    for lane in answer["first"]:
        assert lane["W"] == answer["first"][0]["W"]
        assert lane["sizeW"] == pytest.approx(xavier, rel=0.1)
        assert lane["angles"] == pytest.approx([90, 90, 90], abs=7)
    # F = B R: each entry is a sum of mid products of B, of variance 1/mid, and R, of variance 2/(mid + in)
    for lane, mids in zip(answer["first"], ([640, 640, 100], [64, 64, 10], [64, 64, 10]), strict=True):
        expected = [math.sqrt(2 / (mid + fan_in)) for mid, fan_in in zip(mids, ins, strict=True)]
        assert lane["sizeF"] == pytest.approx(expected, rel=0.2)
    for angles, rule in zip(answer["last"], (pe.PFA(ratio=10), pe.PFA(ratio=1), pe.PFAo()), strict=True):
        assert angles[:2] == pytest.approx([rule.limit(64)] * 2, abs=1.5), rule


def test_dfa_trains_at_a_fifth_of_the_rate(tmp_path: Path) -> None:
    """At the whole rate a deep network's loss is not finite after 180 steps; at a fifth it learns."""
    deep = config(runner("dfa"), runner("bp"), dataset="digits", hidden=[64] * 4, seed=1)
    dfa, bp = call("falling", {"config": deep, "steps": 260}, tmp_path)["fellAt"]
    assert (dfa, bp) == (None, None)
    (slow,) = call("story", {"configs": [deep | {"runners": [runner("dfa")]}], "steps": 1000}, tmp_path)
    assert slow["accuracy"][0] > 70
    (fast,) = call("story", {"configs": [deep | {"runners": [runner("dfa")], "lr": 0.25}], "steps": 200}, tmp_path)
    assert fast["accuracy"][0] < 20  # so that its own rate is the 0.05 at which it diverges


def test_the_storys_gap_does_not_hang_on_seed_or_rate(tmp_path: Path) -> None:
    """Step 3: with four hidden layers FA stays far behind for every seed, and at 0.005 about 15 points remain."""
    rates = {0.02: (20, 35), 0.005: (13, 17)}
    fading = {"dataset": "digits", "hidden": [48] * 4}
    configs = [config(runner("fa"), runner("bp"), seed=s, lr=lr, **fading) for lr in rates for s in (1, 2, 3)]
    answers = call("story", {"configs": configs, "steps": 600}, tmp_path)
    for one, answer in zip(configs, answers, strict=True):
        fa, bp = answer["accuracy"]
        low, high = rates[one["lr"]]
        assert low < bp - fa < high, (one["seed"], one["lr"])


def test_pfa_comes_close_to_backprop_for_other_seeds(tmp_path: Path) -> None:
    """Step 4, at seeds 1 to 3: at least three quarters of the way from FA to backprop, and the angle near its limit."""
    fading = {"dataset": "digits", "hidden": [48] * 4, "lr": 0.02, "strongDecay": 0.015, "strongSteps": 1000}
    racers = (runner("pfa", 10), runner("fa"), runner("bp"))
    for answer in call(
        "story", {"configs": [config(*racers, seed=s, **fading) for s in (1, 2, 3)], "steps": 1000}, tmp_path
    ):
        pfa, fa, bp = answer["accuracy"]
        assert (pfa - fa) / (bp - fa) > 0.75
        assert 16 < answer["path"][0] < 19

"""Experiments on a user's own network, data, loss, optimiser and callbacks; the recipe's and the presets' settings."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.runs.presets import PRESETS, preset

FA = pe.FA()
RECIPE = pe.Recipe(epochs=2, batch_size=16, lr=0.1)


def network():
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def tensors(n=96, classes=3):
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(n, 6, generator=stream)
    return x, x[:, :classes].argmax(1)


def data(**how):
    return pe.data.from_tensors("mine", train=tensors(), test=tensors(48), **how)


def mine(rule=FA, **how):
    how = {"out": None, "recipe": RECIPE} | how
    return pe.Experiment(how.pop("network", network), how.pop("data", data()), rule, **how)


def values(frame, metric):
    return frame.loc[frame["metric"] == metric, "value"].tolist()


def test_own_network_runs_resumes_and_is_tidy(tmp_path):
    whole = mine(pe.PFA(4), out=tmp_path / "a").run(progress="none")
    cut = mine(pe.PFA(4), out=tmp_path / "b", recipe=RECIPE)
    cut.run(progress="none", deadline=0)  # nothing but the measurement before training
    assert not (cut.folder / "metrics.csv").exists()
    trainer = cut.trainer(cut.load())
    trainer._in_time = lambda deadline: trainer.epoch < 1
    trainer.train(cut.folder / "checkpoint.pt", "none")
    again = mine(pe.PFA(4), out=tmp_path / "b").run(progress="none")
    keep = whole.frame["metric"] != "seconds"
    assert again.frame[keep].equals(whole.frame[keep])
    assert whole.folder == tmp_path / "a" / "mine" / "pfa_ratio=4-seed0"
    assert values(whole.frame, "test_accuracy")[-1] > 60
    assert set(whole.frame.columns) == {"rule", "seed", "epoch", "layer", "metric", "value"}
    kept = pd.read_csv(whole.folder / "metrics.csv")
    assert values(kept, "test_accuracy") == pytest.approx(values(whole.frame, "test_accuracy"), rel=1e-5)


def test_a_rule_has_the_same_start_as_every_other():
    starts = [mine(rule).trainer(data()).net[0].weight for rule in (pe.BP(), pe.FA(), pe.PFA(2))]
    assert all(torch.equal(starts[0], w) for w in starts)


def test_experiment_takes_its_cheapest_exact_form_and_obeys_an_explicit_one():
    def form(rule, **how):
        return mine(rule, **how).trainer(data()).net[0].feedback

    assert hasattr(form(pe.PFA(2)), "G")
    assert hasattr(form(pe.PFA(2, form="explicit")), "R")  # what was asked for
    assert hasattr(form(pe.PFA(2), optimizer="AdamW"), "R")
    assert hasattr(form(pe.PFAo()), "G")


def test_another_network_of_the_same_name_is_another_run(tmp_path):
    mine(out=tmp_path).run(progress="none")

    def wider():
        return nn.Sequential(nn.Linear(6, 17), nn.Tanh(), nn.Linear(17, 3))

    with pytest.raises(pe.CheckpointError, match=r"network '.*network .*' there, '.*wider .*' here"):
        mine(network=wider, out=tmp_path).run(progress="none")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"data": pe.data.from_tensors("mine", train=tensors(80), test=tensors(48))}, "data"),
        ({"optimizer": pe.Optimizer("AdamW")}, "optimizer"),
        ({"loss": nnf.multi_margin_loss}, "loss"),
        ({"skip": "2"}, "skip"),
        ({"recipe": replace(RECIPE, momentum=0.5)}, "momentum"),
    ],
)
def test_every_part_is_in_the_identity(tmp_path, change, named):
    mine(out=tmp_path).run(progress="none")
    with pytest.raises(pe.CheckpointError, match=named):
        mine(out=tmp_path, **change).run(progress="none")


def test_network_may_ask_for_the_shapes():
    def build(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), classes))

    frame = mine(network=build).run(progress="none").frame
    assert set(frame["layer"]) == {"network", "1"}


def test_module_function_of_the_current_folder(tmp_path, monkeypatch):
    body = "return pe.experiment('mnist', rule, seed, 'smoke', **how)"
    code = f"import pfa_edu as pe\ndef mine(rule, seed=0, **how):\n    {body}\n"
    (tmp_path / "of_this_folder.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])  # as a console script has it
    assert pe.experiment("of_this_folder:mine", "fa", out=None).recipe.epochs == 3


def test_regression_has_a_loss_and_no_accuracy():
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    y = x[:, :3] * 2
    reg = pe.data.from_tensors("reg", train=(x, y), test=(x, y))
    frame = mine(data=reg, loss=nnf.mse_loss, recipe=replace(RECIPE, epochs=6)).run(progress="none").frame
    losses = values(frame, "test_loss")
    assert losses[-1] < losses[0] / 2
    assert "test_accuracy" not in set(frame["metric"])


def test_loss_is_the_mean_over_the_part():
    e = mine()
    trainer = e.trainer(e.load())
    trainer._evaluate()
    x, y = tensors(48)
    assert trainer.last("test_loss") == pytest.approx(nnf.cross_entropy(trainer.net(x), y).item(), rel=1e-6)


class Spy(pe.Callback):
    def __init__(self):
        self.told = []

    def before_training(self, run):
        self.told.append(("start", run.epoch, run.step))

    def before_epoch(self, run):
        self.told.append(("epoch", run.epoch, run.step))

    def before_step(self, run):
        self.told.append(("before", run.epoch, run.step))

    def on_step(self, run):
        self.told.append(("step", run.epoch, run.step))
        assert run.loss.isfinite()

    def on_epoch(self, run):
        self.told.append(("end", run.epoch, run.step))
        run.log("doubled", 2 * run.epoch)


def test_callbacks_at_their_moments():
    spy, epochs = Spy(), []
    frame = mine(callbacks=[spy, lambda run: epochs.append(run.epoch)]).run(progress="none").frame
    steps = 96 // 16
    first = [("before", 0, 0), ("step", 0, 1), ("before", 0, 1)]
    assert spy.told[:5] == [("start", 0, 0), ("epoch", 0, 0), *first]
    assert spy.told.count(("end", 1, steps)) == spy.told.count(("end", 2, 2 * steps)) == 1
    assert ("epoch", 1, steps) in spy.told
    assert len([t for t in spy.told if t[0] == "step"]) == 2 * steps
    assert values(frame, "doubled") == [2, 4]
    assert epochs == [1, 2]
    with pytest.raises(pe.ConfigError, match=r"a pe\.Callback, or a function"):
        mine(callbacks=[3]).run(progress="none")


def test_a_rule_hooks_in_with_h_delta_and_the_optimiser():
    """Hebbian learning by the hooks alone, the optimiser's learning rate at hand: the same as SGD on ∇W = δ hᵀ."""

    class Manual(pe.FA):
        """FA whose weight update is made by hand."""

        name = "manual"
        records = True

        def before_step(self, run):
            self_layers = pe.layers(run.net).values()
            run.before = [layer.weight.detach().clone() for layer in self_layers]

        def on_step(self, run):
            lr = run.optimizer.param_groups[0]["lr"]
            for layer, before in zip(pe.layers(run.net).values(), run.before, strict=True):
                torch.testing.assert_close(layer.weight.detach(), before - lr * layer.delta.t() @ layer.h)

    try:
        mine(Manual(), recipe=replace(RECIPE, momentum=0, weight_decay=0)).run(progress="none")
    finally:
        pe.rules.forget(Manual)


@pytest.mark.parametrize("optimizer", ["AdamW", torch.optim.RMSprop, pe.Optimizer("SGD", nesterov=True)], ids=str)
def test_optimisers(optimizer):
    e = mine(pe.PFA(2), optimizer=optimizer, recipe=replace(RECIPE, lr=0.01))
    frame = e.run(progress="none").frame
    assert np.isfinite(values(frame, "train_loss")).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pe.Optimizer("Adamw"), "did you mean 'AdamW'"),
        (lambda: pe.Optimizer("SGD", momentum=0.5), "belongs to the recipe"),
        (lambda: pe.Optimizer("AdamW", beta=1), "unknown setting of AdamW 'beta'"),
        (lambda: pe.Optimizer(nn.Linear), "not a torch.optim.Optimizer"),
        (lambda: mine(pe.PFA), "PFA is a class: write PFA()"),
        (lambda: mine(seed=-1), "seed -1"),
        (lambda: mine(seed=10**15), "seed 1000000000000000"),
        (lambda: mine(seed=1.5), "seed 1.5: it must be a whole number"),
        (lambda: mine(device="gpu"), "device 'gpu' is unknown"),
        (lambda: mine(data="mnits"), "unknown dataset 'mnits'"),
        (lambda: mine(loss=3), "loss 3: a function"),
        (lambda: mine(recipe=3), "recipe 3"),
        (lambda: mine(network=lambda: 3).run(), "returned a int: a torch nn.Module"),
        (lambda: pe.experiment("mnits", "pfa"), "unknown experiment 'mnits': did you mean 'mnist'"),
        (lambda: pe.experiment("nosuchmodule:f", "pfa"), "cannot be imported"),
        (lambda: pe.experiment("math:pi", "pfa"), "not a function that returns a pe.Experiment"),
        (lambda: pe.Optimizer("nosuchmodule:Sgd"), "optimizer 'nosuchmodule:Sgd' cannot be imported"),
        (lambda: pe.PFA(-1), "ratio -1: it must be a number greater than 0 and at most 10000"),
        (lambda: pe.FA(density=2), "density 2: it must be a number greater than 0 and at most 1"),
        (lambda: pe.experiment("cifar10", "pfa", scale="noon"), "unknown scale of cifar10 'noon'"),
        (
            lambda: pe.experiment("mnist", "pfa", scale="paper", dataset=data(), batch_size=97),
            "batch_size 97 is more than the 96",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(pe.ConfigError, match=message):
        make()


# ------------------------------------------------------------------------------------------------------- the recipe

BAD = [
    ({"epochs": 2.5}, "epochs 2.5: it must be a whole number"), ({"epochs": True}, "epochs True"),
    ({"epochs": 0}, "epochs 0"), ({"batch_size": "64"}, "batch_size '64'"), ({"lr": math.inf}, "learning rate inf"),
    ({"lr": 0}, "learning rate 0: it must be a number greater than 0"), ({"momentum": -0.1}, "momentum -0.1"),
    ({"momentum": 1}, "momentum 1"), ({"weight_decay": -1e-4}, "weight_decay -0.0001"),
    ({"strong_steps": -1}, "strong_steps -1"), ({"strong_decay": 0.1}, "strong_decay 0.1 without strong_steps"),
    ({"strong_steps": 5}, "strong_steps 5 without strong_decay"), ({"strong_on": "some"}, "strong_on"),
    ({"lr_drops": 3}, "lr_drops 3"), ({"lr_drops": [1.5]}, "lr_drops 1.5"), ({"lr_gamma": "a"}, "lr_gamma 'a'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD, ids=[m for _, m in BAD])
def test_recipe_refuses(change, message):
    with pytest.raises(pe.ConfigError, match=message):
        pe.Recipe(**({"epochs": 1, "batch_size": 8, "lr": 0.1} | change))


def test_recipe_takes_numpy_numbers_as_plain_ones():
    recipe = pe.Recipe(epochs=np.int64(3), batch_size=8.0, lr=np.float32(0.5), lr_drops=np.array([1, 2]))
    assert recipe == pe.Recipe(epochs=3, batch_size=8, lr=0.5, lr_drops=(1, 2))
    assert json.dumps(recipe.as_dict())


def recipe(**changes):
    return pe.experiment("mnist", "pfa", scale="classroom", **changes).recipe


def test_the_strong_phase_follows_what_is_given():
    assert (recipe().strong_decay, recipe().strong_steps) == (0.03, 920)
    stronger = recipe(strong_decay=0.06)  # as many steps as this decay needs
    assert stronger.strong_steps == pe.steps_to_fade(0.06, 0.01, 0.9, 0.06) < 920
    assert (recipe(strong_steps=50).strong_decay, recipe(strong_steps=50).strong_steps) == (0.03, 50)
    for none in ({"strong_steps": 0}, {"strong_decay": 0}):
        assert (recipe(**none).strong_decay, recipe(**none).strong_steps) == (0, 0)
        assert recipe(**none).weight_decay == 1e-4
    assert pe.experiment("mnist", "fa").recipe.strong_steps == 0
    assert pe.experiment("mnist", "pfa", optimizer="AdamW").recipe.strong_steps == 0


def test_steps_to_fade_is_the_first_step_of_the_loop_and_never_hangs():
    def loop(target, lr, momentum, decay):
        a, v, steps = 1.0, 0.0, 0
        while abs(a) > target:
            v = momentum * v + decay * a
            a, steps = a - lr * v, steps + 1
        return steps

    for case in [(0.06, 0.01, 0.9, 0.03), (0.5, 0.1, 0.0, 0.01), (0.01, 0.02, 0.5, 0.1), (0.25, 0.01, 0.9, 0.5)]:
        assert pe.steps_to_fade(*case) == loop(*case)
    swings = (0.1, 0.1, 0.9, 5.0)  # a crosses zero: the loop would stop at the first crossing, while |a| grows again
    found = pe.steps_to_fade(*swings)
    after = [abs(pe.mismatch(found + t, *swings[1:])) for t in range(200)]
    assert max(after) <= 0.1 < abs(pe.mismatch(found - 1, *swings[1:]))
    assert found > loop(*swings)
    start = time.perf_counter()
    assert pe.steps_to_fade(0.5, lr=1e-9, momentum=0.0, weight_decay=1e-9) == pytest.approx(
        math.log(2) * 1e18, rel=1e-3
    )
    assert time.perf_counter() - start < 0.1
    with pytest.raises(pe.ConfigError, match="weight_decay"):
        pe.steps_to_fade(0.5, lr=0.1, momentum=0.9, weight_decay=-0.1)


# ------------------------------------------------------------------------------------------------------ the evening


@pytest.mark.parametrize("rule", ["bp", "dfa", "pfa", "kp"])
def test_the_evening_is_the_papers_run_cut_short(rule):
    evening, paper = (pe.experiment("cifar10", rule, 3, scale) for scale in ("evening", "paper"))
    assert evening.recipe == replace(paper.recipe, epochs=20, lr_drops=(14, 18))
    different = {k for k, v in evening.identity.items() if paper.identity[k] != v}
    assert different == {"scale", "epochs", "lr_drops"}
    assert all(evening.recipe.lr_at(e) == paper.recipe.lr_at(e) for e in range(14))
    steps = range(0, 14 * 351, 50)
    assert all(evening.recipe.decay_at(s) == paper.recipe.decay_at(s) for s in steps)
    assert preset("cifar10", "evening").leaves == 14
    classroom = pe.experiment("cifar10", rule, 3, "classroom").recipe
    assert classroom == replace(paper.recipe, epochs=2, lr_drops=())


def test_resuming_at_another_scale_is_refused_by_name(tmp_path):
    first = pe.experiment("cifar10", "fa", scale="smoke", out=tmp_path)
    first.run(progress="none")
    other = replace(first, scale="evening", recipe=replace(first.recipe, epochs=9))
    assert other.folder == first.folder
    with pytest.raises(pe.CheckpointError, match=r"scale 'smoke' there, 'evening' here.*epochs 3 there, 9 here"):
        other.run(progress="none")


def test_every_preset_is_a_function_of_that_name():
    from pfa_edu.runs import presets

    for name, scales in PRESETS.items():
        for scale in scales:
            if name != "imagenet":  # its length is counted from its folder
                assert getattr(presets, name)("bp", scale=scale).identity["scale"] == scale


@pytest.mark.slow
def test_metrics_are_complete_after_a_kill_between_epochs(tmp_path):
    code = f"import pfa_edu as pe; pe.experiment('mnist', 'fa', epochs=500, out={str(tmp_path)!r}).run('none')"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})
    metrics = tmp_path / "mnist-classroom" / "fa-seed0" / "metrics.csv"
    try:
        give_up = time.monotonic() + 120
        while not (metrics.exists() and pd.read_csv(metrics)["epoch"].max() >= 2):
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    frame = pd.read_csv(metrics)
    done = frame["epoch"].max()
    for metric in ("test_accuracy", "train_loss", "seconds"):
        assert frame.loc[frame["metric"] == metric, "epoch"].max() == done
    record = json.loads((metrics.parent / "run.json").read_text())
    assert record["state"] == "running"
    assert max(row[2] for row in record["rows"]) in (done, done + 1, done - 1)
    e = pe.experiment("mnist", "fa", epochs=500, out=tmp_path)
    e.run("none", deadline=0)  # nothing more is trained: what the checkpoint has is in the table
    assert pd.read_csv(metrics)["epoch"].max() == e.frame["epoch"].max() >= done


def test_a_run_that_keeps_nothing_says_that_it_has_no_folder(tmp_path):
    with pytest.raises(pe.ConfigError, match="keeps nothing"):
        mine().kept_in  # noqa: B018 - the property raises
    kept = mine(out=tmp_path)
    assert kept.kept_in == kept.folder == tmp_path / "mine" / "fa-seed0"


def test_a_network_by_name_needs_data_that_say_how_many_outputs_it_has():
    x, y = torch.randn(32, 6), torch.randn(32, 2)
    silent = pe.data.Dataset("silent", x, y, x, y, classes=None)
    with pytest.raises(pe.ConfigError, match="silent does not say how many outputs"):
        mine(network="mlp-16", data=silent, loss=nnf.mse_loss).run(progress="none")


def test_pictures_that_no_memory_holds_cannot_be_cut():
    pictures = object.__new__(pe.data.PictureFolder)  # no folder of pictures is read
    vars(pictures).update(name="pictures", device=torch.device("cpu"))
    with pytest.raises(pe.ConfigError, match="subset 5: only a dataset in memory"):
        mine(data=pictures, subset=5).load()

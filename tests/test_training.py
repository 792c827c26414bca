"""The trainer alone, on random pictures: schedules, checkpoints, and runs that are cut and go on."""

import os

import pytest
import torch

import pfa_edu as pe
from pfa_edu.data import Dataset
from pfa_edu.train.checkpoint import load_checkpoint, save_checkpoint
from pfa_edu.train.progress import Progress

RECIPE = pe.Recipe(epochs=3, batch_size=16, lr=0.05, lr_drops=(1, 2), weight_decay=1e-3, strong_decay=0.1,
                   strong_steps=6)  # fmt: skip


def pictures():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(80, 1, 4, 4, generator=g), torch.randint(0, 3, (80,), generator=g)
    return Dataset("pictures", x[:64], y[:64], x[64:], y[64:], 3)


def trainer(rule=None, recipe=RECIPE, **identity):
    torch.manual_seed(1)
    net = pe.convert(pe.mlp((16, 6, 3)), rule or pe.KP(), verbose=False)
    identity = {"experiment": "pictures", "rule": "kp", "seed": 4, **identity}
    return pe.Trainer(net, pictures(), recipe, seed=4, identity=identity)


def timeless(t):
    return [row for row in t.rows if row[2] != "seconds"]


def test_schedules():
    t = trainer()
    t.train(progress="none")
    value = {(epoch, metric): v for epoch, layer, metric, v in t.rows if layer == "network"}
    assert [value[e, "lr"] for e in (1, 2, 3)] == [0.05, 0.025, 0.0125]
    assert [value[e, "weight_decay"] for e in (1, 2, 3)] == [0.1, 1e-3, 1e-3]  # four steps an epoch
    assert [RECIPE.decay_at(s) for s in (0, 5, 6)] == [0.1, 0.1, 1e-3]
    assert {e for e, *_ in t.rows} == {0, 1, 2, 3}


def test_training_is_plain_sgd():
    """With one batch an epoch the order of samples is of no matter, and the loop is three steps of torch's SGD."""
    recipe = pe.Recipe(epochs=3, batch_size=64, lr=0.1, weight_decay=0.01)
    t, plain = trainer(pe.PFA(2), recipe), trainer(pe.PFA(2), recipe)
    t.train(progress="none")
    optimizer = torch.optim.SGD(plain.net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(plain.net(plain.data.train_x), plain.data.train_y).backward()
        optimizer.step()
    for a, b in zip(t.net.parameters(), plain.net.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("rule", [pe.SF("batch"), pe.PFA(2, form="closed"), pe.PFA(2, density=0.5), pe.DFA()], ids=str)
def test_a_run_cut_within_an_epoch_goes_on_bit_for_bit(rule, tmp_path, monkeypatch):
    whole = trainer(rule)
    whole.train(progress="none")

    path, cut = tmp_path / "checkpoint.pt", trainer(rule)
    step, steps = torch.optim.SGD.step, []

    def stop(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 7:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(cut.optimizer, "step", stop.__get__(cut.optimizer))
        with pytest.raises(KeyboardInterrupt):
            cut.train(path, progress="none")
    again = trainer(rule)
    again.resume(load_checkpoint(path))
    assert again.epoch == 1
    torch.randn(5)  # the user's own random numbers are of no matter
    again.train(path, progress="none")
    assert timeless(again) == timeless(whole)
    for key, value in whole.net.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[key])


def test_a_checkpoint_of_another_run_is_refused():
    state = trainer(seed=5).state()
    with pytest.raises(pe.CheckpointError, match="seed 5 there, 4 here"):
        trainer().resume(state)


@pytest.mark.parametrize("size", [0, 1, 0.5, 0.99])
def test_truncated_checkpoints(size, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, trainer().state())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(size * len(whole)) if size != 1 else 1])
    with pytest.raises(pe.CheckpointError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, trainer().state())
    before = path.read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(pe.OutputError, match="No space left"):
        save_checkpoint(path, trainer(seed=5).state())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_a_loss_that_is_not_finite_is_named():
    t = trainer(recipe=pe.Recipe(epochs=3, batch_size=16, lr=1e30))
    with pytest.raises(pe.DivergenceError, match=r"in epoch 1 at step \d \(pictures kp seed 4\); no epoch"):
        t.train(progress="none")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pe.Recipe(epochs=0, batch_size=1, lr=1), "epochs 0"),
        (lambda: pe.Recipe(epochs=1, batch_size=0, lr=1), "batch_size 0"),
        (lambda: pe.Recipe(epochs=1, batch_size=1, lr=0), "learning rate 0"),
        (lambda: pe.Recipe(epochs=1, batch_size=1, lr=float("nan")), "learning rate nan"),
        (lambda: Progress("run", 3, 0, "bars"), "progress 'bars'"),
    ],
)
def test_errors(call, message):
    with pytest.raises(pe.ConfigError, match=message):
        call()

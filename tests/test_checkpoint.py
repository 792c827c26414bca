"""Checkpoints that a disk, a copy or a hand has changed: a clear error that names the file, never a wrong run."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

import pfa_edu as pe
from pfa_edu.train import checkpoint
from pfa_edu.train.checkpoint import fitting, load_checkpoint, save_checkpoint


def state(**entries):
    """What Trainer.state() gives, small."""
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return {
        "identity": {"rule": "pfa", "seed": 0}, "epoch": 3, "rows": [(0, "network", "test_accuracy", 10.5)],
        "net": net.state_dict(), "optimizer": optimizer.state_dict(), "order": torch.Generator().get_state(),
    } | entries  # fmt: skip


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", state())
    return tmp_path / "checkpoint.pt"


def same(a, b):
    for name, value in state()["net"].items():
        assert torch.equal(a["net"][name], b["net"][name]), name
        assert torch.equal(a["net"][name], value), name
    assert (a["identity"], a["epoch"], a["rows"]) == (b["identity"], b["epoch"], b["rows"])


def test_what_was_written_comes_back_and_torch_reads_it_too(path):
    found = load_checkpoint(path)
    same(found, torch.load(path, weights_only=True))
    assert found["rows"] == [(0, "network", "test_accuracy", 10.5)]
    assert torch.equal(found["order"], state()["order"])
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]


def test_one_bit_anywhere_is_noticed(path):
    whole = path.read_bytes()
    places = {0, 1, len(whole) - 1, len(whole) - 66, len(whole) - 70, *random.Random(0).sample(range(len(whole)), 60)}
    for place in sorted(places):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(pe.CheckpointError, match=r"checkpoint\.pt .*(delete it|another folder)"):
            load_checkpoint(path)
    path.write_bytes(whole)
    assert load_checkpoint(path)["epoch"] == 3


def test_a_flipped_weight_would_load_without_the_checksum(path):
    """So it is the checksum that notices, and not torch."""
    whole = bytearray(path.read_bytes())
    place = whole.find(state()["net"]["weight"].numpy().tobytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    assert not torch.equal(torch.load(path, weights_only=True)["net"]["weight"], state()["net"]["weight"])
    with pytest.raises(pe.CheckpointError, match="has changed since it was written"):
        load_checkpoint(path)


@pytest.mark.parametrize("size", [0, 1, 50, 2000])
def test_random_bytes(size, path):
    path.write_bytes(random.Random(size).randbytes(size))
    with pytest.raises(pe.CheckpointError, match=r"checkpoint\.pt cannot be read as a checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("cut", [1, 10, 82, 83, 500])
def test_a_missing_end(cut, path):
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(pe.CheckpointError, match=r"checkpoint\.pt cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_no_file(tmp_path):
    with pytest.raises(pe.CheckpointError, match=r"none\.pt cannot be read \(No such file"):
        load_checkpoint(tmp_path / "none.pt")


def test_the_format_before_loads_without_a_checksum(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": "pfa_edu checkpoint 2", **state()}, path)
    same(load_checkpoint(path), state())


@pytest.mark.parametrize("name", list(checkpoint._ENTRIES))
def test_missing_and_wrong_entries(name, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {key: value for key, value in state().items() if key != name})
    with pytest.raises(pe.CheckpointError, match=rf"checkpoint\.pt is incomplete .* no entry '{name}'.*delete it"):
        load_checkpoint(path)
    torch.save({"format": "pfa_edu checkpoint 2", **state(**{name: "text"})}, path)
    with pytest.raises(pe.CheckpointError, match=f"entry '{name}' is a str, not a"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"epoch": -1}, "'epoch' is -1"),
        ({"rows": [(1, "network", 0.5)]}, "'rows' holds other things"),
        ({"rows": ["text"]}, "'rows' holds other things"),
        ({"optimizer": {"state": [1]}}, "'optimizer' is not the state"),
        ({"optimizer": {}}, "'optimizer' is not the state"),
    ],
)
def test_entries_of_the_right_kind_that_hold_the_wrong_things(entries, message, tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": "pfa_edu checkpoint 2", **state(**entries)}, path)
    with pytest.raises(pe.CheckpointError, match=message):
        load_checkpoint(path)


def spoilt(where):
    found = state()
    tensor = found["net"]["bias"] if where == "bias" else found["optimizer"]["state"][0]["momentum_buffer"]
    tensor.view(-1)[1] = float("nan")
    return found


@pytest.mark.parametrize(
    ("where", "name"), [("bias", "bias"), ("momentum", "momentum_buffer of the optimiser's parameter 0")]
)
def test_nan_is_neither_written_nor_read(where, name, path):
    before = path.read_bytes()
    with pytest.raises(pe.DivergenceError, match=f"{name} holds NaN after epoch 3"):
        save_checkpoint(path, spoilt(where))
    assert path.read_bytes() == before
    torch.save({"format": "pfa_edu checkpoint 2", **spoilt(where)}, path)
    with pytest.raises(pe.CheckpointError, match=rf"checkpoint\.pt .*{name} holds NaN"):
        load_checkpoint(path)


def test_infinities_are_let_pass(tmp_path):
    """A causal attention mask is a buffer full of them."""
    found = state()
    found["net"]["mask"] = torch.full((2, 2), float("-inf")).triu(1)
    save_checkpoint(tmp_path / "checkpoint.pt", found)
    assert torch.equal(load_checkpoint(tmp_path / "checkpoint.pt")["net"]["mask"], found["net"]["mask"])


def test_entries_that_do_not_fit_the_run_name_the_file():
    with (
        pytest.raises(pe.CheckpointError, match=r"a/checkpoint\.pt does not fit this run .*size mismatch"),
        fitting("a/checkpoint.pt"),
    ):
        nn.Linear(4, 2).load_state_dict(state()["net"])
    with pytest.raises(pe.CheckpointError, match="is another"), fitting("a"):
        raise pe.CheckpointError("is another")


def test_a_trainer_refuses_what_does_not_fit(tmp_path):
    x, y = torch.randn(32, 6), torch.arange(32) % 3
    data = pe.data.Dataset("toy", x, y, x, y, 3)

    def trainer():
        torch.manual_seed(1)
        net = pe.convert(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), pe.PFA(2), verbose=False)
        return pe.Trainer(net, data, pe.Recipe(epochs=1, batch_size=8, lr=0.1), 0, {"rule": "pfa"})

    trainer().train(tmp_path / "checkpoint.pt", progress="none")
    kept = load_checkpoint(tmp_path / "checkpoint.pt")
    trainer().resume(kept)
    for entries in ({"net": {}}, {"optimizer": {"state": {}, "param_groups": []}}, {"order": torch.zeros(3)}):
        with pytest.raises(pe.CheckpointError, match="a/folder does not fit this run"):
            trainer().resume(kept | entries, "a/folder")

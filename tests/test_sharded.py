"""FSDP2 and DDP on two processes: what one process computes, path angles of sharded weights, and what is refused."""

import multiprocessing
import os
import pickle

import pytest
import torch
import torch.nn.functional as nnf
from test_parallel import environment, free_port

import pfa_edu as pe
from pfa_edu.nn.sharded import is_sharded

pytestmark = pytest.mark.slow
RULES = [
    pe.BP(), pe.FA(), pe.SF(), pe.KP(), pe.DFA(), pe.PFA(3), pe.PFA(3, form="closed"), pe.PFA(3, form="coupled"),
    pe.PFA(3, density=0.5, form="deferred"), pe.PFAo(form="closed"),
]  # fmt: skip


def network(rule):
    torch.manual_seed(0)
    return pe.convert(pe.mlp((6, 8, 7, 3)).double(), rule, init="xavier", verbose=False)


def batch():
    g = torch.Generator().manual_seed(1)
    return torch.randn(32, 6, generator=g, dtype=torch.float64), torch.randint(0, 3, (32,), generator=g)


def train(net, x, y, clip=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(4):
        loss = nnf.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()


def measured(net):
    paths = {"angle": pe.path_alignment(net), "length": pe.norm_ratio(net), "signs": pe.sign_agreement(net)}
    return paths | {"weights": {n: whole(p) for n, p in net.named_parameters() if "feedback" not in n}}


def whole(p):
    return (p.full_tensor() if is_sharded(p) else p).detach().tolist()


def refused(make, x, y, **how):
    try:
        train(make(), x, y, **how)
    except pe.ConfigError as error:
        return str(error)
    return None


def work(rank, port, path):
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    os.environ |= environment(rank, port)
    torch.distributed.init_process_group("gloo")
    x, y = (t[rank::2] for t in batch())

    def sharded(rule):
        net = network(rule)
        for layer in pe.layers(net).values():
            fully_shard(layer)
        return fully_shard(net)

    found = {}
    for rule in RULES:
        net = sharded(rule)
        train(net, x, y)
        found[str(rule)] = measured(net)
    for name, wrap in (("fsdp", sharded), ("ddp", lambda rule: DistributedDataParallel(network(rule)))):
        for form in ("closed", "coupled", "explicit"):
            found[f"{name} {form}"] = refused(lambda w=wrap, f=form: w(pe.PFA(3, form=f)), x, y, clip=1e-3)
    net = sharded(pe.PFA(3))
    for name, call in (
        ("gradient_angle", lambda: pe.gradient_angle(net, nnf.cross_entropy, x, y)),
        ("set_rule", lambda: net.fc1.set_rule("fa")),
    ):
        try:
            call()
        except pe.ConfigError as error:
            found[name] = str(error)
    (path / f"{rank}.pickle").write_bytes(pickle.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    path, port, context = tmp_path_factory.mktemp("sharded"), free_port(), multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, port, path), daemon=True) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(500)
    assert [process.exitcode for process in processes] == [0, 0]
    return [pickle.loads((path / f"{rank}.pickle").read_bytes()) for rank in (0, 1)]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_sharded_is_one_process(rule, two):
    net = network(rule)
    before = measured(net)
    train(net, *batch())
    one = measured(net)
    for found in two:
        for what, by_name in one.items():
            assert found[str(rule)][what].keys() == by_name.keys()
            for name, value in by_name.items():
                torch.testing.assert_close(
                    torch.tensor(found[str(rule)][what][name]), torch.tensor(value), rtol=1e-9, atol=1e-9
                )
    assert before["weights"] != one["weights"]
    if not isinstance(rule, (pe.BP, pe.DFA)):
        assert before["angle"] != one["angle"]


@pytest.mark.parametrize("how", ["fsdp", "ddp"])
def test_clipping_is_seen(how, two):
    for found in two:
        assert "was changed between backward and step (clipping" in found[f"{how} closed"]
        assert found[f"{how} coupled"] is None
        assert found[f"{how} explicit"] is None


def test_what_cannot_be_done_with_sharded_weights(two):
    for found in two:
        assert "spread over several processes (FSDP2)" in found["gradient_angle"]
        assert "convert the network first" in found["set_rule"]

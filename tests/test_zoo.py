"""convert() and audit() on forty of other people's networks: what is said of them is true."""

import functools
import warnings

import pytest
import torch
from zoo import ZOO

import pfa_edu as pe
from pfa_edu.nn.calling import call, with_tensors
from pfa_edu.nn.comparing import same, weighted

# A fixed F and a learning F on every network; all rules on ten that have every kind of layer between them.
PAIR = [pe.FA(), pe.PFA(2)]
OTHERS = [pe.BP(), pe.SF(), pe.KP(), pe.PFAo(), pe.DFA()]
ALL_KINDS = [
    "resnext", "convnext", "fcn", "vit", "swin", "timm_bit", "timm_eva", "hf_gpt2", "hf_albert", "hf_wav2vec2"
]  # fmt: skip
SEVERAL = {"fcn": "out", "hf_gpt2": "logits", "hf_albert": "logits", "hf_wav2vec2": "logits"}
NOT_FOR_DFA = {"fcn", "swin", "hf_wav2vec2"}  # outputs for every place; swin folds its windows into the batch
CASES = [(n, r) for n in ZOO for r in [*PAIR, *(OTHERS if n in ALL_KINDS else [])]]


class Mirror(pe.Rule, abstract=True):  # abstract: not in the registry
    """Backprop, by way of a rule: F is W."""

    def make(self, layer):
        return MirrorFeedback()


class MirrorFeedback(pe.Feedback):
    def path(self, weight):
        return pe.Path(F=weight.detach())


@functools.cache
def made(name):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        net, x = ZOO[name]()
    for p in net.parameters():  # some begin at exactly 0, where nothing can be seen
        if p.requires_grad and p.dim() and not p.detach().any():
            torch.nn.init.normal_(p, std=0.1)
    return net, x


def converted(net, rule, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pe.ConversionWarning)
        return pe.convert(net, rule, verbose=False, **kwargs)


def learn(net, x):
    """The loss, with every gradient that backward leaves."""
    net.zero_grad()
    torch.manual_seed(1)  # dropout, stochastic depth
    loss = weighted(call(net, x))
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


@functools.lru_cache(maxsize=1)
def learned(name):
    return learn(*made(name))


@pytest.mark.parametrize("name", ZOO)
def test_with_f_set_to_w_every_gradient_is_autograds(name):
    net, x = made(name)
    net = converted(net, Mirror()).double()
    x = with_tensors(x, lambda t: t.double() if t.is_floating_point() else t)
    loss, grads = learn(net, x)
    plain_loss, exact = learn(pe.strip(net), x)
    torch.testing.assert_close(loss, plain_loss, rtol=1e-12, atol=1e-12)
    assert grads.keys() == exact.keys()
    largest = max(g.abs().max().item() for g in exact.values())
    for n, g in exact.items():
        torch.testing.assert_close(grads[n], g, rtol=1e-7, atol=1e-11 * largest, msg=lambda m, n=n: f"{n}: {m}")


@pytest.mark.parametrize(("name", "rule"), CASES, ids=lambda v: v if isinstance(v, str) else v.label)
def test_what_the_audit_says_is_so(name, rule):
    plain, x = made(name)
    if isinstance(rule, pe.DFA):
        rule = pe.DFA(output=SEVERAL.get(name))
        if name in NOT_FOR_DFA:
            with pytest.raises(pe.ConfigError, match="cannot be had with DFA"):
                converted(plain, rule, example=x)
            return
    net = converted(plain, rule, example=x if isinstance(rule, pe.DFA) else None)
    found = pe.audit(net, x)
    assert found.ok, str(found)
    loss, own = learn(net, x)
    plain_loss, exact = learned(name)
    torch.testing.assert_close(loss, plain_loss, rtol=1e-6, atol=1e-6)
    check_rows(found.rows, net, rule, own, exact)
    check_stripped(net, plain, x, plain_loss)


def check_rows(rows, net, rule, own, exact):
    """The table against gradients that are computed here, by backward, from the network as it was before."""
    assert [row.name for row in rows] == [n for n, _ in net.named_parameters()]
    holders = {id(layer.parameter) for layer in pe.layers(net).values()}
    parameters = dict(net.named_parameters())
    for row in rows:
        if ".feedback." in row.name:
            assert row.learns in (rule.label, "nothing")
            assert (row.name in own) == (row.learns == rule.label)
            continue
        if row.learns == "nothing":
            assert row.name not in own
            continue
        has_rule = id(parameters[row.name]) in holders and not isinstance(rule, pe.BP)
        last = "a last layer" in row.why
        assert row.learns == (rule.label if has_rule else row.learns)
        assert row.learns in (rule.label, "backprop", f"below {rule.label}")
        if row.differs is not None:
            equal = same(own[row.name], exact[row.name], 0.0)
            assert row.differs is not equal, row
            assert equal == (row.learns == "backprop" or last), row
    assert not isinstance(rule, pe.BP) or {row.learns for row in rows} <= {"backprop", "nothing"}


def check_stripped(net, plain, x, plain_loss):
    back = pe.strip(net)
    assert [(n, type(m)) for n, m in back.named_modules()] == [(n, type(m)) for n, m in plain.named_modules()]
    assert list(back.state_dict()) == list(plain.state_dict())
    torch.manual_seed(1)
    assert torch.equal(weighted(call(back, x)).detach(), plain_loss)


def test_the_zoo_is_large_and_covers_every_kind_of_layer():
    kinds = {type(m) for name in ALL_KINDS for m in converted(made(name)[0], pe.FA()).modules()}
    assert len(ZOO) > 40
    assert {pe.Linear, pe.Conv1d, pe.Conv2d, pe.MultiheadAttention} <= kinds
    assert {"Conv1D", "StdConv2d"} <= {k.__name__ for k in kinds}

"""ResNet-20 under every rule against a network put together by hand, and its training: the test set, cuts, engines."""

import copy

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.data import Dataset
from pfa_edu.nn import models
from pfa_edu.train.checkpoint import load_checkpoint

COUNTS = {"resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586, "resnet56": 853_018}


@pytest.mark.parametrize("name", COUNTS)
def test_published_sizes(name):
    """0.27, 0.46, 0.66 and 0.85 million in table 6 of He et al. 2016; 6n + 2 layers with weights."""
    net = getattr(pe, name)()
    assert sum(p.numel() for p in net.parameters()) == COUNTS[name]
    assert (
        round(COUNTS[name] / 1e6, 2) == {"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85}[name]
    )
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in net.modules()) == int(name.removeprefix("resnet"))


def test_shortcut_is_the_input_thinned_out_and_padded():
    block = models.Block(4, 8, stride=2)
    nn.init.zeros_(block.bn2.weight)  # only the shortcut is left
    x = torch.rand(2, 4, 6, 6)
    out = block(x)
    assert torch.equal(out[:, 2:6], x[:, :, ::2, ::2])
    assert out[:, :2].abs().sum() == out[:, 6:].abs().sum() == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt20", "did you mean 'resnet20'"),
        ("mlp-0", "network 'mlp-0'"),
        ("resnet20-8-8", "'resnet20-8' .its width"),
    ],
)
def test_unknown_networks(name, message):
    with pytest.raises(pe.ConfigError, match=message):
        models.build(name, (3, 32, 32), 10)


class ByHand(nn.Module):
    """A layer whose value is conv(h, W) and whose error goes back through F, made of torch's own operations."""

    def __init__(self, layer, F):
        super().__init__()
        self.layer, self.F = layer, F

    def forward(self, h):
        weight, bias = self.layer.weight, self.layer.bias
        if isinstance(self.layer, nn.Linear):
            return nnf.linear(h.detach(), weight, bias) + self.carry(nnf.linear(h, self.F))
        stride, padding = self.layer.stride, self.layer.padding
        return nnf.conv2d(h.detach(), weight, bias, stride, padding) + self.carry(
            nnf.conv2d(h, self.F, None, stride, padding)
        )

    @staticmethod
    def carry(y):
        return y - y.detach()  # zero, with a gradient


RULES = [pe.BP(), pe.FA(), pe.SF(), pe.SF("fixed"), pe.KP(), pe.PFA(2), pe.PFA(2, form="closed"), pe.PFAo(), pe.FA(0.5)]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_resnet20_equals_a_network_put_together_by_hand(rule, channels_last):
    torch.manual_seed(0)
    net = pe.convert(pe.resnet20(width=4), rule, init="xavier", verbose=False).double()
    hand = copy.deepcopy(net)
    for name, layer in pe.layers(net).items():
        parent, _, child = name.rpartition(".")
        setattr(hand.get_submodule(parent), child, ByHand(hand.get_submodule(name), layer.feedback_weight()))
    x, y = torch.randn(4, 3, 32, 32, dtype=torch.float64), torch.arange(4)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
        nnf.cross_entropy(net(x.contiguous(memory_format=torch.channels_last)), y).backward()
    else:
        nnf.cross_entropy(net(x), y).backward()
    nnf.cross_entropy(hand(x), y).backward()
    theirs = {name.replace(".layer.", "."): p.grad for name, p in hand.named_parameters() if ".feedback." not in name}
    ours = {name: p.grad for name, p in net.named_parameters()}
    for name, grad in theirs.items():
        torch.testing.assert_close(ours[name], grad, rtol=1e-9, atol=1e-12)
    for name, layer in pe.layers(net).items():  # what learns in the feedback
        wanted = {"F": theirs[f"{name}.weight"], "a": torch.zeros((), dtype=torch.float64)}
        if rule.name in ("pfa", "pfa-o") and hasattr(layer.feedback, "B"):
            wanted["R"] = torch.einsum("om,o...->m...", layer.feedback.B, theirs[f"{name}.weight"])
        for symbol, p in layer.feedback.named_parameters() if layer.feedback is not None else ():
            torch.testing.assert_close(p.grad, wanted[symbol], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("channels_last", [False, True])
def test_dfa_in_resnet20_by_hand(channels_last):
    """A layer's input gets Dᵀe, e repeated at every output position, and nothing else comes back through the layer."""
    torch.manual_seed(0)
    net = pe.convert(pe.resnet20(width=4), pe.DFA(), init="xavier", verbose=False).double()
    order = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=order)
    x, y = torch.randn(3, 3, 32, 32, dtype=torch.float64), torch.arange(3)
    inputs = {}

    def keep(module, args):
        args[0].retain_grad()
        inputs[module] = args[0]

    net.layer1[0].conv2.register_forward_pre_hook(keep)  # its input feeds nothing else: all of its gradient is Dᵀe
    net.fc.register_forward_pre_hook(keep)
    out = net(x.contiguous(memory_format=order))
    e = torch.autograd.grad(nnf.cross_entropy(out, y), out, retain_graph=True)[0]
    nnf.cross_entropy(out, y).backward()
    layer = net.layer1[0].conv2
    h = inputs[layer]
    spread = e[:, :, None, None].expand(-1, -1, *h.shape[2:])
    wanted = nnf.conv_transpose2d(spread, layer.feedback.D, None, layer.stride, layer.padding)
    torch.testing.assert_close(h.grad, wanted)
    torch.testing.assert_close(inputs[net.fc].grad, e @ net.fc.feedback.D)


class Trapped(Dataset):
    """A dataset whose test images cannot be looked at until the run has done its last epoch."""

    def part(self, name):
        if name == "test":
            assert LOOKS["epoch"]() == 2, "the test set was read before the end"
            LOOKS["looks"] += 1
        return super().part(name)


LOOKS = {"epoch": lambda: 0, "looks": 0}


def coloured(kind=Dataset, **kwargs):
    g = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (96, 3, 8, 8), generator=g, dtype=torch.uint8)
    y = torch.randint(0, 3, (96,), generator=g)
    x[torch.arange(96), y] //= 4  # the class is the dark channel
    parts = {"validation_x": x[48:64], "validation_y": y[48:64], "mean": (0.4,) * 3, "std": (0.3,) * 3}
    return kind("coloured", x[:48], y[:48], x[64:], y[64:], 3, **parts, padding=1, flip=True, **kwargs)


RECIPE = pe.Recipe(epochs=2, batch_size=16, lr=0.05)


def trainer(rule="pfa", data=None, execution=None, recipe=RECIPE, width=4):
    torch.manual_seed(1)
    net = pe.convert(pe.resnet20(classes=3, width=width), pe.rule(rule), verbose=False)
    identity = {"experiment": "coloured", "rule": rule, "seed": 0, "network": f"resnet20-{width}"}
    return pe.Trainer(net, data or coloured(), recipe, 0, identity, execution)


def test_the_test_set_is_looked_at_once_at_the_end():
    t = trainer(data=coloured(Trapped))
    LOOKS.update(epoch=lambda: t.epoch, looks=0)
    t.train(progress="none")
    assert LOOKS["looks"] == 1
    at = {metric: [e for e, _, m, _ in t.rows if m == metric] for metric in ("validation_accuracy", "test_accuracy")}
    assert at == {"validation_accuracy": [0, 1, 2], "test_accuracy": [2]}
    reading = trainer(data=coloured(Trapped))  # the trap works
    LOOKS.update(epoch=lambda: reading.epoch)
    with pytest.raises(AssertionError, match="read before the end"):
        reading._score("test")


@pytest.mark.parametrize("execution", [pe.Execution(), pe.Execution(channels_last=True)], ids=str)
def test_a_deadline_stops_after_an_epoch_and_the_rest_follows(execution, tmp_path, monkeypatch):
    whole = trainer(execution=execution)
    whole.train(progress="none")
    first = trainer(execution=execution)
    one = iter([1.0, 3.0])
    first.train(
        tmp_path / "checkpoint.pt", "none", deadline=type("Clock", (float,), {"__gt__": lambda s, o: next(one) < 2})()
    )
    assert first.epoch == 1
    second = trainer(execution=execution)
    second.resume(load_checkpoint(tmp_path / "checkpoint.pt"))
    second.train(progress="none")
    for a, b in zip(whole.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_architecture_is_refused():
    with pytest.raises(pe.CheckpointError, match="network 'resnet20-4' there, 'resnet20-2' here"):
        trainer(width=2).resume(trainer().state())


@pytest.mark.parametrize("rule", ["bp", "pfa", "dfa"])
def test_bf16_stays_near_float32(rule):
    """One step of the same network: gradients of both precisions point the same way, weights are float32 in both."""
    runs = []
    for precision in ("float32", "bf16"):
        t = trainer(rule, execution=pe.Execution(precision=precision))
        choice = t.data.plan(16, torch.Generator().manual_seed(0))[0]
        loss = t.stepper.step(choice)
        runs.append((loss, [p.grad for p in t.net.parameters() if p.grad is not None]))
        assert all(p.dtype is torch.float32 for p in t.net.parameters())
    (loss32, grads32), (loss16, grads16) = runs
    assert loss16 == pytest.approx(loss32.item(), abs=0.03)
    assert loss16 != loss32  # it really is another precision
    whole = [torch.cat([grad.flatten() for grad in grads]) for grads in (grads32, grads16)]
    assert pe.angle(*whole) < 20  # 8 bits of mantissa through 20 layers of batch norm over 16 small pictures
    assert (whole[0].norm() / whole[1].norm()).item() == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["pfa", "dfa"])
def test_compiled_steps_equal_eager_ones(rule):
    losses = []
    for engine in ("eager", "compile"):
        torch.manual_seed(1)
        net = pe.convert(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), pe.mlp((144, 8, 3))), pe.rule(rule), verbose=False
        )
        t = pe.Trainer(net, coloured(), RECIPE, 0, {}, pe.Execution(engine=engine))
        plan = t.data.plan(16, torch.Generator().manual_seed(0))
        losses.append(torch.stack([t.stepper.step(choice) for choice in plan]))
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pe.Execution("graphs"), "did you mean 'graph'"),
        (lambda: pe.Execution(precision="bf61"), "did you mean 'bf16'"),
        (lambda: trainer(execution=pe.Execution("graph")), "records CUDA kernels, and the device is cpu"),
        (lambda: pe.experiment("cifar10", "pfa", device="cpu", precision="tf32"), "exists on NVIDIA GPUs only"),
    ],
)
def test_executions_that_cannot_be(make, message):
    with pytest.raises(pe.ConfigError, match=message):
        make()


def test_too_little_memory_says_how_much_was_needed():
    class Hungry(nn.Sequential):
        def forward(self, x):
            return super().forward(x) + torch.empty(1 << 50, dtype=torch.uint8)[:1]

    t = trainer()
    t.net = t.stepper.net = t.stepper.forward = Hungry(t.net)
    with pytest.raises(pe.MemoryLimitError, match=r"1125899906842624 bytes in one piece.*batch size \(16;"):
        t.train(progress="none")


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def double_run(rule, engine, device):
    """Two epochs of six steps in float64: lr and decay change on the way, so a graph is recorded three times."""
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(96, 3, 16, 16, generator=draw, dtype=torch.float64)
    y = torch.randint(10, (96,), generator=draw)
    data = pe.data.Dataset(
        "noise", x, y, x[:32], y[:32], classes=10, mean=(0.5,) * 3, std=(0.3,) * 3, padding=2, flip=True
    )
    strong = {"strong_decay": 0.05, "strong_steps": 4} if pe.rule(rule).aligns_by_decay else {}
    recipe = pe.Recipe(epochs=2, batch_size=16, lr=0.01, lr_drops=(1,), **strong)
    e = pe.Experiment(
        lambda: pe.resnet20(width=4).double(), data, rule, recipe, out=None, device=device,
        execution=pe.Execution(engine),
    )  # fmt: skip
    return e.run("none").net.state_dict()


@needs_gpu
@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "sf", "kp", "pfa", "pfa-o"])
def test_recorded_steps_equal_eager_ones(rule):
    eager, graph, here = (double_run(rule, *how) for how in (("eager", "cuda"), ("graph", "cuda"), ("eager", "cpu")))
    for name, value in eager.items():
        torch.testing.assert_close(graph[name], value, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(here[name], value.cpu(), rtol=1e-8, atol=1e-10)


@needs_gpu
@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_moves_between_machines(first, then, tmp_path):
    pe.experiment("cifar10", "pfa", scale="smoke", device=first, out=tmp_path).run("none", deadline=0.0)
    moved = pe.experiment("cifar10", "pfa", scale="smoke", device=then, out=tmp_path).run("none")
    assert moved.frame.epoch.max() == moved.recipe.epochs

"""Runs that differ in their seed alone, trained as one batch: each operation then does the work of all of them.

A small network spends most of a step in Python and in starting operations, whatever their size. Here the weights of k
networks lie in one tensor (k, ...). ``torch.func.vmap`` turns the gradient of one network into that of k, ``make_fx``
writes down once which operations of torch that comes to, and every step runs through that list. Each run keeps its own
order of batches, its momentum, the fading of its feedback, its measurements and its checkpoint.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from ..errors import ConfigError, DivergenceError
from ..nn.decay import decay_law
from ..nn.layer import RuleLayer
from ..rules import rules_in
from ..rules.feedback import Fading
from .execution import Execution, explain_memory
from .progress import Progress
from .trainer import Trainer

Step = Callable[[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor], tuple[dict[str, Tensor], Tensor]]
_CLOSE = 1e-3  # of a gradient's length: rounding apart, a batch of networks computes what each does by itself


class Stack:
    """The state of ``runs`` at the start of an epoch, every tensor (k, ...)."""

    def __init__(self, runs: Sequence[Trainer]):
        self.runs = runs
        self.own = [dict(run.net.named_parameters()) for run in runs]
        self.params = {n: torch.stack([own[n].detach() for own in self.own]) for n in self.own[0]}
        held = [dict(run.net.named_buffers()) for run in runs]
        self.buffers = {n: torch.stack([own[n] for own in held]) for n in held[0]}
        self.held = held
        self.optimizer = self._optimizer()
        names = {id(p): n for n, p in self.own[0].items()}
        group_of = {id(p): group for group in self.optimizer.param_groups for p in group["params"]}
        self.fades = [
            (SimpleNamespace(a=self.buffers[f"{n}.feedback.a"], v=self.buffers[f"{n}.feedback.v"]), group_of[id(W)], W)
            for n, layer in runs[0].net.named_modules()
            if isinstance(layer, RuleLayer) and isinstance(layer.feedback, Fading)
            for W in (self.params[names[id(layer.parameter)]],)
        ]

    def _optimizer(self) -> torch.optim.Optimizer:
        """SGD works entry by entry, so one for all does what each run's own would."""
        name = {id(p): n for n, p in self.own[0].items()}
        of_first = self.runs[0].optimizer
        groups = [{**g, "params": [self.params[name[id(p)]] for p in g["params"]]} for g in of_first.param_groups]
        optimizer = torch.optim.SGD(groups, lr=groups[0]["lr"])
        for n, p in self.params.items():
            kept = [run.optimizer.state.get(own[n], {}).get("momentum_buffer") for run, own in self._pairs()]
            if all(buffer is not None for buffer in kept):
                optimizer.state[p]["momentum_buffer"] = torch.stack(kept)
        return optimizer

    def _pairs(self) -> zip:
        return zip(self.runs, self.own, strict=True)

    def step(self, compute: Step, x: Tensor, y: Tensor) -> Tensor:
        """One step of every run on ``x`` (k, batch, ...), ``y`` (k, batch, ...); returns the losses before it, (k,)."""
        grads, losses = compute(self.params, self.buffers, x, y)
        for n, p in self.params.items():
            p.grad = grads[n]
        first = [self.optimizer.state.get(W, {}).get("momentum_buffer") is None for *_, W in self.fades]
        self.optimizer.step()
        law: Any = decay_law(torch.optim.SGD)
        for (feedback, group, _), at_first in zip(self.fades, first, strict=True):
            law(group, feedback, at_first)
        return losses

    @torch.no_grad()
    def give_back(self) -> None:
        """Writes into every run's network and optimiser what has become of them."""
        for s, run in enumerate(self.runs):
            for n, p in self.own[s].items():
                p.copy_(self.params[n][s])
                for name, value in self.optimizer.state[self.params[n]].items():
                    run.optimizer.state[p][name] = value[s].clone()
            for n, b in self.held[s].items():
                b.copy_(self.buffers[n][s])
            for mine, theirs in zip(run.optimizer.param_groups, self.optimizer.param_groups, strict=True):
                mine |= {name: value for name, value in theirs.items() if name != "params"}


class Together:
    """Trains ``runs`` as one batch; a ConfigError, with the reason, where that would not be what each does alone."""

    def __init__(self, runs: Sequence[Trainer]):
        self.runs = runs
        self._steps: dict[int, Step] = {}  # by the number of runs
        against = _reason(runs) or self._trial()
        if against:
            raise ConfigError(f"these runs cannot be trained as one batch: {against}. Run them one at a time")

    def epoch(self, runs: Sequence[Trainer]) -> Tensor:
        """The next epoch of some of the runs, which have come equally far; losses, (k, steps)."""
        recipe, data, k = runs[0].recipe, runs[0].data, len(runs)
        for run in runs:
            run.net.train()
            run.callbacks.call("before_epoch", run)
        stack = Stack(runs)
        plan = torch.cat([data.plan(recipe.batch_size, run.order) for run in runs], dim=1)  # (steps, k batch, choices)
        first = runs[0].epoch * len(plan)
        losses = torch.empty(k, len(plan), device=data.device)
        for i, choice in enumerate(data.stream(plan)):
            for group in stack.optimizer.param_groups:
                group["lr"] = recipe.lr_in(first + i, len(plan)) if recipe.every_step else recipe.lr_at(runs[0].epoch)
                group["weight_decay"] = recipe.decay_at(first + i, group["weights"])
            x, y = (t.unflatten(0, (k, -1)) for t in data.batch(choice))  # (k, batch, ...)
            losses[:, i] = stack.step(self._compute(stack, x, y), x, y)
        stack.give_back()
        for run, loss in zip(runs, losses, strict=True):
            run.step, run.loss = first + len(plan), loss[-1]
        return losses

    def _compute(self, stack: Stack, x: Tensor, y: Tensor) -> Step:
        k = len(stack.runs)
        if k not in self._steps:
            net, loss_fn = copy.deepcopy(stack.runs[0].net), stack.runs[0].loss_fn

            def loss(params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
                return loss_fn(functional_call(net, (params, buffers), (x,)), y)

            self._steps[k] = make_fx(vmap(grad_and_value(loss)))(stack.params, stack.buffers, x, y)
        return self._steps[k]

    def _trial(self) -> str | None:
        """One step's gradients, all together and each by itself, on the same samples; the reason against it."""
        data: Any = self.runs[0].data
        choice = data.plan(self.runs[0].recipe.batch_size, torch.Generator().manual_seed(0))[0]
        x, y = data.batch(choice)  # (batch, ...)
        stack = Stack(self.runs)
        before = torch.get_rng_state()
        alone: list[dict[str, Any]] = []
        for run in self.runs:
            net = copy.deepcopy(run.net).train()
            held = {n: b.clone() for n, b in net.named_buffers()}
            run.loss_fn(net(x), y).backward()
            if not torch.equal(before, torch.get_rng_state()):
                torch.set_rng_state(before)
                return "the network draws random numbers in training, and each run has a stream of its own"
            if any(not torch.equal(b, held[n]) for n, b in net.named_buffers()):
                return "the network changes its buffers in training, as batch norm does"
            if any(p.grad is None for p in net.parameters()):
                return "the network has parameters that get no gradient"
            alone.append({n: p.grad for n, p in net.named_parameters()})
        xs, ys = (torch.stack([t] * len(self.runs)) for t in (x, y))
        try:
            grads, _ = self._compute(stack, xs, ys)(stack.params, stack.buffers, xs, ys)
        except RuntimeError as error:
            return f"torch.func cannot compute the network's gradient ({str(error).splitlines()[0]})"
        for s, own in enumerate(alone):
            for n, g in own.items():
                if (grads[n][s] - g).norm() > _CLOSE * g.norm():
                    return f"the gradient of {n} is not what it is alone"
        return None


def _reason(runs: Sequence[Trainer]) -> str | None:
    """Why they cannot share a batch, as far as one sees it without computing anything."""
    first = runs[0]
    apart = [run for run in runs if (run.recipe, run.execution) != (first.recipe, first.execution)]
    if apart:
        return "their recipes differ"
    if type(first.optimizer) is not torch.optim.SGD:
        return f"the optimiser is {type(first.optimizer).__name__}, and that is done for SGD only"
    if first.execution != Execution(channels_last=first.execution.channels_last):
        return "that is done eagerly and in float32 only"
    if not first.data.in_memory:
        return f"{first.data.name} is read picture by picture"
    if any(run.callbacks.wanted("before_step") or run.callbacks.wanted("on_step") for run in runs):
        return "a callback or a rule acts at every step"
    if any(rule.records for rule in rules_in(first.net)):
        return "the rule keeps h and δ of every step"
    return None


def train_together(
    runs: Sequence[Trainer], checkpoints: Sequence[Path | None], kept: Sequence[Callable[[], None]],
    progress: str = "auto", deadline: float | None = None,
) -> dict[int, DivergenceError]:  # fmt: skip
    """Trains what is left of each run, as :meth:`Trainer.train` does one. Returns the errors of those that diverged.

    Runs that have not come equally far (one was cut before) wait for the last.
    """
    lost: dict[int, DivergenceError] = {}
    first = runs[0]
    title = f"{first.title.rsplit(' seed ', 1)[0]} seeds {', '.join(str(run.seed) for run in runs)}"
    with (
        first.execution.numerics(),
        explain_memory(first.recipe.batch_size),
        Progress(title, first.recipe.epochs, min(run.epoch for run in runs), progress) as bar,
    ):
        for run in runs:
            run.begin()
        together = Together(runs)
        while left := [i for i, run in enumerate(runs) if i not in lost and run.epoch < run.recipe.epochs]:
            if deadline is not None and time.time() >= deadline:
                break
            now = [i for i in left if runs[i].epoch == min(runs[i].epoch for i in left)]
            start = time.perf_counter()
            losses = together.epoch([runs[i] for i in now])
            seconds = (time.perf_counter() - start) / len(now)  # a run's share
            scores = []
            for i, of_run in zip(now, losses, strict=True):
                try:
                    scores.append(runs[i].end_epoch(of_run, seconds, checkpoints[i], kept[i]))
                except DivergenceError as error:
                    lost[i] = error
            if scores:
                mean = None if None in scores else sum(filter(None, scores)) / len(scores)
                done = max(runs[i].epoch for i in now if i not in lost)
                bar.advance(done, losses.nanmean().item(), mean, seconds * len(now))
    return lost

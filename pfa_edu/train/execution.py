"""How one training step is executed: eagerly, compiled, or as a CUDA graph that is replayed; it computes the same.

A small network leaves a GPU waiting for Python: ResNet-20 launches hundreds of kernels of a few microseconds each. The
graph engine records the whole step once (batch, forward, backward, optimiser) and replays it with one launch.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ..data import Dataset, PictureFolder, Text
from ..errors import ConfigError, MemoryLimitError, unknown
from .ranks import Ranks
from .step import Loss, train_step

ENGINES = ("eager", "compile", "graph")
PRECISIONS = ("float32", "tf32", "bf16")
_WARM_UP = 3  # eager steps before a graph is recorded: they choose cuDNN's algorithms and make the momentum buffers


@dataclass(frozen=True)
class Execution:
    """``engine``: 'eager', 'compile' (torch.compile) or 'graph' (CUDA graph; a GPU only).

    ``precision``: 'float32' (TF32 off), 'tf32' (a GPU's matrix products with 10 bits of mantissa) or 'bf16' (autocast;
    weights, feedback and their gradients stay float32). ``channels_last``: the memory order of images.
    """

    engine: str = "eager"
    precision: str = "float32"
    channels_last: bool = False

    def __post_init__(self) -> None:
        for kind, value, known in (("engine", self.engine, ENGINES), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise unknown(kind, value, known)

    def check(self, device: torch.device) -> None:
        """ConfigError where ``device`` cannot do what is asked."""
        if device.type != "cuda" and self.engine == "graph":
            raise ConfigError(
                f"engine 'graph' records CUDA kernels, and the device is {device}: use 'eager' or 'compile'"
            )
        if device.type != "cuda" and self.precision == "tf32":
            raise ConfigError(f"precision 'tf32' exists on NVIDIA GPUs only, and the device is {device}: use 'float32'")

    @contextlib.contextmanager
    def numerics(self) -> Iterator[None]:
        """TF32 set as asked, and put back as it was."""
        flags: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        before = [flag.allow_tf32 for flag in flags]
        try:
            for flag in flags:
                flag.allow_tf32 = self.precision == "tf32"
            yield
        finally:
            for flag, value in zip(flags, before, strict=True):
                flag.allow_tf32 = value

    def autocast(self, device: torch.device) -> torch.autocast:
        """No cache of casts: inside a recorded graph it would outlive the memory that it points to."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False)


class Stepper:
    """``step(choice)``: one SGD step on the batch that ``choice`` (an item of ``data.stream(plan)``) names."""

    def __init__(
        self, net: nn.Module, data: Dataset | PictureFolder | Text, optimizer: torch.optim.Optimizer,
        execution: Execution, ranks: Ranks, loss_fn: Loss = nnf.cross_entropy, every_step: bool = False,
    ):  # fmt: skip
        self.net, self.data, self.optimizer, self.execution = net, data, optimizer, execution
        self.loss_fn = loss_fn
        self.device = data.device
        execution.check(self.device)
        if execution.engine == "graph" and ranks.size > 1:
            raise ConfigError("engine 'graph' records the step of one process: use 'eager' or 'compile' for several")
        if execution.engine == "graph" and not data.in_memory:
            raise ConfigError(
                f"engine 'graph' records a step that takes its images from the GPU's memory, and {data.name} is read "
                f"picture by picture: use 'eager' or 'compile'"
            )
        if execution.channels_last:
            net.to(memory_format=torch.channels_last)
        together = ranks.wrap(net)
        self.forward = torch.compile(together) if execution.engine == "compile" else together
        self._graph: _Graph | None = None
        self._warm = 0
        self._rates: list[Tensor] | None = None  # learning rates, where they change in every step
        if execution.engine == "graph" and every_step:
            self._rates = [torch.zeros((), device=self.device) for _ in optimizer.param_groups]

    def predict(self, x: Tensor) -> Tensor:
        """Logits (N, classes), float32 or more, of stored images (N, C, H, W)."""
        with self.execution.autocast(self.device):
            return _at_least_float32(self.net(self._ordered(self.data.normalised(x))))

    def step(self, choice: Any) -> Tensor:
        """Scalar loss before the step, detached; on a GPU it is still being computed when this returns."""
        if self.execution.engine != "graph":
            return self._eager(choice)
        with self._rates_on_device():
            return self._recorded(choice)

    def _recorded(self, choice: Any) -> Tensor:
        # numbers that a recorded step cannot change; a learning rate that is a tensor is none of them
        rates = [None if self._rates else group["lr"] for group in self.optimizer.param_groups]
        decays = [group["weight_decay"] for group in self.optimizer.param_groups]
        baked = list(zip(rates, decays, strict=True))
        if self._graph is None or self._graph.baked != baked:
            if self._warm < _WARM_UP:
                self._warm += 1
                return self._on_side_stream(choice)
            self._graph = None  # its memory first
            self._graph = _Graph(self._eager, self.optimizer, choice, baked)
        return self._graph.replay(choice)

    @contextlib.contextmanager
    def _rates_on_device(self) -> Iterator[None]:
        """While it lasts the optimiser's learning rates are tensors, which a recorded step reads again every time."""
        if self._rates is None:
            yield
            return
        groups = self.optimizer.param_groups
        given = [group["lr"] for group in groups]
        try:
            for group, rate, lr in zip(groups, self._rates, given, strict=True):
                group["lr"] = rate.fill_(lr)
            yield
        finally:
            for group, lr in zip(groups, given, strict=True):
                group["lr"] = lr

    def _eager(self, choice: Any) -> Tensor:
        x, y = self.data.batch(choice)
        return train_step(self._forward, self.optimizer, self.loss_fn, self._ordered(x), y)

    def _forward(self, x: Tensor) -> Tensor:
        with self.execution.autocast(self.device):
            return _at_least_float32(self.forward(x))

    def _ordered(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.execution.channels_last else x

    def _on_side_stream(self, choice: Any) -> Tensor:
        """Steps before a recording must not run on the default stream (torch's notes on CUDA graphs)."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            loss = self._eager(choice)
        torch.cuda.current_stream().wait_stream(side)
        return loss


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class _Graph:
    """One recorded training step; ``baked`` are the optimiser's numbers in it."""

    def __init__(
        self, step: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, choice: Tensor,
        baked: list[tuple[float | None, float]],
    ):  # fmt: skip
        self.baked = baked
        self.choice = choice.clone()
        optimizer.zero_grad()  # the recording makes its gradients in its own memory
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):  # records, executes nothing
            self.loss = step(self.choice)

    def replay(self, choice: Tensor) -> Tensor:
        self.choice.copy_(choice)
        self.graph.replay()
        return self.loss.clone()  # the next replay overwrites it


@contextlib.contextmanager
def explain_memory(batch_size: int) -> Iterator[None]:
    """Turns torch's out-of-memory errors into one that says how much was asked for and what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        text = str(error)
        asked = re.search(r"[Tt]ried to allocate ([\d.]+ ?\w+)", text)
        if asked is None and "out of memory" not in text:
            raise
        much = asked.group(1) if asked else "more than there is"
        raise MemoryLimitError(
            f"not enough memory: {much} in one piece was asked for, beyond what is in use already. Lower the batch "
            f"size ({batch_size}; other results), use precision 'bf16', or run fewer jobs at a time"
        ) from error

"""What a Trainer asks of data: anything that answers to these names can be trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Data(Protocol):
    """:class:`~pfa_edu.data.Dataset` holds all of it in memory, :class:`~pfa_edu.data.PictureFolder` reads ahead.

    An epoch of training goes ``for choice in data.stream(data.plan(...)): x, y = data.batch(choice)``: the plan is all
    that chance decides, so it is drawn at once, and the processes that train together each take their part of it.
    """

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> int | None:
        """How many numbers the network puts out; None where the data do not say."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample, for an image (C, H, W)."""

    @property
    def train_size(self) -> int: ...

    @property
    def device(self) -> torch.device:
        """Where batches are."""

    @property
    def in_memory(self) -> bool:
        """Whether a batch follows from its choice alone, so that a CUDA graph can record it."""

    @property
    def watched(self) -> str:
        """The part that is scored after every epoch."""

    @property
    def held_back(self) -> str | None:
        """The part that is scored once, after the last epoch."""

    @property
    def fingerprint(self) -> str:
        """Stands for the data themselves: a kept run goes on with the same only."""

    def to(self, device: str | torch.device) -> Data: ...

    def plan(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """An epoch's choices, (steps, batch, numbers a sample), drawn from ``generator``, which is on the CPU."""

    def stream(self, plan: Tensor) -> Iterable[Any]:
        """For every row of a plan, what :meth:`batch` takes."""

    def batch(self, choice: Any) -> tuple[Tensor, Tensor]:
        """x (batch, ...) as the network takes it, and y, on the device."""

    def pieces(self, part: str, rank: int = 0, size: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Every ``size``-th sample of a part from ``rank`` on, some at a time, not normalised."""

    def normalised(self, x: Tensor) -> Tensor:
        """What :meth:`pieces` gives, as the network takes it."""

    def probe(self) -> tuple[Tensor, Tensor]:
        """Always the same training samples, as the network takes them: gradient angles are measured on them."""

"""The order in which an epoch visits the training samples."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..errors import ConfigError


def batches(
    n: int, batch_size: int, generator: torch.Generator, drop_last: bool = True, device: str | torch.device = "cpu"
) -> Iterator[torch.Tensor]:
    """One epoch's index tensors, each (batch_size,) int64 on ``device``, in a fresh random order of range(n).

    ``generator`` lives on the CPU whatever the device, so that a seed means the same batches everywhere; the whole
    permutation then moves to the device at once, rather than one small transfer per batch. The permutation is drawn
    when this is called. With ``drop_last`` every batch is full; else the last one holds the rest.

    Raises ConfigError, here and not at the first batch, for sizes that give no batch.
    """
    if batch_size <= 0:
        raise ConfigError(f"batch_size is {batch_size}: it must be at least 1")
    if n <= 0:
        raise ConfigError(f"n is {n}: there are no samples to make batches of")
    if drop_last and batch_size > n:
        raise ConfigError(
            f"batch_size {batch_size} is more than the {n} samples: not one full batch. "
            f"Use a batch_size of at most {n}, or drop_last=False"
        )
    if generator.device.type != "cpu":
        raise ConfigError(f"generator is on {generator.device}: use a CPU generator, torch.Generator()")
    order = torch.randperm(n, generator=generator).to(device)
    return iter(order[: n - n % batch_size if drop_last else n].split(batch_size))

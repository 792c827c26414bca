"""One network trained by several processes: torch's DistributedDataParallel, started by torchrun.

Every rank (process) holds the whole network and takes its part of every batch; DDP averages the gradients before the
optimiser steps, so W, R and F learn from the mean over the whole batch, the closed form's ``a`` from a zero, and every
rank makes the same step. The batch, the learning rate and the schedules are therefore those of one process. What does
not learn (B, G, E, D, masks) is drawn from the run's seed and never touched again; what is drawn anew (brSF's
magnitudes) follows from the seed and the epoch. Ranks that come to differ all the same are an error.

Batch norm normalises each rank's part of the batch by that part's own statistics, as in plain DDP: a network with batch
norm is the only one whose result depends on the number of ranks. Its running statistics are rank 0's.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ..errors import ConfigError, ParallelError, PfaEduError

T = TypeVar("T")
_TIMEOUT = timedelta(minutes=10)  # a rank that is silent for so long is lost; one that dies is noticed at once
_LOST = re.compile(r"gloo|nccl|connection|socket|broken pipe|timed? ?out|peer", re.IGNORECASE)


@dataclass(frozen=True)
class Ranks:
    """The processes that train one network, seen from one of them; ``Ranks()`` is a process alone.

    Every method is called by all ranks, in the same order.

    >>> Ranks(rank=1, size=2).share(torch.arange(8).view(2, 4))
    tensor([[2, 3],
            [6, 7]])
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Rank 0 is the one that reads checkpoints, writes and prints."""
        return self.rank == 0

    def each(self, batch_size: int) -> int:
        """Samples of a batch for each rank: a ConfigError if they cannot be the same number."""
        if batch_size % self.size:
            near = next(n for n in range(self.size, 0, -1) if batch_size % n == 0)
            raise ConfigError(
                f"a batch of {batch_size} cannot be shared evenly by {self.size} processes, and the mean of uneven "
                f"parts would be another gradient: start {near}, or choose another batch size"
            )
        return batch_size // self.size

    def share(self, plan: Tensor) -> Tensor:
        """This rank's part of every batch: of (steps, batch, ...) the columns (steps, batch / size, ...)."""
        each = self.each(plan.shape[1])
        return plan[:, self.rank * each : (self.rank + 1) * each]

    def wrap(self, net: nn.Module) -> nn.Module:
        """``net`` as DDP calls it (hooks on ``net``, DFA's among them, run inside); itself where there is one process.

        DDP would send every buffer before every forward pass, and G, E, F and D are as big as the weights: they never
        change, so :meth:`check_same` looks at them instead, once an epoch.
        """
        if self.size == 1:
            return net
        device = next(net.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        known = inspect.signature(DistributedDataParallel).parameters
        buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # torch < 2.14
        no_buffers: dict[str, Any] = {buffers: False}
        return DistributedDataParallel(net, device_ids=ids, gradient_as_bucket_view=True, **no_buffers)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over ranks, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def first(self, make: Callable[[], T]) -> T:
        """What ``make()`` returns on rank 0, the only one that calls it; a PfaEduError of it is raised by all."""
        if self.size == 1:
            return make()
        outcome: list[Any] = [None, None]  # the value, the error
        if self.is_first:
            try:
                outcome[0] = make()
            except PfaEduError as error:
                outcome[1] = error
        dist.broadcast_object_list(outcome, src=0)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def take_statistics(self, net: nn.Module) -> None:
        """Rank 0's running statistics of batch norm, for all."""
        for module in net.modules() if self.size > 1 else ():
            for buffer in module.buffers(recurse=False) if isinstance(module, _BatchNorm) else ():
                dist.broadcast(buffer, src=0)

    def check_same(self, net: nn.Module) -> None:
        """ParallelError, naming the first tensor that differs, unless all ranks hold the same bits."""
        if self.size == 1:
            return
        digests: list[dict[str, str]] = [{} for _ in range(self.size)]
        dist.all_gather_object(digests, {name: _digest(t) for name, t in net.state_dict().items()})
        for name, digest in digests[0].items():
            others = [rank for rank, theirs in enumerate(digests) if theirs.get(name) != digest]
            if others:
                raise ParallelError(
                    f"{name} on rank {others[0]} is no longer what it is on rank 0, so the ranks train different "
                    f"networks: this epoch is not kept. Something changed it on one rank only, or the machines compute "
                    f"differently; the checkpoint of the epoch before is right"
                )


def _digest(tensor: Tensor) -> str:
    """A hash of a tensor's bits, whatever its memory order and device."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.blake2b(flat.view(torch.uint8).numpy().data, digest_size=16).hexdigest()


def launched() -> bool:
    """Whether torchrun (or what sets the same variables) started this process as one of several."""
    wanted = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    return all(name in os.environ for name in wanted) and int(os.environ["WORLD_SIZE"]) > 1


def rank() -> int:
    """This process's number among all that torchrun started, 0 for a process alone."""
    return int(os.environ["RANK"]) if launched() else 0


@contextlib.contextmanager
def join(device: str) -> Iterator[Ranks]:
    """The ranks that torchrun started, connected within this context; ``Ranks()`` where it did not.

    ``device``: 'cpu' (connected by gloo) or 'cuda' (by nccl, each rank with the GPU of its local number). A rank that
    is lost on the way is a ParallelError on the others.
    """
    if not launched():
        yield Ranks()
        return
    ranks = Ranks(rank(), int(os.environ["WORLD_SIZE"]))
    gpu = _take_gpu(device, int(os.environ["LOCAL_RANK"]))
    try:
        dist.init_process_group("gloo" if gpu is None else "nccl", timeout=_TIMEOUT, device_id=gpu)
        yield ranks
    except RuntimeError as error:
        if isinstance(error, PfaEduError) or not _LOST.search(str(error)):
            raise
        raise ParallelError(
            f"rank {ranks.rank} of {ranks.size} lost the others: one of them has ended or cannot be reached "
            f"({str(error).splitlines()[0]}). The checkpoint of the last completed epoch is whole: run the same "
            f"command again, with any number of processes, to go on from there"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _take_gpu(device: str, local_rank: int) -> torch.device | None:
    where = torch.device(device)
    if where.type != "cuda":
        return None
    if where.index is not None or local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"device {device!r} for process {local_rank} of this machine, which has {torch.cuda.device_count()} GPUs: "
            f"every process takes a GPU of its own. Say 'cuda' and start no more processes than there are GPUs, or "
            f"use 'cpu'"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)

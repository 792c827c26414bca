"""FSDP2: a network whose weights and feedback are spread over processes, and path angles measured all the same.

torchrun --nproc-per-node 2 examples/fsdp.py

Two processes on the CPU hold half of every matrix each: of W, and of PFA's R, which is ten times as large. Each sees
its own half of every batch. The path angle falls from 90° towards the limit of 17.5°, as in one process.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as nnf
from torch.distributed.fsdp import fully_shard

import pfa_edu as pe

EPOCHS, BATCH, LR, DECAY = 3, 64, 0.02, 0.1


def network() -> torch.nn.Module:
    """Converted first, then sharded: the same seed everywhere, since B is not sharded and must be the same."""
    torch.manual_seed(0)
    net = pe.convert(pe.mlp((784, 64, 64, 10)), pe.PFA(ratio=10), init="xavier", verbose=False)
    for layer in pe.layers(net).values():
        fully_shard(layer)  # with layer.feedback, which is a part of it
    return fully_shard(net)


def main() -> None:
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9, weight_decay=DECAY)  # after sharding
    digits = pe.data.load("mnist-5k")
    x, y = digits.normalised(digits.train_x), digits.train_y  # (4000, 1, 28, 28), (4000,)
    show(0, net)
    for epoch in range(1, EPOCHS + 1):
        for batch in torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch)).split(BATCH):
            mine = batch[rank::size]
            loss = nnf.cross_entropy(net(x[mine]), y[mine])
            optimizer.zero_grad()
            loss.backward()  # FSDP2 takes the mean of the gradients over processes
            optimizer.step()
        show(epoch, net)
    share = sum(p.to_local().numel() for p in net.parameters()) / sum(p.numel() for p in net.parameters())
    print(f"rank {rank} held {100 * share:.0f} % of what learns", flush=True)
    dist.destroy_process_group()


def show(epoch: int, net: torch.nn.Module) -> None:
    angles = pe.path_alignment(net)  # all processes together: the halves of W and R are put together for it
    if dist.get_rank() == 0:
        print(f"epoch {epoch}:", ", ".join(f"{name} {angle:.1f}°" for name, angle in angles.items()), flush=True)


if __name__ == "__main__":
    main()

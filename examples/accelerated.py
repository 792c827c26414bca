"""Accelerate: the training loop is yours, the processes and the precision are its. Run it alone, or on two processes.

python examples/accelerated.py
accelerate launch --cpu --num_processes 2 examples/accelerated.py

Needs ``pip install accelerate``. Accelerate wraps the optimiser; pfa_edu sees the real one. So PFA's closed form is
allowed for SGD, and the path angle falls from 90° to about the limit of 17.5°. A gradient that is clipped is another
matter: the closed form refuses it, and the coupled form takes it. The last lines show both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import pfa_edu as pe


def train(accelerator: Accelerator, form: str, epochs: int = 3, clip: float | None = None) -> None:
    torch.manual_seed(0)
    net = pe.convert(pe.mlp((784, 64, 64, 10)), pe.PFA(ratio=10, form=form), init="xavier", verbose=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=0.1)
    digits = pe.data.load("mnist-5k")
    data = TensorDataset(digits.normalised(digits.train_x), digits.train_y)  # (4000, 1, 28, 28), (4000,)
    loader = DataLoader(data, batch_size=64 // accelerator.num_processes, shuffle=True, drop_last=True)
    net, optimizer, loader = accelerator.prepare(net, optimizer, loader)
    show(accelerator, 0, net)
    for epoch in range(1, epochs + 1):
        for x, y in loader:
            loss = nnf.cross_entropy(net(x), y)
            optimizer.zero_grad()
            accelerator.backward(loss)
            if clip is not None:
                accelerator.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
        show(accelerator, epoch, net)


def show(accelerator: Accelerator, epoch: int, net: torch.nn.Module) -> None:
    angles = pe.path_alignment(accelerator.unwrap_model(net))
    accelerator.print(f"epoch {epoch}:", ", ".join(f"{name} {angle:.1f}°" for name, angle in angles.items()))


def main() -> None:
    accelerator = Accelerator(cpu=True)
    accelerator.print("closed form:")
    train(accelerator, "closed")
    accelerator.print("with clipping, closed form:")
    try:
        train(accelerator, "closed", epochs=1, clip=1.0)
    except pe.ConfigError as error:
        accelerator.print("refused:", error)
    accelerator.print("with clipping, coupled form:")
    train(accelerator, "coupled", clip=1.0)
    accelerator.end_training()


if __name__ == "__main__":
    main()

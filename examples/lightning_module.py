"""Lightning: a LightningModule around a converted network, with the path angles among what it logs.

python examples/lightning_module.py

Needs ``pip install lightning``. Lightning wraps the optimiser and runs the backward pass within its step; pfa_edu sees
the real optimiser all the same, and checks the gradient after that pass. The path angle falls from 90° to about the
limit of 17.5°. With ``gradient_clip_val`` the closed form is refused, and the coupled form goes on.
"""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
import torch.nn.functional as nnf
from torch.utils.data import DataLoader, TensorDataset

import pfa_edu as pe


class Digits(lightning.LightningModule):
    """Digits by PFA; ``form`` as ``pe.PFA`` takes it."""

    def __init__(self, form: str):
        super().__init__()
        torch.manual_seed(0)
        net = pe.mlp((784, 64, 64, 10))
        self.net = pe.convert(net, pe.PFA(ratio=10, form=form), init="xavier", verbose=False)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], number: int) -> torch.Tensor:
        x, y = batch  # (64, 1, 28, 28), (64,)
        return nnf.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9, weight_decay=0.1)

    def on_train_start(self) -> None:
        self.show(pe.path_alignment(self.net))

    def on_train_epoch_end(self) -> None:
        angles = pe.path_alignment(self.net)
        self.log_dict({f"path_alignment/{name}": angle for name, angle in angles.items()})
        self.show(angles)

    def show(self, angles: dict[str, float]) -> None:
        print(f"step {self.global_step}:", ", ".join(f"{name} {angle:.1f}°" for name, angle in angles.items()))


def train(form: str, epochs: int = 3, clip: float | None = None) -> None:
    digits = pe.data.load("mnist-5k")
    data = TensorDataset(digits.normalised(digits.train_x), digits.train_y)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, gradient_clip_val=clip, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Digits(form), DataLoader(data, batch_size=64, shuffle=True, drop_last=True))


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers")  # the digits lie in memory
    print("closed form:")
    train("closed")
    print("with clipping, closed form:")
    try:
        train("closed", epochs=1, clip=1.0)
    except pe.ConfigError as error:
        print("refused:", error)
    print("with clipping, coupled form:")
    train("coupled", clip=1.0)


if __name__ == "__main__":
    main()

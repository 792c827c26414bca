"""Three callbacks: to TensorBoard, to Weights & Biases, to a CSV file of every step. Each is called by its experiment.

python examples/callbacks.py
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pfa_edu as pe


class ToTensorBoard(pe.Callback):
    """Needs ``pip install tensorboard``."""

    def __init__(self, folder: str):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(folder)

    def on_step(self, run: pe.Trainer) -> None:
        self.writer.add_scalar("loss", run.loss, run.step)

    def on_epoch(self, run: pe.Trainer) -> None:
        for epoch, layer, metric, value in run.rows:
            if epoch == run.epoch:
                self.writer.add_scalar(f"{metric}/{layer}", value, epoch)
        self.writer.flush()


class ToWandb(pe.Callback):
    """Needs ``pip install wandb`` and an account."""

    def __init__(self, **init: Any):
        import wandb

        self.run = wandb.init(**init)

    def on_epoch(self, run: pe.Trainer) -> None:
        now = {f"{metric}/{layer}": value for epoch, layer, metric, value in run.rows if epoch == run.epoch}
        self.run.log(now, step=run.epoch)


class ToCsv(pe.Callback):
    """One row a step: step, loss."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def before_training(self, run: pe.Trainer) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("step,loss\n")

    def on_step(self, run: pe.Trainer) -> None:
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow([run.step, f"{run.loss.item():.6g}"])


if __name__ == "__main__":
    pe.experiment("mnist", "pfa", scale="smoke", out=None, callbacks=[ToCsv("out/steps.csv")]).run()
    print("out/steps.csv")

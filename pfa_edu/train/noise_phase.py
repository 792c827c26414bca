"""A phase on noise before training, in which the random start of the feedback fades and nothing is learned.

Weight decay is what aligns PFA and KP, and a strong one hurts what is being learned. So let it act before there is
anything to learn: noise comes in, noise comes back, W and its feedback take the same steps, and both forget where they
began. What is left of the start is a = (1 − lr·decay)^steps. Under AdamW the steps are about as large whatever the
noise, so W, which forgets its first values as well, ends near sqrt(lr / 2·decay) an entry: 0.1, which is Xavier's for
some hundred neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .._settings import real, whole
from ..nn.layer import layers
from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer


class NoiseAlignment(Callback):
    """Before training, ``steps`` of AdamW on noise, on weights and feedback of rules that align by decay, no others.

    Inputs are Gaussian, or random characters where the data are text; the error at the output is Gaussian, and goes
    back by the rule. Biases, norms, positions and embedding tables stay.

    >>> round(NoiseAlignment(steps=148).left, 3)  # of the feedback's random start
    0.05
    """

    def __init__(self, steps: int = 148, lr: float = 0.02, decay: float = 1.0):
        self.steps = whole("steps", steps, low=1, what="of noise before training")
        self.lr, self.decay = real("lr", lr, above=0), real("decay", decay, above=0, high=1 / lr)

    @property
    def left(self) -> float:
        return (1 - self.lr * self.decay) ** self.steps

    @property
    def changes(self) -> str:
        """What a run's identity says of it."""
        return repr(self)

    def __repr__(self) -> str:
        return f"NoiseAlignment(steps={self.steps}, lr={self.lr:g}, decay={self.decay:g})"

    def before_training(self, run: Trainer) -> None:
        aligned = [layer for layer in layers(run.net).values() if layer.rule.aligns_by_decay]
        moved = [p for layer in aligned for p in (layer.parameter, *layer.feedback_parameters()) if p.requires_grad]
        if not moved:
            return
        optimizer = torch.optim.AdamW(moved, lr=self.lr, weight_decay=self.decay, betas=(0.9, 0.95))
        noise = torch.Generator().manual_seed(run.seed)  # on the CPU: the same noise for every device
        data: Any = run.data
        plan = data.plan(run.ranks.each(run.recipe.batch_size), noise)
        x, _ = data.batch(next(iter(data.stream(plan[:1]))))
        run.net.train()
        for _ in range(self.steps):
            out = run.net(_like(x, data.classes, noise))
            optimizer.zero_grad()
            out.backward(_like(out.detach(), None, noise))  # dL/d(output) is noise
            optimizer.step()
        run.net.zero_grad()


def _like(t: Tensor, classes: Any, generator: torch.Generator) -> Tensor:
    """Noise of the shape and kind of ``t``."""
    if t.is_floating_point():
        return torch.randn(t.shape, generator=generator, dtype=t.dtype).to(t.device)
    return torch.randint(classes, t.shape, generator=generator, dtype=t.dtype).to(t.device)

"""What hooks see of every layer in one pass: the sizes of its input h, its output a, and the error δ = dL/da."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..nn.layer import RuleLayer


class Sizes(NamedTuple):
    """Of one call of a layer. All sums are over everything but the batch, in float64.

    ``h``, ``delta``: (batch,), ‖h_n‖² and ‖δ_n‖² of every sample. ``entries``: numbers in one sample's δ.
    ``dtype``: δ's. ``overlap``: see :func:`_overlap`.
    """

    h: Tensor
    delta: Tensor
    entries: int
    dtype: torch.dtype
    overlap: float


class Watch:
    """While :meth:`on` lasts: ``rms`` of every layer's output, in the order of calls, and ``sizes`` of each call."""

    def __init__(self) -> None:
        self._squares: dict[str, Tensor] = {}
        self._numbers: dict[str, int] = {}
        self.sizes: dict[str, list[Sizes]] = {}

    @contextlib.contextmanager
    def on(self, found: Mapping[str, RuleLayer]) -> Iterator[Watch]:
        handles = [layer.register_forward_hook(self._hook(name)) for name, layer in found.items()]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    @property
    def rms(self) -> dict[str, Tensor]:
        """sqrt(mean a²) of every layer that was called, scalar tensors."""
        return {name: (squares / self._numbers[name]).sqrt() for name, squares in self._squares.items()}

    def _hook(self, name: str) -> Any:
        def seen(layer: RuleLayer, args: tuple[Any, ...], out: Any) -> None:
            # sizes at once: the next operation may change a in place
            if not isinstance(out, Tensor) or not args or not isinstance(args[0], Tensor):
                return
            self._squares[name] = self._squares.get(name, 0) + _squares(out[None]).sum()
            self._numbers[name] = self._numbers.get(name, 0) + out.numel()
            if out.requires_grad:
                self._follow(name, layer.weight, args[0].detach(), out)

        return seen

    def _follow(self, name: str, weight: Tensor, h: Tensor, out: Tensor) -> None:
        alone = h.dim() == max(1, weight.dim() - 1)  # one sample without a batch
        h, shape = (h[None], (1, *out.shape)) if alone else (h, tuple(out.shape))
        sizes, overlap = _squares(h), _overlap(weight, h, torch.Size(shape))

        def error(delta: Tensor) -> None:
            delta = delta.detach().reshape(shape)
            seen = Sizes(sizes, _squares(delta), delta[0].numel(), delta.dtype, overlap)
            self.sizes.setdefault(name, []).append(seen)

        out.register_hook(error)


def _squares(t: Tensor) -> Tensor:
    """‖t_n‖² of every sample, (batch,), in float64; half precision is summed in float32, where it cannot overflow."""
    sums = torch.promote_types(t.dtype, torch.float32)
    return torch.linalg.vector_norm(t.detach().flatten(1), dim=1, dtype=sums).double().square()


def _overlap(weight: Tensor, h: Tensor, out: torch.Size) -> float:
    """Σ_p ‖δ_p‖² ‖h_p‖² over a sample's positions p, as a part of ‖δ‖² ‖h‖², if both are spread evenly over them.

    One over the number of positions; a convolution's kernel meets every position as often as it has entries.
    """
    if weight.dim() == 2:
        return 1 / max(1, h.shape[1:-1].numel())
    return weight.shape[2:].numel() / max(h.shape[2:].numel(), out[2:].numel())

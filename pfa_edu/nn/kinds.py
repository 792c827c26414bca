"""Layers that are not quite torch's: transformers' Conv1D, and subclasses of torch's layers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..rules import Feedback
from . import functional
from .layer import RuleLayer
from .modules import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Linear


class Conv1D(Linear):
    """transformers' Conv1D, the linear layer of GPT-2, whose weight is kept as (in, out)."""

    nf: int
    nx: int

    def oriented(self, weight: Tensor) -> Tensor:
        return weight.t()

    def original(self, F: Tensor) -> Tensor:
        return F.t()

    def extra_repr(self) -> str:
        return f"nf={self.nf}, nx={self.nx}, rule={self.rule!r}"


def is_conv1d(module: nn.Module) -> bool:
    """Whether it is transformers' Conv1D; transformers itself need not be installed."""
    cls = type(module)
    return cls.__name__ == "Conv1D" and cls.__module__ == "transformers.pytorch_utils"


class Generic(RuleLayer):
    """A subclass of torch's layers that computes in its own way, as long as that is linear in the weight.

    Its own forward runs twice: with W on an input that is cut off, and with F for the error's way back.
    """

    def forward(self, h: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        feedback = self._needed()
        own = functools.partial(self.plain.forward, self)
        if feedback is None:
            return own(h, *args, **kwargs)
        return self._compute(own, feedback, h, args, kwargs)

    def _compute(self, own: Any, feedback: Feedback, h: Tensor, args: tuple, kwargs: dict[str, Any]) -> Tensor:
        def op(x: Tensor, weight: Tensor) -> Tensor:
            self.__dict__["_inside"] = True  # see routing.py
            try:
                with contextlib.nullcontext() if weight is self.weight else _in_place_of_weight(self, weight):
                    return own(x, *args, **kwargs)
            finally:
                del self.__dict__["_inside"]

        return self._recorded(h, functional.generic(op, h, self.weight, self._path(h, feedback), self.original))

    def __reduce_ex__(self, protocol: Any) -> Any:  # the class was made on the way, and is made again
        return _empty, (self.plain,), self.__getstate__()


@functools.cache
def generic(plain: Any) -> type[Generic]:
    """The rule layer of a subclass of torch's layers; one without a forward of its own keeps the fast one."""
    base = next((kind for kind in KINDS if issubclass(plain, kind)), None)
    if base is not None and plain.forward is base.forward and _same_convolution(plain, base):
        parents: tuple[type, ...] = (KINDS[base], plain)
    else:
        parents = (Generic, plain)
    made = type(plain.__name__, parents, {"plain": plain, "__reduce_ex__": Generic.__reduce_ex__})
    return cast("type[Generic]", made)


def _same_convolution(plain: type, base: type) -> bool:
    return getattr(plain, "_conv_forward", None) is getattr(base, "_conv_forward", None)


def _empty(plain: type[nn.Module]) -> RuleLayer:
    made = generic(cast(Any, plain))
    return made.__new__(made)


@contextlib.contextmanager
def _in_place_of_weight(layer: nn.Module, F: Tensor) -> Iterator[None]:
    """Within it ``layer.weight`` is F, and the bias learns nothing: it does so in the pass with W."""
    parameters = dict(layer._parameters)
    try:
        layer._parameters.pop("weight")
        layer.__dict__["weight"] = F
        bias = layer._parameters.pop("bias", None)
        layer.__dict__["bias"] = None if bias is None else bias.detach()
        yield
    finally:
        layer.__dict__.pop("weight", None)
        layer.__dict__.pop("bias", None)
        layer._parameters.clear()
        layer._parameters.update(parameters)


@torch.no_grad()
def linear_in_weight(module: nn.Module) -> bool:
    """Whether ``module(h)`` minus its bias is linear in its weight, on a small random input, to rounding."""
    weight = cast(Tensor, module.weight)
    if isinstance(module, nn.Linear):
        h = torch.randn(2, module.in_features, dtype=weight.dtype, device=weight.device)
    else:
        conv = cast(nn.Conv2d, module)
        size = [3 * k * s for k, s in zip(conv.kernel_size, conv.stride, strict=True)]
        h = torch.randn(2, conv.in_channels, *size, dtype=weight.dtype, device=weight.device)
    u, v = (torch.randn_like(weight) for _ in range(2))
    training = module.training
    module.train()  # with dropout, if it has any
    try:
        with torch.random.fork_rng(devices=[]):
            values = []
            for W in (u, v, u + 2 * v, torch.zeros_like(u)):
                with _in_place_of_weight(module, W):
                    values.append(module(h).double())
    except Exception:  # it wants something else than one tensor: not a layer that we can judge
        return False
    finally:
        module.train(training)
    of_u, of_v, of_both, rest = values
    error = (of_both - rest - (of_u - rest) - 2 * (of_v - rest)).norm()
    return bool(error <= 1e-3 * (of_both - rest).norm())


KINDS: dict[type[nn.Module], type[RuleLayer]] = {
    kind.plain: kind for kind in (Linear, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
}

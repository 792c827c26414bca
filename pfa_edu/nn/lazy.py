"""torch's lazy layers, which learn their input size from the first batch, and their rule right after."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin


class _Waiting:
    """A lazy layer that takes its rule as soon as it is real, before its first output."""

    def forward(self, h: Tensor, *args: Any) -> Tensor:  # torch's own hook has made it a Linear, say, just before
        self.__dict__.pop("_become")(self)
        return self.forward(h, *args)  # that of the class that it has now


@functools.cache
def _waiting(plain: Any) -> type[nn.Module]:
    return type(plain.__name__, (_Waiting, plain), {})


def wait(module: nn.Module, become: Callable[[nn.Module], object]) -> None:
    """``become`` is called with the lazy ``module`` once its weight is there."""
    module.__class__ = _waiting(cast(Any, type(module)))
    module.__dict__["_become"] = become


def is_lazy(module: nn.Module) -> bool:
    return isinstance(module, LazyModuleMixin)

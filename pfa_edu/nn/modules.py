"""torch's linear layers and convolutions, but for the weight that carries the error back."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias, cast

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ..rules import BP, Feedback, Rule
from . import functional
from .functional import Conv
from .layer import RuleLayer

Size: TypeAlias = int | tuple[int, int]


class Linear(RuleLayer, nn.Linear):
    """``torch.nn.Linear`` that learns by ``rule``; the paper's initial values (Xavier-uniform, bias 0).

    Shapes: input (\\*, in_features), output (\\*, out_features), as torch's.

    >>> from pfa_edu import FA, PFA
    >>> layer = Linear(784, 512, rule=PFA(ratio=10))
    >>> layer.feedback.B.shape, layer.feedback.R.shape, layer.feedback_weight().shape
    (torch.Size([512, 5120]), torch.Size([5120, 784]), torch.Size([512, 784]))
    """

    plain: ClassVar[type[nn.Module]] = nn.Linear
    weight: nn.Parameter
    bias: nn.Parameter | None  # type: ignore[assignment]  # torch forgets to say that it may be absent

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rule: Rule | str | None = None,
        device: torch.device | str | None = None, dtype: torch.dtype | None = None,
    ):  # fmt: skip
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.set_rule(rule if rule is not None else BP())

    def forward(self, h: Tensor) -> Tensor:
        return self.affine(h, self.bias)

    def affine(self, h: Tensor, bias: Tensor | None) -> Tensor:
        """W h + ``bias`` by the rule."""
        feedback = self._needed()
        weight = self.oriented(self.weight)
        if feedback is None:
            return nnf.linear(h, weight, bias)
        if feedback.direct:
            return nnf.linear(self._send_tap(h, feedback.D), weight, bias)
        return self._recorded(h, functional.linear(h, weight, bias, self._path(h, feedback)))


class _Convolution(RuleLayer, nn.modules.conv._ConvNd):
    """What the six convolutions share; the classes below add torch's class of the same name."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, *args: Any, rule: Rule | str | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.set_rule(rule if rule is not None else BP())

    def forward(self, h: Tensor) -> Tensor:
        feedback = self._needed()
        if feedback is None:
            return cast(Any, self)._conv_forward(h, self.weight, self.bias)
        h, padding = self._pad(h)
        none = (0,) * len(self.kernel_size)  # given here: torch 2.8's compiler cannot follow a tuple's _replace
        conv = Conv(self.stride, padding, self.dilation, output_padding=none, groups=self.groups)
        return self._convolve(h, feedback, conv)

    def _convolve(self, h: Tensor, feedback: Feedback, conv: Conv) -> Tensor:
        if feedback.direct:
            h = self._send_tap(h, feedback.D, conv)
            alone = h.dim() == self.weight.dim() - 1
            out = torch.ops.aten.convolution(h[None] if alone else h, self.weight, self.bias, *conv)
            return out[0] if alone else out
        path, original = self._path(h, feedback), self.original if conv.transposed else None
        return self._recorded(h, functional.convolution(h, self.weight, self.bias, path, conv, original))

    def _pad(self, h: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Padding as integers; what a convolution cannot do itself is padded here, and differentiated by torch."""
        ends = list(cast(Any, self)._reversed_padding_repeated_twice)  # (left, right, top, bottom, ...)
        none = (0,) * len(self.kernel_size)
        if self.padding_mode != "zeros":
            return nnf.pad(h, ends, mode=self.padding_mode), none
        if not isinstance(self.padding, str):
            return h, self.padding
        if ends[0::2] == ends[1::2]:
            return h, tuple(reversed(ends[0::2]))
        return nnf.pad(h, ends), none  # 'same' with an even kernel pads one side more


class Conv1d(_Convolution, nn.Conv1d):
    """``torch.nn.Conv1d`` that learns by ``rule``: torch's arguments, and ``rule=``."""

    plain: ClassVar[type[nn.Module]] = nn.Conv1d


class Conv2d(_Convolution, nn.Conv2d):
    """``torch.nn.Conv2d`` that learns by ``rule``: stride, padding, dilation, groups and padding modes as torch's.

    Shapes: input (batch, in_channels, H, W) or (in_channels, H, W). With groups, F has W's shape
    (out, in/groups, kh, kw), and PFA's B still mixes all mid neurons.

    >>> from pfa_edu import FA, PFA
    >>> Conv2d(3, 16, 3, padding="same", rule=PFA(ratio=4)).feedback.R.shape
    torch.Size([64, 3, 3, 3])
    """

    plain: ClassVar[type[nn.Module]] = nn.Conv2d

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size | str = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros", *,
        rule: Rule | str | None = None, device: torch.device | str | None = None, dtype: torch.dtype | None = None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device,
            dtype, rule=rule,
        )  # fmt: skip


class Conv3d(_Convolution, nn.Conv3d):
    """``torch.nn.Conv3d`` that learns by ``rule``: torch's arguments, and ``rule=``."""

    plain: ClassVar[type[nn.Module]] = nn.Conv3d


class _Transposed(_Convolution):
    """A transposed convolution: torch keeps its weight as (in, out/groups, *kernel), rules see (out, in/groups, ...).

    The error goes back through a convolution with F in the weight's order.
    """

    def forward(self, h: Tensor, output_size: list[int] | None = None) -> Tensor:
        feedback = self._needed()
        if feedback is None:
            return cast(Any, super(_Convolution, self)).forward(h, output_size)  # torch's own
        more = cast(Any, self)._output_padding(
            h, output_size, self.stride, self.padding, self.kernel_size, len(self.kernel_size), self.dilation
        )
        conv = Conv(self.stride, cast("tuple[int, ...]", self.padding), self.dilation, True, tuple(more), self.groups)
        return self._convolve(h, feedback, conv)

    def oriented(self, weight: Tensor) -> Tensor:
        return _swapped(weight, self.groups)

    def original(self, F: Tensor) -> Tensor:
        return _swapped(F, self.groups)


def _swapped(weight: Tensor, groups: int) -> Tensor:
    """(a, b/groups, *kernel) to (b, a/groups, *kernel), group by group; its own inverse."""
    if groups == 1:
        return weight.transpose(0, 1)
    parts = weight.unflatten(0, (groups, -1)).transpose(1, 2)  # (groups, b/groups, a/groups, *kernel)
    return parts.flatten(0, 1)


class ConvTranspose1d(_Transposed, nn.ConvTranspose1d):
    """``torch.nn.ConvTranspose1d`` that learns by ``rule``: torch's arguments, and ``rule=``."""

    plain: ClassVar[type[nn.Module]] = nn.ConvTranspose1d


class ConvTranspose2d(_Transposed, nn.ConvTranspose2d):
    """``torch.nn.ConvTranspose2d`` that learns by ``rule``: torch's arguments, and ``rule=``.

    F has the weight's shape (in, out/groups, kh, kw). PFA's mid neurons stand between F's outputs, as elsewhere.

    >>> from pfa_edu import PFA
    >>> layer = ConvTranspose2d(8, 4, 3, rule=PFA(ratio=2))
    >>> layer.feedback.B.shape, layer.feedback.R.shape, layer.feedback_weight().shape
    (torch.Size([4, 8]), torch.Size([8, 8, 3, 3]), torch.Size([8, 4, 3, 3]))
    """

    plain: ClassVar[type[nn.Module]] = nn.ConvTranspose2d


class ConvTranspose3d(_Transposed, nn.ConvTranspose3d):
    """``torch.nn.ConvTranspose3d`` that learns by ``rule``: torch's arguments, and ``rule=``."""

    plain: ClassVar[type[nn.Module]] = nn.ConvTranspose3d

"""Multi-head attention whose four projections learn by a rule."""

from __future__ import annotations

import contextlib
import math
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ..errors import ConfigError
from ..rules import BP, Rule
from ..rules import rule as rule_by_name
from . import steps
from .layer import RuleLayer
from .modules import Linear


class Projection(Linear):
    """One of attention's q, k, v: a layer with a rule whose weight is a part of the attention's parameters.

    torch keeps the three in one matrix, ``in_proj_weight`` (3 E, E), or apart, where key and value have sizes of their
    own; its names stay in the state dict.
    """

    _owner: tuple[MultiheadAttention]

    def __init__(self, owner: MultiheadAttention, place: int, rule: Rule):
        nn.Module.__init__(self)
        self._owner = (owner,)  # in a tuple, which torch does not take for a module inside this one
        self.place = place
        self.set_rule(rule)

    @property
    def _packed(self) -> bool:
        return self._owner[0]._qkv_same_embed_dim

    @property
    def parameter(self) -> nn.Parameter:
        owner = self._owner[0]
        return owner.in_proj_weight if self._packed else getattr(owner, f"{'qkv'[self.place]}_proj_weight")

    def part(self, whole: Tensor) -> Tensor:
        return whole.unflatten(0, (3, -1))[self.place] if self._packed else whole

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """(E, size of what is projected)."""
        return self.part(self.parameter)

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]
        whole = self._owner[0].in_proj_bias
        return None if whole is None else whole.unflatten(0, (3, -1))[self.place]

    def reset_parameters(self) -> None:
        """The attention's own reset draws the weights; this draws the feedback."""
        self.reset_feedback()

    def extra_repr(self) -> str:
        return f"{'qkv'[self.place]}, rule={self.rule!r}"

    def __setstate__(self, state: dict) -> None:  # the owner, which has the weight, is not there yet
        nn.Module.__setstate__(self, state)


class MultiheadAttention(nn.MultiheadAttention):
    """``torch.nn.MultiheadAttention`` whose projections ``q``, ``k``, ``v`` and ``out_proj`` learn by ``rule``.

    Shapes and arguments as torch's. The projections are layers as any other: ``pe.layers(net)`` names them.

    >>> from pfa_edu import PFA, layers
    >>> attention = MultiheadAttention(8, 2, batch_first=True, rule=PFA(ratio=2))
    >>> list(layers(attention))
    ['out_proj', 'q', 'k', 'v']
    >>> attention(*3 * [torch.randn(1, 5, 8)])[0].shape
    torch.Size([1, 5, 8])
    """

    plain: ClassVar[type[nn.Module]] = nn.MultiheadAttention
    q: Projection
    k: Projection
    v: Projection

    def __init__(self, *args: Any, rule: Rule | str | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.adopt(rule_by_name(rule) if rule is not None else BP())

    def adopt(self, rule: Rule) -> None:
        """Gives the projections their rule."""
        if not isinstance(self.out_proj, Linear):
            self.out_proj.__dict__["was"] = type(self.out_proj)
            cast(Any, self.out_proj).__class__ = Linear
        cast(Linear, self.out_proj).set_rule(rule)
        for place, name in enumerate("qkv"):
            setattr(self, name, Projection(self, place, rule))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        if not torch.is_grad_enabled():
            return super().forward(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        if is_causal and attn_mask is None:
            raise ConfigError("is_causal=True says that attn_mask is the causal mask, and there is none: give it too")
        alone = query.dim() == 2
        if alone:
            query, key, value = (t[None] for t in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
        elif not self.batch_first:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        k, v = self.k(key), self.v(value)  # (batch, S, E)
        q = self.q(query)  # (batch, T, E)
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (torch.cat([t, b.expand(len(t), 1, -1)], 1) for t, b in ((k, self.bias_k), (v, self.bias_v)))
        q, k, v = (t.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v))  # (batch, heads, ., E/h)
        if self.add_zero_attn:
            k, v = (torch.cat([t, t.new_zeros(*t.shape[:2], 1, t.shape[3])], 2) for t in (k, v))
        mask = self._mask(attn_mask, key_padding_mask, q, k.shape[2])
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])  # (batch, heads, T, S)
            weights = nnf.dropout(torch.softmax(scores if mask is None else scores + mask, -1), dropout)
            mixed = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            mixed = nnf.scaled_dot_product_attention(q, k, v, mask, dropout)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))  # (batch, T, E)
        if alone:
            return out[0], None if weights is None else weights[0]
        return out if self.batch_first else out.transpose(0, 1), weights

    def _mask(self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, sources: int) -> Tensor | None:
        """Both masks as what is added to the scores, (batch or 1, heads or 1, T or 1, S); keys added here are seen."""
        total = None
        if attn_mask is not None:
            mask = _added(attn_mask, q)
            total = mask[None, None] if mask.dim() == 2 else mask.unflatten(0, (-1, self.num_heads))
        if padding is not None:
            mask = _added(padding, q)[:, None, None]
            total = mask if total is None else total + mask
        return None if total is None else nnf.pad(total, (0, sources - total.shape[-1]))

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        for name in "qkv":
            steps.watch(getattr(self, name))

    def _load_from_state_dict(self, *args: Any) -> None:
        with contextlib.ExitStack() as stack:  # their weights are parameters of this module
            for name in "qkv":
                stack.enter_context(cast(RuleLayer, getattr(self, name)).anchored())
            super()._load_from_state_dict(*args)


def _added(mask: Tensor, q: Tensor) -> Tensor:
    return torch.zeros_like(mask, dtype=q.dtype).masked_fill_(mask, -math.inf) if mask.dtype == torch.bool else mask

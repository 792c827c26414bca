"""Two small transformers: one that classifies pictures (ViT), one that predicts the next character (GPT).

Both are a stack of the same block, with six projections each, every one a Linear layer of its own: q, k, v and out of
attention, up and down of the MLP. ``convert`` gives all of them a rule. Tables (of characters, of positions) and norms
are no layers of that kind: they learn by the gradient that reaches them.
"""

from __future__ import annotations

import torch.nn.functional as nnf
from torch import Tensor, nn

from ..errors import ConfigError

KINDS = ("embed", "q", "k", "v", "out", "up", "down", "head")  # of projections, in the order of the forward pass
PATCH = 4  # pixels a side
_INIT = 0.02  # standard deviation of positions and embedding tables


class Block(nn.Module):
    """Attention, then an MLP, each on the normalised stream and added to it (pre-norm).

    Shapes: input and output (batch, tokens, width). ``causal``: a token sees those before it and itself only.
    """

    def __init__(self, width: int, heads: int, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1 = nn.LayerNorm(width)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm2 = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        q, k, v = (self._split(project(h)) for project in (self.q, self.k, self.v))  # (batch, heads, tokens, size)
        mixed = nnf.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))  # (batch, tokens, width)
        return x + self.down(nnf.gelu(self.up(self.norm2(x))))

    def _split(self, h: Tensor) -> Tensor:
        return h.unflatten(2, (self.heads, -1)).transpose(1, 2)


class ViT(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021) for small pictures: patches of 4×4 pixels, mean over tokens.

    Shapes: input (batch, channels, H, W), output (batch, classes). For CIFAR-10 a picture is 64 tokens.
    """

    def __init__(self, input_shape: tuple[int, ...], classes: int, depth: int = 4, width: int = 96, heads: int = 3):
        super().__init__()
        channels, height, length = _picture(input_shape)
        _check(depth, width, heads)
        self.positions = _table(height * length // PATCH**2, width)
        self.embed = nn.Linear(channels * PATCH**2, width)
        self.blocks = nn.ModuleList(Block(width, heads, causal=False) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(_patches(x)) + self.positions.weight  # (batch, tokens, width)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(dim=1))


class Table(nn.Embedding):
    """``torch.nn.Embedding`` whose gradient a CUDA graph can record.

    torch's own sorts its indices where there are many, and waits for the GPU in doing so (pytorch issue 82886).

    >>> import torch
    >>> Table(5, 2)(torch.tensor([[0, 4, 4]])).shape
    torch.Size([1, 3, 2])
    """

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.index_select(0, x.flatten()).view(*x.shape, -1)


def _table(rows: int, width: int) -> Table:
    table = Table(rows, width)
    nn.init.normal_(table.weight, std=_INIT)
    return table


class GPT(nn.Module):
    """A decoder that predicts the next character at every place (Radford et al. 2019), of ``context`` at most.

    Shapes: input (batch, tokens) of whole numbers, output (batch, tokens, characters).
    """

    def __init__(self, context: int, characters: int, depth: int = 4, width: int = 144, heads: int = 3):
        super().__init__()
        _check(depth, width, heads)
        self.positions, self.table = _table(context, width), _table(characters, width)
        self.blocks = nn.ModuleList(Block(width, heads, causal=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters)

    def forward(self, x: Tensor) -> Tensor:
        x = self.table(x) + self.positions.weight[: x.shape[1]]  # (batch, tokens, width)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def transformer(name: str, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """'vit-4' or 'gpt-4': of so many blocks; 'vit-4-96' and 'gpt-4-144' say their width too, 32 or 48 a head.

    >>> net = transformer("vit-4", (3, 32, 32), 10)
    >>> sum(p.numel() for p in net.parameters())
    459370
    """
    kind, *numbers = name.split("-")
    if not 1 <= len(numbers) <= 2 or not all(n.isdecimal() and int(n) > 0 for n in numbers):
        raise ConfigError(f"network {name!r}: as '{kind}-4' (its blocks), or '{kind}-4-96' (its width too)")
    depth, size = int(numbers[0]), 32 if kind == "vit" else 48  # of a head
    width = int(numbers[1]) if len(numbers) > 1 else 3 * size
    heads = max(1, width // size)
    if kind == "vit":
        return ViT(input_shape, classes, depth, width, heads)
    if len(input_shape) != 1:
        raise ConfigError(f"network {name!r} reads text, (tokens,), and a sample of the data is {tuple(input_shape)}")
    return GPT(input_shape[0], classes, depth, width, heads)


def token_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy per character in nats: ``logits`` (batch, tokens, characters), ``y`` (batch, tokens).

    >>> import torch
    >>> round(token_loss(torch.zeros(2, 3, 8), torch.zeros(2, 3, dtype=torch.long)).item(), 4)  # log(8)
    2.0794
    """
    return nnf.cross_entropy(logits.flatten(0, -2), y.flatten())


def part_of(layer: str) -> tuple[int | None, str]:
    """Block and kind of a projection by its name: the block is None where there is none.

    >>> part_of("blocks.2.q"), part_of("head")
    ((2, 'q'), (None, 'head'))
    """
    parts = layer.split(".")
    if parts[-1] not in KINDS:
        raise ConfigError(f"{layer!r} is not a projection of a transformer: {', '.join(KINDS)}")
    return (int(parts[1]) if parts[0] == "blocks" else None), parts[-1]


def _patches(x: Tensor) -> Tensor:
    """(batch, channels, H, W) to (batch, tokens, channels · PATCH²), patches row by row."""
    rows, columns = x.shape[2] // PATCH, x.shape[3] // PATCH
    x = x.unflatten(3, (columns, PATCH)).unflatten(2, (rows, PATCH))  # (batch, channels, rows, 4, columns, 4)
    return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def _picture(input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(input_shape) != 3 or input_shape[1] % PATCH or input_shape[2] % PATCH:
        raise ConfigError(
            f"a vision transformer cuts pictures (channels, H, W) into {PATCH}×{PATCH} pixels, and a sample of the "
            f"data is {tuple(input_shape)}: its sides have to be multiples of {PATCH}"
        )
    channels, height, length = input_shape
    return channels, height, length


def _check(depth: int, width: int, heads: int) -> None:
    if depth < 1 or heads < 1 or width % heads:
        raise ConfigError(f"a transformer of {depth} blocks, width {width} in {heads} heads: the width has to divide")

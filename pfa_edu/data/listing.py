"""The pictures of a folder by class, in the order of torchvision's ImageFolder, each found once."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from ..errors import DataError

PARTS = {"train": "train", "validation": "val"}  # part and its folder
_LAYOUT = f"it must hold {' and '.join(PARTS.values())}, with one folder of pictures per class in each"
Found = list[tuple[str, int]]


@functools.lru_cache(maxsize=2)  # a million files take a while
def listed(root: Path) -> tuple[list[str], dict[str, Found]]:
    """Class names, and (path, label) of every picture of each part; DataError if the folder is not as it must be."""
    for folder in (root, *(root / name for name in PARTS.values())):
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}: give ImageNet's (or another ImageFolder's) root; {_LAYOUT}")
    names, found = {}, {}
    for part, name in PARTS.items():
        try:
            names[part], found[part] = _part(root / name)
        except OSError as error:  # no permission, a link to nowhere
            raise DataError(f"{root / name} cannot be listed ({error}); {_LAYOUT}") from error
    if names["train"] != names["validation"]:
        odd = sorted(set(names["train"]) ^ set(names["validation"]))
        raise DataError(f"{root}: train and val have different classes ({', '.join(odd[:5])}, ...); {_LAYOUT}")
    return names["train"], found


def _part(folder: Path) -> tuple[list[str], Found]:
    """The classes in ``folder``, and (path, label) of their pictures."""
    with os.scandir(folder) as entries:
        classes = sorted(entry.name for entry in entries if entry.is_dir())
    if not classes:
        raise DataError(f"{folder} is no folder of pictures by class (there is no class folder in it); {_LAYOUT}")
    # Where it has been: the part itself too, so that a link back to it, or to what holds it, is a folder met again.
    seen = {_identity(place): str(place) for place in (folder, *folder.resolve().parents)}
    found: Found = []
    for label, name in enumerate(classes):
        pictures = _pictures(folder / name, seen)
        if not pictures:
            raise DataError(f"{folder} is no folder of pictures by class ({name} holds no pictures); {_LAYOUT}")
        found += [(path, label) for path in pictures]
    return classes, found


def _pictures(folder: Path, seen: dict[tuple[int, int], str]) -> list[str]:
    """Every picture in ``folder`` and below, links followed; a DataError for a folder that links lead to once more.

    Such a link would count pictures twice, or under two labels, and one that leads back up would never end.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    by_folder = {}
    for place, below, files in os.walk(folder, followlinks=True, onerror=_raise):
        this = _identity(place)
        if this in seen:
            raise DataError(
                f"{place} is the same folder as {seen[this]}, by a link: its pictures would be counted twice. "
                f"Remove the link"
            )
        seen[this] = place
        below.sort()
        by_folder[place] = [os.path.join(place, f) for f in sorted(files) if f.lower().endswith(IMG_EXTENSIONS)]
    return [path for place in sorted(by_folder) for path in by_folder[place]]


def _identity(place: str | Path) -> tuple[int, int]:
    found = os.stat(place)
    return found.st_dev, found.st_ino


def _raise(error: OSError) -> None:
    raise error  # os.walk would pass over a folder that it may not enter

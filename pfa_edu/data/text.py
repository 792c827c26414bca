"""Text, character by character: what Python ships of its own documentation, so that nothing has to be downloaded.

``pydoc_data.topics`` holds what ``help("topics")`` shows, some 450,000 characters of English and code. Many topics are
sections of others. A topic of which a tenth or more stands in a longer one is left out, else the network would be
tested on text that it has learned. What is left, about 370,000 characters, is split by whole topics: a topic's name
alone decides where it goes. The text differs from one version of Python to the next, by a few per cent.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pydoc_data import topics as _topics
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import ConfigError, unknown
from .check import check_name, usable_device

CHARACTERS = "\n" + "".join(chr(i) for i in range(32, 127) if not chr(i).isupper())  # 70; capitals become small
CONTEXT = 128
CROPS = 8_192  # an epoch: about three and a half times as many characters as there are
_SALT, _TEST, _VALIDATION = b"291", 0.1, 0.2  # the split, for everyone; with this salt both parts are near a tenth
_WINDOW, _SHARED = 60, 0.1  # characters, and the part of a topic that may stand in a longer one
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
_PIECE, _PROBE = 128, 32  # sequences


@dataclass(frozen=True, repr=False, eq=False)
class Text:
    """Text as indices of ``characters``, one uint8 tensor a part, all on one device. Read-only.

    A training sample is ``context`` characters from a random place, and its targets are the characters that follow each
    of them; an epoch is ``crops`` samples. The other parts are read from beginning to end, piece by piece.

    >>> few = Text.of("few", "abcab" * 20, "abc" * 9, "cab" * 9, context=4, crops=32)
    >>> few
    Text('few', 100 train + 27 validation + 27 test characters of 70, context 4, cpu)
    >>> x, y = few.batch(few.plan(2, torch.Generator().manual_seed(0))[0])
    >>> x.shape, bool((x[:, 1:] == y[:, :-1]).all())
    (torch.Size([2, 4]), True)
    """

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    context: int = CONTEXT
    crops: int = CROPS
    characters: str = CHARACTERS
    in_memory: ClassVar[bool] = True
    watched: ClassVar[str] = "validation"
    held_back: ClassVar[str | None] = "test"

    def __post_init__(self) -> None:
        check_name(self.name)
        for part in ("train", "validation", "test"):
            if len(getattr(self, part)) <= self.context:
                raise ConfigError(
                    f"the {part} part of {self.name} has {len(getattr(self, part))} characters: at a context of "
                    f"{self.context} it has to have more than that. Lower the context, or give it more text"
                )

    @classmethod
    def of(
        cls, name: str, train: str, validation: str, test: str, *, context: int = CONTEXT, crops: int = CROPS
    ) -> Text:
        """From strings, in small letters; a character that is not one of ``CHARACTERS`` becomes a question mark."""
        return cls(name, _indices(train), _indices(validation), _indices(test), context, crops)

    @property
    def classes(self) -> int:
        """How many characters there are."""
        return len(self.characters)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.context,)

    @property
    def train_size(self) -> int:
        """Samples in an epoch."""
        return self.crops

    @property
    def device(self) -> torch.device:
        return self.train.device

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 letters that stand for all of the text and how it is read."""
        found = hashlib.blake2b(repr((self.context, self.crops, self.characters)).encode(), digest_size=8)
        for part in (self.train, self.validation, self.test):
            found.update(f"{len(part)} ".encode() + part.cpu().numpy().tobytes())
        return found.hexdigest()

    def to(self, device: str | torch.device) -> Text:
        """The same text on ``device``; itself if it is there already."""
        where = usable_device(device)
        if where == self.device:
            return self
        moved: dict[str, Any] = {part: getattr(self, part).to(where) for part in ("train", "validation", "test")}
        return dataclasses.replace(self, **moved)

    def part(self, name: str) -> Tensor:
        """The indices of one part, (characters,) uint8."""
        if name not in ("train", "validation", "test"):
            raise unknown(f"part of {self.name}", name, ["train", "validation", "test"])
        return getattr(self, name)

    def subset(self, crops: int) -> Text:
        """The same text, of which an epoch sees ``crops`` samples."""
        return dataclasses.replace(self, crops=crops)

    def decode(self, indices: Iterable[int]) -> str:
        """Indices as text."""
        return "".join(self.characters[i] for i in indices)

    def plan(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Where an epoch's samples begin, (steps, batch, 1) int64 on the device."""
        if batch_size > self.crops:
            raise ConfigError(f"batch_size {batch_size} is more than the {self.crops} samples of an epoch: lower it")
        last = len(self.train) - self.context  # exclusive: one more character is the last target
        starts = torch.randint(last, (self.crops // batch_size, batch_size, 1), generator=generator)
        return starts.to(self.device)

    def stream(self, plan: Tensor) -> Tensor:
        return plan

    def batch(self, choice: Tensor) -> tuple[Tensor, Tensor]:
        """x (batch, context) and the characters that follow y (batch, context), int64, of one row of a plan."""
        both = self.train[choice + self._offsets].long()  # (batch, context + 1)
        return both[:, :-1], both[:, 1:]

    def pieces(self, part: str, rank: int = 0, size: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Every ``size``-th sequence of a part from ``rank`` on, none overlapping, up to 128 at a time."""
        text = self.part(part)
        starts = torch.arange(0, len(text) - self.context, self.context, device=self.device)[rank::size, None]
        for some in starts.split(_PIECE):
            both = text[some + self._offsets].long()
            yield both[:, :-1], both[:, 1:]

    def normalised(self, x: Tensor) -> Tensor:
        return x

    def probe(self) -> tuple[Tensor, Tensor]:
        """32 training sequences, evenly spaced."""
        starts = torch.linspace(0, len(self.train) - self.context - 1, _PROBE, dtype=torch.float64)
        return self.batch(starts.long()[:, None].to(self.device))

    @functools.cached_property
    def _offsets(self) -> Tensor:
        """(context + 1,), on the device before a CUDA graph is recorded."""
        return torch.arange(self.context + 1, device=self.device)

    def __repr__(self) -> str:
        sizes = " + ".join(f"{len(getattr(self, part))} {part}" for part in ("train", "validation", "test"))
        return f"Text({self.name!r}, {sizes} characters of {self.classes}, context {self.context}, {self.device})"


def read(name: str, device: torch.device) -> Text:
    """Python's own help topics on ``device``."""
    found = split(_topics.topics)
    return Text.of(name, *(found[part] for part in ("train", "validation", "test"))).to(device)


def split(topics: dict[str, str]) -> dict[str, str]:
    """Train, validation and test text: the distinct topics, each wholly in one part, in alphabetical order."""
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for name in sorted(distinct(topics)):
        parts[part_of_topic(name)].append(topics[name])
    return {part: "\n".join(texts) for part, texts in parts.items()}


def part_of_topic(name: str) -> str:
    """The part that a topic belongs to, by a hash of its name.

    >>> part_of_topic("lambda"), part_of_topic("strings"), part_of_topic("compound")
    ('validation', 'test', 'train')
    """
    drawn = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4, key=_SALT).digest(), "big") / 2**32
    return "test" if drawn < _TEST else "validation" if drawn < _VALIDATION else "train"


def distinct(topics: dict[str, str]) -> list[str]:
    """The topics of which less than a tenth stands in a longer one that is kept, the longest first."""
    flat = {name: " ".join(text.split()) for name, text in topics.items()}
    seen: set[str] = set()
    kept = []
    for name in sorted(flat, key=lambda name: (-len(flat[name]), name)):
        windows = {flat[name][i : i + _WINDOW] for i in range(max(1, len(flat[name]) - _WINDOW + 1))}
        if len(windows & seen) <= _SHARED * len(windows):
            kept.append(name)
            seen |= windows
    return kept


def _indices(text: str) -> Tensor:
    table = {character: i for i, character in enumerate(CHARACTERS)}
    other = table["?"]
    return torch.tensor([table.get(c, other) for c in text.translate(_PLAIN).lower()], dtype=torch.uint8)

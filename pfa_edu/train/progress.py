"""How a run says where it is: a bar where somebody watches, one line an epoch where a file does."""

from __future__ import annotations

import os
import sys

from tqdm.auto import tqdm

from ..errors import ConfigError


def kind_here(kind: str) -> str:
    """'bar', 'line' or 'none': what ``kind`` means where we are."""
    if kind not in ("auto", "bar", "line", "none"):
        raise ConfigError(f"progress {kind!r}: 'auto', 'bar', 'line' or 'none'")
    if kind == "auto":
        kind = os.environ.get("PFA_EDU_PROGRESS") or ("bar" if sys.stderr.isatty() else "line")
    return kind


class Progress:
    """A tqdm bar in a terminal or a live notebook; elsewhere (a file, papermill, CI) one line an epoch.

    ``kind``: 'auto', 'bar', 'line' or 'none'; the environment variable PFA_EDU_PROGRESS decides for 'auto'.
    """

    def __init__(self, title: str, total: int, done: int, kind: str = "auto"):
        kind = kind_here(kind)
        self.title, self.total, self.kind = title, total, kind
        if 0 < done < total and kind != "none":
            print(f"{title}: going on after epoch {done}", flush=True)
        self.bar = tqdm(total=total, initial=done, desc=title, unit="epoch") if kind == "bar" else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, epoch: int, loss: float, accuracy: float | None, seconds: float) -> None:
        """``accuracy`` in percent on the part of the data that is watched; None for a regression."""
        score = "" if accuracy is None else f"{accuracy:.2f}"
        if self.bar is not None:
            self.bar.set_postfix({"loss": f"{loss:.3f}"} | ({"accuracy": f"{score}%"} if score else {}))
            self.bar.update()
        elif self.kind == "line":
            told = f"loss {loss:.4f}" + (f"  accuracy {score} %" if score else "") + f"  {seconds:.1f} s"
            print(f"{self.title}: epoch {epoch}/{self.total}  {told}", flush=True)

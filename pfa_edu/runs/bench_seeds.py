"""What several seeds as one batch save: the time of a step of five networks, one after the other and together."""

from __future__ import annotations

import functools
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from .. import data as datasets
from .._settings import whole
from ..errors import ConfigError
from ..nn.models import mlp
from ..rules import BP, FA, PFA, Rule
from ..train.recipe import Recipe
from ..train.together import Together
from ..train.trainer import Trainer
from .experiments import Experiment

SEEDS = 5
RULES: dict[str, Rule] = {"BP": BP(), "FA": FA(), "PFA closed": PFA(), "PFA explicit": PFA(form="explicit")}
WIDTHS = (32, 128, 512)


def bench(rounds: int = 20, threads: int | None = None) -> dict[str, Any]:
    """Milliseconds that a step of five networks takes, one after the other and as one batch; batches of 64 digits.

    ``rounds``: how often both have their turn, one epoch of so many steps each.
    """
    if rounds < 1:
        raise ConfigError(f"rounds {rounds}: at least 1")
    if threads is not None:
        torch.set_num_threads(whole("threads", threads, low=1, high=1024))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    networks = {
        f"784-{n}-{n}-10": {name: _times(n, rule, rounds, device) for name, rule in RULES.items()} for n in WIDTHS
    }
    machine = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return {
        "bench": "seeds", "machine": machine, "device": device, "torch": torch.__version__, "rounds": rounds,
        "threads": torch.get_num_threads(), "seeds": SEEDS, "networks": networks,
    }  # fmt: skip


def _times(width: int, rule: Rule, rounds: int, device: str) -> dict[str, float]:
    steps = 20 if width < 500 else 4
    data = datasets.load("mnist-5k", device).subset(64 * steps)
    recipe = Recipe(epochs=1, batch_size=64, lr=0.01, weight_decay=1e-4)

    def trainers() -> list[Trainer]:
        network = functools.partial(mlp, (784, width, width, 10))
        runs = [Experiment(network, data, rule, recipe, seed, out=None, device=device) for seed in range(SEEDS)]
        return [run.trainer(data) for run in runs]

    apart, together = trainers(), trainers()
    batch = Together(together)

    def one_at_a_time() -> None:
        for run in apart:
            run._one_epoch()

    times = []
    for _ in range(rounds + 1):
        times.append([_time(turn, steps, device) for turn in (one_at_a_time, lambda: batch.epoch(together))])
    ratios = [[a / b for a, b in zip(*pair, strict=True)] for pair in times[1:]]  # the first round warms up
    wall, cpu = (statistics.median(r) for r in zip(*ratios, strict=True))
    apart_ms, together_ms = (statistics.median(pair[k][0] for pair in times[1:]) * 1e3 for k in (0, 1))
    learning = sum(p.numel() for p in apart[0].net.parameters())
    return {
        "learning": learning, "ms_apart": apart_ms, "ms_together": together_ms, "faster": wall, "faster_cpu": cpu,
    }  # fmt: skip


def _time(turn: Callable[[], object], steps: int, device: str) -> tuple[float, float]:
    """Seconds a step: wall, and CPU time of this process."""
    if device == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    turn()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def format_result(result: dict[str, Any]) -> str:
    """The table as text."""
    lines = [
        f"{result['device']} ({result['machine']}), torch {result['torch']}, {result['threads']} threads",
        f"a step of {result['seeds']} networks at batch 64, milliseconds",
    ]
    for title, rows in result["networks"].items():
        lines += ["", f"{title:16s} numbers that learn   apart   together   times faster   by CPU time"]
        lines += [
            f"  {name:14s} {row['learning']:18d} {row['ms_apart']:7.2f} {row['ms_together']:10.2f} "
            f"{row['faster']:14.2f} {row['faster_cpu']:13.2f}"
            for name, row in rows.items()
        ]
    return "\n".join([*lines, "", f"times faster: median of {result['rounds']} rounds in which both take turns"])

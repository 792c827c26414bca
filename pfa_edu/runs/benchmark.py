"""What a training step of each rule costs, as a ratio to plain backprop, all measured in turn in one run.

Cases take turns, a few steps each, round after round, and a ratio is the median over rounds of two times that were
taken next to each other: a machine that is busy or throttles slows both. Wall time is what one waits; CPU time is given
beside it because it stays honest where other work shares the cores. Peak memory is taken in a fresh process per case.
"""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn

from .._files import write_text
from .._settings import whole
from ..errors import ConfigError, unknown
from ..nn.conversion import convert
from ..nn.models import build, mlp, resnet20
from ..nn.transformers import token_loss
from ..rules import BP, DFA, FA, KP, PFA, SF, PFAo, Rule
from ..train.step import train_step


@dataclass(frozen=True)
class Task:
    """A network and a batch to step on; ``steps`` in a row per turn."""

    title: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    steps: int
    channels_last: bool = False
    adamw: bool = False  # instead of SGD with momentum
    characters: int = 0  # of a text; 0: pictures and their classes


def _convnet() -> nn.Module:
    """Six 3×3 convolutions on 32×32 pictures, 32 to 64 channels."""
    sizes, parts = (3, 32, 32, 32, 64, 64, 64), []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        parts += [nn.Conv2d(a, b, 3, stride=2 if i == 3 else 1, padding=1), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


_RULES: dict[str, Rule | None] = {
    "plain torch": None, "BP": BP(), "FA": FA(), "DFA": DFA(outputs=10), "SF": SF(), "KP": KP(),
    "PFA-o closed": PFAo(form="closed"),
}  # fmt: skip
_PFA = {
    f"PFA {form}, ratio {ratio}": PFA(ratio, form=form) for form in ("closed", "explicit") for ratio in (1, 10, 100)
}
_SMALL = _RULES | {
    "PFA closed, ratio 10": PFA(10, form="closed"), "PFA closed, ratio 1000": PFA(1000, form="closed"),
    "PFA explicit, ratio 10": PFA(10),
}  # fmt: skip
_ADAMW: dict[str, Rule | None] = {
    "plain torch": None, "FA": FA(), "PFA-o coupled": PFAo(form="coupled"),
    "PFA coupled, ratio 10": PFA(10, form="coupled"), "PFA coupled, ratio 1000": PFA(1000, form="coupled"),
    "PFA explicit, ratio 10": PFA(10),
}  # fmt: skip
_TRANSFORMERS: dict[str, Rule | None] = {
    "plain torch": None, "BP": BP(), "SF": SF(), "KP": KP(), "FA": FA(), "DFA": DFA(),
    "PFA-o coupled": PFAo(form="coupled"), "PFA coupled, ratio 1": PFA(1, form="coupled"),
    "PFA coupled, ratio 10": PFA(10, form="coupled"), "PFA coupled, ratio 100": PFA(100, form="coupled"),
}  # fmt: skip
# The paper's rules there. No ratio of 1000: the closed form's step is free of it, but drawing R once takes 9 GB.
_ON_IMAGENET = ("plain torch", "BP", "SF", "PFA-o closed", "PFA closed, ratio 10", "PFA explicit, ratio 10")
BENCHES: dict[str, tuple[dict[str, Rule | None], list[Task]]] = {
    "mnist": (_SMALL, [
        Task("784-512-512-10, batch 64", mlp, (64, 784), 10),
        Task("6 convolutions at 32×32, batch 128", _convnet, (128, 3, 32, 32), 1),
    ]),
    "cifar10": (_RULES | _PFA | {"PFA closed, ratio 1000": PFA(1000, form="closed")}, [
        Task("ResNet-20 at 32×32, batch 128, channels last", resnet20, (128, 3, 32, 32), 1, channels_last=True),
    ]),
    "adamw": (_ADAMW, [
        Task("784-512-512-10, batch 64, AdamW", mlp, (64, 784), 10, adamw=True),
        Task("ResNet-20 at 32×32, batch 128, AdamW", resnet20, (128, 3, 32, 32), 1, channels_last=True, adamw=True),
    ]),
    "transformers": (_TRANSFORMERS, [
        Task(
            "ViT of 4 blocks at 32×32, batch 128, AdamW", functools.partial(build, "vit-4", (3, 32, 32), 10),
            (128, 3, 32, 32), 1, adamw=True,
        ),
        Task(
            "GPT of 4 blocks, 64 texts of 128 characters, AdamW", functools.partial(build, "gpt-4", (128,), 70),
            (64, 128), 1, adamw=True, characters=70,
        ),
    ]),
    "imagenet": ({case: _SMALL[case] for case in _ON_IMAGENET}, [
        Task(
            "ResNet-18 at 224×224, batch 8, channels last",
            functools.partial(build, "resnet18", (3, 224, 224), 1000), (8, 3, 224, 224), 1, channels_last=True,
        ),
    ]),
}  # fmt: skip


def bench(name: str = "mnist", rounds: int = 20, memory: bool = True, threads: int | None = None) -> dict[str, Any]:
    """Milliseconds a step, samples a second, ratios to plain torch (wall and CPU time) and peak memory, per case.

    ``rounds``: how often every case has its turn. ``memory``: also measure peak memory (a fresh process per case on a
    CPU, a few seconds each). ``threads``: torch's, by default as they are.
    """
    if name not in BENCHES:
        raise unknown("bench", name, BENCHES)
    if rounds < 1:
        raise ConfigError(f"rounds {rounds}: at least 1")
    if threads is not None:
        torch.set_num_threads(whole("threads", threads, low=1, high=1024))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rules, tasks = BENCHES[name]
    machine = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    result: dict[str, Any] = {
        "bench": name, "machine": machine, "device": device, "torch": torch.__version__, "rounds": rounds,
        "threads": torch.get_num_threads(), "networks": {},
    }  # fmt: skip
    for task in tasks:
        rows = _times(task, rules, rounds, device)
        for case, row in rows.items() if memory else ():
            row["peak_mib"] = _peak_mib(name, task.title, case, device)
        result["networks"][task.title] = rows
    return result


def _times(task: Task, rules: dict[str, Rule | None], rounds: int, device: str) -> dict[str, dict[str, float]]:
    steps = {case: _stepper(task, rule, device) for case, rule in rules.items()}
    times: dict[str, list[tuple[float, float]]] = {case: [] for case in steps}
    order = list(steps)
    for i in range(rounds + 1):
        for case in order[i % len(order) :] + order[: i % len(order)]:
            times[case].append(_time(steps[case], task.steps, device))
    rows = {}
    for case, measured in times.items():
        pairs = list(zip(measured[1:], times["plain torch"][1:], strict=True))  # the first round warms up
        wall = statistics.median(mine for (mine, _), _ in pairs)
        rows[case] = {
            "ms": wall * 1e3, "samples_per_second": task.shape[0] / wall,
            "ratio": statistics.median(mine / plain for (mine, _), (plain, _) in pairs),
            "cpu_ratio": statistics.median(mine / plain for (_, mine), (_, plain) in pairs),
        }  # fmt: skip
    return rows


def _stepper(task: Task, rule: Rule | None, device: str) -> Callable[[], None]:
    x, y = torch.randn(task.shape, device=device), torch.randint(0, 10, task.shape[:1], device=device)
    if task.characters:
        x, y = (torch.randint(0, task.characters, task.shape, device=device) for _ in range(2))
    loss = token_loss if task.characters else nnf.cross_entropy
    net = task.make() if rule is None else convert(task.make(), rule, inplace=True, verbose=False)
    net.to(device)
    if task.channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer: torch.optim.Optimizer
    if task.adamw:
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    else:
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True)

    def step() -> None:
        train_step(net, optimizer, loss, x, y)

    return step


def _time(step: Callable[[], None], steps: int, device: str) -> tuple[float, float]:
    """Seconds a step: wall, and CPU time of this process."""
    if device == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def _peak_mib(name: str, title: str, case: str, device: str) -> float:
    """What three steps of the case need at most, network, feedback, gradients and activations together."""
    if device == "cuda":
        return _use_memory(name, title, case, device)
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process's peak never goes down again
        return pool.apply(_use_memory, (name, title, case, device))


def _use_memory(name: str, title: str, case: str, device: str) -> float:
    rules, tasks = BENCHES[name]
    (task,) = (t for t in tasks if t.title == title)
    nnf.linear(torch.ones(2, 2), torch.ones(2, 2))  # torch's own start is not the rule's
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = _resident_mib() if device == "cpu" else torch.cuda.memory_allocated() / 2**20
    step = _stepper(task, rules[case], device)
    for _ in range(3):
        step()
    return (_resident_mib() if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20) - before


def _resident_mib() -> float:
    """The largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux: what getrusage says there begins with the parent's peak
        high_water = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(high_water.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere


def format_result(result: dict[str, Any]) -> str:
    """The table as text."""
    lines = [f"{result['device']} ({result['machine']}), torch {result['torch']}, {result['threads']} threads"]
    for title, rows in result["networks"].items():
        lines += ["", f"{title:46s} ms/step  samples/s   ratio   CPU-time ratio   peak MiB"]
        for case, row in rows.items():
            peak = f"{row['peak_mib']:.0f}" if "peak_mib" in row else "–"
            lines.append(
                f"  {case:44s} {row['ms']:7.2f}  {row['samples_per_second']:9.0f}  {row['ratio']:6.2f}   "
                f"{row['cpu_ratio']:14.2f}   {peak:>8s}"
            )
    return "\n".join(
        [*lines, "", f"ratio: to plain torch, median of {result['rounds']} rounds in which cases take turns"]
    )


def write(result: dict[str, Any], path: Path) -> None:
    """The same as JSON."""
    write_text(path, json.dumps(result, indent=2) + "\n")

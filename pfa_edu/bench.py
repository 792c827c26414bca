"""What a training step of each rule costs, as a ratio to plain backprop, all measured in turn in one run."""

from __future__ import annotations

import itertools
import json
import platform
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn

from .convert import convert
from .models import mlp
from .rules import BP, DFA, FA, KP, PFA, SF, PFAo, Rule

CASES: list[tuple[str, Rule | None]] = [
    ("plain torch", None), ("BP", BP()), ("FA", FA()), ("SF", SF()), ("KP", KP()), ("DFA", DFA(outputs=10)),
    ("PFA closed, ratio 10", PFA(10, form="closed")), ("PFA closed, ratio 1000", PFA(1000, form="closed")),
    ("PFA explicit, ratio 10", PFA(10)), ("PFA-o closed", PFAo(form="closed")),
]  # fmt: skip


def _convnet() -> nn.Module:
    """Six 3×3 convolutions on 32×32 pictures, 32 to 64 channels."""
    sizes, parts = (3, 32, 32, 32, 64, 64, 64), []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        parts += [nn.Conv2d(a, b, 3, stride=2 if i == 3 else 1, padding=1), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def bench(rounds: int = 20) -> dict[str, Any]:
    """Milliseconds per step (median over interleaved rounds) and ratio to plain torch, per network and rule."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(), "device": device, "torch": torch.__version__,
        "threads": torch.get_num_threads(), "networks": {},
    }  # fmt: skip
    tasks = {
        "784-512-512-10, batch 64": (mlp, (64, 784), 20),
        "6 convolutions at 32×32, batch 128": (_convnet, (128, 3, 32, 32), 1),
    }
    for title, (make, shape, steps) in tasks.items():
        x, y = torch.randn(shape, device=device), torch.randint(0, 10, shape[:1], device=device)
        cases = {n: _stepper(make(), r, x, y, device) for n, r in CASES}
        times: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(rounds + 1):
            for name, step in cases.items():
                times[name].append(_time(step, steps, device))
        median = {name: statistics.median(t[1:]) * 1e3 for name, t in times.items()}  # the first round warms up
        plain = times["plain torch"]
        result["networks"][title] = {
            name: {"ms": median[name], "ratio": statistics.median(a / b for a, b in zip(t[1:], plain[1:], strict=True))}
            for name, t in times.items()
        }
    result["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def _stepper(net: nn.Module, rule: Rule | None, x: torch.Tensor, y: torch.Tensor, device: str):
    if rule is not None:
        net = convert(net, rule, inplace=True, verbose=False)
    net.to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        nnf.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


def _time(step, steps: int, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def format_result(result: dict[str, Any]) -> str:
    """The table as text."""
    lines = [f"{result['device']} ({result['machine']}), torch {result['torch']}, {result['threads']} threads"]
    for title, rows in result["networks"].items():
        lines += ["", f"{title:38s} ms/step   ratio to plain torch"]
        lines += [f"  {name:36s} {row['ms']:7.2f}   {row['ratio']:.2f}" for name, row in rows.items()]
    return "\n".join([*lines, "", f"peak memory of the whole process {result['peak_memory_mib']:.0f} MiB"])


def write(result: dict[str, Any], path: Path) -> None:
    """The same as JSON."""
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

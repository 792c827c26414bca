"""Several seeds of one experiment as one batch, each with its own folder, checkpoint and results as if run alone."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .._files import held
from ..errors import ConfigError, DivergenceError
from ..train import ranks as parallel
from ..train.checkpoint import load_checkpoint
from ..train.together import Together, train_together
from .experiments import Experiment

MOST_WEIGHTS = 300_000
"""R and F included. In a step of more, most of the time is arithmetic, and a batch saves little: see figures/bench."""


def run_seeds(
    experiment: Experiment, seeds: Iterable[int], progress: str = "auto", deadline: float | None = None
) -> list[Experiment]:
    """Runs ``experiment`` with each of ``seeds``, all as one batch: faster for a small network on a CPU.

    Each has its own folder, checkpoint and results, as its :meth:`Experiment.run` would leave them, up to rounding; one
    that was cut goes on in either way. Returns the experiments, with ``net`` and ``frame``.
    Raises ConfigError, with the reason, where seeds cannot share a batch: another optimiser than SGD, batch norm,
    dropout, a callback at every step. DivergenceError if one diverged; the others are then done and kept.

    >>> import pfa_edu as pe, torch
    >>> x, y = torch.randn(64, 8), torch.randint(3, (64,))
    >>> mine = pe.data.from_tensors("mine", train=(x, y), test=(x, y))
    >>> recipe = pe.Recipe(epochs=1, batch_size=16, lr=0.1)
    >>> e = pe.Experiment(lambda: pe.mlp((8, 16, 3)), mine, pe.FA(), recipe, out=None)
    >>> [run.seed for run in run_seeds(e, range(3), progress="none")]
    [0, 1, 2]
    """
    runs = [replace(experiment, seed=seed, net=None, frame=None) for seed in seeds]
    if not runs:
        raise ConfigError("run_seeds without a seed: there is nothing to run")
    for error in run_together(runs, progress, deadline).values():
        raise error
    return runs


def run_together(
    experiments: Sequence[Experiment], progress: str = "auto", deadline: float | None = None
) -> dict[int, DivergenceError]:
    """Runs what is left of each, and returns the errors of those that diverged, by their place.

    The experiments differ in their seed alone. A ConfigError, with the reason, where they cannot share a batch.
    """
    if not all(_differ_in_seed(experiments[0], other) for other in experiments[1:]):
        raise ConfigError("as one batch: the experiments have to be the same but for their seeds, which all differ")
    with contextlib.ExitStack() as stack:
        if stack.enter_context(parallel.join(str(experiments[0].device))).size > 1:
            raise ConfigError("several seeds as one batch are for one process: start it without torchrun")
        data = experiments[0].load()
        trainers, checkpoints, keeps = [], [], []
        for e in experiments:
            folder = None if e.folder is None else stack.enter_context(held(e.folder))
            trainer = e.trainer(data)
            keep = functools.partial(e.keep, trainer, folder)
            checkpoint = None if folder is None else folder / "checkpoint.pt"
            if checkpoint is not None and checkpoint.exists():
                trainer.resume(load_checkpoint(checkpoint), checkpoint.parent)
                keep()
            trainers.append(trainer)
            checkpoints.append(checkpoint)
            keeps.append(keep)
        try:
            return train_together(trainers, checkpoints, keeps, progress, deadline)
        finally:
            for e, trainer in zip(experiments, trainers, strict=True):
                e.look(trainer)


def shared(runs: dict[int, Experiment], jobs: int) -> list[list[int]]:
    """The runs by number, those together that are faster as one batch, in at least ``jobs`` parts if that can be."""
    groups: list[list[int]] = []
    for i, run in runs.items():
        same = next((group for group in groups if all(_differ_in_seed(run, runs[j]) for j in group)), None)
        if same is None:
            groups.append([i])
        else:
            same.append(i)
    pieces = -(-jobs // len(groups))  # of every group, rounded up
    parts = []
    for group in groups:
        size = -(-len(group) // pieces) if len(group) > 1 and _worth_it(runs[group[0]]) else 1
        parts += [group[k : k + size] for k in range(0, len(group), size)]
    return parts


def _differ_in_seed(one: Experiment, other: Experiment) -> bool:
    a, b = (replace(e, seed=0, out=None, net=None, frame=None) for e in (one, other))
    return one.seed != other.seed and a == b


def _worth_it(e: Experiment) -> bool:
    """Whether seeds of it can share a batch, and the network is as small as those that were measured to gain by it."""
    if e.device != "cpu":
        return False
    try:
        trainer = e.trainer(e.load())
        if sum(p.numel() for p in trainer.net.parameters()) > MOST_WEIGHTS:
            return False
        Together([trainer])
    except ConfigError:
        return False
    return True

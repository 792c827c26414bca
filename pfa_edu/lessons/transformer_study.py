"""Does a learning rule without weight transport train a transformer? The runs of that study, in order of importance.

A search of the learning rate comes first, equally large for every rule, on the validation part. Then every rule is run
at its best rate; then ways to align, the depth, and a longer training. All runs are resumable, so the study may be cut
at any moment and asked for again; what is done by then is in ``OUT/results.csv``.

>>> grid = search("gpt", out="out/t")
>>> len(grid), grid[0].run.folder.as_posix()
(45, 'out/t/search/lr=0.0001/bp/gpt-classroom/bp-seed100')
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .._files import write_csv
from ..errors import ConfigError, GridError, OutputError
from ..rules import BP, DFA, FA, KP, PFA, SF, PFAo, Rule, Soft
from ..runs import store
from ..runs.experiments import COLUMNS, Experiment
from ..runs.grid import run_grid
from ..runs.presets import experiment, preset
from ..train.noise_phase import NoiseAlignment

NETWORKS = ("gpt", "vit")
DEPTH = 4  # blocks, where depth is not the question
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
SEARCH_SEED = 100  # of no other run
SEARCH_EPOCHS = {"gpt": 2, "vit": 1}
SEARCHED = ("bp", "pfa", "pfa-o", "kp", "sf", "fa", "soft", "dfa", "frozen")  # the other arms take PFA's rate
_RULES: dict[str, Rule] = {
    "bp": BP(), "pfa": PFA(10), "pfa-o": PFAo(), "kp": KP(), "sf": SF(), "fa": FA(), "soft": Soft(), "dfa": DFA(),
    "frozen": BP(), "pfa-1": PFA(1), "pfa-3": PFA(3), "pfa-30": PFA(30),
}  # fmt: skip
MAIN = tuple(_RULES)
# How PFA is aligned: not at all beside the usual decay; more slowly; less; on noise before training; from the start.
# And what the strong decay itself does to a rule that needs none.
SCHEDULES = ("pfa-none", "pfa-slow", "pfa-half", "pfa-noise", "pfa-aligned", "bp-strong")
DEPTHS = (2, 8)
DEEP = ("bp", "pfa", "pfa-o", "kp", "sf", "fa", "dfa", "frozen")


@dataclass
class Run(Experiment):
    """A run that is not even built once its time is over: hundreds may be left then."""

    def run(self, progress: str = "auto", deadline: float | None = None) -> Experiment:
        if deadline is None or time.time() < deadline:
            return super().run(progress, deadline)
        before = store.results(self.kept_in, self, partial=True)
        self.frame = pd.DataFrame(columns=COLUMNS) if before is None else before
        return self


class Planned(NamedTuple):
    """A run and what it is for: part, network, arm, depth, learning rate."""

    run: Run
    about: dict[str, Any]


def search(network: str, rates: Iterable[float] | None = None, **place: Any) -> list[Planned]:
    """Short runs of every rule at every learning rate, by default ``RATES``."""
    epochs = SEARCH_EPOCHS[network] if place.get("scale", "classroom") != "smoke" else 1
    rates = RATES if rates is None else rates
    return [
        planned("search", network, arm, SEARCH_SEED, lr, epochs=epochs, **place) for lr in rates for arm in SEARCHED
    ]


def rest(
    best: Mapping[tuple[str, str], float], networks: Iterable[str] = NETWORKS, **place: Any
) -> list[Planned]:  # fmt: skip
    """Everything else, at the best learning rates: of (network, arm), as :func:`best_rates` gives them."""
    networks = list(networks)

    def part(name: str, arms: Iterable[str], seeds: Iterable[int], depth: int = DEPTH, **more: Any) -> list[Planned]:
        return [
            planned(name, network, arm, seed, best[network, rate_of(arm)], depth, **{**place, **more})
            for seed in seeds for network in networks for arm in arms
        ]  # fmt: skip

    longer: dict[str, Any] = {} if place.get("scale") == "smoke" else {"scale": "evening"}
    return [
        *part("main", MAIN, [0, 1, 2]),
        *part("schedule", SCHEDULES, [0]),
        *(run for depth in DEPTHS for run in part("depth", DEEP, [0], depth)),
        *part("evening", MAIN[:8], [0], **longer),
        *part("schedule", SCHEDULES, [1, 2]),
        *(run for depth in DEPTHS for run in part("depth", DEEP, [1, 2], depth)),
        *part("evening", MAIN[8:], [0], **longer),
    ]


def rate_of(arm: str) -> str:
    """The arm whose learning rate it takes: its own where it has been searched, else its rule's."""
    return arm if arm in SEARCHED else arm.split("-")[0]


def planned(
    part: str, network: str, arm: str, seed: int, lr: float, depth: int = DEPTH, *, scale: str = "classroom",
    out: str | Path = "out/transformers", epochs: int | None = None, **place: Any,
) -> Planned:  # fmt: skip
    """One run of the study."""
    chosen, smoke = preset(network, scale), scale == "smoke"
    steps = (chosen.subset or {"gpt": 8_192, "vit": 45_000}[network]) // chosen.recipe.batch_size
    settings: dict[str, Any] = {"epochs": epochs or chosen.recipe.epochs, "lr": lr}
    settings["warm_up"] = max(1, settings["epochs"] * steps // 10)
    name = f"{network}-{depth}-{48 if network == 'gpt' else 32}" if smoke else f"{network}-{depth}"
    rule = _RULES.get(arm) or _RULES[rate_of(arm)]
    if arm == "frozen":  # all that lies below the last block
        below = ["positions", "embed" if network == "vit" else "table"]
        settings["frozen"] = [*below, *(f"blocks.{i}" for i in range(depth - 1))]
    if arm in ("pfa-none", "pfa-noise", "pfa-aligned"):
        settings["strong_steps"] = 0
    if arm == "pfa-noise":
        settings["callbacks"] = (NoiseAlignment(),)
    if arm == "pfa-aligned":
        rule = PFA(10, init="aligned")
    if arm == "pfa-slow":
        settings["strong_steps"] = 3 * settings["warm_up"]
    if arm in ("pfa-half", "bp-strong"):  # PFA's own phase, at half its decay, and for backprop
        its = experiment(network, PFA(10), seed, scale, **settings).recipe
        settings["strong_steps"] = its.strong_steps
        settings["strong_decay"] = its.strong_decay / (2 if arm == "pfa-half" else 1)
    words = [part, *([f"depth={depth}"] if part == "depth" else []), f"lr={lr:g}", arm]
    made = experiment(network, rule, seed, scale, network=name, out=Path(out, *words), **settings, **place)
    run = Run(**{field.name: getattr(made, field.name) for field in fields(made)})
    return Planned(run, {"part": part, "network": network, "arm": arm, "depth": depth, "lr": lr})


def results(grid: Iterable[Planned]) -> pd.DataFrame:
    """The tidy frame of all runs of ``grid`` that are done, with what each is for in its first columns."""
    frames = []
    for run, about in grid:
        try:
            record = store.read(run.kept_in)
        except OutputError:
            continue
        if record and record["state"] == "done" and record["identity"] == store.identity(run):
            frames.append(store.frame(record).assign(**about))
    columns = ["part", "network", "arm", "depth", "lr", "rule", "seed", "epoch", "layer", "metric", "value"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def of_part(frame: pd.DataFrame, network: str, part: str = "main", depth: int | None = None) -> pd.DataFrame:
    """One network's runs of one part as figures take them: each arm has a label of its own.

    All of PFA is in its coupled form here, so that is not said. 'frozen' is backprop, all but the last block frozen.
    """
    rows = frame[(frame["network"] == network) & (frame["part"] == part)]
    rows = rows if depth is None else rows[rows["depth"] == depth]
    plain = rows["rule"].str.replace(" form=coupled", "", regex=False)
    own = rows["arm"].isin(["frozen", *SCHEDULES])
    return rows.assign(rule=plain.where(~own, rows["arm"]))


def search_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Validation loss after the search's last epoch: a row for each network and arm, a column for each rate, the best.

    A run that diverged has none. At the scale 'smoke' the vision transformer has no validation part, and the test part
    stands for it.
    """
    rows = frame[(frame["part"] == "search") & frame["value"].notna()]
    validated = rows.loc[rows["metric"] == "validation_loss", "network"].unique()
    metric = rows["network"].map(lambda name: "validation_loss" if name in validated else "test_loss")
    rows = rows[rows["metric"] == metric]
    if rows.empty:
        raise ConfigError("no run of the search is done, so there is no best learning rate yet")
    rows = rows[rows["epoch"] == rows.groupby(["network", "arm", "lr"])["epoch"].transform("max")]
    wide = rows.pivot_table(index=["network", "arm"], columns="lr", values="value", sort=False)
    wide["best"] = wide.idxmin(axis=1)
    return wide.reset_index().rename_axis(columns=None)


def best_rates(frame: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The learning rate of the lowest validation loss, by (network, arm)."""
    table = search_table(frame)
    return {(row["network"], row["arm"]): float(row["best"]) for row in table.to_dict("records")}


def study(
    out: str | Path = "out/transformers", minutes: float | None = None, jobs: int = 1,
    networks: Iterable[str] = NETWORKS, **place: Any,
) -> pd.DataFrame:  # fmt: skip
    """Runs what is missing, for so many ``minutes``, and returns all that is done; OUT/search.csv and OUT/results.csv.

    ``place``: scale, device, engine, precision, data_root, as an experiment takes them.
    """
    end, networks = None if minutes is None else time.time() + 60 * minutes, list(networks)
    grid = [run for network in networks for run in search(network, out=out, **place)]
    _run(grid, jobs, end)
    found = results(grid)
    if found.empty:
        return found
    write_csv(search_table(found), Path(out, "search.csv"))
    missing = {(n, a) for n in networks for a in SEARCHED} - best_rates(found).keys()
    if missing:
        print(f"the search is not complete, {len(missing)} of the arms have no run yet: ask again to go on", flush=True)
    else:
        after = rest(best_rates(found), networks, out=out, **place)
        _run(after, jobs, end)
        grid += after
    found = results(grid)
    write_csv(found, Path(out, "results.csv"))
    return found


def _run(grid: list[Planned], jobs: int, end: float | None) -> None:
    """A run that diverges is a result: it is told, and the others go on."""
    left = None if end is None else (end - time.time()) / 60
    if left is not None and left <= 0:
        return
    try:
        run_grid([run for run, _ in grid], jobs=jobs, minutes=left)
    except GridError as error:
        print(error, flush=True)

"""The command line: pfa-edu run, reproduce, sweep, bench, list.

Exit codes: 0 done, 1 an error that is explained, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from . import __version__, data, experiments, grid, store
from .errors import PfaEduError
from .rules import RULES, rule
from .sweep import plan, read_toml, sweep

EXAMPLES = """examples:
  pfa-edu run mnist --rule pfa --seed 0 --scale paper     one training run; the same command again goes on
  pfa-edu run mnist --rule pfa --ratio 100 --scale classroom
  pfa-edu reproduce mnist --scale classroom --seeds 3 --out out/mnist
  pfa-edu sweep examples/sweep.toml --jobs 2              a grid; the same command again runs what is missing
  pfa-edu bench
  pfa-edu list
"""


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        return args.command(args)
    except PfaEduError as error:
        print(f"pfa-edu: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("pfa-edu", description=__doc__, epilog=EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train one rule with one seed", epilog=EXAMPLES, formatter_class=raw)
    run.add_argument("experiment", help=f"one of {', '.join(experiments.EXPERIMENTS)}")
    run.add_argument("--rule", required=True, help=f"one of {', '.join(RULES)}")
    run.add_argument("--ratio", type=float, help="PFA: mid neurons per output neuron (default 10)")
    run.add_argument("--density", type=float, help="fraction of feedback synapses that exist (default 1)")
    run.add_argument("--kind", help="SF: uniform, fixed or batch")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--scale", default="classroom", help=", ".join(experiments.SCALES))
    run.add_argument("--dataset", help=", ".join(data.NAMES))
    run.add_argument("--epochs", type=int)
    run.add_argument("--device", help="cpu or cuda (default: a GPU where there is one)")
    run.add_argument("--out", default="runs", help="folder of runs (default: runs)")
    run.set_defaults(command=_run)

    reproduce = commands.add_parser(
        "reproduce", help="the paper's figures: a grid of rules and seeds", epilog=EXAMPLES, formatter_class=raw
    )
    reproduce.add_argument("experiment", help=f"one of {', '.join(experiments.EXPERIMENTS)}")
    reproduce.add_argument("--scale", default="classroom", help=", ".join(experiments.SCALES))
    reproduce.add_argument("--rules", default=",".join(RULES), help="comma-separated (default: all seven)")
    reproduce.add_argument("--seeds", type=int, default=1, help="how many seeds, from 0 (default 1)")
    reproduce.add_argument("--ratio", type=float, default=10)
    reproduce.add_argument("--dataset", help=", ".join(data.NAMES))
    reproduce.add_argument("--jobs", type=int, default=1, help="runs at a time, in processes of one thread each")
    reproduce.add_argument(
        "--out", default="out", help="folder for notebook, page, figures, results.csv (default: out)"
    )
    reproduce.set_defaults(command=_reproduce)

    sweep_ = commands.add_parser(
        "sweep", help="a grid of experiments, rules, knobs and seeds", epilog=EXAMPLES, formatter_class=raw
    )
    sweep_.add_argument("file", metavar="FILE.toml", help="the grid; examples/sweep.toml shows all that it can say")
    sweep_.add_argument("--out", help="folder of the runs and results.csv (default: the file's, else out/FILE)")
    sweep_.add_argument("--jobs", type=int, help="runs at a time on this machine (default: one for each core)")
    sweep_.add_argument("--threads", type=int, help="of torch in each run (default 1)")
    sweep_.add_argument("--backend", help=f"{', '.join(grid.BACKENDS)} (default: loky, processes of this machine)")
    sweep_.add_argument("--scheduler", metavar="ADDRESS", help="of the dask scheduler or the ray cluster")
    sweep_.add_argument("--list", action="store_true", help="only show the runs, and which are done")
    sweep_.set_defaults(command=_sweep)

    bench_ = commands.add_parser("bench", help="a step of every rule against plain backprop")
    bench_.add_argument("--json", type=Path, help="also write the table there")
    bench_.add_argument("--rounds", type=int, default=20, help="interleaved rounds of timing (default 20)")
    bench_.set_defaults(command=_bench)

    commands.add_parser("list", help="experiments, scales, rules, datasets").set_defaults(command=_list)
    return parser


def _run(args: argparse.Namespace) -> int:
    knobs = {k: getattr(args, k) for k in ("ratio", "density", "kind") if getattr(args, k) is not None}
    changes = {} if args.epochs is None else {"epochs": args.epochs}
    e = experiments.experiment(
        args.experiment, rule(args.rule, **knobs), args.seed, args.scale,
        dataset=args.dataset, out=args.out, device=args.device, **changes,
    ).run()  # fmt: skip
    last = e.frame[e.frame.epoch == e.frame.epoch.max()]
    print(last.to_string(index=False, float_format="{:.4g}".format))
    print(f"kept in {e.folder}")
    return 0


def _reproduce(args: argparse.Namespace) -> int:
    import pandas as pd  # here, as below: the other commands need not wait for matplotlib and papermill

    from . import figures, lesson, published

    names = [name.strip() for name in args.rules.split(",") if name.strip()]
    for name in names:
        rule(name)
    if args.seeds < 1:
        raise experiments.ConfigError(f"--seeds {args.seeds}: how many, at least 1")
    dataset = args.dataset or experiments.preset(args.experiment, args.scale).dataset
    out = Path(args.out).resolve()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("papermill", "papermill.translators"):
        logging.getLogger(noisy).setLevel(logging.WARNING if noisy.endswith("s") else logging.INFO)
    parameters = {
        "dataset": dataset, "scale": args.scale, "rules": names, "seeds": args.seeds, "ratio": args.ratio,
        "out": str(out), "jobs": args.jobs,
    }  # fmt: skip
    notebook, page = lesson.execute(args.experiment, out, parameters)
    frame = pd.read_csv(out / "results.csv")
    curves = published.curves(args.experiment) if dataset == args.experiment else None
    print()
    print(figures.format_table(figures.table(frame, curves)))
    print(f"\nnotebook  {notebook}\npage      {page}\nresults   {out / 'results.csv'}")
    for figure in sorted(out.glob("*.png")):
        print(f"figure    {figure} (and .svg)")
    return 0


def _sweep(args: argparse.Namespace) -> int:
    how = ("jobs", "threads", "backend", "scheduler")
    given = read_toml(args.file)
    given |= {name: getattr(args, name) for name in ("out", *how) if getattr(args, name) is not None}
    if args.list:
        for run in plan(**{name: value for name, value in given.items() if name not in how}):
            print(f"{'done' if store.results(run.folder, run) is not None else 'to do':6s} {run.folder}")
        return 0
    sweep(**given)
    print(f"results {Path(given['out']) / 'results.csv'}")
    return 0


def _bench(args: argparse.Namespace) -> int:
    from . import bench

    result = bench.bench(rounds=args.rounds)
    print(bench.format_result(result))
    if args.json:
        bench.write(result, args.json)
    return 0


def _list(args: argparse.Namespace) -> int:
    for title, names in [
        ("experiments", experiments.EXPERIMENTS), ("scales", experiments.SCALES), ("rules", RULES),
        ("datasets", data.NAMES),
    ]:  # fmt: skip
        print(f"{title:12s} {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

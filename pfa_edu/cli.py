"""The command line: pfa-edu run, reproduce, lessons, app, sweep, bench, list.

Exit codes: 0 done, 1 an error that is explained, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import __version__, data
from ._settings import whole
from .errors import ConfigError, PfaEduError, unknown
from .rules import known_rules, rule
from .runs import presets, report, store
from .runs.backends import BACKENDS
from .runs.sweeps import HOW, plan, read_toml, sweep
from .train import execution as stepping
from .train import ranks as parallel
from .train.recipe import FIELDS as RECIPE

EXAMPLES = {
    "run": """
  pfa-edu run mnist --rule pfa --seed 0 --scale paper     one training run; the same command again goes on
  pfa-edu run mnist --rule pfa --ratio 100
  torchrun --nproc-per-node 2 -m pfa_edu run cifar10 --rule pfa --scale paper    one run, by two processes
  pfa-edu run imagenet --rule pfa --data-root DIR --precision bf16 --scale paper     DIR: train/CLASS/*, val/CLASS/*""",
    "reproduce": """
  pfa-edu reproduce mnist --seeds 3 --jobs 2 --out out/mnist
  pfa-edu reproduce sparse --seeds 3 --jobs 2 --out out/sparse
  pfa-edu reproduce cifar10 --scale paper --rules bp,pfa --minutes 60 --out out/cifar10   again: goes on""",
    "lessons": """
  pfa-edu lessons my-lessons                              the notebooks, to open in JupyterLab
  pfa-edu lessons out/lessons --run exercises             executed without a screen: notebook and HTML page
  pfa-edu lessons out/student --student                   for a class: no solutions; --instructor: with them
  pfa-edu lessons out/slides --slides transport           executed, as slides that need no network""",
    "sweep": """
  pfa-edu sweep examples/sweep.toml --jobs 2              a grid; the same command again runs what is missing""",
    "app": """
  pfa-edu app                                             opens the page; needs neither a server nor a network""",
    "bench": """
  pfa-edu bench
  pfa-edu bench cifar10 --rounds 10 --json bench.json""",
}


# What `reproduce` makes, and the experiment whose runs it is made of; the notebook has the first in its file name.
FIGURES = {"mnist": "mnist", "cifar10": "cifar10", "sparse": "sparse", "relatives": "mnist"}


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    try:
        if args.command is _run:
            args.knobs = _knobs(args.rule, rest)
        elif rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        if parallel.launched() and args.command is not _run:
            raise ConfigError("torchrun is for 'run' alone: several processes train one network together")
        return args.command(args)
    except PfaEduError as error:
        who = f"pfa-edu (rank {parallel.rank()})" if parallel.launched() else "pfa-edu"
        print(f"{who}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("pfa-edu", description=__doc__, epilog=_examples(*EXAMPLES), formatter_class=raw)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=_examples(name), formatter_class=raw
        )

    run = add("run", "train one rule with one seed")
    run.add_argument("experiment", help=f"{', '.join(presets.EXPERIMENTS)}, or module:function of your own")
    run.add_argument(
        "--rule", required=True,
        help=f"{', '.join(known_rules())}, or module:Class; its knobs are flags: {_knobs_help()}",
    )  # fmt: skip
    run.add_argument("--seed", type=int, default=0, help="of first weights, feedback and batches (default 0)")
    run.add_argument("--scale", help=_SCALES)
    run.add_argument("--dataset", help=", ".join(data.NAMES))
    run.add_argument("--data-root", metavar="DIR", help="where the data is; imagenet: a folder with train/ and val/")
    run.add_argument("--workers", type=int, help="imagenet: processes that read pictures (default: one a core, to 8)")
    for name in RECIPE:
        run.add_argument(_flag(name), type=_value, metavar="VALUE", help="the recipe's, in place of the scale's")
    run.add_argument("--optimizer", help="SGD (default), another of torch.optim, or module:Class")
    run.add_argument("--frozen", type=_value, help="lower layers that keep their initial values: how many, or names")
    _execution(run)
    run.add_argument("--out", default="runs", help="folder of runs: OUT/EXPERIMENT-SCALE/RULE-SEED (default: runs)")
    run.set_defaults(command=_run)

    reproduce = add("reproduce", "the paper's figures: a grid of rules and seeds, through its notebook")
    reproduce.add_argument("figure", help=f"one of {', '.join(FIGURES)}")
    reproduce.add_argument("--scale", default="classroom", help=_SCALES)
    reproduce.add_argument("--rules", help="comma-separated (default: the notebook's)")
    reproduce.add_argument("--seeds", type=int, default=1, help="how many seeds, from 0 (default 1)")
    reproduce.add_argument("--ratio", type=float, help="PFA: mid neurons per output neuron (default 10)")
    reproduce.add_argument("--dataset", help=", ".join(data.NAMES))
    reproduce.add_argument("--jobs", type=int, default=1, help="runs at a time, in processes of one thread each")
    reproduce.add_argument("--minutes", type=float, help="begin no epoch after so many; the same command goes on")
    _execution(reproduce)
    reproduce.add_argument(
        "--out", default="out", help="folder for notebook, page, figures, results.csv (default: out)"
    )
    reproduce.set_defaults(command=_reproduce)

    lessons = add("lessons", "copy the notebooks out, execute them, or make slides and class versions of them")
    lessons.add_argument("folder", metavar="DIR", type=Path, help="folder that they are written to")
    how = lessons.add_mutually_exclusive_group()
    how.add_argument(
        "--run", nargs="*", metavar="NAME",
        help="execute those whose file name contains NAME (all without one); quickly, where they have a scale",
    )  # fmt: skip
    how.add_argument(
        "--slides", nargs="*", metavar="NAME", help="execute them and write reveal.js slides; NAME as above"
    )
    how.add_argument("--student", action="store_true", help="the lessons without solutions and speaker notes")
    how.add_argument("--instructor", action="store_true", help="with every solution behind its exercise, plan and quiz")
    how.add_argument("--handout", action="store_true", help="the symbols on one page, as PDF")
    lessons.add_argument("--force", action="store_true", help="move files that are in the way to another name")
    lessons.set_defaults(command=_lessons)

    app = add("app", "open the playground: a page that trains a small network in the browser")
    app.add_argument("--print", dest="only_print", action="store_true", help="only say which file it is")
    app.set_defaults(command=_app)

    sweep_ = add("sweep", "a grid of experiments, rules, knobs and seeds")
    sweep_.add_argument("file", metavar="FILE.toml", help="the grid; examples/sweep.toml shows all that it can say")
    sweep_.add_argument("--out", help="folder of the runs and results.csv (default: the file's, else out/FILE)")
    sweep_.add_argument("--jobs", type=int, help="runs at a time on this machine (default: one for each core)")
    sweep_.add_argument("--threads", type=int, help="of torch in each run (default 1)")
    sweep_.add_argument("--minutes", type=float, help="begin no epoch after so many; the same command goes on")
    sweep_.add_argument("--backend", help=f"{', '.join(BACKENDS)} (default: loky, processes of this machine)")
    sweep_.add_argument("--scheduler", metavar="ADDRESS", help="of the dask scheduler")
    sweep_.add_argument(
        "--no-wait", dest="wait", action="store_false", default=None,
        help="end when only runs are left that other processes of the same sweep have",
    )  # fmt: skip
    sweep_.add_argument("--list", action="store_true", help="only show the runs, and how far each is")
    sweep_.set_defaults(command=_sweep)

    bench_ = add("bench", "a step of every rule against plain backprop")
    bench_.add_argument("name", nargs="?", default="mnist", help=f"{', '.join(_BENCHES)} (default mnist)")
    bench_.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    bench_.add_argument("--threads", type=int, help="torch's threads (default: as they are)")
    bench_.add_argument("--json", type=Path, help="also write the table there")
    bench_.add_argument("--rounds", type=int, default=20, help="interleaved rounds of timing (default 20)")
    bench_.set_defaults(command=_bench)

    commands.add_parser("list", help="experiments, figures, scales, rules, datasets").set_defaults(command=_list)
    return parser


_SCALES = "smoke (seconds), classroom (minutes; the default), evening (cifar10: hours), paper (the paper's settings)"


_BENCHES = ("mnist", "cifar10", "adamw", "transformers", "imagenet", "seeds")


def _examples(*names: str) -> str:
    return "examples:" + "".join(EXAMPLES[name] for name in names)


def _execution(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", help="cpu or cuda (default: a GPU where there is one)")
    command.add_argument("--engine", choices=stepping.ENGINES, help="default eager; graph: CUDA graphs, on a GPU")
    command.add_argument("--precision", choices=stepping.PRECISIONS, help="default float32")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _value(text: str) -> Any:
    """What a flag says, as Python would: a number, a list of them (2,3), true or false, else the text itself."""
    if "," in text:
        return [_value(part) for part in text.split(",") if part]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _knobs_help() -> str:
    return "; ".join(f"{n} {' '.join(map(_flag, c.knobs()))}" for n, c in known_rules().items() if c.knobs())


def _knobs(name: str, rest: list[str]) -> dict[str, Any]:
    """The knobs of the rule among the arguments that the command itself does not know."""
    parser = argparse.ArgumentParser(f"pfa-edu run --rule {name}", add_help=False, allow_abbrev=False)
    for knob in type(rule(name)).knobs():
        parser.add_argument(_flag(knob), type=_value, default=argparse.SUPPRESS)
    return vars(parser.parse_args(rest))


def _run(args: argparse.Namespace) -> int:
    if args.experiment in FIGURES and args.experiment not in presets.EXPERIMENTS:
        raise ConfigError(f"{args.experiment} is a figure of many runs: pfa-edu reproduce {args.experiment}")
    names = ("dataset", "out", "device", "engine", "precision", "data_root", "workers", "optimizer", "frozen", *RECIPE)
    settings = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    e = presets.experiment(args.experiment, rule(args.rule, **args.knobs), args.seed, args.scale, **settings).run()
    if parallel.rank():  # the first one tells
        return 0
    print(f"\n{report.of_run(e.frame)}\n")
    print(f"kept in {e.folder}")
    return 0


def _reproduce(args: argparse.Namespace) -> int:
    from .lessons import notebooks as lesson

    if args.figure not in FIGURES:
        raise unknown("figure", args.figure, FIGURES)
    for name in ("seeds", "jobs"):
        whole(f"--{name}", getattr(args, name), low=1)
    dataset = args.dataset or presets.preset(FIGURES[args.figure], args.scale).dataset
    if dataset not in data.NAMES:
        raise unknown("dataset", dataset, data.NAMES)
    out = Path(args.out).resolve()
    parameters = {
        "dataset": dataset, "scale": args.scale, "seeds": args.seeds, "out": str(out), "jobs": args.jobs
    }  # fmt: skip
    if "train" in lesson.parameters(args.figure):  # a lesson that opens on the results of real runs
        parameters["train"] = True
    if args.rules is not None:
        parameters["rules"] = [name.strip() for name in args.rules.split(",") if name.strip()]
        for name in parameters["rules"] if args.figure in presets.EXPERIMENTS else ():
            rule(name)
    for name in ("ratio", "minutes", "device", "engine", "precision"):
        if getattr(args, name) is not None:
            parameters[name] = getattr(args, name)
    notebook, page = lesson.execute(args.figure, out, parameters, watch=True)
    print(f"\nnotebook  {notebook}\npage      {page}\nresults   {out / 'results.csv'}")
    for figure in sorted(out.glob("*.png")):
        print(f"figure    {figure} (and .svg)")
    return 0


def _lessons(args: argparse.Namespace) -> int:
    from .lessons import notebooks as lesson

    if args.run is not None:
        lesson.execute_all(args.folder.resolve(), args.run, args.force)
        return 0
    if args.slides is not None:
        from .lessons.slides import deck

        deck.write_decks(args.folder.resolve(), args.slides, args.force)
        return 0
    if args.handout:
        from .lessons import handout

        done = handout.write_handout(args.folder, args.force)
    elif args.student or args.instructor:
        from .lessons import versions

        done = versions.write_version(args.folder, args.instructor, args.force)
    else:
        done = lesson.copy(args.folder, args.force)
    for path, what in done.items():
        note = " (the one that was there keeps its content under another name)" if what == "replaced" else ""
        print(f"{what:9s} {path}{note}")
    if args.handout:
        return 0
    print(f"open them: jupyter lab --notebook-dir={args.folder}")
    return 0


def _app(args: argparse.Namespace) -> int:
    from . import web

    print(web.page_path() if args.only_print else f"opened {web.open_page()}")
    return 0


def _sweep(args: argparse.Namespace) -> int:
    given = read_toml(args.file)
    given |= {name: getattr(args, name) for name in ("out", *HOW) if getattr(args, name) is not None}
    if args.list:
        for run in plan(**{name: value for name, value in given.items() if name not in HOW}):
            print(f"{store.told(run.kept_in, run):14s} {run.folder}")
        return 0
    frame = sweep(**given)
    if len(frame):
        print(f"\n{report.of_sweep(frame)}\n")
    print(f"results {Path(given['out']) / 'results.csv'}")
    return 0


def _bench(args: argparse.Namespace) -> int:
    from .runs import bench_seeds, benchmark

    if args.name == "seeds":
        result = bench_seeds.bench(args.rounds, args.threads)
        print(bench_seeds.format_result(result))
    else:
        result = benchmark.bench(args.name, args.rounds, not args.no_memory, args.threads)
        print(benchmark.format_result(result))
    if args.json:
        benchmark.write(result, args.json)
    return 0


def _list(args: argparse.Namespace) -> int:
    lists: list[tuple[str, Iterable[str]]] = [
        ("experiments", presets.EXPERIMENTS), ("figures", FIGURES), ("scales", presets.SCALES),
        ("rules", known_rules()), ("datasets", data.NAMES),
        ("benches", _BENCHES),
    ]  # fmt: skip
    for title, names in lists:
        print(f"{title:12s} {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

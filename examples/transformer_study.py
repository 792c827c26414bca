"""The study of learning rules in transformers: one command, to be cut at any moment, that goes on when asked again.

    python examples/transformer_study.py --out out/transformers --jobs 2
    python examples/transformer_study.py --out out/transformers --jobs 14 --minutes 6.5 --engine graph --precision tf32
    python examples/transformer_study.py --out out/transformers --minutes 0      # only collect what is done
    python examples/transformer_study.py --figures figures/gpt                   # draw what FOLDER/results.csv holds

OUT/search.csv: the search of the learning rate. OUT/results.csv: every run that is done, tidy. Each run's own results
are in a folder of its own, metrics.csv. `--scale smoke` shows in a few minutes on a CPU that nothing is missing.
"""

import argparse

from pfa_edu.lessons import transformer_figures, transformer_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out/transformers", help="folder of the runs and of the two tables")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, in processes of one thread each")
    parser.add_argument("--minutes", type=float, help="begin no epoch after so many")
    parser.add_argument("--networks", default="gpt,vit", help="comma-separated")
    for name in ("scale", "device", "engine", "precision", "data-root"):
        parser.add_argument(f"--{name}", help="as `pfa-edu run` takes it")
    parser.add_argument("--figures", metavar="FOLDER", help="run nothing: draw the figures of FOLDER/results.csv there")
    folder = parser.parse_args().figures
    if folder is not None:
        print(*transformer_figures.draw_all(folder), sep="\n")
        return
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    found = transformer_study.study(**{**given, "networks": given["networks"].split(",")})
    done = found.drop_duplicates(["part", "network", "arm", "depth", "lr", "seed"])
    print(done.groupby(["part", "network"], sort=False).size().to_string() if len(done) else "no run is done yet")


if __name__ == "__main__":
    main()

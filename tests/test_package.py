"""The package's shape: imports run one way, no module hides behind a function of its name, and all of it is packed."""

import ast
import importlib
import importlib.metadata
import os
import pkgutil
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import pfa_edu as pe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PACKAGE = Path(pe.__file__).parent

# The rooms, lowest first: a module may import from its own room and from those below it.
ROOMS = [
    "errors", "_settings", "_files", "rules", "nn", "measure", "data", "train", "runs", "plots",
    "web", "lessons", "cli",
]  # fmt: skip
MODULES = sorted(m.name for m in pkgutil.walk_packages([str(PACKAGE)], "pfa_edu.") if not m.name.endswith("__main__"))


def imported(path, module):
    """The full names of what the file at ``path`` imports from pfa_edu, with line numbers; not for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for line in test.body
        for node in ast.walk(line)
    }
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *base.split(".")]).strip(".")
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def height(name):
    """The place of a name's room in the order; None for what is not pfa_edu's.

    A name of the package itself, such as pfa_edu.convert, counts as a run: ``pfa_edu/__init__.py`` imports them.
    """
    first, *rest = name.split(".")
    if first != "pfa_edu" or rest == ["__version__"]:
        return None
    return ROOMS.index(rest[0]) if rest and rest[0] in ROOMS else ROOMS.index("runs")


def upward(path, module):
    """The imports in ``path`` of what lies above the module's own room."""
    return [
        f"{path.name}:{line} {name}" for name, line in imported(path, module) if (height(name) or 0) > height(module)
    ]


def test_every_room_is_in_the_order():
    top = {m.name for m in pkgutil.iter_modules([str(PACKAGE)])} - {"__main__"}
    assert top == set(ROOMS)


def file_of(module):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    assert upward(file_of(module), module) == []


SPELLINGS = [
    ("from ..train.step import train_step", ["pfa_edu.train.step.train_step"]),
    ("from .. import plots", ["pfa_edu.plots"]),
    ("from .. import convert", ["pfa_edu.convert"]),
    ("import pfa_edu.cli as c", ["pfa_edu.cli"]),
    ("from pfa_edu import runs", ["pfa_edu.runs"]),
    ("def f():\n    from ..lessons import kin", ["pfa_edu.lessons.kin"]),
    ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..cli import main", []),
    ("from . import functional\nfrom ..rules import PFA\nfrom ..errors import unknown\nfrom .. import __version__", []),
]


@pytest.mark.parametrize(("code", "found"), SPELLINGS)
def test_an_upward_import_is_seen(tmp_path, code, found):
    path = tmp_path / "new.py"
    path.write_text(code, encoding="utf-8")
    assert [line.split(" ")[1] for line in upward(path, "pfa_edu.nn.new")] == found


def test_no_module_shares_its_name_with_a_public_function():
    """``import pfa_edu.plots.x`` then gives the module, and what a name means does not hang on what was imported."""
    modules = {name: importlib.import_module(name) for name in MODULES}
    packages = [pe, *(m for m in modules.values() if hasattr(m, "__path__"))]
    exported = {k for p in packages for k, v in vars(p).items() if callable(v) and not k.startswith("_")}
    shared = []
    for name, module in modules.items():
        parent, _, own = name.rpartition(".")
        if own in exported or callable(vars(module).get(own)):
            shared.append(name)
        assert getattr(importlib.import_module(parent), own) is module
    assert shared == []
    assert not {name.rpartition(".")[2] for name in MODULES} & {n for n in pe.__all__ if callable(getattr(pe, n))}


def test_everything_public_is_there():
    assert sorted(set(pe.__all__)) == sorted(pe.__all__)
    assert all(hasattr(pe, name) for name in pe.__all__)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    to = tmp_path_factory.mktemp("sdist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(to)], cwd=ROOT, check=True)
    (path,) = to.glob("*.tar.gz")
    return path


@pytest.mark.slow
def test_the_sdist_is_complete(sdist):
    with tarfile.open(sdist) as packed:
        files = {name.partition("/")[2] for name in packed.getnames()}
    wanted = {
        "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", ".ci/run",
        "constraints.txt", "environment.yml", "pyproject.toml", "pfa_edu/py.typed", "docs/sweeps.md",
        "examples/sweep.toml", "figures/mnist/results.csv", "notebooks/03_mnist.ipynb", "tests/test_package.py",
        "tests/browser/conftest.py", "pfa_edu/plots/reference/mnist_mlp_accuracy.csv",
    }  # fmt: skip
    assert wanted <= files
    if (ROOT / ".git").exists():
        git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert {name for name in git.stdout.splitlines() if (ROOT / name).exists()} <= files
    assert not [name for name in files if re.search(r"(^|/)(\.venv|__pycache__|out|runs/.*-seed\d+)/", name)]


@pytest.mark.slow
def test_a_wheel_from_the_sdist_has_types_results_and_the_version(sdist, tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(sdist)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"pfa_edu-{pe.__version__}-")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    assert (site / "pfa_edu" / "py.typed").exists()
    code = (
        "import importlib.metadata, pfa_edu; from pfa_edu.lessons.results import committed;"
        "print(pfa_edu.__file__, importlib.metadata.version('pfa-edu'), pfa_edu.__version__, len(committed('mnist')))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True,
        text=True, check=True,
    ).stdout.split()  # fmt: skip
    rows = len((ROOT / "figures/mnist/results.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert told == [str(site / "pfa_edu" / "__init__.py"), pe.__version__, pe.__version__, str(rows)]


def test_the_version_stands_in_one_place():
    """An editable install, as a wheel, takes it from ``pfa_edu/__init__.py``; after a change, install again."""
    assert importlib.metadata.version("pfa-edu") == pe.__version__
    for name in ("pyproject.toml", "CITATION.cff"):
        assert not re.search(r"^version\b", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[?(.+?)\]?(?: - .*)?$", changes, re.MULTILINE)[:2] == ["Unreleased", pe.__version__]


def test_the_citation_names_the_paper():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cff["cff-version"], cff["type"], cff["license"]) == ("1.2.0", "software", "MIT")
    assert cff["authors"] == [{"name": "The pfa_edu authors"}]
    (paper,) = cff["references"]
    assert paper["title"] == "Deep Learning without Weight Symmetry"
    assert paper["identifiers"][0]["value"] == "arXiv:2405.20594"
    assert [author["family-names"] for author in paper["authors"]] == ["Ji-An", "Benna"]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.14"])
def test_every_dependency_has_one_pin(python):
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    asked = [Requirement(r) for r in sum(project["optional-dependencies"].values(), project["dependencies"])]
    names = {r.name.replace("_", "-") for r in asked if r.name != "pfa-edu"}
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [Requirement(r) for r in text.splitlines() if not r.startswith("#")]
    pins = [r for r in lines if r.marker is None or r.marker.evaluate({"python_version": python})]
    pinned = [r.name.replace("_", "-") for r in pins]
    assert sorted(set(pinned)) == sorted(pinned)
    assert names <= set(pinned)
    assert all(re.fullmatch(r"==[\d.]+", str(r.specifier)) for r in pins)

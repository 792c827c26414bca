"""What is published: the files, an installation away from the checkout, the workflow, and links that wait for a URL."""

import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import pfa_edu as pe
from pfa_edu.lessons import notebooks as lesson

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


@pytest.fixture(autouse=True)
def modules_of_docs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))


def project():
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["project"]


def jobs(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


def runs(path):
    return [step["run"] for job in jobs(path).values() for step in job.get("steps", []) if "run" in step]


# The workflow


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_step_runs_here_too(path):
    """A ``run:`` line is one make target, which there is, or one executable script of .ci."""
    assert runs(path)
    for line in runs(path):
        made = re.fullmatch(r"make ([a-z-]+)((?: [A-Z]+=(?:\$\{\{ [\w.]+ \}\}|\S+))*)", line)
        if made:
            assert made.group(1) in TARGETS, line
            values = re.sub(r"\$\{\{ [\w.]+ \}\}", "pinned", made.group(2)).split()
            dry = subprocess.run(["make", "-n", made.group(1), *values], cwd=ROOT, capture_output=True, text=True)
            assert dry.returncode == 0, dry.stderr
        else:
            script = ROOT / line
            assert re.fullmatch(r"\.ci/[a-z-]+", line), line
            assert script.stat().st_mode & stat.S_IXUSR


def test_scripts_are_whole():
    for script in (ROOT / ".ci").iterdir():
        assert script.read_text().startswith("#!/usr/bin/env bash\n#")
        subprocess.run(["bash", "-n", str(script)], check=True)
        for target in re.findall(r"^make ([a-z-]+)", script.read_text(), re.MULTILINE):
            assert target in TARGETS


def test_the_tests_see_every_python_and_the_lowest_and_newest_torch():
    matrix = jobs(ROOT / ".github/workflows/release.yml")["test"]["strategy"]["matrix"]
    said = [c.rpartition(" ")[2] for c in project()["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert matrix["python"] == said
    assert project()["requires-python"] == f">={said[0]}"
    assert matrix["torch"] == ["pinned"]
    assert {one["torch"] for one in matrix["include"]} == {"lowest", "newest"}
    assert {one["python"] for one in matrix["include"]} <= set(said)
    assert next(one["python"] for one in matrix["include"] if one["torch"] == "lowest") == said[0]


def test_only_what_was_built_once_and_tested_is_published():
    release = jobs(ROOT / ".github/workflows/release.yml")
    assert [name for name, job in release.items() if "make dist" in str(job)] == ["build"]
    assert set(release["publish"]["needs"]) >= {"checks", "build", "test", "install", "docs"}
    assert release["publish"]["permissions"] == {"id-token": "write"}  # trusted publishing: no token
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()
    uploads = {step["with"]["name"] for step in release["build"]["steps"] if "upload" in step.get("uses", "")}
    for name in ("test", "install", "publish"):
        loads = [step["with"]["name"] for step in release[name]["steps"] if "download" in step.get("uses", "")]
        assert set(loads) == uploads
    assert "make check-tag TAG=${{ github.ref_name }}" in str(release["build"])
    assert release["pages"]["needs"] == ["docs", "publish"]


def pins(which):
    return subprocess.run([".ci/pins", which], cwd=ROOT, capture_output=True, text=True)


def test_pins():
    assert pins("pinned").stdout.split() == ["-c", "constraints.txt"]
    lowest = {r.split(">=")[0]: r.split(">=")[1] for r in project()["dependencies"] if r.startswith("torch")}
    assert pins("lowest").stdout.split()[2:] == [f"{name}=={version}.*" for name, version in lowest.items()]
    _, file, *names = pins("newest").stdout.split()
    assert names == ["torch", "torchvision"]
    kept = (ROOT / file).read_text()
    assert not re.search(r"^torch", kept, re.MULTILINE)
    assert kept.count("\n") == (ROOT / "constraints.txt").read_text().count("\n") - 2
    assert pins("oldest").returncode == 2


# The files


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Wheel and sdist, as ``make dist`` builds them."""
    to = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(to)], cwd=ROOT, check=True)
    return to


@pytest.mark.slow
def test_the_files_can_be_published(dist):
    files = sorted(dist.iterdir())
    assert [path.suffix for path in files] == [".whl", ".gz"]
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], check=True)
    checker = [sys.executable, "-c", "from check_wheel_contents.__main__ import main; main()", str(files[0])]
    done = subprocess.run(checker, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert all(path.stat().st_size < 10e6 for path in files)  # what lies beside the project has not come along
    for command in ("twine check --strict dist/*", "check-wheel-contents dist/*.whl"):
        assert command in MAKEFILE


@pytest.mark.slow
def test_the_wheel_runs_away_from_the_checkout(dist, tmp_path):
    """The README's first command at its smallest scale; ``make check-install`` does it with nothing else installed."""
    (wheel,) = dist.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    start = "import sys; from pfa_edu_start import main; sys.exit(main())"

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-c", start, *arguments], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"},
        )  # fmt: skip

    where = "import pfa_edu, pathlib; print(pathlib.Path(pfa_edu.__file__).parent)"
    env = os.environ | {"PYTHONPATH": str(site)}
    told = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert told.stdout.strip() == str(site / "pfa_edu")
    assert command("--version").stdout.strip() == pe.__version__
    done = command("reproduce", "mnist", "--scale", "smoke", "--rules", "bp,pfa", "--out", "demo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "results.csv").stat().st_size > 1000
    assert command("lessons", "lessons").returncode == 0
    assert {p.relative_to(tmp_path / "lessons") for p in (tmp_path / "lessons").rglob("*.ipynb")} == set(
        lesson.all_lessons()
    )
    script = (ROOT / ".ci" / "install").read_text()
    assert "reproduce mnist --scale smoke" in script
    assert "pfa-edu reproduce mnist" in MAKEFILE.split("\ndemo:")[1].split("\n\n")[0]


# Links that wait for a URL

HOST = {"Repository": "https://github.com/somebody/pfa-edu.git", "Documentation": "https://somebody.example/pfa-edu"}


def test_without_a_url_there_is_no_badge():
    from links import badges, colab

    assert badges({}) == colab("notebooks/03_mnist.ipynb", {}) == ""
    assert badges({"Repository": "https://example.org/somebody/pfa-edu"}) == ""


def test_setting_the_url_fills_the_badges_in(tmp_path):
    from links import colab, urls, with_badges

    text = (ROOT / "pyproject.toml").read_text()
    lines = "".join(f'{name} = "{url}"\n' for name, url in HOST.items())
    given = re.sub(r"^\[project\.urls\]\n(.+\n)*", "", text, flags=re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(given + f"\n[project.urls]\n{lines}")
    assert urls(tmp_path) == HOST
    for path in (p for p in lesson.all_lessons() if p.parent == Path(".")):
        assert (
            f"https://colab.research.google.com/github/somebody/pfa-edu/blob/main/notebooks/{path.name}"
            in colab(f"notebooks/{path.name}", urls(tmp_path))
        )  # fmt: skip
    readme = with_badges((ROOT / "README.md").read_text(), urls(tmp_path))
    for url in (
        "https://github.com/somebody/pfa-edu/actions/workflows/checks.yml/badge.svg", HOST["Documentation"],
        "https://colab.research.google.com/github/somebody/pfa-edu/blob/main/notebooks/01_weight_transport.ipynb",
    ):  # fmt: skip
        assert f"({url})" in readme
    assert with_badges(readme, {}) == with_badges((ROOT / "README.md").read_text(), {})
    with pytest.raises(ValueError, match="no place for badges"):
        with_badges("# pfa_edu\n", HOST)


def test_the_readme_has_the_badges_that_its_urls_give():
    """After a change of [project.urls]: ``make badges``."""
    from links import urls, with_badges

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_badges(text, urls()) == text
    assert (ROOT / "notebooks" / "01_weight_transport.ipynb").is_file()


def test_every_file_that_the_readme_links_to_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(links) > 8
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, link

"""The notebooks as a reader gets them: well-formed, copied out of a built package, executed without a screen."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pfa_edu as pe
from pfa_edu.cli import main
from pfa_edu.lessons import notebooks as lesson

LESSONS = lesson.all_lessons()
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", LESSONS, ids=str)
def test_notebook_is_clean(path):
    text = (lesson.folder() / path).read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert len({c["id"] for c in cells}) == len(cells)
    assert all(len(c["id"]) <= 20 for c in cells)
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in code)
    assert len(text) < 100_000
    if any("parameters" in c["metadata"].get("tags", []) for c in code):
        assert "parameters" in code[0]["metadata"]["tags"]
        assert "lesson.check_parameters(" in "".join(code[1]["source"])


def cells_of(path):
    return json.loads((lesson.folder() / path).read_text(encoding="utf-8"))["cells"]


def said(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("path", LESSONS, ids=str)
def test_every_cell_has_its_place_in_the_slides(path):
    """'-' goes on with the slide above; so a lesson begins with a slide, and what a class does not see is skipped."""
    kinds = [cell["metadata"]["slideshow"]["slide_type"] for cell in cells_of(path)]
    assert set(kinds) <= {"slide", "subslide", "fragment", "skip", "notes", "-"}
    assert kinds[0] == "slide"
    for cell, kind in zip(cells_of(path), kinds, strict=True):
        if "parameters" in cell["metadata"].get("tags", []) or said(cell).startswith("import"):
            assert kind == "skip"
        if cell["cell_type"] == "markdown" and kind in ("slide", "subslide", "-"):
            assert len(said(cell)) < 1900, "more than one slide holds"


@pytest.mark.parametrize("path", [p for p in LESSONS if p.parent.name == ""], ids=str)
def test_a_lesson_says_what_it_needs_and_what_for(path):
    text = "\n".join(said(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    for words in ("**Time**", "**You need**", "**At the end you can**", "**Further reading**"):
        assert words in text, words


def exercises_of(path):
    """The exercises of a notebook: number → the cells from its heading to the next."""
    found, number = {}, None
    for cell in cells_of(path):
        if cell["cell_type"] == "markdown":
            for match in re.finditer(r"^##+ (?:Exercise )?(\d+)(?: \(open\))?[.:]", said(cell), re.MULTILINE):
                number = int(match[1])
                found[number] = []
        if number is not None:
            found[number].append(cell)
    return found


WITH_EXERCISES = [p for p in LESSONS if p.parent.name == "" and exercises_of(p)]


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=str)
def test_every_exercise_has_a_check_or_is_open_and_has_a_solution(path):
    solutions = exercises_of(Path("solutions") / f"{path.stem}_solutions.ipynb")
    asked = exercises_of(path)
    assert list(solutions) == list(asked)
    assert sorted(asked) == list(range(1, len(asked) + 1))
    for number, cells in asked.items():
        code = "".join(said(c) for c in cells if c["cell_type"] == "code")
        heading = "".join(said(c) for c in cells[:1])
        assert "exercises.check_" in code or "open" in heading, number
        answer = "".join(said(c) for c in solutions[number])
        assert "**Solution.**" in answer, number
        checks = set(re.findall(r"exercises\.check_\w+", code))
        assert checks <= set(re.findall(r"exercises\.check_\w+", answer)), number
        if checks:
            assert "..." in code
            assert not re.search(r"(= |return )\.\.\.", answer)


def test_every_lesson_has_exercises():
    assert {p.stem[:2] for p in WITH_EXERCISES} >= {f"{i:02d}" for i in range(12)}


@pytest.mark.parametrize("path", [p for p in LESSONS if p.parent.name == ""], ids=str)
def test_sources_are_linked(path):
    """A year in brackets or after a name is a link to a DOI or to arXiv; no link goes elsewhere."""
    text = "\n".join(said(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\((http[^)]*)\)", text)
    assert links
    for link in links:
        assert re.match(r"https://(doi\.org/10\.\d{4,}/\S+|arxiv\.org/abs/\d{4}\.\d{4,5})$", link), link


FOUND = [
    ("mnist", "03_mnist"),
    ("exercises", "06_exercises"),
    ("06_exercises", "06_exercises"),
    ("06_exercises_solutions", "06_exercises_solutions"),
    ("solutions", "00_the_brains_problem_solutions"),
    ("own", "05_your_own_network"),
]


@pytest.mark.parametrize(("name", "stem"), FOUND)
def test_find(name, stem):
    assert lesson.find(name).stem == stem


@pytest.mark.parametrize("name", ["", "mnits", "../README"])
def test_find_unknown(name):
    with pytest.raises(pe.ConfigError, match=r"unknown notebook .*03_mnist"):
        lesson.find(name)


def test_copies_and_never_overwrites(tmp_path, capsys):
    to = tmp_path / "new" / "lessons"
    assert main(["lessons", str(to)]) == 0
    out = capsys.readouterr().out
    for path in LESSONS:
        assert f"written   {to / path}" in out
        assert (to / path).read_bytes() == (lesson.folder() / path).read_bytes()
    assert sorted(p.relative_to(to) for p in to.rglob("*.ipynb")) == sorted(LESSONS)

    edited, missing = to / "03_mnist.ipynb", to / "06_exercises.ipynb"
    edited.write_text("hours of work")
    missing.unlink()
    assert main(["lessons", str(to)]) == 1
    assert f"already there and not overwritten: {edited}. " in capsys.readouterr().err
    assert edited.read_text() == "hours of work"
    assert not missing.exists()  # all or nothing

    assert main(["lessons", str(to), "--force"]) == 0
    out = capsys.readouterr().out
    assert f"replaced  {edited}" in out
    assert f"written   {missing}" in out
    assert f"same      {to / '05_your_own_network.ipynb'}" in out
    edited.write_text("more work")
    assert main(["lessons", str(to), "--force"]) == 0
    assert (to / "03_mnist.before-1.ipynb").read_text() == "hours of work"
    assert (to / "03_mnist.before-2.ipynb").read_text() == "more work"
    assert edited.read_bytes() == lesson.find("03_mnist").read_bytes()
    assert not [p for p in to.rglob("*") if p.suffix == ".part"]


def test_where_nothing_can_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        assert main(["lessons", str(tmp_path / place)]) == 1
        assert f"cannot write in {tmp_path / place}" in capsys.readouterr().err


def test_headless_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("PFA_EDU_PROGRESS", "bar")
    monkeypatch.delenv("PFA_EDU_STATIC", raising=False)
    with lesson._headless():
        assert (os.environ["PFA_EDU_PROGRESS"], os.environ["PFA_EDU_STATIC"]) == ("line", "1")
    assert os.environ["PFA_EDU_PROGRESS"] == "bar"
    assert "PFA_EDU_STATIC" not in os.environ


# ------------------------------------------------------------------------------------------------------- execution

PASSES = ["scale = 'paper'\nout = 'here'", "import os\nprint(scale, out, os.environ['PFA_EDU_STATIC'])"]
FAILS = ["a = 0", "def divide(b):\n    return 1 / b", "divide(a)", "print('never reached')"]


def notebook(path: Path, cells: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": ["parameters"]} if "scale =" in source else {},
         "source": source, "outputs": [], "execution_count": None}
        for i, source in enumerate(cells)
    ]  # fmt: skip
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": spec, "nbformat": 4, "nbformat_minor": 5}))


def lessons(*arguments: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    """``pfa-edu lessons`` in a process of its own, with other notebooks where ``folder`` is given."""
    other = "" if folder is None else f"import pathlib; lesson.folder = lambda: pathlib.Path({str(folder)!r}); "
    imports = "import sys; from pfa_edu import cli; from pfa_edu.lessons import notebooks as lesson"
    code = f"{imports}; {other}sys.exit(cli.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "lessons", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.fixture
def three(tmp_path):
    """Three notebooks: one fails, one passes, one fails in another way."""
    folder = tmp_path / "notebooks"
    notebook(folder / "01_fails.ipynb", FAILS)
    notebook(folder / "02_passes.ipynb", PASSES)
    notebook(folder / "solutions" / "01_also.ipynb", ["import nothing_of_that_name"])
    return folder


def test_run_goes_on_after_a_failure_and_shows_the_first(three, tmp_path):
    out = tmp_path / "out"
    done = lessons(str(out), "--run", folder=three)
    assert done.returncode == 1, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["FAILED", "passed", "FAILED"]
    assert "notebook 01_fails failed in cell 3 with ZeroDivisionError: division by zero" in done.stderr
    assert "divide(a)" in done.stderr
    assert "return 1 / b" in done.stderr  # the traceback, down to the line
    assert "\x1b[" not in done.stderr
    assert "nothing_of_that_name" not in done.stderr
    assert "raise LessonError" not in done.stderr  # no traceback of ours
    for name in ("01_fails", "02_passes", "solutions/01_also"):
        assert (out / f"{name}.ipynb").exists()
    assert "ZeroDivisionError" in (out / "01_fails.html").read_text()
    executed = json.loads((out / "02_passes.ipynb").read_text())
    printed = "".join("".join(o["text"]) for c in executed["cells"] for o in c["outputs"] if "text" in o)
    assert printed.strip() == f"smoke {out / '02_passes'} 1"


def test_run_keeps_what_is_there(three, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "02_passes.html").write_text("mine")
    refused = lessons(str(out), "--run", "passes", folder=three)
    assert refused.returncode == 1
    assert f"already there and not overwritten: {out / '02_passes.html'}" in refused.stderr
    assert not (out / "02_passes.ipynb").exists()
    assert lessons(str(out), "--run", "passes", "--force", folder=three).returncode == 0
    assert (out / "02_passes.before-1.html").read_text() == "mine"
    assert "smoke" in (out / "02_passes.html").read_text()


def test_run_unknown_name(three, tmp_path):
    done = lessons(str(tmp_path / "out"), "--run", "pases", folder=three)
    assert done.returncode == 1
    assert "unknown notebook 'pases': did you mean '02_passes'" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_from_a_wheel(tmp_path):
    """Built, installed into an empty folder, and used from there: packaging errors show nowhere else."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = zipfile.ZipFile(wheel).namelist()
    assert {n for n in packed if n.startswith("pfa_edu/notebooks/")} == {f"pfa_edu/notebooks/{p}" for p in LESSONS}
    assert not [n for n in packed if not n.startswith("pfa_edu")]
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)

    done = lessons(str(tmp_path / "copy"), PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    for path in LESSONS:
        assert (tmp_path / "copy" / path).read_bytes() == (ROOT / "notebooks" / path).read_bytes()

    out = tmp_path / "out"
    done = lessons(str(out), "--run", "06_exercises", "06_exercises_solutions", PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("passed") == 2
    page = (out / "06_exercises.html").read_text()
    assert page.count("not answered yet") == 6
    assert "not right yet" not in page
    page = (out / "solutions" / "06_exercises_solutions.html").read_text()
    assert "not answered yet" not in page
    assert "not right yet" not in page
    assert page.count("✓ ") >= 6

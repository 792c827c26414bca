"""The pages that are made from what is elsewhere in the repository: each fact has one place, and it is not here.

Lessons are executed, unless what they show cannot have changed; figures, teaching notes and the project's own files are
copied; the reference gets a page for each room of the package. Git ignores what is written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import torch
from links import colab
from rooms import reference_pages

from pfa_edu.lessons import notebooks as lesson

ROOT = Path(__file__).parent.parent
PLAYGROUND = ROOT / "pfa_edu" / "web" / "index.html"
EXECUTED = ROOT / "out" / "docs-lessons"
FOLDERS = ("lessons", "figures", "teaching", "reference", "project")  # of written pages, in docs


def write_pages(docs: Path) -> None:
    """Brings every folder of written pages up to date; a page that is no longer wanted goes."""
    pages: dict[str, str | bytes] = {}
    for make in (lesson_pages, figure_pages, teaching_pages, project_pages, reference_pages):
        pages |= make()
    for name, content in pages.items():
        path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        if not path.is_file() or path.read_bytes() != data:  # Sphinx reads again what has a new date
            path.write_bytes(data)
    for folder in FOLDERS:
        for path in (docs / folder).rglob("*"):
            if path.is_file() and path.relative_to(docs).as_posix() not in pages:
                path.unlink()


def made_by(docs: Path) -> str:
    """Of the Python in docs, and of whether there is a playground: what Sphinx itself does not see change."""
    seen = hashlib.sha256(str(PLAYGROUND.is_file()).encode())
    for path in sorted(docs.glob("*.py")):
        seen.update(path.read_bytes())
    return seen.hexdigest()


# Lessons


def lesson_pages() -> dict[str, str | bytes]:
    """Every lesson, executed, without the solutions; and the list of them."""
    pages: dict[str, str | bytes] = {}
    chosen = [path for path in lesson.all_lessons() if path.parent == Path(".")]
    for path in chosen:
        pages[f"lessons/{path.name}"] = page_of_lesson(executed(path.stem))
    tree = "\n".join(path.stem for path in chosen)
    pages["lessons/index.md"] = LESSONS.format(tree=tree)
    return pages


LESSONS = """# Lessons

Predict, drag, explain. These pages were executed when they were built. Where a lesson has controls to drag, a page
keeps one still picture; to move it, open the lesson in JupyterLab:

```
make lab                    # in a checkout
pfa-edu lessons my-lessons  # from an installed package: copies them out
```

The numbers that lessons 3 and 7 to 11 show come from real runs, which are kept with the package: see
[Figures](../figures/index.md). `train = True` in a lesson runs them again.

```{{toctree}}
:maxdepth: 1

{tree}
```
"""


def fingerprint(stem: str) -> str:
    """Of all that an executed lesson depends on: its cells, the package, the results that it shows, torch."""
    seen = hashlib.sha256(f"{sys.version} {torch.__version__}".encode())
    package = [p for p in (ROOT / "pfa_edu").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    for path in [lesson.find(stem), *sorted(package), *sorted(ROOT.glob("figures/*/*.csv"))]:
        seen.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return seen.hexdigest()


def executed(stem: str) -> Path:
    """The lesson with its outputs: the one of last time if nothing that it depends on has changed.

    PFA_EDU_DOCS=draft, for whoever writes other pages: the one of last time, whatever has changed.
    """
    done, key = EXECUTED / f"{stem}.ipynb", EXECUTED / f"{stem}.key"
    now = fingerprint(stem)
    fresh = key.is_file() and key.read_text() == now
    if not fresh and os.environ.get("PFA_EDU_DOCS") == "draft" and done.is_file():
        print(f"draft: {stem} as it was executed last", flush=True)
    elif not (fresh and done.is_file()):
        print(f"executing {stem}", flush=True)
        key.unlink(missing_ok=True)
        lesson.execute(stem, EXECUTED, {"out": "out"} if "out" in lesson.parameters(stem) else {})
        key.write_text(now)
    return done


def page_of_lesson(path: Path) -> str:
    """The executed notebook as a page: without papermill's own cell and marks, with a way to open it elsewhere."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for cell in notebook.cells:
        cell.metadata = nbformat.NotebookNode()
    notebook.metadata.pop("papermill", None)
    badge = colab(f"notebooks/{path.name}")
    if badge:
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(badge, id="open-in-colab"))
    return nbformat.writes(notebook)


# What git holds elsewhere


def figure_pages() -> dict[str, str | bytes]:
    """One page for each folder of figures/: its README, then the pictures that the README does not show itself."""
    pages: dict[str, str | bytes] = {}
    names = []
    for readme in sorted(ROOT.glob("figures/*/README.md")):
        name, text = readme.parent.name, readme.read_text(encoding="utf-8")
        names.append(name)
        for picture in sorted(readme.parent.glob("*.png")):
            pages[f"figures/{name}/{picture.name}"] = picture.read_bytes()
        more = [p.name for p in sorted(readme.parent.glob("*.png")) if f"({p.name})" not in text]
        shown = "".join(f"\n![{p.removesuffix('.png').replace('_', ' ')}]({p})\n" for p in more)
        text += f"\n## {'Pictures' if len(more) > 1 else 'Picture'}\n{shown}" if more else ""
        pages[f"figures/{name}/index.md"] = text
    pages["figures/index.md"] = FIGURES.format(tree="\n".join(f"{name}/index" for name in names))
    return pages


FIGURES = """# Figures, and the commands that made them

Every number in the lessons and in these pages that a run gave is in one of these folders, `figures/` in the repository.
Each holds `results.csv` (or the numbers of a bench), the pictures, and the command that made them.

```{{toctree}}
:maxdepth: 1

{tree}
```
"""


def teaching_pages() -> dict[str, str | bytes]:
    """teaching/ as it is, with a page that lists the notes."""
    folder = ROOT / "teaching"
    pages: dict[str, str | bytes] = {"teaching/handout.pdf": (folder / "handout.pdf").read_bytes()}
    notes = sorted(folder.glob("notes/*.md"))
    for path in notes:
        text = path.read_text(encoding="utf-8")
        pages[f"teaching/notes/{path.name}"] = text if text.startswith("# ") else f"# {path.stem}\n\n{text}"
    tree = "\n".join(path.stem for path in notes)
    pages["teaching/notes/index.md"] = f"# Speaker notes\n\n```{{toctree}}\n:maxdepth: 1\n\n{tree}\n```\n"
    pages["teaching/quiz.md"] = (folder / "quiz.md").read_text(encoding="utf-8")
    plan = (folder / "README.md").read_text(encoding="utf-8").replace("](notes)", "](notes/index.md)")
    pages["teaching/index.md"] = plan + "\n```{toctree}\n:hidden:\n\nquiz\nnotes/index\n```\n"
    return pages


def project_pages() -> dict[str, str | bytes]:
    """How to contribute, and what changed."""
    return {
        f"project/{name.lower()}": (ROOT / name).read_text(encoding="utf-8")
        for name in ("CONTRIBUTING.md", "CHANGELOG.md")
    }


def copy_playground(app: Any, failure: Exception | None) -> None:
    """The playground, one file, beside the pages: the front page shows it in a frame."""
    if failure is None and app.tags.has("playground"):
        (Path(app.outdir) / "playground").mkdir(exist_ok=True)
        shutil.copyfile(PLAYGROUND, Path(app.outdir) / "playground" / "index.html")

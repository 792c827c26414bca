"""The notebooks: where they are, copied out, their parameters checked, executed headlessly by papermill, as HTML."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from operator import methodcaller
from pathlib import Path
from types import ModuleType
from typing import Any

from .._files import free_name, move_aside, writable, write, write_text
from ..errors import ConfigError, LessonError, OutputError, unknown


def folder() -> Path:
    """The notebooks: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    for place in (package / "notebooks", package.parent / "notebooks"):
        if place.is_dir():
            return place
    raise ConfigError(f"no notebooks beside {package}: reinstall pfa-edu")


def all_lessons() -> list[Path]:
    """Every notebook as a path relative to ``folder()``: the lessons in their order, then the solutions."""
    here = folder()
    return [p.relative_to(here) for place in (here, here / "solutions") for p in sorted(place.glob("*.ipynb"))]


def find(name: str) -> Path:
    """The notebook of that file name, else the first whose file name contains ``name``, e.g. 'mnist'."""
    notebooks = all_lessons()
    for path in [p for p in notebooks if name == p.stem] + [p for p in notebooks if name and name in p.stem]:
        return folder() / path
    raise unknown("notebook", name, [p.stem for p in notebooks])


def copy(to: Path, force: bool = False) -> dict[Path, str]:
    """Copies every notebook under ``to``; returns each path there with what was done: 'written', 'same' or 'replaced'.

    A file there that differs is somebody's work: without ``force`` nothing at all is written and an OutputError names
    it; with ``force`` it is moved aside under a free name first.
    """
    return put({to / path: (folder() / path).read_bytes() for path in all_lessons()}, force)


def put(wanted: Mapping[Path, bytes], force: bool = False) -> dict[Path, str]:
    """Writes files as ``copy`` does: each path with its content, all of them or none."""
    state = {p: "same" if _is(p, text) else "replaced" for p, text in wanted.items()}
    state |= {p: "written" for p in wanted if not os.path.lexists(p)}
    if not force:
        refuse_to_overwrite([p for p, what in state.items() if what == "replaced"])
    for place in {p.parent for p in wanted}:
        writable(place)
    for path, text in wanted.items():
        if state[path] == "same":
            continue
        aside = move_aside(path) if state[path] == "replaced" else None
        try:
            write(path, methodcaller("write", text))
        except OutputError:
            if aside is not None:
                aside.rename(path)
            raise
    return state


def refuse_to_overwrite(paths: list[Path]) -> None:
    """OutputError if there are any: they are somebody's work."""
    if paths:
        names = ", ".join(str(p) for p in paths)
        raise OutputError(
            f"already there and not overwritten: {names}. Choose another folder, or say --force, which keeps what is "
            f"there under another name (such as {free_name(paths[0]).name})"
        )


def _is(path: Path, text: bytes) -> bool:
    try:
        return path.read_bytes() == text
    except OSError:  # not there, a folder, not readable: in no case the same
        return False


def check_parameters(namespace: Mapping[str, Any]) -> None:
    """Called in a notebook after its parameters, with ``globals()``: a name that they do not have is an error.

    papermill writes whatever it was given into a cell of its own, and a misspelt name would be just one more variable.
    What is checked is that cell, not the namespace: a reader's own variables, and running everything twice, are fine.
    In a kernel, torch is also put on one thread, for all cells: the lessons' networks are small.
    """
    if "In" in namespace:
        from .explorers.threads import one_thread_from_now_on  # not before: it brings matplotlib

        one_thread_from_now_on()
    cells = list(namespace.get("In", []))
    injected = [i for i, source in enumerate(cells) if source.startswith(_INJECTED)]
    if not injected:
        return
    known = _assigned(cells[injected[-1] - 1])
    for name in _assigned(cells[injected[-1]]):
        if name not in known:
            raise unknown("parameter", name, known)


_INJECTED = "# Parameters"  # the first line of the cell that papermill writes


def _assigned(source: str) -> list[str]:
    """The names that a cell gives a value to."""
    targets = [t for node in ast.parse(source).body if isinstance(node, ast.Assign) for t in node.targets]
    return [t.id for t in targets if isinstance(t, ast.Name)]


def parameters(name: str) -> list[str]:
    """Names of the parameters of the notebook ``name``; none for one without a cell tagged 'parameters'."""
    return list(_papermill().inspect_notebook(str(find(name))))


def execute(name: str, out: Path, values: dict[str, Any], watch: bool = False) -> tuple[Path, Path]:
    """Runs the notebook ``name`` with the parameters ``values`` by papermill, in the folder ``out``.

    ``watch``: also print what its cells print, while they do.
    Returns the executed notebook and its HTML page, both called ``name`` in ``out``. If a cell fails, both are there
    too, up to that cell, and a LessonError says which one and why.
    """
    papermill = _papermill()
    from nbconvert import HTMLExporter

    source = find(name)
    known = parameters(name)
    for parameter in values:
        if parameter not in known:
            raise unknown("parameter", parameter, known or ["(it has none)"])
    writable(out)
    target = out / f"{name}.ipynb"
    page = target.with_suffix(".html")
    try:
        with _headless():
            papermill.execute_notebook(
                str(source), str(target), values, cwd=str(out), progress_bar=False,
                stdout_file=sys.stdout if watch else None, extra_arguments=_QUIET_KERNEL,
            )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        raise LessonError(_failure(source.stem, error)) from error
    finally:
        if target.exists():
            write_text(page, HTMLExporter().from_filename(str(target))[0])
    return target, page


def execute_all(out: Path, names: list[str], force: bool) -> None:
    """Executes the notebooks whose names contain one of ``names`` (all without one), quickly where they have a scale.

    One after the other, also after one that fails; the first failure is raised at the end.
    """
    chosen = [find(name).relative_to(folder()) for name in names] or all_lessons()
    chosen = list(dict.fromkeys(chosen))
    there = [p for name in chosen if (p := out / name).exists() or (p := p.with_suffix(".html")).exists()]
    if not force:
        refuse_to_overwrite(there)
    failure = None
    for path in chosen:
        target = out / path
        for old in (target, target.with_suffix(".html")):
            if old.exists():
                move_aside(old)
        small = {"scale": "smoke", "out": str(target.with_suffix(""))}  # a folder of its own for what it computes
        values = {name: small[name] for name in parameters(path.stem) if name in small}
        start, outcome = time.perf_counter(), "passed"
        try:
            execute(path.stem, target.parent, values)
        except LessonError as error:
            failure, outcome = failure or error, "FAILED"
        print(f"{outcome}  {time.perf_counter() - start:6.1f} s  {target} (and .html)", flush=True)
    if failure is not None:
        raise failure


# A kernel warns that it talks to its client over the machine's own loopback: true, usual, and alarming to a reader.
_QUIET_KERNEL = ["--IPKernelApp.log_level=ERROR"]


def _papermill() -> ModuleType:
    try:
        import nbconvert  # noqa: F401 - asked for here, so that a missing one is said before anything has run
        import papermill
    except ImportError as error:
        raise ConfigError(
            'running notebooks needs papermill and nbconvert: pip install "pfa-edu[notebooks]"'
        ) from error
    return papermill


@contextlib.contextmanager
def _headless() -> Iterator[None]:
    """What the kernel inherits: it has no reader to show a bar to, or to move a slider."""
    wanted = {"PFA_EDU_PROGRESS": "line", "PFA_EDU_STATIC": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _failure(name: str, error: Any) -> str:
    """What papermill knows of a failed cell, as text: its number, its source, the traceback without colours."""
    traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    return (
        f"notebook {name} failed in cell {error.cell_index + 1} with {error.ename}: {error.evalue}\n\n"
        f"{error.source.rstrip()}\n\n{traceback}"
    )

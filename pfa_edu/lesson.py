"""Running the notebooks: where they are, their parameters checked, executed headlessly by papermill, shown as HTML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigError, OutputError, unknown

_ALWAYS = {"In", "Out", "get_ipython", "exit", "quit", "open"}  # what IPython itself puts into the namespace


def folder() -> Path:
    """The notebooks: inside an installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    for place in (here / "notebooks", here.parent / "notebooks"):
        if place.is_dir():
            return place
    raise ConfigError(f"no notebooks beside {here}: install pfa-edu anew")


def find(name: str) -> Path:
    """The notebook whose file name contains ``name``, e.g. 'mnist'."""
    notebooks = sorted(folder().glob("*.ipynb"))
    for path in notebooks:
        if name in path.stem:
            return path
    raise unknown("notebook", name, [p.stem for p in notebooks])


def check_parameters(namespace: Mapping[str, Any], known: set[str]) -> None:
    """Called in a notebook after its parameters: a name that it does not have is an error, not silence.

    papermill writes whatever it was given into a cell; a misspelt name would otherwise just be one more variable.
    """
    for name in namespace:
        if not name.startswith("_") and name not in known | _ALWAYS:
            raise unknown("parameter", name, sorted(known - {"pe"}))


def execute(name: str, out: Path, parameters: dict[str, Any]) -> tuple[Path, Path]:
    """Runs the notebook ``name`` with ``parameters`` by papermill; returns the executed notebook and its HTML page."""
    try:
        import papermill
        from nbconvert import HTMLExporter
    except ImportError as error:
        raise ConfigError(
            'running notebooks needs papermill and nbconvert: pip install "pfa-edu[notebooks]"'
        ) from error
    source = find(name)
    known = list(papermill.inspect_notebook(str(source)))
    for parameter in parameters:
        if parameter not in known:
            raise unknown("parameter", parameter, known)
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write in {out} ({error}): choose another folder") from error
    target = out / f"{name}.ipynb"
    os.environ["PFA_EDU_PROGRESS"] = "line"  # inherited by the kernel, which has no reader to show a bar to
    papermill.execute_notebook(str(source), str(target), parameters, cwd=str(out), log_output=True, progress_bar=False)
    page = target.with_suffix(".html")
    page.write_text(HTMLExporter().from_filename(str(target))[0], encoding="utf-8")
    return target, page

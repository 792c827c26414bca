"""Runs the playground's own code under node: the files of web/test, bundled on the spot by the pinned esbuild."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

WEB = Path(__file__).parents[1] / "web"
REQUIRED = os.environ.get("PFA_EDU_BROWSER") == "required"


def require_node() -> None:
    """Skips the test on a machine without node or the web packages; fails there if PFA_EDU_BROWSER=required.

    Where node is, but not what web/package.json pins, ``make web`` installs it.
    """
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if not missing and REQUIRED and not installed():
        with FileLock(Path(tempfile.gettempdir()) / "pfa-edu-npm.lock"):  # tests run in two processes
            if not installed():
                subprocess.run(["npm", "ci"], cwd=WEB, check=True)
    why = f"{' and '.join(missing)} not installed" if missing else "web/node_modules is missing: run make web"
    if missing or not installed():
        if REQUIRED:
            pytest.fail(why)
        pytest.skip(why)


def installed() -> bool:
    return (WEB / "node_modules" / ".package-lock.json").exists()  # npm writes it last


def call(name: str, given: Any, folder: Path) -> Any:
    """What ``main`` of web/test/NAME.ts answers to ``given``; both travel as JSON, NaN as null."""
    require_node()
    sent, answer = folder / f"{name}-in.json", folder / f"{name}-out.json"
    sent.write_text(json.dumps(given))
    done = subprocess.run(
        ["node", str(WEB / "test" / "run.mjs"), name, str(sent), str(answer)], cwd=WEB, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(answer.read_text())

"""A real JupyterLab, a real Voilà and a real Chromium, all on this machine and all with empty folders of their own.

Without a browser the tests are skipped, with the reason; PFA_EDU_BROWSER=required makes that a failure. Screenshots and
logs go to artifacts/.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest

from .playground import Open, visiting
from .reader import Reader

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# What makes a heavy lesson short: written into its copy after the cell tagged 'parameters'.
SMOKE = {
    "mnist": {"scale": "smoke", "rules": ["bp", "pfa"]},
    "cifar": {"scale": "smoke", "rules": ["bp", "pfa"]},
    "sparse": {"scale": "smoke"},
    "relatives": {"scale": "smoke"},
}
EXPLORERS = ("transport", "feedback_alignment", "dimensions", "closed_form", "race")  # of lessons 1, 2 and 4
_QUIET = {  # JupyterLab as a reader has it, but for what would ask the network, or hide what is out of sight
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True
    },
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory) -> Iterator:
    """A browser context with a fresh profile."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    reason = "no chromium on this machine: apt-get install chromium" if found is None else ""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        reason = 'no playwright: pip install "pfa-edu[test]"'
    if reason and os.environ.get("PFA_EDU_BROWSER") == "required":
        pytest.fail(f"PFA_EDU_BROWSER=required, and {reason}")
    if reason:
        pytest.skip(reason)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=found, headless=True, args=ARGUMENTS,
            viewport={"width": 1280, "height": 1250},
        )  # fmt: skip
        context.set_default_timeout(60_000)
        yield context
        context.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """The folder of notebooks, beside everything that Jupyter may read or write of its user."""
    home = tmp_path_factory.mktemp("home")
    (home / "notebooks").mkdir()
    for source in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(source.read_text(encoding="utf-8"))
        for name, values in SMOKE.items():
            if name in source.stem:
                cells = notebook["cells"]
                at = next(i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", []))
                text = "\n".join(f"{key} = {value!r}" for key, value in values.items())
                smoke = {"cell_type": "code", "id": "smoke", "metadata": {}, "source": text}
                cells.insert(at + 1, smoke | {"execution_count": None, "outputs": []})
        (home / "notebooks" / source.name).write_text(json.dumps(notebook), encoding="utf-8")
    shutil.copytree(ROOT / "notebooks" / "app", home / "notebooks" / "app")
    cells = ["\n".join(f"from pfa_edu.lessons.explorers import {name}" for name in EXPLORERS)]
    cells += [f"{name}.explorer()" for name in EXPLORERS]
    notebook["cells"] = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": cell}
        for i, cell in enumerate(cells)
    ]
    (home / "notebooks" / "explorers.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    overrides = home / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(json.dumps(_QUIET))
    return home


@contextlib.contextmanager
def served(home: Path, name: str, command: list[str], ready: str, folder: str = "") -> Iterator[str]:
    """Runs a server in a folder of notebooks until the with-block ends; gives its address once ``ready`` answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PFA_EDU_STATIC", "PFA_EDU_PROGRESS", "JUPYTER"))}
    env |= {
        "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"), "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": mpl.get_configdir(), "PYTHONPATH": os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")]),
    }  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    (ROOT / "artifacts").mkdir(exist_ok=True)
    with open(ROOT / "artifacts" / f"{name}.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={port}"],
            cwd=home / "notebooks" / folder, env=env, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            until = time.monotonic() + 120
            while not _answers(address + ready):
                assert server.poll() is None, f"{name} ended by itself: see artifacts/{name}.log"
                assert time.monotonic() < until, f"{name} does not answer: see artifacts/{name}.log"
                time.sleep(0.2)
            yield address
        finally:
            server.send_signal(signal.SIGTERM)  # it shuts its kernels down
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture(scope="session")
def lab(home) -> Iterator[str]:
    """The address of JupyterLab."""
    command = [
        "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", f"--ServerApp.root_dir={home / 'notebooks'}", "--expose-app-in-browser",
        "--LabApp.extension_manager=readonly", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with served(home, "jupyterlab", command, "/api/status") as address:
        yield address


@pytest.fixture(scope="session")
def voila(home) -> Iterator[str]:
    """The address of the race as a page, as ``make voila`` serves it, with less patience for a page that was closed."""
    page = home / "notebooks" / "app" / "race.ipynb"
    notebook = json.loads(page.read_text(encoding="utf-8"))
    hurry = "from pfa_edu.lessons.explorers import live\nlive.BEAT_S, live.ALONE_S = 1.0, 15.0\n"
    notebook["cells"][0]["source"].insert(0, hurry)
    page.write_text(json.dumps(notebook), encoding="utf-8")
    command = [
        "voila", "race.ipynb", "--no-browser", "--Voila.ip=127.0.0.1", "--Voila.port_retries=0",
        "--MappingKernelManager.cull_idle_timeout=40", "--MappingKernelManager.cull_interval=2",
    ]  # fmt: skip
    with served(home, "voila", command, "/voila/static/voila.js", "app") as address:
        yield address


@pytest.fixture
def reader(chromium) -> Iterator[Reader]:
    """One page, and what a reader does on it. Errors in the browser's console fail the test at its end."""
    page = chromium.new_page()
    reader = Reader(page, ROOT / "artifacts")
    yield reader
    reader.leave()
    page.close()
    assert not reader.complaints


@pytest.fixture
def visit(chromium) -> Iterator[Open]:
    """Opens the playground from disk: ``visit(hash, width, height, until=step, **media)``."""
    with visiting(chromium) as open_page:
        yield open_page

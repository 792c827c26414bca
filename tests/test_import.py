"""What importing the package costs: a lesson's first picture waits for it, and so does every command."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Seconds each, in every kernel and at every command: imported by what needs them only.
SLOW = ("torchvision", "seaborn", "scipy", "sklearn", "mlxtend", "distributed")


@pytest.mark.parametrize("modules", ["pfa_edu, pfa_edu.cli", "pfa_edu.lessons.explorers.race"])
def test_what_is_slow_to_import_waits_until_it_is_needed(modules):
    code = f"import sys, {modules}; print('torch' in sys.modules, [m for m in {SLOW} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True []"


def test_drawing_is_imported_when_it_is_asked_for():
    code = "import sys, pfa_edu as pe; print('matplotlib' in sys.modules, pe.plots.table.__name__)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False table"


def test_an_interrupt_while_the_command_starts_is_no_traceback(tmp_path):
    """Ctrl-C during the seconds that importing torch takes, here in a package of the same name."""
    (tmp_path / "pfa_edu").mkdir()
    (tmp_path / "pfa_edu" / "__init__.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "pfa_edu_start.py").write_text((ROOT / "pfa_edu_start.py").read_text())
    command = [sys.executable, "-c", "import sys, pfa_edu_start; sys.exit(pfa_edu_start.main())"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")

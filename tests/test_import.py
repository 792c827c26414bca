"""What importing the package costs: a lesson's first picture waits for it, and so does every command."""

import subprocess
import sys

import pytest

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

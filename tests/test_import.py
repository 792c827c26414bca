"""What importing the package costs: a lesson's first picture waits for it."""

import subprocess
import sys


def test_torchvision_is_imported_by_what_needs_it_only():
    """It takes as long as torch itself: two seconds, in every kernel and at every command."""
    code = "import sys, pfa_edu.cli, pfa_edu.lessons.explorers.race; print([m in sys.modules for m in ('torch', 'torchvision')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[True, False]"

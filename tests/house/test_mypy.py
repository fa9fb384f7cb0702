"""Types hold. Without a cache that takes more than a minute of one core, here beside the other tests."""

import subprocess
import sys
from pathlib import Path


def test_mypy_finds_nothing() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

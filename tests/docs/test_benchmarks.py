"""benchmarks/sessions.py still runs, and counts the POSTs that its README states. Times are no test's business."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_benchmark_counts_what_the_readme_states() -> None:
    command = [sys.executable, "benchmarks/sessions.py", "--latency", "0", "--powershell-start", "0", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = re.findall(
        r"^\| [^|]*?, (\d+) POSTs \| [^|]*?, (\d+) POSTs \| [\d.]+ \|$", (ROOT / "benchmarks/README.md").read_text(), re.M
    )
    assert len(rows) == 3
    counted = re.findall(r"(\d+) POSTs", done.stdout)
    assert [posts for row in rows for posts in row] == counted

"""The benchmarks still run, and count the POSTs that their README states. Times are no test's business; a peak of memory is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import needs_browser

ROOT = Path(__file__).parents[2]
README = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_benchmark_counts_what_the_readme_states() -> None:
    command = [sys.executable, "benchmarks/sessions.py", "--latency", "0", "--powershell-start", "0", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| [^|]*?, (\d+) POSTs \| [^|]*?, (\d+) POSTs \| [\d.]+ \|$", README, re.M)
    assert len(rows) == 3
    counted = re.findall(r"(\d+) POSTs", done.stdout)
    assert [posts for row in rows for posts in row] == counted


@pytest.mark.slow
def test_a_big_push_needs_no_more_memory_than_a_small_one() -> None:
    """20 MB beside 1: held once, it would be 19 above. The README's 300 MB take too long here."""
    command = [sys.executable, "benchmarks/push.py", "--mb", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    stated = dict(re.findall(r"^\| (\d+ MB) \| ([\d,]+) \|", README, re.M))
    counted = dict(re.findall(r"^(\d+ MB): .*?, (\d+) POSTs", done.stdout, re.M))
    assert counted == {size: stated[size] for size in ("1 MB", "20 MB")}
    (above,) = re.findall(r"above that of 1 MB: (-?[\d.]+) MB", done.stdout)
    assert float(above) < 5


@pytest.mark.slow
@needs_browser
def test_the_reports_benchmark_opens_and_searches_every_page() -> None:
    command = [sys.executable, "benchmarks/report_page.py", "--hosts", "3", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    stated = re.findall(r"^\| (\w[\w, ]* to [\w, ]*) \|(?: [\d.]+ \|){3}$", README, re.M)
    assert stated == re.findall(r"^(.* to .*?): open", done.stdout, re.M) != []

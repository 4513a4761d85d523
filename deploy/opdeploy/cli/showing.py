"""A run as it leaves the command: the report on stdout, what it took on stderr, and its exit code."""

from __future__ import annotations

from opdeploy.cli import terminal
from opdeploy.model import ExitCode
from opdeploy.reports.json import report
from opdeploy.reports.text import run_text
from opdeploy.results import Run

UNITS = ((1_000_000, "MB"), (1_000, "kB"))


def show(run: Run, form: str = "text", *, verbose: bool = False, commands: bool = False, diff: bool = False) -> None:
    """Prints the report."""
    if form == "json":
        terminal.document(report(run))
    else:
        terminal.lines(run_text(run, verbose=verbose, commands=commands, diff=diff))


def ended(run: Run, seconds: float) -> ExitCode:
    """Says what the run took, and gives its exit code."""
    costs = [host.cost for host in run.hosts]
    posts = sum(cost.posts for cost in costs)
    if posts:
        sent, received = sum(cost.bytes_sent for cost in costs), sum(cost.bytes_received for cost in costs)
        terminal.say(f"{posts} POSTs, {size(sent)} sent, {size(received)} received, {seconds:.1f} s")
    return run.code


def size(count: int) -> str:
    """Bytes in people's words, decimal: ``1.2 MB``."""
    return next((f"{count / unit:.1f} {name}" for unit, name in UNITS if count >= unit), f"{count} bytes")

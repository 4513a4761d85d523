"""A run as it leaves the command: the report on stdout, what it took on stderr, and its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opdeploy.cli import terminal
from opdeploy.model import ExitCode
from opdeploy.reports.document import as_json, report
from opdeploy.reports.text import run_text
from opdeploy.results import Run
from opdeploy.store import Recorder

UNITS = ((1_000_000, "MB"), (1_000, "kB"))


def show(run: Run, form: str = "text", *, verbose: bool = False, commands: bool = False, diff: bool = False) -> None:
    """Prints the report."""
    if form == "json":
        terminal.document(as_json(report(run)))
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


@contextmanager
def so_far(recorder: Recorder) -> Iterator[None]:
    """What changes hosts: says how far it was when it is cut off. An installer outlives it on its host."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        terminal.say(_so_far(*recorder.so_far()))
        raise


def _so_far(made: int, begun: int) -> str:
    words = f"changes that were made: {made}" if made else "no change was made"
    unknown = f", of {begun} nobody knows: the next apply reads first, and waits for an installer that still runs on its host"
    return words + (unknown if begun else "")


def size(count: int) -> str:
    """Bytes in people's words, decimal: ``1.2 MB``."""
    return next((f"{count / unit:.1f} {name}" for unit, name in UNITS if count >= unit), f"{count} bytes")

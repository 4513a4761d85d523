"""A run as it leaves the command: the report on stdout, what it took on stderr, and its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opdeploy.cli import terminal
from opdeploy.model import ExitCode
from opdeploy.rendering import size
from opdeploy.reports.csv import as_csv
from opdeploy.reports.document import Report, as_json, report
from opdeploy.reports.junit import as_junit
from opdeploy.reports.text import Detail, plain, report_text
from opdeploy.results import Run
from opdeploy.store import Recorder


def show(run: Run, form: str = "text", *, verbose: bool = False, commands: bool = False, diff: bool = False) -> None:
    """Prints the report."""
    shown(report(run), form, Detail(verbose, commands, diff))


def asking(run: Run, form: str) -> None:
    """The plan that somebody is asked about. stdout is the report's alone where a program reads it."""
    if form == "text":
        show(run)
    else:
        terminal.say(plain(report_text(report(run))))


def shown(told: Report, form: str, detail: Detail = Detail()) -> None:
    """Prints a document in one of `options.report_output`'s forms."""
    if form == "text":
        terminal.lines(report_text(told, detail))
    elif form == "json":
        terminal.document(as_json(told))
    else:
        terminal.write({"csv": as_csv, "junit": as_junit, "html": _html}[form](told))


def _html(told: Report) -> str:
    from opdeploy.reports.report_html import as_html

    return as_html(told)


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

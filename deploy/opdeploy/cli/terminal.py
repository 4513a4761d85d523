"""What goes where: data to stdout, everything else to stderr; colour, progress and questions on a terminal only."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from opdeploy.model import OpdeployError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.text import Text

PATIENCE = 1.0  # seconds before a run shows its progress


# ---------------------------------------------------------------- data


def document(value: Any) -> None:
    """One JSON document, in ASCII so that no terminal's encoding can break it."""
    write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def lines(texts: Iterable[Text]) -> None:
    """A report's lines: with their styles on a terminal, else plain."""
    if not coloured(sys.stdout):
        write("".join(text.plain + "\n" for text in texts))
        return
    from rich.console import Console

    console = Console(force_terminal=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
    with console.capture() as printed:
        for text in texts:
            console.print(text)
    write(printed.get())


def plain_lines(texts: Iterable[str]) -> None:
    """Lines without a style, in which a terminal finds nothing to obey."""
    from opdeploy.rendering import printable

    write("".join(printable(text) + "\n" for text in texts))


def page(text: str) -> None:
    """Markdown as it is; laid out where somebody looks at it."""
    if not sys.stdout.isatty():
        write(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def write(text: str) -> None:
    """Text to stdout. Nobody reading it any more is no error of ours."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()
    except OSError as error:
        _to_nowhere()
        raise OpdeployError(f"the output can't be written: {error.strerror}", "is the disk full?") from error


def flush() -> None:
    """What is left in stdout, quietly: the interpreter would complain at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _to_nowhere()


def _to_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def coloured(stream: IO[str]) -> bool:
    """On a terminal that can, unless NO_COLOR says no; CLICOLOR_FORCE is for who passes the output on to one."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("CLICOLOR_FORCE")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


# ---------------------------------------------------------------- talk


def say(text: str) -> None:
    """A line to a person, on stderr."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:  # a terminal that has gone
        return


def error(failed: OpdeployError) -> None:
    """An inventory's problems name their places themselves; any other error is introduced as one."""
    from opdeploy.inventory import InventoryError

    if isinstance(failed, InventoryError):
        say(failed.message)
    else:
        _introduced("error", failed.message, failed.hint)


def warning(message: str, hint: str = "") -> None:
    """What is to be known, and ends nothing."""
    _introduced("warning", message, hint)


def _introduced(word: str, message: str, hint: str) -> None:
    """It may quote a host, or a file that somebody sent: a terminal is given nothing to obey."""
    from opdeploy.rendering import printable

    text = f"{word}: {message}" + (f"\n    {hint}" if hint else "")
    say("\n".join(map(printable, text.split("\n"))))


def interactive() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str) -> bool:
    """Asks on stderr; only ``y`` or ``yes`` is one."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# ---------------------------------------------------------------- progress


def bars(console: Console) -> Bars:
    """A host's name and its time are always whole: what it is at is cut where the line ends."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.fields[host]}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=12, table_column=Column(min_width=4)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        console=console,
        transient=True,
        expand=True,
    )


class Progress:
    """A line for each host that is under way, shown on stderr once a run has taken a second, and gone at its end.

    It is the engine's callback: ``progress(host, done, of, what)``.
    """

    def __init__(self) -> None:
        self._latest: dict[str, tuple[int, int, str]] = {}
        self._bars: Bars | None = None
        self._rows: dict[str, TaskID] = {}
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True
        self.began = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and coloured(sys.stderr):
            self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        if self._bars:
            self._bars.stop()

    def __call__(self, host: str, done: int, total: int, what: str) -> None:
        self._latest[host] = (done, total, what)
        if self._bars:
            self._draw(self._bars, host)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def _show(self) -> None:
        from rich.console import Console

        self._bars = bars(Console(stderr=True))
        self._bars.start()
        for host in list(self._latest):
            self._draw(self._bars, host)

    def _draw(self, bars: Bars, host: str) -> None:
        done, total, what = self._latest[host]
        if host not in self._rows:
            self._rows[host] = bars.add_task("", host=host)
        bars.update(self._rows[host], completed=done, total=total, description=what)

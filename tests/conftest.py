"""Tests run alike wherever they were started from, and say plainly what was skipped and why."""

import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from labs import Box, box

from opdeploy.engine import fleet
from opdeploy.store import Store
from opdeploy.windows.station import Station

# A shell's background job ignores Ctrl-C, and its children would too.
for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} tests: {reason}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def db1() -> Iterator[Box]:
    with box() as made:
        yield made


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run waits for on a host takes no time."""
    monkeypatch.setattr(fleet, "Station", partial(Station, pause=lambda seconds: None))

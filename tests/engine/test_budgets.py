"""A run's time and a host's: whoever takes longer is a result, and who was out of reach is tried once more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gevent.event
import pytest

from opdeploy.engine import fleet
from opdeploy.engine.fleet import Job, Progress, Task, quiet, run
from opdeploy.engine.limits import Options
from opdeploy.inventory import Connection, Host, Position
from opdeploy.model import ExitCode, HostError, HostFailed, LogonRefused
from opdeploy.planning import Desired
from opdeploy.results import HostResult
from opdeploy.store import Store

TWICE = Options(second_try=True)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a run waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(fleet, "pause", waited.append)
    return waited


def job(name: str) -> Job:
    return Job(Host(name, Position(Path("hosts.yml"), 1, 1), (), {}, Connection("127.0.0.1")), Desired())


class Hosts:
    """Hosts that do what they are told, a doing a try; at the last they stay."""

    def __init__(self, **doings: list[Callable[[], object]]) -> None:
        self.doings = doings
        self.tried: list[str] = []

    def work(self, task: Task) -> HostResult:
        self.tried.append(task.name)
        doings = self.doings[task.name]
        (doings.pop(0) if len(doings) > 1 else doings[0])()
        return HostResult(task.name)

    def run(self, store: Store, options: Options, progress: Progress = quiet) -> list[HostResult]:
        return list(run([job(name) for name in self.doings], store, options, self.work, progress))


def fine() -> None:
    """It answers at once."""


def never() -> None:
    gevent.event.Event().wait()


def failing(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def test_a_host_that_never_answers_is_a_result_and_the_others_are_read(store: Store) -> None:
    stuck, read = Hosts(stuck=[never], read=[fine]).run(store, Options(host_budget=0.001))
    assert (stuck.status, stuck.code, stuck.error) == ("unreachable", ExitCode.UNKNOWN, "not read within 1ms")
    assert stuck.hint
    assert read.status == "in_sync"


def test_no_except_on_the_way_takes_it_for_an_error_of_its_own(store: Store) -> None:
    def swallows() -> None:
        while True:
            try:
                never()
            except Exception:
                continue

    (stuck,) = Hosts(stuck=[swallows]).run(store, Options(host_budget=0.001))
    assert stuck.error == "not read within 1ms"


def test_when_the_runs_time_is_up_what_is_under_way_ends_and_nothing_more_begins(store: Store) -> None:
    hosts = Hosts(**{f"h{number:02}": [never] for number in range(45)})  # more than are read at once
    results = hosts.run(store, Options(budget=0.01, host_budget=3600, second_try=True))
    said = [result.error for result in results]
    assert said == ["not read to its end: the run's time, 10ms, was up"] * 40 + ["not begun: the run's time, 10ms, was up"] * 5
    assert len(hosts.tried) == 40, "nobody a second time"
    assert {result.code for result in results} == {ExitCode.UNKNOWN}


def test_without_a_budget_nothing_is_cut_off(store: Store) -> None:
    (read,) = Hosts(read=[fine]).run(store, Options())
    assert not read.error


def test_who_was_out_of_reach_is_tried_once_more_at_the_end(store: Store) -> None:
    hosts = Hosts(restarting=[failing(HostError("the port is closed")), fine], read=[fine])
    restarting, read = hosts.run(store, TWICE)
    assert hosts.tried == ["restarting", "read", "restarting"]
    assert (restarting.name, restarting.status) == ("restarting", "in_sync")
    assert restarting.warnings == ("it was read at the second try only; the first: the port is closed",)
    assert read.warnings == ()


def test_it_comes_after_a_minute_and_the_wait_is_said_of_each(store: Store, pauses: list[float]) -> None:
    said: list[tuple[str, int, int, str]] = []
    down = [failing(HostError("the port is closed"))]
    Hosts(gone=down, read=[fine], away=down).run(store, TWICE, lambda *told: said.append(told))
    assert pauses == [60.0]
    assert said == [(name, 0, 1, "out of reach; tried once more in 1m") for name in ("gone", "away")]


@pytest.mark.parametrize(("seconds", "waited"), [(60, []), (3600, [60.0])])
def test_it_comes_at_once_where_the_run_has_no_minute_left(
    seconds: float, waited: list[float], store: Store, pauses: list[float]
) -> None:
    hosts = Hosts(restarting=[failing(HostError("the port is closed")), fine])
    (restarting,) = hosts.run(store, Options(budget=seconds, second_try=True))
    assert (pauses, restarting.status) == (waited, "in_sync")


def test_nobody_waits_for_who_was_read_or_refused(store: Store, pauses: list[float]) -> None:
    Hosts(read=[fine], refused=[failing(LogonRefused("login refused"))]).run(store, TWICE)
    assert pauses == []


def test_a_second_try_that_fails_says_both(store: Store) -> None:
    hosts = Hosts(gone=[failing(HostError("the port is closed")), failing(HostError("it did not answer in time"))])
    (gone,) = hosts.run(store, TWICE)
    assert hosts.tried == ["gone", "gone"]
    assert gone.reason == "it did not answer in time: and at the first try: the port is closed"


@pytest.mark.parametrize("error", [LogonRefused("login refused"), HostFailed("not the agent's"), ValueError("a bug")])
def test_a_refused_logon_could_lock_the_account_and_a_failure_stays_one(error: Exception, store: Store) -> None:
    hosts = Hosts(bad=[failing(error)])
    hosts.run(store, TWICE)
    assert hosts.tried == ["bad"]


def test_only_who_asks_tries_twice(store: Store) -> None:
    hosts = Hosts(gone=[failing(HostError("the port is closed"))])
    hosts.run(store, Options())
    assert hosts.tried == ["gone"]

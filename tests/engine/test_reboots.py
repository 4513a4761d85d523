"""How a run ends where Windows, or only WinRM, has to be started anew: over real WS-Man to a simulated server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from labs import Box, applied
from runs import run, run_text

from opdeploy.calls import host_read
from opdeploy.engine import fleet
from opdeploy.lab.windows import files, jobs, registry, services
from opdeploy.lab.windows.cmdlets_machine import WAITING
from opdeploy.lab.windows.state import State
from opdeploy.model import ExitCode, HostError, LogonRefused
from opdeploy.reports.text import plain
from opdeploy.resources.base import RESTART_WINRM
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.resources.service import Service
from opdeploy.store import Store
from opdeploy.windows import restarts, session, winrs
from opdeploy.windows.station import Station

pytestmark = pytest.mark.usefixtures("no_pauses")
STOPPED = Service(name="Spooler", state="stopped", start_mode="manual")
CARRY_OUT = jobs._carry_out
RENAMES = r"SYSTEM\CurrentControlSet\Control\Session Manager"


@pytest.fixture
def wanting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every service that is changed wants Windows to be started anew."""
    monkeypatch.setattr(Service, "reboot", lambda self, answers: "its installer asks for it (3010)")


@pytest.mark.usefixtures("wanting")
def test_never_only_tells_who_wants_it(db1: Box, store: Store) -> None:
    before = db1.state.booted
    host = applied(store, db1.job([STOPPED]))
    assert (host.items[0].outcome, host.items[0].reboot) == ("applied", "its installer asks for it (3010)")
    assert (host.code, db1.state.booted) == (ExitCode.OK, before)
    told = "Windows wants to be started anew for service/Spooler (its installer asks for it (3010)): restart it, or set"
    assert told in plain(run_text(run(host, command="apply")))


@pytest.mark.usefixtures("wanting")
def test_if_needed_starts_it_anew_and_waits_until_it_is_up(db1: Box, store: Store) -> None:
    registry.create(db1.state, WAITING[0])
    before = db1.state.booted
    host = applied(store, db1.job([STOPPED], reboot="if_needed"))
    assert db1.state.booted != before
    assert host.reboot.done == db1.state.booted
    assert host.code == ExitCode.OK
    assert "Windows was started anew for service/Spooler" in plain(run_text(run(host, command="apply")))
    assert registry.find(db1.state, WAITING[0]) is None
    assert db1.shells() == 0


@pytest.mark.usefixtures("wanting")
def test_what_failed_is_tried_once_more_after_it(db1: Box, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    later = RegistryValue(hive="local_machine", path=r"SOFTWARE\OP\Late", name="Port", type="dword", data=1)
    write = RegistryValue.writes

    def only_after_the_restart(self: RegistryValue, change: Any, answers: Any) -> Any:
        if db1.state.booted.startswith("2024-05-02"):
            return iter(())
        return write(self, change, answers)

    monkeypatch.setattr(RegistryValue, "writes", only_after_the_restart)
    host = applied(store, db1.job([STOPPED, later], reboot="if_needed"))
    assert [(item.id, item.outcome, item.error) for item in host.items] == [
        ("service/Spooler", "applied", ""),
        (r"registry_value/HKLM\SOFTWARE\OP\Late Port", "applied", ""),
    ]


def test_without_a_change_that_wants_it_nothing_is_started_anew(db1: Box, store: Store) -> None:
    registry.create(db1.state, WAITING[1])
    registry.set_value(registry.create(db1.state, RENAMES), "PendingFileRenameOperations", "MultiString", ["\\??\\C:\\x", ""])
    before = db1.state.booted
    host = applied(store, db1.job([STOPPED], reboot="if_needed"))
    assert (host.reboot.pending, db1.state.booted) == (("Windows Update", "file renames"), before)


def test_winrm_is_started_anew_at_the_very_end_and_the_host_is_answering_then(
    db1: Box, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "afterwards", lambda self, change: frozenset({RESTART_WINRM}))
    host = applied(store, db1.job([STOPPED]))
    assert (host.code, host.error) == (ExitCode.OK, "")
    assert db1.state.winrm_started
    assert db1.shells() == 0
    assert not [path for path in db1.state.files if "opdeploy-" in path]


def no_service(state: State, id: str) -> None:
    services.delete(state, "WinRM")
    CARRY_OUT(state, id)


def cut_off(state: State, id: str) -> None:
    del state.jobs[id]


def closed_to_us(state: State, id: str) -> None:
    CARRY_OUT(state, id)
    files.find(state, rf"C:\ProgramData\opdeploy-{id}\replies").update(aces=[], control="P")


@pytest.mark.parametrize(
    ("what_happens", "said"),
    [
        (no_service, "WinRM is not restarted: Cannot find any service with service name 'WinRM'."),
        (cut_off, "WinRM is not restarted: its job was cut off"),
        (closed_to_us, "whether WinRM was restarted can't be told: "),
    ],
)
def test_that_winrm_was_not_started_anew_is_said_in_the_hosts_words(
    what_happens: Callable[[State, str], None], said: str, db1: Box, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "afterwards", lambda self, change: frozenset({RESTART_WINRM}))
    monkeypatch.setattr(jobs, "_carry_out", what_happens)
    host = applied(store, db1.job([STOPPED]))
    assert (host.error[: len(said)], host.code, host.items[0].outcome) == (said, ExitCode.FAILED, "applied")
    assert host.hint.startswith("run Restart-Service WinRM on it")


def test_a_restart_of_winrm_that_hangs_is_not_waited_for_for_ever(
    db1: Box, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [0.0]
    clock = {"pause": lambda seconds: times.append(times[-1] + seconds), "clock": lambda: times[-1]}
    monkeypatch.setattr(fleet, "Station", partial(Station, **clock))
    monkeypatch.setattr(Service, "afterwards", lambda self, change: frozenset({RESTART_WINRM}))
    monkeypatch.setattr(jobs, "_carry_out", lambda state, id: None)
    host = applied(store, db1.job([STOPPED]))
    assert (host.error, host.code) == ("WinRM was told to restart, and has not within 5 minutes", ExitCode.UNKNOWN)
    assert (host.items[0].outcome, host.hint.endswith("; where that hangs too, restart Windows")) == ("applied", True)
    assert 300 <= times[-1] < 400


@pytest.mark.usefixtures("wanting")
def test_a_host_that_does_not_come_back_is_said_with_what_was_done(
    db1: Box, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = session.open

    def gone(target: winrs.Target, **given: Any) -> session.Session:
        if db1.state.booted.startswith("2024-05-02"):
            return opened(target, **given)
        raise HostError("127.0.0.1: no answer")

    monkeypatch.setattr(restarts, "UNTIL_UP", -1.0)
    monkeypatch.setattr(fleet, "Station", partial(Station, pause=lambda seconds: None, opener=gone))
    host = applied(store, db1.job([STOPPED], reboot="if_needed"))
    assert (host.items[0].outcome, host.code) == ("applied", ExitCode.UNKNOWN)
    assert host.error == "127.0.0.1: no answer"


def test_a_refused_logon_is_tried_once_more_and_never_a_third_time(db1: Box, tmp_path: Path) -> None:
    tried: list[object] = []

    def opener(target: winrs.Target, **given: Any) -> session.Session:
        tried.append(target)
        raise LogonRefused("127.0.0.1: login refused")

    station = fleet._task(db1.job([STOPPED]), Store.open(tmp_path / "store"), fleet.Options()).station
    station.opener, station.pause = opener, lambda seconds: None
    with pytest.raises(LogonRefused):
        station.look([host_read()])
    assert len(tried) == 2


def test_a_host_that_is_out_of_reach_for_a_while_is_looked_at_again(db1: Box, tmp_path: Path) -> None:
    fails = iter([True, True, False])
    paused: list[float] = []

    def opener(target: winrs.Target, **given: Any) -> session.Session:
        if next(fails, False):
            raise HostError("127.0.0.1: no answer")
        return session.open(target, **given)

    station = fleet._task(db1.job([STOPPED]), Store.open(tmp_path / "store"), fleet.Options()).station
    station.opener, station.pause = opener, paused.append
    answers = station.look([host_read()], 3.0)
    station.close()
    assert answers[host_read().key]["name"] == db1.state.facts.name
    assert (paused, station.lost) == ([3.0, 1.0, 2.0], False)

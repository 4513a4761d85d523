"""``opdeploy drift check`` with nobody there: alone, in time, with a store, and never 0 for what was not read."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import runs
from command_line import Done, opdeploy
from postbox import named, postbox
from roles_at_hand import ENVIRONMENT, inventory

from opdeploy.cli import unattended
from opdeploy.engine import fleet
from opdeploy.model import OpdeployError
from opdeploy.results import Run
from opdeploy.store import Store, database
from opdeploy.store.lock import alone

CLOSED = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_winrm_scheme": "http"}


@dataclass
class Controller:
    """A machine that checks a practice whose only host has its port closed."""

    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / "practice"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def database(self) -> Path:
        return self.store / database.NAME

    def hosts(self, **variables: dict[str, Any]) -> None:
        inventory(self.inventory, variables)

    def check(self, *arguments: str, command: tuple[str, ...] = ("drift", "check", "--no-notify")) -> Done:
        where = ("-i", str(self.inventory), "--store", str(self.store))
        return opdeploy(*command, *where, *arguments, store=self.store)

    def a_run(self) -> Run:
        return runs.run(command="drift", inventory=str(self.inventory))

    def broken(self, content: bytes) -> None:
        Store.open(self.store).close()
        self.database.write_bytes(content)

    def recorded(self) -> list[tuple[str, int]]:
        with sqlite3.connect(self.database) as connection:
            return list(connection.execute("SELECT command, code FROM runs ORDER BY rowid"))


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Controller:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(fleet, "pause", lambda seconds: None)
    made = Controller(tmp_path)
    made.hosts(db1=CLOSED)
    return made


# ---------------------------------------------------------------- one at a time


def test_a_second_check_ends_at_once_and_says_who_is_at_work(controller: Controller) -> None:
    Store.open(controller.store).close()
    with alone(controller.store, controller.a_run()):
        done = controller.check()
    assert (done.code, done.out) == (3, "")
    assert f"is at work already: by anna@admin-pc since 2026-11-22T03:00:00Z (process {os.getpid()})" in done.err
    assert "this one has read nothing" in done.err
    assert controller.recorded() == []


@pytest.mark.parametrize("left", ["", "{", "\udcff", "[]", '{"by": "anna"}'])
def test_a_lock_that_nobody_holds_any_more_holds_nobody_up(left: str, controller: Controller) -> None:
    Store.open(controller.store).close()
    with alone(controller.store, controller.a_run()):
        (lock,) = controller.store.glob("drift-*.lock")
    lock.write_text(left, errors="surrogateescape")
    assert ("warning: the check before did not come to its end" in controller.check().err) == bool(left)
    assert controller.recorded() == [("drift", 3)]


def test_of_a_check_that_was_killed_the_next_one_tells_once(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(controller.store).close()
    with alone(controller.store, controller.a_run()):
        (lock,) = controller.store.glob("drift-*.lock")
        killed = lock.read_text()
    lock.write_text(killed)
    said = f"the check before, by anna@admin-pc since 2026-11-22T03:00:00Z (process {os.getpid()}), did not come to its end"
    with postbox() as box:
        monkeypatch.setenv("OPDEPLOY_CONFIG", str(named(controller.folder, box.url)))
        first, second = (controller.check(command=("drift", "check")) for _ in range(2))
        messages = [told["message"] for told in box.taken()]
    assert f"warning: {said}\n" in first.err
    assert "did not come to its end" not in second.err
    assert [f"went wrong:\n- {said}\n" in message for message in messages] == [True, False]
    assert ["exit code 3; " in message for message in messages] == [True, True]


def test_a_lock_without_a_word_in_it_is_one_too(controller: Controller) -> None:
    Store.open(controller.store).close()
    with alone(controller.store, controller.a_run()):
        next(controller.store.glob("drift-*.lock")).write_text("")
        assert "it has just begun" in controller.check().err


def test_another_practice_with_the_same_store_is_checked_at_the_same_time(controller: Controller) -> None:
    Store.open(controller.store).close()
    other = runs.run(command="drift", inventory=str(controller.folder / "elsewhere" / "practice"))
    with alone(controller.store, other):
        controller.check()
    assert controller.recorded() == [("drift", 3)]


# ---------------------------------------------------------------- in time


def test_the_inventory_counts_as_it_is_after_the_pause(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        controller.hosts(ts1=CLOSED)

    monkeypatch.setattr(unattended, "pause", pause)
    done = controller.check("--jitter", "30m", "--format", "json")
    assert [0 <= seconds <= 1800 for seconds in waited] == [True]
    assert [host["name"] for host in json.loads(done.out)["hosts"]] == ["ts1"]
    assert "(--jitter)" in done.err


def test_without_jitter_nobody_waits(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unattended, "pause", pytest.fail)
    assert controller.check().code == 3


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--budget", "soon", "'soon' is no length of time: write 90s, 5m, 1h30m or 1d"),
        ("--budget", "0", "0 is not between 1s and 7d"),
        ("--host-budget", "8d", "8d is not between 1s and 7d"),
        ("--jitter", "1e400", "is no length of time"),
    ],
)
def test_a_length_of_time_that_is_none_is_wrong_usage(option: str, given: str, said: str, controller: Controller) -> None:
    done = controller.check(option, given)
    assert done.code == 64
    assert said in done.err


def test_the_defaults_are_said(controller: Controller) -> None:
    text = " ".join(controller.check("--help").out.split())
    assert "The time of the whole run. Default: 2h." in text
    assert "The time of a host. Default: 10m." in text


# ---------------------------------------------------------------- what was not read


def test_what_could_not_be_read_is_said_with_the_exit_code(controller: Controller) -> None:
    done = controller.check()
    assert done.code == 3
    assert "could not be read: db1 (exit code 3)\n" in done.err
    assert "at the first try: 127.0.0.1:1: the port is closed" in done.out


def test_a_check_of_no_host_has_not_found_all_in_order(controller: Controller) -> None:
    (controller.inventory / "hosts.yml").write_text("all: {hosts: {}}\n")
    done = controller.check()
    assert done.code == 3
    assert "no host was read" in done.err
    assert controller.recorded() == [("drift", 3)]


# ---------------------------------------------------------------- a disk that is full

FULL = OpdeployError("runs.sqlite3: the run store can't be used: database or disk is full", "is the disk full?")


@pytest.mark.parametrize("where", ["opdeploy.store.Store.record", "opdeploy.store.telling.remember"])
def test_what_cannot_be_recorded_is_printed_and_told(
    where: str, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise FULL

    monkeypatch.setattr(where, full)
    with postbox() as box:
        monkeypatch.setenv("OPDEPLOY_CONFIG", str(named(controller.folder, box.url)))
        done = controller.check(command=("drift", "check"))
        message = box.taken()[-1]["message"]
    assert done.code == 1
    assert "  127.0.0.1:1: the port is closed\n" in done.out
    assert f"error: what was found could not be written down: {FULL.message}\n    {FULL.hint}\n" in done.err
    assert message.startswith(
        f"what was found could not be written down: {FULL.message}\ncould not be read:\n- db1: unreachable"
    )
    assert "nobody knows" not in message


# ---------------------------------------------------------------- a broken store

NO_DATABASE = b"this is no database, or no longer\n" * 100


def test_a_broken_store_is_said_and_set_aside_and_the_check_goes_on(controller: Controller) -> None:
    controller.broken(NO_DATABASE)
    done = controller.check()
    (aside,) = database.aside(controller.store)
    assert done.code == 1
    assert f"the run store was broken: it is set aside as {aside}" in done.err
    assert aside.read_bytes() == NO_DATABASE
    assert "could not be read: db1\n" in done.err, "the exit code is another"
    assert controller.recorded() == [("drift", 3)]


def test_pages_that_broke_are_found_though_the_file_opens(controller: Controller) -> None:
    store = Store.open(controller.store)
    store.record(runs.FLEET)
    store.close()
    whole = controller.database.read_bytes()
    controller.broken(whole[:4096] + b"\xff" * (len(whole) - 4096))
    assert controller.check().code == 1
    assert len(database.aside(controller.store)) == 1


def test_as_long_as_it_lies_there_every_check_says_so_in_a_line(controller: Controller) -> None:
    controller.broken(NO_DATABASE)
    controller.check()
    (aside,) = database.aside(controller.store)
    done = controller.check()
    assert done.code == 3
    assert [line for line in done.err.splitlines() if "broken" in line] == [
        f"warning: a broken run store lies in {aside}: restore it from a backup, or delete it"
    ]
    aside.unlink()
    assert "broken" not in controller.check().err


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")])
def test_who_is_there_to_decide_is_asked_to(command: tuple[str, ...], controller: Controller) -> None:
    controller.broken(NO_DATABASE)
    done = controller.check(command=command)
    assert done.code == 64
    assert "opdeploy store check" in done.err
    assert (database.aside(controller.store), controller.database.read_bytes()) == ([], NO_DATABASE)


def test_another_programs_database_is_not_ours_to_move(controller: Controller) -> None:
    controller.store.mkdir()
    with sqlite3.connect(controller.database) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    assert controller.check().code == 64
    assert database.aside(controller.store) == []


def test_its_log_goes_with_it(controller: Controller) -> None:
    controller.broken(NO_DATABASE)
    for end in ("-wal", "-shm"):
        Path(f"{controller.database}{end}").write_bytes(b"left by a process that was killed")
    controller.check()
    (aside,) = database.aside(controller.store)
    assert Path(f"{aside}-wal").read_bytes() == b"left by a process that was killed"

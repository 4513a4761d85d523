"""The run store: nothing lost, nothing secret, nothing replaced, and several at once."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs

from opdeploy import rendering
from opdeploy.calls import Failure, host_read, password_record, step_record
from opdeploy.model import ExitCode, OpdeployError, UsageError
from opdeploy.results import HostResult, Item
from opdeploy.store import Store
from opdeploy.store.database import APPLICATION, MIGRATIONS
from opdeploy.store.records import NAME, default_folder

ITEM = Item(runs.FIREBIRD)
SECRET = Item(runs.user(enabled=(True, False), password=(None, runs.secret())))
FIREBIRD = ("service", "FirebirdServerDefaultInstance")


def rows(folder: Path, query: str) -> list[dict[str, Any]]:
    """What another program reads in the file."""
    connection = sqlite3.connect(folder / NAME)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(query)]
    connection.close()
    return found


# ---------------------------------------------------------------- what is written


def test_a_run_is_recorded(store: Store) -> None:
    store.record(runs.FLEET)
    (run,) = rows(store.folder, "SELECT * FROM runs")
    assert (run["command"], run["by_whom"], run["inventory"]) == ("plan", "anna@admin-pc", "inventories/lab")
    assert (run["sources"], run["tool"], run["code"]) == (runs.FLEET.sources, "0.1.0", ExitCode.UNKNOWN)
    assert run["finished_at"].endswith("Z")
    hosts = {row["host"]: row for row in rows(store.folder, "SELECT * FROM hosts")}
    assert {name: row["status"] for name, row in hosts.items()} == {
        "db1.example": "unknown",
        "backup1.example": "in_sync",
        "ts1.example": "unreachable",
    }
    assert json.loads(hosts["backup1.example"]["windows"]) == {"product": "WinNT", "build": 26100}


def test_only_what_differs_is_a_row(store: Store) -> None:
    store.record(runs.FLEET)
    assert [row["key"] for row in rows(store.folder, "SELECT key FROM changes ORDER BY rowid")] == [
        ".\\op-support", "FirebirdServerDefaultInstance", "FirebirdGuardian", "wuauserv", "Netlogon", "Leftover",
    ]  # fmt: skip


def test_the_desired_state_is_kept_once_however_often_it_is_planned(store: Store) -> None:
    for number in "123":
        store.record(runs.run(runs.host("db1", SECRET, Item(runs.EXTRA)), run_id=number))
    (desired,) = rows(store.folder, "SELECT resources FROM desired")
    assert json.loads(desired["resources"]) == {
        "local_user/.\\op-support": {"enabled": False, "password": "(secret)"},
        "service/Leftover": {"absent": True},
    }


def test_no_secret_is_in_any_file(store: Store) -> None:
    recorder = store.begin(runs.run(command="apply"))
    recorder.before("db1.example", SECRET)
    recorder.after("db1.example", replace(SECRET, outcome="applied"))
    recorder.finish(runs.run(runs.PLANNED, command="apply"))
    store.set_password("db1.example", ".\\op-support", runs.secret(), "2026-11-22T03:00:00Z")
    files = [path.read_bytes() for path in store.folder.iterdir()]
    assert len(files) >= 3
    assert not [content for content in files if runs.PASSWORD.encode() in content]
    assert rendering.show(runs.secret()).encode() in b"".join(files)


HALF = "x\ud800"


@pytest.mark.parametrize("command", ["plan", "drift", "apply"])
@pytest.mark.parametrize(
    "host",
    [
        runs.host(HALF),
        runs.host("db1", error=HALF),
        runs.host("db1", replace(ITEM, change=replace(runs.FIREBIRD, reason=HALF))),
        runs.host("db1", replace(ITEM, outcome="failed", error=HALF)),
        runs.host("db1", Item(runs.service(HALF, display_name=(HALF, "Firebird")))),
        runs.host("db1", Item(runs.in_sync(HALF, start_mode="automatic"))),
    ],
    ids=["name", "host", "reason", "error", "key", "known"],
)
def test_half_a_surrogate_pair_is_recorded_as_it_is_shown(store: Store, host: HostResult, command: str) -> None:
    store.record(runs.run(host, command=command))
    store.memory([host.name])
    connection = sqlite3.connect(store.folder / NAME)
    assert r"x\ud800" in "\n".join(connection.iterdump())
    connection.close()


def test_what_was_there_before_is_found_by_such_a_key_too(store: Store) -> None:
    item = Item(runs.service(HALF, display_name=(HALF, "Firebird")))
    recorder = store.begin(runs.run(command="apply"))
    recorder.before("db1", item)
    recorder.after("db1", replace(item, outcome="applied"))
    assert store.found("db1", "service", HALF) is not None
    assert store.last_applied("db1", "service", HALF)


# ---------------------------------------------------------------- the journal


def test_before_and_after_are_committed_at_once(store: Store) -> None:
    recorder = store.begin(runs.run(command="apply"))
    recorder.before("db1.example", ITEM)
    (begun,) = rows(store.folder, "SELECT * FROM changes")
    assert begun["begun_at"]
    assert (begun["outcome"], begun["ended_at"]) == (None, None)
    assert json.loads(begun["properties"])["dependencies"] == [["RpcSs"], ["RpcSs", "Tcpip"]]
    recorder.after("db1.example", replace(ITEM, outcome="failed", error="access denied"))
    (ended,) = rows(store.folder, "SELECT * FROM changes")
    assert (ended["outcome"], ended["error"], ended["begun_at"]) == ("failed", "access denied", begun["begun_at"])
    assert ended["ended_at"] >= ended["begun_at"]


def test_the_end_of_a_run_keeps_its_journal(store: Store) -> None:
    recorder = store.begin(runs.run(command="apply"))
    done = replace(ITEM, outcome="applied")
    recorder.before("db1.example", ITEM)
    recorder.after("db1.example", done)
    journalled = rows(store.folder, "SELECT begun_at, ended_at FROM changes")
    missed = Item(runs.LATER, outcome="not_reached")
    recorder.finish(runs.run(runs.host("db1.example", done, missed), command="apply"))
    kept = rows(store.folder, "SELECT begun_at, ended_at, outcome FROM changes ORDER BY rowid")
    assert kept == [
        {**journalled[0], "outcome": "applied"},
        {"begun_at": None, "ended_at": None, "outcome": "not_reached"},
    ]


def test_another_run_can_not_be_finished(store: Store) -> None:
    with pytest.raises(OpdeployError, match="is not the one that was begun"):
        store.begin(runs.run()).finish(runs.run(run_id="another"))


def test_when_it_was_last_applied(store: Store) -> None:
    assert store.last_applied("db1.example", *FIREBIRD) == ""
    recorder = store.begin(runs.run(command="apply", run_id="1"))
    recorder.before("db1.example", ITEM)
    recorder.after("db1.example", replace(ITEM, outcome="failed"))
    assert store.last_applied("db1.example", *FIREBIRD) == ""
    recorder = store.begin(runs.run(command="apply", run_id="2"))
    recorder.after("db1.example", replace(ITEM, outcome="applied"))
    (row,) = rows(store.folder, "SELECT ended_at FROM changes WHERE outcome = 'applied'")
    assert store.last_applied("DB1.example", "service", "firebirdSERVERdefaultinstance") == row["ended_at"]
    assert store.last_applied("db2.example", *FIREBIRD) == ""


def test_a_run_recorded_at_its_end_counts_as_applied_too(store: Store) -> None:
    store.record(runs.run(runs.host("db1.example", replace(ITEM, outcome="applied")), command="apply"))
    assert store.last_applied("db1.example", *FIREBIRD)


# ---------------------------------------------------------------- passwords


def test_a_password_is_known_by_its_fingerprint(store: Store) -> None:
    read = password_record(".\\op-support", runs.secret())
    assert store.answer(read, "db1.example") is None
    store.set_password("db1.example", "OP-Support", runs.secret(), "2026-11-22T03:00:00Z")
    assert store.password("DB1.example", ".\\op-support") == (runs.secret().fingerprint(store.key()), "2026-11-22T03:00:00Z")
    assert store.answer(read, "db1.example") == {"same": True, "set_at": "2026-11-22T03:00:00Z"}
    other = password_record(".\\op-support", runs.secret("an0ther-Pass"))
    assert store.answer(other, "db1.example") == {"same": False, "set_at": "2026-11-22T03:00:00Z"}
    assert store.answer(read, "db2.example") is None


def test_the_newest_password_counts(store: Store) -> None:
    store.set_password("db1", "op", runs.secret(), "1")
    store.set_password("db1", "op", runs.secret("an0ther-Pass"), "2")
    assert store.answer(password_record("op", runs.secret("an0ther-Pass")), "db1") == {"same": True, "set_at": "2"}


def test_what_only_a_host_can_answer_is_no_answer(store: Store) -> None:
    answer = store.answer(host_read(), "db1")
    assert isinstance(answer, Failure)
    assert answer.id == "opdeploy.NoVerb"


# ---------------------------------------------------------------- manual steps


def test_a_step_is_signed_for_its_text(store: Store) -> None:
    read = step_record("swap-disks", "digest")
    assert store.answer(read, "db1") is None
    store.sign_step("DB1", "swap-disks", "digest", "anna", "done")
    at = store.steps("db1")["swap-disks"].at
    assert at.endswith("Z")
    assert store.answer(read, "db1") == {"by": "anna", "note": "done", "at": at, "same": True}
    assert store.answer(step_record("swap-disks", "another"), "db1") == {"by": "anna", "note": "done", "at": at, "same": False}
    assert store.answer(read, "db2") is None


def test_the_newest_sign_off_counts(store: Store) -> None:
    store.sign_step("db1", "swap-disks", "old", "anna", "done")
    store.sign_step("db1", "swap-disks", "new", "berta", "done again")
    assert [(one.digest, one.by) for one in store.steps("db1").values()] == [("new", "berta")]


def test_a_sign_off_can_be_withdrawn(store: Store) -> None:
    for host in ("db1", "db2"):
        store.sign_step(host, "swap-disks", "digest", "anna", "done")
    store.withdraw_step("DB1", "swap-disks")
    assert (store.steps("db1"), list(store.steps("db2"))) == ({}, ["swap-disks"])


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_store_of_an_earlier_schema_is_brought_up_and_keeps_what_it_has(version: int, tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    (tmp_path / NAME).unlink()
    old = sqlite3.connect(tmp_path / NAME)
    old.executescript("".join(MIGRATIONS[:version]))
    old.executescript(f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version};")
    fingerprint = runs.secret().fingerprint((tmp_path / "key").read_bytes())
    old.execute("INSERT INTO passwords VALUES ('db1', 'op', ?, '1')", [fingerprint])
    old.commit()
    old.close()
    store = Store.open(tmp_path)
    store.record(runs.FLEET)
    store.sign_step("db1", "swap-disks", "digest", "anna", "done")
    assert store.answer(password_record("op", runs.secret()), "db1") == {"same": True, "set_at": "1"}
    assert rows(tmp_path, "SELECT count(*) AS n FROM hosts") == [{"n": 3}]


# ---------------------------------------------------------------- the folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store.open(tmp_path / "a/b")
        store.key()
        store.record(runs.FLEET)
    finally:
        os.umask(before)
    assert mode(store.folder) == 0o700
    assert {path.name: mode(path) for path in store.folder.iterdir()} == {
        NAME: 0o600, f"{NAME}-wal": 0o600, f"{NAME}-shm": 0o600, "key": 0o600, "lock": 0o600,
    }  # fmt: skip


def test_where_it_is() -> None:
    assert default_folder({"XDG_STATE_HOME": "/var/state"}) == Path("/var/state/opdeploy")
    for environment in ({}, {"XDG_STATE_HOME": "relative"}):
        assert default_folder(environment) == Path.home() / ".local/state/opdeploy"


def test_the_key_stays(tmp_path: Path) -> None:
    key = Store.open(tmp_path).key()
    assert len(key) == 32
    assert Store.open(tmp_path).key() == key
    assert Store.open(tmp_path / "other").key() != key


def test_a_broken_key_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(UsageError, match="expected a key of 32 bytes, found 5"):
        Store.open(tmp_path).key()
    assert (tmp_path / "key").read_bytes() == b"short"


def test_no_room_for_the_key_names_it_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk says no file's name."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=rf"^{tmp_path}/key: No space left on device"):
        Store.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path).key()
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(UsageError, match="others may read this key"):
        Store.open(tmp_path).key()


# ---------------------------------------------------------------- files that are none of ours


def refused(folder: Path, said: str) -> None:
    before = (folder / NAME).read_bytes()
    with pytest.raises(UsageError, match=said) as caught:
        Store.open(folder)
    assert str(folder / NAME) in caught.value.message
    assert caught.value.hint
    assert (folder / NAME).read_bytes() == before


def test_a_broken_file_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"this is no database, or no longer\n" * 100)
    refused(tmp_path, "the run store is broken: file is not a database")


def test_another_programs_file_is_left_as_it_is(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / NAME)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    refused(tmp_path, "another program's database")


def test_a_newer_file_is_left_as_it_is(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    refused(tmp_path, "written by a newer opdeploy")


def test_pages_broken_later_are_told(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.record(runs.FLEET)
    store.close()
    whole = bytearray((tmp_path / NAME).read_bytes())
    whole[4096:] = b"\xff" * (len(whole) - 4096)
    (tmp_path / NAME).write_bytes(whole)
    reopened = Store.open(tmp_path)
    with pytest.raises(OpdeployError, match="the run store is broken"):
        reopened.record(runs.run(run_id="2"))


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        Store.open(tmp_path / "file")


def test_a_path_below_a_file_where_the_database_should_be(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(UsageError, match="Is a directory"):
        Store.open(tmp_path)


# ---------------------------------------------------------------- several processes

WRITER = """
import sys
import runs
from pathlib import Path
from dataclasses import replace
from opdeploy.results import Item
from opdeploy.store import Store
store = Store.open(Path(sys.argv[1]))
print(store.key().hex(), flush=True)
for number in range(20):
    recorder = store.begin(runs.run(command="apply", run_id=f"{sys.argv[2]}-{number}"))
    recorder.before("db1.example", Item(runs.FIREBIRD))
    recorder.after("db1.example", Item(runs.FIREBIRD, outcome="applied"))
    recorder.finish(runs.run(runs.PLANNED, command="apply", run_id=f"{sys.argv[2]}-{number}"))
"""
KILLED = """
import sys
import runs
from pathlib import Path
from opdeploy.results import Item
from opdeploy.store import Store
recorder = Store.open(Path(sys.argv[1])).begin(runs.run(command="apply"))
recorder.before("db1.example", Item(runs.EXTRA))
recorder.after("db1.example", Item(runs.EXTRA, outcome="applied"))
recorder.before("db1.example", Item(runs.FIREBIRD))
print("written", flush=True)
sys.stdin.read()
"""


def process(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_several_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [process(WRITER, str(tmp_path / "store"), name) for name in "abc"]
    said = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(set(said)) == 1, "all made or found the same key"
    assert rows(tmp_path / "store", "SELECT count(*) AS runs FROM runs WHERE finished_at NOTNULL") == [{"runs": 60}]
    assert rows(tmp_path / "store", "SELECT count(*) AS n FROM changes WHERE key LIKE 'Firebird%' AND begun_at NOTNULL") == [
        {"n": 60}
    ]


@pytest.mark.slow
def test_a_killed_process_leaves_what_was_done(tmp_path: Path) -> None:
    writer = process(KILLED, str(tmp_path))
    assert writer.stdout
    assert writer.stdout.readline() == "written\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    store = Store.open(tmp_path)
    assert store.last_applied("db1.example", "service", "Leftover")
    found = rows(tmp_path, "SELECT key, begun_at NOTNULL AS begun, outcome FROM changes ORDER BY rowid")
    assert found == [
        {"key": "Leftover", "begun": 1, "outcome": "applied"},
        {"key": "FirebirdServerDefaultInstance", "begun": 1, "outcome": None},
    ]
    assert rows(tmp_path, "SELECT finished_at FROM runs") == [{"finished_at": None}]

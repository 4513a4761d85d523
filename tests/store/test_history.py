"""What is remembered of past runs is read as it happened: approvals, outcomes, what was begun and never ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import past
import pytest
import runs

from opdeploy.model import OpdeployError, UsageError
from opdeploy.results import HostResult, Item
from opdeploy.store import Store, history
from opdeploy.store.database import APPLICATION, MIGRATIONS, NAME
from opdeploy.store.history import CameTo

FAILED = replace(past.ITEM, outcome="failed", error="access denied")
APPLIED = replace(past.EXTRA, outcome="applied")
MISSED = Item(runs.LATER, outcome="not_reached")


def ids(found: list[history.PastRun]) -> list[str]:
    return [run.run_id for run in found]


def counts(found: CameTo) -> dict[str, int]:
    return {name: count for name, count in asdict(found).items() if count}


# ---------------------------------------------------------------- which runs


def test_the_newest_run_is_first(store: Store) -> None:
    made = [past.planned(store, day) for day in ("2026-11-02", "2026-11-03", "2026-11-01")]
    assert ids(history.runs(store)) == [made[1], made[0], made[2]]
    assert ids(history.runs(store, limit=1)) == [made[1]]
    assert history.run_ids(store) == [made[1], made[0], made[2]]


def test_runs_of_one_second_are_in_the_order_in_which_they_began(store: Store) -> None:
    first = past.planned(store, "2026-11-02", ending="ffffff")
    second = past.planned(store, "2026-11-02", ending="000000")
    assert ids(history.runs(store)) == [second, first]


def test_runs_of_one_command_and_since_a_moment(store: Store) -> None:
    plan, apply = past.planned(store, "2026-11-01"), past.applied(store, "2026-11-02", APPLIED)
    assert ids(history.runs(store, command="plan")) == [plan]
    assert ids(history.runs(store, since="2026-11-01T03:00:00.000Z")) == [apply, plan]
    assert ids(history.runs(store, since="2026-11-01T03:00:01.000Z")) == [apply]


def test_runs_of_one_host_among_them_one_that_was_killed_there(store: Store) -> None:
    whole = past.planned(store, "2026-11-01")
    cut = past.killed(store, "2026-11-02", host="db1.example")
    other = past.applied(store, "2026-11-03", APPLIED, host="db2.example")
    assert ids(history.runs(store, host="DB1.example")) == [cut, whole]
    assert ids(history.runs(store, host="db2.example")) == [other]
    assert history.hosts(store) == ["backup1.example", "db1.example", "db2.example", "ts1.example"]


def test_a_run_is_told_with_its_approvals(store: Store) -> None:
    (run,) = [history.run(store, past.applied(store, "2026-11-02", APPLIED))]
    assert (run.command, run.by, run.inventory, run.code) == ("apply", "anna@admin-pc", "inventories/lab", 0)
    assert run.approvals == (past.APPROVAL,)
    assert run.plan == "sha256:" + "7" * 64
    with pytest.raises(KeyError):
        history.run(store, "never")


# ---------------------------------------------------------------- who was not read

AWAY = runs.host("TS1.example", machine=None, error="the port is closed")
FAILED_HOST = replace(AWAY, error="not the agent's", error_status="failed")
BACK = runs.host("ts1.example", Item(runs.FIREBIRD))


def nights(store: Store, *found: HostResult, command: str = "drift") -> dict[str, tuple[str, int]]:
    for night, host in enumerate(found, start=10):
        past.planned(store, f"2026-11-{night}", host, runs.IN_SYNC, command=command)
    return history.unread(store, ["ts1.EXAMPLE", "backup1.example", "new1.example"])


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((), {}),
        ((BACK, AWAY, BACK), {}),
        ((AWAY,), {"ts1.example": ("2026-11-10T03:00:00Z", 1)}),
        ((BACK, AWAY, FAILED_HOST), {"ts1.example": ("2026-11-11T03:00:00Z", 2)}),
        ((AWAY, AWAY, BACK, AWAY), {"ts1.example": ("2026-11-13T03:00:00Z", 1)}),
    ],
)
def test_since_which_check_a_host_was_not_read(
    found: tuple[HostResult, ...], told: dict[str, tuple[str, int]], store: Store
) -> None:
    assert nights(store, *found) == told


def test_only_checks_count_and_only_those_who_are_asked_of(store: Store) -> None:
    assert nights(store, AWAY, AWAY, command="plan") == {}
    past.planned(store, "2026-11-20", AWAY, command="drift", ending="ffffff")
    assert history.unread(store, ["backup1.example"]) == {}


# ---------------------------------------------------------------- what came of one


def test_an_apply_is_told_by_its_outcomes(store: Store) -> None:
    name = past.applied(store, "2026-11-02", APPLIED, FAILED, MISSED)
    assert counts(history.came_to(store, name)) == {"applied": 1, "failed": 1, "not_reached": 1}
    assert counts(history.came_to(store, name, "db2.example")) == {}


def test_a_plan_is_told_by_its_verdicts_and_no_manual_step_counts(store: Store) -> None:
    hosts = (runs.host("db1.example", Item(runs.FIREBIRD), Item(runs.UNREAD), Item(runs.OPEN)), runs.UNREACHABLE)
    name = past.planned(store, "2026-11-02", *hosts)
    assert counts(history.came_to(store, name)) == {"would_change": 1, "unknown": 1, "unreachable": 1}
    assert counts(history.came_to(store, name, "DB1.example")) == {"would_change": 1, "unknown": 1}


def test_a_drift_check_is_told_by_its_causes(store: Store) -> None:
    changes = {"corrective": runs.FIREBIRD, "never_applied": runs.EXTRA, "waived": runs.LATER, "intentional": runs.NEW_USER}
    items = [Item(change, drift=past.drifted(kind)) for kind, change in changes.items()]
    name = past.planned(store, "2026-11-02", runs.host("db1.example", *items), command="drift")
    assert counts(history.came_to(store, name)) == dict.fromkeys(("corrective", "intentional", "never_applied", "waived"), 1)
    assert {change.key: change.drift for change in history.changes(store, name)} == {
        item.change.resource.key: item.drift for item in items
    }


def test_a_run_that_was_killed_has_what_it_had_done_and_what_nobody_knows(store: Store) -> None:
    name = past.killed(store, "2026-11-02", APPLIED)
    run = history.run(store, name)
    assert (run.code, run.finished_at) == (None, None)
    assert counts(history.came_to(store, name)) == {"applied": 1, "never_ended": 1}
    (host,) = history.hosts_of(store, name)
    assert (host.name, host.status) == ("db1.example", "")
    assert [(change.key, change.outcome, change.never_ended) for change in host.changes] == [
        ("Leftover", "applied", False),
        ("FirebirdServerDefaultInstance", None, True),
    ]


def test_each_change_is_told_property_by_property(store: Store) -> None:
    (change,) = history.changes(store, past.applied(store, "2026-11-02", FAILED))
    assert change.properties["dependencies"] == (["RpcSs"], ["RpcSs", "Tcpip"])
    assert (change.outcome, change.error, change.action) == ("failed", "access denied", "update")


def test_hosts_are_told_with_windows_and_what_they_were_sent(store: Store) -> None:
    (host,) = history.hosts_of(store, past.applied(store, "2026-11-02", APPLIED))
    assert (host.status, host.machine) == ("in_sync", history.PastMachine("ServerNT", 20348, "5.1.20348.2849"))
    assert host.evidence == past.EVIDENCE
    *_, away = history.hosts_of(store, past.planned(store, "2026-11-01"))
    assert (away.status, away.machine) == ("unreachable", None)
    assert "did not take the password" in away.error


@pytest.mark.parametrize(
    ("item", "happened"),
    [
        (replace(past.ITEM, outcome="applied"), True),
        (MISSED, True),
        (past.ITEM, False),
        (replace(past.ITEM, drift=past.drifted("corrective")), True),
        (replace(past.ITEM, drift=past.drifted("corrective", last_seen="2026-11-21T03:00:00Z")), False),
        (replace(past.ITEM, drift=past.drifted("intentional")), False),
    ],
)
def test_what_happened_on_a_host_is_told_apart_from_what_was_only_seen(store: Store, item: Item, happened: bool) -> None:
    name = past.planned(store, "2026-11-02", runs.host("db1.example", item))
    assert [change.happened for change in history.changes(store, name)] == [happened]


# ---------------------------------------------------------------- opening


def test_who_looks_needs_no_key_and_can_write_nothing(store: Store) -> None:
    past.planned(store, "2026-11-01")
    (store.folder / "key").unlink()
    looked = history.opened(store.folder)
    assert len(history.runs(looked)) == 1
    with pytest.raises(OpdeployError, match="readonly"):
        past.planned(looked, "2026-11-02")
    looked.close()
    assert not (store.folder / "key").exists()


def test_one_of_an_earlier_schema_is_brought_up(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    (tmp_path / NAME).unlink()
    with closing(sqlite3.connect(tmp_path / NAME)) as old:
        old.executescript(f"{MIGRATIONS[0]} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1;")
        old.execute("INSERT INTO runs VALUES ('1', 'plan', '2026-01-01T00:00:00Z', 'anna', '0', 'x', 'y', NULL, NULL)")
        old.commit()
    with closing(history.opened(tmp_path)) as store:
        assert [run.approvals for run in history.runs(store)] == [()]


def test_looking_at_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run store here"):
        history.opened(tmp_path / "no")
    assert list(tmp_path.iterdir()) == []

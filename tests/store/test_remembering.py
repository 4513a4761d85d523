"""What the run store remembers for drift: over nights, runs that were cut off, removals, and for a whole fleet at once."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import runs

from opdeploy.drifting import classified
from opdeploy.model import Change, OpdeployError
from opdeploy.results import Drift, HostResult, Item, Run
from opdeploy.store import Store
from opdeploy.store.records import NAME

NIGHTS = [f"2026-11-{day}T03:00:00Z" for day in (20, 21, 22, 23)]
DIFFERS = runs.service("Spooler", start_mode=("manual", "disabled"))
BACK = replace(DIFFERS, resource=DIFFERS.resource.model_copy(update={"start_mode": "manual"}))
AS_WANTED = runs.in_sync("Spooler", start_mode="disabled")


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What another program reads in the file."""
    connection = sqlite3.connect(folder / NAME)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def run_of(*items: Change[Any] | Item, number: int = 0, host: str = "db1.example", **given: Any) -> Run:
    told = [item if isinstance(item, Item) else Item(item) for item in items]
    given = {"command": "drift", "run_id": f"{number}{given.get('command')}", "created_at": NIGHTS[number], **given}
    return runs.run(runs.host(host, *told), **given)


def checked(store: Store, run: Run) -> Run:
    """As `opdeploy drift check` does it."""
    found = classified(run, store.memory(host.name for host in run.hosts), [], date(2026, 11, 22))
    store.record(found)
    return found


def drift(run: Run) -> Drift:
    told = run.hosts[0].items[0].drift
    assert told is not None
    return told


def test_three_nights(tmp_path: Path) -> None:
    """Each with a store that was opened anew, as a timer's process does."""
    told = []
    for number, change in enumerate((AS_WANTED, DIFFERS, DIFFERS, DIFFERS)):
        store = Store.open(tmp_path)
        run = checked(store, run_of(change, number=number, host="DB1.example"))
        told.append(run.hosts[0].items[0].drift)
        store.close()
    assert told == [
        None,
        Drift("corrective", NIGHTS[1], ""),
        Drift("corrective", NIGHTS[1], NIGHTS[1]),
        Drift("corrective", NIGHTS[1], NIGHTS[2]),
    ]
    assert rows(tmp_path, "SELECT * FROM differences") == [
        ("db1.example", "service", "spooler", "start_mode", NIGHTS[1], NIGHTS[3])
    ]


def test_plan_and_apply_see_it_too(store: Store) -> None:
    store.record(run_of(AS_WANTED, command="plan"))
    store.record(run_of(DIFFERS, number=1, command="plan"))
    assert drift(checked(store, run_of(DIFFERS, number=2))) == Drift("corrective", NIGHTS[1], NIGHTS[1])
    store.record(run_of(Item(DIFFERS, outcome="applied"), number=3, command="apply"))
    assert rows(store.folder, "SELECT * FROM differences") == []
    assert rows(store.folder, "SELECT desired, at FROM known") == [('{"start_mode": "disabled"}', NIGHTS[3])]


def test_a_run_of_snapshots_tells_nothing_of_now(store: Store) -> None:
    store.record(run_of(AS_WANTED, command="plan", from_snapshots=True))
    store.record(run_of(DIFFERS, number=1, command="plan", from_snapshots=True))
    assert store.memory(["db1.example"]).hosts == {}


def test_what_was_applied_is_known_though_the_run_was_killed(store: Store) -> None:
    checked(store, run_of(DIFFERS))
    recorder = store.begin(run_of(command="apply", number=1))
    recorder.before("db1.example", Item(DIFFERS))
    recorder.after("db1.example", Item(DIFFERS, outcome="applied"))
    assert drift(checked(store, run_of(DIFFERS, number=2))) == Drift("corrective", NIGHTS[2], "")


def test_what_failed_is_not_known(store: Store) -> None:
    recorder = store.begin(run_of(command="apply"))
    recorder.after("db1.example", Item(DIFFERS, outcome="failed"))
    assert drift(checked(store, run_of(DIFFERS, number=1))).kind == "never_applied"


def test_what_was_taken_back_is_forgotten(store: Store) -> None:
    """The roles are still in the inventory: the next check finds something that was never applied, and nobody's doing."""
    store.record(run_of(Item(DIFFERS, outcome="applied"), command="apply"))
    checked(store, run_of(DIFFERS, number=1))
    removal = run_of(number=1, command="remove")
    recorder = store.begin(removal)
    recorder.after("db1.example", Item(BACK, outcome="applied"))
    recorder.finish(replace(removal, hosts=(runs.host("DB1.example", Item(BACK, outcome="applied")),)))
    assert store.memory(["db1.example"]).hosts == {}
    assert drift(checked(store, run_of(DIFFERS, number=2))) == Drift("never_applied", NIGHTS[2], "")
    assert store.last_applied("db1.example", "service", "Spooler") == ""


def found(store: Store) -> bool:
    """Whether it is kept what was there before us."""
    return bool(rows(store.folder, "SELECT 1 FROM found"))


@pytest.mark.parametrize(
    ("item", "forgotten"),
    [
        (Item(BACK, outcome="applied"), True),
        (Item(AS_WANTED), True),
        (Item(BACK, outcome="failed"), False),
        (Item(BACK, outcome="not_reached"), False),
        (Item(BACK), False),
    ],
    ids=["applied", "in sync", "failed", "not reached", "not begun"],
)
def test_what_was_there_before_us_is_forgotten_with_the_end_of_its_removal(store: Store, item: Item, forgotten: bool) -> None:
    store.begin(run_of(command="apply")).before("db1.example", Item(DIFFERS))
    removal = run_of(item, number=1, command="remove", host="DB1.example")
    recorder = store.begin(removal)
    recorder.after("db1.example", item)
    assert found(store)
    recorder.finish(removal)
    assert found(store) is not forgotten


def test_a_removal_whose_end_can_not_be_written_down_forgets_nothing(store: Store) -> None:
    """Forgetting and the end are one transaction, so that no kill comes between them."""
    store.begin(run_of(command="apply")).before("db1.example", Item(DIFFERS))
    removal = run_of(Item(BACK, outcome="applied"), number=1, command="remove")
    recorder = store.begin(removal)
    with store.writing() as db:
        db.execute("CREATE TRIGGER full BEFORE UPDATE OF finished_at ON runs BEGIN SELECT raise(ABORT, 'full'); END")
    with pytest.raises(OpdeployError):
        recorder.finish(removal)
    assert found(store)


@pytest.mark.parametrize("change", [BACK, AS_WANTED], ids=["to take back", "in sync"])
def test_a_removal_that_was_only_planned_forgets_nothing(store: Store, change: Change[Any]) -> None:
    store.begin(run_of(command="apply")).before("db1.example", Item(DIFFERS))
    checked(store, run_of(AS_WANTED))
    store.record(run_of(change, number=1, command="remove"))
    assert found(store)
    assert drift(checked(store, run_of(DIFFERS, number=2))) == Drift("corrective", NIGHTS[2], "")


def test_only_what_was_asked_for_is_remembered(store: Store) -> None:
    checked(store, run_of(AS_WANTED))
    checked(store, run_of(AS_WANTED, number=1, host="db2.example"))
    assert set(store.memory(["DB2.example"]).hosts) == {"db2.example"}


def test_a_difference_is_recorded_with_what_the_check_said_of_it(store: Store) -> None:
    checked(store, run_of(AS_WANTED))
    checked(store, run_of(DIFFERS, number=1))
    ((told,),) = rows(store.folder, "SELECT drift FROM changes")
    assert json.loads(told) == {"kind": "corrective", "first_seen": NIGHTS[1], "last_seen": "", "waived": []}


def test_a_secret_is_remembered_by_its_fingerprint(store: Store) -> None:
    there = replace(runs.user(password=(runs.secret(), runs.secret())), verdict="in_sync", action="none")
    checked(store, run_of(there))
    ((desired,),) = rows(store.folder, "SELECT desired FROM known")
    assert json.loads(desired) == {"password": {"value": "(secret)", "secret": [runs.secret().fingerprint(store.key())]}}
    assert not [path for path in store.folder.iterdir() if runs.PASSWORD.encode() in path.read_bytes()]
    assert runs.PASSWORD not in repr(store.memory(["db1.example"])) + repr(store.key())


# ---------------------------------------------------------------- a fleet

HOSTS, RESOURCES = 200, 150


@pytest.mark.parametrize("hosts", [2, HOSTS])
def test_a_fleet_is_read_in_as_many_queries_as_a_host(hosts: int, store: Store) -> None:
    items = [Item(runs.in_sync(f"S{number}", start_mode="disabled")) for number in range(RESOURCES)]
    drifted = [Item(runs.service(f"S{number}", start_mode=("manual", "disabled"))) for number in range(RESOURCES)]
    store.record(fleet(hosts, items))
    asked: list[str] = []
    store._connection.set_trace_callback(asked.append)
    run = checked(store, fleet(hosts, drifted, number=1))
    store._connection.set_trace_callback(None)
    assert Counter(item.drift and item.drift.kind for host in run.hosts for item in host.items) == {
        "corrective": hosts * RESOURCES
    }
    assert len(rows(store.folder, "SELECT 1 FROM differences")) == hosts * RESOURCES
    assert sum(query.lstrip().startswith("SELECT") for query in asked) == 4


def fleet(hosts: int, items: list[Item], number: int = 0) -> Run:
    told = [HostResult(f"db{host}.example", tuple(items)) for host in range(hosts)]
    return runs.run(*told, command="drift", run_id=str(number), created_at=NIGHTS[number])

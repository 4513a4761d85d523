"""A run of the store is shown as it was printed; what nobody knows of it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import past as made
import pytest
import runs
from runs import run_text

from opdeploy.reboots import Reboot
from opdeploy.reports import document, past
from opdeploy.reports.document import Report, as_json
from opdeploy.reports.text import Detail, plain, report_text
from opdeploy.results import Item, Run, WaiverUse
from opdeploy.store import Store, history

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/report.schema.json").read_text(encoding="utf-8"))
STEPS = runs.host("db1.example", Item(runs.OPEN), Item(runs.SIGNED), evidence=made.EVIDENCE)
BEFALLEN = replace(
    runs.PLANNED,
    warnings=("left: x",),
    error="it is stale",
    details=("a b c",),
    hint="plan again",
    reboot=Reboot(("servicing",)),
)
DRIFTED = runs.host(
    "db1.example", replace(made.ITEM, drift=made.drifted("corrective"), last_applied="2026-11-02T03:00:00.000Z")
)
WAIVER = WaiverUse("hosts.yml:3", "db1", "service/*", ("start_mode",), "moves in May", "anna", "2026-12-01", "expired")


def of_store(store: Store, run_id: str) -> Report:
    return past.report(history.run(store, run_id), history.hosts_of(store, run_id))


def text(report: Report) -> str:
    return plain(report_text(report, Detail()))


@pytest.mark.parametrize(
    "run",
    [
        runs.FLEET,
        runs.run(STEPS),
        runs.run(BEFALLEN, command="apply", approvals=(made.APPROVAL,), plan="sha256:7"),
        runs.run(runs.host("db1.example", replace(made.ITEM, outcome="failed", error="access denied")), command="apply"),
        runs.run(DRIFTED, command="drift", waivers=(WAIVER,)),
        runs.run(runs.host("db1.example"), command="remove"),
        runs.run(runs.host("db1.example", Item(runs.service("Spooler", display_name=("half a pair: \ud800", "Spooler"))))),
    ],
    ids=["fleet", "steps", "befallen", "failed", "drift", "nothing", "surrogate"],
)
def test_a_run_is_shown_as_it_was_printed(store: Store, run: Run) -> None:
    store.record(run)
    shown = of_store(store, run.run_id)
    assert text(shown) == plain(run_text(run))
    jsonschema.validate(as_json(shown), SCHEMA)


def test_only_what_was_in_sync_the_session_and_the_calls_are_not_there_any_more(store: Store) -> None:
    store.record(runs.FLEET)
    was, shown = as_json(document.report(runs.FLEET)), as_json(of_store(store, runs.FLEET.run_id))
    for host in was["hosts"]:
        host["resources"] = [one | {"commands": []} for one in host["resources"] if one["verdict"] != "in_sync"]
        host["session"] = None
    assert shown == was


def test_of_a_run_that_never_ended_is_said_what_nobody_knows(store: Store) -> None:
    shown = text(of_store(store, made.killed(store, "2026-11-02", replace(made.EXTRA, outcome="applied"))))
    assert "db1.example\n\n  this run never ended: it was killed, or is under way\n" in shown
    assert "      applied\n  ~ service            FirebirdServerDefaultInstance " in shown
    assert "and never ended: nobody knows what came of it" in shown


def test_what_an_earlier_version_did_not_record_is_not_made_up(store: Store) -> None:
    store.record(runs.FLEET)
    for table in ("runs", "hosts", "changes"):
        store._connection.execute(f"UPDATE {table} SET report = '{{}}'")
    shown = text(of_store(store, runs.FLEET.run_id))
    assert "warning: recorded by an earlier version: how much was in sync is not known" in shown
    assert "the host did not take the password" in shown
    assert "(20348), PowerShell unknown" in shown

"""A run store with a past: runs of several days, approved, failed, killed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import runs

from opdeploy.results import Approval, Drift, Evidence, HostResult, Item
from opdeploy.store import Store

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
APPROVAL = Approval("berta", "approve", "2026-11-20T08:00:00Z", "as agreed", "2026-11-27T08:00:00Z", "SHA256:k3y")
EVIDENCE = Evidence(("registry.read",), ("cmdlet.write Set-Service",), ("a" * 64,), "d" * 64)
ITEM = Item(runs.FIREBIRD)
EXTRA = Item(runs.EXTRA)


def run_id(day: str, ending: str) -> str:
    return f"{day.replace('-', '')}T030000Z-{ending}"


def planned(store: Store, day: str, *hosts: HostResult, command: str = "plan", ending: str = "0a0a0a", **given: Any) -> str:
    """A run that is over and changed nothing."""
    name = run_id(day, ending)
    run = runs.run(*(hosts or runs.FLEET.hosts), command=command, run_id=name, created_at=f"{day}T03:00:00Z", **given)
    store.record(run)
    return name


def applied(store: Store, day: str, *items: Item, host: str = "db1.example", ending: str = "0b0b0b") -> str:
    """An approved apply of these, with their outcomes."""
    name = run_id(day, ending)
    run = runs.run(
        command="apply", run_id=name, created_at=f"{day}T03:00:00Z", plan="sha256:" + "7" * 64, approvals=(APPROVAL,)
    )
    recorder = store.begin(run)
    for item in items:
        if item.outcome != "not_reached":
            recorder.before(host, replace(item, outcome=None, error=""))
            recorder.after(host, item)
    recorder.finish(replace(run, hosts=(runs.host(host, *items, evidence=EVIDENCE),)))
    return name


def killed(store: Store, day: str, *done: Item, during: Item = ITEM, host: str = "db1.example", ending: str = "0c0c0c") -> str:
    """An apply that went down in the middle of a change."""
    name = run_id(day, ending)
    recorder = store.begin(runs.run(command="apply", run_id=name, created_at=f"{day}T03:00:00Z"))
    for item in done:
        recorder.before(host, replace(item, outcome=None))
        recorder.after(host, item)
    recorder.before(host, during)
    return name


def drifted(kind: str, last_seen: str = "") -> Drift:
    return Drift(kind, "2026-11-20T03:00:00Z", last_seen)  # type: ignore[arg-type]

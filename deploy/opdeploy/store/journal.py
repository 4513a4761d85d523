"""One run's journal: each change before and after it was made, and what every host should be.

A change is committed before its first write is sent and again when it ended, so a process killed at any moment leaves what
it did: a row that was begun and never ended is one nobody knows the outcome of. Nothing here decides or compares.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from opdeploy.keeping import joined, kept
from opdeploy.memory import thing
from opdeploy.model import SETTLED, Change, OpdeployError
from opdeploy.rendering import plain
from opdeploy.resources.base import OPTION, parts, properties
from opdeploy.results import HostResult, Item, Run, may_reboot, summary
from opdeploy.store import practices, remembering
from opdeploy.store.database import now

if TYPE_CHECKING:
    from opdeploy.store.records import Store

FOUND = "SELECT told FROM found WHERE host = ? AND kind = ? AND identity = ?"
KEEP = """
    INSERT INTO found VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET told = excluded.told WHERE told <> excluded.told
"""
FORGET = "DELETE FROM found WHERE host = ? AND kind = ? AND identity = ?"
NOT_YET = f"{FORGET} AND run_id = ?"
SO_FAR = """
    SELECT sum(outcome = 'applied'), sum(ended_at IS NULL) FROM changes
    WHERE run_id = ? AND begun_at IS NOT NULL AND action <> 'none'
"""
FINISHED = "UPDATE runs SET finished_at = ?, code = ?, report = ? WHERE run_id = ?"
ENDED = "UPDATE changes SET ended_at = ? WHERE run_id = ? AND outcome IN ('applied', 'failed') AND ended_at IS NULL"


@dataclass(frozen=True)
class Recorder:
    """One run's journal."""

    store: Store
    run: Run

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def _is_of_the_inventory(self) -> bool:
        """Whether what this run wants is what the inventory says, and what it saw is of now."""
        return self.run.command != "remove" and not self.run.from_snapshots

    def before(self, host: str, item: Item) -> None:
        """Commits that this change is about to be made."""
        change = item.change
        one = (host.lower(), *thing(change.resource))
        told = kept(change.actual)
        with self.store.writing() as db:
            _write(db, self._change(host, item) | {"begun_at": now()})
            if first := db.execute(FOUND, one).fetchone():
                told = joined(json.loads(first[0]), told)
            db.execute(KEEP, (*one, json.dumps(told, sort_keys=True), self.run_id, now()))
            practices.add(db, host.lower(), self.run.practice)

    def after(self, host: str, item: Item, *, untouched: bool = False) -> None:
        """Commits what came of it; one that left all `untouched` was not the first change."""
        ended = {"outcome": item.outcome, "error": item.error, "ended_at": now()}
        with self.store.writing() as db:
            _write(db, self._change(host, item) | ended)
            if untouched:
                db.execute(NOT_YET, (host.lower(), *thing(item.change.resource), self.run_id))
            if item.outcome == "applied" and self._is_of_the_inventory:
                remembering.add_applied(db, self.run, host, item, self.store.key())

    def so_far(self) -> tuple[int, int]:
        """How many changes were made, and how many begun of which nobody knows more."""
        made, begun = self.store.row(SO_FAR, self.run_id)
        return int(made or 0), int(begun or 0)

    def finish(self, run: Run, *, planned: bool = False) -> None:
        """Commits the run's end, its hosts and every change that was not journalled (what an apply did not get to); a
        removal that was more than `planned` forgets in the same breath what it took back.
        """
        if run.run_id != self.run_id:
            raise OpdeployError(f"run {run.run_id} is not the one that was begun, {self.run_id}")
        with self.store.writing() as db:
            for host in run.hosts:
                self._finish_host(db, host)
            if self._is_of_the_inventory:
                remembering.add(db, run, self.store.key())
            if run.command == "remove" and not planned:
                _forget(db, run.hosts)
            db.execute(ENDED, (now(), self.run_id))
            report = json.dumps({"waivers": [asdict(waiver) for waiver in run.waivers]})
            db.execute(FINISHED, (now(), int(run.code), report, self.run_id))

    def _finish_host(self, db: sqlite3.Connection, host: HostResult) -> None:
        desired = json.dumps({item.id: _desired(item.change) for item in host.items}, sort_keys=True)
        digest = hashlib.sha256(desired.encode()).hexdigest()
        machine = {"product": host.machine.product, "build": host.machine.build} if host.machine else None
        db.execute("INSERT OR IGNORE INTO desired VALUES (?, ?)", (digest, desired))
        evidence = json.dumps(asdict(host.evidence))
        report = json.dumps(_report_of_host(host))
        row = (self.run_id, host.name.lower(), host.status, host.reason, json.dumps(machine), digest, evidence, report)
        db.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        practices.add(db, host.name.lower(), self.run.practice)
        for item in host.items:
            if item.outcome or item.change.verdict not in SETTLED:
                drift = json.dumps(asdict(item.drift)) if item.drift else ""
                outcome = {"outcome": item.outcome, "error": item.error, "reboot": item.reboot, "drift": drift}
                _write(db, self._change(host.name, item) | outcome)

    def _change(self, host: str, item: Item) -> dict[str, Any]:
        change = item.change
        properties = {name: [plain(item.before), plain(item.after)] for name, item in change.properties.items()}
        return {
            "run_id": self.run_id,
            "host": host.lower(),
            "kind": change.resource.KIND,
            "identity": change.resource.key.lower(),
            "key": change.resource.key,
            "verdict": change.verdict,
            "action": change.action,
            "properties": json.dumps(properties),
            "reason": str(change.reason),
            "report": json.dumps(_report_of_change(item)),
        }


def _write(db: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """Adds a change, or what is new of one: times that are there stay."""
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    new = ", ".join(f"{name} = excluded.{name}" for name in row)
    query = f"INSERT INTO changes ({names}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {new}"  # noqa: S608 - names are ours
    db.execute(query, tuple(row.values()))


def _forget(db: sqlite3.Connection, hosts: Iterable[HostResult]) -> None:
    """What was taken back, or is as it was without us: its next first change begins anew, and nobody misses it."""
    for host in hosts:
        for item in host.items:
            if item.outcome == "applied" or (item.outcome is None and item.change.verdict == "in_sync"):
                kind, key = item.change.resource.KIND, item.change.resource.key
                db.execute(FORGET, (host.name.lower(), kind, key.lower()))
                remembering.forget(db, host.name, kind, key)


def _desired(change: Change[Any]) -> dict[str, Any]:
    """The state that a resource should have: what the inventory manages of it, secrets hidden."""
    kind, resource = type(change.resource), change.resource
    managed = {name: plain(value) for name in properties(kind) if (value := getattr(resource, name)) is not None}
    return managed | {name: True for name in parts(kind, OPTION) if getattr(resource, name) is True}


def _report_of_host(host: HostResult) -> dict[str, Any]:
    """What nothing is decided by, and who reads the run's report again wants to see as it was."""
    told = {name: getattr(host, name) for name in ("error", "details", "hint", "warnings")}
    signed = sum(item.change.verdict == "in_sync" for item in host.manual_steps)
    powershell = host.machine.powershell if host.machine else ""
    counted = {"summary": summary([item.change for item in host.items]), "signed": signed}
    return {**told, **counted, "powershell": powershell, "reboot": asdict(host.reboot)}


def _report_of_change(item: Item) -> dict[str, Any]:
    change = item.change
    told = {"roles": change.roles, "known_after_apply": change.known_after_apply, "may_reboot": may_reboot(change)}
    return {**told, "last_applied": item.last_applied}

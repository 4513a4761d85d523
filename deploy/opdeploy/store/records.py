"""Run records: who ran what from where, what each host should be, and each change before and after it was made.

A change is committed before its first write is sent and again when it ended, so a process killed at any moment leaves what
it did: a row that was begun and never ended is one nobody knows the outcome of. Nothing here decides or compares.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from opdeploy import __version__, controller, xdg
from opdeploy.calls import Answer, Failure, Read
from opdeploy.keeping import kept
from opdeploy.memory import Memory
from opdeploy.model import SETTLED, Change, OpdeployError, Secret, UsageError
from opdeploy.rendering import plain, timestamp
from opdeploy.resources.base import OPTION, parts, properties
from opdeploy.results import HostResult, Item, Practice, Run, may_reboot, summary
from opdeploy.store import database, keys, practices, remembering

NAME = database.NAME
BEGUN = """
    INSERT INTO runs (run_id, command, created_at, by_whom, tool, inventory, sources, plan, approvals, folder, practice)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
LAST_APPLIED = """
    SELECT CASE command WHEN 'remove' THEN '' ELSE ended_at END FROM changes JOIN runs USING (run_id)
    WHERE outcome = 'applied' AND host = ? AND kind = ? AND identity = ? ORDER BY ended_at DESC LIMIT 1
"""
SIGNED = "SELECT id, digest, by_whom, note, at FROM steps WHERE host = ?"
RECORDED = "SELECT fingerprint, set_at FROM passwords WHERE host = ? AND user = ?"
FOUND = "SELECT told FROM found WHERE host = ? AND kind = ? AND identity = ?"
FORGET = "DELETE FROM found WHERE host = ? AND kind = ? AND identity = ?"
SO_FAR = """
    SELECT sum(outcome = 'applied'), sum(ended_at IS NULL) FROM changes
    WHERE run_id = ? AND begun_at IS NOT NULL AND action <> 'none'
"""
FINISHED = "UPDATE runs SET finished_at = ?, code = ?, report = ? WHERE run_id = ?"
ENDED = "UPDATE changes SET ended_at = ? WHERE run_id = ? AND outcome IN ('applied', 'failed') AND ended_at IS NULL"


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """This machine's, where its configuration names one; else the account's own. Raises InventoryError."""
    return controller.load(environment).store or own_folder(environment)


def own_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """``$XDG_STATE_HOME/opdeploy``, else ``~/.local/state/opdeploy``."""
    return xdg.state(environment) / "opdeploy"


@dataclass(frozen=True)
class SignOff:
    """Of a manual step: `digest` is of the text that was signed, `at` ISO 8601 UTC."""

    digest: str
    by: str
    note: str
    at: str


@dataclass
class Store:
    """One folder with the database and the key. Several processes and threads may write at once."""

    folder: Path
    _connection: sqlite3.Connection
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(cls, folder: Path | None = None) -> Store:
        """Opens a store, makes it if there is none. Raises UsageError for one that can't be used; it is left as it is."""
        folder = folder or default_folder()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UsageError(f"{folder} is a file, and the run store is a folder", "name another with --store") from error
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror}", "name a folder of your own with --store") from error
        known = (folder / NAME).exists()
        if not known:
            _key(folder)  # before the first record: there is none without its key
        connection = database.connect(folder / NAME)
        try:
            _key(folder, made_already=known)
        except UsageError:
            connection.close()
            raise
        return cls(folder, connection)

    def close(self) -> None:
        self._connection.close()

    def key(self) -> bytes:
        """What fingerprints are made with."""
        return self._key

    @cached_property
    def _key(self) -> bytes:
        return _key(self.folder)

    # ------------------------------------------------------------ runs

    def begin(self, run: Run) -> Recorder:
        """A run that is about to happen; its hosts are written by `Recorder.finish`."""
        approvals = json.dumps([asdict(approval) for approval in run.approvals])
        row = (run.run_id, run.command, run.created_at, run.by, __version__, run.inventory, run.sources, run.plan, approvals)
        with self.writing() as db:
            db.execute(BEGUN, (*row, run.practice.folder, run.practice.name))
        return Recorder(self, run)

    def record(self, run: Run) -> None:
        """A run that is over and made no change: a plan, a drift check."""
        self.begin(run).finish(run, planned=True)

    def last_applied(self, host: str, kind: str, key: str) -> str:
        """When we last changed this resource there, ISO 8601 UTC; '' if never."""
        row = self.row(LAST_APPLIED, _id(host), kind, key.lower())
        return (row and row[0]) or ""

    # ------------------------------------------------------------ what was there before us

    def found(self, host: str, kind: str, key: str) -> Any:
        """What was there before our first change of a resource (`keeping.kept`), None if nothing was. Raises KeyError."""
        row = self.row(FOUND, _id(host), kind, key.lower())
        if row is None:
            raise KeyError(key)
        return json.loads(row[0])

    def memory(self, hosts: Iterable[str]) -> Memory:
        """What is remembered of these hosts' resources: when each was last as desired, since when it is not."""
        with self._lock, database.told(self.folder / NAME):
            return remembering.load(self._connection, hosts, self.key())

    # ------------------------------------------------------------ logs of hosts

    def keep_log(self, name: str, text: str) -> Path:
        """Writes down what a host's log says, in a file of its own that only we may read."""
        folder = self.folder / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "-", name)[:100]
        path = folder / f"{now().replace(':', '')}-{stem}.log"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # ------------------------------------------------------------ passwords

    def password(self, host: str, user: str) -> tuple[str, str] | None:
        """The fingerprint of the password that we last set, and when the host says that it was set."""
        row = self.row(RECORDED, _id(host), _account(user))
        return (row[0], row[1]) if row else None

    def set_password(self, host: str, user: str, password: Secret, set_at: str) -> None:
        """Notes what an apply has set; `set_at` as the host tells it."""
        row = (_id(host), _account(user), password.fingerprint(self.key()), set_at)
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO passwords VALUES (?, ?, ?, ?)", row)

    # ------------------------------------------------------------ manual steps

    def steps(self, host: str) -> dict[str, SignOff]:
        """What was signed off on a host, by the step's ID."""
        return {row[0]: SignOff(*row[1:]) for row in self.rows(SIGNED, _id(host))}

    def sign_step(self, host: str, id: str, digest: str, by: str, note: str, practice: Practice | None = None) -> None:
        """Notes who has done a step; what was signed before of the same step is replaced."""
        with self.writing() as db:
            practices.add(db, _id(host), practice or Practice())
            db.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?)", (_id(host), id, digest, by, note, now()))

    def withdraw_step(self, host: str, id: str) -> None:
        """A step is open again."""
        with self.writing() as db:
            db.execute("DELETE FROM steps WHERE host = ? AND id = ?", (_id(host), id))

    # ------------------------------------------------------------ what no host can answer

    def answer(self, read: Read, host: str) -> Answer:
        """Answers what only the controller knows: `calls.password_record`, `calls.step_record`."""
        if read.verb == "record.password":
            return self._password_record(read, host)
        if read.verb == "record.step":
            return self._step_record(read, host)
        return Failure(f"the run store has no answer to {read.verb}", id="opdeploy.NoVerb")

    def _password_record(self, read: Read, host: str) -> Answer:
        record = self.password(host, read.args["user"])
        if record is None:
            return None
        return {"same": record[0] == read.args["password"].fingerprint(self.key()), "set_at": record[1]}

    def _step_record(self, read: Read, host: str) -> Answer:
        found = self.steps(host).get(read.args["id"])
        if found is None:
            return None
        return {"by": found.by, "note": found.note, "at": found.at, "same": found.digest == read.args["digest"]}

    # ------------------------------------------------------------ SQLite

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, database.told(self.folder / NAME), database.transaction(self._connection) as db:
            yield db

    def row(self, query: str, *values: str) -> Any:
        with self._lock, database.told(self.folder / NAME):
            return self._connection.execute(query, values).fetchone()

    def rows(self, query: str, *values: str) -> list[Any]:
        with self._lock, database.told(self.folder / NAME):
            return self._connection.execute(query, values).fetchall()


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
        told = json.dumps(kept(change.actual), sort_keys=True)
        with self.store.writing() as db:
            _write(db, self._change(host, item) | {"begun_at": now()})
            row = (_id(host), change.resource.KIND, change.resource.key.lower(), told, self.run_id, now())
            db.execute("INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?, ?)", row)
            practices.add(db, _id(host), self.run.practice)

    def after(self, host: str, item: Item) -> None:
        """Commits what came of it."""
        ended = {"outcome": item.outcome, "error": item.error, "ended_at": now()}
        with self.store.writing() as db:
            _write(db, self._change(host, item) | ended)
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
        row = (self.run_id, _id(host.name), host.status, host.reason, json.dumps(machine), digest, evidence, report)
        db.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        practices.add(db, _id(host.name), self.run.practice)
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
            "host": _id(host),
            "kind": change.resource.KIND,
            "identity": change.resource.key.lower(),
            "key": change.resource.key,
            "verdict": change.verdict,
            "action": change.action,
            "properties": json.dumps(properties),
            "reason": str(change.reason),
            "report": json.dumps(_report_of_change(item)),
        }


def _key(folder: Path, made_already: bool = False) -> bytes:
    """Raises UsageError for a key that is gone, broken or open to others: the records would be worthless under a new one."""
    path = folder / keys.NAME
    if made_already and not path.exists():
        hint = f"restore it from a backup, or move {folder} away and start a new history"
        raise UsageError(f"{path} is gone, and the records beside it were made with it", hint)
    try:
        return keys.load(folder)
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror}", "name a folder of your own with --store") from error


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
                db.execute(FORGET, (_id(host.name), kind, key.lower()))
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


def _id(host: str) -> str:
    return host.lower()


def _account(user: str) -> str:
    return user.lower().removeprefix(".\\")


def now() -> str:
    return timestamp(datetime.now(UTC), "milliseconds")

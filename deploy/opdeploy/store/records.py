"""The run store: its folder, its runs (each written by a `journal.Recorder`), and what only it knows of a host."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from opdeploy import __version__, controller, xdg
from opdeploy.calls import Answer, Failure, Read
from opdeploy.memory import Memory
from opdeploy.model import Secret, UsageError
from opdeploy.results import Practice, Run
from opdeploy.store import database, keys, practices, remembering
from opdeploy.store.database import now
from opdeploy.store.journal import FOUND, Recorder

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


def _id(host: str) -> str:
    return host.lower()


def _account(user: str) -> str:
    return user.lower().removeprefix(".\\")

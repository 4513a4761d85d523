"""The run store looked after: whether it is whole, what of it is old enough to go, and all of it as lines of JSON.

What prune leaves alone, however old: what was there before us, passwords, sign-offs, whose a host is, what is known of drift,
and every run that holds the last time something was applied, an inventory's last drift check, or what people were last told.
"""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opdeploy import __version__
from opdeploy.model import OpdeployError, UsageError
from opdeploy.store import database, keys
from opdeploy.store.database import MIGRATIONS, NAME
from opdeploy.store.records import Store

SCHEMA = "opdeploy.export/1"
UNENDED = """
    SELECT run_id, command, created_at, by_whom, (SELECT count(*) FROM changes
        WHERE changes.run_id = runs.run_id AND begun_at NOTNULL AND outcome IS NULL)
    FROM runs WHERE finished_at IS NULL ORDER BY created_at
"""
# Of a group SQLite gives the row that has the max: https://www.sqlite.org/lang_select.html#bareagg
OLD = """
    WITH applied AS (SELECT run_id, max(ended_at) FROM changes WHERE outcome = 'applied' GROUP BY host, kind, identity),
        checked AS (SELECT run_id, max(rowid) FROM runs WHERE command = 'drift' GROUP BY inventory),
        told AS (SELECT run_id, max(rowid) FROM runs WHERE told_at NOTNULL GROUP BY json_extract(findings, '$.scope'))
    SELECT run_id, command FROM runs WHERE created_at < ? AND run_id NOT IN (
        SELECT run_id FROM applied UNION SELECT run_id FROM checked UNION SELECT run_id FROM told
    ) ORDER BY created_at
"""
OLDER = "SELECT count(*) FROM runs WHERE created_at < ?"
UNUSED = "DELETE FROM desired WHERE digest NOT IN (SELECT desired FROM hosts)"


@dataclass(frozen=True)
class Unended:
    """A run that was killed, or is under way. `begun`: its changes of which nobody knows what came."""

    run_id: str
    command: str
    created_at: str
    by: str
    begun: int


@dataclass(frozen=True)
class Checked:
    """`faults`: whatever keeps the store from use, or from being relied on."""

    path: Path
    size: int
    whole: bool
    schema: int
    runs: int
    unended: tuple[Unended, ...]
    aside: tuple[Path, ...]
    faults: tuple[OpdeployError, ...]


@dataclass(frozen=True)
class Old:
    """What prune would delete: runs, by command; `kept` are as old and stay."""

    run_ids: tuple[str, ...]
    commands: tuple[str, ...]
    kept: int


# ---------------------------------------------------------------- check


def check(folder: Path) -> Checked:
    """Reads the whole store, and writes nothing. Raises UsageError where there is none, or another program's."""
    path = folder / NAME
    with database.told(path, UsageError):
        broken = database.damage(path)
        schema, runs, unended = (0, 0, ()) if broken else _looked_into(path)
        size = sum(part.stat().st_size for end in database.BESIDE if (part := folder / f"{NAME}{end}").exists())
        faults = (*_broken(path, broken), *_key(folder), *_open_to_others(path))
    return Checked(path, size, not broken, schema, runs, unended, tuple(database.aside(folder)), faults)


def _looked_into(path: Path) -> tuple[int, int, tuple[Unended, ...]]:
    with closing(database.read_only(path)) as db:
        schema = database.schema(db, path)
        if not schema:  # a process was killed before it made the first table
            return 0, 0, ()
        (runs,) = db.execute("SELECT count(*) FROM runs").fetchone()
        return schema, runs, tuple(Unended(*row) for row in db.execute(UNENDED))


def _broken(path: Path, said: str) -> Iterator[OpdeployError]:
    if said:
        hint = "restore it from a backup, or start a new history: opdeploy store check --set-aside"
        yield OpdeployError(f"{path} is broken: {' '.join(said.split())}", hint)


def _key(folder: Path) -> Iterator[OpdeployError]:
    """One that is gone must not be made anew, as `keys.load` would."""
    path = folder / keys.NAME
    if not path.exists():
        yield OpdeployError(f"{path} is gone, and the records beside it were made with it", "restore it from a backup")
        return
    try:
        keys.load(folder)
    except UsageError as error:
        yield error


def _open_to_others(path: Path) -> Iterator[OpdeployError]:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield OpdeployError(f"{path}: others may read what every host is like", f"chmod 600 {path}")


# ---------------------------------------------------------------- prune


def old(store: Store, before: str) -> Old:
    """What was begun before a moment (ISO 8601 UTC) and nothing needs any more."""
    rows = store.rows(OLD, before)
    (older,) = store.row(OLDER, before)
    return Old(tuple(row[0] for row in rows), tuple(row[1] for row in rows), older - len(rows))


def prune(store: Store, going: Old) -> None:
    """Deletes runs, each in a transaction of its own: whoever else writes never waits long, and one that is cut off may be
    run again. What newer runs make needless of the rest stays until the next time."""
    for run_id in going.run_ids:
        with store.writing() as db:
            for table in ("changes", "hosts", "runs"):
                db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - names are ours
    with store.writing() as db:
        db.execute(UNUSED)


def shrink(store: Store) -> None:
    """Gives the space back to the disk. Raises OpdeployError where another process keeps it from that, or the disk is full."""
    store.rows("VACUUM")
    store.rows("PRAGMA wal_checkpoint(TRUNCATE)")


# ---------------------------------------------------------------- export


def export(folder: Path, since: str, now: str) -> Iterator[dict[str, Any]]:
    """Every record as it stood at one moment: a head, runs (since a moment) with what they did, what is known of hosts.

    No secret's fingerprint is in it, and not the key.
    """
    path = folder / NAME
    with database.told(path, UsageError), closing(database.read_only(path)) as db:
        if (found := database.schema(db, path)) < len(MIGRATIONS):
            hint = "opdeploy history list brings it up"
            raise UsageError(f"{path}: of an earlier version (schema {found}, here {len(MIGRATIONS)})", hint)
        db.execute("BEGIN")
        db.row_factory = sqlite3.Row
        yield {"record": "export", "schema": SCHEMA, "tool": __version__, "at": now, "since": since or None}
        for record, (query, forms) in RECORDS.items():
            for row in db.execute(query, {"since": since}):
                yield {"record": record} | {name: forms.get(name, _as_it_is)(row[name]) for name in row.keys()}  # noqa: SIM118


def _as_it_is(value: Any) -> Any:
    return value


def _document(text: str | None) -> Any:
    return json.loads(text) if text else None


def _properties(text: str) -> dict[str, Any]:
    return {name: {"before": before, "after": after} for name, (before, after) in json.loads(text).items()}


def _without_fingerprints(text: str) -> dict[str, Any]:
    """A value that holds a secret is remembered with its fingerprint beside it (`memory.desired`)."""
    return {name: value["value"] if isinstance(value, dict) else value for name, value in json.loads(text).items()}


RUNS = "SELECT * FROM runs WHERE created_at >= :since ORDER BY created_at, rowid"
HOSTS = "SELECT * FROM hosts WHERE run_id IN (SELECT run_id FROM runs WHERE created_at >= :since) ORDER BY rowid"
CHANGES = "SELECT * FROM changes WHERE run_id IN (SELECT run_id FROM runs WHERE created_at >= :since) ORDER BY rowid"
DESIRED = """
    SELECT * FROM desired
    WHERE digest IN (SELECT desired FROM hosts JOIN runs USING (run_id) WHERE created_at >= :since)
"""
# A record's name: where it is from, and the forms of those of its columns that are documents themselves.
RECORDS: dict[str, tuple[str, dict[str, Callable[[Any], Any]]]] = {
    "run": (RUNS, {"approvals": _document, "findings": _document, "report": _document}),
    "host": (HOSTS, {"windows": _document, "evidence": _document, "report": _document}),
    "change": (CHANGES, {"properties": _properties, "drift": _document, "report": _document}),
    "desired": (DESIRED, {"resources": _document}),
    "found": ("SELECT host, kind, identity, told AS was, run_id, at FROM found", {"was": _document}),
    "known": ("SELECT * FROM known", {"desired": _without_fingerprints}),
    "difference": ("SELECT * FROM differences", {}),
    "password": ("SELECT host, user, set_at FROM passwords", {}),
    "step": ("SELECT * FROM steps", {}),
    "practice": ("SELECT * FROM practices", {}),
}

"""The run store's SQLite file: opened safely, brought to the present schema, and never replaced.

Write-ahead logging, so that a reader never waits; every write is one short transaction that waits for others'. The file is
ours alone (mode 0600). A file that is broken, foreign or newer is left as it is and told; who is asked to, or works at night,
moves a broken one aside (`set_aside`), and nobody ever deletes one.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opdeploy.model import OpdeployError, UsageError
from opdeploy.rendering import timestamp

NAME = "runs.sqlite3"
BROKEN = f"{NAME}.broken-"
BESIDE = ("", "-wal", "-shm")  # the database and what belongs to it
APPLICATION = 0x6F706470  # 'opdp', in the file's header: what tells our file from another program's
PATIENCE = 30  # seconds to wait for another process's transaction

MIGRATIONS = (
    """
    CREATE TABLE runs (
        run_id TEXT PRIMARY KEY, command TEXT NOT NULL, created_at TEXT NOT NULL, by_whom TEXT NOT NULL, tool TEXT NOT NULL,
        inventory TEXT NOT NULL, sources TEXT NOT NULL, finished_at TEXT, code INTEGER
    ) STRICT;
    CREATE TABLE desired (digest TEXT PRIMARY KEY, resources TEXT NOT NULL) STRICT;
    CREATE TABLE hosts (
        run_id TEXT NOT NULL REFERENCES runs, host TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
        windows TEXT NOT NULL, desired TEXT NOT NULL REFERENCES desired, PRIMARY KEY (run_id, host)
    ) STRICT;
    CREATE TABLE changes (
        run_id TEXT NOT NULL REFERENCES runs, host TEXT NOT NULL, kind TEXT NOT NULL, identity TEXT NOT NULL,
        key TEXT NOT NULL, verdict TEXT NOT NULL, action TEXT NOT NULL, properties TEXT NOT NULL, reason TEXT NOT NULL,
        begun_at TEXT, ended_at TEXT, outcome TEXT, error TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (run_id, host, kind, identity)
    ) STRICT;
    CREATE INDEX applied ON changes (host, kind, identity, ended_at) WHERE outcome = 'applied';
    CREATE TABLE passwords (
        host TEXT NOT NULL, user TEXT NOT NULL, fingerprint TEXT NOT NULL, set_at TEXT NOT NULL, PRIMARY KEY (host, user)
    ) STRICT;
    """,
    """
    CREATE TABLE steps (
        host TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, by_whom TEXT NOT NULL, note TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (host, id)
    ) STRICT;
    """,
    """
    ALTER TABLE changes ADD COLUMN reboot TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE found (
        host TEXT NOT NULL, kind TEXT NOT NULL, identity TEXT NOT NULL, told TEXT NOT NULL, run_id TEXT NOT NULL,
        at TEXT NOT NULL, PRIMARY KEY (host, kind, identity)
    ) STRICT;
    """,
    """
    ALTER TABLE runs ADD COLUMN plan TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN approvals TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE runs ADD COLUMN findings TEXT;
    ALTER TABLE runs ADD COLUMN told_at TEXT;
    ALTER TABLE hosts ADD COLUMN evidence TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE changes ADD COLUMN drift TEXT NOT NULL DEFAULT '';
    CREATE TABLE known (
        host TEXT NOT NULL, kind TEXT NOT NULL, identity TEXT NOT NULL, desired TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (host, kind, identity)
    ) STRICT;
    CREATE TABLE differences (
        host TEXT NOT NULL, kind TEXT NOT NULL, identity TEXT NOT NULL, property TEXT NOT NULL, first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL, PRIMARY KEY (host, kind, identity, property)
    ) STRICT;
    """,
    """
    ALTER TABLE runs ADD COLUMN report TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE hosts ADD COLUMN report TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE changes ADD COLUMN report TEXT NOT NULL DEFAULT '{}';
    """,
    """
    ALTER TABLE runs ADD COLUMN folder TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN practice TEXT NOT NULL DEFAULT '';
    CREATE TABLE practices (
        host TEXT NOT NULL, folder TEXT NOT NULL, practice TEXT NOT NULL, PRIMARY KEY (host, folder, practice)
    ) STRICT;
    """,
)


class Connection(sqlite3.Connection):
    """One that takes any text that a host may say: half of a surrogate pair, for which UTF-8 has no bytes (RFC 3629, section
    3), is kept and looked for as `rendering.printable` shows it.
    """

    def execute(self, query: str, values: Any = (), /) -> sqlite3.Cursor:
        return super().execute(query, _storable(values))

    def executemany(self, query: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        return super().executemany(query, map(_storable, rows))


def _storable(values: Sequence[Any] | Mapping[str, Any]) -> Any:
    if isinstance(values, Mapping):
        return {name: _whole(value) for name, value in values.items()}
    return [_whole(value) for value in values]


def _whole(value: Any) -> Any:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file, makes it if there is none. Raises UsageError for one that is not ours to write."""
    with told(path, UsageError), _alone(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, PATIENCE, isolation_level=None, check_same_thread=False, factory=Connection)
        return _if_right(connection, path, _prepare)


def read_only(path: Path) -> sqlite3.Connection:
    """Opens the file to look at it: nothing is made, migrated or mended. Raises UsageError for one that is not there or not
    ours, and SQLite's own errors.

    Where SQLite can't put its shared memory beside the file (a folder that can't be written), a file that nobody writes to,
    which is one without a log beside it, is read as it stands.
    """
    if not path.is_file():
        raise UsageError(f"{path.parent}: no run store here", "name another folder with --store")
    try:
        return _looked_at(path, "mode=ro")
    except sqlite3.OperationalError:
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return _looked_at(path, "immutable=1")


def _looked_at(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{how}"
    connection = sqlite3.connect(uri, PATIENCE, uri=True, isolation_level=None, factory=Connection)
    return _if_right(connection, path, schema)


def _if_right(connection: Connection, path: Path, check: Callable[[sqlite3.Connection, Path], object]) -> Connection:
    """Closed again where the check raises."""
    try:
        check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def schema(connection: sqlite3.Connection, path: Path) -> int:
    """Which schema a file has, 0 for an empty one. Raises UsageError for a file that is not ours to write."""
    version = _number(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and _number(connection, "application_id") != APPLICATION:
        raise UsageError(f"{path}: another program's database, not opdeploy's", "name another folder with --store")
    if version > len(MIGRATIONS):
        raise UsageError(f"{path}: written by a newer opdeploy (schema {version}, here {len(MIGRATIONS)})", "update opdeploy")
    return version


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = schema(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {number}; COMMIT;"
        )


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def damage(path: Path) -> str:
    """What is wrong with a file: its pages, its indexes, or rows that refer to none; '' for nothing. The file is only read.

    Raises sqlite3.OperationalError where it can't be, UsageError for one that is not ours.
    """
    try:
        with closing(read_only(path)) as connection:
            pages = [told for (told,) in connection.execute("PRAGMA integrity_check(10)") if told != "ok"]
            rows = connection.execute("PRAGMA foreign_key_check").fetchmany(10)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    return "; ".join(pages + [f"row {row[1]} of {row[0]} refers to nothing" for row in rows])


def set_aside(folder: Path, now: datetime) -> Path | None:
    """Moves a broken database beside itself and says where it is; None for one that is sound, or where there is none."""
    path = folder / NAME
    with told(path, UsageError):
        if not path.exists():
            return None
    with told(path, UsageError), _alone(path):
        if not damage(path):
            return None
        aside = folder / f"{BROKEN}{now:%Y%m%dT%H%M%S.%f}"
        log = [end for end in BESIDE[1:] if Path(f"{path}{end}").exists()]
        for end in log:
            os.link(f"{path}{end}", f"{aside}{end}")
        path.rename(aside)  # last: SQLite deletes a log that it finds without its database
        for end in log:
            Path(f"{path}{end}").unlink(missing_ok=True)
        return aside


def aside(folder: Path) -> list[Path]:
    """The broken databases that were moved aside and still lie there."""
    return sorted(path for path in folder.glob(f"{BROKEN}*") if not path.name.endswith(BESIDE[1:]))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing; on disk when it returns."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: SQLite does not wait when two turn the same new file to write-ahead logging."""
    with os.fdopen(os.open(path.with_name("lock"), os.O_RDWR | os.O_CREAT, 0o600), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def told(path: Path, kind: type[OpdeployError] = OpdeployError) -> Iterator[None]:
    """SQLite's errors as ours. The file itself is never touched to mend it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise kind(f"{path}: the run store can't be used: {error}", "is the disk full, or another opdeploy stuck?") from error
    except sqlite3.DatabaseError as error:
        hint = "it was left as it is: restore it from a backup, or see opdeploy store check --help"
        raise kind(f"{path}: the run store is broken: {error}", hint) from error
    except OSError as error:
        raise kind(f"{error.filename or path}: {error.strerror}", "name a folder of your own with --store") from error


def now() -> str:
    return timestamp(datetime.now(UTC), "milliseconds")

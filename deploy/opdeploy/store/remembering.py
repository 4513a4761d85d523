"""`memory` in the run store: tables ``known`` and ``differences``, read for many hosts at once and written after a run."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opdeploy.memory import Known, Memory, OfHost, Seen, Thing, after, desired, thing
from opdeploy.results import Item, Run

KNOWN = "SELECT host, kind, identity, desired, at FROM known WHERE host IN (SELECT value FROM json_each(?))"
DIFFERENCES = """
    SELECT host, kind, identity, property, first_seen, last_seen FROM differences
    WHERE host IN (SELECT value FROM json_each(?))
"""
KNOW = "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?)"
NOTE = "INSERT OR REPLACE INTO differences VALUES (?, ?, ?, ?, ?, ?)"
FORGET = "DELETE FROM known WHERE host = ? AND kind = ? AND identity = ?"
SETTLE = "DELETE FROM differences WHERE host = ? AND kind = ? AND identity = ?"
SETTLE_ONE = "DELETE FROM differences WHERE host = ? AND kind = ? AND identity = ? AND property = ?"


def load(db: sqlite3.Connection, hosts: Iterable[str], key: bytes) -> Memory:
    known: dict[str, dict[Thing, Known]] = defaultdict(dict)
    seen: dict[str, dict[Thing, dict[str, Seen]]] = defaultdict(lambda: defaultdict(dict))
    names = json.dumps([host.lower() for host in hosts])
    for host, kind, identity, told, at in db.execute(KNOWN, (names,)):
        known[host][kind, identity] = Known(json.loads(told), at)
    for host, kind, identity, name, first, last in db.execute(DIFFERENCES, (names,)):
        seen[host][kind, identity][name] = Seen(first, last)
    return Memory(key, {host: OfHost(known[host], seen[host]) for host in {*known, *seen}})


def add(db: sqlite3.Connection, run: Run, key: bytes) -> None:
    """What a run saw of its hosts."""
    before = load(db, [host.name for host in run.hosts], key)
    for host in run.hosts:
        _save(db, host.name.lower(), before.of(host.name), after(run, host, before.of(host.name), key))


def add_applied(db: sqlite3.Connection, run: Run, host: str, item: Item, key: bytes) -> None:
    """One change that was made: a run that is killed later leaves it known."""
    one = (host.lower(), *thing(item.change.resource))
    db.execute(KNOW, (*one, _text(desired(item.change.resource, key)), run.created_at))
    db.execute(SETTLE, one)


def forget(db: sqlite3.Connection, host: str, kind: str, key: str) -> None:
    for query in (FORGET, SETTLE):
        db.execute(query, (host.lower(), kind, key.lower()))


def _save(db: sqlite3.Connection, host: str, before: OfHost, now: OfHost) -> None:
    db.executemany(FORGET, [(host, *one) for one in before.known.keys() - now.known.keys()])
    known = ((host, *one, _text(told.desired), told.at) for one, told in now.known.items() if told != before.known.get(one))
    db.executemany(KNOW, list(known))
    then, rows = dict(_rows(host, before)), dict(_rows(host, now))
    db.executemany(SETTLE_ONE, list(then.keys() - rows.keys()))
    db.executemany(NOTE, [(*row, seen.first, seen.last) for row, seen in rows.items() if seen != then.get(row)])


def _rows(host: str, of_host: OfHost) -> Iterator[tuple[tuple[str, str, str, str], Seen]]:
    for (kind, identity), differences in of_host.differences.items():
        yield from (((host, kind, identity, name), seen) for name, seen in differences.items())


def _text(told: Mapping[str, Any]) -> str:
    return json.dumps(told, sort_keys=True)

"""Whose a host is: of which practices' inventories a run had it, or somebody signed a step of it. Told by `cli.run_store`.

All that is kept of a host is kept by its name. So this stays as long as that does, and is never pruned.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from opdeploy.results import Practice

if TYPE_CHECKING:
    from opdeploy.store.records import Store

ADD = "INSERT OR IGNORE INTO practices VALUES (?, ?, ?)"
OF = "SELECT host, folder, practice FROM practices WHERE host IN (SELECT value FROM json_each(?)) ORDER BY rowid"
KNOWN = "SELECT DISTINCT coalesce(nullif(practice, ''), folder) FROM practices ORDER BY 1"
WAS = "WHERE ?3 <> '' AND (folder IN (?3, ?4) OR practice = ?3)"
MOVED_RUNS = f"UPDATE runs SET folder = ?1, practice = ?2 {WAS}"  # noqa: S608 - it is ours
MOVED = f"UPDATE OR REPLACE practices SET folder = ?1, practice = ?2 {WAS}"  # noqa: S608


def add(db: sqlite3.Connection, host: str, practice: Practice) -> None:
    if practice.folder:
        db.execute(ADD, (host, practice.folder, practice.name))


def of(store: Store, hosts: Iterable[str]) -> Mapping[str, Sequence[Practice]]:
    """Of those hosts that are known from any, the practices that had them, the first one first."""
    found: dict[str, list[Practice]] = defaultdict(list)
    for host, folder, name in store.rows(OF, json.dumps([host.lower() for host in hosts])):
        found[host].append(Practice(folder, name))
    return found


def known(store: Store) -> list[str]:
    """Every practice's name, or its folder where it has none."""
    return [row[0] for row in store.rows(KNOWN)]


def moved(store: Store, old: str, folder: str, new: Practice) -> int | None:
    """What is recorded of a practice, named or by its folder (as it is said, and resolved), is of another from now on: of how
    many runs; None where nothing is."""
    with store.writing() as db:
        runs = db.execute(MOVED_RUNS, (new.folder, new.name, old, folder)).rowcount
        hosts = db.execute(MOVED, (new.folder, new.name, old, folder)).rowcount
    return runs if runs or hosts else None

"""What people were last told of a drift check: of the same hosts and roles of the same inventory."""

from __future__ import annotations

import json
from collections.abc import Sequence

from opdeploy.store.database import now
from opdeploy.store.records import Store

LAST_TOLD = """
    SELECT json_extract(findings, '$.found') FROM runs
    WHERE told_at IS NOT NULL AND json_extract(findings, '$.scope') = ? ORDER BY rowid DESC LIMIT 1
"""
CHECKED = "SELECT count(finished_at), count(told_at) FROM runs WHERE command = 'drift'"


def scope(inventory: str, narrowed: Sequence[str]) -> str:
    """What a check was asked about: one of some hosts or roles must not be taken for the whole."""
    return json.dumps([inventory, *sorted(narrowed)])


def last_told(store: Store, scope: str) -> list[list[str]]:
    """What people know; nothing, if they were never told of it."""
    row = store.row(LAST_TOLD, scope)
    told: list[list[str]] = json.loads(row[0]) if row else []
    return told


def remember(store: Store, run_id: str, scope: str, found: Sequence[Sequence[str]]) -> None:
    """People know this now."""
    row = (json.dumps({"scope": scope, "found": found}), now(), run_id)
    with store.writing() as db:
        db.execute("UPDATE runs SET findings = ?, told_at = ? WHERE run_id = ?", row)


def has_spoken(store: Store, to_people: bool) -> bool:
    """Whether any drift check in this store came as far as to say what it found."""
    recorded, told = store.row(CHECKED)
    return bool(told if to_people else recorded)

"""A resource's values outside the program: as text for people (`show`) and as JSON for documents (`plain`). Pure.

Reports, plan files and the run store all go through here, so that what one of them hides, all of them hide.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from opdeploy.model import HIDDEN, Secret, Unproven

NOTHING = "–"
SHORTEST = 4  # characters of a secret that is looked for in other texts
_UNITS = ((1_000_000, "MB"), (1_000, "kB"))
# What a terminal would obey instead of showing: control characters, those that turn the direction of writing, those of no
# width, by which two names can look the same, and half of a surrogate pair, which nothing can print. [Unicode, categories Cf
# and Cs, and the separators U+2028 and U+2029]
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)
_NAMED = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}


def size(count: int) -> str:
    """Bytes in people's words, decimal: ``1.2 MB``."""
    return next((f"{count / unit:.1f} {name}" for unit, name in _UNITS if count >= unit), f"{count} bytes")


def timestamp(at: datetime, precision: str = "seconds") -> str:
    """As every document of ours has it: ``2026-11-22T03:00:00Z``."""
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def show(value: Any) -> str:
    """A value as a plan shows it: yes and no, lists with commas, nothing as a dash, secrets never."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, Unproven):
        return "unknown"
    if isinstance(value, str):
        return printable(value) or "''"
    if isinstance(value, bytes):
        return value.hex(" ") or "(none)"
    if isinstance(value, Sequence | frozenset):
        return ", ".join(map(show, value)) or "(none)"
    if isinstance(value, Mapping):
        return ", ".join(f"{show(name)} {show(item)}" for name, item in value.items())
    return printable(str(value))


def printable(text: str) -> str:
    """Text on one line, with nothing in it that a terminal would act on."""
    return _UNSEEN.sub(lambda found: _NAMED.get(found[0], f"\\u{ord(found[0]):04x}"), text)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines, each cell as wide as the widest of its column."""
    told = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    for row in told:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def plain(value: Any) -> Any:
    """A value as documents and records have it: plain where it is plain, lists of such, else the text of `show`."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted((plain(item) for item in value), key=str)
    return show(value)


def canonical(value: Any) -> str:
    """A document as one text, the only one for it: keys sorted, ASCII, no blanks. Raises ValueError for what is no number."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def without_secrets(text: str) -> str:
    """The words of an exception, which may quote anything: every secret that this process holds is taken out.

    Not one of three characters or less: that would take every word apart, and by its gaps tell the secret.
    """
    for held in [found for found in gc.get_objects() if type(found) is Secret]:
        if len(value := held.reveal()) >= SHORTEST:
            for form in (value, repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
                text = text.replace(form, HIDDEN)
    return text


def secrets(value: Any) -> Iterator[Secret]:
    """Every secret in a value, wherever it stands: models, dataclasses, lists and mappings are walked."""
    if isinstance(value, Secret):
        yield value
    for item in parts(value):
        yield from secrets(item)


def parts(value: Any) -> list[Any]:
    """What a value is made of, one level down."""
    if isinstance(value, BaseModel):
        return [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | frozenset):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    return []

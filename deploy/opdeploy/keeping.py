"""A host's own state as JSON that can be read back: what was there before our first change, to be put back one day. Pure.

Accounts are kept by SID, lengths of time as text. What has no such form (a secret, a file's content, a task's raw XML) is left
out: what is put back later leaves it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from opdeploy.model import Principal
from opdeploy.resources import KINDS
from opdeploy.resources.base import Resource
from opdeploy.resources.values import Duration


class _NoForm(Exception):
    """A value that can't be kept."""


def kept(found: Resource | None) -> dict[str, Any] | None:
    """What is to be remembered of a host's resource; None where nothing was there."""
    return None if found is None else {"kind": found.KIND, "values": _model(found)}


def joined(first: dict[str, Any] | None, later: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was there first, with what only a later look read, since it was not managed before."""
    if first is None or later is None:
        return first
    new = {name: later["values"][name] for name in KINDS[first["kind"]].READ_IF_MANAGED if name in later["values"]}
    return {**first, "values": {**new, **first["values"]}}


def restored(told: Mapping[str, Any] | None) -> Resource | None:
    """The resource of `kept`. Raises ValueError where this version can't read it."""
    if told is None:
        return None
    try:
        return KINDS[told["kind"]].observed(**told["values"])
    except (KeyError, ValidationError) as error:
        raise ValueError(f"the record of it can't be read: {' '.join(str(error).split())}") from error


def _model(model: BaseModel) -> dict[str, Any]:
    values = {}
    for name, info in type(model).model_fields.items():
        if not info.repr:  # a file's content
            continue
        try:
            value = _value(getattr(model, name))
        except _NoForm:
            continue
        if value is not None:
            values[name] = value
    return values


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, Principal):
        return value.sid or value.name
    if isinstance(value, BaseModel):
        return _model(value)
    if isinstance(value, Mapping):
        return {str(name): _value(item) for name, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_value(item) for item in value]
    if isinstance(value, Duration) or type(value).__name__ in TEXTS:
        return str(value)
    raise _NoForm


TEXTS = ("Instant", "Size")
"""Types of single kinds that read their own text again."""

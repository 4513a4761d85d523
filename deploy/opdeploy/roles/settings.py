"""What a role's settings are made of: a strict model, and what lets a resource's own model stand in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator


class RoleSettings(BaseModel):
    """The settings of a role, or a part of them. Nothing unknown is taken, and no `true` for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = set(_plain_types(cls.model_fields[info.field_name or ""].annotation))
        if int in kinds and bool not in kinds and any(isinstance(item, bool) for item in _items(value)):
            raise ValueError("expected a whole number, found true or false")
        return value


def Required(why: str) -> Any:
    """A setting that has no default; `why` is the hint where it is missing."""
    return Field(description=why)


def keyed(by: str) -> BeforeValidator:
    """For a mapping of names to resources: what stands before the colon is the resource's `by`.

    ``services: Annotated[dict[str, Service], keyed("name")]`` lets an inventory say ``OPMsg: {state: running}``.
    """
    return BeforeValidator(lambda value: with_key(value, by) if isinstance(value, Mapping) else value)


def with_key(entries: Mapping[str, Any], by: str, value: Callable[[str], str] = str) -> dict[str, Any]:
    """The entries, each with what its name stands for as its `by`. Raises ValueError where one says it a second time."""
    if twice := [name for name, entry in entries.items() if isinstance(entry, Mapping) and by in entry]:
        raise ValueError(f"{twice[0]}: its {by} is what stands before the colon; take {by} out")
    return {
        name: {**(entry or {}), by: value(name)} if entry is None or isinstance(entry, Mapping) else entry
        for name, entry in entries.items()
    }


def _plain_types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _plain_types(argument)


def _items(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return list(value.values()) if isinstance(value, Mapping) else [value]

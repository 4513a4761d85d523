"""What a role's settings are made of: a strict model, and what lets a resource's own model stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

    def named(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if twice := [name for name, item in value.items() if isinstance(item, Mapping) and by in item]:
            raise ValueError(f"{twice[0]}: its {by} is what stands before the colon; take {by} out")
        return {name: _with(item, by, name) for name, item in value.items()}

    return BeforeValidator(named)


def _with(item: Any, key: str, value: str) -> Any:
    return {**(item or {}), key: value} if item is None or isinstance(item, Mapping) else item


def _plain_types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _plain_types(argument)


def _items(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return list(value.values()) if isinstance(value, Mapping) else [value]

"""What a login has in SQL Server's databases: users, roles, grants; nested as an inventory has it, flat as a plan lists it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME_LENGTH = 128  # sysname; QUOTENAME makes nothing of a longer one
Permission = Literal["select", "insert", "update", "delete"]


def length(text: str) -> int:
    """In characters as SQL Server counts them, of UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def sysname(text: str) -> str:
    if not 0 < length(text) <= NAME_LENGTH:
        raise ValueError(f"a name in SQL Server has 1 to {NAME_LENGTH} characters")
    if text != text.strip() or any(ord(char) < 32 for char in text):
        raise ValueError("a name must not begin or end with a blank, nor hold control characters")
    return text


def _table(text: str) -> str:
    schema, dot, table = text.partition(".")
    if not dot or set("[]") & set(text):
        raise ValueError("expected schema.table without brackets, like dbo.Patient")
    return f"{sysname(schema)}.{sysname(table)}"


Name = Annotated[str, AfterValidator(sysname)]


class TableGrants(BaseModel):
    """What may be done with one table or view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Annotated[str, AfterValidator(_table)]
    """With its schema: `dbo.Patient`."""
    permissions: tuple[Permission, ...] = Field(min_length=1)
    """At least one."""

    @property
    def place(self) -> tuple[str, str]:
        schema, _, table = self.table.partition(".")
        return schema, table


class Access(BaseModel):
    """What a login has in one database, where it has a user in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: tuple[Name, ...] = ()
    """Fixed ones (`db_datareader`) or the database's own; whoever is a user has `public`."""
    grants: tuple[TableGrants, ...] = ()
    """On tables and views, one by one."""


@dataclass(frozen=True, eq=False)
class Named:
    """Something in a database. Names ignore case, as the usual collations do."""

    database: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._folded == other._folded

    def __hash__(self) -> int:
        return hash(self._folded)

    @property
    def _folded(self) -> tuple[str, ...]:
        return tuple(name.lower() for name in astuple(self))

    def __str__(self) -> str:
        return self.database


@dataclass(frozen=True, eq=False)
class Membership(Named):
    role: str

    def __str__(self) -> str:
        return f"{self.database}: {self.role}"


@dataclass(frozen=True, eq=False)
class Grant(Named):
    schema: str
    table: str
    permission: str

    @property
    def place(self) -> str:
        return f"{self.database} {self.schema}.{self.table}"

    def __str__(self) -> str:
        return f"{self.place}: {self.permission}"


def flat(databases: Mapping[str, Access | None]) -> dict[str, tuple[Named, ...]]:
    """The same, property by property, each once. Whoever is a user of a database is in its role public."""
    given = {name: access or Access() for name, access in databases.items()}
    users = (Named(name) for name in given)
    roles = (Membership(name, role) for name in given for role in given[name].roles if role.lower() != "public")
    grants = (
        Grant(name, *entry.place, permission)
        for name in given
        for entry in given[name].grants
        for permission in entry.permissions
    )
    return {name: tuple(dict.fromkeys(items)) for name, items in (("users", users), ("roles", roles), ("grants", grants))}

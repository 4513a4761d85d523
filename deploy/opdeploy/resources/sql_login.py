"""A login of SQL Server on the host: its password and policy, its users in databases, their roles and grants on tables.

Read and written by the agent's named statements, as the session's user, who must be sysadmin there: SQL Server does not show
others what they may not see, which would pass for absent. Everything is joined by SID, since a database user may be called
otherwise than its login. Roles and grants are additive; `exact`: in the databases named here it has no others.

A password is compared on the server with the stored hash (PWDCOMPARE): no logon, and a disabled login has its right one too.
(Microsoft's pages of CREATE LOGIN, ALTER LOGIN, sys.server_principals, sys.database_permissions, PWDCOMPARE, QUOTENAME.)
None of it was tried on a real SQL Server yet.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, ValidationInfo, field_validator, model_validator

from opdeploy.calls import Write, host_read, name_resolve, sid_resolve, sql_read, sql_write
from opdeploy.model import Change, Machine, Missing, Principal, Secret, Unknown, Unproven
from opdeploy.resources.base import ADDITIVE, IGNORE_CASE, KEY, OPTION, Answers, Option, Reads, Resource, account_token
from opdeploy.resources.local_user import ON_THE_HOST
from opdeploy.resources.sql_parts import NAME_LENGTH, Access, Grant, Membership, Name, Named, Permission, flat, length, sysname
from opdeploy.resources.values import observed

TYPES = {
    "S": "sql", "U": "windows", "G": "windows", "R": "server role", "C": "certificate", "K": "asymmetric key", "E": "Entra",
    "X": "Entra",
}  # fmt: skip
WINDOWS_OWN = re.compile(r"S-1-5-(\d+|80-.*)")  # NT AUTHORITY\…, NT SERVICE\…: SQL Server's services log in by these
SA = base64.b64encode(b"\1").decode()  # the SID of sa, whatever it is called now
GRANTED = ("G", "W")  # with or without the right to grant it on
OTHERS = "is there for another account: its SID is not the one that this name has now; remove that login first (absent: true)"
LISTED = replace(ADDITIVE, nothing=())


def _login(value: Any) -> Any:
    """A Windows login has a backslash, which a SQL login can't have."""
    if not isinstance(value, str):
        return value
    sysname(value)
    if value.lower() == "sa" or value.startswith("##"):
        raise ValueError(f"{value} is SQL Server's own: it is not managed here")
    if "\\" not in value:
        return value
    principal = Principal.parse(value)
    if WINDOWS_OWN.fullmatch(principal.sid):
        raise ValueError(f"{value} is one of Windows' own accounts, by which services log in: it is not managed here")
    return principal


def _server(text: str) -> str:
    if not re.fullmatch(r"(localhost|\.|\(local\))(\\[A-Za-z_#][\w$#]{0,15})?", text, re.IGNORECASE):
        raise ValueError(r"expected SQL Server on this host: localhost, or with its instance .\SQLEXPRESS")
    return text


def _type(text: str, info: ValidationInfo) -> str:
    if not observed(info) and text not in ("windows", "sql"):
        raise ValueError("expected windows or sql")
    return text


def _password(value: Any, info: ValidationInfo) -> Any:
    if not observed(info) and isinstance(value, Secret) and not 0 < length(value.reveal()) <= NAME_LENGTH:
        raise ValueError(f"must have 1 to {NAME_LENGTH} characters")
    return value


class SqlLogin(Resource):
    KIND = "sql_login"
    EXAMPLE = """
        - login: .\\op-service
          type: windows
          databases:
            Main_OMS:
              roles: [db_datareader]
              grants:
                - {table: dbo.Appointment, permissions: [insert, update]}
    """

    login: Annotated[InstanceOf[Principal] | str, BeforeValidator(_login), KEY]
    """`DOMAIN\\name` or `.\\name` of a Windows account or group, or the name of a SQL login, which has no backslash."""
    server: Annotated[str, AfterValidator(_server), KEY] = "localhost"
    """SQL Server on this host; with its instance `.\\SQLEXPRESS`."""
    type: Annotated[str, AfterValidator(_type)] | None = None
    """`windows` or `sql`. What is there otherwise is never dropped and made anew."""
    password: Annotated[Secret | Unproven | None, BeforeValidator(_password)] = None
    """Of a SQL login, up to 128 characters; compared on the server with the stored hash."""
    enabled: bool | None = None
    """Whether it may log on."""
    default_database: Annotated[Name | None, IGNORE_CASE] = None
    """Where its sessions begin."""
    check_policy: bool | None = None
    """Whether Windows' password policy counts for it; one that is made without a word is held to it."""
    check_expiration: bool | None = None
    """Whether its password expires by that policy; needs `check_policy`."""
    databases: Annotated[Mapping[Name, Access | None] | None, OPTION] = Field(None, repr=False)
    """Where it has a user, with which roles and grants: `users`, `roles` and `grants` are made of it."""
    users: Annotated[tuple[Named, ...] | None, LISTED] = Field(None, validate_default=True)
    """Databases in which it has a user."""
    roles: Annotated[tuple[Membership, ...] | None, LISTED] = Field(None, validate_default=True)
    """Roles of these users, by database."""
    grants: Annotated[tuple[Grant, ...] | None, LISTED] = Field(None, validate_default=True)
    """What these users may do with tables, by database."""
    exact: Option = False
    """In the databases named it has no other roles, and no other grants on tables."""

    @field_validator("users", "roles", "grants", mode="before")
    @classmethod
    def _of_the_databases(cls, value: Any, info: ValidationInfo) -> Any:
        databases = info.data.get("databases")
        return flat(databases)[str(info.field_name)] if value is None and databases is not None else value

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if observed(info):
            return self
        if self.absent:
            if self.users is not None or self.exact:
                raise ValueError("absent removes the login and its users in every database: leave the databases out")
            return self
        if self.type != ("windows" if self.windows else "sql"):
            raise ValueError(
                r"type: windows goes with a login like DOMAIN\name or .\name, type: sql with one without a backslash"
            )
        if self.windows and (self.password, self.check_policy, self.check_expiration) != (None, None, None):
            raise ValueError("a Windows login has no password or policy in SQL Server: only type: sql has")
        if self.check_expiration and not self.check_policy:
            raise ValueError("check_expiration: true needs check_policy: true")
        if self.exact and self.users is None:
            raise ValueError("exact needs databases: it is about the roles and grants in these")
        return self

    @property
    def windows(self) -> bool:
        return isinstance(self.login, Principal)

    @property
    def spelt(self) -> str:
        return self.login.name if isinstance(self.login, Principal) else self.login

    @property
    def key(self) -> str:
        return self.spelt if self.server == "localhost" else f"{self.spelt} on {self.server}"

    @property
    def identity(self) -> tuple[str, str]:
        who = self.login.identity if isinstance(self.login, Principal) else self.login
        return self.KIND, f"{who} on {self.server}".lower()

    def undone(self, found: Self | None) -> Self | str:
        return "it was there before: look at its roles and grants" if found else self.gone(type=self.type)

    def reads(self) -> Reads:
        reads = {"databases": sql_read("databases", self.server, "master")}
        if self._asked_by_name and self.windows:
            reads |= {"account": sid_resolve(self.spelt), "host": host_read()}
        return reads

    @property
    def _asked_by_name(self) -> bool:
        """Groups that every Windows has go by their SID; others by name, so that their account may be made meanwhile."""
        return not self.windows or "\\" in self.spelt

    def then_reads(self, answers: Answers) -> Reads:
        told = Told(self, answers)
        who = {"login": told.asked_name, "sid": ""} if self._asked_by_name else {"login": "", "sid": _hex(told.sid)}
        reads = {"login": sql_read("login", self.server, "master", password=self._secret or "", **who)}
        if told.sid:
            reads["name"] = name_resolve(told.sid)
        for database in told.looked_at:
            reads[f"user {database}"] = sql_read("user", self.server, database, **who)
            if not self.absent:
                reads[f"grants {database}"] = sql_read("grants", self.server, database, **who)
        for grant in told.here(self.grants):
            where = {"schema": grant.schema, "table": grant.table}
            reads[f"table {grant.place}"] = sql_read("table", self.server, grant.database, **where)
        return reads

    @property
    def _secret(self) -> Secret | None:
        return self.password if isinstance(self.password, Secret) else None

    def actual(self, answers: Answers) -> Self | None:
        told = Told(self, answers)
        told.check()
        row, users = told.row, told.users
        if not row and not (self.absent and users):
            return None
        listed = {"users": users, "roles": told.roles, "grants": told.grants} if self.absent or self.users is not None else {}
        return self.observed(login=self.login, server=self.server, **(self._settings(row) if row else {}), **listed)

    def _settings(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": TYPES.get(row["type"], f"of type {row['type']}"),
            "password": self._password_there(row) if self.password else None,
            "enabled": not row["is_disabled"],
            "default_database": row["default_database_name"],
            "check_policy": row["is_policy_checked"],
            "check_expiration": row["is_expiration_checked"],
        }

    def _password_there(self, row: dict[str, Any]) -> Secret | Unproven | None:
        """The same secret where the hash is its own, another one where it is not, `Unproven` where no hash is shown."""
        if row["password_right"] is None:
            return Unproven("password: SQL Server shows no hash of it; an apply sets it")
        return self._secret if row["password_right"] else Secret("", ON_THE_HOST)

    # ------------------------------------------------------------ judging

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        told = Told(self, answers)
        if told.row and self.windows and not self.absent and told.row["sid"] != _binary(told.sid):
            return f"{told.name} {OTHERS}"
        return next(self._objections(change, told), "") if change.verdict != "in_sync" else ""

    def _objections(self, change: Change[Any], told: Told) -> Iterator[str]:
        row = told.row
        if row and row["sid"] == SA:
            yield f"{row['name']} is SQL Server's own administrator (sa), renamed: it is not managed here"
        if isinstance(self.login, Principal) and WINDOWS_OWN.fullmatch(self.login.sid):
            yield "it is one of Windows' own accounts, by which services log in: it is not managed here"
        if change.actual and row and change.actual.type not in ("windows", "sql"):
            yield f"{row['name']} is there, but as {change.actual.type}: it is never dropped and made anew"
        if change.action == "remove":
            yield from (f"it owns the database {name}: give that another owner first" for name in told.owned)
            return
        if change.action == "create" and self.type == "sql" and not self.password:
            yield "it is not there, and without a password it can't be made"
        if row and row["type"] == "G" and self.enabled is False:
            yield "SQL Server does not disable the login of a Windows group"
        yield from told.lacking
        yield from self._out_of_reach(change, told)

    def _out_of_reach(self, change: Change[Any], told: Told) -> Iterator[str]:
        if change.touches("roles", "grants"):
            yield from (f"it owns {name} and is dbo there, whose roles and grants can't be changed" for name in told.owned)
        if self.exact and change.touches("grants"):
            for grant in set(told.grants) - set(self.grants or ()):
                if grant.permission not in get_args(Permission):
                    yield f"{grant} is granted besides, which is not ours to take away: revoke it by hand"

    def note(self, change: Change[Any], answers: Answers) -> str:
        if change.action == "remove":
            closed = [f"{name} is {state}" for name, state in Told(self, answers).databases.items() if state != "ONLINE"]
            return f"{', '.join(closed)}: a user in it stays" if closed else ""
        before = change.properties["password"].before if change.actual and change.touches("password") else None
        return "password: the inventory's is not the one of the login" if isinstance(before, Secret) else ""

    # ------------------------------------------------------------ writing

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        told = Told(self, answers)
        if change.action == "remove":
            yield from (self._write("drop user", name, user=told.user(name)) for name in told.databases_with_users)
            if told.row:
                yield self._write("drop login", login=told.name)
            return
        yield from self._created(told) if change.action == "create" else self._secured(change, told)
        if change.touches("default_database"):
            yield self._write("set default database", login=told.name, default=told.database(str(self.default_database)))
        if self.enabled is not None and change.touches("enabled") and not (self.enabled and change.action == "create"):
            yield self._write("switch login", login=told.name, state=_state(self.enabled))
        yield from self._in_databases(change, told)

    def _created(self, told: Told) -> Iterator[Write]:
        """SQL Server's own defaults: the policy is checked, expiration is not, the login is enabled."""
        if self.windows:
            yield self._write("create windows login", login=told.name)
        else:
            policy = _state(self.check_policy is not False)
            yield self._write("create sql login", login=told.name, password=self._secret or "", state=policy)
        if self.check_expiration:
            yield self._option(told, "CHECK_EXPIRATION", True)

    def _secured(self, change: Change[Any], told: Told) -> Iterator[Write]:
        """The policy first, by which a new password is judged; switched on, it switches expiration on too."""
        if change.touches("check_policy"):
            yield self._option(told, "CHECK_POLICY", bool(self.check_policy))
        if change.touches("check_expiration") or (change.touches("check_policy") and self.check_policy):
            yield self._option(told, "CHECK_EXPIRATION", bool(self.check_expiration))
        if change.touches("password") and self._secret:
            yield self._write("set password", login=told.name, password=self._secret)

    def _in_databases(self, change: Change[Any], told: Told) -> Iterator[Write]:
        for user in told.here(self.users):
            if not told.user(user.database):
                yield self._write("create user", user.database, user=told.name, login=told.name)
        for state, member in self._difference("roles", told.roles, change, told):
            who = {"role": member.role, "user": told.user(member.database) or told.name}
            yield self._write("change member", member.database, state=state, **who)
        for state, grant in self._difference("grants", told.grants, change, told):
            what = {"permission": grant.permission.upper(), "schema": grant.schema, "table": grant.table}
            yield self._write("change grant", grant.database, state=state, user=told.user(grant.database) or told.name, **what)

    def _difference(self, name: str, found: tuple[Any, ...], change: Change[Any], told: Told) -> Iterator[tuple[str, Any]]:
        if not change.touches(name):
            return
        wanted = told.here(getattr(self, name))
        yield from (("ON", item) for item in wanted if item not in found)
        yield from (("OFF", item) for item in found if self.exact and item not in wanted)

    def _option(self, told: Told, option: str, on: bool) -> Write:
        return self._write("set option", login=told.name, option=option, state=_state(on))

    def _write(self, statement: str, where: str = "master", **values: str | Secret) -> Write:
        return sql_write(statement, self.server, where, **values)


class Told:
    """What SQL Server and the host say of one login. Raises `Unknown` where they could not."""

    def __init__(self, wanted: SqlLogin, answers: Answers) -> None:
        self.wanted, self.answers = wanted, answers

    def _answer(self, name: str) -> Any:
        if failure := self.answers.failure(name):
            raise Unknown(f"SQL Server {self.wanted.server} could not be asked: {failure.message}")
        return getattr(self.answers, name)

    @cached_property
    def databases(self) -> dict[str, str]:
        """Every database's state, by its name."""
        rows = self._answer("databases")
        if not rows or not rows[0]["controls"]:
            raise Unknown(f"SQL Server {self.wanted.server} does not show this session's user all: it must be sysadmin there")
        return {str(row["name"]): str(row["state_desc"]) for row in rows}

    def database(self, name: str) -> str:
        """Its name as the server spells it, '' if there is none."""
        alike = [there for there in self.databases if there.lower() == name.lower()]
        return name if name in alike else next(iter(alike), "")

    def check(self) -> None:
        """All that is named has to be in reach."""
        closed = {name: state for name, state in self.databases.items() if state != "ONLINE"}
        for user in self.wanted.users or ():
            if (name := self.database(user.database)) in closed:
                raise Unknown(f"the database {name} is {closed[name]}")

    @property
    def looked_at(self) -> list[str]:
        """Databases that can be asked, of those that the login is about: where it must not be, all."""
        found = self.databases if self.wanted.absent else [user.database for user in self.here(self.wanted.users)]
        return [name for name in found if self.databases[name] == "ONLINE"]

    def here(self, wanted: tuple[Any, ...] | None) -> tuple[Any, ...]:
        """What is wanted in databases that are there, in the server's spelling of these."""
        return tuple(replace(item, database=name) for item in wanted or () if (name := self.database(item.database)))

    # ------------------------------------------------------------ who

    @cached_property
    def sid(self) -> str:
        """The SID of a Windows login's account, '' where there is none (yet)."""
        login = self.wanted.login
        if not isinstance(login, Principal):
            return ""
        return login.sid if login.resolved else str(self.answers.account["sid"] or "").upper()

    @property
    def asked_name(self) -> str:
        """As the server has it, even if the account is not there (yet, or any more)."""
        name = self.wanted.spelt
        return f"{self.answers.host['name']}{name[1:]}" if self.wanted.windows and name.startswith(".\\") else name

    @cached_property
    def row(self) -> dict[str, Any] | None:
        rows = self._answer("login")
        own = [row for row in rows if row["sid"] == _binary(self.sid)]
        return next(iter([*own, *filter(self._is_namesake, rows)]), None)

    def _is_namesake(self, row: dict[str, Any]) -> bool:
        return str(row["name"]).lower() == self.asked_name.lower()

    @property
    def name(self) -> str:
        """What the login is called, or will be: as Windows resolves it."""
        if self.row:
            return str(self.row["name"])
        if self.wanted.windows and not self.sid:
            raise Missing(account_token(self.wanted.spelt), f"no account {self.wanted.spelt} on this host")
        resolved = self.answers.name["name"] if self.answers.has("name") else None
        return str(resolved or self.asked_name)

    # ------------------------------------------------------------ where

    def _rows(self, database: str) -> list[dict[str, Any]]:
        """The login's own user, a row a role."""
        sid = self.row["sid"] if self.row else _binary(self.sid)
        return [row for row in self._answer(f"user {database}") if row["sid"] == sid]

    def user(self, database: str) -> str:
        return next((str(row["name"]) for row in self._rows(database)), "")

    @cached_property
    def databases_with_users(self) -> list[str]:
        return [name for name in self.looked_at if self.user(name)]

    @property
    def owned(self) -> list[str]:
        return [name for name in self.databases_with_users if self.user(name).lower() == "dbo"]

    @property
    def users(self) -> tuple[Named, ...]:
        return tuple(map(Named, self.databases_with_users))

    @property
    def roles(self) -> tuple[Membership, ...]:
        rows = [(name, row) for name in self.looked_at for row in self._rows(name)]
        return tuple(Membership(name, row["role"]) for name, row in rows if row["role"])

    @property
    def grants(self) -> tuple[Grant, ...]:
        asked = () if self.wanted.absent else self.databases_with_users
        rows = [(name, row) for name in asked for row in self._answer(f"grants {name}")]
        found = (
            Grant(name, row["schema_name"], row["table_name"], row["permission_name"].lower())
            for name, row in rows
            if row["state"] in GRANTED
        )
        return tuple(dict.fromkeys(found))

    @property
    def lacking(self) -> Iterator[str]:
        """What stands in the way in the databases themselves."""
        wanted = self.wanted
        named = [*([wanted.default_database] if wanted.default_database else []), *(u.database for u in wanted.users or ())]
        yield from (f"there is no database {name} on SQL Server {wanted.server}" for name in named if not self.database(name))
        for name in self.looked_at:
            others = [] if self.user(name) else list(filter(self._is_namesake, self._answer(f"user {name}")))
            if others:
                yield f"{name} has a user {others[0]['name']} of another login, or of one that is gone: drop it or map it"
        for grant in self.here(wanted.grants):
            if not self._answer(f"table {grant.place}"):
                yield f"there is no table or view {grant.schema}.{grant.table} in {grant.database}"


def _state(on: bool) -> str:
    return "ON" if on else "OFF"


def _octets(sid: str) -> bytes:
    """A SID's binary form. [MS-DTYP 2.4.2.2]"""
    if not sid:
        return b""
    authority, *numbers = map(int, sid.split("-")[2:])
    return struct.pack(f"<BB6s{len(numbers)}I", 1, len(numbers), authority.to_bytes(6, "big"), *numbers)


def _hex(sid: str) -> str:
    """As `CONVERT(varchar, sid, 1)` prints it."""
    return "0x" + _octets(sid).hex().upper() if sid else ""


def _binary(sid: str) -> str:
    """As the agent answers a binary column."""
    return base64.b64encode(_octets(sid)).decode()


__all__ = ["SqlLogin"]

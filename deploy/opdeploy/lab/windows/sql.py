"""SQL Server on a machine: logins, databases, their users, roles and grants; asked and changed by the agent's own statements.

A statement that asks is known by its exact text (a digest of it): one that was changed is an error. One that orders is made
into its text, which is taken apart again (`tsql`) and done if it is one of `ORDERS`, whatever its name was.

Shapes: ``state.sql[instance]`` is ``{logins, databases}``, the instance as a connection names it, in lower case. A login is
``{name, sid, type, enabled, default_database, policy, expiration, password, sysadmin}`` (SID and password in base64), a
database ``{name, state, users, roles, tables, grants}``: users ``{name, sid, roles}``, tables ``[schema, name]``, grants
``{user, schema, table, permission, state}``. Messages are the server's English ones; none was verified on a server.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opdeploy.lab.windows import accounts, tsql
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State
from opdeploy.lab.windows.wire import ended

if TYPE_CHECKING:
    from opdeploy.lab.windows.verbs import Context

FIXED_ROLES = (
    "db_owner", "db_accessadmin", "db_securityadmin", "db_ddladmin", "db_backupoperator", "db_datareader", "db_datawriter",
    "db_denydatareader", "db_denydatawriter",
)  # fmt: skip
SA = base64.b64encode(b"\1").decode()
NOT_DONE = "because it does not exist or you do not have permission."


def refused(message: str, type: str = "System.Data.SqlClient.SqlException", hresult: int = -2146232060) -> Refused:
    return Refused(message, type, "SqlException", "NotSpecified", hresult)


# ---------------------------------------------------------------- a server to begin with


def new_server(administrators: Iterable[tuple[str, str]]) -> Json:
    """As setup leaves it, with these Windows logins (name, SID) as sysadmin."""
    sa = new_login("sa", SA, "S", enabled=False, policy=True, expiration=False, sysadmin=True)
    logins = [sa, *(new_login(name, in_base64(sid), "U", sysadmin=True) for name, sid in administrators)]
    return {"logins": logins, "databases": [new_database(name) for name in ("master", "tempdb", "model", "msdb")]}


def new_login(name: str, sid: str, type: str, **given: Any) -> Json:
    login: Json = {"name": name, "sid": sid, "type": type, "enabled": True, "default_database": "master", "policy": None}
    return login | {"expiration": None, "password": "", "sysadmin": False} | given


def new_database(name: str, *tables: str, owner: str = SA) -> Json:
    dbo: Json = {"name": "dbo", "sid": owner, "roles": ["db_owner"]}
    return {
        "name": name,
        "state": "ONLINE",
        "users": [dbo],
        "roles": list(FIXED_ROLES),
        "tables": [table.split(".", 1) for table in tables],
        "grants": [],
    }


def in_base64(sid: str) -> str:
    """A Windows SID as a binary column. [MS-DTYP 2.4.2.2]"""
    authority, *numbers = map(int, sid.split("-")[2:])
    head = struct.pack(">BBHI", 1, len(numbers), authority >> 32, authority & 0xFFFFFFFF)
    return base64.b64encode(head + struct.pack(f"<{len(numbers)}I", *numbers)).decode()


# ---------------------------------------------------------------- a connection


@dataclass(frozen=True)
class Connection:
    state: State
    server: Json
    database: Json
    sysadmin: bool

    def login(self, name: str) -> Json | None:
        return _named(self.server["logins"], name)

    def must_find(self, name: str, doing: str = "alter") -> Json:
        if (login := self.login(name)) is None:
            raise refused(f"Cannot {doing} the login '{name}', {NOT_DONE}")
        return login

    def user(self, name: str) -> Json | None:
        return _named(self.database["users"], name)


def _named(things: list[Json], name: str) -> Json | None:
    return next((thing for thing in things if thing["name"].lower() == name.lower()), None)


def connect(state: State, token: Token, server: str, database: str) -> Connection:
    """With integrated security. .NET has an unreachable server's cause in Windows' own words, as the innermost exception."""
    instance = state.sql.get(server.lower())
    if instance is None:
        raise refused("The system cannot find the file specified", "System.ComponentModel.Win32Exception", -2147467259)
    sids = {in_base64(sid) for sid in token.sids}
    logins = [login for login in instance["logins"] if login["type"] in ("U", "G") and login["sid"] in sids]
    if not any(login["enabled"] for login in logins):
        raise refused(f"Login failed for user '{token.name}'.")
    sysadmin = any(login["sysadmin"] for login in logins)
    found = _named(instance["databases"], database)
    known = sysadmin or database.lower() == "master" or (found and any(user["sid"] in sids for user in found["users"]))
    if found is None or found["state"] != "ONLINE" or not known:
        raise refused(f'Cannot open database "{database}" requested by the login. The login failed.')
    return Connection(state, instance, found, sysadmin)


def sql_read(context: Context, given: Json) -> list[Json]:
    text = _listed(context, "asking", given["statement"])
    connection = connect(context.state, context.token, given["server"], given["database"])
    values = given.get("values") or {}
    for name in re.findall(r"@(\w+)", text):
        _parameter(values, name)
    answer = ASKED.get(hashlib.sha256(text.encode()).hexdigest()[:16])
    if answer is None:
        raise Refused(f"the lab has no model of {text}", "System.NotImplementedException", "lab.NotModelled", "NotImplemented")
    return answer(connection, values)


def sql_write(context: Context, given: Json) -> None:
    expression = _listed(context, "ordering", given["statement"])
    connection = connect(context.state, context.token, given["server"], given["database"])
    values = given.get("values") or {}
    for name in re.findall(r"@(\w+)", expression):
        _parameter(values, name)
    try:
        text = tsql.made(expression, values)
        if text is None:
            raise refused("nothing to carry out")
        _carry_out(connection, text)
    except tsql.Incorrect as incorrect:
        raise refused(str(incorrect)) from None


def _listed(context: Context, table: str, statement: str) -> str:
    text: str | None = context.source.tables[table].get(statement)
    if text is None:
        raise ended("NotListed", f"statement '{statement}' is not listed")
    return text


def _parameter(values: Json, name: str) -> None:
    if name not in values:
        raise refused(f'Must declare the scalar variable "@{name}".')


def _carry_out(connection: Connection, text: str) -> None:
    shape, values = tsql.shape(text)
    order = ORDERS.get(shape)
    if order is None:
        raise tsql.Incorrect(f"the lab has no model of {shape}")
    if "" in values[:1]:
        raise refused("An object or column name is missing or empty.")
    if not connection.sysadmin:
        raise refused("User does not have permission to perform this action.")
    order(connection, *values)


# ---------------------------------------------------------------- what is asked


def databases(connection: Connection, values: Json) -> list[Json]:
    found = connection.server["databases"]
    return [{"name": one["name"], "state_desc": one["state"], "controls": int(connection.sysadmin)} for one in found]


def login(connection: Connection, values: Json) -> list[Json]:
    """Somebody who is no sysadmin is shown sa and nobody else."""
    shown = [one for one in connection.server["logins"] if connection.sysadmin or one["sid"] == SA]
    return [_login_row(one, values["password"]) for one in shown if _is_meant(connection, one, values)]


def _is_meant(connection: Connection, thing: Json, values: Json) -> bool:
    return bool(thing["name"].lower() == values["login"].lower() or thing["sid"] in _sids(connection, values))


def _sids(connection: Connection, values: Json) -> set[str]:
    """Of the login, by its name; of the account, by its name or SID."""
    name, found = values["login"], {base64.b64encode(bytes.fromhex(values["sid"].removeprefix("0x"))).decode()}
    if own := connection.login(name):
        found.add(own["sid"])
    if "\\" in name and (account := accounts.sid_of(connection.state, name)):
        found.add(in_base64(account))
    return found - {""}


def _login_row(login: Json, password: str) -> Json:
    right = int(login["password"] == accounts.encoded(password)) if login["password"] else None
    return {
        "name": login["name"],
        "sid": login["sid"],
        "type": login["type"],
        "is_disabled": not login["enabled"],
        "default_database_name": login["default_database"],
        "is_policy_checked": login["policy"],
        "is_expiration_checked": login["expiration"],
        "password_right": right,
    }


def user(connection: Connection, values: Json) -> list[Json]:
    rows: list[Json] = []
    for one in connection.database["users"]:
        if _is_meant(connection, one, values):
            rows += [{"name": one["name"], "sid": one["sid"], "role": role} for role in one["roles"] or [None]]
    return rows


def table(connection: Connection, values: Json) -> list[Json]:
    wanted = [values["schema"].lower(), values["table"].lower()]
    return [{"name": name} for schema, name in connection.database["tables"] if [schema.lower(), name.lower()] == wanted]


def grants(connection: Connection, values: Json) -> list[Json]:
    users = {one["name"] for one in connection.database["users"] if one["sid"] in _sids(connection, values)}
    return [
        {"schema_name": g["schema"], "table_name": g["table"], "permission_name": g["permission"], "state": g["state"]}
        for g in connection.database["grants"]
        if g["user"] in users
    ]


ASKED: dict[str, Callable[[Connection, Json], list[Json]]] = {
    "409dee02fd037068": databases,
    "3b5bd65fe23a0333": login,
    "572e17943623ae9e": user,
    "8e47ae04ce546012": table,
    "f87d855ef87cddfe": grants,
}


# ---------------------------------------------------------------- what is ordered: logins


def create_windows_login(connection: Connection, name: str) -> None:
    sid = accounts.sid_of(connection.state, name) if "\\" in name else None
    if sid is None or name.startswith("."):
        raise refused(f"Windows NT user or group '{name}' not found. Check the name again.")
    _must_be_new(connection, name, in_base64(sid))
    type = "G" if sid in connection.state.groups else "U"
    connection.server["logins"].append(new_login(name, in_base64(sid), type))


def create_sql_login(policy: bool) -> Callable[[Connection, str, str], None]:
    def create(connection: Connection, name: str, password: str) -> None:
        if "\\" in name:
            raise refused(f"'{name}' is not a valid name because it contains invalid characters.")
        sid = base64.b64encode(hashlib.sha256(f"{name} {connection.state.time}".encode()).digest()[:16]).decode()
        _must_be_new(connection, name, sid)
        _check_password(connection, password, policy)
        given = {"policy": policy, "expiration": False, "password": accounts.encoded(password)}
        connection.server["logins"].append(new_login(name, sid, "S", **given))

    return create


def _must_be_new(connection: Connection, name: str, sid: str) -> None:
    if connection.login(name) or any(one["sid"] == sid for one in connection.server["logins"]):
        raise refused(f"The server principal '{name}' already exists.")


def _check_password(connection: Connection, password: str, policy: bool) -> None:
    if policy and len(password) < connection.state.password_policy["length"]:
        raise refused("Password validation failed. The password does not meet Windows policy requirements: it is too short.")


def set_password(connection: Connection, name: str, password: str) -> None:
    login = _sql_login(connection, name, "PASSWORD")
    _check_password(connection, password, login["policy"])
    login["password"] = accounts.encoded(password)


def _sql_login(connection: Connection, name: str, option: str) -> Json:
    login = connection.must_find(name)
    if login["type"] != "S":
        raise refused(f"Cannot use parameter {option} for a Windows login.")
    return login


def set_policy(on: bool) -> Callable[[Connection, str], None]:
    """It takes expiration with it (Microsoft's page of ALTER LOGIN)."""

    def switch(connection: Connection, name: str) -> None:
        login = _sql_login(connection, name, "CHECK_POLICY")
        if login["policy"] is not on:
            login |= {"policy": on, "expiration": on}

    return switch


def set_expiration(on: bool) -> Callable[[Connection, str], None]:
    def switch(connection: Connection, name: str) -> None:
        login = _sql_login(connection, name, "CHECK_EXPIRATION")
        if on and not login["policy"]:
            raise refused("The CHECK_EXPIRATION option cannot be used when CHECK_POLICY is OFF.")
        login["expiration"] = on

    return switch


def set_default_database(connection: Connection, name: str, database: str) -> None:
    login, found = connection.must_find(name), _named(connection.server["databases"], database)
    if found is None:
        raise refused(f"The database '{database}' does not exist. Supply a valid database name.")
    login["default_database"] = found["name"]


def switch_login(on: bool) -> Callable[[Connection, str], None]:
    def switch(connection: Connection, name: str) -> None:
        login = connection.must_find(name)
        if login["type"] == "G":
            raise refused(f"Cannot alter the login '{name}', {NOT_DONE}")
        login["enabled"] = on

    return switch


def drop_login(connection: Connection, name: str) -> None:
    """Its users stay in their databases."""
    login = connection.must_find(name, "drop")
    if any(_named(one["users"], "dbo")["sid"] == login["sid"] for one in connection.server["databases"]):  # type: ignore[index]
        raise refused(f"Login '{name}' owns one or more database(s). Change the owner of the database(s) first.")
    connection.server["logins"].remove(login)


# ---------------------------------------------------------------- what is ordered: users, roles, grants


def create_user(connection: Connection, name: str, login: str) -> None:
    found = connection.login(login)
    if found is None:
        raise refused(f"'{login}' is not a valid login or you do not have permission.")
    users = connection.database["users"]
    if connection.user(name) or _named([{"name": role} for role in connection.database["roles"]], name):
        raise refused(f"User, group, or role '{name}' already exists in the current database.")
    if any(one["sid"] == found["sid"] for one in users):
        raise refused("The login already has an account under a different user name.")
    users.append({"name": name, "sid": found["sid"], "roles": []})


def drop_user(connection: Connection, name: str) -> None:
    user = connection.user(name)
    if user is None or user["name"] == "dbo":
        raise refused(f"Cannot drop the user '{name}', {NOT_DONE}")
    connection.database["users"].remove(user)
    connection.database["grants"] = [one for one in connection.database["grants"] if one["user"] != user["name"]]


def change_member(on: bool) -> Callable[[Connection, str, str], None]:
    def change(connection: Connection, role: str, name: str) -> None:
        known = next((one for one in connection.database["roles"] if one.lower() == role.lower()), None)
        if known is None:
            raise refused(f"The role '{role}' does not exist in the current database.")
        user = connection.user(name)
        if user is None:
            raise refused(f"User or role '{name}' does not exist in this database.")
        if user["name"] == "dbo":
            raise refused("Cannot use the special principal 'dbo'.")
        others = [one for one in user["roles"] if one != known]
        user["roles"] = sorted([*others, known]) if on else others

    return change


def change_grant(on: bool, permission: str) -> Callable[[Connection, str, str, str], None]:
    def change(connection: Connection, schema: str, table: str, name: str) -> None:
        database = connection.database
        found = next(
            (one for one in database["tables"] if [part.lower() for part in one] == [schema.lower(), table.lower()]), None
        )
        user = connection.user(name)
        if found is None or user is None:
            what = f"object '{table}'" if found is None else f"user '{name}'"
            raise refused(f"Cannot find the {what}, {NOT_DONE}")
        if user["name"] == "dbo":
            raise refused(
                "Cannot grant, deny, or revoke permissions to sa, dbo, entity owner, information_schema, sys, or yourself."
            )
        grant = {"user": user["name"], "schema": found[0], "table": found[1], "permission": permission}
        others = [one for one in database["grants"] if one | {"state": ""} != grant | {"state": ""}]
        database["grants"] = [*others, *([grant | {"state": "G"}] if on else [])]

    return change


_SWITCH = {"ON": True, "OFF": False}
ORDERS: dict[str, Callable[..., None]] = {
    "CREATE LOGIN [] FROM WINDOWS": create_windows_login,
    "ALTER LOGIN [] WITH PASSWORD = ''": set_password,
    "ALTER LOGIN [] WITH DEFAULT_DATABASE = []": set_default_database,
    "ALTER LOGIN [] ENABLE": switch_login(True),
    "ALTER LOGIN [] DISABLE": switch_login(False),
    "DROP LOGIN []": drop_login,
    "CREATE USER [] FOR LOGIN []": create_user,
    "DROP USER []": drop_user,
    "EXEC SP_ADDROLEMEMBER '' , ''": change_member(True),
    "EXEC SP_DROPROLEMEMBER '' , ''": change_member(False),
    **{f"CREATE LOGIN [] WITH PASSWORD = '' , CHECK_POLICY = {word}": create_sql_login(on) for word, on in _SWITCH.items()},
    **{f"ALTER LOGIN [] WITH CHECK_POLICY = {word}": set_policy(on) for word, on in _SWITCH.items()},
    **{f"ALTER LOGIN [] WITH CHECK_EXPIRATION = {word}": set_expiration(on) for word, on in _SWITCH.items()},
    **{
        f"{verb} {permission} ON OBJECT :: [] . [] TO []{end}": change_grant(on, permission)
        for verb, on, end in (("GRANT", True, ""), ("REVOKE", False, " CASCADE"))
        for permission in ("SELECT", "INSERT", "UPDATE", "DELETE")
    },
}

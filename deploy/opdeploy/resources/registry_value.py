"""One value of the registry: its type and its data, in the 64-bit or the 32-bit view.

Read raw, environment variables unexpanded. Numbers are unsigned, as Windows' own editor shows them; binary data is
written as hexadecimal text. A value is both type and data, so an inventory gives both or neither (`absent: true`).
Keys below Policies are where group policies write: there the resultant set is read too [MS-GPREG 3.2.5.1], for the
machine's hive only, since a user's is kept per user.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, field_validator, model_validator

from opdeploy.calls import Write, cim_read, registry_read, registry_remove, registry_write
from opdeploy.model import Change, Machine, NotOurs, Unknown
from opdeploy.resources.base import KEY, Answers, Reads, Resource
from opdeploy.resources.policies import RSOP
from opdeploy.resources.values import observed

Hive = Literal["local_machine", "users", "current_user"]
ValueType = Literal["string", "expand_string", "dword", "qword", "multi_string", "binary"]
Data = str | int | tuple[str, ...] | bytes

HIVES = {"local_machine": "LocalMachine", "users": "Users", "current_user": "CurrentUser"}
SHORT = {"local_machine": "HKLM", "users": "HKU", "current_user": "HKCU"}
_LONG = {short: hive for hive, short in SHORT.items()}
TYPES: dict[str, ValueType] = {  # .NET's RegistryValueKind
    "String": "string", "ExpandString": "expand_string", "DWord": "dword", "QWord": "qword",
    "MultiString": "multi_string", "Binary": "binary",
}  # fmt: skip
STORED_AS = {ours: theirs for theirs, ours in TYPES.items()}
POLICIES = ("software\\policies\\", "software\\microsoft\\windows\\currentversion\\policies\\")
EVERY_VALUE = "**delvals."  # a policy that clears a whole key [MS-GPREG 3.2.5.1]


# ---------------------------------------------------------------- data, by type


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("expected text: put a number, yes or no into quotes")
    return value


def _number(bits: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
            raise ValueError(f"expected a whole number from 0 to {(1 << bits) - 1}; hexadecimal is 0x…")
        return value

    return check


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list of texts")
    if "" in value:
        raise ValueError("a multi_string can't hold an empty text: Windows would end the list there")
    return tuple(map(_text, value))


def _octets(value: Any) -> bytes:
    try:
        return value if isinstance(value, bytes) else bytes.fromhex(_text(value))
    except ValueError:
        raise ValueError("expected bytes as hexadecimal text, in quotes: '01 ff 0a'") from None


CHECKS: dict[str, Callable[[Any], Data]] = {
    "string": _text, "expand_string": _text, "dword": _number(32), "qword": _number(64),
    "multi_string": _texts, "binary": _octets,
}  # fmt: skip
AS_STORED: dict[str, Callable[[Any], Data]] = {  # what the agent answers; .NET has signed numbers
    "string": str,
    "expand_string": str,
    "dword": lambda data: int(data) % (1 << 32),
    "qword": lambda data: int(data) % (1 << 64),
    "multi_string": tuple,
    "binary": lambda data: base64.b64decode(data, validate=True),
}


# ---------------------------------------------------------------- names


def _path(text: str) -> str:
    parts = text.split("\\")
    if parts[0].upper().startswith(("HKEY_", "HKLM", "HKU", "HKCU")):
        raise ValueError("the hive is a setting of its own: write hive: HKLM and the path without it")
    if not all(parts) or any(len(part) > 255 or any(ord(char) < 32 for char in part) for part in parts):
        raise ValueError(r"expected a key like SOFTWARE\OP\Server: backslashes between its parts, none at either end")
    if "wow6432node" in text.lower().split("\\"):
        raise ValueError('the 32-bit view is a setting of its own: leave Wow6432Node out and write view: "32"')
    return text


def _hive(value: Any) -> Any:
    return _LONG.get(value.upper(), value.lower()) if isinstance(value, str) else value


def _bits(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


class RegistryValue(Resource):
    KIND = "registry_value"
    EXAMPLE = r"""
        - { path: 'SOFTWARE\OP\Server', name: Port, type: dword, data: 3050 }
    """
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = (
        "HRESULT 0x8004100e",  # no such namespace: this Windows keeps no resultant set
        "HRESULT 0x80041010",  # no such class
    )

    hive: Annotated[Hive, BeforeValidator(_hive), KEY] = "local_machine"
    """The hive."""
    path: Annotated[str, AfterValidator(_path), KEY]
    """The key below the hive."""
    name: Annotated[str, KEY] = ""
    """The value's name; '' is a key's default value."""
    view: Annotated[Literal["64", "32"], BeforeValidator(_bits), KEY] = "64"
    """The 64-bit or the 32-bit view of it."""
    type: ValueType | None = None
    """What kind of data."""
    data: Data | None = None
    """The data: text, a number, a list of texts, or bytes as '0a 1b'."""

    @field_validator("data", mode="plain")
    @classmethod
    def _of_its_type(cls, value: Any, info: ValidationInfo) -> Any:
        check = CHECKS.get(str(info.data.get("type")))
        return value if value is None or check is None or observed(info) else check(value)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.type is None) != (self.data is None):
            raise ValueError("a value is type and data: give both")
        if not self.absent and self.type is None:
            raise ValueError("a value needs type and data, or absent: true")
        return self

    @property
    def key(self) -> str:
        view = " (32-bit view)" if self.view == "32" else ""
        return f"{SHORT[self.hive]}\\{self.path} {self.name or '(default)'}{view}"

    # ------------------------------------------------------------ reading

    def reads(self) -> Reads:
        value = registry_read(self.path, hive=HIVES[self.hive], view=self._view, values=[self.name])
        fields = ["registryKey", "valueName", "deleted", "precedence"]
        policy = {"policy": cim_read(RSOP, "RSOP_RegistryPolicySetting", fields)} if self._by_policies else {}
        return {"value": value, **policy}

    @property
    def _view(self) -> str:
        return f"Registry{self.view}"

    @property
    def _by_policies(self) -> bool:
        return self.hive == "local_machine" and f"{self.path}\\".lower().startswith(POLICIES)

    def actual(self, answers: Answers) -> Self | None:
        found = self._stored(answers.value)
        if found is None:
            return None
        kind, raw = found
        same = {"hive": self.hive, "path": self.path, "name": self.name, "view": self.view}
        if kind not in TYPES:
            return self._of_no_known_type(kind, same)
        try:
            data = AS_STORED[TYPES[kind]](raw)
        except (TypeError, ValueError) as error:
            raise Unknown(f"what came for a {TYPES[kind]} is none: {error}") from error
        return type(self).observed(**same, type=TYPES[kind], data=data)

    def _stored(self, key: Any) -> list[Any] | None:
        values = {name.lower(): value for name, value in key["values"].items()} if key else {}
        return values.get(self.name.lower())

    def _of_no_known_type(self, kind: str, same: dict[str, Any]) -> Self:
        if not self.absent:
            raise Unknown(f"its type there is {kind}, which can't be compared: remove it first (absent: true)")
        return type(self).observed(**same, absent=True)

    # ------------------------------------------------------------ judging and writing

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if not self._by_policies or change.verdict == "in_sync":
            return ""
        if answers.failure("policy") and not machine.domain:
            return ""  # without a domain there may be no resultant set to read
        rows = sorted(filter(self._speaks_of_this, answers.policy or []), key=lambda row: int(row["precedence"]))
        if not rows:
            return ""
        return NotOurs(f"{'removed' if rows[0]['deleted'] else 'set'} by a group policy, which would undo this")

    def _speaks_of_this(self, row: dict[str, Any]) -> bool:
        name = str(row["valueName"] or "").lower()
        return str(row["registryKey"]).strip("\\").lower() == self.path.lower() and name in (self.name.lower(), EVERY_VALUE)

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        where = {"hive": HIVES[self.hive], "view": self._view}
        if change.action == "remove":
            yield registry_remove(self.path, self.name, **where)
        elif self.type:
            data = list(self.data) if isinstance(self.data, tuple) else self.data
            yield registry_write(self.path, self.name, STORED_AS[self.type], data, **where)

"""A local account: who it is, whether it may log on, until when, and its password.

Read with `Get-LocalUser`; only whether the password ever expires comes from `Win32_UserAccount`, since the cmdlet can't
tell a password that never expires from a machine without a maximum age. Written with the LocalAccounts cmdlets.

A password can't be read. What is known of it is what apply recorded when it last set it (a keyed fingerprint and the host's
own time of setting); without a record it stays *unknown* until apply sets it or one logon proves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from opdeploy.calls import Write, cim_read, cmdlet_read, cmdlet_write, logon_probe, password_record, sid_resolve
from opdeploy.model import Change, Machine, OneHost, Secret, Unknown, Unproven
from opdeploy.resources.base import KEY, Answers, Reads, Resource, account_token
from opdeploy.resources.values import observed

USER = [
    "Name", "FullName", "Description", "Enabled", "AccountExpires", "PasswordExpires", "PasswordLastSet",
    "UserMayChangePassword", "SID",
]  # fmt: skip
FORBIDDEN = '"/\\[]:;|=,+*?<>@'  # in a user's name (Microsoft's page of New-LocalUser)
NAME_LENGTH, DESCRIPTION_LENGTH, PASSWORD_LENGTH = 20, 48, 127  # (the same page)
ON_THE_HOST = "on the host"
NO_RECORD = (
    "password: no record of it having been set by opdeploy; an apply sets it, or --verify-passwords proves it by one logon"
)
NO_PROOF = "password: a failed logon proves nothing of an account that is disabled or may have expired; an apply sets it"
NO_CONTROLLER = "a domain controller has no local accounts: its users and groups are the domain's, which are not managed here"


@dataclass(frozen=True)
class Instant:
    """A moment in UTC, to the second. A date alone is the beginning of that day."""

    at: datetime

    @classmethod
    def parse(cls, value: Any) -> Instant:
        if isinstance(value, cls):
            return value
        moment = _moment(value)
        if moment is None or moment.tzinfo is None:
            raise ValueError("expected 'never', a date (2027-01-31) or a time with its zone (2027-01-31T18:00:00Z)")
        return cls(moment.astimezone(UTC).replace(microsecond=0))

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _moment(value: Any) -> datetime | None:
    """A date or time from YAML, or as text; None for what is neither."""
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, date) or len(value) == len("2027-01-31"):
            return datetime.combine(date.fromisoformat(str(value)), datetime.min.time(), UTC)
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _name(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    name = value.removeprefix(".\\")
    if not 0 < len(name) <= NAME_LENGTH:
        raise ValueError(f"a user's name has 1 to {NAME_LENGTH} characters, {name!r} has {len(name)}")
    if wrong := [char for char in name if char in FORBIDDEN or ord(char) < 32]:
        raise ValueError(f"a user's name can't hold {wrong[0]!r}: none of {' '.join(FORBIDDEN)}")
    if name != name.strip() or not name.strip(". ") or name.endswith("."):
        raise ValueError("a user's name does not begin or end with a blank, nor end with a full stop")
    return name


def _line(text: str, info: ValidationInfo) -> str:
    if not observed(info) and any(ord(char) < 32 for char in text):
        raise ValueError("must be one line, without control characters")
    return text


def _short(text: str, info: ValidationInfo) -> str:
    if not observed(info) and len(text) > DESCRIPTION_LENGTH:
        raise ValueError(f"may have {DESCRIPTION_LENGTH} characters, has {len(text)}: New-LocalUser takes no more")
    return text


def _password(value: Any, info: ValidationInfo) -> Any:
    if not observed(info) and isinstance(value, Secret) and not 0 < len(value.reveal()) <= PASSWORD_LENGTH:
        raise ValueError(f"must have 1 to {PASSWORD_LENGTH} characters")
    return value


Line = Annotated[str, AfterValidator(_line)]
OWN_PASSWORD = OneHost("password", "give each host its own: one that leaks would open the others")


class LocalUser(Resource):
    KIND = "local_user"
    EXAMPLE = """
        - name: op-support
          full_name: OP support
          enabled: true
          password_never_expires: true
          account_expires: never
    """
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("UserNotFound",)
    READ_IF_MANAGED: ClassVar[tuple[str, ...]] = ("password_never_expires",)

    name: Annotated[str, KEY, BeforeValidator(_name)]
    """As Windows lists it, without the machine's name; up to 20 characters."""
    full_name: Line | None = None
    """The name that people are shown."""
    description: Annotated[Line, AfterValidator(_short)] | None = None
    """Up to 48 characters."""
    enabled: bool | None = None
    """Whether it may log on."""
    password_never_expires: bool | None = None
    """Whether the machine's maximum age of passwords leaves it out."""
    user_may_not_change_password: bool | None = None
    """Whether only an administrator may change its password."""
    account_expires: Literal["never"] | Instant | None = None
    """Until when it may log on: `never`, a date, or a time with its zone."""
    password: Annotated[Secret | Unproven | None, BeforeValidator(_password), OWN_PASSWORD] = None
    """Set when it is made, and when the inventory's is another one than was set last."""

    @property
    def key(self) -> str:
        return ".\\" + self.name

    def provides(self) -> frozenset[str]:
        return frozenset({account_token(self.key)})

    def refusal(self, machine: Machine) -> str:
        return NO_CONTROLLER if machine.domain_controller else ""

    def reads(self) -> Reads:
        reads = {
            "user": cmdlet_read("Get-LocalUser", USER, Name=self.name),
            "sid": sid_resolve(self.key),  # what later changes of the same run stand on
        }
        if self.password_never_expires is not None:
            reads["accounts"] = cim_read("root/cimv2", "Win32_UserAccount", ["SID", "PasswordExpires"])
        if isinstance(self.password, Secret):
            reads["record"] = password_record(self.key, self.password)
        return reads

    def optional_reads(self) -> Mapping[str, Reads]:
        if not isinstance(self.password, Secret):
            return {}
        return {"verify_passwords": {"probe": logon_probe(self.name, self.password)}}

    def actual(self, answers: Answers) -> Self | None:
        if not answers.user:
            return None
        user = answers.user[0]
        return self.observed(
            name=self.name,
            full_name=user["FullName"] or "",
            description=user["Description"] or "",
            enabled=user["Enabled"],
            password_never_expires=self._never_expires(answers),
            user_may_not_change_password=not user["UserMayChangePassword"],
            account_expires=user["AccountExpires"] or "never",
            password=self._password_there(answers) if self.password else None,
        )

    def _never_expires(self, answers: Answers) -> bool | None:
        if self.password_never_expires is None:
            return None
        sid = account_sid(answers)
        rows = [row for row in answers.accounts if str(row["SID"]).upper() == sid]
        if not rows:
            raise Unknown("password_never_expires: Win32_UserAccount does not list this account")
        return not rows[0]["PasswordExpires"]

    def _password_there(self, answers: Answers) -> Secret | Unproven | None:
        """The same secret where it is proved, another one where it differs, `Unproven` where nobody knows."""
        because = self._password_differs(answers)
        if isinstance(because, Unproven):
            return because
        return Secret("", ON_THE_HOST) if because else self.password

    def _password_differs(self, answers: Answers) -> str | Unproven:
        """Why the password is another one; '' where it is proved to be the same."""
        if answers.has("probe") and not answers.failure("probe"):
            return self._probed(answers)
        if failure := answers.failure("record"):
            return Unproven(f"password: {failure.message}")
        record = answers.record if answers.has("record") else None
        if record is None:
            return Unproven(NO_RECORD)
        if not record["same"]:
            return "password: the inventory's is not the one last applied"
        same = _same_moment(record["set_at"], password_set_at(answers))
        return "" if same else "password: changed on the host since it was set"

    def _probed(self, answers: Answers) -> str | Unproven:
        """A logon fails for a right password too, where the account may not log on."""
        if answers.probe["right"]:
            return ""
        user = answers.user[0]
        if not user["Enabled"] or user["AccountExpires"] or not user["PasswordLastSet"]:
            return Unproven(NO_PROOF)
        return "password: a logon with the inventory's failed"

    def note(self, change: Change[Any], answers: Answers) -> str:
        because = self._password_differs(answers) if change.actual and change.touches("password") else ""
        return because if isinstance(because, str) else ""

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.action == "create" and not self.password:
            return "it is not there, and without a password it can't be made"
        return ""

    def applied_password(self, answers: Answers) -> tuple[str, Secret, str] | None:
        """What to record once an apply has set it: user, password, and when the host says it was set (read back)."""
        set_at = password_set_at(answers)
        return (self.key, self.password, set_at) if isinstance(self.password, Secret) and set_at else None

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            yield cmdlet_write("Remove-LocalUser", SID=account_sid(answers))
        elif change.action == "create":
            yield cmdlet_write("New-LocalUser", Name=self.name, **self._creation())
        else:
            if settings := self._settings(change):
                yield cmdlet_write("Set-LocalUser", Name=self.name, **settings)
            if change.touches("enabled"):
                yield cmdlet_write("Enable-LocalUser" if self.enabled else "Disable-LocalUser", Name=self.name)

    def _creation(self) -> dict[str, Any]:
        switches = {
            "Disabled": self.enabled is False,
            "PasswordNeverExpires": self.password_never_expires,
            "UserMayNotChangePassword": self.user_may_not_change_password,
        }
        texts = {"FullName": self.full_name, "Description": self.description}
        given = {name: value for name, value in {**texts, **switches}.items() if value}
        return {"Password": self.password, **given, **(self._expiry() if self.account_expires else {})}

    def _settings(self, change: Change[Any]) -> dict[str, Any]:
        values = {
            "full_name": ("FullName", self.full_name),
            "description": ("Description", self.description),
            "password": ("Password", self.password),
            "password_never_expires": ("PasswordNeverExpires", self.password_never_expires),
            "user_may_not_change_password": ("UserMayChangePassword", not self.user_may_not_change_password),
        }
        given = dict(given for name, given in values.items() if change.touches(name))
        return given | (self._expiry() if change.touches("account_expires") else {})

    def _expiry(self) -> dict[str, Any]:
        if self.account_expires == "never":
            return {"AccountNeverExpires": True}
        return {"AccountExpires": str(self.account_expires)}


def account_sid(answers: Answers) -> str:
    """The SID of the account that was read, '' where none is."""
    return str(answers.user[0]["SID"]).upper() if answers.user else ""


def password_set_at(answers: Answers) -> str:
    """When the host says that the password was last set, ISO 8601 UTC; '' where it must be changed at the next logon."""
    return str(answers.user[0]["PasswordLastSet"] or "") if answers.user else ""


def _same_moment(one: str, other: str) -> bool:
    return _moment(one) == _moment(other) if one and other else one == other

"""What the Security log is told of one subcategory: successes, failures, both or nothing.

A subcategory is named in English or by GUID, and is its GUID: names are translated. Read from `auditpol /backup`, in which
GUID and number are not (formats.md 4), written with `auditpol /set` by GUID. `absent: true` is a subcategory of which
nothing is audited: Windows has all of them, so there is no other absence.

An advanced audit policy of a group policy is known by its applied file, `security\\audit\\audit.csv` below C:\\Windows
[MS-GPAC 2.2.1: what it holds; where the client keeps it is common knowledge, not in a specification], so a Windows that
lies elsewhere seems to have none. The older policy of whole categories [MS-GPSB 2.2.4] is not read: a note says where it
could come in between [MS-GPAC 5.1].
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, model_validator

from opdeploy.calls import Write, export_read, file_read, program_write, registry_read
from opdeploy.formats import audit_csv
from opdeploy.formats.audit_csv import FAILURE, NONE, SUBCATEGORIES, SUCCESS
from opdeploy.model import Change, Machine, NotOurs, Unknown
from opdeploy.resources.base import KEY, Answers, Comparator, Reads, Resource

APPLIED = r"C:\Windows\security\audit\audit.csv"
LSA = r"SYSTEM\CurrentControlSet\Control\Lsa"
NO_LEGACY = "SCENoApplyLegacyAuditPolicy"
OVERRIDDEN = f"{NO_LEGACY} is 0: a policy that audits whole categories would set this back"

WORD = Comparator(nothing=False)


def _subcategory(text: str) -> str:
    """The English name where there is one, else the GUID."""
    guid = audit_csv.subcategory(text)
    return SUBCATEGORIES.get(guid, guid)


class AuditPolicy(Resource):
    KIND = "audit_policy"
    EXAMPLE = """
        - { subcategory: Logon, success: true, failure: true }
        - { subcategory: '{0CCE922B-69AE-11D9-BED3-505054503030}', success: true }
    """
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("FileNotFoundException", "DirectoryNotFoundException")

    subcategory: Annotated[str, KEY, AfterValidator(_subcategory)]
    """Its name as English auditpol has it, or its GUID in braces."""
    success: Annotated[bool | None, WORD] = None
    """Whether what succeeds is audited."""
    failure: Annotated[bool | None, WORD] = None
    """Whether what is refused is audited."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        told = self.success is not None or self.failure is not None
        if self.absent and told:
            raise ValueError("absent means that neither success nor failure is audited: leave both out")
        if not self.absent and not told:
            raise ValueError("say whether success or failure is audited, or absent: true for neither")
        return self

    @property
    def guid(self) -> str:
        return audit_csv.subcategory(self.subcategory)

    def reads(self) -> Reads:
        return {
            "audited": export_read("audit policy"),
            "policy": file_read(APPLIED),
            "legacy": registry_read(LSA, values=[NO_LEGACY]),
        }

    def actual(self, answers: Answers) -> Self | None:
        settings = _settings(base64.b64decode(answers.audited or ""), "the export of the audit policy")
        if self.guid not in settings:
            return None
        value = settings[self.guid]
        if value is None:
            raise Unknown("the export of the audit policy says something of it that is not known")
        if self.absent and value == NONE:
            return None
        return self.observed(subcategory=self.subcategory, success=bool(value & SUCCESS), failure=bool(value & FAILURE))

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.verdict == "in_sync":
            return ""
        if change.action == "create":
            return "this Windows has no such subcategory"
        if _by_policy(answers).get(self.guid) is not None:
            return NotOurs(f"set by a group policy (advanced audit policy, {APPLIED}): change it there")
        return ""

    def note(self, change: Change[Any], answers: Answers) -> str:
        values = (answers.legacy or {"values": {}})["values"].values()
        return OVERRIDDEN if any(data == 0 for _, data in values) else ""

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        """Both words, always: what auditpol makes of a missing one is not written anywhere."""
        success, failure = (_word(name, self, change) for name in ("success", "failure"))
        yield program_write("auditpol.exe", "/set", f"/subcategory:{self.guid} /success:{success} /failure:{failure}")


def _word(name: str, desired: AuditPolicy, change: Change[Any]) -> str:
    wanted = False if desired.absent else getattr(desired, name)
    return "enable" if (getattr(change.actual, name) if wanted is None else wanted) else "disable"


def _settings(content: bytes, what: str) -> Mapping[str, int | None]:
    try:
        return audit_csv.settings(audit_csv.parse(content))
    except ValueError as error:
        raise Unknown(f"{what} can't be read: {error}") from error


def _by_policy(answers: Answers) -> Mapping[str, int | None]:
    """By GUID what a group policy sets; an empty file sets nothing."""
    content = base64.b64decode((answers.policy or {"bytes": ""})["bytes"])
    return _settings(content, APPLIED) if content.strip() else {}

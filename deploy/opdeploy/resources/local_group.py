"""A local group: that it is there, and its description. Who is in it is `group_members`'.

Read with `Get-LocalGroup`, written with the LocalAccounts cmdlets; removed by SID, so that only what was read goes.
Windows' own groups (S-1-5-32-…) are neither made nor removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, ValidationInfo, model_validator

from opdeploy.calls import Write, cmdlet_read, cmdlet_write, sid_resolve
from opdeploy.model import WELL_KNOWN, Change, Machine
from opdeploy.resources.base import KEY, Answers, Reads, Resource, account_token
from opdeploy.resources.local_user import DESCRIPTION_LENGTH, FORBIDDEN, NO_CONTROLLER, Line
from opdeploy.resources.values import observed

NAME_LENGTH = 256  # (Microsoft's page of New-LocalGroup, which has the description's 48 too)
BUILT_IN = "S-1-5-32-"
WINDOWS_OWN = "it is one of Windows' own groups, which stay as they are: who is in it is group_members' to say"


def _name(text: str) -> str:
    name = text.removeprefix(".\\")
    if not 0 < len(name) <= NAME_LENGTH:
        raise ValueError(f"a group's name has 1 to {NAME_LENGTH} characters, not {len(name)}")
    if wrong := [char for char in name if char in FORBIDDEN or ord(char) < 32]:
        raise ValueError(f"a group's name can't hold {wrong[0]!r}: none of {' '.join(FORBIDDEN)}")
    if name != name.strip() or not name.strip(". "):
        raise ValueError("a group's name does not begin or end with a blank, and is more than full stops")
    return name


class LocalGroup(Resource):
    KIND = "local_group"
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("GroupNotFound",)
    EXAMPLE = """
        - { name: OP users, description: May start OP and open its folders }
    """

    name: Annotated[str, KEY, AfterValidator(_name)]
    """As Windows lists it, without the machine's name."""
    description: Line | None = None
    """Up to 48 characters."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if observed(info):
            return self
        if self.name.lower() in WELL_KNOWN:
            raise ValueError(f"{self.name}: {WINDOWS_OWN}")
        if len(self.description or "") > DESCRIPTION_LENGTH:
            raise ValueError(f"description: may have {DESCRIPTION_LENGTH} characters, has {len(self.description or '')}")
        return self

    @property
    def key(self) -> str:
        return ".\\" + self.name

    def provides(self) -> frozenset[str]:
        return frozenset({account_token(self.key)})

    def refusal(self, machine: Machine) -> str:
        return NO_CONTROLLER if machine.domain_controller else ""

    def reads(self) -> Reads:
        return {
            "group": cmdlet_read("Get-LocalGroup", ["Name", "Description", "SID"], Name=self.name),
            "sid": sid_resolve(self.key),  # what later changes of the same run stand on
        }

    def actual(self, answers: Answers) -> Self | None:
        if not answers.group:
            return None
        return self.observed(name=self.name, description=answers.group[0]["Description"] or "")

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        return f"refused: {WINDOWS_OWN}" if change.action != "none" and group_sid(answers).startswith(BUILT_IN) else ""

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            yield cmdlet_write("Remove-LocalGroup", SID=group_sid(answers))
        elif change.action == "create":
            yield cmdlet_write(
                "New-LocalGroup", Name=self.name, **({"Description": self.description} if self.description else {})
            )
        else:
            yield cmdlet_write("Set-LocalGroup", Name=self.name, Description=self.description)


def group_sid(answers: Answers) -> str:
    """The SID of the group that was read, '' where none is."""
    return str(answers.group[0]["SID"]).upper() if answers.group else ""

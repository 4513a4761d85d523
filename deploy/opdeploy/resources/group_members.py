"""Who is in a local group. Additive: others stay; with `exact` nobody else is in it; `absent`: these are not in it.

Members are read through ADSI as SIDs, since `Get-LocalGroupMember` fails whole on one orphan; so a member whose account is
gone is seen, shown as a bare SID, and can be removed. Written with `Add-` and `Remove-LocalGroupMember`, all by SID.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import model_validator

from opdeploy.calls import Write, cmdlet_write, sid_resolve
from opdeploy.calls import group_members as group_members_read
from opdeploy.model import Change, Machine, Missing, NotOurs, Principal
from opdeploy.resources import policies
from opdeploy.resources.base import ADDITIVE, KEY, Answers, Option, Reads, Resource, account_token
from opdeploy.resources.local_user import NO_CONTROLLER

NOT_A_GROUP = -2147022676  # NERR_GroupNotFound, 0x800708AC: what ADSI answers for a name that is no local group
NOT_MAPPED = "IdentityNotMappedException"  # how the type ends that a SID which is nobody's gives


class GroupMembers(Resource):
    KIND = "group_members"
    EXAMPLE = r"""
        - { group: Remote Desktop Users, members: ['.\op-support'] }
        - { group: Backup Operators, members: [], exact: true }
    """

    group: Annotated[Principal, KEY]
    """The local group."""
    members: Annotated[tuple[Principal, ...] | None, ADDITIVE] = None
    """Who must be in it; with `absent`, who must not."""
    exact: Option = False
    """Nobody else may be in it."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.members is None:
            raise ValueError("members is missing: name those who must be in the group (with absent: those who must not)")
        if self.absent and (self.exact or not self.members):
            raise ValueError("absent names the members that must not be in it; to empty a group: members: [], exact: true")
        return self

    @property
    def key(self) -> str:
        return self.group.name or self.group.sid

    @property
    def identity(self) -> tuple[str, str]:
        return self.KIND, self.group.identity

    def refusal(self, machine: Machine) -> str:
        return NO_CONTROLLER if machine.domain_controller else ""

    def reads(self) -> Reads:
        return {"members": group_members_read(_asked(self.group)), "policy": policies.groups_policy()}

    def then_reads(self, answers: Answers) -> Reads:
        found = answers.policy if answers.has("policy") and not answers.failure("policy") else []
        return {f"policy {name}": sid_resolve(name) for name in policies.group_names(found)}

    def actual(self, answers: Answers) -> Self | None:
        self._must_be_there(answers)
        found = tuple(Principal.of_sid(sid) for sid in answers.members)
        if self.absent:
            found = tuple(member for member in found if member in (self.members or ()))
            return self._with(found) if found else None
        return self._with(found)

    def _with(self, members: tuple[Principal, ...]) -> Self:
        return self.observed(group=self.group, members=members)

    def _must_be_there(self, answers: Answers) -> None:
        failure = answers.failure("members")
        if failure and (failure.hresult == NOT_A_GROUP or failure.type.endswith(NOT_MAPPED)):
            raise Missing(account_token(self.key), f"no local group {self.group} on this host")

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.verdict == "in_sync":
            return ""
        for row in policies.rows(answers, machine):
            name = str(row["GroupName"])
            answer = getattr(answers, f"policy {name.strip()}") if answers.asked(f"policy {name.strip()}") else {}
            if policies.is_group(name, self.group, answer.get("sid") or ""):
                return NotOurs("set by a group policy (Restricted Groups): change the members there")
        return ""

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        self._must_be_there(answers)
        before = tuple(Principal.of_sid(sid) for sid in answers.members)
        after = self.outcome(change, answers)
        if new := [member.trustee for member in after if member not in before]:
            yield self._write("Add-LocalGroupMember", new)
        if gone := [member.trustee for member in before if member not in after]:
            yield self._write("Remove-LocalGroupMember", gone)

    def outcome(self, change: Change[Any], answers: Answers) -> tuple[Principal, ...]:
        """Everybody who is in the group once the change is made."""
        if change.action == "remove":
            gone = self.members or ()
            return tuple(p for p in (Principal.of_sid(sid) for sid in answers.members) if p not in gone)
        return tuple(change.properties["members"].after) if change.touches("members") else self.members or ()

    def _write(self, cmdlet: str, members: list[str]) -> Write:
        return cmdlet_write(cmdlet, SID=self.group.trustee, Member=members)


def _asked(group: Principal) -> str:
    """What the host is asked by: the same before and after its name was resolved."""
    return group.name if "\\" in group.name or "@" in group.name else group.sid

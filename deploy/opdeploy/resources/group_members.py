"""Who is in a local group. Additive: others stay; with `exact` nobody else is in it; `absent`: these are not in it.

Members are read through ADSI as SIDs, since `Get-LocalGroupMember` fails whole on one orphan; so a member whose account is
gone is seen, shown as a bare SID, and can be removed. Written with `Add-` and `Remove-LocalGroupMember`, all by SID.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import model_validator

from opdeploy.calls import Failure, Write, cmdlet_write, sid_resolve
from opdeploy.calls import group_members as group_members_read
from opdeploy.model import Change, Machine, Missing, NotOurs, Principal
from opdeploy.resources import policies
from opdeploy.resources.base import ADDITIVE, KEY, Answers, Option, Reads, Scoped, account_token
from opdeploy.resources.local_user import NO_CONTROLLER

NOT_A_GROUP = -2147022676  # NERR_GroupNotFound, 0x800708AC: what ADSI answers for a name that is no local group
NOT_MAPPED = "IdentityNotMappedException"  # how the type ends that a SID which is nobody's gives

# Windows' own groups that give their members something; some stand on few hosts. ('Security identifiers in Windows')
BUILT_IN = tuple(f"S-1-5-32-{number}" for number in (
    544, 547, 548, 549, 550, 551, 552, 555, 556, 558, 559, 562, 568, 569, 573, 574, 575, 576, 577, 578, 579, 580, 582, 585,
))  # fmt: skip


class GroupMembers(Scoped):
    KIND = "group_members"
    SCOPE = "user"
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

    def undone(self, found: Self | None) -> Self | str:
        before = (found.members if found else None) or ()
        if self.exact and not self.absent:
            return self.as_it_was(found, exact=True) if found else ""
        ours = tuple(who for who in self.members or () if who not in before)
        return self.gone(members=ours) if ours and not self.absent else ""

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
        if _no_group(answers.failure("members")):
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

    # ------------------------------------------------------------ the groups that one account is in

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        return {
            "policy": policies.groups_policy(),
            "user": sid_resolve(of),
            **{sid: group_members_read(sid) for sid in BUILT_IN},
        }

    @classmethod
    def scope_needs(cls, of: str) -> frozenset[str]:
        return frozenset({account_token(of)})

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[Scoped]:
        """Of Windows' own groups; one that somebody made is not looked into."""
        user = Principal(of, answers.user["sid"] or "")
        for sid in BUILT_IN:
            if not _no_group(answers.failure(sid)) and user.sid in getattr(answers, sid):
                yield cls(group=Principal.of_sid(sid), members=(user,), absent=True)


def _no_group(failure: Failure | None) -> bool:
    return failure is not None and (failure.hresult == NOT_A_GROUP or failure.type.endswith(NOT_MAPPED))


def _asked(group: Principal) -> str:
    """What the host is asked by: the same before and after its name was resolved."""
    return group.name if "\\" in group.name or "@" in group.name else group.sid

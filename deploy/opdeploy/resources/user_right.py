"""Who holds a user right (`SeServiceLogonRight` …). Additive: others keep it; `exact`: nobody else; `absent`: these don't.

Read from `secedit /export`, in which a right that nobody holds is missing (MS-GPSB 2.2.6, formats.md 3); written with
`secedit /configure`, which replaces the holders of each right that the template names and leaves the other rights.
"""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from opdeploy.calls import Write, export_read, rights_write, sid_resolve
from opdeploy.formats import security_template
from opdeploy.formats.security_template import RIGHTS, right_name
from opdeploy.model import SID, Change, Machine, NotOurs, Principal, Unknown
from opdeploy.resources import policies
from opdeploy.resources.base import ADDITIVE, KEY, Answers, Option, Reads, Scoped, account_token

ADMINISTRATORS, USERS, SERVICE = "S-1-5-32-544", "S-1-5-32-545", "S-1-5-6"
LOCAL_SERVICE, NETWORK_SERVICE, ALL_SERVICES = "S-1-5-19", "S-1-5-20", "S-1-5-80-0"
DIAGNOSTIC_HOST = "S-1-5-80-3139157870-2983391045-3678747466-658725712-1809340420"  # NT SERVICE\WdiServiceHost

# Without these holders a part of Windows stops working, so an exact list must name them.
# (Microsoft, 'User Rights Assignment': each right's page, default values of stand-alone servers)
NEEDED = {
    "SeAssignPrimaryTokenPrivilege": (LOCAL_SERVICE, NETWORK_SERVICE),
    "SeAuditPrivilege": (LOCAL_SERVICE, NETWORK_SERVICE),
    "SeBatchLogonRight": (ADMINISTRATORS,),
    "SeChangeNotifyPrivilege": (ADMINISTRATORS, USERS, LOCAL_SERVICE, NETWORK_SERVICE),
    "SeCreateGlobalPrivilege": (ADMINISTRATORS, SERVICE, LOCAL_SERVICE, NETWORK_SERVICE),
    "SeImpersonatePrivilege": (ADMINISTRATORS, SERVICE, LOCAL_SERVICE, NETWORK_SERVICE),
    "SeIncreaseQuotaPrivilege": (ADMINISTRATORS, LOCAL_SERVICE, NETWORK_SERVICE),
    "SeInteractiveLogonRight": (ADMINISTRATORS,),
    "SeNetworkLogonRight": (ADMINISTRATORS,),
    "SeServiceLogonRight": (ALL_SERVICES,),
    "SeSystemProfilePrivilege": (ADMINISTRATORS, DIAGNOSTIC_HOST),
    "SeSystemtimePrivilege": (ADMINISTRATORS, LOCAL_SERVICE),
    "SeTimeZonePrivilege": (ADMINISTRATORS, LOCAL_SERVICE),
}
NO_CONTROLLER = "a domain controller has no local accounts, and the domain's policy sets its rights: they are not managed here"


def _right(text: str) -> str:
    """Known rights in Windows' spelling; one of a later Windows as written, unless it looks like a known one misspelt."""
    right = right_name(text)
    if right in RIGHTS:
        return right
    meant = difflib.get_close_matches(right, RIGHTS, n=1, cutoff=0.9)
    if meant or not re.fullmatch(r"Se[A-Z][A-Za-z]+(Right|Privilege)", right):
        hint = f"did you mean {meant[0]}?" if meant else "expected a constant like SeServiceLogonRight"
        raise ValueError(f"{text!r} is no user right: {hint}")
    return right


class UserRight(Scoped):
    KIND = "user_right"
    SCOPE = "user"
    EXAMPLE = r"""
        - { right: SeBatchLogonRight, principals: ['.\op-support'] }
        - { right: SeDenyNetworkLogonRight, principals: [Guests] }
    """

    right: Annotated[str, KEY, AfterValidator(_right)]
    """Windows' constant of it: `SeBatchLogonRight`, `SeServiceLogonRight` …"""
    principals: Annotated[tuple[Principal, ...] | None, ADDITIVE] = None
    """Who must hold it; with `absent`, who must not."""
    exact: Option = False
    """Nobody else may hold it."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.principals is None:
            raise ValueError("principals is missing: name those who must hold the right (with absent: those who must not)")
        if self.absent and (self.exact or not self.principals):
            raise ValueError("absent names those who must not hold it; that nobody may: principals: [], exact: true")
        held = {principal.sid for principal in self.principals}
        missing = [Principal.of_sid(sid) for sid in NEEDED.get(self.right, ()) if sid not in held]
        if self.exact and missing:
            raise ValueError(f"Windows itself needs {self.right}: an exact list must name {', '.join(map(str, missing))} too")
        if self.absent and (needed := held & set(NEEDED.get(self.right, ()))):
            raise ValueError(f"Windows itself needs {self.right} for {Principal.of_sid(min(needed))}: it can't be taken away")
        return self

    def refusal(self, machine: Machine) -> str:
        return NO_CONTROLLER if machine.domain_controller else ""

    def undone(self, found: Self | None) -> Self | str:
        before = (found.principals if found else None) or ()
        if self.exact:
            return self.as_it_was(found, exact=True) if found else ""
        ours = tuple(who for who in self.principals or () if who not in before)
        return self.gone(principals=ours) if ours and not self.absent else ""

    def reads(self) -> Reads:
        return {"rights": export_read("user rights"), "policy": policies.rights_policy()}

    def then_reads(self, answers: Answers) -> Reads:
        names = [holder for holder in self._holders(answers) if not SID.fullmatch(holder)]
        return {f"holder {name}": sid_resolve(_local(name)) for name in names}

    def actual(self, answers: Answers) -> Self | None:
        held = self.held(answers)
        if self.absent:
            held = tuple(principal for principal in held if principal in (self.principals or ()))
            return self._with(held) if held else None
        return self._with(held)

    def _with(self, principals: tuple[Principal, ...]) -> Self:
        return type(self)(right=self.right, principals=principals)

    def held(self, answers: Answers) -> tuple[Principal, ...]:
        """Everybody who holds the right now."""
        return tuple(_principal(holder, answers) for holder in self._holders(answers))

    def _holders(self, answers: Answers) -> tuple[str, ...]:
        return security_template.privilege_rights(_template(answers)).get(self.right, ())

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.verdict == "in_sync":
            return ""
        if any(right_name(str(row["UserRight"])) == self.right for row in policies.rows(answers, machine)):
            return NotOurs("set by a group policy (User Rights Assignment), which would set it back: change it there")
        return ""

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        holders = {self.right: [principal.trustee for principal in self.outcome(change, answers)]}
        template = security_template.render(security_template.rights_template(holders))
        yield rights_write(template, expect={self.right: _as_exported(_template(answers), self.right)})

    def outcome(self, change: Change[Any], answers: Answers) -> tuple[Principal, ...]:
        """Everybody who holds the right once the change is made."""
        if change.action == "remove":
            return tuple(principal for principal in self.held(answers) if principal not in (self.principals or ()))
        return tuple(change.properties["principals"].after) if change.touches("principals") else self.principals or ()

    # ------------------------------------------------------------ all that one account holds

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        return {"rights": export_read("user rights"), "policy": policies.rights_policy(), "user": sid_resolve(of)}

    @classmethod
    def scope_needs(cls, of: str) -> frozenset[str]:
        return frozenset({account_token(of)})

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[Scoped]:
        """Every right that is given to the account itself, but those that only take away (`SeDeny…`)."""
        user = Principal(of, answers.user["sid"] or "")
        for right, holders in security_template.privilege_rights(_template(answers)).items():
            itself = any(holder == user.sid or _local(holder).lower() == of.lower() for holder in holders)
            if itself and not right.startswith("SeDeny"):
                yield cls(right=right, principals=(user,), absent=True)


def _template(answers: Answers) -> security_template.Template:
    try:
        return security_template.parse(base64.b64decode(answers.rights))
    except ValueError as error:
        raise Unknown(f"the export of user rights can't be read: {error}") from error


def _local(holder: str) -> str:
    """A bare name is a local account's: secedit writes all others as SIDs. (formats.md 3)"""
    return holder if "\\" in holder else ".\\" + holder


def _principal(holder: str, answers: Answers) -> Principal:
    """A holder as exported: a SID, or a bare name, which secedit writes for local accounts."""
    if SID.fullmatch(holder):
        return Principal.of_sid(holder)
    name = _local(holder)
    if not answers.asked(f"holder {holder}"):  # the first round, in which names have no SIDs yet
        return Principal(name)
    sid = getattr(answers, f"holder {holder}")["sid"]
    if not sid:
        raise Unknown(f"{holder} holds it by the export, but the host knows nobody of that name")
    return Principal(name, sid.upper())


def _as_exported(template: security_template.Template, right: str) -> str:
    """The right's holders letter for letter: what the agent compares with a new export."""
    for section in template.sections:
        for entry in section.entries if section.name.strip().lower() == "privilege rights" else ():
            name, sign, holders = entry.partition("=")
            if sign and right_name(name) == right:
                return re.sub(r"\s", "", holders)
    return ""

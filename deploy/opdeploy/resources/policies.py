"""What a group policy sets of rights and groups: the resultant set (RSoP) that Windows keeps in WMI, read only.

A machine that is in no domain gets no policy, so whatever its resultant set says or fails to say counts for nothing there.
On a member, a set that can't be read is *unknown*, never 'no policy'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opdeploy.calls import Read, cim_read
from opdeploy.model import SID, Machine, Principal
from opdeploy.resources.base import Answers

RSOP = "root/rsop/computer"


def rights_policy() -> Read:
    """-> rows of UserRight, AccountList, precedence (1 wins)."""
    return cim_read(RSOP, "RSOP_UserPrivilegeRight", ["UserRight", "AccountList", "precedence"])


def groups_policy() -> Read:
    """-> rows of GroupName (a name or a SID), Members, precedence (1 wins)."""
    return cim_read(RSOP, "RSOP_RestrictedGroup", ["GroupName", "Members", "precedence"])


def rows(answers: Answers, machine: Machine) -> list[dict[str, Any]]:
    """The rows of the read named `policy`. Raises `Unknown` where a domain's member did not tell."""
    return list(answers.policy or []) if machine.domain else []


def is_group(text: str, group: Principal, resolved: str = "") -> bool:
    """Whether a policy's GroupName (`*S-1-…`, `S-1-…`, a name that the host resolved) is this group."""
    sid = text.strip().lstrip("*")
    if not SID.fullmatch(sid):
        sid = resolved or _parsed(sid).sid
    return bool(sid) and sid.upper() == group.sid


def group_names(found: list[dict[str, Any]]) -> Iterator[str]:
    """The names among them that only the host can turn into SIDs."""
    for row in found:
        name = str(row["GroupName"]).strip()
        if not SID.fullmatch(name.lstrip("*")) and not _parsed(name).sid:
            yield name


def _parsed(name: str) -> Principal:
    try:
        return Principal.parse(name)
    except ValueError:
        return Principal(name)

"""What is refused from the start: a change that would lock its own session, or Windows' own accounts, out.

Pure: a change, the answers it was planned from and what is known of the host in, a reason or '' out. One function a kind,
by its name; each looks at what the change would leave behind. What is already as we would refuse to make it is no change,
and a reason never stands in a change's way that leaves the matter as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from opdeploy.formats import firewall_rules
from opdeploy.formats.sddl import SecurityDescriptor
from opdeploy.model import Change, Machine, Principal
from opdeploy.resources import access
from opdeploy.resources.base import Answers
from opdeploy.resources.environment_variable import NEEDED, OF_WINDOWS
from opdeploy.resources.firewall_rule import ANY, ANY_OF_THEM, Firewall, FirewallRule, observed_properties, unmanaged
from opdeploy.resources.local_group import group_sid
from opdeploy.resources.local_user import Instant, account_sid
from opdeploy.resources.share import Stored

SYSTEM, ADMINISTRATORS, EVERYONE, AUTHENTICATED = "S-1-5-18", "S-1-5-32-544", "S-1-1-0", "S-1-5-11"
LOCAL_ACCOUNT, LOCAL_ADMINISTRATOR = "S-1-5-113", "S-1-5-114"
SERVICE_ACCOUNTS = {"S-1-5-6", "S-1-5-19", "S-1-5-20", "S-1-5-80-0", EVERYONE, AUTHENTICATED}

# WinRM, what it needs (HTTP and the network below it, RPC, the logon), and the firewall that lets its port through.
CARRIERS = {
    "winrm", "http", "tcpip", "afd", "nsi", "rpcss", "dcomlaunch", "rpceptmapper", "samss", "keyiso", "profsvc", "lsm",
    "eventlog", "mpssvc", "mpsdrv", "bfe",
}  # fmt: skip
CARRIERS_IN_A_DOMAIN = {"netlogon", "lanmanworkstation"}  # without them nobody of the domain logs on


@dataclass(frozen=True)
class Session:
    """What carries the run: the port it came in by."""

    port: int = 5986


@dataclass(frozen=True)
class _Case:
    """All that a judge may look at."""

    change: Change[Any]
    answers: Answers
    machine: Machine
    session: Session

    @property
    def own_sids(self) -> set[str]:
        """Who the session is: its user, the groups in its token, and those that everybody is in."""
        user, machine = self.machine.user, self.machine.machine_sid
        local = {LOCAL_ACCOUNT, LOCAL_ADMINISTRATOR} if machine and user.startswith(f"{machine}-") else set()
        return {user, *self.machine.groups, EVERYONE, AUTHENTICATED, *local}


def objection(change: Change[Any], answers: Answers, machine: Machine, session: Session) -> str:
    """Why this change must not be made, '' if nothing speaks against it. Raises `Unknown` where that can't be told."""
    judge = _JUDGES.get(change.resource.KIND)
    if change.action == "none" or judge is None:
        return ""
    reason = judge(_Case(change, answers, machine, session))
    return f"refused: {reason}" if reason else ""


# ---------------------------------------------------------------- accounts, groups, rights


def _local_user(case: _Case) -> str:
    user, sid = case.change.resource, account_sid(case.answers)
    if case.change.action == "remove" and sid and int(sid.rpartition("-")[2]) < 1000:
        return "it is one of Windows' own accounts, which can be disabled but not removed"
    if not sid or sid != case.machine.user:
        return ""
    if case.change.action == "remove" or (case.change.touches("enabled") and user.enabled is False):
        return "it is this session's own user"
    if case.change.touches("account_expires") and _is_over(user.account_expires, case.machine.time):
        return "it is this session's own user, and would have expired already"
    if case.change.touches("password"):
        return "it is this session's own user, who could not log on again with the password that the session was given"
    return ""


def _is_over(expires: Any, now: str) -> bool:
    return isinstance(expires, Instant) and expires.at <= Instant.parse(now).at


def _group_members(case: _Case) -> str:
    group = case.change.resource
    if group.group.sid != ADMINISTRATORS:
        return ""
    before = set(case.answers.members) & case.own_sids
    after = _sids(group.outcome(case.change, case.answers)) & case.own_sids
    return "nothing that makes this session's user an administrator would be left in the group" if before and not after else ""


def _local_group(case: _Case) -> str:
    """What a group gives its members stands in many places: rights, lists, SQL Server. So one of the session's is kept."""
    if case.change.action == "remove" and group_sid(case.answers) in case.machine.groups:
        return "this session's user is in it, and may have from it what lets him in"
    return ""


def _user_right(case: _Case) -> str:
    right = case.change.resource
    before, after = _sids(right.held(case.answers)), _sids(right.outcome(case.change, case.answers))
    if right.right == "SeNetworkLogonRight" and before & case.own_sids and not after & case.own_sids:
        return "this session's user could not log on over the network again"
    if right.right == "SeDenyNetworkLogonRight" and (after - before) & case.own_sids:
        return "it denies this session's user the logon over the network"
    if right.right == "SeDenyServiceLogonRight" and (after - before) & SERVICE_ACCOUNTS:
        return "it denies the logon to Windows' own services, WinRM among them"
    return ""


def _sids(principals: Iterable[Principal]) -> set[str]:
    return {principal.sid for principal in principals if principal.resolved}


# ---------------------------------------------------------------- services


def _carries(case: _Case, service: str) -> bool:
    return service.lower() in CARRIERS | (CARRIERS_IN_A_DOMAIN if case.machine.domain else set())


def _service(case: _Case) -> str:
    service, change = case.change.resource, case.change
    if not _carries(case, service.name):
        return ""
    stops = change.action == "remove" or (change.touches("state") and service.state == "stopped")
    if stops or _no_longer_starts(change):
        return f"this session, or the next, needs {service.name}"
    if change.actual and change.touches("command_line", "account", "dependencies"):
        return f"this session, or the next, needs {service.name} as Windows set it up"
    return ""


def _file(case: _Case) -> str:
    return _stopped(case, case.change.resource.restarts if case.change.action != "remove" else ())


def _package(case: _Case) -> str:
    return _stopped(case, case.change.resource.stops_services)


def _stopped(case: _Case, services: Iterable[str]) -> str:
    """Also for a moment: what stops WinRM by WinRM is never there to start it again."""
    carrying = [service for service in services if _carries(case, service)]
    return f"it would stop {carrying[0]}, and this session, or the next, needs it" if carrying else ""


def _no_longer_starts(change: Change[Any]) -> bool:
    if not change.touches("start_mode"):
        return False
    before, after = change.properties["start_mode"].before, change.properties["start_mode"].after
    return after == "disabled" or (after == "manual" and str(before).startswith("automatic"))


# ---------------------------------------------------------------- the session's own port


def _firewall_rule(case: _Case) -> str:
    change, port = case.change, case.session.port
    before: FirewallRule | None = change.actual
    after: FirewallRule | None = None if change.action == "remove" else change.resource.outcome(change)
    if after and _covers(after, "block", port) and not (before and _covers(before, "block", port) and _as_wide(before, after)):
        return f"it blocks the port that carries this session ({port})"
    if not before or not _covers(before, "allow", port):
        return ""
    left = [*([after] if after else []), *_others(case)]
    if any(_covers(rule, "allow", port) and _as_wide(rule, before) for rule in left):
        return ""
    return f"no other rule would let in what this one does through the port that carries this session ({port})"


def _covers(rule: FirewallRule, action: str, port: int) -> bool:
    """Whether an enabled inbound rule speaks of TCP traffic to the port, which the kernel (`System`) takes for WinRM."""
    who = rule.program in (ANY, None) or str(rule.program).lower() == "system"
    whom = rule.service in (ANY, None, "*") or str(rule.service).lower() == "winrm"
    what = rule.protocol in (ANY, "TCP", None) and _has_port(rule.local_ports or ANY_OF_THEM, port)
    return bool(rule.enabled) and (rule.direction, rule.action) == ("inbound", action) and who and whom and what


def _has_port(ports: Iterable[str], port: int) -> bool:
    spans = [re.fullmatch(r"(\d+)(?:-(\d+))?", text) for text in ports]
    return ANY in ports or any(span and int(span[1]) <= port <= int(span[2] or span[1]) for span in spans)


def _as_wide(rule: FirewallRule, other: FirewallRule) -> bool:
    """Whether a rule applies wherever and to whomever the other one does, as far as their lists tell."""
    scopes = ("profiles", "remote_addresses", "remote_ports", "local_addresses", "interface_types")
    return all(_holds(getattr(rule, name), getattr(other, name)) for name in scopes)


def _holds(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    return ANY in (one or ANY_OF_THEM) or set(other or ANY_OF_THEM) <= set(one or ())


def _others(case: _Case) -> Iterator[FirewallRule]:
    """The other rules of both stores; one that can't be read, or that says more than we understand, lets nobody in."""
    firewall = Firewall(case.answers)
    for name, line in [*firewall.policy.values(), *firewall.local.values()]:
        if name.lower() == case.change.resource.name.lower():
            continue
        try:
            rule = firewall_rules.parse(name, line)
            if not unmanaged(rule):
                yield FirewallRule.observed(name=name, **observed_properties(rule))
        except (ValueError, ValidationError):
            continue


# ---------------------------------------------------------------- registry values

_SERVICES = r"system\\currentcontrolset\\services"
_FIREWALL = _SERVICES + r"\\sharedaccess\\parameters\\firewallpolicy|software\\policies\\microsoft\\windowsfirewall"
_TLS = r"system\\currentcontrolset\\control\\securityproviders\\schannel\\protocols\\tls 1\.2\\server"
_LOCKED_DOWN = "__pslockdownpolicy"  # PowerShell's own test switch (its source, SystemPolicy)
_WINRM = r"software\\microsoft\\windows\\currentversion\\wsman|software\\policies\\microsoft\\windows\\winrm\\service"


@dataclass(frozen=True)
class _Danger:
    """Values by key and name (patterns, in lower case), which data of them shuts the session out, and why.

    `shuts` is given the data before and after; None is a value that is not there.
    """

    key: str
    name: str
    why: str
    shuts: Callable[[Any, Any], bool] = lambda before, after: True


_DANGERS = (
    _Danger(rf"({_FIREWALL})\\\w+profile", "donotallowexceptions", "it shuts every port", lambda _, after: bool(after)),
    _Danger(
        rf"({_FIREWALL})\\\w+profile", "defaultinboundaction", "it shuts every port that no rule opens",
        lambda before, after: before == 0 and after != 0,
    ),
    _Danger(
        rf"({_FIREWALL})\\\w+profile", "allowlocalpolicymerge", "the local rules that open the session's port would not count",
        lambda _, after: after == 0,
    ),
    _Danger(rf"({_FIREWALL})\\firewallrules", ".*", "firewall rules are written by name: use firewall_rule"),
    _Danger(
        rf"{_SERVICES}\\({'|'.join(sorted(CARRIERS | CARRIERS_IN_A_DOMAIN))})(\\parameters)?",
        "start|type|imagepath|objectname|servicedll|dependon(service|group)|requiredprivileges|servicesidtype|deleteflag",
        "this session, or the next, needs that service",
    ),
    _Danger(rf"{_SERVICES}\\http\\parameters\\(ssl(sni)?bindinginfo|urlaclinfo)(\\.*)?", ".*", "WinRM listens by it"),
    _Danger(rf"({_WINRM})(\\.*)?", ".*", "it says how WinRM listens and whom it lets in"),
    _Danger(
        r"software\\microsoft\\windows\\currentversion\\policies\\system", "localaccounttokenfilterpolicy",
        "a local administrator would come over the network as an ordinary user",
        lambda before, after: before == 1 and after != 1,
    ),
    _Danger(
        r"system\\currentcontrolset\\control\\lsa\\msv1_0", "restrictreceivingntlmtraffic",
        "it refuses the NTLM logons that carry this session", lambda _, after: bool(after),
    ),
    _Danger(
        r"system\\currentcontrolset\\control\\lsa", "forceguest", "every local account would come over the network as Guest",
        lambda _, after: bool(after),
    ),
    _Danger(
        r"system\\currentcontrolset\\control\\lsa", "crashonauditfail",
        "Windows would stop once the Security log can't be written", lambda _, after: bool(after),
    ),
    _Danger(_TLS, "enabled", "this session comes by TLS 1.2", lambda _, after: after == 0),
    _Danger(_TLS, "disabledbydefault", "this session comes by TLS 1.2", lambda _, after: bool(after)),
    _Danger(
        r"system\\currentcontrolset\\control\\session manager\\environment",
        "|".join(sorted({*OF_WINDOWS, *NEEDED, _LOCKED_DOWN})), "Windows needs that variable: use environment_variable",
    ),
)  # fmt: skip


def _registry_value(case: _Case) -> str:
    value, actual = case.change.resource, case.change.actual
    if value.hive != "local_machine":
        return ""
    key = re.sub(r"^system\\controlset\d{3}\\", r"system\\currentcontrolset\\", value.path.lower())
    before, after = actual.data if actual else None, None if value.absent else value.data
    for danger in _DANGERS:
        named = re.fullmatch(danger.key, key) and re.fullmatch(danger.name, value.name.lower())
        if named and danger.shuts(before, after):
            return danger.why
    return ""


def _environment_variable(case: _Case) -> str:
    if case.change.resource.name.lower() == _LOCKED_DOWN and not case.change.resource.absent:
        return "PowerShell would run the next session in a language that is not enough for it"
    return ""


# ---------------------------------------------------------------- files, shares


def _access_rule(case: _Case) -> str:
    rule, folder = case.change.resource, bool(case.answers.stat and case.answers.stat["directory"])
    before = access.descriptor(rule.path, case.answers)
    return _loss(before, rule.applied_to(before, folder), folder)


def _share(case: _Case) -> str:
    share = case.change.resource
    before = Stored(share.name, case.answers.shares).descriptor
    if before is None or share.absent or share.permissions is None:
        return ""
    return _loss(before, share.listed(before), folder=False)


def _loss(before: SecurityDescriptor, after: SecurityDescriptor, folder: bool) -> str:
    """Whether SYSTEM or Administrators would no longer have the whole of what they had."""
    for sid in (SYSTEM, ADMINISTRATORS):
        if _loses(_held(before, sid, folder), _held(after, sid, folder)):
            return f"{Principal.of_sid(sid)} would lose full control"
    return ""


def _held(descriptor: SecurityDescriptor, sid: str, folder: bool) -> dict[str, int]:
    """What a list gives one of the two on each part of a folder, denies for those who are everybody taken off."""
    if descriptor.dacl is None:
        return dict.fromkeys(access.PARTS, access.FULL_CONTROL)
    aces = descriptor.dacl.aces
    held = dict(access.united(access.entries(aces, sid, "allow"), folder))
    for _, part, mask in access.denials(aces, sid, {*access.WIDE, ADMINISTRATORS}, folder):
        held[part] = held.get(part, 0) & ~mask
    return held


def _loses(before: dict[str, int], after: dict[str, int]) -> bool:
    full = access.FULL_CONTROL
    return any(mask & full == full and after.get(part, 0) & full != full for part, mask in before.items())


# ---------------------------------------------------------------- SQL Server


def _sql_login(case: _Case) -> str:
    change, login = case.change, case.change.resource.login
    shuts = change.action == "remove" or (change.touches("enabled") and change.resource.enabled is False)
    if shuts and isinstance(login, Principal) and login.sid in case.own_sids:
        return "this session's user gets into SQL Server by it"
    return ""


_JUDGES: dict[str, Callable[[_Case], str]] = {
    "local_user": _local_user,
    "group_members": _group_members,
    "local_group": _local_group,
    "user_right": _user_right,
    "service": _service,
    "firewall_rule": _firewall_rule,
    "registry_value": _registry_value,
    "environment_variable": _environment_variable,
    "file": _file,
    "package": _package,
    "access_rule": _access_rule,
    "sql_login": _sql_login,
    "share": _share,
}

"""What the guard refuses, case by case: each promise of 'Refused from the start', and its neighbour that is let through."""

from __future__ import annotations

from typing import Any

import pytest

from cases import SERVER, _secrets, answer
from opdeploy.calls import Read
from opdeploy.guard import CARRIERS, Session
from opdeploy.model import Change, Machine
from opdeploy.planning import Managed, World, plan_one
from opdeploy.resources import KINDS
from opdeploy.resources.base import all_reads

OWN, ADMIN, OTHER = SERVER.user, "S-1-5-21-1-2-3-500", "S-1-5-21-1-2-3-1010"
OUTSIDER = "S-1-5-21-9-9-9-1200"


def planned(kind: str, desired: dict[str, Any], answers: dict[str, Any], port: int = 5986, **machine: Any) -> Change[Any]:
    resource = KINDS[kind].model_validate(_secrets(desired))
    reads: dict[str, Read] = all_reads(resource)
    found = {read.key: answer(answers[name]) for name, read in reads.items() if name in answers}
    return plan_one(Managed(resource), World(Machine(**{**SERVER.__dict__, **machine}), found, Session(port)))


def refused(change: Change[Any]) -> bool:
    """Refused by the guard, and by nothing else; anything but a refusal or an action is a mistake in the case."""
    assert change.verdict != "in_sync"
    assert change.refused == (change.action == "none"), change
    assert change.refused == change.reason.startswith("refused: "), change.reason
    return change.refused


# ---------------------------------------------------------------- the session's own user


def user(sid: str, **given: Any) -> dict[str, Any]:
    row = {"Name": "x", "FullName": "", "Description": "", "Enabled": True, "AccountExpires": None, "PasswordExpires": None}
    row |= {"PasswordLastSet": "2026-10-01T08:00:00Z", "UserMayChangePassword": True, "SID": sid}
    return {"user": [row | given], "sid": {"sid": sid}}


OWN_USER = [
    ({"absent": True}, True),
    ({"enabled": False}, True),
    ({"account_expires": "2026-11-21"}, True),
    ({"account_expires": "2026-11-22T03:00:00Z"}, True),
    ({"account_expires": "2027-01-31"}, False),
    ({"password": {"secret": "another"}}, True),
    ({"description": "who we are"}, False),
]


@pytest.mark.parametrize(("desired", "expected"), OWN_USER)
def test_the_sessions_own_user_stays(desired: dict[str, Any], expected: bool) -> None:
    own = {**user(OWN), "record": {"same": False, "set_at": ""}}
    assert refused(planned("local_user", {"name": "x", **desired}, own)) is expected
    assert not refused(planned("local_user", {"name": "x", **desired}, {**own, **user(OTHER)}))


def test_an_account_that_is_off_already_may_be_described() -> None:
    answers = user(OWN, Enabled=False)
    assert not refused(planned("local_user", {"name": "x", "enabled": False, "description": "y"}, answers))


def test_windows_own_accounts_are_not_removed() -> None:
    assert refused(planned("local_user", {"name": "x", "absent": True}, user(ADMIN)))
    assert not refused(planned("local_user", {"name": "x", "enabled": False}, user(ADMIN)))


# ---------------------------------------------------------------- its administrators' membership


def members(desired: dict[str, Any], found: list[str], **machine: Any) -> bool:
    wanted = {"group": "Administrators", **desired}
    return refused(planned("group_members", wanted, {"members": found, "policy": []}, **machine))


def test_what_makes_the_session_an_administrator_stays() -> None:
    assert members({"members": [ADMIN], "exact": True}, [ADMIN, OWN])
    assert members({"members": [OWN], "absent": True}, [ADMIN, OWN])
    assert not members({"members": [ADMIN, OWN], "exact": True}, [ADMIN, OWN, OTHER])
    assert not members({"members": [OTHER], "absent": True}, [ADMIN, OWN, OTHER])


def test_a_group_in_its_token_is_as_good_as_the_user() -> None:
    token = {"groups": ("S-1-1-0", "S-1-5-32-544", OUTSIDER)}
    assert not members({"members": [OUTSIDER], "exact": True}, [OWN, OUTSIDER], **token)
    assert members({"members": [ADMIN], "exact": True}, [OUTSIDER], **token)


def test_other_groups_may_be_emptied() -> None:
    answers = {"members": [OWN], "policy": []}
    assert not refused(planned("group_members", {"group": "Users", "members": [], "exact": True}, answers))


# ---------------------------------------------------------------- its right to log on over the network


def right(name: str, holders: str, desired: dict[str, Any]) -> bool:
    template = {"template": f"[Privilege Rights]\r\n{name} = {holders}\r\n"}
    return refused(planned("user_right", {"right": name, **desired}, {"rights": template, "policy": []}))


def test_the_network_logon_stays() -> None:
    network = "SeNetworkLogonRight"
    assert not right(network, f"*S-1-5-32-544,*S-1-1-0,*{OTHER}", {"principals": ["Administrators"], "exact": True})
    assert not right(network, "*S-1-1-0,*S-1-5-32-544", {"principals": ["Everyone"], "absent": True})
    assert right(network, f"*{OWN},*{OTHER}", {"principals": [OWN], "absent": True})
    assert right(network, "*S-1-1-0", {"principals": ["Everyone"], "absent": True})
    assert not right(network, f"*{OTHER}", {"principals": [ADMIN]})


DENIED = [OWN, "Administrators", "Everyone", "Authenticated Users", "Local account", "S-1-5-114", "NETWORK"]


@pytest.mark.parametrize("whom", DENIED)
def test_the_network_logon_is_not_denied(whom: str) -> None:
    assert right("SeDenyNetworkLogonRight", "*S-1-5-32-546", {"principals": [whom]})


def test_others_may_be_denied() -> None:
    assert not right("SeDenyNetworkLogonRight", "*S-1-5-32-546", {"principals": [OTHER]})
    assert not right("SeDenyNetworkLogonRight", f"*{OWN}", {"principals": [OWN], "absent": True})
    assert not right("SeDenyInteractiveLogonRight", "", {"principals": [OWN]})


def test_windows_own_services_are_not_denied_their_logon() -> None:
    assert right("SeDenyServiceLogonRight", "", {"principals": ["NETWORK SERVICE"]})
    assert not right("SeDenyServiceLogonRight", "", {"principals": [OTHER]})


# ---------------------------------------------------------------- services


def service(name: str, desired: dict[str, Any], start: int = 2, **machine: Any) -> bool:
    values = {"Type": ["DWord", 32], "Start": ["DWord", start], "ObjectName": ["String", "LocalSystem"]}
    config = {"values": {**values, "ImagePath": ["ExpandString", "C:\\x.exe"]}, "subkeys": {}}
    answers = {"config": config, "status": [{"Status": "Running"}]}
    return refused(planned("service", {"name": name, **desired}, answers, **machine))


@pytest.mark.parametrize("name", sorted({*CARRIERS, "WinRM", "RpcSs", "MpsSvc", "BFE"}))
def test_what_carries_the_session_runs_on(name: str) -> None:
    assert service(name, {"absent": True})
    assert service(name, {"state": "stopped"})
    assert service(name, {"start_mode": "disabled"})
    assert service(name, {"start_mode": "manual"})
    assert service(name, {"command_line": "C:\\y.exe"})
    assert not service(name, {"start_mode": "automatic_delayed"})
    assert not service(name, {"description": "as it says"})


def test_a_carrier_that_starts_on_demand_may_start_with_windows() -> None:
    assert not service("KeyIso", {"start_mode": "automatic"}, start=3)
    assert service("KeyIso", {"start_mode": "disabled"}, start=3)


def test_other_services_may_be_stopped() -> None:
    assert not service("Spooler", {"state": "stopped", "start_mode": "disabled"})
    assert not service("Netlogon", {"start_mode": "disabled"})
    assert service("Netlogon", {"start_mode": "disabled"}, domain="practice.local")


# ---------------------------------------------------------------- the session's own port

WINRM = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5986|App=System|Name=WinRM|"
PROFILE = {"values": {"EnableFirewall": ["DWord", 1]}}
PROFILES = {"values": {}, "subkeys": {"DomainProfile": PROFILE, "StandardProfile": PROFILE, "PublicProfile": PROFILE}}


def rule(desired: dict[str, Any], port: int = 5986, **rules: str) -> bool:
    lines = {"values": {name.replace("_", "-"): ["String", line] for name, line in rules.items()}}
    answers = {"rules": lines, "profiles": PROFILES, "policy_rules": None, "policy_profiles": None}
    return refused(planned("firewall_rule", desired, {**answers, "firewall_service": [{"Status": "Running"}]}, port=port))


BLOCKS = [
    ({"protocol": "TCP", "local_ports": [5986]}, True),
    ({"protocol": "TCP", "local_ports": ["5000-6000"]}, True),
    ({"protocol": "TCP"}, True),
    ({}, True),
    ({"program": "System"}, True),
    ({"protocol": "TCP", "local_ports": [5986], "remote_addresses": ["10.0.0.0/8"]}, True),
    ({"protocol": "UDP", "local_ports": [5986]}, False),
    ({"protocol": "TCP", "local_ports": [445]}, False),
    ({"protocol": "TCP", "local_ports": [5986], "enabled": False}, False),
    ({"protocol": "TCP", "local_ports": [5986], "program": r"C:\OP\gbd.exe"}, False),
    ({"protocol": "TCP", "local_ports": [5986], "direction": "outbound"}, False),
]


@pytest.mark.parametrize(("scope", "expected"), BLOCKS)
def test_a_block_of_the_sessions_port(scope: dict[str, Any], expected: bool) -> None:
    assert rule({"name": "B", "direction": "inbound", "action": "block", **scope}, WINRM=WINRM) is expected


CLOSED = [
    ({"absent": True}, True),
    ({"enabled": False}, True),
    ({"action": "block"}, True),
    ({"local_ports": [5985]}, True),
    ({"protocol": "UDP"}, True),
    ({"remote_addresses": ["10.20.0.0/24"]}, True),
    ({"profiles": ["domain"]}, True),
    ({"local_ports": [5985, 5986]}, False),
    ({"display_name": "WinRM over HTTPS"}, False),
]


@pytest.mark.parametrize(("desired", "expected"), CLOSED)
def test_the_rule_that_lets_the_session_in(desired: dict[str, Any], expected: bool) -> None:
    assert rule({"name": "WINRM", **desired}, WINRM=WINRM) is expected
    assert not rule({"name": "WINRM", **desired}, WINRM=WINRM, port=5000)


def test_another_rule_as_wide_will_do() -> None:
    gone = {"name": "WINRM", "absent": True}
    assert not rule(gone, WINRM=WINRM, OP=WINRM)
    assert rule(gone, WINRM=WINRM, OP=WINRM.replace("TRUE", "FALSE"))
    assert rule(gone, WINRM=WINRM, OP=WINRM.replace("LPort=", "RA4=10.0.0.1|LPort="))
    assert rule(gone, WINRM=WINRM, OP=WINRM.replace("Name=", "RMauth=O:LSD:(A;;CC;;;BA)|Name="))
    assert rule(gone, WINRM=WINRM, OP="nothing that could be read")


def test_a_rule_that_does_not_carry_the_session_may_go() -> None:
    assert not rule({"name": "FB", "absent": True}, WINRM=WINRM, FB=WINRM.replace("5986", "3050"))


# ---------------------------------------------------------------- the same by registry values

POLICY = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
GROUP_POLICY = r"SOFTWARE\Policies\Microsoft\WindowsFirewall"


def value(path: str, name: str, data: int | str | None, before: int | None = None) -> bool:
    type_ = {"type": "dword" if isinstance(data, int) else "string", "data": data}
    desired = {"hive": "HKLM", "path": path, "name": name, **(type_ if data is not None else {"absent": True})}
    found = None if before is None else {"values": {name: ["DWord", before]}}
    return refused(planned("registry_value", desired, {"value": found, "policy": []}))


TLS = r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server"
ENVIRONMENT = r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
SHUT = [
    (POLICY + r"\PublicProfile", "DoNotAllowExceptions", 1, None),
    (POLICY + r"\publicprofile", "donotallowexceptions", 1, 0),
    (POLICY.replace("CurrentControlSet", "ControlSet001") + r"\StandardProfile", "DoNotAllowExceptions", 1, None),
    (GROUP_POLICY + r"\PrivateProfile", "DoNotAllowExceptions", 1, None),
    (GROUP_POLICY + r"\DomainProfile", "AllowLocalPolicyMerge", 0, None),
    (POLICY + r"\DomainProfile", "DefaultInboundAction", 1, 0),
    (POLICY + r"\DomainProfile", "DefaultInboundAction", None, 0),
    (POLICY + r"\FirewallRules", "OP", "v2.31|Action=Block|Active=TRUE|Dir=In|Name=x|", None),
    (r"SYSTEM\CurrentControlSet\Services\WinRM", "Start", 4, 2),
    (r"SYSTEM\CurrentControlSet\Services\RpcSs", "ImagePath", "x", None),
    (r"SYSTEM\CurrentControlSet\Services\WinRM\Parameters", "ServiceDll", "x", None),
    (r"SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN\Listener\*+HTTPS", "Port", 5987, 5986),
    (r"SOFTWARE\Policies\Microsoft\Windows\WinRM\Service", "AllowAutoConfig", 0, 1),
    (r"SOFTWARE\Policies\Microsoft\Windows\WinRM\Service\WinRS", "AllowRemoteShellAccess", 0, None),
    (r"SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo\0.0.0.0:5986", "AppId", "x", None),
    (r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System", "LocalAccountTokenFilterPolicy", 0, 1),
    (r"SYSTEM\CurrentControlSet\Control\Lsa\MSV1_0", "RestrictReceivingNTLMTraffic", 2, None),
    (r"SYSTEM\CurrentControlSet\Control\Lsa", "ForceGuest", 1, 0),
    (r"SYSTEM\CurrentControlSet\Control\Lsa", "CrashOnAuditFail", 2, 0),
    (TLS, "Enabled", 0, None),
    (TLS, "DisabledByDefault", 1, 0),
    (ENVIRONMENT, "PSModulePath", "D:\\Modules", None),
    (ENVIRONMENT, "__PSLockdownPolicy", "4", None),
]


@pytest.mark.parametrize(("path", "name", "data", "before"), SHUT)
def test_a_value_that_shuts_the_session_out(path: str, name: str, data: Any, before: int | None) -> None:
    assert value(path, name, data, before)


LEFT_OPEN = [
    (POLICY + r"\PublicProfile", "EnableFirewall", 1, 0),
    (POLICY + r"\PublicProfile", "DoNotAllowExceptions", 0, 1),
    (POLICY + r"\PublicProfile", "DefaultInboundAction", 1, None),
    (POLICY + r"\PublicProfile\Logging", "LogFileSize", 4096, None),
    (r"SYSTEM\CurrentControlSet\Services\Spooler", "Start", 4, 2),
    (r"SYSTEM\CurrentControlSet\Services\EventLog\Application", "MaxSize", 20971520, None),
    (r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters", "DisableIPSourceRouting", 2, None),
    (r"SOFTWARE\Policies\Microsoft\Windows\WinRM\Client", "AllowBasic", 0, None),
    (r"SOFTWARE\OP\Server", "Start", 4, None),
    (r"SYSTEM\CurrentControlSet\Control\Lsa", "CrashOnAuditFail", 0, 1),
    (TLS, "Enabled", 1, 0),
    (TLS.replace("TLS 1.2", "TLS 1.0"), "Enabled", 0, None),
    (ENVIRONMENT, "OP_HOME", "D:\\OP", None),
]


@pytest.mark.parametrize(("path", "name", "data", "before"), LEFT_OPEN)
def test_a_value_that_does_not(path: str, name: str, data: Any, before: int | None) -> None:
    assert not value(path, name, data, before)


# ---------------------------------------------------------------- kinds that reach the session another way


def test_a_group_of_the_sessions_own_stays() -> None:
    found = {"group": [{"Name": "OP admins", "Description": "", "SID": OTHER}], "sid": {"sid": OTHER}}
    gone = {"name": "OP admins", "absent": True}
    assert refused(planned("local_group", gone, found, groups=(*SERVER.groups, OTHER)))
    assert not refused(planned("local_group", gone, found))
    described = {"name": "OP admins", "description": "x"}
    assert not refused(planned("local_group", described, found, groups=(*SERVER.groups, OTHER)))


@pytest.mark.parametrize(("services", "expected"), [(["OPMsg"], False), (["OPMsg", "winrm"], True), (["Netlogon"], False)])
def test_what_carries_the_session_is_not_stopped_for_a_file(services: list[str], expected: bool) -> None:
    desired = {"path": "D:\\OP\\op.ini", "content": "x", "restarts": services}
    rows = {f"service {name}": [{"Status": "Running"}] for name in services}
    folder = {"directory": True, "modified": "", "piece": None, "empty": False}
    assert refused(planned("file", desired, {"stat": None, "folder": folder, **rows})) is expected


@pytest.mark.parametrize(("services", "expected"), [(["OPMsg"], False), (["WinRM", "OPMsg"], True)])
def test_what_carries_the_session_is_not_stopped_for_an_installer(services: list[str], expected: bool) -> None:
    source = {"path": "D:\\Setup\\op.msi"}
    desired = {"name": "OP", "type": "msi", "source": source, "sha256": "0" * 64, "detect": {"key": "OP"}}
    there = {"directory": False, "modified": "", "piece": None, "size": 1, "version": None}
    job = {"folder": "C:\\ProgramData\\opdeploy-1", "there": False, "running": False}
    answers: dict[str, Any] = {"view_64": {"values": {}, "subkeys": {}}, "view_32": None, "job": job, "installer": there}
    answers |= {f"service {name}": [{"Status": "Running"}] for name in services}
    assert refused(planned("package", {**desired, "stops_services": services}, answers)) is expected


def test_powershell_is_not_locked_down() -> None:
    assert refused(planned("environment_variable", {"name": "__PSLockdownPolicy", "value": "4"}, {"variable": None}))
    there = {"variable": {"values": {"__PSLockdownPolicy": ["String", "4"]}}}
    assert not refused(planned("environment_variable", {"name": "__PSLockdownPolicy", "absent": True}, there))


# ---------------------------------------------------------------- SYSTEM's and Administrators' full control

OPEN = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1301bf;;;BU)"


def access(principal: str, desired: dict[str, Any], sddl: str = OPEN) -> bool:
    answers = {"sddl": sddl, "stat": {"directory": True, "modified": "", "piece": None, "empty": False}}
    return refused(planned("access_rule", {"path": r"D:\OP", "principal": principal, **desired}, answers))


@pytest.mark.parametrize("owner", ["SYSTEM", "Administrators"])
def test_full_control_stays(owner: str) -> None:
    assert access(owner, {"absent": True})
    assert access(owner, {"rights": "Modify", "exact": True})
    assert access(owner, {"rights": "FullControl", "applies_to": ["this_folder"], "exact": True})
    assert access(owner, {"type": "deny", "rights": "Write"})


@pytest.mark.parametrize("everybody", ["Everyone", "Authenticated Users", "Users"])
def test_a_deny_for_everybody_hits_the_two_as_well(everybody: str) -> None:
    assert access(everybody, {"type": "deny", "rights": "Delete"})


def test_others_rules_may_go() -> None:
    assert not access("Users", {"absent": True})
    assert not access(OTHER, {"type": "deny", "rights": "Write"})


def test_who_keeps_it_from_above_may_lose_a_rule_of_its_own() -> None:
    twice = "O:BAG:SYD:AI(A;OICI;FA;;;SY)(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)"
    assert not access("SYSTEM", {"absent": True}, twice)


def test_who_never_had_it_loses_nothing() -> None:
    assert not access("SYSTEM", {"absent": True}, "O:BAG:SYD:PAI(A;OICI;FR;;;SY)(A;OICI;FA;;;BA)")

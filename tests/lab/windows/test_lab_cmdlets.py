"""What each cmdlet's model stores and refuses: accounts, rights, services, firewall rules, tasks, files."""

import base64
import hashlib
import json

import pytest
from lab_asking import agent_source, asking

from opdeploy import calls
from opdeploy.calls import Failure
from opdeploy.formats import sddl as formats_sddl
from opdeploy.lab.windows import accounts, inf, registry, rules, servers, services, taskxml
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import dump
from opdeploy.model import Secret

CLASS = "Microsoft.PowerShell.Commands."
USERS = "S-1-5-32-545"
write = calls.cmdlet_write


def user(**more):
    return write("New-LocalUser", **({"Name": "op-support", "Password": Secret("S3cret-of-op")} | more))


def row(ask, name, cmdlet="Get-LocalUser"):
    found = ask(calls.cmdlet_read(cmdlet, ["SID", "Enabled", "FullName", "AccountExpires", "PasswordLastSet"], Name=name))
    return found[0] if isinstance(found, list) else found


# ---------------------------------------------------------------- users and groups


def test_a_new_user_is_there_with_a_sid_of_its_own_and_in_no_group(ask, computer):
    assert ask(user(FullName="OP", Disabled=True, AccountExpires="2030-01-01T00:00:00Z")) is None
    found = row(ask, "OP-Support")
    assert found["SID"] == f"{computer.state.facts.machine_sid}-1002"
    assert (found["Enabled"], found["FullName"], found["AccountExpires"]) == (False, "OP", "2030-01-01T00:00:00.0000000Z")
    assert accounts.groups_of(computer.state, found["SID"]) == ()


def test_a_password_is_known_by_when_it_was_set_and_proved_by_a_logon(ask):
    ask(user())
    first = row(ask, "op-support")["PasswordLastSet"]
    ask(write("Set-LocalUser", Name="op-support", Password=Secret("an0ther-Pass")))
    assert row(ask, "op-support")["PasswordLastSet"] > first
    assert ask(calls.logon_probe("op-support", Secret("an0ther-Pass"))) == {"right": True}
    assert ask(calls.logon_probe("op-support", Secret("S3cret-of-op"))) == {"right": False}
    ask(write("Disable-LocalUser", Name="op-support"))
    assert ask(calls.logon_probe("op-support", Secret("an0ther-Pass"))) == {"right": False}


def test_no_password_stands_in_a_dump_in_the_clear(ask, computer):
    ask(user())
    assert "S3cret-of-op" not in dump(computer.state)


@pytest.mark.parametrize(
    ("call", "id"),
    [
        (calls.cmdlet_read("Get-LocalUser", ["SID"], Name="nobody"), f"UserNotFound,{CLASS}GetLocalUserCommand"),
        (write("Set-LocalUser", Name="nobody", FullName="x"), f"UserNotFound,{CLASS}SetLocalUserCommand"),
        (write("Remove-LocalUser", SID="S-1-5-21-1-2-3-4567"), f"UserNotFound,{CLASS}RemoveLocalUserCommand"),
        (user(Name="opadmin"), f"UserExists,{CLASS}NewLocalUserCommand"),
        (user(Name="Users"), f"NameInUse,{CLASS}NewLocalUserCommand"),
        (user(Name="a/b"), f"InvalidName,{CLASS}NewLocalUserCommand"),
        (user(Name="x" * 21), f"ParameterArgumentValidationError,{CLASS}NewLocalUserCommand"),
        (user(Description="x" * 49), f"ParameterArgumentValidationError,{CLASS}NewLocalUserCommand"),
        (write("Enable-LocalUser", Name="nobody"), f"UserNotFound,{CLASS}EnableLocalUserCommand"),
        (write("Add-LocalGroupMember", SID=USERS, Member="nobody"), f"PrincipalNotFound,{CLASS}AddLocalGroupMemberCommand"),
        (
            write("Add-LocalGroupMember", SID="S-1-5-32-999", Member="opadmin"),
            f"GroupNotFound,{CLASS}AddLocalGroupMemberCommand",
        ),
        (
            write("Remove-LocalGroupMember", SID="S-1-5-32-999", Member="opadmin"),
            f"GroupNotFound,{CLASS}RemoveLocalGroupMemberCommand",
        ),
        (write("Add-LocalGroupMember", SID=USERS, Member="opadmin"), f"MemberExists,{CLASS}AddLocalGroupMemberCommand"),
        (
            write("Remove-LocalGroupMember", SID="S-1-5-32-546", Member="opadmin"),
            f"MemberNotFound,{CLASS}RemoveLocalGroupMemberCommand",
        ),
    ],
)
def test_account_cmdlets_refuse_with_their_own_ids(ask, call, id):
    assert ask(call).id == id


def test_the_password_policy_is_off_until_it_is_switched_on(ask, computer):
    computer.state.password_policy = {"length": 14, "complexity": True}
    assert ask(user()).id == f"InvalidPassword,{CLASS}NewLocalUserCommand"
    assert ask(user(Password=Secret("Long-enough-and-mixed-1"))) is None


def test_members_come_and_go_by_sid_and_orphans_are_listed(ask, computer):
    orphan = "S-1-5-21-9-9-9-1234"
    computer.state.groups["S-1-5-32-555"]["members"].append(orphan)
    ask(write("Add-LocalGroupMember", SID="S-1-5-32-555", Member="S-1-5-11"))
    assert ask(calls.group_members("S-1-5-32-555")) == [orphan, "S-1-5-11"]
    assert ask(write("Remove-LocalGroupMember", SID="S-1-5-32-555", Member=orphan)) is None
    assert ask(calls.group_members("Remote Desktop Users")) == ["S-1-5-11"]


def test_a_removed_user_leaves_groups_and_orphans_rights(ask, computer):
    sid = accounts.sid_of(computer.state, ".\\opadmin")
    computer.state.rights["SeBatchLogonRight"].append(sid)
    assert ask(write("Remove-LocalUser", SID=sid)) is None
    assert sid not in computer.state.groups["S-1-5-32-544"]["members"]
    assert f"*{sid}" in inf.rights(inf.export(computer.state))["sebatchlogonright"]


# ---------------------------------------------------------------- rights


def test_a_local_account_is_exported_by_name_and_a_right_of_nobody_is_missing(ask, computer):
    sid = accounts.sid_of(computer.state, ".\\opadmin")
    computer.state.rights |= {"SeBatchLogonRight": [sid, "S-1-5-32-544"], "SeTcbPrivilege": []}
    exported = base64.b64decode(ask(calls.export_read("user rights")))
    assert exported[:2] == b"\xff\xfe"
    assert "SeBatchLogonRight = opadmin,*S-1-5-32-544\r\n" in exported.decode("utf-16")
    assert "SeTcbPrivilege" not in exported.decode("utf-16")


def template(right, holders):
    return f"[Unicode]\r\nUnicode=yes\r\n[Privilege Rights]\r\n{right} = {holders}\r\n".encode("utf-16")


def test_a_right_is_replaced_when_it_is_still_as_expected(ask, computer):
    expect = {"SeBatchLogonRight": "*S-1-5-32-544,*S-1-5-32-551,*S-1-5-32-559"}
    call = calls.rights_write(template("SeBatchLogonRight", "opadmin,*S-1-5-32-544"), expect=expect)
    assert ask(call) is None
    assert computer.state.rights["SeBatchLogonRight"] == [accounts.sid_of(computer.state, ".\\opadmin"), "S-1-5-32-544"]
    assert computer.state.rights["SeBackupPrivilege"] == ["S-1-5-32-544", "S-1-5-32-551"], "others stay"
    assert ask(call).id == "opdeploy.Stale"


def test_a_template_with_an_unknown_name_changes_nothing(ask, computer):
    before = dict(computer.state.rights)
    assert ask(calls.rights_write(template("SeTcbPrivilege", "nobody"), expect={})).id == "opdeploy.ProgramFailed"
    assert computer.state.rights == before


# ---------------------------------------------------------------- services


def config(computer, name):
    return {value[0]: value[2] for value in services.find(computer.state, name)["values"].values()}


def test_a_created_service_is_a_registry_key(ask, computer):
    ask(write("New-Service", Name="Op", BinaryPathName='"C:\\Op\\op.exe" -k', StartupType="Manual"))
    assert config(computer, "op") == {
        "Type": 0x10,
        "Start": 3,
        "ErrorControl": 1,
        "ImagePath": '"C:\\Op\\op.exe" -k',
        "ObjectName": "LocalSystem",
        "DisplayName": "Op",
    }
    assert ask(write("New-Service", Name="Op", BinaryPathName="x")).id == f"CouldNotNewService,{CLASS}NewServiceCommand"


def test_sc_config_writes_what_the_service_manager_writes(ask, computer):
    line = r'Spooler start= delayed-auto depend= RpcSs/+Grp obj= "NT AUTHORITY\LocalService" binPath= "\"C:\a b\x.exe\" -k"'
    assert ask(calls.program_write("sc.exe", "config", line)) is None
    found = config(computer, "Spooler")
    assert (found["Start"], found["DelayedAutostart"], found["ObjectName"]) == (2, 1, "NT AUTHORITY\\LocalService")
    assert (found["DependOnService"], found["DependOnGroup"]) == (["RpcSs"], ["Grp"])
    assert found["ImagePath"] == '"C:\\a b\\x.exe" -k'


def test_sc_failure_writes_the_blob_of_w32time(ask, computer):
    line = "FirebirdServerDefaultInstance reset= 86400 actions= restart/60000/restart/120000//0"
    assert ask(calls.program_write("sc.exe", "failure", line)) is None
    known = config(computer, "W32Time")["FailureActions"]
    assert config(computer, "FirebirdServerDefaultInstance")["FailureActions"] == known
    ask(calls.program_write("sc.exe", "failure", 'Spooler command= "C:\\x.exe"'))
    assert config(computer, "Spooler")["FailureCommand"] == "C:\\x.exe"
    ask(calls.program_write("sc.exe", "failureflag", "Spooler 1"))
    assert config(computer, "Spooler")["FailureActionsOnNonCrashFailures"] == 1


@pytest.mark.parametrize(
    ("command", "line", "code"),
    [
        ("config", "NoSuch start= auto", 1060),
        ("config", "Spooler start=auto", 1639),
        ("config", "Spooler start= sometimes", 1639),
        ("config", "Spooler obj= nobody", 1057),
        ("failure", "Spooler reset= 10", 1639),
        ("failureflag", "Spooler 2", 1639),
    ],
)
def test_sc_fails_with_windows_exit_codes(ask, command, line, code):
    failure = ask(calls.program_write("sc.exe", command, line))
    assert failure.id == "opdeploy.ProgramFailed"
    assert failure.message.startswith(f"sc.exe {command} ended with {code}")


def test_a_stopped_service_is_deleted_with_its_key(ask, computer):
    ask(write("Stop-Service", Name="FirebirdServerDefaultInstance"))
    assert ask(calls.program_write("sc.exe", "delete", "FirebirdServerDefaultInstance")) is None
    gone = ask(calls.cmdlet_read("Get-Service", ["Status"], Name="FirebirdServerDefaultInstance"))
    assert gone.id == f"NoServiceFoundForGivenName,{CLASS}GetServiceCommand"


def test_a_descriptor_is_written_when_it_is_still_as_expected(ask, computer):
    name = "FirebirdServerDefaultInstance"
    read = calls.registry_read(f"{accounts.SERVICES}\\{name}", values=["Security"], depth=1)
    assert "Security" not in ask(read)["subkeys"], "the default holds"
    default = services.DEFAULT_DESCRIPTOR
    wanted = default.replace("S:(AU", "(A;;LCRPWP;;;S-1-5-21-1-2-3-1001)S:(AU")
    assert ask(calls.service_sddl_write(name, wanted, expect=f"\r\n{default}\r\n")) is None
    kind, stored = ask(read)["subkeys"]["Security"]["values"]["Security"]
    assert (kind, base64.b64decode(stored)[:4]) == ("Binary", b"\x01\x00\x14\x80")
    held = formats_sddl.from_bytes(base64.b64decode(stored))
    asked = formats_sddl.parse(wanted)
    assert (held.owner, held.group, held.dacl, held.sacl) == ("S-1-5-18", "S-1-5-18", asked.dacl, asked.sacl)
    stale = ask(calls.service_sddl_write(name, wanted, expect=default))
    assert (stale.id, stale.message) == ("opdeploy.Stale", f"stale: {wanted}")


def test_start_and_stop_refuse_as_windows_does(ask, computer):
    ask(calls.program_write("sc.exe", "config", "Spooler start= disabled"))
    ask(write("Stop-Service", Name="Spooler"))
    assert ask(write("Start-Service", Name="Spooler")).id == f"CouldNotStartService,{CLASS}StartServiceCommand"
    dependent = ask(write("Stop-Service", Name="EventSystem"))
    assert dependent.id == f"ServiceHasDependentServices,{CLASS}StopServiceCommand"
    assert ask(write("Stop-Service", Name="WinDefend")).id == f"CouldNotStopService,{CLASS}StopServiceCommand"
    assert services.runs(computer.state, "EventSystem")


def test_what_a_service_needs_is_started_first(ask, computer):
    services.create(computer.state, "One", "x")
    two = services.create(computer.state, "Two", "x")
    registry.set_value(two, "DependOnService", "MultiString", ["one"])
    assert ask(write("Start-Service", Name="Two")) is None
    assert services.runs(computer.state, "One")
    assert ask(write("Stop-Service", Name="One")).id.startswith("ServiceHasDependentServices,")
    assert ask(write("Stop-Service", Name="Two")) is None
    assert ask(write("Stop-Service", Name="One")) is None
    registry.set_value(two, "DependOnService", "MultiString", ["missing"])
    assert ask(write("Start-Service", Name="Two")).id == f"CouldNotStartService,{CLASS}StartServiceCommand"


# ---------------------------------------------------------------- firewall


def rule(computer, id="OP"):
    return registry.value(registry.find(computer.state, rules.KEY), id)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "Action=Allow|Active=TRUE|Dir=In|Name=op|"),
        (
            {
                "Protocol": "TCP",
                "LocalPort": ["3050", "5000-5020"],
                "RemoteAddress": ["10.20.0.0/24", "10.1.1.1-10.1.1.9", "::1"],
            },
            "Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3050|LPort2_10=5000-5020|"
            "RA4=10.20.0.0/255.255.255.0|RA4=10.1.1.1-10.1.1.9|RA6=::1|Name=op|",
        ),
        (
            {
                "RemoteAddress": ["LocalSubnet", "Internet"],
                "Profile": ["Public", "Domain"],
                "Enabled": "False",
                "Action": "Block",
            },
            "Action=Block|Active=FALSE|Dir=In|Profile=Domain|Profile=Public|RA42=IntErnet|RA62=IntErnet|"
            "RA4=LocalSubnet|RA6=LocalSubnet|Name=op|",
        ),
        (
            {"Protocol": "ICMPv4", "IcmpType": ["8", "3:4"], "Program": "System", "Description": "d", "Group": "OP"},
            "Action=Allow|Active=TRUE|Dir=In|Protocol=1|ICMP4=8:*|ICMP4=3:4|App=System|Name=op|Desc=d|EmbedCtxt=OP|",
        ),
        (
            {"InterfaceType": "Wired", "EdgeTraversalPolicy": "DeferToApp", "Service": "Spooler", "RemoteAddress": "Any"},
            "Action=Allow|Active=TRUE|Dir=In|IFType=Lan|Svc=Spooler|Name=op|Edge=TRUE|Defer=App|",
        ),
        (
            {"Direction": "Outbound", "Protocol": "17", "RemotePort": "53", "LocalAddress": "2001:db8::/32"},
            "Action=Allow|Active=TRUE|Dir=Out|Protocol=17|RPort=53|LA6=2001:db8::/32|Name=op|",
        ),
        (
            {"Protocol": "TCP", "LocalPort": ["RPCEPMap", "IPHTTPSIn"]},
            "Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=RPC-EPMap|LPort2_10=IPTLSIn|LPort2_10=IPHTTPSIn|Name=op|",
        ),
    ],
)
def test_a_new_rule_is_a_registry_line(ask, computer, given, line):
    assert ask(write("New-NetFirewallRule", Name="OP", DisplayName="op", **given)) is None
    assert rule(computer) == f"v2.31|{line}"


def test_a_rule_without_a_name_gets_a_lower_case_guid(ask, computer):
    before = set(registry.find(computer.state, rules.KEY)["values"])
    ask(write("New-NetFirewallRule", DisplayName="op"))
    (new,) = set(registry.find(computer.state, rules.KEY)["values"]) - before
    assert registry.find(computer.state, rules.KEY)["values"][new][0] == new
    assert new.startswith("{")
    assert len(new) == 38


def test_set_replaces_what_it_is_given_and_keeps_the_rest(ask, computer):
    key = registry.create(computer.state, rules.KEY)
    old = "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|RA4=10.0.0.1|LUAuth=D:(A;;CC;;;SY)|Name=op|NNm=x|"
    registry.set_value(key, "OP", "String", old)
    assert ask(write("Set-NetFirewallRule", Name="OP", RemoteAddress=["10.9.0.0/16"], NewDisplayName="new")) is None
    expected = old.replace("v2.10", "v2.31").replace("10.0.0.1", "10.9.0.0/255.255.0.0").replace("Name=op", "Name=new")
    expected = expected.replace("LUAuth=D:(A;;CC;;;SY)|Name=new", "Name=new|LUAuth=D:(A;;CC;;;SY)")
    assert rule(computer) == expected
    ask(write("Set-NetFirewallRule", Name="OP", Enabled="False"))
    assert rule(computer) == expected.replace("TRUE", "FALSE")
    ask(write("Remove-NetFirewallRule", Name="OP"))
    assert rule(computer) is None


@pytest.mark.parametrize(
    ("build", "version"), [(14393, "2.26"), (17763, "2.29"), (19045, "2.30"), (20348, "2.31"), (26100, "2.33")]
)
def test_each_windows_writes_its_own_version(build, version):
    computer = Computer(servers.bare(build))
    asking(computer)(write("New-NetFirewallRule", Name="OP", DisplayName="op"))
    assert rule(computer).startswith(f"v{version}|")


@pytest.mark.parametrize(
    ("call", "id"),
    [
        (write("Set-NetFirewallRule", Name="No", Action="Block"), "CmdletizationQuery_NotFound_InstanceID,Set-NetFirewallRule"),
        (write("Remove-NetFirewallRule", Name="No"), "CmdletizationQuery_NotFound_InstanceID,Remove-NetFirewallRule"),
        (
            write("New-NetFirewallRule", Name="WINRM-HTTP-In-TCP", DisplayName="x"),
            "Windows System Error 183,New-NetFirewallRule",
        ),
        (write("New-NetFirewallRule", DisplayName="x", LocalPort="80"), "HRESULT 0x80070057,New-NetFirewallRule"),
        (write("New-NetFirewallRule", DisplayName="x", RemoteAddress="nowhere"), "HRESULT 0x80070057,New-NetFirewallRule"),
        (write("New-NetFirewallRule", DisplayName="x", LocalAddress="LocalSubnet"), "HRESULT 0x80070057,New-NetFirewallRule"),
        (write("New-NetFirewallRule", DisplayName="a|b"), "HRESULT 0x80070057,New-NetFirewallRule"),
        (
            write("New-NetFirewallRule", DisplayName="x", Direction="Outbound", EdgeTraversalPolicy="Allow"),
            "HRESULT 0x80070057,New-NetFirewallRule",
        ),
    ],
)
def test_firewall_cmdlets_refuse_with_their_own_ids(ask, computer, call, id):
    before = computer.state.registry["LocalMachine"]
    text = json.dumps(before)
    assert ask(call).id == id
    assert json.dumps(before) == text


# ---------------------------------------------------------------- tasks

NAMESPACE = 'xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"'
FULL = f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.4" {NAMESPACE}>
  <RegistrationInfo><Description>copies &amp; checks</Description></RegistrationInfo>
  <Triggers><CalendarTrigger><Repetition><Interval>PT30M</Interval><StopAtDurationEnd>false</StopAtDurationEnd></Repetition>
    <StartBoundary>2024-01-05T02:00:00</StartBoundary><Enabled>true</Enabled>
    <ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay></CalendarTrigger></Triggers>
  <Principals><Principal id="Author"><UserId>NT AUTHORITY\\SYSTEM</UserId><LogonType>S4U</LogonType>
    <RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
  <Settings><Priority>7</Priority><Enabled>true</Enabled><ExecutionTimeLimit>P3D</ExecutionTimeLimit>
    <WakeToRun>true</WakeToRun><DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries></Settings>
  <Actions Context="Author"><Exec><Command>robocopy.exe</Command></Exec></Actions>
</Task>"""
MINIMAL = f"""<?xml version="1.0" encoding="UTF-16"?>
<Task {NAMESPACE}>
  <RegistrationInfo>
    <Description>copies &amp; checks</Description>
    <URI>\\OP\\Backup</URI>
  </RegistrationInfo>
  <Principals>
    <Principal id="Author">
      <UserId>S-1-5-18</UserId>
    </Principal>
  </Principals>
  <Settings>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>true</StopIfGoingOnBatteries>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <WakeToRun>true</WakeToRun>
    <IdleSettings>
      <StopOnIdleEnd>true</StopOnIdleEnd>
      <RestartOnIdle>false</RestartOnIdle>
    </IdleSettings>
    <UseUnifiedSchedulingEngine>true</UseUnifiedSchedulingEngine>
  </Settings>
  <Triggers>
    <CalendarTrigger>
      <Repetition>
        <Interval>PT30M</Interval>
      </Repetition>
      <StartBoundary>2024-01-05T02:00:00</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Actions Context="Author">
    <Exec>
      <Command>robocopy.exe</Command>
    </Exec>
  </Actions>
</Task>"""


def register(xml=FULL, **more):
    return write("Register-ScheduledTask", TaskName="Backup", TaskPath="\\OP\\", Xml=xml, **more)


def export():
    return calls.cmdlet_read("Export-ScheduledTask", [], TaskName="Backup", TaskPath="\\OP\\")


def test_a_registered_task_comes_back_in_the_minimal_dialect(ask):
    assert ask(register()) is None
    assert ask(export()) == [MINIMAL.replace("\n", "\r\n")]
    assert ask(register()).id == "HRESULT 0x800700b7,Register-ScheduledTask"
    assert ask(register(MINIMAL, Force=True)) is None
    assert ask(export()) == [MINIMAL.replace("\n", "\r\n")], "what came back goes in again"


def test_a_task_without_a_principal_is_its_makers(ask, computer):
    ask(register(f"<Task {NAMESPACE}><Actions><Exec><Command>x</Command></Exec></Actions></Task>"))
    sid = accounts.sid_of(computer.state, ".\\opadmin")
    assert f"<UserId>{sid}</UserId>" in ask(export())[0]


def test_enabling_and_disabling_is_in_the_xml(ask):
    ask(register())
    ask(write("Disable-ScheduledTask", TaskName="Backup", TaskPath="\\OP\\"))
    assert "<Enabled>false</Enabled>" in ask(export())[0]
    ask(write("Disable-ScheduledTask", TaskName="backup", TaskPath="\\op\\"))
    assert ask(export())[0].count("<Enabled>false</Enabled>") == 1
    ask(write("Enable-ScheduledTask", TaskName="Backup", TaskPath="\\OP\\"))
    assert ask(export()) == [MINIMAL.replace("\n", "\r\n")]


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        ("<Task", 0x8004131A),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><Task/>", 0x8004131A),
        ("<Task/>", 0x80041316),
        (f"<Task {NAMESPACE}/>", 0x80041319),
        (FULL.replace("<Command>robocopy.exe</Command>", ""), 0x80041319),
        (FULL.replace("<WakeToRun>true", "<WakeToRun>maybe"), 0x80041318),
        (FULL.replace("P3D", "3 days"), 0x80041318),
        (FULL.replace("WakeToRun", "WakeUp"), 0x80041316),
        (FULL.replace("NT AUTHORITY\\SYSTEM", "nobody"), 0x80070534),
        (FULL.replace("S4U", "Password"), 0x8007052E),
    ],
)
def test_bad_task_xml_is_refused_with_the_schedulers_code(ask, computer, xml, code):
    assert ask(register(xml)).id == f"HRESULT {code:#x},Register-ScheduledTask"
    assert "\\op\\backup" not in computer.state.tasks


def test_a_task_that_is_not_there_is_told_apart(ask):
    assert ask(export()).id == "HRESULT 0x80070002,Export-ScheduledTask"
    elsewhere = calls.cmdlet_read("Export-ScheduledTask", [], TaskName="Backup")
    assert ask(elsewhere).id == "HRESULT 0x80070002,Export-ScheduledTask"
    gone = write("Unregister-ScheduledTask", TaskName="Backup", TaskPath="\\OP\\", Confirm=False)
    assert ask(gone).id == "CmdletizationQuery_NotFound_TaskName,Unregister-ScheduledTask"
    ask(register())
    other = write("Unregister-ScheduledTask", TaskName="Backup", TaskPath="\\", Confirm=False)
    assert ask(other).id == "CmdletizationQuery_NotFound_TaskPath,Unregister-ScheduledTask"
    unconfirmed = write("Unregister-ScheduledTask", TaskName="Backup", TaskPath="\\OP\\")
    assert ask(unconfirmed).id == "InvalidOperation,Unregister-ScheduledTask"
    assert ask(gone) is None
    assert isinstance(ask(export()), Failure)


def test_built_in_tasks_are_in_the_dialect_already(computer):
    for task in computer.state.tasks.values():
        again = taskxml.registered(task["xml"], task["path"], "S-1-5-18", lambda sid: sid)
        assert again == task["xml"]


# ---------------------------------------------------------------- files and registry


def test_a_file_arrives_in_pieces_and_takes_its_name_when_whole(ask):
    path, data = "D:\\Ärzte\\a.bin", bytes(range(256))
    assert ask(calls.file_append(path, 0, data)).id == "DirectoryNotFoundException"
    ask(write("New-Item", ItemType="Directory", Path="D:\\Ärzte"))
    assert ask(calls.file_append(path, 0, data[:100])) is None
    assert ask(calls.file_append(path, 200, data)).id == "opdeploy.Stale"
    assert ask(calls.file_append(path, 100, data[100:])) is None
    assert ask(calls.file_stat(path)) is None
    assert ask(calls.file_commit(path, hashlib.sha256(data).hexdigest())) is None
    stat = ask(calls.file_stat(path, hash=True))
    assert (stat["size"], stat["sha256"], stat["piece"]) == (256, hashlib.sha256(data).hexdigest(), None)
    assert ask(calls.file_read(path, offset=250, length=100)) == {"bytes": base64.b64encode(data[250:]).decode(), "end": True}


def test_a_piece_with_the_wrong_hash_is_gone(ask):
    ask(calls.file_append("D:\\x", 0, b"abc"))
    assert ask(calls.file_commit("D:\\x", "00")).id == "opdeploy.BadHash"
    assert ask(calls.file_commit("D:\\x", "00")).id.startswith("PathNotFound")


def test_a_piece_with_a_secret_in_it_comes_as_base64(ask):
    ask(calls.Write("file.append", {"path": "D:\\x", "offset": 0, "bytes": Secret(base64.b64encode(b"pw=x").decode())}))
    assert ask(calls.file_commit("D:\\x", hashlib.sha256(b"pw=x").hexdigest())) is None


def test_a_leftover_piece_is_seen_and_discarded(ask):
    path = "C:\\Windows\\System32\\drivers\\etc\\hosts"
    ask(calls.file_append(path, 0, b"abc"))
    assert ask(calls.file_stat(path))["piece"] == 3
    assert ask(calls.file_discard(path)) is None
    assert ask(calls.file_stat(path))["piece"] is None


@pytest.mark.parametrize(
    ("call", "id"),
    [
        (write("New-Item", ItemType="Directory", Path="D:\\"), f"DirectoryExist,{CLASS}NewItemCommand"),
        (write("New-Item", ItemType="Directory", Path="Q:\\x"), f"DriveNotFound,{CLASS}NewItemCommand"),
        (write("New-Item", ItemType="File", Path="D:\\x"), "opdeploy.BadName"),
        (write("Remove-Item", LiteralPath="D:\\x"), f"PathNotFound,{CLASS}RemoveItemCommand"),
        (write("Remove-Item", LiteralPath="C:\\Users"), f"InvalidOperation,{CLASS}RemoveItemCommand"),
        (calls.file_stat("\\\\server\\share"), "opdeploy.NotLocal"),
    ],
)
def test_items_refuse_with_their_own_ids(ask, call, id):
    assert ask(call).id == id


def test_folders_are_made_with_those_above_them(ask):
    assert ask(write("New-Item", ItemType="Directory", Path="D:\\a\\b\\c")) is None
    assert ask(calls.file_stat("D:\\A\\B\\C")) == {
        "directory": True,
        "modified": "2024-05-06T06:00:01.0000000Z",
        "piece": None,
        "empty": True,
    }
    assert ask(calls.file_stat("D:\\a"))["empty"] is False


def test_a_list_is_replaced_when_it_is_still_as_expected(ask):
    ask(write("New-Item", ItemType="Directory", Path="D:\\OP"))
    now = ask(calls.sddl_read("D:\\OP"))
    wanted = "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
    assert ask(calls.sddl_write("D:\\OP", wanted, expect=now)) is None
    assert ask(calls.sddl_read("D:\\OP")) == now.partition("D:")[0] + wanted
    assert ask(calls.sddl_write("D:\\OP", wanted, expect=now)).id == "opdeploy.Stale"
    assert ask(calls.sddl_write("D:\\No", wanted, expect="")).id == "opdeploy.Stale"


@pytest.mark.parametrize(
    ("kind", "data"),
    [("DWord", 0xFFFFFFFF), ("QWord", 2**64 - 1), ("String", "ä"), ("MultiString", ["a", "b"]), ("ExpandString", "%X%")],
)
def test_a_value_reads_back_as_it_was_written(ask, kind, data):
    ask(calls.registry_write("SOFTWARE\\Op\\New", "Value", kind, data))
    assert ask(calls.registry_read("software\\op\\new")) == {"values": {"Value": [kind, data]}}
    assert ask(calls.registry_remove("SOFTWARE\\Op\\New", "VALUE")) is None
    assert ask(calls.registry_read("software\\op\\new")) == {"values": {}}


def test_bytes_go_in_raw_and_come_out_in_base64(ask):
    ask(calls.registry_write("SOFTWARE\\Op", "B", "Binary", b"\x00\xff"))
    assert ask(calls.registry_read("SOFTWARE\\Op")) == {"values": {"B": ["Binary", "AP8="]}}


# ---------------------------------------------------------------- a token that is not elevated


@pytest.mark.parametrize(
    "call",
    [
        user(),
        write("New-NetFirewallRule", DisplayName="x"),
        write("Start-Service", Name="Spooler"),
        write("New-Service", Name="x", BinaryPathName="x"),
        write("New-Item", ItemType="Directory", Path="C:\\Windows\\x"),
        register(),
        calls.registry_write("SOFTWARE\\Op", "x", "String", "y"),
        calls.program_write("sc.exe", "config", "Spooler start= auto"),
        calls.rights_write(template("SeTcbPrivilege", ""), expect={}),
        calls.export_read("user rights"),
        calls.cim_read("root/rsop/computer", "RSOP_UserPrivilegeRight", ["UserRight"]),
        calls.cmdlet_read("Get-Service", ["Name"]),
        calls.registry_read("SECURITY"),
    ],
    ids=lambda call: f"{call.verb} {call.args.get('name', '')}",
)
def test_a_filtered_token_is_denied(call):
    computer = Computer(servers.filtered(servers.bare()))
    state = json.loads(dump(computer.state))
    assert isinstance(asking(computer)(call), Failure)
    after = json.loads(dump(computer.state))
    assert {key: value for key, value in after.items() if key != "time"} == {k: v for k, v in state.items() if k != "time"}


def test_policy_is_read_as_wmi_has_it(computer):
    servers.with_policy_right(computer.state, "SeBatchLogonRight", ["op-service"])
    read = calls.cim_read("root/rsop/computer", "RSOP_UserPrivilegeRight", ["UserRight", "AccountList"])
    (answer,) = computer.ask([read], source=agent_source(write_half=False))
    assert answer == [{"UserRight": "SeBatchLogonRight", "AccountList": ["op-service"]}]

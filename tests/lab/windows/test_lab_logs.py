"""Audit policy and event logs of the lab: what auditpol and wevtutil store, what they refuse, what a manifest's default is."""

import base64

import pytest
from lab_asking import agent_source, asking

from opdeploy import calls
from opdeploy.formats import audit_csv, sddl
from opdeploy.lab.windows import auditing, cmdlets_logs, registry, servers, source
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.programs import OTHERS
from opdeploy.lab.windows.state import dump

LOGON, POLICY = "{0CCE9215-69AE-11D9-BED3-505054503030}", cmdlets_logs.POLICY
ROW = ["LogName", "LogType", "IsClassicLog", "IsEnabled", "LogMode", "MaximumSizeInBytes", "SecurityDescriptor"]
CLEARED = "O:BAG:SYD:(A;;0x7;;;SY)(A;;0x7;;;BA)"


def audited(ask):
    return audit_csv.settings(audit_csv.parse(base64.b64decode(ask(calls.export_read("audit policy")))))


def set_audit(ask, line):
    return ask(calls.program_write("auditpol.exe", "/set", line))


def log(ask, name):
    found = ask(calls.cmdlet_read("Get-WinEvent", ROW, ListLog=name))
    return found[0] if isinstance(found, list) else found


def set_log(ask, line):
    return ask(calls.program_write("wevtutil.exe", "sl", line))


def test_every_program_but_sc_has_a_model_of_the_sub_commands_that_the_agent_lists():
    listed = source.read(agent_source()).tables["programs"]
    assert {(program, command) for program in set(listed) - {"sc.exe"} for command in listed[program]} == set(OTHERS)


# ---------------------------------------------------------------- audit policy


def test_the_lab_has_every_subcategory_by_its_real_name(ask):
    assert {guid: name for guid, (name, _) in auditing.SUBCATEGORIES.items()} == audit_csv.SUBCATEGORIES
    assert set(audited(ask)) == set(audit_csv.SUBCATEGORIES)


def test_a_word_sets_its_own_part_and_leaves_the_other(ask):
    assert set_audit(ask, f"/subcategory:{LOGON} /success:disable") is None
    assert audited(ask)[LOGON] == audit_csv.FAILURE
    assert set_audit(ask, f"/subcategory:{LOGON.lower()} /success:enable /failure:disable") is None
    assert audited(ask)[LOGON] == audit_csv.SUCCESS


def test_what_is_set_back_leaves_no_trace(ask, computer):
    before = computer.state.audit.copy()
    set_audit(ask, f"/subcategory:{LOGON} /success:disable /failure:disable")
    assert computer.state.audit == {LOGON: 0}
    set_audit(ask, f"/subcategory:{LOGON} /success:enable /failure:enable")
    assert computer.state.audit == before == {}


@pytest.mark.parametrize(
    "line", ["/subcategory:Logon /success:enable", f"/subcategory:{LOGON}", f"/subcategory:{LOGON} /success:on"]
)
def test_what_auditpol_does_not_take_changes_nothing(ask, line):
    before = audited(ask)
    assert "ended with 87" in set_audit(ask, line).message
    assert audited(ask) == before


def test_only_an_administrator_sees_or_changes_the_audit_policy():
    doctor = asking(Computer(servers.terminal_server()), "doctor")
    assert "1314" in doctor(calls.export_read("audit policy")).message
    assert "1314" in set_audit(doctor, f"/subcategory:{LOGON} /success:enable").message


# ---------------------------------------------------------------- event logs


def test_what_the_registry_does_not_hold_is_as_the_manifest_has_it(ask, computer):
    name = "Microsoft-Windows-TaskScheduler/Operational"
    assert registry.find(computer.state, f"{cmdlets_logs.CHANNELS}\\{name}") is None
    assert (log(ask, name.lower())["LogName"], log(ask, name)["IsEnabled"]) == (name, False)
    assert set_log(ask, f"{name} /e:true") is None
    assert log(ask, name)["IsEnabled"] is True


def test_every_setting_is_stored_and_rounded_up_to_64_kb(ask):
    assert set_log(ask, f'"Windows PowerShell" /ms:5000000001 /rt:true /ab:true /ca:{CLEARED}') is None
    found = log(ask, "Windows PowerShell")
    assert (found["MaximumSizeInBytes"], found["LogMode"]) == (5000003584, "AutoBackup")
    assert found["MaximumSizeInBytes"] % 65536 == 0
    assert found["SecurityDescriptor"] == CLEARED
    set_log(ask, '"Windows PowerShell" /ab:false')
    assert log(ask, "Windows PowerShell")["LogMode"] == "Retain"


def test_every_list_of_the_lab_is_one(ask):
    for name in cmdlets_logs.LOGS:
        assert sddl.parse(log(ask, name)["SecurityDescriptor"]).dacl


def test_a_policy_wins(ask, computer):
    key = registry.create(computer.state, f"{POLICY}\\Application")
    for name, kind, data in (("MaxSize", "DWord", 32768), ("Retention", "String", "1"), ("ChannelAccess", "String", CLEARED)):
        registry.set_value(key, name, kind, data)
    set_log(ask, "Application /ms:67108864 /rt:false")
    found = log(ask, "Application")
    assert (found["MaximumSizeInBytes"], found["LogMode"], found["SecurityDescriptor"]) == (32 << 20, "Retain", CLEARED)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("Nobody /ms:2097152", 15007), ("Application /ms:65536", 87), ("Application /rt:maybe", 87), ("Application", 87),
        ("Application /x:1", 87), ("Application /ca:everybody", 1336),
    ],
)  # fmt: skip
def test_what_wevtutil_refuses_changes_nothing(ask, computer, line, code):
    before = computer.state.registry
    assert f"ended with {code} " in set_log(ask, line).message
    assert computer.state.registry == before


def test_a_log_that_is_not_there_or_may_not_be_seen_has_its_own_error_id(ask):
    command = "Microsoft.PowerShell.Commands.GetWinEventCommand"
    assert log(ask, "Microsoft-Windows-Sysmon/Operational").id == f"NoMatchingLogsFound,{command}"
    doctor = asking(Computer(servers.terminal_server()), "doctor")
    assert log(doctor, "Security").id == f"LogInfoUnavailable,{command}"
    assert "ended with 5 " in set_log(doctor, "Application /ms:2097152").message


@pytest.mark.parametrize(
    "call", [calls.cmdlet_read("Get-WinEvent", ROW, ListLog="*"), calls.program_write("wevtutil.exe", "sl", "System /e:false")]
)
def test_what_the_lab_does_not_know_is_no_silent_success(ask, call):
    assert ask(call).id == "lab.NotModelled"


def test_reading_them_leaves_the_machine_as_it_was(ask, computer):
    before = dump(computer.state)
    audited(ask)
    log(ask, "Setup")
    assert dump(computer.state) == before


# ---------------------------------------------------------------- events of programs

COMMAND = "Microsoft.PowerShell.Commands.WriteEventLogCommand"
OURS = (
    '<QueryList><Query Id="0" Path="Application"><Select Path="Application">'
    '*[System[Provider[@Name="opdeploy"]]]</Select></Query></QueryList>'
)


def write(ask, text="done", **given):
    told = {"LogName": "Application", "Source": "opdeploy", "EntryType": "Information", "EventId": 1, "Message": text}
    return ask(calls.cmdlet_write("Write-EventLog", **(told | given)))


def registered(computer, log="Application"):
    registry.create(computer.state, rf"{cmdlets_logs.CLASSIC}\{log}\opdeploy")


def test_an_event_needs_its_source_in_that_log(ask, computer):
    assert write(ask).id == COMMAND
    registered(computer, "System")
    assert write(ask).id == f"{write(ask).message},{COMMAND}"
    assert "It is registered in log 'System'" in write(ask).message
    assert computer.state.application_events == []


def test_an_event_is_found_by_its_source(ask, computer):
    assert ask(calls.events_read(OURS, 1)).id.startswith("NoMatchingEventsFound,")
    registered(computer)
    assert write(ask, "one") is None
    assert write(ask, "two <&>", EventId=2, EntryType="Warning") is None
    newest, oldest = ask(calls.events_read(OURS, 10))
    assert '<EventID Qualifiers="0">2</EventID><Level>3</Level>' in newest
    assert "<Data>two &lt;&amp;&gt;</Data>" in newest
    assert "<EventRecordID>1</EventRecordID>" in oldest
    assert ask(calls.events_read(OURS, 1)) == [newest]


def test_an_event_is_only_so_long_and_of_a_real_type(ask, computer):
    registered(computer)
    assert write(ask, "x" * 31719).id == f"OSWritingError,{COMMAND}"
    assert write(ask, EntryType="Note").id == f"CannotConvertArgumentNoMessage,{COMMAND}"
    assert write(ask, EntryType="SuccessAudit").id == "lab.NotModelled"
    assert computer.state.application_events == []


def test_events_of_another_source_are_not_written_for_us(ask, computer):
    registry.create(computer.state, rf"{cmdlets_logs.CLASSIC}\Application\MSSQLSERVER")
    assert write(ask, Source="MSSQLSERVER").id == "opdeploy.BadName"

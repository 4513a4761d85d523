"""The resident agent: what it lists hangs on the source it was sent; replies are framed as the real one's are."""

import base64
import inspect
import json
import re
import threading

import pytest
from lab_asking import agent_source, asking

from opdeploy import calls
from opdeploy.calls import Call, Failure
from opdeploy.lab.windows import (
    cmdlets_firewall,
    cmdlets_items,
    cmdlets_services,
    cmdlets_sessions,
    cmdlets_smb,
    cmdlets_tasks,
    cmdlets_users,
    servers,
    source,
)
from opdeploy.lab.windows.accounts import token_of
from opdeploy.lab.windows.agent import Agent
from opdeploy.lab.windows.binding import ENUMS, bind, table
from opdeploy.lab.windows.cmdlets import MODELS
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.programs import COMMANDS
from opdeploy.lab.windows.state import dump
from opdeploy.lab.windows.verbs import CLASSES, VERBS
from opdeploy.model import Secret


def talk(*lines: str, text: str = "") -> list[dict]:
    state = servers.bare()
    written: list[bytes] = []
    agent = Agent(state, token_of(state, f"{state.facts.machine_sid}-500"), threading.RLock(), written.append)
    for line in [*(text or agent_source()).splitlines(), ".", *lines]:
        agent.take(line)
    replies = b"".join(written).decode().splitlines()
    assert all(reply.startswith("opdeploy ") for reply in replies)
    return [json.loads(reply.removeprefix("opdeploy ")) for reply in replies]


LISTED = source.read(agent_source())
PARAMETERS = LISTED.tables["reading"] | LISTED.tables["writing"]
CALLED = set(re.findall(r"'sc\.exe' \"(\w+) ", agent_source()))
"""Sub-commands that the agent's own text calls."""


def test_the_lab_has_a_model_of_what_the_agent_lists_and_of_nothing_else():
    assert set(VERBS) == set(LISTED.verbs)
    assert set(MODELS) == set(PARAMETERS)
    assert set(CLASSES) == set(LISTED.tables["classes"])
    assert {"sdshow", "sdset"} == CALLED
    assert set(COMMANDS) == set(LISTED.tables["programs"]["sc.exe"]) | CALLED
    assert {name for name in PARAMETERS if name.endswith("-NetFirewallRule")} == set(cmdlets_firewall.COMMANDS)
    assert {name for rule in cmdlets_firewall.COMMANDS for name in PARAMETERS[rule]} == cmdlets_firewall.MODELLED


@pytest.mark.parametrize(
    "module",
    [cmdlets_users, cmdlets_services, cmdlets_tasks, cmdlets_items, cmdlets_smb, cmdlets_sessions],
    ids=lambda one: one.__name__,
)
def test_a_model_asks_for_parameters_that_the_agent_lists_and_for_no_others(module):
    text = inspect.getsource(module)
    listed = {name for cmdlet in module.COMMANDS for name in PARAMETERS[cmdlet]}
    assert set(re.findall(r'call\.(?:get|given)\("(\w+)"', text)) <= listed
    assert listed <= set(re.findall(r'"(\w+)"', text))


def test_a_class_or_a_program_that_only_the_source_lists_is_an_error_and_no_silent_success(computer):
    text = agent_source().replace("RSOP_RestrictedGroup", "RSOP_Session").replace("@('config', ", "@('boot', 'config', ")
    answers = computer.ask([calls.cim_read("root/rsop/computer", "RSOP_Session", [])], source=text)
    answers += computer.ask([calls.program_write("sc.exe", "boot", "ok")], 1, source=text)
    assert [answer.id for answer in answers] == ["lab.NotModelled", "lab.NotModelled"]


def test_a_reply_is_one_line_a_call_and_one_that_ends_the_request():
    request = {
        "id": 7,
        "writes": 0,
        "calls": [{"verb": "sid.resolve", "args": {"name": "=SYSTEM"}}, {"verb": "nope", "args": {}}],
    }
    first, second, last = talk(json.dumps(request))
    assert first == {"id": 7, "call": 0, "value": {"sid": "S-1-5-18"}}
    assert second["error"]["id"] == "opdeploy.NoVerb"
    assert second["error"]["message"] == "no verb 'nope' in this session"
    assert last == {"id": 7, "done": 2}


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"id": 1}', "*1 %%%"])
def test_what_is_no_request_is_answered_as_such_and_ends_nothing(line):
    request = json.dumps({"id": 1, "writes": 0, "calls": []})
    bad, good = talk(line, request)
    assert bad["id"] is None
    assert "error" in bad
    assert good == {"id": 1, "done": 0}


def test_a_failed_write_skips_the_other_writes_and_no_read(computer):
    folder = calls.cmdlet_write("New-Item", ItemType="Directory", Path="D:\\A")
    missing = calls.cmdlet_write("Remove-Item", LiteralPath="D:\\Missing")
    answers = computer.ask([missing, folder, calls.file_stat("D:\\A")], 2, source=agent_source())
    assert [getattr(answer, "id", answer) for answer in answers] == [
        "PathNotFound,Microsoft.PowerShell.Commands.RemoveItemCommand",
        calls.SKIPPED,
        None,
    ]


def test_the_write_half_is_needed_to_write(ask):
    write = calls.cmdlet_write("New-LocalUser", Name="x", Password=Secret("y"))
    assert ask(write, write_half=False).id == "opdeploy.NoVerb"
    assert ask(write) is None


def test_what_the_source_does_not_list_is_refused(ask):
    assert ask(calls.cmdlet_read("Get-Process", ["Name"])).id == "opdeploy.NotListed"
    assert (
        ask(calls.cmdlet_read("Get-Service", ["Name"], DisplayName="x")).message == "'Get-Service -DisplayName' is not listed"
    )
    assert ask(calls.cmdlet_write("Remove-Item", LiteralPath="D:\\X", Recurse=True)).id == "opdeploy.NotListed"
    assert ask(calls.program_write("sc.exe", "create", "X")).id == "opdeploy.NotListed"
    assert ask(calls.cim_read("root/cimv2", "Win32_Product", ["Name"])).id == "opdeploy.NotListed"
    assert ask(calls.cmdlet_write("Stop-Service", Name="Win*")).id == "opdeploy.BadName"


def test_an_unknown_argument_of_a_verb_is_refused(ask):
    assert ask(Call("sid.resolve", {"name": "SYSTEM", "nonsense": 1})).id == "NamedParameterNotFound"


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"host.read"}))
def test_arguments_of_a_wrong_shape_are_an_error_and_break_nothing(computer, verb):
    for args in ({}, {name: None for name in source.read(agent_source()).verbs[verb]}):
        (answer,) = computer.ask([Call(verb, args)], source=agent_source())
        assert answer is None or isinstance(answer, Failure | dict)


def test_a_cmdlet_that_only_the_source_lists_is_an_error_and_no_silent_success():
    text = agent_source().replace("'Get-Service' = @('Name')", "'Get-Process' = @('Name')")
    assert "'Get-Process' " in text
    request = {"id": 1, "writes": 0, "calls": [{"verb": "cmdlet.read", "args": {"name": "=Get-Process", "parameters": {}}}]}
    assert talk(json.dumps(request), text=text)[0]["error"]["id"] == "lab.NotModelled"


def test_tags_are_taken_off_and_a_bare_string_is_refused():
    request = {"id": 1, "writes": 0, "calls": [{"verb": "sid.resolve", "args": {"name": "SYSTEM"}}]}
    assert talk(json.dumps(request))[0]["error"]["id"] == "opdeploy.Untagged"


def test_secrets_last_for_one_request():
    secret = "*1 " + base64.b64encode(servers.PASSWORD.encode()).decode()
    probe = {"verb": "logon.probe", "args": {"user": "=opadmin", "password": "!1"}}
    request = json.dumps({"id": 1, "writes": 0, "calls": [probe]})
    first, _, second, _ = talk(secret, request, request)
    assert first["value"] == {"right": True}
    assert "error" in second


def test_reading_leaves_the_machine_as_it_was(computer):
    before = dump(computer.state)
    reads = [
        calls.host_read(),
        calls.registry_read("SOFTWARE", depth=4),
        calls.registry_read("No\\Such\\Key", hive="Users"),
        calls.cmdlet_read("Get-LocalUser", ["Name"]),
        calls.cmdlet_read("Get-Service", ["Name", "Status"]),
        calls.cmdlet_read(
            "Export-ScheduledTask", [], TaskName="SynchronizeTime", TaskPath="\\Microsoft\\Windows\\Time Synchronization\\"
        ),
        calls.file_stat("C:\\Windows"),
        calls.sddl_read("C:\\Users"),
        calls.export_read("user rights"),
        calls.registry_read("SYSTEM\\CurrentControlSet\\Services\\Spooler", values=["Security"], depth=1),
        calls.group_members("Administrators"),
        calls.logon_probe("opadmin", Secret("wr0ng-Pass")),
        calls.cim_read("root/rsop/computer", "RSOP_RestrictedGroup", ["GroupName"]),
    ]
    answers = computer.ask(reads, source=agent_source(write_half=False))
    assert not [answer for answer in answers if isinstance(answer, Failure)]
    assert dump(computer.state) == before


# ---------------------------------------------------------------- the table of real cmdlets

CLASS = "Microsoft.PowerShell.Commands."


@pytest.mark.parametrize(
    ("name", "given", "id"),
    [
        ("Get-Nonsense", {}, "CommandNotFoundException"),
        ("Get-Service", {"Nonsense": 1}, f"NamedParameterNotFound,{CLASS}GetServiceCommand"),
        ("New-LocalUser", {"Name": "x"}, f"MissingMandatoryParameter,{CLASS}NewLocalUserCommand"),
        ("New-LocalUser", {"NoPassword": True}, f"MissingMandatoryParameter,{CLASS}NewLocalUserCommand"),
        ("New-LocalUser", {"Name": "x", "Password": "text"}, f"CannotConvertArgumentNoMessage,{CLASS}NewLocalUserCommand"),
        ("Set-LocalUser", {"Name": "x", "SID": "S-1-5-18"}, f"AmbiguousParameterSet,{CLASS}SetLocalUserCommand"),
        ("Set-LocalUser", {"SID": "opadmin"}, f"CannotConvertArgumentNoMessage,{CLASS}SetLocalUserCommand"),
        ("Set-LocalUser", {}, f"MissingMandatoryParameter,{CLASS}SetLocalUserCommand"),
        (
            "Set-LocalUser",
            {"Name": "x", "AccountExpires": "soon"},
            f"CannotConvertArgumentNoMessage,{CLASS}SetLocalUserCommand",
        ),
        (
            "Set-Service",
            {"Name": "x", "StartupType": "AutomaticDelayedStart"},
            f"CannotConvertArgumentNoMessage,{CLASS}SetServiceCommand",
        ),
        ("New-NetFirewallRule", {"Name": "x"}, "MissingMandatoryParameter,New-NetFirewallRule"),
        (
            "New-NetFirewallRule",
            {"DisplayName": "x", "Direction": "In"},
            "ParameterArgumentTransformationError,New-NetFirewallRule",
        ),
        ("Set-NetFirewallRule", {"Name": "x", "DisplayName": "y"}, "AmbiguousParameterSet,Set-NetFirewallRule"),
        ("Enable-ScheduledTask", {}, "AmbiguousParameterSet,Enable-ScheduledTask"),
    ],
)
def test_a_call_that_powershell_would_not_bind_gets_its_own_error_id(name, given, id):
    with pytest.raises(Refused) as refused:
        bind(name, given)
    assert refused.value.id == id


def test_a_call_binds_by_alias_in_any_case_and_its_values_are_converted():
    bound = bind("get-service", {"SERVICENAME": "Spooler"})
    assert (bound.name, bound.set, bound.parameters) == ("Get-Service", "Default", {"Name": ["Spooler"]})
    assert bind("New-NetFirewallRule", {"DisplayName": "x", "Profile": "domain, private"}).get("Profile") == [
        "Domain",
        "Private",
    ]


def test_the_enumerations_are_types_of_the_table():
    known = {".".join(name.removesuffix("[]").split(".")[-2:]) for name in table()["types"]}
    assert set(ENUMS) <= known


def test_another_user_asks_with_another_token():
    computer = Computer(servers.terminal_server())
    assert asking(computer, "doctor")(calls.host_read())["elevated"] is False
    assert asking(computer)(calls.host_read())["elevated"] is True

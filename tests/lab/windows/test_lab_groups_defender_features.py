"""What the models of local groups, Defender's exclusions, features and the network store, and refuse with Windows' own ids."""

import inspect
import re

import pytest
from lab_asking import agent_source, asking

from opdeploy import calls
from opdeploy.lab.windows import (
    accounts,
    cmdlets_defender,
    cmdlets_features,
    cmdlets_groups,
    registry,
    servers,
    services,
    source,
)
from opdeploy.lab.windows.computer import Computer

LISTED = source.read(agent_source())
PARAMETERS = LISTED.tables["reading"] | LISTED.tables["writing"]
LOCAL_ACCOUNTS, SERVER_MANAGER = "Microsoft.PowerShell.Commands.", "Microsoft.Windows.ServerManager.Commands."
write = calls.cmdlet_write


@pytest.mark.parametrize("module", [cmdlets_groups, cmdlets_defender, cmdlets_features], ids=lambda one: one.__name__)
def test_a_model_asks_for_parameters_that_the_agent_lists_and_for_no_others(module):
    text = inspect.getsource(module)
    listed = {name for cmdlet in module.COMMANDS for name in PARAMETERS[cmdlet]}
    assert set(re.findall(r'call\.(?:get|given)\("(\w+)"', text)) <= listed
    assert listed <= set(re.findall(r'"(\w+)"', text))


# ---------------------------------------------------------------- groups


def group(ask, name):
    return ask(calls.cmdlet_read("Get-LocalGroup", ["Name", "Description", "SID"], Name=name))


def test_a_new_group_has_a_sid_of_its_own_and_nobody_in_it(ask, computer):
    assert ask(write("New-LocalGroup", Name="OP-Users", Description="Reception")) is None
    (found,) = group(ask, "op-users")
    assert found == {"Name": "OP-Users", "Description": "Reception", "SID": f"{computer.state.facts.machine_sid}-1002"}
    assert ask(calls.sid_resolve(".\\OP-Users")) == {"sid": found["SID"]}
    assert ask(calls.group_members(".\\OP-Users")) == []


def test_a_group_is_described_anew_by_name_and_removed_by_sid(ask, computer):
    ask(write("New-LocalGroup", Name="OP-Users"))
    assert ask(write("Set-LocalGroup", Name="OP-USERS", Description="")) is None
    (found,) = group(ask, "OP-Users")
    assert ask(write("Remove-LocalGroup", SID=found["SID"])) is None
    assert group(ask, "OP-Users").id == f"GroupNotFound,{LOCAL_ACCOUNTS}GetLocalGroupCommand"
    assert accounts.name_of(computer.state, found["SID"]) is None


@pytest.mark.parametrize(
    ("call", "id"),
    [
        (write("New-LocalGroup", Name="Users"), "GroupExists,Microsoft.PowerShell.Commands.NewLocalGroupCommand"),
        (write("New-LocalGroup", Name="OPADMIN"), "NameInUse,Microsoft.PowerShell.Commands.NewLocalGroupCommand"),
        (write("New-LocalGroup", Name="a/b"), "InvalidName,Microsoft.PowerShell.Commands.NewLocalGroupCommand"),
        (
            write("New-LocalGroup", Name="x" * 257),
            "ParameterArgumentValidationError,Microsoft.PowerShell.Commands.NewLocalGroupCommand",
        ),
        (
            write("Set-LocalGroup", Name="x", Description="y"),
            "GroupNotFound,Microsoft.PowerShell.Commands.SetLocalGroupCommand",
        ),
        (
            write("Remove-LocalGroup", SID="S-1-5-32-545"),
            "InvalidOperation,Microsoft.PowerShell.Commands.RemoveLocalGroupCommand",
        ),
    ],
)
def test_what_windows_refuses_of_groups_has_its_own_id(ask, call, id):
    assert ask(call).id == id


# ---------------------------------------------------------------- defender


def exclusions(ask):
    answer = ask(calls.cmdlet_read("Get-MpPreference", ["ExclusionPath", "ExclusionProcess", "ExclusionExtension"]))
    return answer[0] if isinstance(answer, list) else answer


def test_exclusions_are_added_to_and_taken_from_the_registry_one_by_one(ask, computer):
    assert exclusions(ask) == {"ExclusionPath": None, "ExclusionProcess": None, "ExclusionExtension": None}
    ask(write("Add-MpPreference", ExclusionPath="D:\\OP"))
    ask(write("Add-MpPreference", ExclusionPath="D:\\Firebird", ExclusionExtension=["fdb"]))
    assert exclusions(ask) == {
        "ExclusionPath": ["D:\\Firebird", "D:\\OP"],
        "ExclusionProcess": None,
        "ExclusionExtension": ["fdb"],
    }
    ask(write("Remove-MpPreference", ExclusionPath=["d:\\op", "D:\\Nothing"]))
    assert exclusions(ask)["ExclusionPath"] == ["D:\\Firebird"]
    assert list(registry.find(computer.state, rf"{cmdlets_defender.LOCAL}\Extensions")["values"]) == ["fdb"]


def test_a_policys_exclusions_count_with_the_local_ones_or_alone(ask, computer):
    ask(write("Add-MpPreference", ExclusionPath="D:\\OP"))
    registry.set_value(registry.create(computer.state, rf"{cmdlets_defender.POLICY}\Paths"), "D:\\Policy", "String", "0")
    assert exclusions(ask)["ExclusionPath"] == ["D:\\OP", "D:\\Policy"]
    registry.set_value(registry.create(computer.state, cmdlets_defender.POLICIES), "DisableLocalAdminMerge", "DWord", 1)
    assert exclusions(ask)["ExclusionPath"] == ["D:\\Policy"]


def test_a_policy_may_hide_them(ask, computer):
    registry.set_value(registry.create(computer.state, cmdlets_defender.POLICIES), "HideExclusionsFromLocalAdmins", "DWord", 1)
    assert all(shown[0].startswith("N/A:") for shown in exclusions(ask).values())


def test_tamper_protection_says_nothing_and_changes_nothing(ask, computer):
    features = registry.create(computer.state, rf"{cmdlets_defender.DEFENDER}\Features")
    registry.set_value(features, "TPExclusions", "DWord", 1)
    assert ask(write("Add-MpPreference", ExclusionPath="D:\\OP")) is None
    assert exclusions(ask)["ExclusionPath"] is None


def test_without_its_service_defender_answers_nothing(ask, computer):
    services.set_running(computer.state, "WinDefend", False)
    assert exclusions(ask).id == "HRESULT 0x800106ba,Get-MpPreference"
    assert ask(write("Add-MpPreference", ExclusionPath="D:\\OP")).id == "HRESULT 0x800106ba,Add-MpPreference"


def status(ask):
    answer = ask(calls.cmdlet_read("Get-MpComputerStatus", ["AMRunningMode", "AMServiceEnabled", "AntivirusEnabled"]))
    return answer[0] if isinstance(answer, list) else answer


def test_defender_says_how_it_runs(ask, computer):
    assert status(ask) == {"AMRunningMode": "Normal", "AMServiceEnabled": True, "AntivirusEnabled": True}
    passive = registry.create(computer.state, cmdlets_defender.THREAT_PROTECTION)
    registry.set_value(passive, "ForceDefenderPassiveMode", "DWord", 1)
    assert status(ask) == {"AMRunningMode": "Passive Mode", "AMServiceEnabled": True, "AntivirusEnabled": True}
    services.set_running(computer.state, "WinDefend", False)
    assert status(ask) == {"AMRunningMode": "Not running", "AMServiceEnabled": False, "AntivirusEnabled": False}


def test_a_server_without_the_feature_has_none_of_the_cmdlets(ask):
    ask(write("Uninstall-WindowsFeature", Name="Windows-Defender"))
    assert [answer.id for answer in (status(ask), exclusions(ask))] == ["CommandNotFoundException"] * 2


def products(ask):
    return ask(calls.cim_read("root/SecurityCenter2", "AntiVirusProduct", ["displayName", "productState"]))


def test_only_a_workstation_has_a_security_center(ask):
    assert products(ask).id == "HRESULT 0x8004100e,Microsoft.Management.Infrastructure.CimCmdlets.GetCimInstanceCommand"
    assert products(asking(Computer(servers.bare(19045, "WinNT")))) == [
        {"displayName": "Windows Defender", "productState": 397568}
    ]
    assert products(asking(Computer(servers.backup_station()))) == [
        {"displayName": "Windows Defender", "productState": 393472},
        {"displayName": "ESET Security", "productState": 266240},
    ]


# ---------------------------------------------------------------- features


def state_of(ask, name):
    return ask(calls.cmdlet_read("Get-WindowsFeature", ["Name", "InstallState"], Name=name))


def test_a_feature_comes_with_its_tools_only_when_told(ask):
    assert ask(write("Install-WindowsFeature", Name="snmp-service")) is None
    assert state_of(ask, "SNMP-Service") == [{"Name": "SNMP-Service", "InstallState": "Installed"}]
    assert state_of(ask, "RSAT-SNMP")[0]["InstallState"] == "Available"
    ask(write("Install-WindowsFeature", Name="Web-Server", IncludeManagementTools=True))
    assert state_of(ask, "Web-Mgmt-Console")[0]["InstallState"] == "Installed"
    ask(write("Uninstall-WindowsFeature", Name="Web-Server"))
    assert state_of(ask, "Web-Server")[0]["InstallState"] == "Available"


def test_what_needs_a_restart_is_done_after_it(ask, computer):
    ask(write("Install-WindowsFeature", Name="Hyper-V"))
    assert state_of(ask, "Hyper-V")[0]["InstallState"] == "InstallPending"
    ask(write("Restart-Computer", Force=True))
    assert state_of(ask, "Hyper-V")[0]["InstallState"] == "Installed"
    ask(write("Uninstall-WindowsFeature", Name="Hyper-V"))
    assert state_of(ask, "Hyper-V")[0]["InstallState"] == "UninstallPending"
    cmdlets_features.restart(computer.state)
    assert state_of(ask, "Hyper-V")[0]["InstallState"] == "Available"


def test_an_unknown_name_is_nothing_to_ask_for_and_an_error_to_install(ask):
    assert state_of(ask, "Web-Sever") == []
    assert (
        ask(write("Install-WindowsFeature", Name="Web-Sever")).id
        == f"NameDoesNotExist,{SERVER_MANAGER}AddWindowsFeatureCommand"
    )
    failed = ask(write("Install-WindowsFeature", Name="NET-Framework-Core"))
    assert failed.id == f"DISMAPI_Error__Cbs_Download_Failure,{SERVER_MANAGER}AddWindowsFeatureCommand"


def test_a_workstation_has_no_such_cmdlets():
    assert state_of(asking(Computer(servers.backup_station())), "Web-Server").id == "CommandNotFoundException"


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize(
    ("answer", "plain", "tls"),
    [
        ("open", True, True),
        ("refused", "SocketException", "SocketException"),
        ("silent", "opdeploy.NoAnswer", "opdeploy.NoAnswer"),
        ("bad certificate", True, "AuthenticationException"),
        ("no TLS", True, "IOException"),
        ("nobody", "SocketException", "SocketException"),
    ],
)
def test_a_port_answers_as_the_network_says(ask, computer, answer, plain, tls):
    computer.state.network = {} if answer == "nobody" else {"licence.example:443": answer}
    told = [ask(calls.net_probe("licence.example", 443, tls=with_tls)) for with_tls in (False, True)]
    assert [getattr(found, "id", found) for found in told] == [plain, tls]

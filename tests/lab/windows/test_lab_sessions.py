"""What the models of Register- and Unregister-PSSessionConfiguration store and refuse."""

import pytest

from opdeploy import calls
from opdeploy.calls import Failure
from opdeploy.lab.windows import cmdlets_sessions, files, registry

PSSC = "C:\\x.pssc"
LIST = "O:NSG:BAD:P(A;;GA;;;BA)S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)"
REGISTER = "Microsoft.PowerShell.Commands.RegisterPSSessionConfigurationCommand"


def registering(name="Ours", path=PSSC, **more):
    given = {"Name": name, "Path": path, "SecurityDescriptorSddl": LIST, "NoServiceRestart": True} | more
    return calls.cmdlet_write("Register-PSSessionConfiguration", **given)


GONE = calls.cmdlet_write("Unregister-PSSessionConfiguration", Name="Ours", NoServiceRestart=True, Force=True)


@pytest.fixture
def registered(ask, computer):
    files.put_file(computer.state, PSSC, "S-1-5-32-544", b"@{\r\n    'GUID' = 'g'\r\n    'RunAsVirtualAccount' = $true\r\n}")
    assert ask(registering()) is None
    return computer


def test_what_is_registered_is_a_copy_and_who_may_connect(registered):
    copy = files.find(registered.state, f"{cmdlets_sessions.COPIES}\\Ours_g.pssc")
    assert files.data(copy) == files.data(files.find(registered.state, PSSC))
    key = registry.find(registered.state, rf"{cmdlets_sessions.PLUGINS}\Ours")
    document = registry.value(key, "ConfigXML")
    assert 'RunAsVirtualAccount="true"' in document
    assert f'Sddl="{LIST}"' in document


def test_a_virtual_account_moves_winrm_into_its_own_process(registered):
    key = registry.find(registered.state, cmdlets_sessions.WINRM)
    assert [registry.value(key, name) for name in ("Type", "ObjectName")] == [0x10, "LocalSystem"]
    assert registry.value(key, "RequiredPrivileges").count("SeTcbPrivilege") == 1


def test_what_is_taken_away_is_gone_with_its_copy(ask, registered):
    assert ask(GONE) is None
    assert registry.find(registered.state, rf"{cmdlets_sessions.PLUGINS}\Ours") is None
    assert files.find(registered.state, f"{cmdlets_sessions.COPIES}\\Ours_g.pssc") is None


@pytest.mark.parametrize(
    ("call", "id"),
    [
        (registering(), "WsManError,Microsoft.PowerShell.Commands.NewItemCommand"),
        (registering("Other", "C:\\nowhere.pssc"), f"InvalidPSSessionConfigurationFilePath,{REGISTER}"),
        (registering("Other", NoServiceRestart=False), "lab.NotModelled"),
        (
            calls.cmdlet_write("Unregister-PSSessionConfiguration", Name="Other", NoServiceRestart=True, Force=True),
            "Microsoft.PowerShell.Commands.WriteErrorException,Unregister-PSSessionConfiguration",
        ),
        (calls.cmdlet_write("Unregister-PSSessionConfiguration", Name="Ours", Force=True), "lab.NotModelled"),
    ],
)
def test_what_windows_refuses_and_the_lab_does_not_know(ask, registered, call, id):
    answer = ask(call)
    assert isinstance(answer, Failure)
    assert answer.id == id

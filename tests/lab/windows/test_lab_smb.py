"""What the models of the SmbShare cmdlets store and refuse."""

import base64

import pytest
from lab_asking import asking

from opdeploy import calls
from opdeploy.calls import Failure
from opdeploy.lab.windows import cmdlets_smb, registry, sddl, servers

write = calls.cmdlet_write
NEW = write("New-SmbShare", Name="Data", Path="D:\\")


def stored(computer, name="Data"):
    key = registry.find(computer.state, cmdlets_smb.KEY)
    security = registry.find(computer.state, cmdlets_smb.SECURITY)
    blob = registry.value(security, name)
    return registry.value(key, name), None if blob is None else sddl.render(sddl.from_bytes(base64.b64decode(blob)))


def test_a_new_share_lets_everyone_read(ask, computer):
    assert ask(NEW) is None
    lines, descriptor = stored(computer, "data")
    assert lines == [
        "CATimeout=0", "CSCFlags=0", "MaxUses=4294967295", "Path=D:\\", "Permissions=0", "ShareName=Data", "Type=0",
    ]  # fmt: skip
    assert descriptor == "O:SYG:SYD:(A;;0x1200a9;;;WD)"


def test_what_is_set_changes_and_the_rest_stays(ask, computer):
    ask(NEW)
    ask(write("Set-SmbShare", Name="data", CachingMode="None", FolderEnumerationMode="AccessBased", Force=True))
    ask(write("Set-SmbShare", Name="Data", CachingMode="BranchCache", Description="x", Force=True))
    assert stored(computer)[0][1] == f"CSCFlags={0x2800}"
    ask(write("Set-SmbShare", Name="Data", SecurityDescriptor="D:(A;;FA;;;BA)", Description="", Force=True))
    lines, descriptor = stored(computer)
    assert not any(line.startswith("Remark=") for line in lines)
    assert (lines[1], descriptor) == (f"CSCFlags={0x2800}", "D:(A;;FA;;;BA)")


@pytest.mark.parametrize(
    ("call", "id"),
    [
        (NEW, "Windows System Error 2118,New-SmbShare"),
        (write("New-SmbShare", Name="Other", Path="D:\\nowhere"), "Windows System Error 3,New-SmbShare"),
        (write("Set-SmbShare", Name="Data", SecurityDescriptor="?", Force=True), "Windows System Error 87,Set-SmbShare"),
        (write("Set-SmbShare", Name="Data", CachingMode="Offline"), "ParameterArgumentTransformationError,Set-SmbShare"),
        (write("Remove-SmbShare", Name="Other", Force=True), "CmdletizationQuery_NotFound_Name,Remove-SmbShare"),
    ],
)
def test_what_windows_refuses(ask, call, id):
    ask(NEW)
    answer = ask(call)
    assert isinstance(answer, Failure)
    assert answer.id == id


def test_who_is_no_administrator_shares_nothing(computer):
    servers.add_user(computer.state, "someone", "Lab-Someone-1!")
    answer = asking(computer, user="someone")(NEW)
    assert answer.id == "Windows System Error 5,New-SmbShare"

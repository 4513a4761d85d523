"""What each verb promises of a Windows: the shapes that the kinds rely on. On a live server it leaves nothing behind."""

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from verb_ports import Port

from opdeploy import calls
from opdeploy.calls import Call, Failure
from opdeploy.formats import event_xml, sddl
from opdeploy.model import Secret

USER = "opdeploy-contract"
PASSWORD = Secret("Contract-7-Test!", "a test")
KEY = r"SOFTWARE\opdeploy contract"
SERVICES = r"SYSTEM\CurrentControlSet\Services"
FOLDER = r"C:\opdeploy-contract"
RULE = "opdeploy contract rule"
TASK = {"TaskName": "opdeploy contract", "TaskPath": "\\"}
XML = (
    '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Triggers/><Principals>'
    '<Principal id="A"><UserId>S-1-5-18</UserId></Principal></Principals><Settings><Enabled>true</Enabled></Settings>'
    '<Actions Context="A"><Exec><Command>cmd.exe</Command></Exec></Actions></Task>'
)


def ask(port: Port, *given: Call, writes: int = 0) -> list[Any]:
    answers = port.ask(given, writes)
    assert [answer for answer in answers if isinstance(answer, Failure)] == []
    return answers


def fails(port: Port, call: Call) -> Failure:
    answer = port.ask([call], writes=int(isinstance(call, calls.Write)))[0]
    assert isinstance(answer, Failure)
    return answer


def sids(port: Port) -> list[str]:
    """The SID of the case's account, where it made one."""
    (found,) = port.ask([calls.cmdlet_read("Get-LocalUser", ["SID"], Name=USER)])
    return [] if isinstance(found, Failure) else [user["SID"] for user in found]


def tidy(port: Port) -> None:
    """Whatever a case made, one request each: what is not there fails, and that is fine."""
    for call in (
        *(calls.cmdlet_write("Remove-LocalUser", SID=sid) for sid in sids(port)),
        calls.cmdlet_write("Remove-NetFirewallRule", Name=RULE),
        calls.cmdlet_write("Unregister-ScheduledTask", **TASK, Confirm=False),
        calls.registry_remove(KEY, "v"),
        calls.cmdlet_write("Remove-Item", LiteralPath=rf"{FOLDER}\file.bin"),
        calls.cmdlet_write("Remove-Item", LiteralPath=FOLDER),
    ):
        port.ask([call], writes=1)


@pytest.fixture
def tidied(windows: Port) -> Iterator[Port]:
    yield windows
    tidy(windows)


@pytest.fixture
def folder(tidied: Port) -> Port:
    ask(tidied, calls.cmdlet_write("New-Item", ItemType="Directory", Path=FOLDER), writes=1)
    return tidied


# ---------------------------------------------------------------- the host, accounts, groups


def test_the_host_says_what_it_is(windows: Port) -> None:
    (host,) = ask(windows, calls.host_read())
    assert host["product"] in ("WinNT", "ServerNT", "LanmanNT")
    assert int(host["build"]) >= 10240
    assert host["language"] == "FullLanguage"
    assert host["user"].startswith("S-1-5-21-")
    assert re.fullmatch(r"S-1-5-21(-\d+){3}", host["machine_sid"])
    assert "S-1-1-0" in host["groups"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", host["time"])
    assert host.keys() >= {
        "name",
        "ubr",
        "edition",
        "installation",
        "powershell",
        "user_name",
        "domain",
        "domain_sid",
        "culture",
    }
    assert isinstance(host["elevated"], bool)


def test_names_and_sids_are_told_or_null(windows: Port) -> None:
    host, sid, nobody, name, orphan = ask(
        windows,
        calls.host_read(),
        calls.sid_resolve("NT AUTHORITY\\SYSTEM"),
        calls.sid_resolve(".\\opdeploy-nobody"),
        calls.name_resolve("S-1-5-32-544"),
        calls.name_resolve("S-1-5-21-1-2-3-4567"),
    )
    assert (sid, nobody, orphan) == ({"sid": "S-1-5-18"}, {"sid": None}, {"name": None})
    assert name["name"].startswith("BUILTIN\\") or host["culture"] != "en-US"


def test_a_local_user_is_made_read_changed_and_removed(tidied: Port) -> None:
    new = calls.cmdlet_write(
        "New-LocalUser", Name=USER, Password=PASSWORD, Description="ä", AccountNeverExpires=True, UserMayNotChangePassword=True
    )
    select = ["Name", "SID", "Enabled", "Description", "AccountExpires", "UserMayChangePassword", "PasswordLastSet"]
    _, (user,) = ask(tidied, new, calls.cmdlet_read("Get-LocalUser", select, Name=USER), writes=1)
    assert (user["Name"], user["Enabled"], user["Description"]) == (USER, True, "ä")
    assert (user["AccountExpires"], user["UserMayChangePassword"]) == (None, False)
    assert re.fullmatch(r"\d{4}-.*Z", user["PasswordLastSet"])
    change = [
        calls.cmdlet_write("Set-LocalUser", Name=USER, AccountExpires="2030-01-02T00:00:00Z"),
        calls.cmdlet_write("Disable-LocalUser", Name=USER),
    ]
    *_, (user,) = ask(tidied, *change, calls.cmdlet_read("Get-LocalUser", select, Name=USER), writes=2)
    assert user["Enabled"] is False
    assert user["AccountExpires"].startswith("2030-01-02T00:00:00")
    ask(tidied, calls.cmdlet_write("Remove-LocalUser", SID=user["SID"]), writes=1)
    assert fails(tidied, calls.cmdlet_read("Get-LocalUser", select, Name=USER)).id.startswith("UserNotFound,")


def test_a_logon_proves_a_password(tidied: Port) -> None:
    ask(tidied, calls.cmdlet_write("New-LocalUser", Name=USER, Password=PASSWORD), writes=1)
    answers = ask(tidied, calls.logon_probe(USER, PASSWORD), calls.logon_probe(USER, Secret("an0ther-Pass")))
    assert answers == [{"right": True}, {"right": False}]


def test_group_members_are_sids(tidied: Port) -> None:
    new = calls.cmdlet_write("New-LocalUser", Name=USER, Password=PASSWORD)
    _, (user,) = ask(tidied, new, calls.cmdlet_read("Get-LocalUser", ["SID"], Name=USER), writes=1)
    add = calls.cmdlet_write("Add-LocalGroupMember", SID="S-1-5-32-551", Member=[user["SID"]])
    _, members = ask(tidied, add, calls.group_members("S-1-5-32-551"), writes=1)
    assert user["SID"] in members
    assert fails(tidied, add).id.startswith("MemberExists,")
    remove = calls.cmdlet_write("Remove-LocalGroupMember", SID="S-1-5-32-551", Member=[user["SID"]])
    _, members = ask(tidied, remove, calls.group_members("S-1-5-32-551"), writes=1)
    assert user["SID"] not in members


# ---------------------------------------------------------------- registry


@pytest.mark.parametrize(
    ("kind", "data", "read"),
    [
        ("String", "ä 'x'", "ä 'x'"),
        ("String", "", ""),
        ("ExpandString", "%SystemRoot%\\x", "%SystemRoot%\\x"),
        ("DWord", 7, 7),
        ("DWord", 0xFFFFFFFE, 0xFFFFFFFE),
        ("QWord", 2**64 - 1, 2**64 - 1),
        ("MultiString", ["a", "b c"], ["a", "b c"]),
        ("MultiString", [], []),
        ("MultiString", ["one"], ["one"]),
        ("Binary", b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
        ("Binary", b"", ""),
    ],
)
@pytest.mark.parametrize("view", ["Registry64", "Registry32"])
def test_a_registry_value_comes_back_raw(tidied: Port, view: str, kind: str, data: Any, read: Any) -> None:
    write = calls.registry_write(KEY, "v", kind, data, view=view)
    _, key = ask(tidied, write, calls.registry_read(KEY, view=view, values=["V"]), writes=1)
    assert key["values"] == {"v": [kind, read]}
    _, key = ask(tidied, calls.registry_remove(KEY, "v", view=view), calls.registry_read(KEY, view=view), writes=1)
    assert "v" not in key["values"]


def test_a_key_that_is_not_there_is_null_and_so_is_nothing_to_remove(windows: Port) -> None:
    path = r"SOFTWARE\opdeploy\no such key"
    assert ask(windows, calls.registry_remove(path, "x"), calls.registry_read(path), writes=1) == [None, None]


def test_subkeys_come_down_to_a_depth(windows: Port) -> None:
    flat, deep = ask(
        windows,
        calls.registry_read(SERVICES, values=["Start"]),
        calls.registry_read(SERVICES, values=["Start", "ImagePath"], depth=1),
    )
    assert flat.get("subkeys") is None
    kind, start = deep["subkeys"]["WinRM"]["values"]["Start"]
    assert (kind, start in (2, 3)) == ("DWord", True)
    assert deep["subkeys"]["WinRM"]["values"]["ImagePath"][0] == "ExpandString"


# ---------------------------------------------------------------- files and their descriptors


def test_a_file_arrives_in_pieces_and_takes_its_name_when_whole(folder: Port) -> None:
    path, data = rf"{FOLDER}\file.bin", bytes(range(256)) * 5
    pieces = [calls.file_append(path, 0, data[:600]), calls.file_append(path, 600, data[600:])]
    *_, there = ask(folder, *pieces, calls.file_stat(path), writes=2)
    assert there is None
    commit = calls.file_commit(path, hashlib.sha256(data).hexdigest())
    _, stat, first, rest = ask(
        folder, commit, calls.file_stat(path, hash=True), calls.file_read(path, length=1000),
        calls.file_read(path, offset=1000, length=1000), writes=1,
    )  # fmt: skip
    assert (stat["directory"], stat["size"], stat["piece"]) == (False, len(data), None)
    assert stat["sha256"] == hashlib.sha256(data).hexdigest()
    assert base64.b64decode(first["bytes"]) + base64.b64decode(rest["bytes"]) == data
    assert (first["end"], rest["end"]) == (False, True)


def test_a_leftover_piece_is_seen_and_discarded(folder: Port) -> None:
    path = rf"{FOLDER}\file.bin"
    whole = [calls.file_append(path, 0, b"x"), calls.file_commit(path, hashlib.sha256(b"x").hexdigest())]
    *_, stat = ask(folder, *whole, calls.file_append(path, 0, b"left"), calls.file_stat(path), writes=3)
    assert stat["piece"] == 4
    _, stat = ask(folder, calls.file_discard(path), calls.file_stat(path), writes=1)
    assert stat["piece"] is None


def test_a_wrong_hash_takes_the_piece_away(folder: Port) -> None:
    path = rf"{FOLDER}\file.bin"
    ask(folder, calls.file_append(path, 0, b"x"), writes=1)
    assert fails(folder, calls.file_commit(path, "0" * 64)).id == "opdeploy.BadHash"
    assert ask(folder, calls.file_stat(path)) == [None]
    assert fails(folder, calls.file_append(path, 5, b"x")).id == "opdeploy.Stale"


def test_a_folder_says_whether_it_is_empty(folder: Port) -> None:
    stat, windows = ask(folder, calls.file_stat(FOLDER), calls.file_stat(r"C:\Windows"))
    assert (stat["directory"], stat["empty"], windows["empty"]) == (True, True, False)
    ask(folder, calls.cmdlet_write("Remove-Item", LiteralPath=FOLDER), writes=1)
    assert ask(folder, calls.file_stat(FOLDER), calls.sddl_read(FOLDER)) == [None, None]


def test_a_descriptor_is_replaced_only_where_it_is_as_expected(folder: Port) -> None:
    (before,) = ask(folder, calls.sddl_read(FOLDER))
    assert re.match(r"O:\S+?G:\S+?D:", before)
    wanted = re.sub(r"D:.*", "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", before)
    _, after = ask(folder, calls.sddl_write(FOLDER, wanted, expect=before), calls.sddl_read(FOLDER), writes=1)
    assert after == wanted
    stale = fails(folder, calls.sddl_write(FOLDER, before, expect=before))
    assert stale.id == "opdeploy.Stale"
    assert stale.message == f"stale: {after}"


def test_an_owner_is_set_only_when_it_is_meant(folder: Port) -> None:
    (before,) = ask(folder, calls.sddl_read(FOLDER))
    wanted = re.sub(r"^O:.*?G:", "O:SYG:", before)
    kept = calls.sddl_write(FOLDER, wanted, expect=before)
    _, now = ask(folder, kept, calls.sddl_read(FOLDER), writes=1)
    assert not now.startswith("O:SY")
    _, now = ask(folder, calls.sddl_write(FOLDER, wanted, expect=now, owner=True), calls.sddl_read(FOLDER), writes=1)
    assert now.startswith("O:SYG:")


# ---------------------------------------------------------------- services, rights, rules, tasks


def descriptor(port: Port, service: str) -> sddl.SecurityDescriptor:
    """A service's, as its registry key holds it."""
    (key,) = ask(port, calls.registry_read(rf"{SERVICES}\{service}", values=["Security"], depth=1))
    (held,) = [sub["values"] for name, sub in key["subkeys"].items() if name.lower() == "security"]
    kind, data = held["Security"]
    assert kind == "Binary"
    return sddl.from_bytes(base64.b64decode(data))


def test_a_service_tells_its_state_and_its_descriptor(windows: Port) -> None:
    ((status,),) = ask(windows, calls.cmdlet_read("Get-Service", ["Name", "Status"], Name="WinRM"))
    assert status == {"Name": "WinRM", "Status": "Running"}
    dacl = descriptor(windows, "Spooler").dacl
    assert dacl is not None
    assert "S-1-5-18" in {ace.sid for ace in dacl.aces if ace.type == "A"}
    missing = fails(windows, calls.cmdlet_read("Get-Service", ["Name"], Name="opdeploy-nothing"))
    assert missing.id.startswith("NoServiceFoundForGivenName,")


def test_a_program_that_fails_says_with_what(windows: Port) -> None:
    failure = fails(windows, calls.program_write("sc.exe", "config", "opdeploy-nothing start= auto"))
    assert failure.id == "opdeploy.ProgramFailed"
    assert failure.message.startswith("sc.exe config ended with 1060")


def test_a_service_descriptor_is_replaced_only_where_it_is_as_expected(windows: Port) -> None:
    before = descriptor(windows, "Spooler")
    now = sddl.render(sddl.SecurityDescriptor(dacl=before.dacl))
    assert ask(windows, calls.service_sddl_write("Spooler", now, expect=f" {now}\r\n"), writes=1) == [None]
    after = descriptor(windows, "Spooler")
    assert (after.dacl, after.sacl) == (before.dacl, before.sacl)
    missing = fails(windows, calls.service_sddl_write("opdeploy-nothing", now, expect=now))
    assert (missing.id, missing.message.startswith("sc.exe sdshow ended with 1060")) == ("opdeploy.ProgramFailed", True)
    assert fails(windows, calls.service_sddl_write("Spooler", now, expect="D:(A;;CC;;;WD)")).id == "opdeploy.Stale"


def test_rights_are_exported_and_written_only_where_they_are_as_expected(windows: Port) -> None:
    (exported,) = ask(windows, calls.export_read("user rights"))
    text = base64.b64decode(exported).decode("utf-16")
    right = "SeBackupPrivilege"
    holders = re.search(rf"^{right}\s*=(.*)$", text, re.MULTILINE)
    assert holders
    held = holders[1].strip()
    assert "*S-1-" in held
    lines = ["[Unicode]", "Unicode=yes", "[Version]", 'signature="$CHICAGO$"', "Revision=1", "[Privilege Rights]"]
    template = "\r\n".join([*lines, f"{right} = {held}", ""]).encode("utf-16")
    assert ask(windows, calls.rights_write(template, expect={right: held.lower()}), writes=1) == [None]
    stale = fails(windows, calls.rights_write(template, expect={right: "*S-1-1-0"}))
    assert (stale.id, right in stale.message) == ("opdeploy.Stale", True)
    assert fails(windows, calls.rights_write(template, expect={"Se.*": ""})).id == "opdeploy.BadName"


def test_a_firewall_rule_reads_back_as_a_registry_line(tidied: Port) -> None:
    new = calls.cmdlet_write(
        "New-NetFirewallRule", Name=RULE, DisplayName="opdeploy ä", Group="OP", Direction="Inbound", Action="Allow",
        Enabled="True", Protocol="TCP", LocalPort=["3050", "3051"], RemoteAddress=["10.20.0.0/24"],
        Profile=["Domain", "Private"],
    )  # fmt: skip
    path = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
    read = calls.registry_read(path, values=[RULE])
    _, key = ask(tidied, new, read, writes=1)
    ((kind, line),) = key["values"].values()
    assert kind == "String"
    assert line.startswith("v2.")
    parts = {"Action=Allow", "Dir=In", "Protocol=6", "LPort=3050", "RA4=10.20.0.0/255.255.255.0", "Name=opdeploy ä"}
    assert parts <= set(line.split("|"))
    _, key = ask(tidied, calls.cmdlet_write("Set-NetFirewallRule", Name=RULE, Enabled="False"), read, writes=1)
    assert "|Active=FALSE|" in key["values"][RULE][1]
    assert ask(tidied, calls.cmdlet_write("Remove-NetFirewallRule", Name=RULE), read, writes=1)[1] == {"values": {}}


def test_a_task_is_its_xml(tidied: Port) -> None:
    register = calls.cmdlet_write("Register-ScheduledTask", **TASK, Xml=XML, Force=True)
    export = calls.cmdlet_read("Export-ScheduledTask", [], **TASK)
    _, (xml,) = ask(tidied, register, export, writes=1)
    assert "<Command>cmd.exe</Command>" in xml
    assert f"<URI>\\{TASK['TaskName']}</URI>" in xml
    assert "<Enabled>false</Enabled>" not in xml
    _, (xml,) = ask(tidied, calls.cmdlet_write("Disable-ScheduledTask", **TASK), export, writes=1)
    assert "<Enabled>false</Enabled>" in xml
    _, (xml,) = ask(tidied, calls.cmdlet_write("Enable-ScheduledTask", **TASK), export, writes=1)
    assert "<Enabled>false</Enabled>" not in xml
    ask(tidied, calls.cmdlet_write("Unregister-ScheduledTask", **TASK, Confirm=False), writes=1)
    assert fails(tidied, export).category == "ObjectNotFound"


QUERY = (
    '<QueryList><Query Id="0" Path="Security"><Select Path="Security">*[System[(EventID=4624) and '
    'TimeCreated[@SystemTime&gt;="{since}"]] and EventData[Data="{sid}"]]</Select></Query></QueryList>'
)


def test_events_come_as_xml_and_none_is_an_id_of_its_own(windows: Port) -> None:
    """SYSTEM logs on whenever Windows starts; a lab without events answers as a Windows whose log was cleared."""
    none = fails(windows, calls.events_read(QUERY.format(since="2000-01-01T00:00:00.000Z", sid="S-1-0-7"), 5))
    assert none.id.startswith("NoMatchingEventsFound")
    (found,) = windows.ask([calls.events_read(QUERY.format(since="2000-01-01T00:00:00.000Z", sid="S-1-5-18"), 2)], 0)
    if isinstance(found, Failure):
        assert found.id.startswith("NoMatchingEventsFound")
    else:
        assert [event_xml.parse(text).id for text in found] == [4624] * len(found)

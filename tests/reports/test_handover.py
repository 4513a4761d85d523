"""What a handover tells of each kind, and that nothing is left out of it, whatever a host said or did not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import runs
from jsonschema import Draft202012Validator

from cases import SERVER
from opdeploy.model import Change, NotOurs, Principal, Property, Secret
from opdeploy.reports.handover import SECTIONS, Handover, as_html, as_json, handover
from opdeploy.reports.handover_kinds import KINDS
from opdeploy.resources import KINDS as ALL_KINDS
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.environment_variable import EnvironmentVariable
from opdeploy.resources.firewall_rule import FirewallRule
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.jea_endpoint import JeaEndpoint
from opdeploy.resources.local_user import LocalUser
from opdeploy.resources.package import Package
from opdeploy.resources.service import Grant, Service
from opdeploy.resources.share import Share
from opdeploy.resources.sql_login import SqlLogin
from opdeploy.resources.user_right import UserRight
from opdeploy.results import HostResult, Item

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/handover.schema.json").read_text(encoding="utf-8"))
SUPPORT = Principal(".\\op-support", "S-1-5-21-1-2-3-1002")
HASH = "5" * 64


def of(*changes: Change[Any], **given: Any) -> Handover:
    host = HostResult("db1", tuple(map(Item, changes)), **{"machine": SERVER, **given})
    return handover("elm", "2026-11-22", "practices/elm", [host])


def checked(told: Handover) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, as JSON that its schema holds."""
    document = json.loads(json.dumps(as_json(told), allow_nan=False))
    Draft202012Validator(SCHEMA).validate(document)
    return {section["id"]: section["rows"] for section in document["sections"]}


def rows(table: str, *changes: Change[Any]) -> list[list[str]]:
    """The cells of one table, without the server."""
    cells = [list(row["cells"].values()) for row in checked(of(*changes))[table]]
    assert all(server == "db1" for _, server, *_ in cells)
    return [[first, *rest] for first, _, *rest in cells]


def there(resource: Any) -> Change[Any]:
    return Change(resource, resource, "in_sync", roles=("op",))


# ---------------------------------------------------------------- nothing is left out


def test_every_function_is_of_a_kind_that_there_is() -> None:
    assert set(KINDS) < set(ALL_KINDS)


def test_a_kind_without_a_function_is_also_set() -> None:
    (row,) = rows("also", there(EnvironmentVariable(name="OP_HOME", value="D:\\OP")))
    assert row == ["environment_variable", "OP_HOME", "value: D:\\OP", "as wanted"]


def test_what_says_nothing_to_its_table_is_also_set() -> None:
    change = there(GroupMembers(group="Administrators", members=[], exact=True))
    assert rows("people", change) == []
    assert rows("also", change) == [["group_members", "Administrators", "members: (none)", "as wanted"]]


def test_what_must_not_be_there_is_told_apart() -> None:
    absent = Service(name="Leftover", absent=True)
    assert rows("services", there(absent)) == []
    gone, left = Change(absent, None, "in_sync"), Change(absent, Service(name="Leftover"), "would_change", "remove")
    assert rows("also", gone, left) == [
        ["service", "Leftover", "must not be there", "not there, as it must be"],
        ["service", "Leftover", "must not be there", "there, to be removed"],
    ]


def test_an_absent_resource_says_of_what() -> None:
    absent = GroupMembers(group="Administrators", members=[SUPPORT], absent=True)
    assert rows("also", there(absent))[0][2] == "must not be there\nmembers: .\\op-support (S-1-5-21-1-2-3-1002)"


# ---------------------------------------------------------------- who can do what


@pytest.mark.parametrize(
    ("resource", "may", "through"),
    [
        (LocalUser(name=".\\op-support", enabled=True), "has an account\nenabled: yes", "local account"),
        (
            GroupMembers(group="Remote Desktop Users", members=[SUPPORT]),
            "what Remote Desktop Users may",
            "member of Remote Desktop Users",
        ),
        (UserRight(right="SeBatchLogonRight", principals=(SUPPORT,)), "log on as a batch job", "user right SeBatchLogonRight"),
        (UserRight(right="SeBackupPrivilege", principals=(SUPPORT,)), "SeBackupPrivilege", "user right SeBackupPrivilege"),
        (
            AccessRule(path="D:\\OP", principal=SUPPORT, rights="Modify"),
            "Modify",
            "access list of D:\\OP (this folder, subfolders, files)",
        ),
        (
            AccessRule(
                path="D:\\OP", principal=SUPPORT, rights="Write", type="deny", applies_to=["files"], propagation="one_level"
            ),
            "not: Write",
            "access list of D:\\OP (files, one level down)",
        ),
        (
            Service(name="OPMsg", grants=(Grant(principal=SUPPORT, rights=("query", "start")),)),
            "query, start",
            "access list of the service OPMsg",
        ),
        (
            Share(name="data", path="D:\\OP", permissions=[{"principal": ".\\op-support", "rights": "read"}]),
            "read",
            "share data",
        ),
        (
            JeaEndpoint(name="OP", allowed=[SUPPORT], cmdlets=[{"name": "Get-Service"}], transcripts="C:\\T"),
            "Get-Service (any parameter)",
            "PowerShell endpoint OP, which carries it out as an administrator\nwritten down in C:\\T",
        ),
        (
            SqlLogin(login=".\\op-support", type="windows", databases={"Main": {"roles": ["db_datareader"]}}),
            "Main: user\nMain: db_datareader",
            "login of SQL Server localhost",
        ),
    ],
    ids=lambda value: getattr(value, "KIND", ""),
)
def test_each_way_in_is_told_by_account(resource: Any, may: str, through: str) -> None:
    assert rows("people", there(resource)) == [[".\\op-support", may, through, "as wanted"]]


def test_what_one_account_may_stands_together() -> None:
    others = Principal("Users", "S-1-5-32-545")
    asked = [
        there(UserRight(right=right, principals=(SUPPORT, others))) for right in ("SeBatchLogonRight", "SeBackupPrivilege")
    ]
    assert [row[0] for row in rows("people", *asked)] == [".\\op-support"] * 2 + ["Users"] * 2


# ---------------------------------------------------------------- programs, services, ports


def package(**given: Any) -> Package:
    source = {"url": "https://example.com/op.msi"}
    return Package(**{"name": "OP", "type": "msi", "source": source, "sha256": HASH, "detect": {"key": "OP"}, **given})


def test_a_program_is_told_by_the_version_that_is_there() -> None:
    wanted = package(version="at least 8.6", signer={"subject": "CN=OP", "issuer": "CN=CA"})
    change = Change(wanted, wanted.model_copy(update={"version": "8.6.9"}), "in_sync")
    assert rows("programs", change) == [
        ["OP", "8.6.9", "at least 8.6", "https://example.com/op.msi", HASH, "CN=OP", "as wanted"]
    ]


def test_a_program_that_is_not_there_has_no_version() -> None:
    change = Change(package(version="2.0"), None, "would_change", "create", {"version": Property(None, "2.0")})
    assert rows("programs", change)[0][1:3] == ["–", "2.0"]
    assert rows("programs", change)[0][-1] == "not there yet"


def test_a_service_says_who_may_start_it() -> None:
    service = Service(name="OPMsg", display_name="OP Messages", start_mode="automatic_delayed", account="LOCAL SERVICE",
                      grants=(Grant(principal=SUPPORT, rights=("start", "stop")),))  # fmt: skip
    assert rows("services", there(service)) == [
        ["OPMsg\nOP Messages", "automatic delayed", "–", "LOCAL SERVICE", "–", ".\\op-support: start, stop", "as wanted"]
    ]


def test_a_port_says_from_where() -> None:
    rule = FirewallRule(name="OP-In", direction="inbound", action="allow", protocol="TCP", local_ports=["3050", "3051"],
                        remote_ports=["99"], remote_addresses=["10.20.0.0/24"], program="C:\\fb.exe")  # fmt: skip
    assert rows("ports", there(rule)) == [
        ["OP-In", "inbound, allow", "TCP 3050, 3051", "10.20.0.0/24", "any", "program C:\\fb.exe", "as wanted"]
    ]


def test_of_what_goes_out_the_ports_over_there_are_told() -> None:
    rule = FirewallRule(name="OP-Out", direction="outbound", action="block", protocol="TCP", remote_ports=["25"], enabled=False)
    assert rows("ports", there(rule)) == [["OP-Out", "outbound, block, off", "TCP 25", "any", "any", "any", "as wanted"]]


def test_ping_has_types_where_others_have_ports() -> None:
    rule = FirewallRule(
        name="Ping", direction="inbound", action="allow", protocol="ICMPv4", icmp_types=["8"], remote_addresses=["Any"]
    )
    assert rows("ports", there(rule))[0][2:4] == ["ICMPv4 8", "any"]


# ---------------------------------------------------------------- as it was seen


def test_a_difference_is_told_property_by_property() -> None:
    change = runs.service("Spooler", start_mode=("manual", "disabled"), state=("running", "stopped"))
    assert rows("services", change)[0][-1] == "start_mode: manual → disabled\nstate: running → stopped"


def test_a_difference_that_stays_says_why() -> None:
    assert rows("services", runs.LEFT)[0][-1] == "start_mode: manual → disabled\nset by a group policy"


def test_right_but_without_effect_is_not_called_as_wanted() -> None:
    change = Change(
        Service(name="A"), Service(name="A"), "would_change", reason=NotOurs("right, but without effect: it is off")
    )
    assert rows("services", change)[0][-1] == "right, but without effect: it is off"


def test_what_could_not_be_read_is_unknown_and_why() -> None:
    assert rows("services", runs.UNREAD)[0][-1] == "unknown\naccess denied"


def test_steps_say_who_signed_them_off_or_that_nobody_did() -> None:
    told = {row[0].split("\n")[1]: row[-1] for row in rows("steps", runs.OPEN, runs.SIGNED)}
    assert told == {
        "take-the-disk-home": "open: not signed off: opdeploy step sign take-the-disk-home",
        "label-the-disks": "signed off by anna on 2026-11-20: done, photo in the folder",
    }


def test_a_step_keeps_its_lines() -> None:
    assert rows("steps", runs.OPEN)[0][2] == "Eject the disk at the left dock.\nPut the one from the safe in its place."


# ---------------------------------------------------------------- the whole


def test_a_server_out_of_reach_is_said_to_be() -> None:
    told = of(machine=None, error="no answer on port 5986", error_status="unreachable")
    assert [list(row["cells"].values()) for row in checked(told)["servers"]] == [
        ["db1", "–", "none", "not read: no answer on port 5986"]
    ]


def test_answers_of_a_snapshot_are_dated() -> None:
    host = HostResult("db1", (), SERVER)
    told = handover("elm", "2026-11-22", "practices/elm", [host], {"db1": "2026-10-01T03:00:00Z"})
    assert checked(told)["servers"][0]["cells"]["As it was seen"] == "its answers of 2026-10-01T03:00:00Z, from a snapshot"


def test_it_is_taken_away_role_by_role_the_last_first() -> None:
    told = checked(of(*(Change(Service(name=name), None, "in_sync", roles=(role,)) for name, role in ("ax", "by", "cx"))))
    assert [row["cells"]["Command"] for row in told["removal"]] == [
        "opdeploy remove --role y -i practices/elm", "opdeploy remove --role x -i practices/elm",
    ]  # fmt: skip
    assert [row["cells"]["Resources"] for row in told["removal"]] == ["1", "2"]


def test_an_empty_table_is_there_and_says_so() -> None:
    told = checked(of())
    assert list(told) == ["servers", *SECTIONS, "removal"]
    assert as_html(of()).count('<p class="quiet">None.</p>') == len(SECTIONS) + 1


def test_no_secret_is_in_it() -> None:
    secret = Secret(runs.PASSWORD, "env:OP_PASSWORD")
    user = LocalUser(name=".\\op-support", password=secret)
    differs = Change(user, None, "would_change", "update", {"password": Property(None, secret)})
    hidden = EnvironmentVariable(name="TOKEN", value=secret)
    installer = package(source={"url": Secret(f"https://example.com/{runs.PASSWORD.replace(' ', '')}.msi", "env:URL")})
    told = of(differs, there(user), there(hidden), there(installer))
    for text in (json.dumps(as_json(told)), as_html(told)):
        assert runs.PASSWORD not in text
        assert runs.PASSWORD.replace(" ", "") not in text
        assert text.count("(secret)") == 3

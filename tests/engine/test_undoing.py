"""What roles did is taken back: the whole practice, over real WS-Man; what was there before is told by the kinds themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab_installers import digest, nsis
from lab_practice import HOSTS, desired_by_host
from labs import PASSWORD, Box, applied, box

from opdeploy import engine
from opdeploy.keeping import kept
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import dump
from opdeploy.planning import Desired, Managed
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Resource
from opdeploy.resources.directory import Directory
from opdeploy.resources.environment_variable import EnvironmentVariable
from opdeploy.resources.event_log import EventLog
from opdeploy.resources.file import File
from opdeploy.resources.firewall_rule import FirewallRule
from opdeploy.resources.installers import Source
from opdeploy.resources.local_user import LocalUser
from opdeploy.resources.package import Detect, Package
from opdeploy.resources.reachable import Reachable
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.resources.service import Service
from opdeploy.resources.share import Share
from opdeploy.store import Store
from opdeploy.undoing import NO_RECORD, Left, undoing

pytestmark = pytest.mark.usefixtures("no_pauses")
SERVERS = dict(zip(HOSTS, (servers.database_server, servers.backup_station, servers.terminal_server), strict=True))
KNOWN = {"another version was there before, whose installer we do not have", "its old contents were not kept"}
"""The database server had a Firebird, with a configuration of its own."""
PORT = RegistryValue(path=r"SOFTWARE\OP", name="Port", type="dword", data=3050)


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Desired]:
    return desired_by_host(tmp_path_factory.mktemp("practice") / "lab")


def back(store: Store, job: engine.Job) -> tuple[Desired, tuple[Left, ...]]:
    roles = {role for managed in job.desired.resources for role in managed.roles}
    return undoing(job.desired, roles, lambda resource: store.found(job.host.name, resource.KIND, resource.key))


def there(store: Store, job: engine.Job) -> dict[tuple[str, str], Any]:
    """What the kinds find, data folders and what is allowed in them aside."""
    (result,) = engine.plan([job], store)
    resources = [item for item in result.items if item.change.resource.KIND not in ("directory", "access_rule")]
    return {item.change.resource.identity: kept(item.change.actual) for item in resources}


@pytest.mark.parametrize("name", SERVERS)
def test_the_whole_practice_is_taken_back(name: str, practice: dict[str, Desired], store: Store) -> None:
    with box(SERVERS[name]()) as made:
        job = made.of(practice[name])
        before = there(store, job)
        assert applied(store, job).status == "in_sync"
        desired, stays = back(store, job)
        left = {one.resource.identity: one.why for one in stays if one.why != NO_RECORD}
        assert {why for (kind, _), why in left.items() if kind not in ("directory", "service")} <= KNOWN
        taken = applied(store, replace(job, desired=desired))
        assert [(item.id, item.error) for item in taken.items if item.outcome not in (None, "applied")] == []
        after = there(store, job)
    assert {who: told for who, told in after.items() if told != before[who] and who not in left} == {}


def test_what_was_made_goes_and_what_was_changed_gets_its_old_values(db1: Box, store: Store) -> None:
    spooler = Service(name="Spooler", start_mode="disabled", state="stopped")
    user = LocalUser(name="op-new", full_name="OP", password=PASSWORD)
    job = db1.job([spooler, user, PORT])
    before = dump(db1.state)
    applied(store, job)
    desired, stays = back(store, job)
    assert [(m.resource.KIND, m.resource.absent) for m in desired.resources] == [
        ("service", False),
        ("local_user", True),
        ("registry_value", True),
    ]
    assert stays == ()
    applied(store, replace(job, desired=desired))
    again = dump(db1.state)
    assert '"spooler"' in again
    (planned,) = engine.plan([db1.job([Service(name="Spooler", start_mode="automatic", state="running")])], store)
    assert planned.status == "in_sync"
    assert "op-new" not in again
    assert before != again  # the clock, and a key that stays


def test_what_nobody_has_a_record_of_stays_and_is_said(db1: Box, store: Store) -> None:
    job = db1.job([Service(name="Spooler", state="running")])
    applied(store, job)
    assert back(store, job) == (Desired(()), (Left(job.desired.resources[0].resource, NO_RECORD),))


def test_what_was_only_refused_is_not_taken_for_absent_later(db1: Box, store: Store) -> None:
    """Nobody looked at the service, since the account that it names was not there yet."""
    runs = Service(name="Spooler", command_line=r"D:\OP\spool.exe", grants=[{"principal": r".\op-late", "rights": ["query"]}])
    (first,) = applied(store, db1.job([runs])).items
    assert (first.change.actual, first.outcome) == (None, "refused")
    job = db1.job([LocalUser(name="op-late", password=PASSWORD), runs])
    assert applied(store, job).status == "in_sync"
    desired, _ = back(store, job)
    assert [(m.resource.KIND, m.resource.absent) for m in desired.resources] == [("local_user", True), ("service", False)]


def test_what_was_never_begun_is_not_taken_for_absent_later(db1: Box, store: Store) -> None:
    """The service's turn never came; then its vendor brought it."""
    runs = Service(name="OPNew", command_line=r"D:\OP\op.exe", grants=[{"principal": r".\op-late", "rights": ["query"]}])
    db1.state.password_policy["length"] = 100
    first = applied(store, db1.job([LocalUser(name="op-late", password=PASSWORD), runs]))
    assert [item.outcome for item in first.items] == ["failed", "not_reached"]
    with pytest.raises(KeyError):
        store.found("db1", "service", "OPNew")


def test_what_failed_and_changed_nothing_is_not_taken_for_absent_later(db1: Box, store: Store) -> None:
    """Somebody may have made it by hand until our next apply; what failed halfway is ours."""
    late, half = (
        LocalUser(name="op-late", password=PASSWORD),
        Service(name="OPNew", command_line=r"D:\OP\op.exe", dependencies=["Nowhere"], state="running"),
    )
    db1.state.password_policy["length"] = 100
    assert [item.outcome for item in applied(store, db1.job([late, half])).items] == ["failed", "failed"]
    with pytest.raises(KeyError):
        store.found("db1", "local_user", late.key)
    assert store.found("db1", "service", "OPNew") is None
    assert "opnew" in dump(db1.state)


def test_a_program_that_was_there_before_its_new_installer_is_not_removed(db1: Box, tmp_path: Path, store: Store) -> None:
    """The plan could not look at it: the installer was still to come."""
    old, new = nsis("Tool", key="Tool", version="1.0"), nsis("Tool", key="Tool", version="2.0")
    at = r"D:\tool.exe"
    told = {"name": "Tool", "type": "nsis", "detect": {"key": "Tool"}}
    first = Package(version="1.0", source={"path": at}, sha256=digest(old), **told)
    assert applied(Store.open(tmp_path / "other"), db1.job([File(path=at, content=old), first])).status == "in_sync"
    later = r"D:\tool-2.exe"
    job = db1.job([File(path=later, content=new), Package(version="2.0", source={"path": later}, sha256=digest(new), **told)])
    assert applied(store, job).status == "in_sync"
    desired, (left,) = back(store, job)
    assert [managed.resource.KIND for managed in desired.resources] == ["file"]
    assert left.why == "another version was there before, whose installer we do not have"


def test_a_share_that_was_there_before_its_new_folder_is_not_removed(db1: Box, tmp_path: Path, store: Store) -> None:
    theirs = [Directory(path=r"D:\Theirs"), Share(name="Data", path=r"D:\Theirs", remark="theirs")]
    assert applied(Store.open(tmp_path / "other"), db1.job(theirs)).status == "in_sync"
    job = db1.job([Directory(path=r"D:\Ours"), Share(name="Data", path=r"D:\Ours", remark="ours")])
    assert applied(store, job).status == "in_sync"
    desired, _ = back(store, job)
    applied(store, replace(job, desired=desired), command="remove")
    (planned,) = engine.plan([db1.job(theirs)], store)
    assert planned.status == "in_sync"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ((r"c:\fb\bin" "\\", r"D:\Theirs"), {"entries": [r"C:\FB\bin", r"D:\OP"]}),
        ((r"D:\A", r"D:\B"), {"entries": [r"D:\OP"], "exact": True}),
        ((r"D:\A", r"D:\B"), {"entries": [r"D:\B", r"D:\A"], "exact": True}),
    ],
    ids=["spelt otherwise", "exact", "another order"],
)
def test_a_list_of_entries_is_as_it_was(
    theirs: tuple[str, ...], ours: dict[str, Any], db1: Box, tmp_path: Path, store: Store
) -> None:
    before = EnvironmentVariable(name="OP_PATHS", entries=theirs, exact=True)
    applied(Store.open(tmp_path / "other"), db1.job([before]))
    job = db1.job([EnvironmentVariable(name="OP_PATHS", **ours)])
    assert applied(store, job).status == "in_sync"
    desired, _ = back(store, job)
    applied(store, replace(job, desired=desired), command="remove")
    (planned,) = engine.plan([db1.job([before])], store)
    assert planned.status == "in_sync"


@pytest.mark.parametrize(
    "theirs",
    [{"rights": "ReadAttributes"}, {"rights": "WriteData", "applies_to": ["this_folder"]}, {"rights": "WriteData"}],
    ids=["another right", "another reach", "the same"],
)
def test_what_somebody_had_on_a_folder_is_not_taken_from_him(
    theirs: dict[str, Any], db1: Box, tmp_path: Path, store: Store
) -> None:
    """An access rule is taken away whole: all that its principal has of his own there."""
    folder, guests = Directory(path=r"D:\Data"), {"path": r"D:\Data", "principal": "Guests"}
    applied(Store.open(tmp_path / "other"), db1.job([folder, AccessRule(**guests, **theirs)]))
    job = db1.job([AccessRule(**guests, rights=["WriteData", "AppendData"])])
    assert applied(store, job).status == "in_sync"
    desired, (left,) = back(store, job)
    assert (desired.resources, left.why) == ((), "it had rights of its own there before: look at its list")


def test_what_comes_from_above_keeps_nothing_that_was_given_besides(db1: Box, store: Store) -> None:
    applied(store, db1.job([Directory(path=r"D:\Data")]))
    job = db1.job([AccessRule(path=r"D:\Data", principal="Users", rights="Modify")])
    (item,) = applied(store, job).items
    assert item.change.actual is not None
    desired, left = back(store, job)
    assert ([managed.resource.absent for managed in desired.resources], left) == ([True], ())


SERVED = Service(
    name="OPNew",
    command_line=r"D:\OP\op.exe",
    start_mode="manual",
    recovery={"actions": ["restart 1m"], "reset": "1d"},
    grants=[{"principal": "Guests", "rights": ["query"]}, {"principal": "Users", "rights": ["query", "start"]}],
)
THEIRS = LocalUser(name="op-old", password=PASSWORD, description="theirs", password_never_expires=False)
SHARED = Share(name="Data", path="D:\\", remark="theirs", permissions=[{"principal": "Users", "rights": "read"}])
TO_GUESTS = [{"principal": "Guests", "rights": ["start"]}]


@pytest.mark.parametrize(
    ("before", "first", "second"),
    [
        (SERVED, {"start_mode": "disabled"}, {"recovery": {"actions": ["none"], "reset": "2d"}, "grants": TO_GUESTS}),
        (SERVED, {"grants": TO_GUESTS}, {"grants": [*TO_GUESTS, {"principal": "Users", "rights": ["stop"]}]}),
        (THEIRS, {"description": "ours"}, {"description": "ours", "password_never_expires": True}),
        (SHARED, {"remark": "ours"}, {"remark": "ours", "permissions": [{"principal": "Users", "rights": "full"}]}),
    ],
    ids=["service", "grants", "user", "share"],
)
def test_what_a_later_inventory_manages_besides_is_given_back_too(
    before: Resource, first: dict[str, Any], second: dict[str, Any], db1: Box, tmp_path: Path, store: Store
) -> None:
    assert applied(Store.open(tmp_path / "other"), db1.job([before])).status == "in_sync"
    kind = type(before)
    for wanted in ({**first}, {**first, **second}):
        job = db1.job([kind.model_validate(before._key() | wanted)])
        assert applied(store, job).status == "in_sync"
    desired, _ = back(store, job)
    applied(store, replace(job, desired=desired), command="remove")
    exact = {"exact": True} if "exact" in kind.model_fields else {}
    told = {name: getattr(before, name) for name in kind.model_fields if name not in ("password", "exact")}
    (planned,) = engine.plan(
        [db1.job([kind(**{name: value for name, value in told.items() if value is not None} | exact)])], store
    )
    assert planned.status == "in_sync"


def test_binary_data_is_given_back(db1: Box, tmp_path: Path, store: Store) -> None:
    theirs = RegistryValue(path=r"SOFTWARE\OP", name="Port", type="binary", data="01 ff")
    applied(Store.open(tmp_path / "other"), db1.job([theirs]))
    job = db1.job([PORT])
    applied(store, job)
    desired, _ = back(store, job)
    applied(store, replace(job, desired=desired), command="remove")
    (planned,) = engine.plan([db1.job([theirs])], store)
    assert planned.status == "in_sync"


def test_what_a_model_refuses_is_said_in_its_words(db1: Box, tmp_path: Path, store: Store) -> None:
    named = {"name": "OP-In", "direction": "inbound", "action": "allow"}
    theirs = FirewallRule(**named, protocol="TCP", local_ports=3050)
    assert applied(Store.open(tmp_path / "other"), db1.job([theirs])).status == "in_sync"
    job = db1.job([FirewallRule(**named, program=r"D:\OP\op.exe")])
    assert applied(store, job).status == "in_sync"
    _, (left,) = back(store, job)
    assert left.why.startswith("what was there can't be put back: refused: it lets everything in")


def test_so_does_what_is_never_absent(db1: Box, store: Store) -> None:
    job = db1.job([EventLog(log="Security", size="64MB")])
    assert back(store, job) == (Desired(()), (Left(job.desired.resources[0].resource, NO_RECORD),))


def test_what_is_only_looked_at_has_no_way_back_and_needs_none(db1: Box, store: Store) -> None:
    assert back(store, db1.job([Reachable(name="backup1", port=445)])) == (Desired(()), ())


def test_a_folder_is_never_deleted(db1: Box, store: Store) -> None:
    job = db1.job([Directory(path=r"D:\Data")])
    applied(store, job)
    desired, (left,) = back(store, job)
    assert desired.resources == ()
    assert str(left) == r"directory D:\Data: a folder holds data: it is never deleted"


def test_what_another_role_wants_stays(db1: Box, store: Store) -> None:
    job = db1.job([PORT])
    shared = tuple(replace(managed, roles=("one", "other")) for managed in job.desired.resources)
    applied(store, replace(job, desired=Desired(shared)))
    desired, (left,) = undoing(Desired(shared), {"one"}, lambda resource: None)
    assert (desired.resources, left.why) == ((), "still wanted by other")


def test_what_another_role_wants_goes_with_its_program_and_that_is_said() -> None:
    program = Package(name="OP", type="inno", detect=Detect(key="OP_is1"), source=Source(path=r"D:\op.exe"), sha256="0" * 64,
                      provides_services=["OPMsg"])  # fmt: skip
    service = Managed(Service(name="OPMsg", state="running"), ("one", "other"))
    desired, (left,) = undoing(Desired((Managed(program, ("one",)), service)), {"one"}, lambda resource: None)
    assert [managed.resource.absent for managed in desired.resources] == [True]
    assert left.why == "still wanted by other, and yet the program that brought it is removed"


def test_the_first_record_is_kept_and_taking_back_forgets_it(db1: Box, store: Store) -> None:
    job = db1.job([PORT])
    applied(store, job)
    applied(store, db1.job([PORT.model_copy(update={"data": 3051})]))
    assert store.found("db1", "registry_value", PORT.key) is None
    desired, _ = back(store, job)
    taken = applied(store, replace(job, desired=desired), command="remove")
    assert [item.outcome for item in taken.items] == ["applied"]
    with pytest.raises(KeyError):
        store.found("db1", "registry_value", PORT.key)

"""What an apply leaves in a host's own event log: over real WS-Man to a simulated server, and read back as Windows tells it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from lab_installers import digest, inno
from lab_practice import PASSWORDS, desired_by_host
from labs import Box, box
from roles_at_hand import one_host

from cases import Case, load, planned, world
from opdeploy import __version__, engine, roles
from opdeploy.calls import Failure, events_read
from opdeploy.engine import fleet, work_log
from opdeploy.inventory import read
from opdeploy.lab.windows.state import dump
from opdeploy.model import Change, ExitCode, HostError, Property, Secret
from opdeploy.planning import Desired, Managed
from opdeploy.rendering import without_secrets
from opdeploy.resources.base import Resource
from opdeploy.resources.directory import Directory
from opdeploy.resources.environment_variable import EnvironmentVariable
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.installers import LocalFile, Source
from opdeploy.resources.local_user import LocalUser
from opdeploy.resources.package import Detect, Package
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.resources.service import Service
from opdeploy.resources.work_log import MESSAGES, TYPES
from opdeploy.results import HostResult, Item, Run
from opdeploy.store import Store, tokens
from opdeploy.undoing import undoing
from opdeploy.windows import agent
from opdeploy.windows.station import Station

QUERY = (
    '<QueryList><Query Id="0" Path="Application"><Select Path="Application">'
    '*[System[Provider[@Name="opdeploy"]]]</Select></Query></QueryList>'
)
RUN = Run("apply", "20261122T030000Z-a1b2c3", "2026-11-22T03:00:00Z", "anna@admin-pc", "inventories/test", "no-digest")
SPOOLER = Service(name="Spooler", start_mode="disabled")
SOURCE = (TYPES, MESSAGES)
CASES = [case for case in load(Path(__file__).parent.parent / "cases") if not case.refused]


def apply(store: Store, job: engine.Job) -> HostResult:
    run = replace(RUN, run_id=uuid4().hex)
    recorder = store.begin(run)
    (result,) = engine.apply([job], store, recorder)
    recorder.finish(replace(run, hosts=(result,)))
    return result


def keeping(server: Box, resources: Sequence[Resource]) -> engine.Job:
    """A host that keeps a work log is to have these."""
    job = server.job(resources)
    return replace(job, desired=replace(job.desired, work_log=True))


def told(server: Box) -> list[tuple[int, str]]:
    """Id and text of every event of ours, oldest first."""
    return [(event["id"], event["text"].replace("\r\n", "\n")) for event in server.state.application_events]


# ---------------------------------------------------------------- what stands there


def test_an_event_tells_who_what_and_what_came_of_it(db1: Box, store: Store) -> None:
    db1.state.password_policy = {"length": 30, "complexity": False}
    wanted = [
        *SOURCE,
        SPOOLER,
        Service(name="WinRM", state="stopped"),
        LocalUser(name="op-new", full_name="OP", password=Secret("Sh0rt-Passw0rd", "env:OP")),
        GroupMembers(group="Remote Desktop Users", members=(r".\op-new",)),
    ]
    result = apply(store, keeping(db1, wanted))
    ((id, text),) = told(db1)
    head, _, body = text.partition("\n\n")
    assert id == work_log.NOT_ALL_DONE
    assert head.splitlines() == [
        "opdeploy worked on this computer: 3 applied, 1 failed, 1 refused, 1 not reached.",
        f"by anna@admin-pc, run {_run_id(store)} of 2026-11-22T03:00:00Z, opdeploy {__version__}",
    ]
    assert "service/Spooler: update, applied\n    start_mode: automatic → disabled\n" in body
    assert re.search(r"^service/WinRM: refused: .*WinRM", body, re.MULTILINE)
    assert re.search(r"^local_user/.*op-new: create, failed: .*password", body, re.MULTILINE)
    assert "    password: – → (secret)\n" in body
    assert re.search(r"^group_members/Remote Desktop Users: update, not reached: it needs account:", body, re.MULTILINE)
    assert "Sh0rt-Passw0rd" not in text
    assert result.warnings == ()


def _run_id(store: Store) -> str:
    return str(store.row("SELECT run_id FROM runs")[0])


def test_one_that_did_it_all_has_the_other_id_and_windows_shows_it(db1: Box, store: Store) -> None:
    assert apply(store, keeping(db1, [*SOURCE, SPOOLER])).code == ExitCode.OK
    ((event,),) = db1.computer.ask([events_read(QUERY, 10)], source=agent.source(write=False))
    assert '<Provider Name="opdeploy"/><EventID Qualifiers="0">1</EventID><Level>4</Level>' in event
    assert "<Channel>Application</Channel>" in event
    assert "opdeploy worked on this computer: 3 applied." in event


def test_no_secret_of_the_practice_is_in_it(practice: tuple[Path, Desired], store: Store) -> None:
    folder, desired = practice
    with box() as server:
        result = apply(store, server.of(desired))
        events = told(server)
    assert (result.code, result.warnings) == (ExitCode.OK, ())
    assert [id for id, _ in events] == [work_log.DONE]
    secrets = [(folder / ".lab" / name).read_text() for name in [*PASSWORDS, "agent-link-db1"]]
    assert [secret for secret in secrets if any(secret in text for _, text in events)] == []
    assert all(f"\n{item.id}: " in events[0][1] for item in result.items if item.outcome)


@pytest.fixture
def practice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Desired]:
    """The lab's database server, which has the role."""
    monkeypatch.setattr(fleet, "Station", lambda *args, **given: Station(*args, pause=lambda seconds: None, **given))
    return tmp_path / "lab", desired_by_host(tmp_path / "lab")["db1"]


def test_a_secret_of_a_few_letters_takes_no_word_apart() -> None:
    held = [Secret("a", "env:ONE"), Secret("xyz", "env:OTHER")]
    assert without_secrets("a start of xyz") == "a start of xyz", held


def test_a_secret_that_stands_in_another_value_is_not_in_it_either() -> None:
    held = Secret("Zq8-token", "env:OP")
    one = RegistryValue(path="SOFTWARE\\OP", type="string", data=f"it was {held.reveal()} once")
    assert "data: – → it was (secret) once" in _text(_item(one).change)


def test_nothing_that_a_snapshot_hides_is_in_it() -> None:
    hidden = {case.id: _hidden(case) for case in CASES}
    assert {id.split("/")[0] for id, values in hidden.items() if values} >= {
        "service",
        "scheduled_task",
        "environment_variable",
    }
    assert [(case.id, value) for case in CASES for value in hidden[case.id] if value in _text(planned(case)[0])] == []


def _text(change: Change[Any]) -> str:
    events = work_log.events(HostResult("h", (Item(change, outcome="applied"),)), RUN)
    return "\n".join(event.args["parameters"]["Message"] for event in events)


def _hidden(case: Case) -> list[str]:
    """What `store.tokens` takes out of the case's answers, but for what the resource itself is called."""
    found: list[str] = []

    def hide(value: str, fold: str) -> str:
        found.append(value)
        return value

    for key, answer in world(case, case.resource()).observation.items():
        if not isinstance(answer, Failure):
            tokens._replaced(key, answer, hide)
    return [value for value in found if len(value) > 3 and value not in case.resource().key]


def test_what_may_hold_a_password_is_only_named() -> None:
    line = '"C:\\OP\\OPMsg.exe" --token Zq8-token'
    recovery = {"actions": ["run 1m"], "command": line}
    telling = Service(name="OPMsg", command_line=line, display_name="OP", recovery=recovery)
    plain, run_key = (
        RegistryValue(path="SOFTWARE\\OP", type="string", data="Zq8"),
        r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run",
    )
    values = [plain, plain.model_copy(update={"path": run_key}), EnvironmentVariable(name="OP_TOKEN", value="Zq8-token")]
    items = [_item(one, error="Zq8 is not taken") for one in (telling, *values)]
    (event,) = work_log.events(HostResult("h", tuple(items)), RUN)
    lines = event.args["parameters"]["Message"].splitlines()[3:]
    assert [one.strip() for one in lines if "Zq8" in one] == [
        "registry_value/HKLM\\SOFTWARE\\OP (default): create, failed: Zq8 is not taken",
        "data: – → Zq8",
    ]
    assert "service/OPMsg: create, failed: the reason stands in the run's report" in lines
    assert "    command_line: changed, its values are not written here" in lines
    assert "    display_name: – → OP" in lines


def _item(resource: Resource, error: str = "") -> Item:
    wanted = {
        name: Property(None, getattr(resource, name)) for name in type(resource).model_fields if name in ("value", "data")
    }
    if isinstance(resource, Service):
        wanted = {name: Property(None, getattr(resource, name)) for name in ("command_line", "display_name", "recovery")}
    return Item(Change(resource, None, "would_change", "create", wanted), outcome="failed" if error else "applied", error=error)


@pytest.mark.usefixtures("no_pauses")
def test_what_an_installers_log_says_stands_in_the_report_only(db1: Box, store: Store, tmp_path: Path) -> None:
    setup = inno(exit=1, log="licence Zq8-key is not valid\r\n")
    (tmp_path / "setup.exe").write_bytes(setup)
    file = LocalFile(name="setup.exe", path=str(tmp_path / "setup.exe"), size=len(setup), sha256=digest(setup))
    package = Package(
        name="OP Tool", type="inno", source=Source(file=file), sha256=digest(setup), detect=Detect(key="OPTool_is1")
    )
    result = apply(store, keeping(db1, [*SOURCE, package]))
    ((_, text),) = told(db1)
    assert re.search(r"licence Zq8-key is not valid \(its log: .*\)$", result.items[-1].error)
    assert "Zq8" not in text
    assert str(tmp_path) not in text
    assert text.endswith(
        "\npackage/OP Tool: create, failed: its installer ended with 1: it could not be prepared; "
        "what its log says stands in the run's report"
    )


# ---------------------------------------------------------------- when nothing does


def test_nothing_is_written_where_nothing_was_tried(db1: Box, store: Store) -> None:
    apply(store, db1.job([*SOURCE, SPOOLER]))
    before = dump(db1.state)
    assert apply(store, keeping(db1, [*SOURCE, SPOOLER])).code == ExitCode.OK
    assert apply(store, keeping(db1, [Service(name="WinRM", state="stopped")])).code == ExitCode.FAILED
    engine.plan([keeping(db1, [*SOURCE, Directory(path="D:\\X")])], store)
    assert dump(db1.state) == before


def test_a_host_without_the_role_gets_none(db1: Box, store: Store) -> None:
    assert apply(store, db1.job([*SOURCE, SPOOLER])).code == ExitCode.OK
    assert told(db1) == []


def test_an_event_that_can_not_be_written_is_a_warning_and_no_failure(db1: Box, store: Store) -> None:
    result = apply(store, keeping(db1, [SPOOLER]))
    assert result.code == ExitCode.OK
    assert result.warnings == (
        'its work log does not tell of this run: The source name "opdeploy" does not exist on computer "localhost".',
    )


# ---------------------------------------------------------------- a run that did not get to its end


def test_a_host_that_was_lost_is_told_in_a_new_session(db1: Box, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(store, db1.job(SOURCE))
    write = Station._write

    def lost_once(station: Station, *given: Any) -> Any:
        if not station.lost and given[1]:  # a change comes with the reads that prove it
            station.lost = True
            raise HostError("the connection was closed")
        return write(station, *given)

    monkeypatch.setattr(Station, "_write", lost_once)
    result = apply(store, keeping(db1, [SPOOLER, Directory(path="D:\\X")]))
    ((id, text),) = told(db1)
    assert (id, result.warnings) == (work_log.NOT_ALL_DONE, ())
    assert text.startswith("opdeploy worked on this computer: 1 failed, 1 not reached.\n")
    assert "service/Spooler: update, failed: the connection was closed\n" in text
    assert db1.shells() == 0


def test_a_run_that_ended_early_says_so() -> None:
    result = HostResult("h", (_item(TYPES),), error="Windows was told to start anew, and has not within 30 minutes")
    (event,) = work_log.events(result, RUN)
    assert event.args["parameters"]["EventId"] == work_log.NOT_ALL_DONE
    assert "\r\nthe run ended early: Windows was told to start anew" in event.args["parameters"]["Message"]


# ---------------------------------------------------------------- as much as an event takes


def test_a_long_run_goes_on_in_the_next_event_and_says_so() -> None:
    items = tuple(_item(RegistryValue(path="SOFTWARE\\OP", name=f"V{n}", type="string", data="ö𝄞" * 400)) for n in range(60))
    texts = [event.args["parameters"]["Message"] for event in work_log.events(HostResult("h", items), RUN)]
    assert len(texts) == 3
    assert [text.splitlines()[0] for text in texts] == [
        f"opdeploy worked on this computer: 60 applied. Part {number} of 3." for number in (1, 2, 3)
    ]
    assert all(len(text.encode("utf-16-le")) // 2 <= work_log.LONGEST for text in texts)
    bodies = "\r\n".join(text.partition("\r\n\r\n")[2] for text in texts)
    assert re.findall(r"SOFTWARE\\OP (V\d+): create", bodies) == [f"V{n}" for n in range(60)]


def test_one_value_that_is_too_long_is_cut_and_nothing_is_put_in_by_event_viewer() -> None:
    items = (_item(RegistryValue(path="SOFTWARE\\OP", type="string", data='open "%1" ' + "x" * 5000)),)
    (event,) = work_log.events(HostResult("h", items), RUN)
    line = next(line for line in event.args["parameters"]["Message"].splitlines() if "data:" in line)
    assert line.startswith('    data: – → open "% 1" xxx')
    assert line.endswith("x … (cut)")
    assert len(line) <= work_log.LONGEST_LINE + 1


# ---------------------------------------------------------------- whose host keeps one


def test_it_is_kept_whichever_roles_are_asked_for(tmp_path: Path) -> None:
    given = r"""
        work_log:
        registry_values: { values: [{ path: SOFTWARE\OP, type: string, data: db1 }] }
    """
    inventory = read(one_host(tmp_path, given), {"OP_ONE": "Correct-Horse-1"})
    for only in ((), ("registry_values",), ("work_log",)):
        ((_, desired),) = roles.compile(inventory, inventory.hosts, roles.find(), only)
        assert desired.work_log is True


def test_taking_roles_back_is_told_until_the_log_itself_is(db1: Box, store: Store) -> None:
    managed = (*(Managed(one, ("work_log",)) for one in SOURCE), Managed(SPOOLER, ("other",)))
    job = db1.of(Desired(managed, work_log=True))
    apply(store, job)
    assert len(told(db1)) == 1
    for role, events in (("other", 2), ("work_log", 2)):
        way, _ = undoing(job.desired, {role}, lambda resource: store.found(job.host.name, resource.KIND, resource.key))
        assert apply(store, replace(job, desired=way)).code == ExitCode.OK
        assert len(told(db1)) == events

"""Packages: versions and command lines by themselves, and whole runs against the lab's installers over real WS-Man."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_installers import CODE, SIGNER, digest, inno, msi, nsis, offered
from lab_practice import writes_in
from labs import Box, applied, box

from cases import SERVER
from opdeploy import engine
from opdeploy.calls import Call
from opdeploy.engine import fleet
from opdeploy.guard import Session
from opdeploy.lab.windows import files, jobs, registry, servers, services
from opdeploy.lab.windows.state import State, dump
from opdeploy.model import ExitCode, Secret
from opdeploy.planning import Desired, Managed, World, foreseen, plan_one
from opdeploy.resources.file import File
from opdeploy.resources.installers import LocalFile, Source, in_words, plain_code
from opdeploy.resources.package import NO_LEFTOVER, Package
from opdeploy.resources.package_detection import newer, number, satisfied, undecided
from opdeploy.resources.service import Service
from opdeploy.results import HostResult, Item
from opdeploy.store import Store, tokens
from opdeploy.windows import agent, operations
from opdeploy.windows.station import Station

URL = "https://op.example/"
SOURCE = agent.source(write=True)

# ---------------------------------------------------------------- versions

VERSIONS = st.lists(st.integers(0, 99_999), min_size=1, max_size=4)


def dotted(numbers: list[int]) -> str:
    return ".".join(map(str, numbers))


@settings(max_examples=100)
@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_by_their_numbers(one: list[int], other: list[int]) -> None:
    def padded(numbers: list[int]) -> list[int]:
        return numbers + [0] * (4 - len(numbers))

    assert satisfied(f"at least {dotted(one)}", dotted(other)) == (padded(other) >= padded(one))
    assert satisfied(dotted(one), dotted(other)) == (padded(other) == padded(one))
    assert newer(f"at least {dotted(one)}", dotted(other)) == (padded(other) > padded(one))


@settings(max_examples=100)
@given(st.text(max_size=12), st.text(max_size=12))
def test_a_text_without_an_order_is_only_ever_equal_or_undecided(one: str, other: str) -> None:
    assert satisfied(one, one)
    if number(other) is None:
        assert satisfied(one, other) == (one == other)
        assert undecided("at least 1.0", other)


@pytest.mark.parametrize(
    ("wanted", "there", "is_it"),
    [
        ("5.9.7 (3931)", "5.9.7 (3932)", False),
        ("5.9.7", "5.9.7 (3931)", False),
        ("at least 5.9.7", "5.9.7 (3931)", True),
        ("at least 6.3", "6, 3, 9600, 17415", True),
        ("at least 10.0.20348", "10.0.20348.1 (WinBuild.160101.0800)", True),
        ("2.5.9.0", "2.5.9", True),
        ("8.10", "8.1", False),
    ],
)
def test_what_stands_beside_the_numbers_counts_where_one_version_is_wanted_exactly(
    wanted: str, there: str, is_it: bool
) -> None:
    assert satisfied(wanted, there) is is_it


# ---------------------------------------------------------------- what an installer said


@pytest.mark.parametrize(
    ("type", "exit", "words"),
    [
        ("msi", 1638, "ended with 1638: another version of the product is installed: remove that one first"),
        ("burn", -2147023294, "ended with 1602 (0x80070642): it was cancelled"),
        ("inno", 5, "ended with 5: it was cancelled, or chose to give up at a question that nobody answered"),
        ("nsis", 1603, "ended with 1603"),
        ("exe", 740, "ended with 740: it needs to be elevated"),
        ("exe", -1073741819, "ended with -1073741819"),
    ],
)
def test_an_exit_code_is_told_in_the_words_of_its_maker(type: Any, exit: int, words: str) -> None:
    assert in_words(type, exit) == words


def test_a_wrapped_reboot_is_one() -> None:
    assert plain_code(-2147021886) == plain_code(3010) == 3010


# ---------------------------------------------------------------- where it stands


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://op.example/a/OP%20Scan.EXE?v=1", "F\\OP Scan.EXE"),
        ("https://op.example/download?id=5", "F\\setup.exe"),
        ("https://op.example/..%5C..%5Cevil.exe", "F\\setup.exe"),
        ("https://op.example/a%2F..%2Fevil.exe", "F\\setup.exe"),
        ("https://op.example/running", "F\\setup.exe"),
    ],
)
def test_an_address_names_a_file_or_nothing(url: str, place: str) -> None:
    assert Source(url=url).place("F", "exe") == place


# ---------------------------------------------------------------- plans


def tool(**given: Any) -> Package:
    wanted = {"name": "OP Tool", "type": "inno", "detect": {"key": "OPTool_is1"}}
    return Package.model_validate(wanted | given)


def test_a_job_is_found_again_whatever_its_secrets() -> None:
    source = {"source": {"url": f"{URL}x.exe"}, "sha256": "0" * 64, "arguments": "/KEY={key}"}
    one, other = (tool(**source, secrets={"key": Secret(value)}) for value in ("a", "b"))
    assert one.job == other.job
    assert one.job != tool(absent=True).job != tool(**source | {"sha256": "1" * 64, "secrets": {"key": Secret("a")}}).job


def test_a_removal_is_planned_from_a_snapshot_that_left_its_command_out() -> None:
    gone = tool(absent=True)
    keys = {"OPTool_is1": {"values": {"DisplayVersion": ["String", "1"], "UninstallString": ["String", tokens.LEFT_OUT]}}}
    answers = {"view_64": {"values": {}, "subkeys": keys}, "view_32": None}
    answers["job"] = {"folder": "C:\\ProgramData\\opdeploy-1", "there": False, "running": False}
    around = World(SERVER, {gone.reads()[name].key: answer for name, answer in answers.items()}, Session())
    ((change, writes),) = foreseen(Desired((Managed(gone),)), around)
    assert (change.verdict, change.action, writes) == ("would_change", "remove", None)


# ---------------------------------------------------------------- runs


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, had it been."""
    waits: list[float] = []
    monkeypatch.setattr(fleet, "Station", partial(Station, pause=waits.append))
    return waits


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def db1(paused: list[float]) -> Iterator[Box]:
    with box(servers.database_server()) as made:
        yield made


def apply(made: Box, store: Store, *packages: Any) -> HostResult:
    result = applied(store, made.job(packages))
    assert made.shells() == 0
    return result


def the_item(made: Box, store: Store, package: Any) -> Item:
    (item,) = apply(made, store, package).items
    return item


def planned(made: Box, store: Store, package: Package) -> Item:
    (result,) = engine.plan([made.job([package])], store)
    return result.items[0]


def unclocked(state: State) -> str:
    """All but the clock and what only the lab counts."""
    return dump(replace(state, time="", installer_runs=[], web={}))


def offer(made: Box, data: bytes, name: str = "setup.exe") -> dict[str, Any]:
    """Where the host can fetch it from, as a package says it."""
    offered(made.state, URL + name, data)
    return {"source": {"url": URL + name}, "sha256": digest(data)}


TYPES: dict[str, tuple[dict[str, Any], Callable[..., bytes]]] = {
    "inno": ({"name": "OP Tool", "type": "inno", "detect": {"key": "OPTool_is1"}}, inno),
    "nsis": ({"name": "OP Editor", "type": "nsis", "detect": {"display_name": "op editor*"}}, nsis),
    "msi": ({"name": "OP Agent", "type": "msi", "detect": {"product_code": CODE}}, msi),
}


@pytest.mark.parametrize("state", [servers.database_server, partial(servers.bare, 20348, "ServerNT")], ids=["full", "bare"])
@pytest.mark.parametrize("type", TYPES)
def test_what_is_installed_and_removed_leaves_the_host_as_it_was(
    type: str, state: Callable[[], State], store: Store, paused: list[float]
) -> None:
    wanted, installer = TYPES[type]
    with box(state()) as made:
        package = Package.model_validate({**wanted, **offer(made, installer())})
        before = unclocked(made.state)
        assert (the_item(made, store, package).outcome, len(made.state.installer_runs)) == ("applied", 1)
        after = unclocked(made.state)
        assert planned(made, store, package).change.verdict == "in_sync"
        assert apply(made, store, package).code == ExitCode.OK
        assert unclocked(made.state) == after != before
        gone = Package.model_validate({**wanted, "absent": True})
        assert (the_item(made, store, gone).outcome, len(made.state.installer_runs)) == ("applied", 2)
        assert planned(made, store, gone).change.verdict == "in_sync"
        assert unclocked(made.state) == before


def test_a_file_of_the_project_is_pushed_and_a_path_on_the_host_is_run_where_it_is(
    db1: Box, store: Store, tmp_path: Path
) -> None:
    data = inno()
    (tmp_path / "tool.exe").write_bytes(data)
    local = LocalFile(name="tool.exe", path=str(tmp_path / "tool.exe"), size=len(data), sha256=digest(data))
    assert the_item(db1, store, tool(source={"file": local}, sha256=digest(data))).outcome == "applied"
    files.put_file(db1.state, "D:\\editor.exe", "S-1-5-32-544", nsis())
    editor = TYPES["nsis"][0] | {"source": {"path": "D:\\editor.exe"}, "sha256": digest(nsis())}
    assert the_item(db1, store, Package.model_validate(editor)).outcome == "applied"
    assert [run["program"].rpartition("\\")[2] for run in db1.state.installer_runs] == ["tool.exe", "editor.exe"]


def test_an_upgrade_goes_the_same_way(db1: Box, store: Store) -> None:
    apply(db1, store, tool(**offer(db1, inno(version="1.2.3"))))
    newest = tool(version="at least 1.10", **offer(db1, inno(version="1.10.0")))
    item = the_item(db1, store, newest)
    assert (item.outcome, item.change.action, item.change.properties["version"].before) == ("applied", "update", "1.2.3")
    assert planned(db1, store, newest).change.verdict == "in_sync"


def test_a_service_that_it_brings_is_managed_in_the_same_run(db1: Box, store: Store) -> None:
    package = tool(**offer(db1, inno(services={"OPTool": "C:\\OP\\tool.exe"})), provides_services=["OPTool"])
    result = apply(db1, store, Service(name="OPTool", start_mode="manual"), package)
    assert [(item.id, item.outcome, item.error) for item in result.items] == [
        ("package/OP Tool", "applied", ""),
        ("service/OPTool", "applied", ""),
    ]


# ---------------------------------------------------------------- jobs that outlive a session


def started(made: Box, package: Package) -> None:
    """The first request of an apply, and no more: the session ends in the middle of the installation."""
    around = observed(made, package)
    change = plan_one(Managed(package), around)
    writes: list[Call] = list(change.resource.writes(change, around.answers(package)))
    assert made.computer.ask(writes, len(writes), source=SOURCE) == [None] * len(writes)


def observed(made: Box, package: Package) -> World:
    reads = list(package.reads().values())
    return World(
        SERVER, dict(zip((read.key for read in reads), made.computer.ask(reads, source=SOURCE), strict=True)), Session()
    )


def test_one_that_runs_is_waited_for_and_runs_once(db1: Box, store: Store) -> None:
    package = tool(**offer(db1, inno(takes=4)))
    started(db1, package)
    plan = planned(db1, store, package)
    assert (plan.change.action, plan.commands) == ("create", ("<known after apply>",))
    assert "apply waits for it" in plan.change.reason
    assert the_item(db1, store, package).outcome == "applied"
    assert len(db1.state.installer_runs) == 1
    assert planned(db1, store, package).change.verdict == "in_sync"


def test_one_that_ended_meanwhile_is_only_tidied_up_after(db1: Box, store: Store) -> None:
    package = tool(**offer(db1, inno(takes=0, exit=3010)))
    started(db1, package)
    plan = planned(db1, store, package)
    assert plan.change.properties["leftover"].before == "a job that ended with 3010"
    item = the_item(db1, store, package)
    assert (item.outcome, item.reboot) == ("applied", "its installer asks for it (3010)")
    assert len(db1.state.installer_runs) == 1


def test_one_that_a_restart_cut_off_is_told_and_run_again(db1: Box, store: Store) -> None:
    package = tool(**offer(db1, inno(takes=4)))
    started(db1, package)
    jobs.restart(db1.state)
    assert "was cut off: its runner was ended" in planned(db1, store, package).change.reason
    db1.state.booted = db1.state.time[:-2] + "9Z"
    assert "was cut off: Windows was started anew at" in planned(db1, store, package).change.reason
    assert the_item(db1, store, package).outcome == "applied"


def test_what_an_installer_says_of_its_failure_is_told_kept_and_tried_again(db1: Box, store: Store) -> None:
    broken = offer(db1, inno(exit=4, log="Preparing\r\nThe disk is full.\r\n"))
    secret = Secret("Tr0ub4dor&3", "env:KEY")
    package = tool(**broken, arguments='/KEY="{key}"', secrets={"key": secret})
    item = the_item(db1, store, package)
    assert item.outcome == "failed"
    assert (
        "ended with 4: a fatal error during the installation, which its log tells: The disk is full. (its log: " in item.error
    )
    kept = Path(item.error.partition("(its log: ")[2].rstrip(")")).read_text(encoding="utf-8")
    assert "(secret)" in kept
    assert secret.reveal() not in kept + repr(item)
    assert "the last attempt, begun " in planned(db1, store, package).change.reason
    offered(db1.state, broken["source"]["url"], inno())
    again = the_item(db1, store, package)
    assert "it arrived with another SHA-256 than the inventory says" in again.error
    repaired = tool(**broken | {"sha256": digest(inno())}, arguments='/KEY="{key}"', secrets={"key": secret})
    assert the_item(db1, store, repaired).outcome == "applied"


def test_a_secret_only_ever_travels_as_one(db1: Box, store: Store) -> None:
    secret = Secret("Tr0ub4dor-3", "env:KEY")
    package = tool(**offer(db1, inno()), arguments="/KEY={key}", secrets={"key": secret})
    assert the_item(db1, store, package).outcome == "applied"
    assert db1.state.installer_runs[0]["line"].endswith("/KEY=Tr0ub4dor-3")
    assert [line for line in db1.heard if not line.startswith("*") and secret.reveal() in line] == []


@pytest.mark.parametrize("exit", [3010, 1641])
def test_a_reboot_is_left_to_the_run(exit: int, db1: Box, store: Store) -> None:
    item = the_item(db1, store, tool(**offer(db1, inno(exit=exit))))
    assert (item.outcome, item.reboot) == ("applied", f"its installer asks for it ({exit})")


def test_one_that_is_only_there_after_a_reboot_asks_for_it_all_the_same(db1: Box, store: Store) -> None:
    item = the_item(db1, store, tool(**offer(db1, inno(exit=3010, returns_at_once=1000))))
    assert (item.outcome, item.reboot) == ("failed", "its installer asks for it (3010)")


def test_other_codes_that_mean_well_are_accepted_by_name(db1: Box, store: Store) -> None:
    given = offer(db1, msi(exit=1603))
    wanted = TYPES["msi"][0] | given
    assert "1603" in the_item(db1, store, Package.model_validate(wanted)).error
    item = the_item(db1, store, Package.model_validate(wanted | {"exit_codes": [0, 1603]}))
    assert "ended with 1603, and yet it is not there as it should be: is detect right?" in item.error


def test_one_that_refuses_a_network_logon_runs_as_the_system(db1: Box, store: Store) -> None:
    given = offer(db1, inno(needs="system"))
    assert "ended with 5" in the_item(db1, store, tool(**given)).error
    assert the_item(db1, store, tool(**given, run_as="system")).outcome == "applied"
    assert not [name for name in db1.state.tasks if "opdeploy" in name]


def test_a_signer_is_held_against_the_file(db1: Box, store: Store) -> None:
    given = offer(db1, inno(signed_by=SIGNER))
    other = tool(**given, signer={"subject": "CN=Mallory", "issuer": SIGNER["issuer"]})
    assert "was not run: it is not signed as it should be" in the_item(db1, store, other).error
    assert not db1.state.installer_runs
    right = tool(**given, signer={"subject": SIGNER["subject"], "issuer": SIGNER["issuer"]})
    assert the_item(db1, store, right).outcome == "applied"


def test_one_that_asks_a_question_is_ended_at_its_time(db1: Box, store: Store) -> None:
    assert (
        "its installer did not end within 5m, and was ended"
        in the_item(db1, store, tool(**offer(db1, inno(hangs=True)), timeout="5m")).error
    )


def test_an_uninstaller_that_returns_at_once_is_waited_for(db1: Box, store: Store, paused: list[float]) -> None:
    wanted = TYPES["nsis"][0]
    apply(db1, store, Package.model_validate(wanted | offer(db1, nsis(after=5))))
    paused.clear()
    assert the_item(db1, store, Package.model_validate(wanted | {"absent": True})).outcome == "applied"
    assert 0 < sum(paused) < operations.SETTLES


def test_one_that_never_goes_is_not_waited_for_for_ever(db1: Box, store: Store, paused: list[float]) -> None:
    wanted = TYPES["nsis"][0]
    apply(db1, store, Package.model_validate(wanted | offer(db1, nsis(after=1000))))
    paused.clear()
    item = the_item(db1, store, Package.model_validate(wanted | {"absent": True}))
    assert "its uninstaller ended with 0, and yet it is still there" in item.error
    assert operations.SETTLES <= sum(paused) < operations.SETTLES + 20


def test_a_child_that_holds_pipes_open_is_not_waited_for(db1: Box, store: Store) -> None:
    assert the_item(db1, store, tool(**offer(db1, inno(holds_pipes=True)))).outcome == "applied"


def test_what_is_there_reads_as_a_package(db1: Box, store: Store) -> None:
    package = tool(**offer(db1, inno()))
    apply(db1, store, package)
    around = observed(db1, package)
    found = package.actual(around.answers(package))
    assert found is not None
    assert (found.version, found.leftover, found.absent) == ("1.2.3", NO_LEFTOVER, False)
    assert Package.observed(**{name: getattr(found, name) for name in Package.model_fields}) == found


# ---------------------------------------------------------------- services that can't stand it


def firebird(**given: Any) -> Package:
    return tool(**given, provides_services=["OPTool"], stops_services=["Watcher", "OPTool"])


def served(box: Box) -> list[str]:
    """A setup that hangs beside its service, which another one needs; who of them runs."""
    services.create(box.state, "OPTool", r"C:\OP\tool.exe")
    registry.set_value(services.create(box.state, "Watcher", r"C:\OP\watch.exe"), "DependOnService", "MultiString", ["OPTool"])
    services.start(box.state, "Watcher")
    return running(box)


def running(box: Box) -> list[str]:
    return [name for name in ("OPTool", "Watcher") if services.runs(box.state, name)]


def test_what_it_can_not_stand_is_stopped_and_runs_again_afterwards(db1: Box, store: Store) -> None:
    assert served(db1) == ["OPTool", "Watcher"]
    given = offer(db1, inno(hangs_beside=["OPTool"], services={"OPTool": r"C:\OP\tool.exe"}))
    assert "did not end within" in the_item(db1, store, tool(**given)).error
    assert the_item(db1, store, firebird(**given)).outcome == "applied"
    assert running(db1) == ["OPTool", "Watcher"]


def test_what_was_stopped_runs_again_although_nothing_was_installed(db1: Box, store: Store) -> None:
    served(db1)
    signer = {"subject": SIGNER["subject"], "issuer": SIGNER["issuer"]}
    wanted = firebird(**offer(db1, inno(hangs_beside=["OPTool"])), signer=signer)
    assert "was not run: it is not signed" in the_item(db1, store, wanted).error
    assert running(db1) == ["OPTool", "Watcher"]


def test_what_can_not_be_stopped_is_the_error_and_nothing_is_installed(db1: Box, store: Store) -> None:
    served(db1)
    given = offer(db1, inno())
    item = the_item(db1, store, tool(**given, stops_services=["OPTool"]))
    assert "could not be run: Cannot stop service 'OPTool (OPTool)' because it has dependent services" in item.error
    assert not db1.state.installer_runs


def test_a_service_that_reads_a_file_is_restarted_with_what_needs_it(db1: Box, store: Store) -> None:
    served(db1)
    file = File(path=r"C:\tool.conf", content="x", restarts=("OPTool",))  # type: ignore[arg-type]
    assert the_item(db1, store, file).outcome == "applied"
    assert running(db1) == ["OPTool", "Watcher"]
    assert [call.args["name"] for call in writes_in(db1.heard) if call.verb == "cmdlet.write"] == ["Restart-Service"]

"""Jobs that outlive their session and installers that they run, as the lab plays both."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from lab_asking import Ask, asking
from lab_installers import CODE, SIGNER, WINDOWS_INSTALLER, digest, inno, msi, nsis, offered, pushed
from labs import box

from opdeploy import calls
from opdeploy.calls import Failure, Write
from opdeploy.lab.windows import files, installers, servers, services
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import State, dump, load
from opdeploy.model import Secret
from opdeploy.resources import jobs
from opdeploy.resources.base import Answers
from opdeploy.windows import session, targets

ID = "0123456789abcdef0123456789abcdef"
FOLDER = f"C:\\ProgramData\\opdeploy-{ID}"
FILE = f"{FOLDER}\\setup.exe"
LOG = f"{FOLDER}\\log"
UNINSTALL = installers.UNINSTALL
CLOSED = "O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
QUIET = f'/VERYSILENT /LOG="{LOG}"'


def run(line: str | Secret = QUIET, **given: Any) -> Write:
    return calls.install_run(given.pop("program", FILE), line, 60, **given)


def begin(ask: Ask, data: bytes, *orders: Write, elevated: bool = False) -> None:
    """Opens a job, brings the installer and starts the order."""
    writes = [calls.job_open(ID), *pushed(FILE, data), calls.job_start(ID, orders or (run(),), elevated=elevated)]
    assert [ask(write) for write in writes] == [None] * 4


def record(ask: Ask) -> jobs.Record:
    """One look at the job, and its record."""
    reads = dict(jobs.reads(ID))
    answers = {reads["job"].key: ask(reads["job"])}
    further = jobs.then_reads(Answers(reads, answers))
    answers |= {read.key: ask(read) for read in further.values()}
    found = jobs.record(Answers({**reads, **further}, answers))
    assert found is not None
    return found


def ended(ask: Ask) -> Any:
    """What its last call answered; looks at it until it has ended."""
    found = next(found for found in iter(lambda: record(ask), None) if found.ended)
    assert not found.running
    return found.value


def programs(ask: Ask, view: str = "Registry64") -> set[str]:
    return set(ask(calls.registry_read(UNINSTALL, view=view, depth=1))["subkeys"])


def unclocked(computer: Computer) -> str:
    """The state but for its clock and the installers that it has counted."""
    return dump(replace(computer.state, time="", installer_runs=[]))


# ---------------------------------------------------------------- the folder


def test_a_job_that_there_is_not_is_told_with_where_its_folder_would_be(ask: Ask) -> None:
    assert ask(calls.job_read(ID)) == {"folder": FOLDER, "there": False, "running": False}


def test_a_jobs_folder_is_closed_from_its_first_moment(ask: Ask, computer: Computer) -> None:
    assert ask(calls.job_open(ID)) is None
    assert ask(calls.sddl_read(FOLDER)) == CLOSED
    assert ask(calls.job_open(ID)) is None


def test_nobody_but_an_elevated_administrator_opens_a_job() -> None:
    computer = Computer(servers.filtered(servers.database_server()))
    assert asking(computer)(calls.job_open(ID)).type == "System.IO.IOException"
    assert asking(computer, "Guest")(calls.job_open(ID)).type == "System.UnauthorizedAccessException"


@pytest.mark.parametrize("list_", ["O:BAG:BAD:AI(A;OICI;FA;;;BU)", "O:SYG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"])
def test_a_folder_that_is_open_to_others_is_not_ours(list_: str, ask: Ask, computer: Computer) -> None:
    servers.put_secured(computer.state, FOLDER, list_)
    for call in (calls.job_open(ID), calls.job_start(ID, [run()]), calls.job_close(ID)):
        assert ask(call).id == "opdeploy.NotClosed"


@pytest.mark.parametrize("id", ["", "..\\x", ID[:-1], f"{ID}0"])
def test_only_a_job_is_a_job(id: str, ask: Ask) -> None:
    for call in (calls.job_read(id), calls.job_open(id), calls.job_start(id, [run()]), calls.job_close(id)):
        assert ask(call).id == "opdeploy.BadName"


def test_a_job_that_was_not_opened_can_not_be_started(ask: Ask) -> None:
    assert ask(calls.job_start(ID, [run()])).id.startswith("GetAcl_PathNotFound,")


def test_a_closed_job_leaves_nothing_and_may_be_closed_again(ask: Ask, computer: Computer) -> None:
    before = unclocked(computer)
    begin(ask, inno(exit=1))
    ended(ask)
    assert [ask(calls.job_close(ID)) for _ in range(2)] == [None, None]
    assert unclocked(computer) == before


# ---------------------------------------------------------------- the runner


@pytest.mark.parametrize("takes", [0, 1, 3])
def test_a_job_takes_as_many_looks_as_its_installer(takes: int, ask: Ask) -> None:
    begin(ask, inno(takes=takes))
    assert [record(ask).running for _ in range(takes + 1)] == [True] * takes + [False]
    assert record(ask).value == {"ended": True, "whole": True, "exit": 0, "stdout": "", "stderr": ""}


def test_a_runner_says_that_it_began_and_holds_what_it_writes(ask: Ask, computer: Computer) -> None:
    begin(ask, inno())
    now = record(ask)
    assert (now.running, now.begun, now.ended, now.lost, now.folder) == (True, True, False, False, FOLDER)
    assert now.process > 0
    assert now.started == computer.state.time
    assert ask(calls.job_close(ID)).type == "System.IO.IOException"
    assert ask(calls.file_stat(f"{FOLDER}\\order")) is None


def test_a_job_that_runs_is_not_begun_twice(ask: Ask, computer: Computer) -> None:
    begin(ask, inno())
    assert ask(calls.job_start(ID, [run()])).type == "System.IO.IOException"
    assert ask(calls.file_stat(f"{FOLDER}\\order")) is None
    ended(ask)
    assert len(computer.state.installer_runs) == 1


def test_a_job_goes_on_in_a_lab_that_was_down(ask: Ask, computer: Computer) -> None:
    begin(ask, inno(takes=2))
    assert record(ask).running
    again = asking(Computer(load(dump(computer.state))))
    assert ended(again)["exit"] == 0
    assert "OPTool_is1" in programs(again)


def test_a_restart_ends_a_runner_in_the_middle(ask: Ask, computer: Computer) -> None:
    begin(ask, inno())
    assert record(ask).running
    assert ask(calls.cmdlet_write("Restart-Computer", Force=True)) is None
    assert record(ask).lost
    assert "OPTool_is1" not in programs(ask)
    assert [one["exit"] for one in computer.state.installer_runs] == [None]


def test_an_order_stops_at_its_first_failure_and_its_record_says_with_what(ask: Ask, computer: Computer) -> None:
    begin(ask, inno(), run(file=FILE, sha256="0" * 64), run())
    value = ended(ask)
    assert isinstance(value, Failure)
    assert value.id == "opdeploy.BadHash"
    assert computer.state.installer_runs == []


def test_a_job_is_its_sessions_user_or_system_and_leaves_no_task(ask: Ask, computer: Computer) -> None:
    tasks = dict(computer.state.tasks)
    begin(ask, inno(needs="system"))
    assert ended(ask)["exit"] == 5
    assert ask(calls.job_close(ID)) is None
    begin(ask, inno(needs="system"), elevated=True)
    assert ended(ask)["exit"] == 0
    assert computer.state.tasks == tasks


def test_a_secret_in_an_order_stands_in_none_of_a_jobs_files(ask: Ask, computer: Computer) -> None:
    begin(ask, inno(), run(Secret("/VERYSILENT /PASSWORD=geheim", "a test")))
    assert record(ask).running
    kept = [files.data(entry) for entry in files.children(computer.state, FOLDER)]
    assert not [data for data in kept if b"geheim" in data or base64.b64encode(b"geheim")[:7] in data]
    assert ended(ask)["exit"] == 0
    assert computer.state.installer_runs[0]["line"] == "/VERYSILENT /PASSWORD=geheim"


def test_a_job_goes_on_without_the_session_that_began_it() -> None:
    """Over WS-Man: the first session's shell is deleted with all that it started."""
    with box() as made:
        target = targets.of_connection(made.connection())
        writes = [calls.job_open(ID), *pushed(FILE, inno()), calls.job_start(ID, [run()])]
        with session.open(target, write=True) as first:
            assert first.ask(writes, writes=len(writes)) == [None] * 4
        assert made.shells() == 0
        with session.open(target, write=False) as second:
            assert [second.ask([calls.job_read(ID)])[0]["running"] for _ in range(2)] == [True, False]
        assert len(made.state.installer_runs) == 1


# ---------------------------------------------------------------- installers

VIEW = {"inno": "Registry64", "nsis": "Registry32", "msi": "Registry64"}
KINDS: dict[str, tuple[bytes, str, str]] = {
    "inno": (inno(services={"OPTool": "C:\\Program Files\\OP Tool\\tool.exe"}), QUIET, "OPTool_is1"),
    "nsis": (nsis(view="Registry32"), "/S", "OPEditor"),
    "msi": (msi(), f'/i "{FILE}" /qn /l*v "{LOG}"', CODE),
}


def uninstalled(ask: Ask, kind: str, key: str) -> Write:
    if kind == "msi":
        return run(f"/x {key} /qn", program=WINDOWS_INSTALLER)
    values = ask(calls.registry_read(f"{UNINSTALL}\\{key}", view=VIEW[kind]))["values"]
    return run("/S" if kind == "nsis" else "/VERYSILENT", program=values["UninstallString"][1].strip('"'))


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_installer_brings_its_uninstaller_takes_away(kind: str, ask: Ask, computer: Computer) -> None:
    before = unclocked(computer)
    data, line, key = KINDS[kind]
    begin(ask, data, run(line, program=WINDOWS_INSTALLER if kind == "msi" else FILE))
    assert ended(ask)["exit"] == 0
    assert key in programs(ask, VIEW[kind])
    assert services.runs(computer.state, "OPTool") is (kind == "inno")
    assert ask(calls.job_close(ID)) is None
    assert ask(uninstalled(ask, kind, key))["exit"] == 0
    ask(calls.job_read(ID))
    assert key not in programs(ask, VIEW[kind])
    assert unclocked(computer) == before


@pytest.mark.parametrize(
    ("made", "key", "service"),
    [(servers.database_server, "FBDBServer_3_0_is1", "FirebirdServerDefaultInstance"), (servers.backup_station, "7-Zip", "")],
)
def test_what_the_labs_servers_come_with_can_be_removed(made: Callable[[], State], key: str, service: str) -> None:
    computer = Computer(made())
    ask = asking(computer)
    assert ask(uninstalled(ask, "inno", key))["exit"] == 0
    assert key not in programs(ask)
    assert services.find(computer.state, service) is None


def test_an_uninstaller_may_return_before_its_work_is_done(ask: Ask) -> None:
    begin(ask, nsis(after=2), run("/S"))
    ended(ask)
    assert ask(run("/S", program="C:\\Program Files\\OP Editor\\uninstall.exe"))["exit"] == 0
    seen = [("OPEditor" in programs(ask), ask(calls.job_read(ID))) for _ in range(3)]
    assert [there for there, _ in seen] == [True, True, False]


def direct(ask: Ask, data: bytes, call: Write) -> Any:
    for write in (calls.job_open(ID), *pushed(FILE, data)):
        assert ask(write) is None
    return ask(call)


def test_an_installer_that_is_not_told_to_be_silent_waits_for_somebody(ask: Ask) -> None:
    assert direct(ask, inno(), run("/NORESTART")) == {"ended": False, "whole": True, "stdout": "", "stderr": ""}
    assert direct(ask, inno(hangs=True), run())["ended"] is False
    assert "OPTool_is1" not in programs(ask)


def test_a_child_that_stays_holds_the_output_open_and_no_more(ask: Ask) -> None:
    answer = direct(ask, inno(holds_pipes=True), run())
    assert (answer["whole"], answer["exit"]) == (False, 0)


@pytest.mark.parametrize(("code", "there"), [(0, True), (3010, True), (1641, True), (1, False), (1603, False)])
def test_an_installer_that_fails_leaves_nothing_but_its_log(code: int, there: bool, ask: Ask) -> None:
    assert direct(ask, inno(exit=code, log="why"), run())["exit"] == code
    assert ("OPTool_is1" in programs(ask)) is there
    log = base64.b64decode(ask(calls.file_read(LOG))["bytes"]).decode()
    assert log == f"Command line: {QUIET}\r\nwhy"


@pytest.mark.parametrize("option", ["/l*v", "/log", "/L*V", "/liwe"])
def test_windows_installer_writes_its_log_as_utf_16(option: str, ask: Ask) -> None:
    direct(ask, msi(log="ä"), run(f'/i "{FILE}" /qn {option} "{LOG}"', program=WINDOWS_INSTALLER))
    assert base64.b64decode(ask(calls.file_read(LOG))["bytes"]).decode("utf-16").endswith("ä")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('/i "C:\\No such.msi" /qn', 1619),
        (f"/x {CODE} /qn", 1605),
        (f"/x{CODE} /qn", 1605),
        ("/qn", 1639),
        ("/i", 1639),
        (f'/i "{FILE}" /qn /l*v "C:\\no such folder\\log"', 1622),
        (f'/i "{FILE}" /qn', 3010),
    ],
)
def test_windows_installers_own_codes(line: str, code: int, ask: Ask) -> None:
    assert direct(ask, msi(exit=3010), run(line, program=WINDOWS_INSTALLER))["exit"] == code


def test_an_msi_that_needs_system_refuses_a_network_logon(ask: Ask) -> None:
    assert direct(ask, msi(needs="system"), run(f'/i "{FILE}" /qn', program=WINDOWS_INSTALLER))["exit"] == 1603


def test_windows_installer_does_one_thing_at_a_time(ask: Ask, computer: Computer) -> None:
    other, line = ID[::-1], f'/i "{FILE}" /qn'
    begin(ask, msi(takes=2), run(line, program=WINDOWS_INSTALLER))
    for write in (calls.job_open(other), calls.job_start(other, [run(line, program=WINDOWS_INSTALLER)])):
        assert ask(write) is None
    assert ended(ask)["exit"] == 0
    assert [one["exit"] for one in computer.state.installer_runs] == [1618, 0]


# ---------------------------------------------------------------- what is checked before it runs


def test_what_is_run_has_the_hash_that_was_promised(ask: Ask) -> None:
    data = inno()
    assert direct(ask, data, run(file=FILE, sha256=digest(data).upper()))["exit"] == 0
    assert ask(run(file=FILE, sha256=digest(b""))).id == "opdeploy.BadHash"
    assert ask(run(file=f"{FILE}x", sha256=digest(data))).type == "System.IO.FileNotFoundException"


@pytest.mark.parametrize(
    ("signed_by", "told"),
    [
        ({}, "NotSigned"),
        (SIGNER | {"status": "HashMismatch"}, "HashMismatch"),
        (SIGNER | {"issuer": "CN=Somebody"}, "CN=Somebody"),
        (SIGNER | {"subject": "CN=op software (lab)"}, "CN=op software"),
    ],
)
def test_what_is_run_is_signed_as_promised_or_not_run(signed_by: dict[str, str], told: str, ask: Ask) -> None:
    wanted = {"subject": SIGNER["subject"], "issuer": SIGNER["issuer"]}
    right, wrong = inno(signed_by=SIGNER), inno(signed_by=signed_by)
    assert direct(ask, right, run(file=FILE, sha256=digest(right), **wanted))["exit"] == 0
    refused = direct(ask, wrong, run(file=FILE, sha256=digest(wrong), **wanted))
    assert (refused.id, told in refused.message) == ("opdeploy.BadSigner", True)


def test_what_is_downloaded_is_checked_as_well_and_takes_its_looks(ask: Ask, computer: Computer) -> None:
    url, data = "https://downloads.example.org/setup.exe", inno(takes=2)
    fetched = run(file=FILE, sha256=digest(data), url=url)
    assert direct(ask, b"", fetched).type == "System.Net.WebException"
    offered(computer.state, url, b"something else")
    assert ask(fetched).id == "opdeploy.BadHash"
    offered(computer.state, url, data)
    assert ask(calls.job_start(ID, [fetched])) is None
    assert [record(ask).running for _ in range(3)] == [True, True, False]
    assert "OPTool_is1" in programs(ask)


def test_what_is_no_lab_installer_is_an_error_and_no_silent_success(ask: Ask, computer: Computer) -> None:
    assert direct(ask, b"MZ", run()).id == "lab.NotModelled"
    assert ask(run(program="C:\\Windows\\System32\\drivers")).id == "lab.NotModelled"
    assert ask(run(program="C:\\nothing.exe")).type == "System.ComponentModel.Win32Exception"
    assert computer.state.installer_runs == []
    with pytest.raises(TypeError):
        installers.content(take=1)


def test_an_installer_needs_an_elevated_token() -> None:
    computer = Computer(servers.filtered(servers.database_server()))
    files.put_file(computer.state, "C:\\Windows\\Temp\\setup.exe", "S-1-5-18", inno())
    answer = asking(computer)(run("/VERYSILENT", program="C:\\Windows\\Temp\\setup.exe"))
    assert answer.type == "System.ComponentModel.Win32Exception"


def test_only_the_write_half_runs_anything(ask: Ask) -> None:
    for call in (calls.job_open(ID), calls.job_start(ID, [run()]), calls.job_close(ID), run()):
        assert ask(call, write_half=False).id == "opdeploy.NoVerb"

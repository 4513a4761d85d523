"""What the job verbs and `install.run` promise: a closed folder, a runner with a record, an installer that is checked.

Where there is no Windows, an engine starts /bin/sh for an installer; what hangs on WMI, tasks or lists of access is not asked
of it. On a live server cmd.exe is the installer, and nothing stays.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lab_installers import digest, pushed
from verb_ports import Port

from opdeploy import calls
from opdeploy.calls import Call, Failure, Write
from opdeploy.lab.windows import installers
from opdeploy.resources import jobs
from opdeploy.resources.base import Answers

ID = "c0ffee00c0ffee00c0ffee00c0ffee00"
FOLDER = f"C:\\ProgramData\\opdeploy-{ID}"
FILE = f"{FOLDER}\\setup.exe"
DATA = installers.content(exit=7)
LOOKS = 600  # at a job, before it is given up
ENDS_WITH_7 = {
    "model": (FILE, ""),
    "engine": ("/bin/sh", '-c "exit 7"'),
    "live": (r"C:\Windows\System32\cmd.exe", "/c exit 7"),
}
START = calls.job_start(ID, [calls.install_run("x", "", 1)])


@dataclass(frozen=True)
class Host:
    """Who answers, and what ends with 7 there; `file` holds DATA."""

    port: Port
    run: Callable[..., Write]
    file: str

    def ask(self, *given: Call, writes: int = 0) -> list[Any]:
        answers = self.port.ask(given, writes)
        assert [answer for answer in answers if isinstance(answer, Failure)] == []
        return answers

    def write(self, *given: Write) -> None:
        assert self.ask(*given, writes=len(given)) == [None] * len(given)

    def fails(self, call: Call) -> Failure:
        answer = self.port.ask([call], writes=int(isinstance(call, Write)))[0]
        assert isinstance(answer, Failure)
        return answer


def host(port: Port, name: str, file: str = FILE) -> Host:
    program, line = ENDS_WITH_7[name]
    return Host(port, lambda **given: calls.install_run(program, line, 60, **given), file)


@pytest.fixture
def anyone(port: Port, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    name = request.node.callspec.params["port"]
    if name == "engine":
        (tmp_path / "setup.exe").write_bytes(DATA)
        yield host(port, name, str(tmp_path / "setup.exe"))
        return
    yield from _with_a_folder(host(port, name))


@pytest.fixture
def opened(windows: Port, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A job's folder, with an installer in it."""
    yield from _with_a_folder(host(windows, request.node.callspec.params["windows"]))


def _with_a_folder(host: Host) -> Iterator[Host]:
    host.write(calls.job_open(ID), *pushed(FILE, DATA))
    yield host
    host.write(calls.job_close(ID))


# ---------------------------------------------------------------- jobs


@pytest.mark.parametrize(
    "call", [calls.job_read("x"), calls.job_start("x", [calls.install_run("x", "", 1)]), calls.job_close("..")]
)
def test_only_a_job_is_a_job(port: Port, call: Call) -> None:
    (answer,) = port.ask([call], writes=int(isinstance(call, Write)))
    assert isinstance(answer, Failure)
    assert answer.id == "opdeploy.BadName"


def test_a_job_that_there_is_not_is_told_with_its_folder(port: Port) -> None:
    (job,) = port.ask([calls.job_read(ID[::-1])])
    assert isinstance(job, dict)
    assert job.pop("folder").endswith(f"opdeploy-{ID[::-1]}")
    assert job == {"there": False, "running": False}


def test_a_jobs_folder_is_closed_and_may_be_opened_again(opened: Host) -> None:
    opened.write(calls.job_open(ID))
    (list_, job) = opened.ask(calls.sddl_read(FOLDER), calls.job_read(ID))
    assert list_ in [f"O:BAG:BAD:{flags}(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)" for flags in ("P", "PAI")]
    assert job == {"folder": FOLDER, "there": True, "running": False}


def test_a_folder_that_others_may_have_made_is_not_used(windows: Port) -> None:
    made = host(windows, "model")
    made.write(calls.cmdlet_write("New-Item", ItemType="Directory", Path=FOLDER))
    try:
        for call in (calls.job_open(ID), START, calls.job_close(ID)):
            assert made.fails(call).id == "opdeploy.NotClosed"
    finally:
        made.write(calls.cmdlet_write("Remove-Item", LiteralPath=FOLDER))


def test_a_closed_job_is_gone_and_may_be_closed_again(opened: Host) -> None:
    opened.write(calls.job_close(ID), calls.job_close(ID))
    assert opened.ask(calls.job_read(ID), calls.file_stat(FOLDER))[1] is None
    assert opened.fails(START).id.startswith("GetAcl_PathNotFound,")


def ended(host: Host) -> jobs.Record:
    """The record of the job when its runner has gone."""
    for _ in range(LOOKS):
        if not host.ask(calls.job_read(ID))[0]["running"]:
            break
    reads = dict(jobs.reads(ID))
    answers = dict(zip((reads["job"].key,), host.ask(reads["job"]), strict=True))
    further = dict(jobs.then_reads(Answers(reads, answers)))
    answers |= dict(zip((read.key for read in further.values()), host.ask(*further.values()), strict=True))
    record = jobs.record(Answers({**reads, **further}, answers))
    assert record is not None
    return record


@pytest.mark.parametrize("elevated", [False, True], ids=["as its session", "as SYSTEM"])
def test_a_job_makes_its_writes_and_records_what_they_answered(opened: Host, elevated: bool) -> None:
    run = opened.run(file=FILE, sha256=digest(DATA))
    opened.write(calls.job_start(ID, [run], elevated=elevated))
    record = ended(opened)
    assert (record.begun, record.ended, record.lost) == (True, True, False)
    assert record.process > 0
    assert record.value["exit"] == 7
    task = calls.cmdlet_read("Export-ScheduledTask", [], TaskName=f"opdeploy-{ID}", TaskPath="\\")
    assert opened.fails(task).category == "ObjectNotFound"
    assert opened.ask(calls.file_stat(f"{FOLDER}\\order")) == [None]


def test_a_record_ends_with_the_first_failure(opened: Host) -> None:
    opened.write(calls.job_start(ID, [opened.run(file=FILE, sha256=digest(b"")), opened.run()]))
    record = ended(opened)
    assert record.ended
    assert isinstance(record.value, Failure)
    assert record.value.id == "opdeploy.BadHash"


# ---------------------------------------------------------------- installers


def test_an_installer_ends_with_its_code(anyone: Host) -> None:
    (answer,) = anyone.ask(anyone.run(file=anyone.file, sha256=digest(DATA)), writes=1)
    assert (answer["ended"], answer["whole"], answer["exit"]) == (True, True, 7)
    assert base64.b64decode(answer["stdout"] + answer["stderr"]) == b""


def test_an_installer_with_another_hash_is_not_run(anyone: Host) -> None:
    assert anyone.fails(anyone.run(file=anyone.file, sha256=digest(b""))).id == "opdeploy.BadHash"
    missing = anyone.fails(anyone.run(file=f"{anyone.file}.none", sha256=digest(DATA)))
    assert missing.type == "System.IO.FileNotFoundException"


def test_an_installer_that_nobody_signed_is_not_run(opened: Host) -> None:
    signed = opened.run(file=FILE, sha256=digest(DATA), subject="CN=Somebody", issuer="CN=Somebody else")
    assert opened.fails(signed).id == "opdeploy.BadSigner"

"""``opdeploy handover`` on the lab's practice: every resource of it stands in the file, as it was seen, or as not seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from command_line import Done
from fleet import Fleet, fleet
from lab_practice import desired_by_host

from opdeploy.model import ExitCode

STEP = "check-the-restore"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Applied."""
    with fleet(tmp_path_factory.mktemp("handover")) as practice:
        assert practice.run("apply", "--yes").code == ExitCode.OK
        yield practice


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Host and id of each resource of the lab's inventory."""
    desired = desired_by_host(tmp_path_factory.mktemp("desired") / "lab")
    return {(name, m.resource.address) for name, found in desired.items() for m in found.resources}


def sections(done: Done) -> dict[str, list[dict[str, Any]]]:
    return {section["id"]: section["rows"] for section in json.loads(done.out)["sections"]}


def resources(done: Done) -> list[dict[str, Any]]:
    return [row for rows in sections(done).values() for row in rows if row["id"]]


def step(done: Done) -> str:
    """How the step was seen."""
    (row,) = [row for row in sections(done)["steps"] if row["id"] == f"manual_step/{STEP}"]
    return str(row["cells"]["As it was seen"])


def told(done: Done) -> set[tuple[str, str]]:
    return {(row["cells"]["Server"], row["id"]) for row in resources(done)}


# ---------------------------------------------------------------- what is in it


def test_every_resource_of_the_practice_stands_in_it(made: Fleet, every: set[tuple[str, str]]) -> None:
    done = made.run("handover", "--format", "json")
    assert told(done) == every
    seen = {row["id"]: row["verdict"] for row in resources(done)}
    assert set(seen.values()) == {"in_sync", "would_change", "not_applicable"}
    assert {id for id, verdict in seen.items() if verdict == "not_applicable"} == {
        "manual_step/nexhealth-antivirus-exclusions",  # Defender guards db1
        r"defender_exclusion/path D:\OP\Copies",  # and not backup1
    }
    open_ones = {row["id"] for row in resources(done) if row["verdict"] == "would_change"}
    assert f"manual_step/{STEP}" in open_ones
    assert {id.partition("/")[0] for id in open_ones} == {"manual_step"}
    assert done.code == ExitCode.OK


def test_both_forms_say_the_same(made: Fleet) -> None:
    made.run("handover", "--out", str(made.folder / "both.html"))
    page = (made.folder / "both.html").read_text(encoding="utf-8")
    cells = [unescape(cell) for cell in re.findall(r"<t[dh](?: scope=\"row\")?>(.*?)</t[dh]>", page, re.DOTALL)]
    rows = [row for rows in sections(made.run("handover", "--format", "json")).values() for row in rows]
    assert cells == [cell for row in rows for cell in row["cells"].values()]


def test_a_program_has_the_version_that_was_found(made: Fleet) -> None:
    programs = {row["cells"]["Program"]: row["cells"] for row in sections(made.run("handover", "--format", "json"))["programs"]}
    assert programs["Notepad++"]["Version there"] == "8.6.9"
    assert programs["Notepad++"]["Version wanted"] == "at least 8.6"
    assert re.fullmatch("[0-9a-f]{64}", programs["OPMsg"]["SHA-256 of the installer"])


def test_what_was_changed_since_is_said(made: Fleet) -> None:
    asked, otherwise = "Spooler: { start_mode: automatic, state: running }", "Spooler: { start_mode: manual }"
    made.edit("group_vars/backup_stations.yml", asked, otherwise)
    done = made.run("handover", "--format", "json")
    made.edit("group_vars/backup_stations.yml", otherwise, asked)
    (service,) = [row["cells"] for row in sections(done)["services"] if row["verdict"] == "would_change"]
    assert (service["Server"], service["As it was seen"]) == ("backup1", "start_mode: automatic → manual")
    assert done.code == ExitCode.CHANGES


def test_every_role_is_told_how_to_take_away(made: Fleet) -> None:
    found = sections(made.run("handover", "--format", "json"))
    roles = {role for rows in found.values() for row in rows for role in row["roles"]}
    commands = [row["cells"]["Command"] for row in found["removal"]]
    assert sorted(commands) == sorted(f"opdeploy remove --role {role} -i {made.inventory}" for role in roles)


def test_a_step_is_open_until_it_is_signed(made: Fleet) -> None:
    def seen() -> str:
        return step(made.run("handover", "--format", "json"))

    assert seen().startswith("open: ")
    made.run("step", "sign", STEP, "--by", "anna", "--note", "three charts opened")
    assert re.fullmatch(r"signed off by anna on \d{4}-\d\d-\d\d: three charts opened", seen())
    made.run("step", "withdraw", STEP)


# ---------------------------------------------------------------- hosts that are not there


@pytest.fixture
def unreachable(made: Fleet) -> Iterator[str]:
    """backup1, at a port where nobody listens."""
    hosts = made.inventory / "hosts.yml"
    text = hosts.read_text(encoding="utf-8")
    hosts.write_text(text.replace(str(made.boxes["backup1"].server.port), "1"), encoding="utf-8")
    yield "backup1"
    hosts.write_text(text, encoding="utf-8")


def test_a_server_out_of_reach_is_in_it_as_it_should_be(made: Fleet, unreachable: str, every: set[tuple[str, str]]) -> None:
    done = made.run("handover", "--format", "json")
    assert done.code == ExitCode.UNKNOWN
    assert f"warning: {unreachable} was not read: " in done.err
    assert told(done) == every
    rows = [
        row for row in resources(done) if row["cells"]["Server"] == unreachable and not row["id"].startswith("manual_step/")
    ]
    verdicts = {row["verdict"] for row in rows}
    assert verdicts == {"unknown"}
    (server,) = [row["cells"] for row in sections(done)["servers"] if row["cells"]["Server"] == unreachable]
    assert server["As it was seen"].startswith("not read: ")


def test_steps_of_a_server_out_of_reach_keep_their_sign_off(made: Fleet, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    made.run("step", "sign", STEP, "--by", "anna", "--note", "done")
    signed = made.run("handover", "--from", str(tmp_path / "none"), "--format", "json")
    made.run("step", "withdraw", STEP)
    unsigned = made.run("handover", "--from", str(tmp_path / "none"), "--format", "json")
    texts = [step(done) for done in (signed, unsigned)]
    assert texts[0].startswith("signed off by anna on ")
    assert texts[1] == "open: not signed off as it stands now"


def test_it_can_be_written_from_snapshots(made: Fleet, every: set[tuple[str, str]]) -> None:
    folder = str(made.folder / "snapshots")
    made.run("snapshot", "take", "db1", "ts1", "--out", folder)
    since = made.mark()
    done = made.run("handover", "--from", folder, "--format", "json")
    assert made.heard(since) == []
    assert told(done) == every
    servers = {row["cells"]["Server"]: row["cells"]["As it was seen"] for row in sections(done)["servers"]}
    assert re.fullmatch(r"its answers of \d{4}-.*Z, from a snapshot", servers["db1"])
    assert servers["backup1"] == f"not read: no snapshot of it in {folder}"


# ---------------------------------------------------------------- where it goes


def test_the_file_is_named_by_practice_and_day(made: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = made.run("handover", str(made.inventory), "--store", str(made.store), where=False)
    (written,) = tmp_path.iterdir()
    assert re.fullmatch(r"handover-lab-\d{4}-\d\d-\d\d\.html", written.name)
    assert done.out == f"{written.name}\n"
    assert written.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_json_may_go_to_a_file_too(made: Fleet) -> None:
    file = made.folder / "told.json"
    done = made.run("handover", "--format", "json", "--out", str(file))
    assert done.out == f"{file}\n"
    assert json.loads(file.read_text(encoding="utf-8"))["schema"] == "opdeploy.handover/1"


def test_a_place_that_can_not_be_written_is_said_before_hosts_are_read(made: Fleet) -> None:
    since = made.mark()
    done = made.run("handover", "--out", "/no/such/folder/handover.html")
    assert (done.code, made.heard(since)) == (ExitCode.USAGE, [])
    assert done.err == "error: /no/such/folder: no such folder\n    name another file with --out\n"


def test_nothing_is_written_on_a_host(made: Fleet) -> None:
    before = made.states()
    made.run("handover", "--format", "json")
    assert made.states() == before

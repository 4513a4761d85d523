"""``opdeploy step``: listed, signed off by the text as it stands, opened again; whatever is ambiguous is asked back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from command_line import Done, opdeploy
from roles_at_hand import ENVIRONMENT, inventory

from opdeploy.cli.app import app
from opdeploy.store import Store

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/steps.schema.json").read_text(encoding="utf-8"))
DISK = {
    "id": "take-the-disk-home",
    "title": "Take the disk home",
    "who": "whoever closes the practice",
    "how": "Eject it.\nPut the other one in.",
    "why": "only a disk that is elsewhere survives a fire",
}
ACTIVATE = {"id": "activate-windows", "title": "Activate Windows", "who": "practice IT", "how": "slui 4", "why": "no key here"}
SIGNED = ("--by", "anna", "--note", "disk B is in the safe")


@dataclass
class Desk:
    """A practice of two hosts, and somebody at its keyboard."""

    folder: Path

    def write(self, **steps: list[dict[str, str]]) -> None:
        inventory(self.folder / "practice", {host: {"resources": {"manual_step": found}} for host, found in steps.items()})

    def __call__(self, *arguments: str) -> Done:
        where = ("-i", str(self.folder / "practice"), "--store", str(self.folder / "store"))
        return opdeploy("step", *arguments, *where, store=self.folder)

    def listed(self) -> list[dict[str, Any]]:
        document = json.loads(self("list", "--format", "json").out)
        jsonschema.validate(document, SCHEMA)
        return document["steps"]

    def signed(self) -> dict[str, list[str]]:
        store = Store.open(self.folder / "store")
        found = {host: sorted(store.steps(host)) for host in ("db1", "backup1")}
        store.close()
        return {host: ids for host, ids in found.items() if ids}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    made = Desk(tmp_path)
    made.write(db1=[ACTIVATE], backup1=[ACTIVATE, DISK])
    return made


# ---------------------------------------------------------------- list


def test_every_step_is_listed_with_what_became_of_it(desk: Desk) -> None:
    desk("sign", DISK["id"], *SIGNED)
    (at,) = [step["signed"]["at"] for step in desk.listed() if step["signed"]]
    assert desk("list").out.splitlines() == [
        "db1/activate-windows        Activate Windows                                open",
        "backup1/activate-windows    Activate Windows                                open",
        "backup1/take-the-disk-home  Take the disk home                              "
        f"signed off by anna on {at[:10]}: disk B is in the safe",
    ]


def test_a_program_gets_all_of_it(desk: Desk) -> None:
    desk("sign", DISK["id"], *SIGNED)
    *_, told = desk.listed()
    signed = told.pop("signed")
    assert told == {"host": "backup1", "roles": ["resources"], "unless_defender": False, "state": "signed", **DISK}
    assert (signed["by"], signed["note"], sorted(signed)) == ("anna", "disk B is in the safe", ["at", "by", "note"])


def test_one_that_hangs_on_the_hosts_antivirus_says_so(desk: Desk) -> None:
    desk.write(db1=[{**ACTIVATE, "unless_defender": True}])
    assert desk("list").out.rstrip().endswith("  open, unless Defender is active there: a plan tells")
    assert [step["unless_defender"] for step in desk.listed()] == [True]


def test_a_text_that_has_changed_since_is_open(desk: Desk) -> None:
    desk("sign", DISK["id"], *SIGNED)
    desk.write(db1=[], backup1=[{**DISK, "how": "Eject it twice."}])
    assert [step["state"] for step in desk.listed()] == ["changed"]
    assert "open: signed off by anna on " in desk("list").out
    assert desk("sign", DISK["id"], "--by", "berta", "--note", "twice").code == 0
    assert [(step["state"], step["signed"]["by"]) for step in desk.listed()] == [("signed", "berta")]


# ---------------------------------------------------------------- sign


def test_who_signs_is_shown_what(desk: Desk) -> None:
    done = desk("sign", DISK["id"], *SIGNED)
    assert (done.code, done.err) == (0, "signed off by anna: disk B is in the safe\n")
    assert done.out.splitlines() == [
        "backup1/take-the-disk-home  Take the disk home",
        "      who              whoever closes the practice",
        "      how              Eject it.",
        "                       Put the other one in.",
        "      why              only a disk that is elsewhere survives a fire",
    ]
    assert desk.signed() == {"backup1": ["take-the-disk-home"]}


@pytest.mark.parametrize(
    ("arguments", "signed"),
    [
        (("db1/activate-windows",), {"db1": ["activate-windows"]}),
        (("activate-windows", "--limit", "backup1"), {"backup1": ["activate-windows"]}),
        (("activate-windows", "--limit", "*1"), {"db1": ["activate-windows"], "backup1": ["activate-windows"]}),
        (
            ("take-the-disk-home", "db1/activate-windows"),
            {"db1": ["activate-windows"], "backup1": ["take-the-disk-home"]},
        ),
    ],
)
def test_a_step_is_named_by_its_id_and_its_host(desk: Desk, arguments: tuple[str, ...], signed: dict[str, list[str]]) -> None:
    assert desk("sign", *arguments, *SIGNED).code == 0
    assert desk.signed() == signed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("activate-windows", *SIGNED), "error: activate-windows is a step of db1, backup1\n    say db1/activate-windows"),
        (("take-teh-disk-home", *SIGNED), "did you mean take-the-disk-home?"),
        (("db1/take-the-disk-home", *SIGNED), "error: no manual step db1/take-the-disk-home of these hosts"),
        (("take-the-disk-home", "--limit", "db1", *SIGNED), "there are: activate-windows"),
        (("take-the-disk-home", "nothing", *SIGNED), "error: no manual step nothing of these hosts"),
        (("take-the-disk-home", "--by", "anna"), "Missing option '--note'"),
        (("take-the-disk-home", "--note", "done"), "Missing option '--by'"),
        (("take-the-disk-home", "--by", " ", "--note", "done"), "expected a line of text"),
        (("take-the-disk-home", "--by", "anna", "--note", "a\x1b[2J"), "expected a line of text"),
        (("--by", "anna", "--note", "done"), "Missing argument 'ID...'"),
    ],
)
def test_what_is_not_clear_is_64_and_signs_nothing(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    done = desk("sign", *arguments)
    assert (done.code, done.out, said in done.err) == (64, "", True), done.err
    assert desk.signed() == {}


def test_what_is_signed_already_keeps_its_name(desk: Desk) -> None:
    desk("sign", DISK["id"], *SIGNED)
    done = desk("sign", DISK["id"], "db1/activate-windows", "--by", "berta", "--note", "me too")
    assert (done.code, done.out) == (64, "")
    assert "backup1/take-the-disk-home is signed off by anna on " in done.err
    assert "opdeploy step withdraw backup1/take-the-disk-home" in done.err
    assert desk.signed() == {"backup1": ["take-the-disk-home"]}


def test_a_bad_inventory_is_told_before_anything_is_kept(desk: Desk) -> None:
    desk.write(db1=[{**DISK, "id": "Take it home"}])
    done = desk("sign", DISK["id"], *SIGNED)
    assert (done.code, "lower-case words with dashes" in done.err) == (64, True)
    assert not (desk.folder / "store").exists()


def test_a_practice_without_any_says_so(desk: Desk) -> None:
    desk.write(db1=[])
    assert "there are none" in desk("sign", "x", *SIGNED).err
    assert (desk("list").code, desk("list").out) == (0, "")


# ---------------------------------------------------------------- withdraw


def test_a_sign_off_can_be_taken_back(desk: Desk) -> None:
    desk("sign", DISK["id"], *SIGNED)
    done = desk("withdraw", DISK["id"])
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("backup1/take-the-disk-home  open again; it was signed off by anna on ")
    assert desk.signed() == {}


def test_what_is_not_signed_can_not_be_taken_back(desk: Desk) -> None:
    desk("sign", DISK["id"], *SIGNED)
    done = desk("withdraw", DISK["id"], "db1/activate-windows")
    assert (done.code, "db1/activate-windows is not signed off" in done.err) == (64, True)
    assert desk.signed() == {"backup1": ["take-the-disk-home"]}


# ---------------------------------------------------------------- help and completion


@pytest.mark.parametrize("command", ["list", "sign", "withdraw"])
def test_help_has_examples(command: str) -> None:
    assert "opdeploy step " in CliRunner().invoke(app, ["step", command, "--help"]).output.partition("Example")[2]


def completed(folder: Path, line: str) -> list[str]:
    words = {"_OPDEPLOY_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "opdeploy"], env={**os.environ, **words}, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [one.partition(",")[2] for one in done.stdout.split()]


def test_ids_are_completed_as_they_may_be_written(desk: Desk, tmp_path: Path) -> None:
    assert completed(tmp_path, "opdeploy step sign -i practice ") == [
        "db1/activate-windows", "backup1/activate-windows", "take-the-disk-home",
    ]  # fmt: skip
    assert completed(tmp_path, "opdeploy step sign -i practice --limit backup1 a") == ["activate-windows"]
    assert completed(tmp_path, "opdeploy step withdraw -i nowhere ") == []

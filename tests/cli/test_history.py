"""``opdeploy history``: runs listed, one shown; what was killed is said, what is misspelt is asked back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import past
import pytest
import runs
from clock import stopped
from command_line import Done, opdeploy
from night import night_in

from opdeploy.results import Item
from opdeploy.store import Store

SCHEMAS = Path(__file__).parents[2] / "docs/schemas"
SCHEMA = json.loads((SCHEMAS / "history.schema.json").read_text(encoding="utf-8"))
FAILED = replace(past.ITEM, outcome="failed", error="access denied")
APPLIED = replace(past.EXTRA, outcome="applied")


@dataclass
class Desk:
    """Somebody who looks at a store."""

    folder: Path

    def __call__(self, *arguments: str) -> Done:
        return opdeploy("history", *arguments, "--store", str(self.folder), store=self.folder)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        document = json.loads(self("list", *arguments, "--format", "json").out)
        jsonschema.validate(document, SCHEMA)
        found: list[dict[str, Any]] = document["runs"]
        return found

    def ids(self, *arguments: str) -> list[str]:
        return [one["run_id"] for one in self.listed(*arguments)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Three days: a plan, an apply of it, and one that was killed."""
    with closing(Store.open(tmp_path)) as store:
        past.planned(store, "2026-11-01")
        past.applied(store, "2026-11-02", APPLIED, FAILED)
        past.killed(store, "2026-11-03", during=Item(runs.LATER))
    return Desk(tmp_path)


PLAN, APPLY, KILLED = (past.run_id(f"2026-11-0{day}", ending) for day, ending in ((1, "0a0a0a"), (2, "0b0b0b"), (3, "0c0c0c")))


# ---------------------------------------------------------------- list


def test_runs_are_listed_the_newest_first(desk: Desk) -> None:
    assert desk("list").out.splitlines() == [
        f"{KILLED}  2026-11-03 03:00 UTC  apply  anna@admin-pc  inventories/lab  never ended  1 begun and never ended",
        f"{APPLY}  2026-11-02 03:00 UTC  apply  anna@admin-pc  inventories/lab  exit 1       1 applied · 1 failed · 1 approval",
        f"{PLAN}  2026-11-01 03:00 UTC  plan   anna@admin-pc  inventories/lab  exit 3       "
        "5 would change · 1 unknown · 1 unreachable",
    ]


def test_a_host_has_what_changed_there(desk: Desk) -> None:
    out = desk("list", "DB1.example").out
    assert f"    - service            {'Leftover':<46} applied\n" in out
    assert "recovery, grants, dependencies: failed: access denied\n" in out
    assert f"    ~ service            {'FirebirdGuardian':<46} grants: begun 20" in out
    assert desk.ids("ts1.example") == [PLAN]
    assert out.count("\n") == 6


def test_what_somebody_changed_on_a_host_is_told_once(desk: Desk) -> None:
    with closing(Store.open(desk.folder)) as store:
        for day, seen in (("2026-11-04", ""), ("2026-11-05", "2026-11-04T03:00:00Z")):
            drifted = runs.host("db1.example", replace(past.ITEM, drift=past.drifted("corrective", seen)))
            past.planned(store, day, drifted, command="drift")
    out = desk("list", "db1.example", "--command", "drift").out
    assert out.count("1 corrective") == 2
    assert out.count("recovery, grants, dependencies: found changed on the host") == 1


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--command", "apply"), [KILLED, APPLY]),
        (("--command", "drift"), []),
        (("-n", "1"), [KILLED]),
        (("--since", "2026-11-02"), [KILLED, APPLY]),
        (("backup1.example",), [PLAN]),
    ],
)
def test_a_list_is_narrowed(desk: Desk, arguments: tuple[str, ...], found: list[str]) -> None:
    assert desk.ids(*arguments) == found


def test_a_length_of_time_counts_back_from_now(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(monkeypatch, "cli.history", day=12)
    assert desk.ids("--since", "11d") == [KILLED, APPLY]


def test_a_program_gets_all_of_it(desk: Desk) -> None:
    killed, applied, _ = desk.listed("db1.example")
    assert (killed["finished_at"], killed["exit_code"], killed["came_to"]["never_ended"]) == (None, None, 1)
    assert applied["approvals"][0]["note"] == "as agreed"
    assert [(one["id"], one["outcome"]) for one in applied["changes"]] == [
        ("service/Leftover", "applied"),
        ("service/FirebirdServerDefaultInstance", "failed"),
    ]
    assert applied["changes"][0]["properties"] == {"start_mode": {"before": "automatic", "after": None}}


# ---------------------------------------------------------------- show


def test_a_run_is_shown_with_who_and_by_whose_word(desk: Desk) -> None:
    out = desk("show", APPLY).out.splitlines()
    assert out[0] == f"apply {APPLY}"
    assert out[1].startswith("  by anna@admin-pc on 2026-11-02 03:00 UTC, ended 20")
    assert out[1].endswith("exit 1")
    assert out[3] == "  of the plan sha256:" + "7" * 64
    assert out[4] == "  approved by berta on 2026-11-20 08:00 UTC until 2026-11-27 08:00 UTC, key SHA256:k3y: as agreed"
    assert out[6] == "db1.example  Windows Server 2022 (20348), PowerShell 5.1"
    assert "      dependencies     RpcSs → RpcSs, Tcpip" in out
    assert "      failed: access denied" in out


def test_what_was_sent_is_shown_to_who_wants_it(desk: Desk) -> None:
    assert "sent to the hosts: " in desk("show", APPLY).out
    assert "Set-Service" not in desk("show", APPLY).out
    assert "  write  cmdlet.write Set-Service\n" in desk("show", APPLY, "-v").out


def test_a_killed_run_is_shown_as_one(desk: Desk) -> None:
    out = desk("show", KILLED).out
    assert "on 2026-11-03 03:00 UTC, never ended\n" in out
    assert "and never ended: nobody knows what came of it" in out


def test_a_run_is_shown_to_a_program(desk: Desk) -> None:
    document = json.loads(desk("show", PLAN, "--format", "json").out)
    jsonschema.validate(document, json.loads((SCHEMAS / "report.schema.json").read_text(encoding="utf-8")))
    assert (document["run_id"], len(document["hosts"])) == (PLAN, 3)


@pytest.mark.parametrize(("form", "begins"), [("csv", "host,"), ("junit", "<?xml"), ("html", "<!DOCTYPE html>")])
def test_a_run_is_shown_in_every_form_of_a_report(desk: Desk, form: str, begins: str) -> None:
    done = desk("show", APPLY, "--format", form)
    assert (done.code, done.err, done.out[: len(begins)].lower()) == (0, "", begins.lower())
    assert all(word in done.out for word in ("FirebirdServerDefaultInstance", "access denied"))


def test_half_a_surrogate_pair_of_a_hosts_is_shown_written_out(desk: Desk) -> None:
    half = "\ud800"
    change = replace(runs.service(f"key{half}", display_name=(f"value{half}", "Firebird")), reason=f"reason{half}")
    items = [Item(change, outcome="failed", error=f"error{half}"), Item(runs.EXTRA)]
    with closing(Store.open(desk.folder)) as store:
        run = past.planned(store, "2026-11-04", runs.host("db1", *items), runs.host("db2", machine=None, error=f"host{half}"))
    out = desk("show", run).out
    assert [word for word in ("key", "value", "reason", "error", "host") if rf"{word}\ud800" not in out] == []
    assert half not in out


def test_the_beginning_of_an_id_is_enough(desk: Desk) -> None:
    assert desk("show", "20261102").out.startswith(f"apply {APPLY}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "202611"), "error: 3 runs begin with 202611\n    among them "),
        (("show", KILLED.replace("0c0c0c", "0c0c0d")), f"did you mean {KILLED}?"),
        (("show", "x\x1b[2J"), "error: no run x\\u001b[2J is recorded here\n    opdeploy history list"),
        (("list", "db2.example"), "error: no run here had a host db2.example\n    did you mean db1.example?"),
        (("list", "zzz"), "there are: backup1.example, db1.example, ts1.example"),
        (("list", "--since", "soon"), "--since soon: no length of time and no date"),
        (("list", "--since", "99999999d"), "before there was a calendar"),
        (("list", "-n", "0"), "Invalid value for '-n'"),
    ],
)
def test_what_is_not_clear_is_64(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    done = desk(*arguments)
    assert (done.code, done.out, said in done.err) == (64, "", True), done.err


def test_looking_where_no_store_is_makes_none(desk: Desk, tmp_path: Path) -> None:
    nowhere = Desk(tmp_path / "nowhere")
    done = nowhere("list")
    assert (done.code, "no run store here" in done.err) == (64, True)
    assert not nowhere.folder.exists()


@pytest.mark.slow
def test_what_a_command_printed_is_what_the_history_shows(tmp_path: Path) -> None:
    with night_in(tmp_path) as night:
        night.box("db1")
        night.host("away", 1)
        printed = [night.run(*command).out for command in (("plan",), ("apply", "--yes"), ("drift", "check"))]
    desk = Desk(tmp_path / "state/opdeploy")
    shown = [desk("show", one).out.partition("\n\n")[2] for one in reversed(desk.ids())]
    assert shown == printed
    assert "3 applied" in printed[1]


# ---------------------------------------------------------------- completion


def completed(line: str) -> list[str]:
    words = {"_OPDEPLOY_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "opdeploy"], env={**os.environ, **words}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [one.partition(",")[2] for one in done.stdout.split()]


def test_hosts_and_runs_are_completed(desk: Desk) -> None:
    assert completed(f"opdeploy history list --store {desk.folder} d") == ["db1.example"]
    assert completed(f"opdeploy history show --store {desk.folder} 2026") == [KILLED, APPLY, PLAN]
    assert completed(f"opdeploy history show --store {desk.folder}-not-here 2026") == []

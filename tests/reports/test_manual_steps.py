"""Manual steps stand apart: shown until they are signed off, counted by themselves, in no exit code and in nothing to apply."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs
from jsonschema import Draft202012Validator
from runs import run_text

from opdeploy.model import Change, ExitCode
from opdeploy.reports.document import as_json, report
from opdeploy.reports.plan_file import plan_document, read_plan
from opdeploy.reports.text import plain
from opdeploy.results import HostResult, Item, Run, summary

Golden = Callable[[str, str], None]

SCHEMAS = Path(__file__).parents[2] / "docs/schemas"
KEY = b"k" * 32
DIFFERING = runs.service("Spooler", start_mode=("manual", "disabled"))
COMMANDS = ("plan", "apply", "drift")


def host(*changes: Change[Any], name: str = "backup1.example") -> HostResult:
    return runs.host(name, *map(Item, changes))


MIXED = runs.run(host(DIFFERING, runs.OPEN, runs.SIGNED), host(runs.in_sync("Spooler"), runs.OPEN, name="db1.example"))

APPLIED = runs.run(runs.host("db1.example", Item(DIFFERING, outcome="applied"), Item(runs.OPEN)), command="apply")


def checked(document: Any, schema: str) -> Any:
    told = json.loads(json.dumps(document, allow_nan=False))
    Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text(encoding="utf-8"))).validate(told)
    return told


# ---------------------------------------------------------------- codes and counts


@pytest.mark.parametrize("command", COMMANDS)
def test_open_steps_alone_are_in_order(command: str) -> None:
    run = runs.run(host(runs.OPEN, runs.SIGNED, runs.in_sync("Spooler")), command=command)
    assert (run.code, run.hosts[0].status) == (ExitCode.OK, "in_sync")


def test_beside_another_difference_they_change_nothing() -> None:
    assert MIXED.code == ExitCode.CHANGES
    assert Item(runs.OPEN, outcome="not_reached").code == ExitCode.OK


def test_one_that_nobody_could_look_up_is_unknown() -> None:
    assert Item(replace(runs.OPEN, verdict="unknown")).code == ExitCode.UNKNOWN


def test_they_are_in_no_count_of_verdicts() -> None:
    counted = summary([item.change for one in MIXED.hosts for item in one.items])
    assert counted == {"in_sync": 1, "would_change": 1, "unknown": 0, "not_applicable": 0}


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("name", "run", "options"),
    [
        ("manual_steps.txt", MIXED, {}),
        ("manual_steps_verbose.txt", MIXED, {"verbose": True}),
        ("manual_steps_applied.txt", APPLIED, {}),
        ("manual_steps_drift.txt", runs.run(MIXED.hosts[0], command="drift"), {}),
    ],
)
def test_the_exact_text(golden: Golden, name: str, run: Run, options: dict[str, bool]) -> None:
    golden(name, plain(run_text(run, **options)))


def test_signed_ones_are_told_only_when_asked_for() -> None:
    run = runs.run(host(runs.SIGNED))
    assert "manual step" not in plain(run_text(run))
    assert "signed off by anna on 2026-11-20: done, photo in the folder" in plain(run_text(run, verbose=True))


def test_a_change_that_may_need_a_reboot_says_so(golden: Golden) -> None:
    held_back = replace(runs.FEATURE, action="none", reason="set by a group policy")
    golden("may_reboot.txt", plain(run_text(runs.run(host(runs.FEATURE, held_back)))))


# ---------------------------------------------------------------- JSON


def test_the_report_lists_them_apart() -> None:
    told = checked(as_json(report(MIXED)), "report")
    assert told["manual_steps"] == {"open": 2, "signed": 1}
    first = told["hosts"][0]
    assert [one["kind"] for one in first["resources"]] == ["service"]
    open_step, signed = first["manual_steps"]
    assert open_step == {
        "id": "take-the-disk-home",
        "roles": ["backup"],
        "title": "Take the backup disk home",
        "who": "whoever closes the practice",
        "how": "Eject the disk at the left dock.\nPut the one from the safe in its place.",
        "why": "only a disk that is elsewhere survives a fire",
        "verdict": "would_change",
        "reason": "not signed off: opdeploy step sign take-the-disk-home",
        "signed": None,
    }
    assert signed["signed"] == {"by": "anna", "at": "2026-11-20T03:04:05.678Z", "note": "done, photo in the folder"}


def test_the_report_says_which_changes_may_need_a_reboot() -> None:
    resources = checked(as_json(report(runs.run(host(runs.FEATURE, DIFFERING)))), "report")["hosts"][0]["resources"]
    assert [one["may_reboot"] for one in resources] == [True, False]


# ---------------------------------------------------------------- the plan file


def planned(*changes: Change[Any]) -> Any:
    document = plan_document(runs.run(host(*changes)), KEY)
    checked(json.loads(document.text), "plan")
    return read_plan(document.text.encode())


def test_a_plan_file_shows_them_and_does_not_change_them() -> None:
    (told,) = planned(DIFFERING, runs.OPEN, runs.SIGNED).hosts
    assert [one.kind for one in told.resources] == ["service"]
    assert [one.id for one in told.manual_steps] == ["take-the-disk-home", "label-the-disks"]


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ([runs.OPEN], [runs.OPEN]),
        ([runs.OPEN], []),
        ([], [runs.OPEN]),
        ([runs.SIGNED], [replace(runs.SIGNED, actual=None, verdict="would_change")]),
    ],
    ids=["open as before", "gone", "new", "withdrawn"],
)
def test_they_make_no_plan_stale(then: list[Change[Any]], now: list[Change[Any]]) -> None:
    assert runs.differences(planned(DIFFERING, *then), runs.run(host(DIFFERING, *now)), KEY) == {}


def test_a_host_that_has_only_steps_needs_no_plan() -> None:
    assert runs.differences(planned(DIFFERING), runs.run(host(runs.OPEN, name="new.example")), KEY) == {}

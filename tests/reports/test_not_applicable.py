"""What is not for a host is told as that: in no list of open steps, in no count of signed ones, in no exit code."""

from __future__ import annotations

from dataclasses import replace

import runs
from runs import run_text

from opdeploy.model import Change, ExitCode
from opdeploy.reports import document
from opdeploy.reports.handover import as_json, handover
from opdeploy.reports.text import plain
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.results import Item, open_steps

STEP = replace(runs.OPEN, verdict="not_applicable", properties={}, reason="Defender is active here")
WHY = "Defender is not active here (AMRunningMode: Passive Mode)"
EXCLUSION = Change(DefenderExclusion(type="extension", value="fdb"), None, "not_applicable", reason=WHY, roles=("antivirus",))
HOST = runs.host("db1.example", *map(Item, (STEP, EXCLUSION, runs.SIGNED)))


def test_it_is_in_order() -> None:
    assert (HOST.status, HOST.code, runs.run(HOST).code) == ("in_sync", ExitCode.OK, ExitCode.OK)


def test_a_step_is_neither_open_nor_signed() -> None:
    assert open_steps(HOST.items) == 0
    assert document.counts(runs.run(HOST))["manual_steps"] == {"open": 0, "signed": 1}


def test_a_plan_has_the_resource_with_its_reason_and_no_step() -> None:
    text = plain(run_text(runs.run(HOST)))
    assert f"defender_exclusion extension fdb                                  antivirus\n      {WHY}\n" in text
    assert "0 in sync · 1 not applicable\n" in text
    assert "manual step" not in text


def test_a_program_is_told_why() -> None:
    step, _ = document.report(runs.run(HOST)).hosts[0].manual_steps
    assert (step.verdict, step.reason, step.signed) == ("not_applicable", "Defender is active here", None)


def test_whoever_takes_over_is_told_why() -> None:
    unread = replace(STEP, verdict="unknown", reason="db1.example was not read")
    told = as_json(handover("lab", "2026-11-22", "i", [replace(HOST, items=(*HOST.items, Item(unread)))]))
    seen = {
        (row["id"], row["cells"]["As it was seen"])
        for section in told["sections"]
        for row in section["rows"]
        if row["id"] and row["verdict"] in ("not_applicable", "unknown")
    }
    assert seen == {
        ("manual_step/take-the-disk-home", "not applicable: Defender is active here"),
        ("manual_step/take-the-disk-home", "unknown: db1.example was not read"),
        ("defender_exclusion/extension fdb", f"not applicable\n{WHY}"),
    }

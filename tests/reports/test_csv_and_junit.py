"""CSV and JUnit: every difference is in them, nothing a spreadsheet would run, nothing XML cannot hold, and no secret."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from reported import APPLIED, DRIFTED

from opdeploy.model import Property
from opdeploy.reports.csv import COLUMNS, as_csv, table
from opdeploy.reports.document import report
from opdeploy.reports.junit import as_junit
from opdeploy.results import Item, Run

DRIFT = runs.run(DRIFTED, command="drift")


def rows(run: Run) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(report(run)))))


# ---------------------------------------------------------------- CSV


def test_a_line_a_property() -> None:
    found = rows(runs.FLEET)
    assert tuple(found[0]) == COLUMNS
    shown = [(row["kind"], row["key"], row["property"], row["before"], row["after"]) for row in found if row["property"]]
    assert shown[:3] == [
        ("local_user", ".\\op-support", "enabled", "–", "yes"),
        ("local_user", ".\\op-support", "password", "–", "(secret)"),
        ("service", "FirebirdServerDefaultInstance", "recovery", "nothing", "restart 1m, restart 5m, none; reset after 1d"),
    ]
    assert (
        "service",
        "FirebirdGuardian",
        "grants",
        "known after apply",
        ".\\op-support (<SID of .\\op-support>): query",
    ) in shown


def test_what_is_in_sync_and_what_was_not_read_have_a_line() -> None:
    found = rows(runs.FLEET)
    assert [row["key"] for row in found if row["verdict"] == "in_sync"] == ["Spooler", "W32Time", "Spooler"]
    (unread,) = [row for row in found if row["host"] == "ts1.example"]
    assert unread["error"] == "the host did not take the password of DB1\\installer; check ansible_password in inventories/lab"


def test_outcomes_drift_and_waivers() -> None:
    assert list(dict.fromkeys(row["outcome"] for row in rows(APPLIED))) == ["applied", "failed", "not_reached", "refused", ""]
    told = {row["key"]: (row["drift"], row["waived_until"], row["first_seen"]) for row in rows(DRIFT)}
    assert told["Spooler"] == ("waived", "2026-12-31", "2026-11-01T03:00:00Z")
    assert told["FirebirdServerDefaultInstance"] == ("corrective", "", "2026-11-19T03:00:00Z")


def test_manual_steps_stand_among_them() -> None:
    step, signed = rows(runs.run(runs.host("db1", Item(runs.OPEN), Item(runs.SIGNED))))
    assert (step["kind"], step["key"], step["verdict"]) == ("manual_step", "take-the-disk-home", "would_change")
    assert signed["reason"] == "signed off by anna: done, photo in the folder"


@pytest.mark.parametrize(
    ("said", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", r"\t=1"),
        ("\x1b[31m", r"\u001b[31m"),
    ],
)
def test_no_cell_is_a_formula_or_drives_a_terminal(said: str, cell: str) -> None:
    assert table(["a"], [[said]]) == f"a\r\n{cell}\r\n"


@settings(max_examples=100)
@given(st.text())
def test_whatever_a_host_says_is_one_cell(said: str) -> None:
    change = replace(runs.service("a", start_mode=("manual", "disabled")), properties={"start_mode": Property(said, "x")})
    (row,) = rows(runs.run(runs.host("db1", Item(change))))
    assert (row["after"], row["host"]) == ("x", "db1")


# ---------------------------------------------------------------- JUnit


def suites(run: Run) -> ET.Element:
    return ET.fromstring(as_junit(report(run)))


def told(run: Run) -> list[tuple[str, str, str]]:
    """Each case, what is wrong with it, and its message."""
    return [
        (
            case.get("name", ""),
            *((fault.tag, fault.get("message", "")) if (fault := next(iter(case), None)) is not None else ("", "")),
        )
        for case in suites(run).iter("testcase")
    ]


def test_a_case_a_resource() -> None:
    assert told(runs.FLEET) == [
        (".\\op-support", "failure", "would create: enabled, password"),
        ("FirebirdServerDefaultInstance", "failure", "would update: recovery, grants, dependencies"),
        ("FirebirdGuardian", "failure", "would update: grants"),
        ("wuauserv", "failure", "would change: start_mode"),
        ("Netlogon", "skipped", "access denied"),
        ("Spooler", "", ""),
        ("W32Time", "", ""),
        ("Leftover", "failure", "would remove: start_mode"),
        ("Spooler", "", ""),
        ("read", "error", "the host did not take the password of DB1\\installer"),
    ]


def test_it_counts() -> None:
    root = suites(runs.FLEET)
    counted = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "10", "failures": "5", "errors": "1", "skipped": "1"}
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [
        ("db1.example", "8"), ("backup1.example", "1"), ("ts1.example", "1"),
    ]  # fmt: skip


def test_what_an_apply_came_to() -> None:
    assert [(fault, message) for _, fault, message in told(APPLIED)] == [
        ("", ""),
        ("failure", "failed: sc.exe ended with 5: access denied"),
        ("failure", "not reached: it needs service Firebird"),
        ("failure", "refused: set by a group policy"),
        *[("", "")] * 3,
        ("skipped", "nobody recorded when it was set"),
        *[("", "")] * 2,
    ]


def test_that_it_was_refused_is_said_once() -> None:
    """The guard's own reasons begin so."""
    item = Item(replace(runs.LEFT, reason="refused: this session needs it", refused=True), outcome="refused")
    assert [message for *_, message in told(runs.run(runs.host("db1", item), command="apply"))] == [
        "refused: this session needs it"
    ]


def test_what_is_waived_is_no_failure() -> None:
    faults = {name: fault for name, fault, _ in told(DRIFT)}
    assert (faults["Spooler"], faults["FirebirdServerDefaultInstance"]) == ("", "failure")


def test_a_difference_says_since_when() -> None:
    (text,) = [fault.text for fault in suites(DRIFT).iter("failure") if "corrective" in str(fault.text)]
    assert "corrective: it changed on the host; first seen 2026-11-19 03:00 UTC, for 3 days; last 2026-11-21" in str(text)


@settings(max_examples=100)
@given(st.text())
def test_whatever_a_host_says_is_xml(said: str) -> None:
    change = replace(
        runs.service("a", start_mode=("manual", "disabled")), properties={"start_mode": Property(said, "x")}, reason=said
    )
    assert len(told(runs.run(runs.host("db1", Item(change), error=said)))) >= 1


def test_no_secret() -> None:
    assert runs.PASSWORD not in as_csv(report(runs.FLEET)) + as_junit(report(runs.FLEET))

"""The JSON report: every document keeps to its schema, holds plain values and no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs
from jsonschema import Draft202012Validator

from opdeploy.model import Principal
from opdeploy.rendering import plain, secrets
from opdeploy.reports.document import Report, as_json, report
from opdeploy.resources.values import Duration
from opdeploy.results import Item, Run

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/report.schema.json").read_text(encoding="utf-8"))
FAILED = Item(runs.FIREBIRD, outcome="failed", error="access denied")
DRIFTED = Item(runs.FIREBIRD, last_applied="2026-11-20T03:04:05Z", words=("-a",))
APPLIED = runs.run(runs.host("a", FAILED, Item(runs.LATER, outcome="not_reached")), command="apply")
DRIFT = runs.run(runs.host("a", DRIFTED, Item(runs.EXTRA)), command="drift")
RUNS = {"plan": runs.FLEET, "apply": APPLIED, "drift": DRIFT, "empty": runs.run()}


def document(run: Run) -> Any:
    return json.loads(json.dumps(as_json(report(run)), allow_nan=False))


def test_the_schema_is_the_model_s(schema: Callable[[str, type], None]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    schema("report", Report)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_report_keeps_to_the_schema(run: Run) -> None:
    Draft202012Validator(SCHEMA).validate(document(run))


def test_the_schema_refuses_what_it_does_not_name() -> None:
    for place in (document(runs.FLEET), document(runs.FLEET)["hosts"][0]):
        given = document(runs.FLEET)
        (given if "schema" in place else given["hosts"][0])["more"] = 1
        assert not Draft202012Validator(SCHEMA).is_valid(given)


def test_the_head() -> None:
    said = document(runs.FLEET)
    assert {name: said[name] for name in ("schema", "tool", "run_id", "created_at", "by", "inventory", "summary")} == {
        "schema": "opdeploy.report/2",
        "tool": "0.1.0",
        "run_id": "20261122T030000Z-1a2b",
        "created_at": "2026-11-22T03:00:00Z",
        "by": "anna@admin-pc",
        "inventory": "inventories/lab",
        "summary": {"in_sync": 3, "would_change": 5, "unknown": 1, "not_applicable": 0},
    }


def test_a_host() -> None:
    read, _, unreachable = document(runs.FLEET)["hosts"]
    assert read["status"] == "unknown"
    assert read["windows"] == {"product": "Windows Server 2022", "build": 20348, "powershell": "5.1.20348.2849"}
    assert read["session"] == {"posts": 4, "bytes_sent": 12345, "bytes_received": 67890, "seconds": 1.5, "loader": "plain"}
    assert unreachable["status"] == "unreachable"
    assert unreachable["windows"] is None
    assert unreachable["error"] == "the host did not take the password of DB1\\installer"
    assert unreachable["hint"] == "check ansible_password in inventories/lab"


def test_a_resource() -> None:
    assert document(runs.FLEET)["hosts"][0]["resources"][0] == {
        "id": "local_user/.\\op-support",
        "roles": ["support_account"],
        "kind": "local_user",
        "key": ".\\op-support",
        "verdict": "would_change",
        "action": "create",
        "properties": [
            {"name": "enabled", "before": None, "after": True},
            {"name": "password", "before": None, "after": "(secret)"},
        ],
        "known_after_apply": [],
        "reason": "",
        "may_reboot": False,
        "outcome": None,
        "error": "",
        "reboot": "",
        "commands": ["New-LocalUser -Name 'op-support' -Password (secret)"],
        "diff": [],
        "last_applied": "",
        "drift": None,
    }


def test_an_outcome_stands_with_its_error() -> None:
    failed, missed = document(APPLIED)["hosts"][0]["resources"]
    assert (failed["outcome"], failed["error"]) == ("failed", "access denied")
    assert missed["outcome"] == "not_reached"


def test_drift_says_when_it_was_last_applied() -> None:
    applied, never = document(DRIFT)["hosts"][0]["resources"]
    assert (applied["last_applied"], never["last_applied"]) == ("2026-11-20T03:04:05Z", "")
    assert applied["diff"] == ["-a"]


def test_no_secret() -> None:
    assert runs.PASSWORD not in json.dumps(document(runs.FLEET))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None), (True, True), (7, 7), ("a\nb", "a\nb"), (("a", 1), ["a", 1]), (frozenset({"b", "a"}), ["a", "b"]),
        (runs.secret(), "(secret)"), ([runs.secret()], ["(secret)"]), (Duration(5400), "1h30m"), (b"\x01\xff", "01 ff"),
        (Principal("", "S-1-5-18"), "S-1-5-18"), (runs.SUPPORT, ".\\op-support (<SID of .\\op-support>)"),
        (runs.UNPROVEN.properties["password"].before, "unknown"),
    ],
)  # fmt: skip
def test_values(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_secrets_are_found_wherever_they_stand() -> None:
    hidden = runs.secret()
    assert list(secrets(({"a": [runs.User(name="x", password=hidden)]}, replace(runs.UNPROVEN)))) == [hidden] * 3

"""The main job through the real command: planned, reviewed, applied, in sync, tampered with, found, stale, from snapshots."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from practice import Practice

from opdeploy.cli.janitor import INVENTORY
from opdeploy.lab.folder import wait_until_free

pytestmark = pytest.mark.slow
INV = ("-i", INVENTORY)
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def report(text: str, schema: str = "report") -> dict[str, Any]:
    """A document that is what its schema says."""
    document: dict[str, Any] = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.schema.json").read_text()))
    return document


def differing(document: dict[str, Any], host: str) -> list[str]:
    (found,) = [one for one in document["hosts"] if one["name"] == host]
    return [one["id"] for one in found["resources"] if one["verdict"] != "in_sync"]


def said_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What a plan says of its first host's resources."""
    fields = ("id", "verdict", "action", "properties", "reason")
    return [{name: one[name] for name in fields} for one in document["hosts"][0]["resources"]]


def secrets_of(practice: Practice) -> list[str]:
    return [path.read_text().strip() for path in practice.made.glob("*-password*")]


@pytest.fixture(scope="module")
def applied(make_running: Callable[..., Practice]) -> Practice:
    """db1 as the inventory wants it; the other two as they were."""
    practice = make_running()
    planned = practice.run("plan", *INV, "--limit", "db1", "--out", "plan.json", "--format", "json", "--commands")
    assert planned.returncode == 2, planned.stderr
    report(planned.stdout)
    report((practice.folder / "plan.json").read_text(), "plan")
    done = practice.run("apply", "plan.json", *INV, "--yes", "--format", "json")
    assert done.returncode == 0, done.stdout
    assert {one["outcome"] for one in report(done.stdout)["hosts"][0]["resources"] if one["outcome"]} == {"applied"}
    return practice


def test_twice_changes_nothing(applied: Practice) -> None:
    again = applied.run("plan", *INV, "--limit", "db1", "--format", "json")
    assert again.returncode == 0
    assert report(again.stdout)["summary"]["would_change"] == 0
    done = applied.run("apply", *INV, "--limit", "db1", "--yes")
    assert (done.returncode, "applied" in done.stdout) == (0, False)


def test_a_plan_and_its_numbers(applied: Practice) -> None:
    done = applied.run("plan", *INV, "--limit", "backup1")
    assert done.returncode == 2
    assert done.stdout.startswith("backup1  Windows 10 (19045), PowerShell 5.1\n")
    assert "POSTs, " in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_roles_and_limits(applied: Practice) -> None:
    done = applied.run("plan", *INV, "--limit", "ts1", "--role", "firewall", "--format", "json")
    kinds = {name.partition("/")[0] for name in differing(report(done.stdout), "ts1")}
    assert kinds == {"firewall_rule"}
    wrong = applied.run("plan", *INV, "--limit", "nobody")
    assert (wrong.returncode, "the limit nobody matches no host" in wrong.stderr) == (64, True)


def test_an_altered_plan_is_64(applied: Practice) -> None:
    text = (applied.folder / "plan.json").read_text()
    (applied.folder / "altered.json").write_text(text.replace("OP Support", "OP support"))
    done = applied.run("apply", "altered.json", *INV, "--yes")
    assert (done.returncode, "was altered" in done.stderr, done.stdout) == (64, True, "")


def test_a_plan_of_another_inventory_is_64(applied: Practice, practice: Practice) -> None:
    shutil.copytree(applied.folder / "state", practice.folder / "state")
    (practice.folder / "plan.json").write_text((applied.folder / "plan.json").read_text())
    up, pipe = practice.up()
    with pipe:
        assert up.returncode == 0
        assert practice.run("store", "moved", str(applied.inventory), *INV).returncode == 0
        done = practice.run("apply", "plan.json", *INV, "--yes")
    assert (done.returncode, done.stdout) == (64, "")
    assert "make the plan again" in done.stderr


def test_a_plan_file_says_its_roles(applied: Practice) -> None:
    done = applied.run("apply", "plan.json", *INV, "--yes", "--role", "firewall")
    assert (done.returncode, "for all roles" in done.stderr) == (64, True)


def test_a_stale_host_is_left_untouched(applied: Practice) -> None:
    assert applied.run("plan", *INV, "--limit", "ts1", "--out", "ts1.json").returncode == 2
    assert applied.run("lab", "tamper", "ts1", *INV, "--only", "service").stdout
    done = applied.run("apply", "ts1.json", *INV, "--yes")
    assert done.returncode == 1
    assert "service Spooler start_mode: the plan saw no difference, now manual" in done.stdout
    assert "  applied\n" not in done.stdout


def test_every_tampering_is_found_as_drift(applied: Practice) -> None:
    tampered = applied.run("lab", "tamper", "db1", *INV)
    assert len(tampered.stdout.splitlines()) == 7
    drift = applied.run("drift", "check", *INV, "--limit", "db1", "--format", "json")
    assert drift.returncode == 2
    document = report(drift.stdout)
    kinds = sorted(name.partition("/")[0] for name in differing(document, "db1"))
    assert kinds == [
        "access_rule", "file", "firewall_rule", "firewall_rule", "group_members", "scheduled_task", "service",
    ]  # fmt: skip
    found = {one["id"]: one for one in document["hosts"][0]["resources"]}
    assert found["firewall_rule/OP-Firebird-In"]["last_applied"]
    assert found["firewall_rule/OP-Temp-Allow-All"]["last_applied"] == ""
    assert applied.run("apply", *INV, "--limit", "db1", "--yes").returncode == 0
    assert applied.run("drift", "check", *INV, "--limit", "db1").returncode == 0


def test_a_snapshot_gives_the_same_plan(applied: Practice) -> None:
    taken = applied.run("snapshot", "take", "backup1", *INV, "--out", "snapshots")
    assert (taken.returncode, taken.stdout) == (0, "snapshots/backup1.json\n")
    live = report(applied.run("plan", *INV, "--limit", "backup1", "--format", "json").stdout)
    away = applied.run("plan", *INV, "--limit", "backup1", "--format", "json", "--from", "snapshots")
    assert away.returncode == 2, away.stderr
    assert said_of(report(away.stdout)) == said_of(live)
    shown = applied.run("snapshot", "show", "snapshots/backup1.json")
    assert "firewall" in shown.stdout.lower()


def test_a_host_without_a_snapshot_is_3(applied: Practice) -> None:
    (applied.folder / "none").mkdir(exist_ok=True)
    done = applied.run("plan", *INV, "--limit", "ts1", "--from", "none")
    assert done.returncode == 3
    assert "no snapshot of it in none" in done.stdout


def test_a_script_is_one_file_that_only_reads(applied: Practice) -> None:
    done = applied.run("snapshot", "script", "db1", *INV)
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "New-NetFirewallRule" not in done.stdout


def test_no_secret_in_anything_that_was_said_or_kept(applied: Practice) -> None:
    said = [applied.run("plan", *INV, "-v", "--commands", "--diff", "--format", form).stdout for form in ("text", "json")]
    said += [applied.run("inventory", "show", "db1", *INV, "--format", form).stdout for form in ("text", "json")]
    kept = [path for path in applied.folder.rglob("*") if path.is_file() and "password" not in path.name]
    held = secrets_of(applied)
    assert len(held) >= 5
    assert not [secret for secret in held for text in said if secret in text]
    assert not [path for path in kept for secret in held if secret.encode() in path.read_bytes()]


def test_inventory_documents(applied: Practice) -> None:
    listed = json.loads(applied.run("inventory", "list", *INV, "--format", "json").stdout)
    assert [host["name"] for host in listed["hosts"]] == ["db1", "backup1", "ts1"]
    shown = json.loads(applied.run("inventory", "show", "db1", *INV, "--format", "json").stdout)["hosts"][0]
    assert shown["variables"]["support_account"]["password"] == {"from_file": ".lab/support-password-db1"}
    wrong = applied.run("inventory", "show", "db2", *INV)
    assert (wrong.returncode, "did you mean db1?" in wrong.stderr) == (64, True)


def test_ctrl_c_during_apply(make_running: Callable[..., Practice]) -> None:
    """130, and the same command run again finishes the job."""
    practice = make_running("--latency", "20")
    process = practice.start("apply", *INV, "--limit", "ts1", "--yes")
    log = practice.made / "log"
    while log.read_text().count("\n") < 60:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert practice.run("apply", *INV, "--limit", "ts1", "--yes").returncode == 0
    assert practice.run("plan", *INV, "--limit", "ts1").returncode == 0


def test_a_lab_that_is_down_is_3_in_one_plain_line(practice: Practice) -> None:
    _, pipe = practice.up()
    kept = {path.name: path.read_bytes() for path in practice.made.iterdir()}
    pipe.close()
    assert wait_until_free(practice.made, 20)
    practice.made.mkdir(exist_ok=True)
    for name, data in kept.items():
        (practice.made / name).write_bytes(data)
    done = practice.run("plan", *INV)
    assert done.returncode == 3
    assert "3 unreachable" in done.stdout


@pytest.fixture(scope="module")
def asked(make_running: Callable[..., Practice]) -> Practice:
    return make_running()


@pytest.mark.parametrize(("typed", "code", "told"), [("n\n", 2, "nothing was changed"), ("yes\n", 0, "POSTs, ")])
def test_somebody_is_asked_on_a_terminal(typed: str, code: int, told: str, asked: Practice) -> None:
    ours, theirs = pty.openpty()
    process = asked.start("apply", *INV, "--limit", "ts1", "--role", "firewall", stdin=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed.encode())
    out, _ = process.communicate(timeout=60)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    assert (process.returncode, "Apply this? [y/N]" in said, told in said) == (code, True, True), said
    assert "OP-RemoteDesktop-In" in out


def test_colour_on_a_terminal(asked: Practice) -> None:
    ours, theirs = pty.openpty()
    done = asked.start("plan", *INV, "--limit", "db1", stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux' word for the end of a terminal
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert done.wait(60) == 2
    assert b"\x1b[32m  + local_user" in shown

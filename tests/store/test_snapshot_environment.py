"""Variables and audit policies in a snapshot: no token is kept, and what is planned from it is no guess."""

from __future__ import annotations

from typing import Any

import pytest

from cases import SERVER
from opdeploy.calls import file_read, host_read
from opdeploy.guard import Session
from opdeploy.model import Change, Secret
from opdeploy.planning import Desired, Managed, World, machine, plan
from opdeploy.resources.audit_policy import APPLIED
from opdeploy.resources.environment_variable import EnvironmentVariable
from opdeploy.store import tokens
from opdeploy.store.snapshots import ask, opened, take

KEY, OTHER = b"k" * 32, b"o" * 32
TOKEN = "hunter2-hunter2"
MACHINE = {**SERVER.__dict__, "groups": list(SERVER.groups)}


def from_snapshot(variable: EnvironmentVariable, data: str, key: bytes = KEY) -> tuple[str, Change[Any]]:
    """The file's text, and the change that is planned from it."""
    answer = {"values": {variable.name: ["String", data]}}
    read = variable.reads()["variable"]
    snapshot = take("db1", {host_read().key: MACHINE, read.key: answer}, taken_at="2026-11-22T03:00:00Z", agent="a", key=KEY)
    answers = ask(opened(snapshot, [variable], key), [host_read(), read], lambda read: None)
    (change,) = plan(Desired((Managed(variable),)), World(machine(answers), answers, Session()))
    return repr(snapshot.answers), tokens.honest(change)


@pytest.mark.parametrize(("data", "verdict"), [(TOKEN, "in_sync"), (f"{TOKEN};x", "would_change"), ("x", "would_change")])
def test_a_value_is_compared_by_its_digest(data: str, verdict: str) -> None:
    text, change = from_snapshot(EnvironmentVariable(name="OP_X", value=TOKEN), data)
    assert TOKEN not in text
    assert change.verdict == verdict


def test_a_value_with_semicolons_comes_back_whole() -> None:
    assert from_snapshot(EnvironmentVariable(name="OP_X", value=f"a;{TOKEN};b"), f"a;{TOKEN};b")[1].verdict == "in_sync"


def test_a_lists_entries_are_digested_one_by_one() -> None:
    text, change = from_snapshot(EnvironmentVariable(name="CLASSPATH", entries=("D:\\OP", "D:\\x")), f"C:\\{TOKEN};D:\\OP")
    assert TOKEN not in text
    assert change.properties["entries"].after == (tokens.ANOTHER, "D:\\OP", "D:\\x")


def test_what_windows_has_in_it_for_everybody_is_kept() -> None:
    text, change = from_snapshot(EnvironmentVariable(name="Path", entries=("D:\\op\\",)), "C:\\Windows;D:\\OP")
    assert "C:\\\\Windows" in text
    assert change.verdict == "in_sync"


@pytest.mark.parametrize("data", [TOKEN, "another"])
def test_of_a_secret_a_snapshot_tells_nothing(data: str) -> None:
    text, change = from_snapshot(EnvironmentVariable(name="OP_X", value=Secret(TOKEN)), data)
    assert TOKEN not in text
    assert (change.verdict, change.action) == ("unknown", "none")
    assert TOKEN not in repr(change)


def test_what_is_to_go_goes_whatever_stood_in_it() -> None:
    _, change = from_snapshot(EnvironmentVariable(name="OP_X", absent=True), TOKEN)
    assert (change.verdict, change.action) == ("would_change", "remove")


def test_under_another_key_it_is_unknown() -> None:
    _, change = from_snapshot(EnvironmentVariable(name="OP_X", value="x"), "x", OTHER)
    assert change.verdict == "unknown"


def test_the_applied_audit_policy_is_the_one_file_that_is_kept() -> None:
    assert tokens.kept(file_read(APPLIED).key)
    assert not tokens.kept(file_read(APPLIED + ".bak").key)
    assert not tokens.kept(file_read(APPLIED, length=1).key)

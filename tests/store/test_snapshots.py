"""Snapshots: no token in them, the same plan from them, and *unknown* for what they do not hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import run_text

from opdeploy.calls import (
    NOT_IN_SNAPSHOT,
    Failure,
    Read,
    cmdlet_read,
    file_read,
    host_read,
    logon_probe,
    password_record,
    registry_read,
)
from opdeploy.guard import Session
from opdeploy.model import Change, UsageError
from opdeploy.planning import Desired, Managed, World, first_reads, machine, plan
from opdeploy.reports.text import plain
from opdeploy.resources.base import comparator
from opdeploy.resources.service import Recovery, Service
from opdeploy.results import HostResult, Item
from opdeploy.store import script, snapshots, tokens
from opdeploy.store.snapshots import Snapshot, ask, load, opened, save, show, take
from opdeploy.windows import agent

sys.path.insert(0, str(Path(__file__).parents[1] / "powershell"))
import pscheck

KEY, OTHER = b"k" * 32, b"o" * 32
TOKEN = "hunter2-hunter2"
COMMAND = rf"C:\OP\op.exe --license {TOKEN}"
SERVICE = Service(
    name="OP",
    command_line=COMMAND,
    start_mode="automatic",
    recovery=Recovery(actions=("run 1m", "none", "none"), command=f"C:\\OP\\mail.exe {TOKEN}"),
)
READS = first_reads(Desired((Managed(SERVICE),)))
MACHINE = {**runs.SERVER.__dict__, "groups": list(runs.SERVER.groups)}
ACTIONS = "AAAAAAAAAAAAAAAAAwAAABQAAAADAAAAYOoAAAAAAAAAAAAAAAAAAAAAAAA="
TASK = Read("cmdlet.read", {"name": "Export-ScheduledTask", "parameters": {"TaskName": "T"}, "select": []})
XML = "<Task><Exec><Command>C:\\a.exe</Command><Arguments>{}</Arguments></Exec></Task>"


def config(**values: Any) -> dict[str, Any]:
    usual = {
        "Type": ["DWord", 16], "Start": ["DWord", 2], "ImagePath": ["ExpandString", COMMAND],
        "FailureActions": ["Binary", ACTIONS], "FailureCommand": ["String", f"C:\\OP\\mail.exe {TOKEN}"],
        "Environment": ["MultiString", [f"TOKEN={TOKEN}", ""]],
    }  # fmt: skip
    return {
        "values": {**usual, **values},
        "subkeys": {"Security": None, "Parameters": {"values": {"AppParameters": ["String", TOKEN]}}},
    }


def observed(**values: Any) -> dict[str, Any]:
    by_name = {name: read.key for name, read in SERVICE.reads().items()}
    return {host_read().key: MACHINE, by_name["config"]: config(**values), by_name["status"]: [{"Status": "Running"}]}


def taken(observation: dict[str, Any]) -> Snapshot:
    return take("db1.example", observation, taken_at="2026-11-22T03:00:00Z", agent="a" * 64, key=KEY)


def planned(observation: dict[str, Any], service: Service = SERVICE) -> list[Change[Any]]:
    return plan(Desired((Managed(service),)), World(machine(observation), observation, Session()))


def from_snapshot(snapshot: Snapshot, service: Service = SERVICE, key: bytes = KEY) -> Change[Any]:
    answers = ask(opened(snapshot, [service], key), READS, lambda read: None)
    (change,) = planned(answers, service)
    return tokens.honest(change)


def text_of(change: Change[Any]) -> str:
    return plain(run_text(runs.run(HostResult("db1", (Item(change),))), verbose=True))


def nowhere(read: Read) -> None:
    return None


# ---------------------------------------------------------------- no token


def test_no_token_is_in_the_file(tmp_path: Path) -> None:
    save(tmp_path / "db1.json", taken({**observed(), TASK.key: [XML.format(TOKEN)]}))
    text = (tmp_path / "db1.json").read_text()
    assert TOKEN not in text
    assert text.count("digest:") == 5
    assert "C:\\\\a.exe" in text


def test_what_does_not_belong_into_a_snapshot() -> None:
    secret = runs.secret()
    reads = [password_record("op", secret), logon_probe("op", secret), file_read("C:\\op.ini"), host_read()]
    assert list(taken({read.key: {"bytes": TOKEN} for read in reads}).answers) == [host_read().key]


def test_an_answer_of_another_form_is_not_let_through() -> None:
    read = registry_read("SYSTEM\\x")
    for strange in ({"values": {"ImagePath": TOKEN}}, {"values": [TOKEN]}, {"values": {"a": [1, 2, 3]}}):
        (answer,) = taken({read.key: strange}).answers.values()
        assert isinstance(answer, Failure)
        assert TOKEN not in repr(answer)


def test_keys_of_command_lines_are_digested_whole() -> None:
    run = registry_read(r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run")
    (answer,) = taken({run.key: {"values": {"OP": ["String", TOKEN], "n": ["DWord", 1]}}}).answers.values()
    assert answer["values"]["OP"][1].startswith("digest:")
    assert answer["values"]["n"] == ["DWord", 1]


@settings(max_examples=100)
@given(st.text(min_size=1).filter(lambda text: "\r" not in text), st.binary(min_size=32, max_size=32))
def test_a_digest_is_of_no_use_without_the_text_and_comes_back_with_it(text: str, key: bytes) -> None:
    read = registry_read("SYSTEM\\x").key
    answer = {"values": {"FailureCommand": ["String", text]}}
    hidden = tokens.redacted(read, answer, key)
    assert re.fullmatch("digest:[0-9a-f]{64}", hidden["values"]["FailureCommand"][1])
    assert tokens.restored(read, hidden, key, [text]) == answer
    assert tokens.restored(read, hidden, key, [text + "x"])["values"]["FailureCommand"][1] == tokens.ANOTHER


@pytest.mark.parametrize("arguments", ["/silent", "a &amp; b &lt;c&gt; &quot;d&quot;", "über"])
def test_a_tasks_arguments_come_back_too(arguments: str) -> None:
    hidden = tokens.redacted(TASK.key, [XML.format(arguments)], KEY)
    assert arguments not in hidden[0]
    (back,) = tokens.restored(TASK.key, hidden, KEY, tokens.texts((XML.format(arguments),)))
    assert list(tokens.texts(back))[1:] == list(tokens.texts(XML.format(arguments)))[1:]


def test_no_secret_is_a_desired_text() -> None:
    assert runs.PASSWORD not in list(tokens.texts(runs.User(name="x", password=runs.secret())))


# ---------------------------------------------------------------- the same plan


def test_what_is_in_sync_is_in_sync_from_a_snapshot() -> None:
    assert from_snapshot(taken(observed())).verdict == planned(observed())[0].verdict == "in_sync"


PROGRAM = COMMAND.replace(r"C:\OP", r"c:\op")


@pytest.mark.parametrize(("command", "verdict"), [(PROGRAM, "in_sync"), (COMMAND.upper(), "would_change")])
def test_case_counts_in_a_snapshot_where_it_counts_on_the_host(command: str, verdict: str) -> None:
    answers = observed(ImagePath=["String", command])
    assert planned(answers)[0].verdict == verdict
    assert from_snapshot(taken(answers)).verdict == verdict


LETTERS = st.text(alphabet='aA" \\', max_size=6)


@settings(max_examples=100)
@given(LETTERS, LETTERS)
def test_two_commands_with_one_digest_are_the_same_to_a_service(one: str, other: str) -> None:
    if tokens.FOLDS["command"](one) == tokens.FOLDS["command"](other):
        assert comparator(Service, "command_line").same(one, other)


def test_a_difference_is_one_from_a_snapshot_too() -> None:
    answers = observed(ImagePath=["String", r"C:\OP\other.exe"], Start=["DWord", 3])
    change = from_snapshot(taken(answers))
    assert (change.verdict, change.action) == ("would_change", "update")
    assert change.properties.keys() == planned(answers)[0].properties.keys()
    assert text_of(change).splitlines()[2:5] == [
        "  ~ service            OP",
        rf"      command_line     (kept as a digest, not the desired one) → {COMMAND}",
        "      start_mode       manual → automatic",
    ]


def test_what_is_not_managed_needs_no_digest() -> None:
    unmanaged = Service(name="OP", start_mode="automatic")
    assert from_snapshot(taken(observed()), unmanaged).verdict == "in_sync"
    assert from_snapshot(taken(observed()), unmanaged, OTHER).verdict == "in_sync"


def test_under_another_key_nothing_is_told_of_what_was_digested() -> None:
    change = from_snapshot(taken(observed(Start=["DWord", 3])), key=OTHER)
    assert (change.verdict, change.action) == ("unknown", "none")
    assert change.reason == "command_line, recovery: not in the snapshot, which leaves out what may hold a password"
    assert "start_mode       manual → automatic" in text_of(change)


def test_what_a_snapshot_does_not_hold_is_unknown() -> None:
    answers = observed()
    del answers[SERVICE.reads()["status"].key]
    change = from_snapshot(taken(answers))
    assert (change.verdict, change.reason) == ("unknown", "not in the snapshot")
    missing = ask(taken({}), [host_read()], nowhere)[host_read().key]
    assert isinstance(missing, Failure)
    assert missing.id == NOT_IN_SNAPSHOT


def test_what_only_the_run_store_knows_is_asked_there() -> None:
    read = password_record("op", runs.secret())
    assert ask(taken({}), [read], lambda asked: {"same": asked == read})[read.key] == {"same": True}


# ---------------------------------------------------------------- the file


def test_it_loads_as_it_was_saved(tmp_path: Path) -> None:
    failed = {registry_read("SYSTEM\\y").key: Failure("access denied", "System.Exception", -5, "Denied", "PermissionDenied")}
    snapshot = taken({**observed(), **failed})
    save(tmp_path / "db1.json", snapshot)
    assert load(tmp_path / "db1.json") == snapshot
    assert json.loads((tmp_path / "db1.json").read_text())["windows"] == {
        "product": "ServerNT", "build": 20348, "powershell": "5.1.20348.2849",
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "db1.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["db1.json"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        save(tmp_path / "no/db1.json", taken({}))
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "no")


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load(path)
    assert caught.value.hint
    assert str(path) in caught.value.message
    return caught.value.message


NO_SNAPSHOTS = [
    b"", b"{", b"[]", b"{}", b"\xff\xfe\x00", b"\x80", b"[" * 100_000, b'{"schema": "opdeploy.snapshot/2"}',
    b'opdeploy {"', b'opdeploy {"a":1}',
]  # fmt: skip


@pytest.mark.parametrize("content", NO_SNAPSHOTS, ids=lambda content: repr(content[:40]))
def test_what_is_no_snapshot_is_told_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert "no snapshot of opdeploy" in refused(tmp_path / "x")


def test_each_truncation_is_told(tmp_path: Path) -> None:
    save(tmp_path / "whole", taken({host_read().key: MACHINE}))
    whole = (tmp_path / "whole").read_bytes()
    for end in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:end])
        refused(tmp_path / "x")


@pytest.mark.parametrize(
    "answers", [{"no read": 1}, {'["a"]': 1}, {"[1, {}]": 1}, {'["a", {}]': {"failure": {"id": 1, "x": 2}}}]
)
def test_answers_to_no_read_are_told(tmp_path: Path, answers: dict[str, Any]) -> None:
    save(tmp_path / "x", taken({}))
    document = json.loads((tmp_path / "x").read_text())
    (tmp_path / "x").write_text(json.dumps({**document, "answers": answers}))
    refused(tmp_path / "x")


def test_showing_one_shows_all_of_it() -> None:
    strange = {registry_read("SYSTEM\\z").key: {"values": {"x": ["String", "a\x1b[2Jb"]}}}
    lines = list(show(taken({**observed(), **strange})))
    text = "\n".join(lines)
    assert lines[0] == "db1.example, taken 2026-11-22T03:00:00Z, 4 answers"
    assert "command lines and the like are digests under the key" in lines[2]
    assert all(word in text for word in ("host.read {}", '"Start": [', "Get-Service", "digest:", "S-1-5-32-544"))
    assert TOKEN not in text
    assert "\x1b" not in text


# ---------------------------------------------------------------- the script and its answer


def made() -> str:
    reads = [*READS, TASK, password_record("op", runs.secret()), registry_read('SOFTWARE\\Übung \'@ "x"', values=["a"])]
    return script.script("db1.example", reads, agent.source(write=False), agent.digest())


@pytest.mark.parametrize("server", ["2016", "2019"])
def test_the_script_is_right_on(server: str) -> None:
    assert [message for message in pscheck.Checker("script", made().encode(), server).run() if message[2] in "EW"] == []


def test_the_script_is_fixed_text_around_data() -> None:
    text = made()
    assert text.isascii()
    head, rest = text.split("\n$data = @'\n")
    data, rest = rest.split("\n'@\n", 1)
    assert head == (Path(script.__file__).parent / "script-head.ps1").read_text()
    assert (
        rest.strip() == (agent.source(write=False) + "\n" + (Path(script.__file__).parent / "script.ps1").read_text()).strip()
    )
    asked = json.loads(data)
    assert [call["verb"] for call in asked["calls"]] == [
        "host.read",
        "cim.read",
        "registry.read",
        "registry.read",
        "registry.read",
        "registry.read",
        "cmdlet.read",
        "cmdlet.read",
        "registry.read",
    ]
    assert runs.PASSWORD not in text


def test_the_script_holds_nothing_that_writes_or_that_endpoint_protection_flags() -> None:
    assert not re.search(r"\.write'\] =|Bypass|EncodedCommand|Invoke-Expression|Reflection|DownloadString", made())


def answer(*replies: dict[str, Any]) -> str:
    """What the script prints: this is its own lines, as script.ps1 writes them."""
    head = {"schema": "opdeploy.answer/1", "host": "db1.example", "agent": "a" * 64, "taken_at": "2026-11-22T03:00:00Z"}
    lines = [head, *replies, {"done": len(replies)}]
    return "".join("opdeploy " + json.dumps(line, separators=(",", ":")) + "\r\n" for line in lines)


def replied() -> str:
    """A host that leaves out on its side what `tokens.left_out` would, and fails one read."""
    asked = json.loads(made().split("$data = @'\n")[1].split("\n'@\n")[0])["calls"]
    there = {key: tokens.left_out(key, value) for key, value in observed().items()}
    replies: list[dict[str, Any]] = []
    for call, read in zip(asked, [*READS, TASK, registry_read('SOFTWARE\\Übung \'@ "x"', values=["a"])], strict=True):
        error = {"message": 'denied: opdeploy {"x', "type": "T", "hresult": -5, "id": "Denied,X", "category": "C"}
        replies.append({"call": call, **({"value": there[read.key]} if read.key in there else {"error": error})})
    return answer(*replies)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
def test_a_scripts_answer_loads(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "answer.txt").write_bytes(("a profile says hello\r\n" + replied()).encode(encoding))
    snapshot = load(tmp_path / "answer.txt")
    assert (snapshot.host, snapshot.taken_at, snapshot.key) == ("db1.example", "2026-11-22T03:00:00Z", "")
    assert set(snapshot.answers) == {
        read.key for read in [*READS, TASK, registry_read('SOFTWARE\\Übung \'@ "x"', values=["a"])]
    }
    failed = snapshot.answers[TASK.key]
    assert isinstance(failed, Failure)
    assert (failed.id, failed.hresult) == ("Denied,X", -5)
    assert "were left out on the host" in list(show(snapshot))[2]


def test_lines_that_a_console_broke_are_whole_again(tmp_path: Path) -> None:
    broken = "\r\n".join(replied()[place : place + 79] for place in range(0, len(replied()), 79))
    (tmp_path / "whole").write_text(replied())
    (tmp_path / "broken").write_text(broken)
    assert load(tmp_path / "broken") == load(tmp_path / "whole")


def test_a_plan_from_a_scripts_answer(tmp_path: Path) -> None:
    (tmp_path / "answer.txt").write_text(replied())
    snapshot = load(tmp_path / "answer.txt")
    assert from_snapshot(snapshot).verdict == "unknown"
    assert from_snapshot(snapshot, Service(name="OP", start_mode="automatic", state="running")).verdict == "in_sync"


def test_each_truncation_of_an_answer_is_told(tmp_path: Path) -> None:
    whole = replied().rstrip()
    for end in range(0, len(whole), 7):
        (tmp_path / "x").write_text(whole[:end])
        refused(tmp_path / "x")


def test_both_sides_leave_out_the_same() -> None:
    """The script is given the very lists and patterns that digests are made by."""
    data = json.loads(made().split("$data = @'\n")[1].split("\n'@\n")[0])
    assert set(data["values"]) == tokens.VALUES
    assert data["left_out"] == tokens.LEFT_OUT
    assert data["in_tasks"] == "(?s)" + tokens.IN_TASKS.pattern
    assert data["keys"] == tokens.KEYS.pattern.replace(r"\Z", r"\z")
    assert snapshots.SCHEMA == "opdeploy.snapshot/1"
    assert cmdlet_read("Get-Service", [], Name="x").key != TASK.key


# A host in place of Windows: answers as the verbs give them, so that any PowerShell can run the rest of the script.
HOST = """
function Invoke-Call($call) {
    if ($call.verb -eq 'cmdlet.read') { return , @('<Task><Arguments>hunter2-hunter2</Arguments></Task>') }
    if ($call.verb -ne 'registry.read') { throw 'not here' }
    $environment = @('MultiString', @('hunter2-hunter2', ''))
    $values = @{ ImagePath = @('String', 'hunter2-hunter2'); Start = @('DWord', 2); Environment = $environment }
    return @{ values = $values; subkeys = @{ Security = $null } }
}
"""
PWSH = os.environ.get("OPDEPLOY_PWSH") or shutil.which("pwsh")


@pytest.mark.slow
@pytest.mark.skipif(not PWSH, reason="no PowerShell here: put pwsh on the PATH or name it with OPDEPLOY_PWSH")
def test_a_real_engine_runs_the_script(tmp_path: Path) -> None:
    reads = [host_read(), registry_read("SYSTEM\\Übung", depth=1), TASK]
    (tmp_path / "x.ps1").write_text(script.script("db1.example", reads, agent.source(write=False) + HOST, "a" * 64))
    run = subprocess.run([str(PWSH), "-NoProfile", "-File", tmp_path / "x.ps1"], capture_output=True, timeout=120)
    (tmp_path / "answer.txt").write_bytes(run.stdout)
    assert TOKEN.encode() not in run.stdout
    answers = load(tmp_path / "answer.txt").answers
    failed, key, task = (answers[read.key] for read in reads)
    assert isinstance(failed, Failure)
    assert key["values"] == {
        "ImagePath": ["String", tokens.LEFT_OUT],
        "Start": ["DWord", 2],
        "Environment": ["MultiString", [tokens.LEFT_OUT, ""]],
    }
    assert task == [f"<Task><Arguments>{tokens.LEFT_OUT}</Arguments></Task>"]

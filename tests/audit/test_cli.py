"""The command against the lab's three servers, good input and bad: what the issue says of reports, plans, snapshots, codes."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_line import Done
from fleet import Fleet, fleet
from lab_practice import PROJECT, writes_in

from opdeploy.calls import NAMED_BY
from opdeploy.lab import tampering
from opdeploy.model import ExitCode
from opdeploy.rendering import canonical
from opdeploy.reports.plan_file import digest
from opdeploy.windows import agent

Document = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """db1 and ts1 as the inventory wants them, backup1 as it was; what a test changes it changes back."""
    with fleet(tmp_path_factory.mktemp("fleet")) as built:
        assert built.run("apply", "--limit", "db1,ts1", "--yes").code == 0
        yield built


def document(done: Done, schema: str = "report") -> Document:
    """What stands on stdout, whole, as its schema says."""
    return checked(json.loads(done.out), schema)


def checked(told: Document, schema: str) -> Document:
    jsonschema.validate(told, json.loads((PROJECT / "docs" / "schemas" / f"{schema}.schema.json").read_text()))
    return told


def counted(told: Document) -> dict[str, int]:
    verdicts = [one["verdict"] for host in told["hosts"] for one in host["resources"]]
    return {name: verdicts.count(name) for name in ("in_sync", "would_change", "unknown", "not_applicable")}


@pytest.fixture
def closed_port(made: Fleet) -> Iterator[None]:
    """db1 at a port where nobody listens."""
    port = str(made.boxes["db1"].server.port)
    made.edit("hosts.yml", port, "9")
    yield
    made.edit("hosts.yml", "ansible_port: 9 ", f"ansible_port: {port} ")


@pytest.fixture
def tampered(made: Fleet) -> Iterator[None]:
    """ts1 with its Spooler stopped by somebody."""
    tamper(made, "ts1")
    yield
    assert made.run("apply", "--limit", "ts1", "--yes").code == 0


def tamper(made: Fleet, host: str, *what: str) -> None:
    assert list(tampering.tamper(made.boxes[host].state, what or ["service"]))


# ---------------------------------------------------------------- codes


@pytest.mark.parametrize("codes", list(permutations([0, 2, 3, 1])))
def test_the_first_of_1_3_2_0_wins(codes: tuple[int, ...]) -> None:
    ranked = (1, 3, 2, 0)
    for end in range(1, 5):
        some = [ExitCode(code) for code in codes[:end]]
        assert ExitCode.worst(some) == next(code for code in ranked if code in some)


@pytest.mark.parametrize(("limit", "code"), [("ts1", 0), ("ts1,backup1", 2), ("ts1,backup1,db1", 3), ("ts1,db1", 3)])
def test_of_several_hosts(made: Fleet, closed_port: None, limit: str, code: int) -> None:
    done = made.run("plan", "--limit", limit)
    assert done.code == code


def test_one_that_failed_counts_most(made: Fleet, closed_port: None, tampered: None) -> None:
    plan = str(made.folder / "three.json")
    assert made.run("plan", "--out", plan, "--limit", "ts1,db1").code == 3
    assert made.run("apply", "--limit", "ts1", "--yes").code == 0  # so it is stale for the plan
    assert made.run("apply", plan, "--yes").code == 1


# ---------------------------------------------------------------- the report


def test_plan_apply_and_drift_print_one_document_and_talk_elsewhere(made: Fleet, closed_port: None, tampered: None) -> None:
    commands = (("plan", "--commands", "-v"), ("drift", "check"), ("apply", "--yes", "--limit", "ts1,db1"))
    for command in commands:
        done = made.run(*command, "--format", "json")
        told = document(done)
        assert told["summary"] == counted(told)
        assert "POSTs" in done.err
        down = next(host for host in told["hosts"] if host["name"] == "db1")
        assert (down["status"], down["windows"], down["resources"]) == ("unreachable", None, [])
        assert down["error"]


def test_failures_refusals_and_unknowns_are_in_the_schemas(made: Fleet) -> None:
    backup = made.boxes["backup1"].state
    backup.password_policy["length"] = 64
    elsewhere = str(made.folder / "another-store")
    try:
        planned = made.run("plan", "--format", "json", "--out", str(made.folder / "u.json"), "--store", elsewhere)
        told = document(made.run("apply", "--yes", "--limit", "backup1", "--role", "support_account", "--format", "json"))
    finally:
        backup.password_policy["length"] = 0
    assert document(planned)["summary"]["unknown"] == 2
    assert checked(json.loads((made.folder / "u.json").read_text()), "plan")["summary"]["unknown"] == 2
    outcomes = {one["kind"]: one["outcome"] for one in told["hosts"][0]["resources"] if one["verdict"] != "in_sync"}
    assert outcomes.pop("directory") == "applied"
    assert outcomes.pop("local_user") == "failed"
    assert set(outcomes.values()) == {"not_reached"}
    assert {"group_members", "user_right", "access_rule", "jea_endpoint", "service"} == set(outcomes)


# ---------------------------------------------------------------- the plan file


@pytest.fixture(scope="module")
def plan(made: Fleet) -> Path:
    path = made.folder / "backup1.json"
    done = made.run("plan", "--limit", "backup1", "--out", str(path), "--format", "json")
    assert done.code == 2
    checked(json.loads(path.read_text()), "plan")
    return path


def altered(plan: Path, change: Callable[[Document], object]) -> str:
    """The plan with something changed in it, and a digest that is right again."""
    told = json.loads(plan.read_text())
    change(told)
    path = plan.with_name("altered.json")
    path.write_text(canonical({**told, "digest": digest(told)}) + "\n")
    return str(path)


def test_it_holds_no_write(plan: Path) -> None:
    text = plan.read_text()
    assert '"commands"' not in text
    assert not re.search(r"New-LocalUser|Set-Acl|sc\.exe (config|sdset)|New-NetFirewallRule", text)
    (host,) = json.loads(text)["hosts"]
    names = ("agent-link-backup1", "support-password-backup1", "sysdba-password-backup1")
    assert {source: len(mark) for source, mark in host["secrets"].items()} == {f"file:.lab/{name}": 64 for name in names}
    secret = (plan.parent / "inventories/lab/.lab/support-password-backup1").read_text()
    assert host["secrets"]["file:.lab/support-password-backup1"] != hashlib.sha256(secret.encode()).hexdigest()


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_any_byte_that_is_altered_is_64(made: Fleet, plan: Path, at: float) -> None:
    data = bytearray(plan.read_bytes())
    data[int(len(data) * at)] ^= 1
    path = plan.with_name("byte.json")
    path.write_bytes(data)
    before = made.states()
    done = made.run("apply", str(path), "--yes")
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith(f"error: {path}: ")
    assert made.states() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.update(tool="9.9.9"), "made by opdeploy 9.9.9, and this is "),
        (lambda told: told.update(sources="0" * 64), "the inventory, the roles or the tool changed"),
        (lambda told: told.update(key="0" * 16), "another run store's key"),
        (lambda told: told.update(hosts=[{**told["hosts"][0], "name": "nobody"}]), "the plan is of nobody"),
        (lambda told: told["hosts"].append(told["hosts"][0]), "backup1 stands twice"),
        (lambda told: told["hosts"][0]["resources"].append(told["hosts"][0]["resources"][0]), "op-support stands twice"),
        (lambda told: told.update(roles=["fireall"]), "no role fireall"),
        (lambda told: told.update(more=1), "not in the form of opdeploy.plan/2: more"),
    ],
)
def test_a_plan_that_can_not_be_compared_is_64(
    made: Fleet, plan: Path, change: Callable[[Document], object], said: str
) -> None:
    before = made.states()
    done = made.run("apply", altered(plan, change), "--yes")
    assert (done.code, done.out, said in done.err) == (64, "", True), done.err
    assert made.states() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda host: host["resources"].pop(0), r"local_user .\op-support: differs now, and the plan holds no change of it"),
        (
            lambda host: host["resources"][0]["properties"][1].update(after="mine"),
            r"local_user .\op-support description: the plan makes it mine, now it would be Vendor support on the backup",
        ),
        (
            lambda host: host["resources"][0]["properties"][0].update(before="Eve"),
            r"local_user .\op-support full_name: plan saw Eve, now –",
        ),
        (lambda host: host["resources"][0].update(action="none"), "the plan said would change, none, now would change, create"),
        (lambda host: host.update(secrets={}), "secret file:.lab/support-password-backup1: not the one"),
    ],
)
def test_a_change_that_differs_is_refused(made: Fleet, plan: Path, change: Callable[[Document], object], said: str) -> None:
    before = made.states()
    done = made.run("apply", altered(plan, lambda told: change(told["hosts"][0])), "--yes")
    assert done.code == 1
    assert "  not as the plan saw it, left untouched\n" in done.out
    assert said in done.out
    assert "\\n" not in done.out
    assert made.states() == before


def test_a_stale_host_is_named_by_property_and_the_others_carry_on(made: Fleet) -> None:
    tamper(made, "ts1")
    tamper(made, "db1")
    plan = str(made.folder / "two.json")
    assert made.run("plan", "--out", plan, "--limit", "ts1,db1").code == 2
    assert made.run("apply", "--limit", "ts1", "--yes").code == 0
    before = made.states()["ts1"]
    done = made.run("apply", plan, "--yes", "--format", "json")
    hosts = {host["name"]: host for host in document(done)["hosts"]}
    assert done.code == 1
    assert hosts["ts1"]["status"] == "failed"
    assert "service Spooler start_mode: plan saw manual, now automatic" in hosts["ts1"]["details"]
    assert hosts["db1"]["status"] == "in_sync"
    assert made.states()["ts1"] == before
    assert made.run("plan", "--limit", "db1").code == 0


def test_a_host_that_is_gone_is_3_and_the_others_carry_on(tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.json")
    with fleet(tmp_path) as own:
        assert own.run("plan", "--out", plan, "--role", "firewall").code == 2
        own.boxes["db1"].server.stop()
        done = own.run("apply", plan, "--yes", "--format", "json")
    assert done.code == 3
    assert [host["status"] for host in document(done)["hosts"]] == ["unreachable", "in_sync", "in_sync"]


@pytest.mark.parametrize(
    ("name", "said"),
    [(".", "is a folder"), ("/", "is a folder"), ("none/plan.json", "no such folder"), ("/dev/null", "is no ordinary file")],
)
def test_a_plan_file_that_can_not_be_written_is_told_before_a_host_is_read(made: Fleet, name: str, said: str) -> None:
    mark = made.mark()
    done = made.run("plan", "--out", name if name in "./" else str(made.folder / name))
    assert (done.code, done.out, said in done.err) == (64, "", True)
    assert made.heard(mark) == []


# ---------------------------------------------------------------- nothing is written


def test_a_dry_run_is_sent_nothing_that_could_write_and_changes_nothing(made: Fleet) -> None:
    before, mark = made.states(), made.mark()
    assert made.run("plan", "--commands", "--diff", "--verify-passwords", "-v").code == 2
    assert made.run("drift", "check").code == 2
    assert made.run("snapshot", "take", "db1", "backup1", "ts1", "--out", str(made.folder / "dry")).code == 0
    heard = made.heard(mark)
    sent = "\n".join(heard)
    assert made.states() == before
    assert "$reading" in sent
    assert "$writing" not in sent
    assert '.write"' not in sent
    assert writes_in(heard) == []
    assert all(json.loads(line)["writes"] == 0 for line in heard if line.startswith('{"id"'))
    assert [one.shells() for one in made.boxes.values()] == [0, 0, 0]


def sent(heard: list[str]) -> set[str]:
    """What the agents were told, by verb and what is named: out of the very lines."""
    calls = [call for line in heard if line.startswith('{"id"') for call in json.loads(line)["calls"]]
    named = [(call["verb"], [call["args"].get(name, "") for name in NAMED_BY.get(call["verb"], ())]) for call in calls]
    return {" ".join([verb, *(name.removeprefix("=") for name in names)]) for verb, names in named}


def test_the_report_says_what_was_sent_and_by_which_text(made: Fleet) -> None:
    mark = made.mark()
    told = document(made.run("plan", "--format", "json"))
    evidence = [host["evidence"] for host in told["hosts"]]
    assert {one for host in evidence for one in host["reads"]} == sent(made.heard(mark))
    assert [host["writes"] for host in evidence] == [[], [], []]
    texts = {line for line in made.heard(mark) if not line.startswith(("{", "*"))}
    assert {digest for host in evidence for digest in host["agents"]} == {agent.sent_digest(write=False)}
    assert set(agent.source(write=False).splitlines()) <= texts
    assert len({host["answers"] for host in evidence}) == 3


def test_an_apply_says_what_it_wrote_with(made: Fleet) -> None:
    tamper(made, "ts1")
    mark = made.mark()
    (host,) = document(made.run("apply", "--limit", "ts1", "--yes", "--format", "json"))["hosts"]
    assert host["evidence"]["agents"] == sorted(agent.sent_digest(write) for write in (False, True))
    assert "cmdlet.write Start-Service" in host["evidence"]["writes"]
    assert {*host["evidence"]["reads"], *host["evidence"]["writes"]} == sent(made.heard(mark))


@pytest.mark.parametrize("form", ["text", "html", "csv", "junit"])
def test_a_plan_file_shows_what_plan_printed(made: Fleet, form: str) -> None:
    out = str(made.folder / "shown.json")
    done = made.run("plan", "--out", out, "--format", form)
    again = made.run("plan", "show", out, "--format", form, where=False)
    assert again.code == 0
    assert (again.out == done.out) is (form == "text")  # the others hold what is in sync too
    differing = [one["key"] for host in json.loads(Path(out).read_text())["hosts"] for one in host["resources"]]
    assert len(differing) > 50
    assert [key for key in differing if key not in html.unescape(again.out)] == []


# ---------------------------------------------------------------- drift


def test_drift_says_of_each_difference_when_it_was_last_applied(made: Fleet) -> None:
    tamper(made, "ts1", "service", "unmanaged-rule")
    done = made.run("drift", "check", "--limit", "ts1", "--format", "json")
    told = {one["id"]: one for one in document(done)["hosts"][0]["resources"] if one["verdict"] != "in_sync"}
    assert done.code == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", told["service/Spooler"]["last_applied"])
    assert told["firewall_rule/OP-Temp-Allow-All"]["last_applied"] == ""
    assert {told[id]["drift"]["kind"] for id in ("service/Spooler", "firewall_rule/OP-Temp-Allow-All")} == {"corrective"}
    text = made.run("drift", "check", "--limit", "ts1").out
    assert re.search(r"last applied \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", text)
    assert "corrective: it changed on the host; first seen " in text
    assert made.run("apply", "--limit", "ts1", "--yes").code == 0
    assert made.run("drift", "check", "--limit", "ts1").code == 0


# ---------------------------------------------------------------- snapshots


@pytest.fixture(scope="module")
def snapshots(made: Fleet) -> Path:
    folder = made.folder / "snapshots"
    assert made.run("snapshot", "take", "db1", "backup1", "ts1", "--out", str(folder)).code == 0
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    return folder


@pytest.mark.parametrize("host", ["db1", "backup1", "ts1"])
def test_a_plan_from_a_snapshot_reads_the_same_but_for_that(made: Fleet, snapshots: Path, host: str) -> None:
    live = made.run("plan", "--limit", host, "-v", "--commands")
    away = made.run("plan", "--limit", host, "-v", "--commands", "--from", str(snapshots))
    said = re.sub(r"  warning: from a snapshot taken \S+\n\n", "", away.out)
    seen, _, sent = live.out.partition("\nsent to the hosts: ")
    assert said != away.out
    assert (said, away.code) == (seen, live.code)
    assert "kinds of read, no write; " in sent
    others = ", ".join(sorted({"db1", "backup1", "ts1"} - {host}))
    assert away.err == f"warning: {snapshots} also has snapshots of hosts that were not asked for: {others}\n"


def only(folder: Path, snapshots: Path, change: Callable[[Document], object]) -> str:
    """ts1's snapshot alone in a folder, with something changed in it."""
    told = json.loads((snapshots / "ts1.json").read_text())
    change(told)
    folder.mkdir()
    (folder / "ts1.json").write_text(json.dumps(told))
    return str(folder)


def without(told: Document, *words: str) -> None:
    told["answers"] = {read: answer for read, answer in told["answers"].items() if not any(word in read for word in words)}


def test_what_a_snapshot_does_not_hold_is_unknown(made: Fleet, snapshots: Path, tmp_path: Path) -> None:
    folder = only(tmp_path / "s", snapshots, lambda told: without(told, "Spooler", "Export-ScheduledTask"))
    done = made.run("plan", "--from", folder, "--limit", "ts1", "--format", "json")
    unknown = {one["id"]: one["reason"] for one in document(done)["hosts"][0]["resources"] if one["verdict"] == "unknown"}
    assert done.code == 3
    assert {name.split("/")[0] for name in unknown} == {"service", "scheduled_task"}
    assert set(unknown.values()) == {"not in the snapshot"}


def test_one_that_does_not_say_what_host_it_is_of_is_3(made: Fleet, snapshots: Path, tmp_path: Path) -> None:
    done = made.run(
        "plan", "--from", only(tmp_path / "s", snapshots, lambda told: without(told, "host.read")), "--limit", "ts1"
    )
    assert (done.code, "did not say what it is: not in the snapshot" in done.out) == (3, True)


def test_answers_of_another_form_fail_that_host_in_a_line_and_no_other(made: Fleet, snapshots: Path, tmp_path: Path) -> None:
    def bend(told: Document) -> None:
        told["answers"] = {read: a if "host.read" in read else {"a": [1, None]} for read, a in told["answers"].items()}

    folder = Path(only(tmp_path / "s", snapshots, bend))
    (folder / "db1.json").write_bytes((snapshots / "db1.json").read_bytes())
    done = made.run("plan", "--from", str(folder), "--limit", "ts1,db1")
    assert done.code == 1
    assert "an answer in its snapshot is not in the agent's form" in done.out
    assert "1 failed; resources: " in done.out
    assert "bug" not in done.out + done.err


def test_under_another_store_what_was_digested_is_unknown(made: Fleet, snapshots: Path, tmp_path: Path) -> None:
    done = made.run("plan", "--from", str(snapshots), "--limit", "ts1", "--store", str(tmp_path / "other"))
    assert done.code == 3
    assert "which leaves out what may hold a password" in done.out


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "or cut off"), (b"[]", "no snapshot of opdeploy"), (b"\xff\xfe{", "no snapshot of opdeploy"), (b"{}", "schema")],
)
def test_a_file_that_is_no_snapshot_is_64(made: Fleet, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "ts1.json").write_bytes(content)
    for command in (("snapshot", "show", str(tmp_path / "ts1.json")), ("plan", "--from", str(tmp_path))):
        done = made.run(*command, where=command[0] == "plan")
        assert (done.code, done.out, said in done.err) == (64, "", True), done.err


def test_every_truncation_of_a_snapshot_is_64(made: Fleet, snapshots: Path, tmp_path: Path) -> None:
    whole = (snapshots / "ts1.json").read_bytes()
    for part in (0.01, 0.5, 0.99):
        (tmp_path / "ts1.json").write_bytes(whole[: int(len(whole) * part)])
        assert made.run("plan", "--from", str(tmp_path)).code == 64


# ---------------------------------------------------------------- the run store


def test_a_key_that_is_gone_is_told_and_none_is_made(made: Fleet) -> None:
    key, away = made.store / "key", made.store / "away"
    key.rename(away)
    mark = made.mark()
    try:
        done = made.run("plan")
        assert (done.code, done.out, "key is gone" in done.err, key.exists()) == (64, "", True, False)
    finally:
        away.rename(key)
    assert made.heard(mark) == []


def test_a_key_that_others_may_read_is_64_before_a_host_is_read(made: Fleet) -> None:
    mark = made.mark()
    (made.store / "key").chmod(0o644)
    try:
        done = made.run("apply", "--yes")
    finally:
        (made.store / "key").chmod(0o600)
    assert (done.code, "others may read this key" in done.err, made.heard(mark)) == (64, True, [])

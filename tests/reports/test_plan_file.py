"""The plan file: keeps to its schema, finds every alteration, and says exactly how a host moved on since."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from runs import run_text

from opdeploy.model import Change, ExitCode, Property, UsageError
from opdeploy.reports.plan_file import (
    PlanDocument,
    canonical,
    check_sources,
    digest,
    fingerprints,
    host_differences,
    plan_document,
    read_plan,
)
from opdeploy.reports.text import plain, report_text
from opdeploy.results import Evidence, HostResult, Item

Schema = Callable[[str, type], None]

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/plan.schema.json").read_text(encoding="utf-8"))
KEY, OTHER = b"k" * 32, b"o" * 32
SMALL = runs.run(runs.host("db1", Item(runs.service("Spooler", start_mode=("manual", "disabled"))), machine=None))


def written(document: Any) -> bytes:
    return (canonical(document) + "\n").encode()


def content(*arguments: Any) -> Any:
    """A plan's content as JSON has it."""
    return json.loads(plan_document(*arguments).text)


def planned(*changes: Change[Any], **given: Any) -> Any:
    return read_plan(plan_document(runs.run(host(*changes), **given), KEY).text.encode())


def host(*changes: Change[Any]) -> HostResult:
    return runs.host("db1.example", *map(Item, changes))


def stale(then: list[Change[Any]], now: list[Change[Any]]) -> list[str]:
    return list(runs.differences(planned(*then), runs.run(host(*now)), KEY).get("db1.example", ()))


# ---------------------------------------------------------------- the document


def test_the_schema_is_the_model_s(schema: Schema) -> None:
    schema("plan", PlanDocument)


def test_it_keeps_to_its_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for run in (runs.FLEET, runs.run(), SMALL, runs.run(runs.host("a", Item(runs.UNPROVEN)))):
        Draft202012Validator(SCHEMA).validate(content(run, KEY, ["firewall"]))


def test_it_reads_back() -> None:
    document = plan_document(runs.FLEET, KEY, ("firewall",))
    read = read_plan(document.text.encode())
    assert (read.text, read.digest, read.roles) == (document.text, document.digest, ("firewall",))
    assert document.digest == digest(json.loads(document.text))


def test_its_text_is_what_plan_printed() -> None:
    evidence = Evidence(("cmdlet.read Get-Service",), (), ("sha256:1",))
    warned = runs.host("a", Item(runs.UNPROVEN), warnings=("so",), evidence=evidence)
    for run in (runs.FLEET, runs.run(), SMALL, runs.run(warned, runs.UNREACHABLE)):
        shown = report_text(read_plan(plan_document(run, KEY).text.encode()))
        assert plain(shown) == plain(run_text(run))


def test_what_is_outside_the_digest_does_not_alter_it() -> None:
    document = content(SMALL, KEY)
    assert digest(document) == digest({**document, "approvals": [1], "digest": "x"}) != digest({**document, "by": "x"})


def test_it_holds_changes_and_no_writes_and_no_secrets() -> None:
    text = plan_document(runs.FLEET, KEY).text
    assert runs.PASSWORD not in text
    assert KEY.decode() not in text
    for word in ("sc.exe", "New-LocalUser", "commands"):
        assert word not in text
    assert [one["key"] for one in json.loads(text)["hosts"][0]["resources"]] == [
        ".\\op-support", "FirebirdServerDefaultInstance", "FirebirdGuardian", "wuauserv", "Netlogon", "Leftover",
    ]  # fmt: skip


def test_a_secret_is_named_with_a_fingerprint_that_needs_the_key() -> None:
    one, other = (fingerprints(runs.PLANNED, key)["env:OP_PASSWORD"] for key in (KEY, OTHER))
    assert one == runs.secret().fingerprint(KEY)
    assert one != other


# ---------------------------------------------------------------- reading what may be anything


def refused(text: bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_plan(text)
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.hint
    return caught.value


def test_each_byte_altered_is_found() -> None:
    text = plan_document(SMALL, KEY).text.encode()
    read_plan(text)
    for place in range(len(text)):
        for byte in {text[place] ^ 1, text[place] ^ 0x80, ord('"'), ord("0"), ord(" ")} - {text[place]}:
            refused(text[:place] + bytes([byte]) + text[place + 1 :])


@pytest.mark.parametrize("text", [json.dumps(content(SMALL, KEY), indent=1), plan_document(SMALL, KEY).text[:-1]])
def test_another_way_of_writing_the_same_is_refused(text: str) -> None:
    assert "not the very text" in refused(text.encode()).message


def test_each_truncation_is_found() -> None:
    text = plan_document(SMALL, KEY).text.encode()
    for end in range(len(text)):
        refused(text[:end])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "can't be read as JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"\xff\xfe{", "byte 0 is no UTF-8"),
        (b"[]", "no plan of opdeploy"),
        (b"{}", "no plan of opdeploy"),
        (b'{"schema": "opdeploy.report/1"}', "no plan of opdeploy"),
        (b'{"schema": "opdeploy.plan/1"}', "no plan of opdeploy"),
        (b'{"schema": "opdeploy.plan/2"}', "was altered"),
        (b'{"schema": "opdeploy.plan/2", "digest": "\\ud800"}', "was altered"),
        (b'{"schema": "opdeploy.plan/2", "sources": NaN}', "NaN is no number"),
        (b'{"schema": "opdeploy.plan/2", "sources": 1e999}', "can't be read as JSON"),
        (b'{"schema": "opdeploy.plan/1", "schema": "opdeploy.plan/1"}', "a name stands twice"),
        (b"1" * 5000, "can't be read as JSON"),
    ],
)
def test_what_is_no_plan_is_told_so(text: bytes, said: str) -> None:
    assert said in refused(text).message


@settings(max_examples=100)
@given(st.binary())
def test_anything_else_is_refused_plainly(text: bytes) -> None:
    refused(text)


@pytest.mark.parametrize("path", [["more"], ["hosts", 0, "more"], ["hosts", 0, "resources", 0, "write"]])
def test_a_right_digest_does_not_excuse_another_form(path: list[Any]) -> None:
    document = content(SMALL, KEY)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = ["sc.exe delete Spooler"]
    document["digest"] = digest(document)
    assert "not in the form" in refused(written(document)).message


def test_a_right_digest_does_not_bring_in_what_only_a_run_says() -> None:
    document = content(SMALL, KEY)
    document["hosts"][0]["resources"][0]["commands"] = ["sc.exe delete Spooler"]
    assert "not the very text" in refused(written(document | {"digest": digest(document)})).message


def test_a_value_that_stands_twice_is_no_way_around_the_digest() -> None:
    text = plan_document(SMALL, KEY).text.encode().replace(b'"after":"disabled"', b'"after":"manual","after":"disabled"')
    assert "stands twice" in refused(text).message


@pytest.mark.parametrize("where", [["hosts"], ["hosts", 0, "resources"], ["hosts", 0, "resources", 0, "properties"]])
def test_what_stands_twice_is_refused_whatever_the_digest(where: list[Any]) -> None:
    document = content(SMALL, KEY)
    place = document
    for step in where:
        place = place[step]
    place.append(place[0])
    assert "stands twice" in refused(written(document | {"digest": digest(document)})).message


# ---------------------------------------------------------------- what moved on


def test_the_same_plan_again_is_not_stale() -> None:
    assert runs.differences(read_plan(plan_document(runs.FLEET, KEY).text.encode()), runs.FLEET, KEY) == {}


def test_another_digest_of_sources_is_refused_whole() -> None:
    with pytest.raises(UsageError, match="the inventory, the roles or the tool changed since this plan was made"):
        runs.differences(planned(runs.FIREBIRD), runs.run(sources="sha256:other"), KEY)


def test_another_key_is_refused_where_there_are_secrets() -> None:
    with pytest.raises(UsageError, match="another run store's key"):
        check_sources(planned(runs.user(password=(None, runs.secret()))), runs.FLEET.sources, OTHER)
    check_sources(planned(runs.FIREBIRD), runs.FLEET.sources, OTHER)


SPOOLER = runs.service("Spooler", start_mode=("manual", "disabled"), state=("running", "stopped"))
DONE = runs.in_sync("Spooler", start_mode="disabled", state="stopped")
STALE: list[tuple[str, list[Change[Any]], list[Change[Any]], list[str]]] = [
    (
        "a value on the host moved",
        [SPOOLER],
        [runs.service("Spooler", start_mode=("automatic", "disabled"), state=("running", "stopped"))],
        ["service Spooler start_mode: plan saw manual, now automatic"],
    ),
    (
        "a property is right by now",
        [SPOOLER],
        [replace(SPOOLER, actual=SPOOLER.actual.model_copy(update={"start_mode": "disabled"}), properties={
            "state": Property("running", "stopped")})],
        ["service Spooler start_mode: plan saw manual, now disabled"],
    ),
    (
        "all is right by now",
        [SPOOLER],
        [DONE],
        ["service Spooler start_mode: plan saw manual, now disabled", "service Spooler state: plan saw running, now stopped"],
    ),
    (
        "a property differs that was right",
        [runs.service("Spooler", start_mode=("manual", "disabled"))],
        [SPOOLER],
        ["service Spooler state: the plan saw no difference, now running"],
    ),
    (
        "it would become something else",
        [SPOOLER],
        [runs.service("spooler", start_mode=("manual", "automatic"), state=("running", "stopped"))],
        ["service Spooler start_mode: the plan makes it disabled, now it would be automatic"],
    ),
    (
        "a change is new",
        [DONE],
        [SPOOLER],
        [
            "service Spooler start_mode: the plan saw no difference, now manual",
            "service Spooler state: the plan saw no difference, now running",
        ],
    ),
    (
        "a thing is missing",
        [],
        [runs.user(enabled=(None, True))],
        [r"local_user .\op-support: differs now, and the plan holds no change of it"],
    ),
    ("a change is gone", [SPOOLER], [], ["service Spooler: the plan changes it, now it is not in the inventory"]),
    (
        "it is held back by now",
        [SPOOLER],
        [replace(SPOOLER, action="none", reason="set by a group policy")],
        ["service Spooler: the plan said would change, update, now would change, none"],
    ),
    ("could not be read then", [runs.UNREAD], [runs.service("Netlogon", start_mode=("manual", "automatic"))],
     ["service Netlogon start_mode: the plan saw no difference, now manual"]),
    ("what is not there is nothing", [replace(runs.EXTRA)], [replace(runs.EXTRA, actual=None, verdict="in_sync", action="none",
     properties={})], ["service Leftover start_mode: plan saw automatic, now –"]),
    ("known by now", [runs.LATER], [replace(runs.LATER, known_after_apply=())],
     ["service FirebirdGuardian: what is known only after apply is no longer the same"]),
    ("a secret is another", [runs.user(password=(None, runs.secret()))], [runs.user(password=(None, runs.secret("an0ther")))],
     ["secret env:OP_PASSWORD: not the one that the plan was made with"]),
]  # fmt: skip


@pytest.mark.parametrize(("then", "now", "said"), [case[1:] for case in STALE], ids=[case[0] for case in STALE])
def test_a_stale_host_is_named_by_property(then: list[Change[Any]], now: list[Change[Any]], said: list[str]) -> None:
    assert stale(then, now) == said


def test_what_nothing_would_be_done_about_may_come_and_go() -> None:
    assert stale([runs.UNREAD], [runs.in_sync("Netlogon")]) == []
    assert stale([], [runs.UNREAD]) == []


def test_each_host_on_its_own() -> None:
    document = read_plan(plan_document(runs.FLEET, KEY).text.encode())
    moved = runs.host("backup1.example", Item(SPOOLER))
    assert list(runs.differences(document, runs.run(runs.PLANNED, moved, runs.UNREACHABLE), KEY)) == ["backup1.example"]
    assert host_differences(document, runs.host("new.example", Item(SPOOLER)), KEY) == ("the plan holds nothing of this host",)
    assert host_differences(document, runs.host("new.example", Item(DONE)), KEY) == ()


def test_another_computer_under_the_same_name_is_not_the_one_that_was_approved() -> None:
    clone = replace(host(SPOOLER), machine=replace(runs.SERVER, machine_sid="S-1-5-21-9-9-9"))
    (line,) = runs.differences(planned(SPOOLER), runs.run(clone), KEY)["db1.example"]
    assert line == f"the computer: the plan saw DB1 ({runs.SERVER.machine_sid}), now DB1 (S-1-5-21-9-9-9)"


def test_one_and_true_are_two_values() -> None:
    assert stale([runs.service("a", state=(1, "stopped"))], [runs.service("a", state=(True, "stopped"))]) == [
        "service a state: plan saw 1, now yes"
    ]

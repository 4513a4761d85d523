"""The plan file: keeps to its schema, finds every alteration, and says exactly how a host moved on since."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from opdeploy.model import Change, ExitCode, Property, UsageError
from opdeploy.reports.plan_file import (
    check_sources,
    differences,
    digest,
    fingerprints,
    host_differences,
    plan_document,
    read_plan,
)
from opdeploy.results import HostResult, Item

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/plan.schema.json").read_text(encoding="utf-8"))
KEY, OTHER = b"k" * 32, b"o" * 32
SMALL = runs.run(runs.host("db1", Item(runs.service("Spooler", start_mode=("manual", "disabled"))), machine=None))


def written(document: Any) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode()


def planned(*changes: Change[Any], **given: Any) -> Any:
    return read_plan(written(plan_document(runs.run(host(*changes), **given), KEY)))


def host(*changes: Change[Any]) -> HostResult:
    return runs.host("db1.example", *map(Item, changes))


def stale(then: list[Change[Any]], now: list[Change[Any]]) -> list[str]:
    return list(differences(planned(*then), runs.run(host(*now)), KEY).get("db1.example", ()))


# ---------------------------------------------------------------- the document


def test_it_keeps_to_its_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for run in (runs.FLEET, runs.run(), SMALL, runs.run(runs.host("a", Item(runs.UNPROVEN)))):
        Draft202012Validator(SCHEMA).validate(json.loads(written(plan_document(run, KEY, ["firewall"]))))


def test_it_reads_back() -> None:
    document = plan_document(runs.FLEET, KEY, ["firewall"])
    read = read_plan(written(document))
    assert json.loads(read.model_dump_json(by_alias=True)) == document
    assert read.roles == ["firewall"]


def test_it_holds_changes_and_no_writes_and_no_secrets() -> None:
    text = written(plan_document(runs.FLEET, KEY)).decode()
    assert runs.PASSWORD not in text
    assert KEY.decode() not in text
    for word in ("sc.exe", "New-LocalUser", "commands"):
        assert word not in text
    assert [one["key"] for one in json.loads(text)["hosts"][0]["changes"]] == [
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
    """Or changes nothing: a blank between two values is none of the content."""
    text = written(plan_document(SMALL, KEY))
    whole = read_plan(text)
    for place in range(len(text)):
        for byte in {text[place] ^ 1, text[place] ^ 0x80, ord('"'), ord("0")} - {text[place]}:
            altered = text[:place] + bytes([byte]) + text[place + 1 :]
            assert outcome(altered) in (whole, "refused")


def outcome(text: bytes) -> Any:
    try:
        return read_plan(text)
    except UsageError:
        return "refused"


def test_each_truncation_is_found() -> None:
    text = written(plan_document(SMALL, KEY))
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
        (b'{"schema": "opdeploy.plan/2"}', "no plan of opdeploy"),
        (b'{"schema": "opdeploy.plan/1"}', "was altered"),
        (b'{"schema": "opdeploy.plan/1", "digest": "\\ud800"}', "was altered"),
        (b'{"schema": "opdeploy.plan/1", "sources": NaN}', "NaN is no number"),
        (b'{"schema": "opdeploy.plan/1", "sources": 1e999}', "can't be read as JSON"),
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


@pytest.mark.parametrize("path", [["more"], ["hosts", 0, "more"], ["hosts", 0, "changes", 0, "commands"]])
def test_a_right_digest_does_not_excuse_another_form(path: list[Any]) -> None:
    document = plan_document(SMALL, KEY)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = ["sc.exe delete Spooler"]
    document["digest"] = digest(document)
    assert "not in the form" in refused(written(document)).message


def test_a_value_that_stands_twice_is_no_way_around_the_digest() -> None:
    text = written(plan_document(SMALL, KEY)).replace(b'"after": "disabled"', b'"after": "manual", "after": "disabled"')
    assert "stands twice" in refused(text).message


# ---------------------------------------------------------------- what moved on


def test_the_same_plan_again_is_not_stale() -> None:
    assert differences(read_plan(written(plan_document(runs.FLEET, KEY))), runs.FLEET, KEY) == {}


def test_another_digest_of_sources_is_refused_whole() -> None:
    with pytest.raises(UsageError, match="the inventory, the roles or the tool changed since this plan was made"):
        differences(planned(runs.FIREBIRD), runs.run(sources="sha256:other"), KEY)


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
    ("a change is new", [DONE], [SPOOLER], ["service Spooler: differs now, and the plan holds no change of it"]),
    ("a change is gone", [SPOOLER], [], ["service Spooler: the plan changes it, now it is not in the inventory"]),
    (
        "it is held back by now",
        [SPOOLER],
        [replace(SPOOLER, action="none", reason="set by a group policy")],
        ["service Spooler: the plan said would change, update, now would change, none"],
    ),
    ("could not be read then", [runs.UNREAD], [runs.service("Netlogon", start_mode=("manual", "automatic"))],
     ["service Netlogon: differs now, and the plan holds no change of it"]),
    ("what is not there is nothing", [replace(runs.EXTRA)], [replace(runs.EXTRA, actual=None, verdict="in_sync", action="none",
     properties={})], ["service Leftover start_mode: plan saw automatic, now –"]),
    ("known by now", [runs.LATER], [replace(runs.LATER, known_after_apply=())],
     ["service FirebirdGuardian: what is known only after apply is no longer the same"]),
    ("a secret is another", [runs.user(password=(None, runs.secret()))], [runs.user(password=(None, runs.secret("another")))],
     ["secret env:OP_PASSWORD: not the one that the plan was made with"]),
]  # fmt: skip


@pytest.mark.parametrize(("then", "now", "said"), [case[1:] for case in STALE], ids=[case[0] for case in STALE])
def test_a_stale_host_is_named_by_property(then: list[Change[Any]], now: list[Change[Any]], said: list[str]) -> None:
    assert stale(then, now) == said


def test_what_nothing_would_be_done_about_may_come_and_go() -> None:
    assert stale([runs.UNREAD], [runs.in_sync("Netlogon")]) == []
    assert stale([], [runs.UNREAD]) == []


def test_each_host_on_its_own() -> None:
    document = read_plan(written(plan_document(runs.FLEET, KEY)))
    moved = runs.host("backup1.example", Item(SPOOLER))
    assert list(differences(document, runs.run(runs.PLANNED, moved, runs.UNREACHABLE), KEY)) == ["backup1.example"]
    assert host_differences(document, runs.host("new.example", Item(SPOOLER)), KEY) == ("the plan holds nothing of this host",)
    assert host_differences(document, runs.host("new.example", Item(DONE)), KEY) == ()


def test_one_and_true_are_two_values() -> None:
    assert stale([runs.service("a", state=(1, "stopped"))], [runs.service("a", state=(True, "stopped"))]) == [
        "service a state: plan saw 1, now yes"
    ]

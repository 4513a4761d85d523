"""Scheduled tasks: parts become XML that means the same in both of Windows' dialects, and reads back in sync."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lab_host import apply, lab_state, planned

from opdeploy.calls import cmdlet_write, references
from opdeploy.formats import task_xml
from opdeploy.lab.windows import taskxml as lab_taskxml
from opdeploy.model import Principal
from opdeploy.resources.scheduled_task import NOTHING_YET, SETTINGS, ScheduledTask, parts_of
from opdeploy.resources.task_parts import WEEKDAYS, Piece, iso
from opdeploy.resources.values import OBSERVED, Duration

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20).map(str.strip)
CLOCK = st.times().map(lambda time: time.strftime("%H:%M:%S"))
DAY = st.dates(datetime.date(2020, 1, 1), datetime.date(2030, 1, 1))
LENGTH = st.integers(60, 31 * 86400).map(lambda seconds: f"{seconds}s")
REPEATED = st.fixed_dictionaries({}, optional={"repeat_every": LENGTH, "enabled": st.booleans()})
TRIGGER = st.one_of(
    st.fixed_dictionaries(
        {"when": st.just("daily"), "at": CLOCK}, optional={"every": st.integers(1, 9), "date": DAY, "random_delay": LENGTH}
    ),
    st.fixed_dictionaries(
        {"when": st.just("weekly"), "at": CLOCK, "days": st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True)},
        optional={"every": st.integers(1, 9), "date": DAY},
    ),
    st.fixed_dictionaries(
        {"when": st.just("monthly"), "at": CLOCK, "days_of_month": st.just([1, 15, "last"])},
        optional={"months": st.just(["may", "December"])},
    ),
    st.fixed_dictionaries({"when": st.just("once"), "at": CLOCK, "date": DAY}),
    st.fixed_dictionaries({"when": st.just("startup")}, optional={"delay": LENGTH}),
    st.fixed_dictionaries({"when": st.just("logon")}, optional={"delay": LENGTH, "account": st.just(".\\op")}),
).flatmap(lambda trigger: REPEATED.map(lambda more: trigger | more))
ACTION = st.fixed_dictionaries(
    {"command": st.sampled_from([r"C:\OP\backup.exe", r"%SystemRoot%\größe's & söhne.exe", r"C:\Program Files\x.exe"])},
    optional={"arguments": TEXT, "working_directory": st.just("D:\\OP")},
)
SWITCH = [name for name in SETTINGS if name == "enabled" or name.split("_")[0] in
          ("start", "allow", "disallow", "stop", "run", "wake", "hidden")]  # fmt: skip
TASK = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["\\A", "\\OP\\Größe's [x]".replace(" [x]", ""), "\\OP\\deep\\Nightly update"]),
        "principal": st.sampled_from(["SYSTEM", ".\\op", "LOCAL SERVICE", "NT AUTHORITY\\NetworkService"]),
        "actions": st.lists(ACTION, min_size=1, max_size=3),
    },
    optional={
        "description": TEXT,
        "triggers": st.lists(TRIGGER, max_size=4),
        "run_level": st.sampled_from(["limited", "highest"]),
        **{name: st.booleans() for name in SWITCH},
        "multiple_instances": st.sampled_from(["ignore_new", "parallel", "queue", "stop_existing"]),
        "priority": st.integers(0, 10),
        "execution_time_limit": LENGTH | st.just("none"),
        "delete_expired_after": LENGTH | st.just("none"),
        "restart_on_failure": st.just("never") | st.fixed_dictionaries({"count": st.integers(1, 9), "interval": LENGTH}),
    },
)


def task(properties: dict[str, Any]) -> ScheduledTask:
    return ScheduledTask.model_validate(properties)


@quick
@given(TASK, TASK)
def test_what_is_registered_reads_back_in_sync(first: dict[str, Any], second: dict[str, Any]) -> None:
    state = lab_state()
    for properties in (first, second | {"path": first["path"]}):
        change, world = planned(state, task(properties))
        assert change.action in ("create", "update") or change.verdict == "in_sync", change.reason
        apply(state, change, world)
        again, _ = planned(state, task(properties))
        assert (again.verdict, again.properties) == ("in_sync", {})


@quick
@given(TASK)
def test_parts_and_their_xml_are_the_same_task(properties: dict[str, Any]) -> None:
    """Written by us with what is named, and by Windows with every default left out."""
    desired = task(properties | {"principal": "SYSTEM"})
    assume(not any(piece.accounts for piece in desired.triggers or ()))
    ours = desired.document(NOTHING_YET)
    windows = lab_taskxml.registered(ours, desired.path, "S-1-5-18", lambda text: text)
    for document in (ours, windows):
        found = ScheduledTask.model_validate({"path": desired.path, **parts_of(task_xml.parse(document))}, context=OBSERVED)
        named = {name: getattr(desired, name) for name in desired.model_fields_set - {"path"}}
        assert {name: getattr(found, name) for name in named} == named
        as_xml = ScheduledTask.model_validate({"path": desired.path, "xml": document})
        assert as_xml.other == ()
        assert as_xml.triggers == found.triggers


@quick
@given(st.lists(TRIGGER, min_size=2, max_size=2))
def test_triggers_that_differ_read_differently(pair: list[dict[str, Any]]) -> None:
    """A plan file holds words: two triggers with the same words must be the same."""
    one, other = task({"path": "\\A", "triggers": pair}).triggers or ()
    assert (str(one) == str(other)) == (one == other)


@pytest.mark.parametrize("dialect", ["task-full.xml", "task-minimal.xml"])
def test_both_dialects_of_one_task_in_words(dialect: str) -> None:
    sample = Path(__file__).parent.parent / "formats" / "samples" / dialect
    parts = parts_of(task_xml.parse(sample.read_text("utf-8")))
    assert [str(trigger) for trigger in parts["triggers"]][:2] == [
        "weekly on Monday and Friday at 02:00 (Repetition Interval 30m)",
        "at logon of DB1\\op-support (<SID of DB1\\op-support>)",
    ]
    assert [str(action) for action in parts["actions"]] == ['C:\\OP\\backup.exe /to "D:\\Backup & Co"']
    assert (parts["principal"], parts["logon_type"]) == (Principal.parse("SYSTEM"), "service")
    assert parts["run_level"] == "highest"


@given(st.integers(0, 10**8))
def test_a_length_survives_its_iso_form(seconds: int) -> None:
    assert task_xml.seconds(iso(Duration(seconds))) == seconds


def test_a_reference_stands_readable_in_the_document() -> None:
    """What is not resolved must be found, so that such a call is never sent; text that looks like it is text."""
    desired = task({"path": "\\A", "principal": ".\\R&D", "actions": [{"command": "x <SID of y>"}]})
    assert references(cmdlet_write("Register-ScheduledTask", Xml=desired.document(NOTHING_YET))) == {"<SID of .\\R&D>"}


def test_a_piece_that_is_not_known_is_kept_and_told() -> None:
    later = task_xml.parse_xml(
        f'<LaterTrigger xmlns="{task_xml.NAMESPACE}"><When tide="high">soon</When><Enabled>false</Enabled></LaterTrigger>'
    )
    piece = Piece.of(later)
    assert "soon" in str(piece)
    assert "tide" in str(piece)
    assert piece.with_sids == later

"""Task XML: two dialects that mean the same, durations, accounts, and documents that are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from format_samples import OURS, shared
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.formats import task_xml as tx

MINIMAL = (OURS / "task-minimal.xml").read_text("utf-8")
FULL = (OURS / "task-full.xml").read_text("utf-8")


def _task(inner: str) -> str:
    return f'<Task xmlns="{tx.NAMESPACE}">{inner}</Task>'


def _trigger(inner: str, kind: str = "CalendarTrigger") -> str:
    return _task(f"<Triggers><{kind}>{inner}</{kind}></Triggers>")


def _starting(boundary: str, kind: str = "CalendarTrigger", schedule: str = "") -> str:
    return _trigger(f"<StartBoundary>{boundary}</StartBoundary>{schedule}", kind)


_EVERY_SECOND_DAY = "<ScheduleByDay><DaysInterval>2</DaysInterval></ScheduleByDay>"


def test_both_dialects_of_windows_mean_the_same() -> None:
    assert tx.normalise(MINIMAL) == tx.normalise(FULL)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encoding_of_a_file_is_seen_not_believed(encoding: str) -> None:
    assert tx.parse(FULL.encode(encoding)) == tx.parse(FULL)


@pytest.mark.parametrize("document", [MINIMAL, FULL])
def test_printing_keeps_the_document(document: str) -> None:
    parsed = tx.parse(document)
    assert tx.parse(tx.render(parsed)) == parsed


def test_the_meaning_is_plain_data_with_defaults() -> None:
    normal = tx.normalise(MINIMAL)
    assert normal["Principal"] == {"UserId": "S-1-5-18", "RunLevel": "HighestAvailable"}
    assert normal["Actions"] == [
        {"type": "Exec", "Command": r"C:\OP\backup.exe", "Arguments": '/to "D:\\Backup & Co"', "WorkingDirectory": ""}
    ]
    triggers = normal["Triggers"]
    assert isinstance(triggers, list)
    assert triggers[0] == {
        "type": "CalendarTrigger",
        "Enabled": True,
        "RandomDelay": 0,
        "StartBoundary": "02:00:00",
        "Repetition": {"Interval": 1800, "StopAtDurationEnd": False},
        "ScheduleByWeek": {"WeeksInterval": 1, "DaysOfWeek": ["Monday", "Friday"]},
    }
    settings_ = normal["Settings"]
    assert isinstance(settings_, dict)
    assert settings_["ExecutionTimeLimit"] == 259200
    assert settings_["StopIfGoingOnBatteries"] is False


def test_an_absent_setting_is_the_specifications_default() -> None:
    """MS-TSCH 2.5.4."""
    on = ["AllowStartOnDemand", "AllowHardTerminate", "Enabled", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries"]
    off = [
        "StartWhenAvailable",
        "RunOnlyIfNetworkAvailable",
        "RunOnlyIfIdle",
        "WakeToRun",
        "Hidden",
        "Volatile",
        "UseUnifiedSchedulingEngine",
        "DisallowStartOnRemoteAppSession",
    ]
    assert tx.normalise(_task(""))["Settings"] == {
        **dict.fromkeys(on, True),
        **dict.fromkeys(off, False),
        "MultipleInstancesPolicy": "IgnoreNew",
        "Priority": 7,
        "ExecutionTimeLimit": 259200,
        "IdleSettings": {"Duration": 600, "WaitTimeout": 3600, "StopOnIdleEnd": True, "RestartOnIdle": False},
    }


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("Enabled", "false"), ("Hidden", "true"), ("Priority", "5"), ("ExecutionTimeLimit", "PT0S"),
        ("MultipleInstancesPolicy", "Queue"), ("RunOnlyIfNetworkAvailable", "1"), ("DeleteExpiredTaskAfter", "PT0S"),
        ("LaterWindowsSetting", "x"), ("StopIfGoingOnBatteries", "false"),
    ],
)  # fmt: skip
def test_a_setting_that_is_not_the_default_is_a_difference(element: str, value: str) -> None:
    changed = _task(f"<Settings><{element}>{value}</{element}></Settings>")
    assert tx.normalise(changed) != tx.normalise(_task(""))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_trigger("<ExecutionTimeLimit>PT72H</ExecutionTimeLimit>"), _trigger("<ExecutionTimeLimit>P3D</ExecutionTimeLimit>")),
        (_trigger("<Enabled>1</Enabled>"), _trigger("")),
        (_starting("2024-01-05T02:00:00"), _starting("2019-12-31T02:00:00")),
        (_starting("2024-01-05T02:00:00-05:00"), _starting("2024-01-05T07:00:00Z")),
        (_task("<Settings><Hidden>true</Hidden><Enabled>false</Enabled></Settings>"),
         _task("<Settings><Enabled>false</Enabled><Hidden>true</Hidden></Settings>")),
        (_task("<Actions Context='a'/><Principals><Principal id='a'><UserId>system</UserId></Principal></Principals>"),
         _task("<Actions Context='b'/><Principals><Principal id='b'><UserId>S-1-5-18</UserId></Principal></Principals>")),
        (_task("<Principals><Principal><GroupId>S-1-5-32-545</GroupId><LogonType>Group</LogonType></Principal></Principals>"),
         _task("<Principals><Principal><GroupId>s-1-5-32-545</GroupId></Principal></Principals>")),
        (_task("<RegistrationInfo><URI>\\x</URI><Author>a</Author><Version>1</Version></RegistrationInfo>"), _task("")),
        (_trigger("<!-- why -->"), _trigger("")),
    ],
)  # fmt: skip
def test_these_tasks_mean_the_same(one: str, other: str) -> None:
    assert tx.normalise(one) == tx.normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_starting("2024-01-05T02:00:00"), _starting("2024-01-05T02:00:00Z")),
        (_starting("2024-01-05T02:00:00"), _starting("2024-01-05T03:00:00")),
        (_starting("2024-01-05T02:00:00", "TimeTrigger"), _starting("2024-01-06T02:00:00", "TimeTrigger")),
        (_starting("2024-01-05T02:00:00", schedule=_EVERY_SECOND_DAY),
         _starting("2024-01-06T02:00:00", schedule=_EVERY_SECOND_DAY)),
        (_trigger("<ExecutionTimeLimit>P1M</ExecutionTimeLimit>"), _trigger("<ExecutionTimeLimit>P30D</ExecutionTimeLimit>")),
        (_task("<Actions><Exec><Command>a</Command></Exec><Exec><Command>b</Command></Exec></Actions>"),
         _task("<Actions><Exec><Command>b</Command></Exec><Exec><Command>a</Command></Exec></Actions>")),
        (_task("<Principals><Principal><UserId>DB1\\u</UserId><LogonType>S4U</LogonType></Principal></Principals>"),
         _task("<Principals><Principal><UserId>DB1\\u</UserId><LogonType>Password</LogonType></Principal></Principals>")),
        (_task("<Later><Windows a='1'/></Later>"), _task("<Later><Windows a='2'/></Later>")),
        (_task("<Settings><Hidden>true</Hidden><Hidden>false</Hidden></Settings>"),
         _task("<Settings><Hidden>true</Hidden></Settings>")),
        (_task("<Data><x xmlns='urn:a'>1</x></Data>"), _task("<Data><x xmlns='urn:b'>1</x></Data>")),
        (_trigger("<Thing>75</Thing>", "WnfStateChangeTrigger"), _trigger("<Thing>76</Thing>", "WnfStateChangeTrigger")),
    ],
)  # fmt: skip
def test_these_tasks_do_not_mean_the_same(one: str, other: str) -> None:
    assert tx.normalise(one) != tx.normalise(other)


@pytest.mark.parametrize(
    ("text", "length"),
    [("PT72H", 259200), ("P3D", 259200), ("P7DT0H", 604800), ("P1DT12H", 129600), ("PT0S", 0), ("P1W", 604800),
     ("PT1H30M", 5400), ("P1M", "P1MT0S"), ("P1Y1M", "P13MT0S"), ("P1MT1H", "P1MT3600S"),
     ("soon", "soon"), ("P", "P"), ("PT", "PT"), ("", "")],
)  # fmt: skip
def test_a_duration_is_its_length_and_months_have_none(text: str, length: int | str) -> None:
    assert tx.seconds(text) == length


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "tomorrow", "", "2024-13-01T00:00:00"])
def test_a_boundary_that_is_no_time_is_kept_as_text(text: str) -> None:
    assert tx.moment(text) == text


def test_names_to_resolve_are_those_that_are_no_sids() -> None:
    task = tx.parse(
        _task(
            r"<Principals><Principal><UserId>DB1\op</UserId></Principal>"
            r"<Principal><UserId>NT AUTHORITY\Local Service</UserId></Principal>"
            r"<Principal><GroupId>Users</GroupId></Principal><Principal><UserId>S-1-5-18</UserId></Principal></Principals>"
            r"<Triggers><LogonTrigger><UserId>DB1\op</UserId></LogonTrigger><LogonTrigger><UserId/></LogonTrigger></Triggers>"
        )
    )
    assert tx.account_names(task) == (r"DB1\op", "Users")


def test_sids_take_the_place_of_names_everywhere() -> None:
    task = tx.parse(MINIMAL)
    resolved = tx.with_sids(task, {r"db1\OP-support": "S-1-5-21-1-2-3-1001"})
    assert tx.account_names(resolved) == ()
    triggers = tx.normalise(resolved)["Triggers"]
    assert isinstance(triggers, list)
    assert isinstance(triggers[1], dict)
    assert triggers[1]["UserId"] == "S-1-5-21-1-2-3-1001"
    assert tx.with_sids(task, {"somebody else": "S-1-5-18"}) == task


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "not well-formed"),
        ("<Task", "not well-formed"),
        ("<Task/>", "not a task"),
        (f'<Job xmlns="{tx.NAMESPACE}"/>', "not a task"),
        (f'<!DOCTYPE t [<!ENTITY a "b">]><Task xmlns="{tx.NAMESPACE}">&a;</Task>', "document type"),
        (f'<!<!-- -->DOCTYPE t><Task xmlns="{tx.NAMESPACE}"/>', "document type"),
        (_task("<a>" * 100 + "</a>" * 100), "levels deep"),
        (b"\xff\xfe\x00", "neither UTF-16"),
        (b"\xff\xff", "neither UTF-16"),
    ],
)
def test_what_is_no_task_is_refused(document: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tx.normalise(document)


def test_what_looks_like_a_comment_in_character_data_stays() -> None:
    task = tx.parse(_task("<Data><![CDATA[a<!-- b -->c]]></Data>"))
    assert tx.normalise(task)["Data"] == "a<!-- b -->c"


_XML_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn"), include_characters="\t\n\r"), min_size=1, max_size=12
)
_TAGS = st.sampled_from(["Settings", "Enabled", "Data", "UserId", "Repetition", "{urn:x}Own", "{}None"])
_NAMES = st.sampled_from(["id", "Context", "{urn:a}b", "{urn:c}d", "{http://www.w3.org/XML/1998/namespace}lang"])
_ATTRIBUTES = st.dictionaries(_NAMES, _XML_TEXT, max_size=3).map(lambda found: tuple(sorted(found.items())))


def _mixed(children: list[tx.Element]) -> st.SearchStrategy[tuple[tx.Element | str, ...]]:
    between = _XML_TEXT.filter(str.strip)
    return between.map(lambda text: (*children[:1], text, *children[1:])) if children else st.just(())


_LEAVES = st.builds(tx.Element, _TAGS, _ATTRIBUTES, st.just(()) | _XML_TEXT.map(lambda text: (text,)))
_ELEMENTS = st.recursive(
    _LEAVES,
    lambda inner: st.builds(
        tx.Element, _TAGS, _ATTRIBUTES, st.lists(inner, max_size=4).flatmap(lambda found: st.just(tuple(found)) | _mixed(found))
    ),
    max_leaves=8,
)


@settings(max_examples=100)
@given(_ELEMENTS)
def test_any_document_survives_printing_and_reading(element: tx.Element) -> None:
    task = replace(element, tag="Task")
    assert tx.parse(tx.render(task)) == task
    assert tx.normalise(tx.render(task)) == tx.normalise(task)


@settings(max_examples=100)
@given(st.integers(0, 400), st.integers(0, 40), st.integers(0, 90), st.integers(0, 90))
def test_a_duration_has_the_length_of_its_parts(days: int, hours: int, minutes: int, rest: int) -> None:
    assert tx.seconds(f"P{days}DT{hours}H{minutes}M{rest}S") == ((days * 24 + hours) * 60 + minutes) * 60 + rest


def test_every_real_task_is_read_and_printed_to_the_same_meaning() -> None:
    for path in shared("tasks/*.xml"):
        task = tx.parse(path.read_bytes())
        assert tx.parse(tx.render(task)) == task, path
        assert tx.normalise(tx.render(task)) == tx.normalise(task), path


def test_of_every_real_task_switches_numbers_and_lengths_are_understood() -> None:
    for path in shared("tasks/*.xml"):
        normal = tx.normalise(path.read_bytes())
        settings_ = normal["Settings"]
        assert isinstance(settings_, dict)
        words = {key for key, value in settings_.items() if isinstance(value, str)}
        assert words <= {"MultipleInstancesPolicy"}, path
        assert set(normal) <= {"RegistrationInfo", "Principal", "Settings", "Triggers", "Actions", "Data"}, path

"""What two nights are compared by, and what is said of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.findings import Finding, Message, failure, findings, message, not_written, remembered
from opdeploy.model import ExitCode
from opdeploy.results import Drift, HostResult, Item, Run, Waived, WaiverUse

SEEN = ("2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z")
STOPPED = runs.service("Spooler", start_mode=("manual", "disabled"), state=("running", "stopped"))
OTHER = runs.service("W32Time", start_mode=("manual", "automatic"))
DOWN = runs.host("ts1", machine=None, error="no answer within 20 s", hint="is it switched on?")
WAIVER = WaiverUse("waivers.yml:3", "db*", "service/Spooler", ("start_mode",), "the printer", "anna", "2026-11-01", "expired")


def differs(change: object, kind: str = "corrective", *waived: str) -> Item:
    accepted = (Waived(waived, "the printer", "anna", "2027-01-01"),) if waived else ()
    return Item(change, drift=Drift(kind, *SEEN, accepted))  # type: ignore[arg-type]


def night(*hosts: HostResult, **given: object) -> Run:
    return runs.run(*hosts, command="drift", **given)


def told(run: Run, before: Sequence[Finding] = ()) -> str:
    said = message(run, before)
    assert said
    return said.text(10_000)


def test_a_finding_names_host_resource_class_and_properties_sorted_and_no_value() -> None:
    run = night(runs.host("db1", differs(STOPPED), differs(OTHER, "never_applied")), DOWN)
    assert [str(one) for one in findings(run)] == [
        "db1: service/Spooler (corrective): start_mode, state",
        "db1: service/W32Time (never applied): start_mode",
        "ts1: unreachable",
    ]


def test_that_something_is_missing_or_too_much_is_said_without_its_properties() -> None:
    run = night(runs.host("db1", differs(runs.EXTRA), differs(runs.FEATURE)))
    assert [str(one) for one in findings(run)] == [
        "db1: service/Leftover (corrective): too much",
        "db1: windows_feature/NET-Framework-Core (corrective): missing",
    ]


def test_one_that_was_not_classified_just_differs() -> None:
    assert [one.state for one in findings(night(runs.host("db1", Item(STOPPED))))] == ["differs"]


def test_an_unknown_is_one() -> None:
    run = night(runs.host("db1", differs(runs.UNREAD, "unknown"), Item(runs.UNPROVEN)))
    assert [(one.what, one.state) for one in findings(run)] == [
        ("local_user/.\\op-support", "unknown"), ("service/Netlogon", "unknown"),
    ]  # fmt: skip


def test_what_is_in_sync_waived_or_a_step_for_a_person_is_none() -> None:
    items = (Item(runs.in_sync("Spooler")), differs(STOPPED, "waived", "start_mode", "state"), Item(runs.OPEN))
    assert findings(night(runs.host("db1", *items))) == ()


def test_of_one_that_is_waived_in_part_the_rest_is_named() -> None:
    (found,) = findings(night(runs.host("db1", differs(STOPPED, "corrective", "state"))))
    assert found.properties == "start_mode"


def test_a_waiver_that_ended_is_one_and_one_in_use_is_none() -> None:
    run = night(waivers=(WAIVER, replace(WAIVER, state="used"), replace(WAIVER, state="unused")))
    assert [str(one) for one in findings(run)] == ["db*: service/Spooler (waiver expired): start_mode"]


# ---------------------------------------------------------------- from one night to the next


FIRST = night(runs.host("db1", differs(STOPPED), differs(OTHER)))


def test_a_new_difference_is_told_and_the_same_again_is_not() -> None:
    said = message(FIRST, ())
    assert said
    assert (said.title, said.kind) == ("opdeploy: 2 new or changed (lab)", "warning")
    assert said.text(10_000) == (
        "new or changed:\n"
        "- db1: service/Spooler (corrective): start_mode, state\n"
        "- db1: service/W32Time (corrective): start_mode\n"
        "as before: 0\n"
        "exit code 2; opdeploy history show 20261122T030000Z-1a2b, on admin-pc"
    )
    assert message(FIRST, findings(FIRST)) is None


def test_what_is_settled_is_told_and_what_stays_is_counted() -> None:
    said = message(night(runs.host("db1", differs(OTHER))), findings(FIRST))
    assert said
    assert (said.title, said.kind) == ("opdeploy: 1 settled (lab)", "info")
    assert said.lines == ("settled:", "- db1: service/Spooler (corrective): start_mode, state", "as before: 1")


@pytest.mark.parametrize(
    "item", [differs(runs.service("Spooler", state=("running", "stopped"))), differs(STOPPED, "intentional")]
)
def test_another_property_or_class_of_the_same_is_changed_and_not_settled(item: Item) -> None:
    before = findings(night(runs.host("db1", differs(STOPPED))))
    assert "new or changed:\n- db1: service/Spooler (" in told(night(runs.host("db1", item)), before)
    assert "settled" not in told(night(runs.host("db1", item)), before)


def test_the_same_property_with_another_value_is_told_again() -> None:
    """A rule that was opened to a network last night, and is open to everybody now."""
    before = findings(night(runs.host("db1", differs(STOPPED))))
    worse = differs(runs.service("Spooler", start_mode=("automatic", "disabled"), state=("running", "stopped")))
    assert told(night(runs.host("db1", worse)), before).startswith("new or changed:\n- db1: service/Spooler (")


def test_what_a_waiver_accepts_may_change() -> None:
    other = runs.service("Spooler", start_mode=("manual", "disabled"), state=("paused", "stopped"))
    accepted = [findings(night(runs.host("db1", differs(one, "corrective", "state")))) for one in (STOPPED, other)]
    assert accepted[0] == accepted[1]


def test_nothing_found_on_the_first_night_is_not_told() -> None:
    assert message(night(runs.IN_SYNC), ()) is None


def test_a_host_that_left_the_inventory_is_named_once_and_nothing_of_it_called_settled() -> None:
    before = (*findings(FIRST), Finding("ts1", "", "unreachable"))
    assert told(night(runs.host("app1")), before).startswith("not checked any more:\n- db1\n- ts1\nas before: 0\n")


def test_what_was_told_and_is_waived_now_is_not_called_settled() -> None:
    waived = differs(STOPPED, "waived", "start_mode", "state")
    said = told(night(runs.host("db1", waived, differs(OTHER))), findings(FIRST))
    assert said.startswith("waived now:\n- db1: service/Spooler (corrective): start_mode, state\nas before: 1\n")


def test_an_expired_waiver_is_another_thing_than_the_resource_that_it_names() -> None:
    waiver = replace(WAIVER, hosts="db1")
    both = night(runs.host("db1", differs(STOPPED)), waivers=(waiver,))
    fixed = night(runs.host("db1"), waivers=(waiver,))
    assert told(fixed, findings(both)).startswith("settled:\n- db1: service/Spooler (corrective): start_mode, state\n")
    taken_out = night(runs.host("db1", differs(STOPPED)))
    assert told(taken_out, findings(both)).startswith("settled:\n- db1: service/Spooler (waiver expired): start_mode\n")


# ---------------------------------------------------------------- what could not be read


def test_a_host_that_could_not_be_read_is_told_every_night_with_the_reason() -> None:
    run = night(runs.IN_SYNC, DOWN, runs.host("app1", machine=None, error="no agent", error_status="failed"))
    for before in ((), findings(run)):
        said = message(run, before)
        assert said
        assert (said.title, said.kind) == ("opdeploy: 2 could not be read (lab)", "failure")
        assert said.lines[:3] == (
            "could not be read:", "- ts1: unreachable: no answer within 20 s", "- app1: failed: no agent",
        )  # fmt: skip


def test_since_when_a_host_is_not_read_stands_after_the_reason() -> None:
    since = "not read since 2026-11-20 (3 checks in a row)"
    run = night(replace(DOWN, error="no answer, and " + "x" * 400, absence=since))
    said = message(run, ())
    assert said
    assert said.lines[1].startswith("- ts1: unreachable: no answer, and xxx")
    assert said.lines[1].endswith(f"…; {since}")
    assert not_written(run, "the disk is full").lines[2] == said.lines[1]


def test_a_host_that_could_not_be_read_loses_nothing_that_was_known_of_it() -> None:
    """Else its differences were settled tonight and new tomorrow."""
    unread = night(runs.host("db1", machine=None, error="no answer"))
    known = remembered(unread, findings(FIRST))
    assert "settled" not in told(unread, findings(FIRST))
    assert "as before: 2" in told(unread, findings(FIRST))
    assert told(FIRST, known).startswith("read again:\n- db1\nas before: 2\n")
    assert remembered(FIRST, known) == findings(FIRST)


def test_of_a_bug_only_its_kind_is_told() -> None:
    bug = "a bug: ValueError: no such thing:\n'D:\\OP' of LocalUser(description='x')"
    said = told(night(runs.host("db1", machine=None, error=bug, error_status="failed")))
    assert said.startswith("could not be read:\n- db1: failed: a bug: ValueError\n")


def test_that_reasons_vary_is_no_change() -> None:
    again = night(replace(DOWN, error="refused after 3 s"))
    assert findings(again) == findings(night(DOWN))


def test_a_long_reason_is_cut_and_one_that_would_move_a_terminal_is_shown() -> None:
    said = told(night(replace(DOWN, error="\x1b[2J" + "x" * 1000)))
    assert "\\u001b[2J" in said
    assert "x" * 299 not in said
    assert "\x1b" not in failure("inventories/lab", "\x1b[2J", "admin-pc").text(1000)


def test_what_went_wrong_with_the_check_is_told_although_nothing_changed() -> None:
    said = message(FIRST, findings(FIRST), ["the run store was broken"], ExitCode.FAILED)
    assert said
    assert (said.title, said.kind) == ("opdeploy: 1 went wrong (lab)", "failure")
    assert said.lines == ("went wrong:", "- the run store was broken", "as before: 2")
    assert said.closing.startswith("exit code 1; ")


def test_where_nothing_could_be_written_down_all_that_was_found_is_told() -> None:
    said = not_written(night(runs.host("db1", differs(STOPPED)), DOWN), "the run store can't be used: the disk is full")
    assert (said.title, said.kind) == ("opdeploy: the drift check could not be written down (lab)", "failure")
    assert said.lines == (
        "the run store can't be used: the disk is full",
        "could not be read:",
        "- ts1: unreachable: no answer within 20 s",
        "found:",
        "- db1: service/Spooler (corrective): start_mode, state",
    )
    assert said.closing == "the next check tells it again; look at the log on admin-pc"
    fine = not_written(night(runs.host("db1")), "the disk is full")
    assert fine.lines[1:] == ("found:", "- no difference on any host that was read")


def test_a_check_that_read_no_host_at_all_is_told() -> None:
    assert told(night()).startswith("went wrong:\n- no host was read: there was none\n")


# ---------------------------------------------------------------- its length


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=80), st.integers(60, 3000))
@settings(max_examples=100)
def test_a_message_is_no_longer_than_it_may_be_and_says_what_was_left_out(lines: list[str], longest: int) -> None:
    lines = [line.replace("\n", "") or "-" for line in lines]
    text = Message("title", tuple(lines), "look there", "info").text(longest)
    assert len(text) <= longest
    *shown, closing = text.split("\n")
    assert closing == "look there"
    if shown == lines:
        return
    assert shown[-1] == f"… {len(lines) - len(shown) + 1} more lines"
    assert shown[:-1] == lines[: len(shown) - 1]


def test_what_fits_is_whole() -> None:
    said = Message("title", ("a" * 10, "b" * 10), "look there", "info")
    assert said.text(32) == "a" * 10 + "\n" + "b" * 10 + "\nlook there"

"""Where a difference comes from, case by case, and what a waiver may accept of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

from cases import Case, load, planned
from opdeploy import drifting, memory
from opdeploy.drifting import classified
from opdeploy.inventory.waivers import Waiver
from opdeploy.memory import Memory, OfHost
from opdeploy.model import Change, ExitCode, Principal, Property
from opdeploy.resources.base import Owned, properties
from opdeploy.resources.file import File
from opdeploy.resources.service import Grant, Service
from opdeploy.results import Drift, Item, Run, WaiverUse

KEY = b"k" * 32
MONDAY, TUESDAY, WEDNESDAY = (f"2026-11-{day}T03:00:00Z" for day in (23, 24, 25))
TODAY = date(2026, 11, 24)


def remembered(*nights: Run) -> Memory:
    """What is left of these runs, one after the other."""
    hosts: dict[str, OfHost] = {}
    for night in nights:
        for host in night.hosts:
            hosts[host.name] = memory.after(night, host, hosts.get(host.name, OfHost()), KEY)
    return Memory(KEY, hosts)


def night(*items: Change[Any] | Item, at: str = MONDAY, **given: Any) -> Run:
    told = (item if isinstance(item, Item) else Item(item) for item in items)
    return runs.run(runs.host("db1.example", *told), command="drift", created_at=at, **given)


def checked(now: Run, *before: Run, waivers: Iterable[Waiver] = (), today: date = TODAY) -> Run:
    return classified(now, remembered(*before), list(waivers), today)


def drift(run: Run, number: int = 0) -> Drift:
    found = run.hosts[0].items[number].drift
    assert found is not None
    return found


def waiver(**given: Any) -> Waiver:
    named = frozenset({"db1.example"})
    told = {"resource": "service/*", "properties": (), "reason": "until the vendor's visit", "by": "anna", "until": TODAY}
    return Waiver("waivers.yml:2", "all", **{"named": named, **told, **given})


# ---------------------------------------------------------------- classes

DIFFERS = runs.service("Spooler", start_mode=("manual", "disabled"))
AS_WANTED = runs.in_sync("Spooler", start_mode="disabled")
OTHERWISE = runs.service("Spooler", start_mode=("automatic", "disabled"))
MISSING = replace(DIFFERS, actual=None, action="create")
UNKNOWN = replace(AS_WANTED, actual=None, verdict="unknown", reason="access denied")
BEFORE = runs.in_sync("Spooler", start_mode="manual")
WITHOUT_EFFECT = replace(AS_WANTED, verdict="would_change", reason="a group policy's rules count alone")
GONE = Change(Service(name="Spooler", absent=True), None, "in_sync", roles=("op_services",))
UNWANTED = replace(GONE, actual=Service(name="Spooler"), verdict="would_change", action="remove")
EXTRA = replace(runs.EXTRA, roles=("op_services",))
APPLIED = Item(DIFFERS, outcome="applied")
BOTH = runs.service("Spooler", start_mode=("manual", "disabled"), display_name=("X", "Print"))


def granted(before: str, sid: str, **given: Any) -> Change[Any]:
    grants = (Grant(principal=Principal(".\\op", sid), rights=("start",)),)
    there = (Grant(principal=Principal(".\\op", before), rights=("start",)),)
    return runs.service("Spooler", grants=(there, grants)) if before != sid else runs.in_sync("Spooler", grants=grants)


def password(now: str, verdict: Any = "would_change") -> Change[Any]:
    """These live as long as the process, and what it holds is taken out of every text: no word of one."""
    made = runs.user(password=(runs.secret("Pa55w0rd-there"), runs.secret(f"Pa55w0rd-{now}")))
    return replace(made, actual=runs.User(name="op"), verdict=verdict)


def exact(verdict: Any, exact: bool) -> Change[Any]:
    one = runs.service("Spooler", grants=((), ()))
    return replace(one, resource=one.resource.model_copy(update={"exact": exact}), verdict=verdict)


@pytest.mark.parametrize(
    ("then", "now", "kind"),
    [
        pytest.param((), DIFFERS, "never_applied", id="nobody saw it as desired"),
        pytest.param((DIFFERS,), DIFFERS, "never_applied", id="it always differed"),
        pytest.param((Item(DIFFERS, outcome="failed"),), DIFFERS, "never_applied", id="an apply failed"),
        pytest.param((AS_WANTED,), DIFFERS, "corrective", id="it was in sync"),
        pytest.param((APPLIED,), DIFFERS, "corrective", id="it was applied"),
        pytest.param((BEFORE,), DIFFERS, "intentional", id="the inventory changed"),
        pytest.param(
            (runs.in_sync("Spooler", display_name="Print"),), DIFFERS, "intentional", id="the inventory names one more"
        ),
        pytest.param(
            (runs.in_sync("Spooler", start_mode="manual", display_name="Print"),), BOTH, "corrective", id="both changed at once"
        ),
        pytest.param((BEFORE,), OTHERWISE, "corrective", id="both changed the same property"),
        pytest.param((AS_WANTED,), MISSING, "corrective", id="it vanished"),
        pytest.param((BEFORE,), MISSING, "corrective", id="it vanished, both changed"),
        pytest.param((GONE,), UNWANTED, "corrective", id="it came back"),
        pytest.param((AS_WANTED,), UNWANTED, "intentional", id="it is to go"),
        pytest.param((GONE,), MISSING, "intentional", id="it is to be made again"),
        pytest.param((runs.in_sync("Other"),), EXTRA, "corrective", id="an extra beside what its role made"),
        pytest.param((), EXTRA, "never_applied", id="an extra where its role was never applied"),
        pytest.param(
            (replace(runs.in_sync("Other"), roles=("firebird",)),), EXTRA, "never_applied", id="an extra of another role"
        ),
        pytest.param((runs.in_sync("Other"),), UNWANTED, "never_applied", id="a removal that a role asks for since today"),
        pytest.param((AS_WANTED,), WITHOUT_EFFECT, "corrective", id="right, but without effect since then"),
        pytest.param((AS_WANTED,), UNKNOWN, "unknown", id="it can't be read"),
        pytest.param(
            (password("new", "in_sync"),),
            replace(password("new", "unknown"), reason="nobody recorded when it was set"),
            "unknown",
            id="a password that nobody can prove",
        ),
        pytest.param((granted("S-1-5-21-1-1", "S-1-5-21-1-1"),), granted("", "S-1-5-21-1-2"), "corrective", id="another SID"),
        pytest.param((password("old", "in_sync"),), password("new"), "intentional", id="a new password"),
        pytest.param((password("new", "in_sync"),), password("new"), "corrective", id="a password set by hand"),
        pytest.param((exact("in_sync", False),), exact("would_change", True), "intentional", id="exact from now on"),
        pytest.param((exact("in_sync", True),), exact("would_change", True), "corrective", id="exact all along"),
    ],
)
def test_where_a_difference_comes_from(then: tuple[Change[Any] | Item, ...], now: Change[Any], kind: str) -> None:
    beside = [item for item in then if isinstance(item, Change) and item.resource.key == "Other"]
    run = checked(night(now, *beside, at=TUESDAY), night(*then))
    assert drift(run).kind == kind


@pytest.mark.parametrize(
    "case", [case for case in load(Path(__file__).parent / "cases") if not case.refused], ids=lambda case: case.id
)
def test_of_no_kind_it_is_the_host_that_changed_where_it_is_as_was_wanted_then(case: Case) -> None:
    change, _ = planned(case)
    if change.verdict == "in_sync" and change.actual and not change.resource.absent:
        then = memory.desired(change.resource, KEY)
        told = {
            name: Property(getattr(change.actual, name), getattr(change.resource, name))
            for name in properties(type(change.resource))
        }
        assert [name for name in told if drifting._is_neither(replace(change, properties=told), name, then)] == []


def test_what_is_in_sync_or_a_persons_has_none() -> None:
    run = checked(night(AS_WANTED, runs.OPEN, replace(UNKNOWN, verdict="not_applicable")), night())
    assert [item.drift for item in run.hosts[0].items] == [None, None, None]


def test_another_hosts_record_says_nothing() -> None:
    there = runs.run(runs.host("db2.example", Item(AS_WANTED)), command="drift", created_at=MONDAY)
    assert drift(checked(night(DIFFERS), there)).kind == "never_applied"


def test_a_files_content_is_remembered_by_its_digest_alone() -> None:
    told = memory.desired(File(path="D:\\OP\\op.ini", content="[OP]\nserver=db1\n"), KEY)
    assert ("sha256" in told, "content" in told) == (True, False)


# ---------------------------------------------------------------- since when


def test_it_is_known_since_the_first_night() -> None:
    nights = [night(AS_WANTED, at=MONDAY), night(DIFFERS, at=TUESDAY), night(DIFFERS, at=WEDNESDAY)]
    first = drift(checked(nights[1], *nights[:1]))
    assert (first.first_seen, first.last_seen) == (TUESDAY, "")
    second = drift(checked(nights[2], *nights[:2]))
    assert (second.first_seen, second.last_seen) == (TUESDAY, TUESDAY)


def test_a_second_property_does_not_make_it_younger() -> None:
    told = drift(checked(night(BOTH, at=WEDNESDAY), night(DIFFERS, at=MONDAY), night(BOTH, at=TUESDAY)))
    assert (told.first_seen, told.last_seen) == (MONDAY, TUESDAY)


def test_the_newest_sight_of_any_property_counts() -> None:
    part = night(DIFFERS, at=TUESDAY, roles=("op_services",))
    told = drift(checked(night(BOTH, at=WEDNESDAY), night(BOTH, at=MONDAY), part))
    assert (told.first_seen, told.last_seen) == (MONDAY, TUESDAY)


def test_a_night_whose_clock_was_ahead_makes_it_no_younger() -> None:
    nights = [night(AS_WANTED, at=MONDAY), night(DIFFERS, at="2031-01-01T03:00:00Z"), night(DIFFERS, at=TUESDAY)]
    assert drift(checked(nights[2], *nights[:2])).first_seen == TUESDAY
    assert drift(checked(night(DIFFERS, at=WEDNESDAY), *nights)).first_seen == TUESDAY


def test_it_begins_anew_once_it_was_in_sync() -> None:
    told = drift(checked(night(DIFFERS, at=WEDNESDAY), night(DIFFERS, at=MONDAY), night(AS_WANTED, at=TUESDAY)))
    assert (told.first_seen, told.last_seen) == (WEDNESDAY, "")


def test_a_night_in_which_it_could_not_be_read_changes_nothing() -> None:
    unread = runs.run(runs.UNREACHABLE, replace(runs.UNREACHABLE, name="db1.example"), command="drift", created_at=TUESDAY)
    for between in (unread, night(UNKNOWN, at=TUESDAY)):
        told = drift(checked(night(DIFFERS, at=WEDNESDAY), night(AS_WANTED, at=MONDAY), night(DIFFERS, at=MONDAY), between))
        assert (told.kind, told.first_seen, told.last_seen) == ("corrective", MONDAY, MONDAY)


def test_an_unknown_has_its_own_beginning() -> None:
    for before in (DIFFERS, MISSING):
        told = drift(checked(night(UNKNOWN, at=WEDNESDAY), night(before, at=MONDAY), night(UNKNOWN, at=TUESDAY)))
        assert told.first_seen == TUESDAY


def test_an_extra_that_went_away_and_came_back_is_new() -> None:
    told = drift(checked(night(EXTRA, at=WEDNESDAY), night(EXTRA, at=MONDAY), night(AS_WANTED, at=TUESDAY)))
    assert told.first_seen == WEDNESDAY


def test_an_extra_in_a_scope_that_could_not_be_read_is_still_there() -> None:
    unread = Change(Owned(of="group OP"), None, "unknown", roles=("op_services",), reason="access denied")
    told = drift(checked(night(EXTRA, at=WEDNESDAY), night(EXTRA, at=MONDAY), night(unread, at=TUESDAY)))
    assert (told.first_seen, told.last_seen) == (MONDAY, MONDAY)


def test_what_the_inventory_did_not_name_for_a_while_begins_anew() -> None:
    told = drift(checked(night(DIFFERS, at=WEDNESDAY), night(AS_WANTED, at=MONDAY), night(at=TUESDAY)))
    assert told.kind == "never_applied"


# ---------------------------------------------------------------- runs that were limited to roles


def test_a_limited_run_takes_nothing_back() -> None:
    """Of what several roles want it saw a part: the other part may differ, and other resources were not looked at."""
    before = (night(AS_WANTED, EXTRA, at=MONDAY), night(DIFFERS, EXTRA, at=MONDAY))
    part = night(runs.in_sync("Spooler", display_name="Print"), at=TUESDAY, roles=("op_services",))
    told = checked(night(DIFFERS, EXTRA, at=WEDNESDAY), *before, part)
    assert (drift(told).kind, drift(told).first_seen) == ("corrective", MONDAY)
    assert drift(told, 1).first_seen == MONDAY


def test_what_a_limited_run_applied_is_known() -> None:
    part = night(APPLIED, at=TUESDAY, roles=("op_services",))
    told = drift(checked(night(DIFFERS, at=WEDNESDAY), night(BEFORE, at=MONDAY), night(DIFFERS, at=MONDAY), part))
    assert (told.kind, told.first_seen) == ("corrective", WEDNESDAY)


# ---------------------------------------------------------------- waivers


def test_a_waived_difference_is_no_drift() -> None:
    run = checked(night(DIFFERS), night(AS_WANTED), waivers=[waiver()])
    told = drift(run)
    assert (told.kind, told.waived[0].properties, told.waived[0].until) == ("waived", ("start_mode",), "2026-11-24")
    assert (run.code, [use.state for use in run.waivers]) == (ExitCode.OK, ["used"])


def test_it_comes_back_as_what_it_is_on_the_day_after() -> None:
    run = checked(night(DIFFERS), night(AS_WANTED), waivers=[waiver()], today=date(2026, 11, 25))
    assert (drift(run).kind, drift(run).waived, run.code) == ("corrective", (), ExitCode.CHANGES)
    assert [use.state for use in run.waivers] == ["expired"]


def test_waivers_of_single_properties_add_up() -> None:
    mode, name = waiver(properties=("start_mode",)), waiver(properties=("display_name",), resource="SERVICE/spool*")
    one = drift(checked(night(BOTH), night(BOTH), waivers=[mode]))
    assert (one.kind, [waived.properties for waived in one.waived]) == ("never_applied", [("start_mode",)])
    assert drift(checked(night(BOTH), night(BOTH), waivers=[mode, name])).kind == "waived"


@pytest.mark.parametrize("change", [MISSING, UNWANTED, EXTRA])
def test_that_something_is_not_there_or_too_much_is_accepted_as_a_whole_or_not_at_all(change: Change[Any]) -> None:
    assert drift(checked(night(change), waivers=[waiver()])).kind == "waived"
    told = drift(checked(night(change), waivers=[waiver(properties=tuple(change.properties) or ("start_mode",))]))
    assert (told.kind, told.waived) == ("never_applied", ())


@pytest.mark.parametrize(
    "other", [{"named": frozenset({"db2.example"})}, {"resource": "service/Spool"}, {"resource": "file/*"}]
)
def test_a_waiver_of_something_else_accepts_nothing(other: dict[str, Any]) -> None:
    assert drift(checked(night(DIFFERS), waivers=[waiver(**other)])).kind == "never_applied"


def test_what_became_of_a_waiver() -> None:
    told = waiver(properties=("start_mode",))
    (use,) = checked(night(DIFFERS), waivers=[told]).waivers
    assert use == WaiverUse(
        "waivers.yml:2", "all", "service/*", ("start_mode",), "until the vendor's visit", "anna", "2026-11-24", "used"
    )


def test_one_that_met_nothing_is_unused() -> None:
    assert [use.state for use in checked(night(AS_WANTED), waivers=[waiver()]).waivers] == ["unused"]


UNREAD_SCOPE = Change(Owned(of="group OP"), None, "unknown", reason="access denied")


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(night(AS_WANTED, roles=("op_services",)), id="limited to roles"),
        pytest.param(night(UNKNOWN), id="it could not be read"),
        pytest.param(night(AS_WANTED, UNREAD_SCOPE), id="what may be in a scope could not be read"),
        pytest.param(runs.run(replace(runs.UNREACHABLE, name="db1.example"), command="drift"), id="its host could not be read"),
        pytest.param(runs.run(runs.host("db2.example", Item(AS_WANTED)), command="drift"), id="its host was not looked at"),
    ],
)
def test_nobody_calls_a_waiver_unused_that_was_not_tried(run: Run) -> None:
    assert checked(run, waivers=[waiver()]).waivers == ()


PATTERNS = st.text("*?[]!service/Splronk.", max_size=12)


@given(
    resource=PATTERNS | st.sampled_from(["*", "*/*", "service/*"]),
    properties=st.lists(st.sampled_from(["start_mode", "", "?", "*"]), max_size=3),
    verdict=st.sampled_from([UNKNOWN, replace(DIFFERS, verdict="unknown", action="update", reason="nobody knows")]),
    known=st.booleans(),
)
def test_a_waiver_never_hides_an_unknown(resource: str, properties: list[str], verdict: Change[Any], known: bool) -> None:
    waivers = [waiver(resource=resource, properties=tuple(properties)), waiver()]
    run = checked(night(verdict, at=TUESDAY), *([night(AS_WANTED)] if known else []), waivers=waivers)
    assert (drift(run).kind, drift(run).waived, run.code) == ("unknown", (), ExitCode.UNKNOWN)

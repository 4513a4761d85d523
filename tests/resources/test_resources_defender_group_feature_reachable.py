"""Defender and its exclusions, groups, features and reachable ports on the lab, which stores and answers as Windows does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opdeploy.calls import Failure, Read, Write
from opdeploy.guard import Session
from opdeploy.lab.windows import cmdlets_defender, registry, servers, services
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import State, dump
from opdeploy.model import Change
from opdeploy.planning import Desired, Managed, World, first_reads, machine, plan, plan_one, second_reads
from opdeploy.resources import KINDS
from opdeploy.resources.base import Scope
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.resources.manual_step import ManualStep
from opdeploy.windows import agent

SOURCE = agent.source(write=True)
MADE = {
    "defender_exclusion": {"type": "path", "value": r"D:\Praxis O'Neill „Öß“"},
    "local_group": {"name": "Ärzte & O'Neill", "description": '50 % „Öß“ "more"'},
    "windows_feature": {"name": "web-server", "management_tools": True},
}
PATHS = rf"{cmdlets_defender.LOCAL}\Paths"
STARTS = {"bare": servers.bare, "believable": servers.database_server}


class Host:
    """A simulated server, asked and written to in process."""

    def __init__(self, state: State) -> None:
        self.computer, self.state = Computer(state), state

    def observe(self, desired: Desired) -> World:
        found = self._answers(first_reads(desired))
        found |= self._answers(second_reads(desired, found))
        return World(machine(found), found, Session())

    def _answers(self, reads: list[Read]) -> dict[str, Any]:
        """What only a run store knows is None: nobody has signed a step off."""
        asked = [read for read in reads if not read.verb.startswith("record.")]
        found = {read.key: answer for read, answer in zip(asked, self.computer.ask(asked, source=SOURCE), strict=True)}
        return dict.fromkeys((read.key for read in reads), None) | found

    def plan(self, desired: Desired) -> list[Change[Any]]:
        return plan(desired, self.observe(desired))

    def apply(self, desired: Desired) -> list[Change[Any]]:
        """Each change made on what is known once those before it are read back."""
        changes = self.plan(desired)
        for change in changes:
            around = self.observe(desired)
            now = plan_one(Managed(change.resource), around)
            if now.action != "none":
                self._write(list(now.resource.writes(now, around.answers(now.resource))))
        return changes

    def _write(self, writes: list[Write]) -> None:
        for answer in self.computer.ask(writes, len(writes), source=SOURCE):
            assert not isinstance(answer, Failure), answer


def wish(kind: str, **more: Any) -> Desired:
    return Desired((Managed(KINDS[kind].model_validate({**MADE.get(kind, {}), **more})),))


def without_clock(state: State) -> str:
    time, state.time = state.time, ""
    text = dump(state)
    state.time = time
    return text


# ---------------------------------------------------------------- what every kind promises


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("kind", MADE)
def test_what_is_made_reads_back_in_sync_and_stays_so(kind: str, start: str) -> None:
    host = Host(STARTS[start]())
    assert [change.action for change in host.apply(wish(kind))] == ["create"]
    (change,) = host.apply(wish(kind))
    assert change.verdict == "in_sync"
    assert KINDS[kind].model_validate(change.actual.model_dump()) == change.actual


@pytest.mark.parametrize("kind", ["defender_exclusion", "local_group"])
def test_what_is_removed_leaves_the_host_as_it_was(kind: str) -> None:
    host = Host(servers.database_server())
    before = without_clock(host.state)
    host.apply(wish(kind))
    assert without_clock(host.state) != before
    gone = Desired((Managed(host.plan(wish(kind))[0].resource.model_copy(update={"absent": True})),))
    assert [change.action for change in host.apply(gone)] == ["remove"]
    assert without_clock(host.state) == before


def test_a_feature_without_tools_comes_and_goes_without_a_trace() -> None:
    host = Host(servers.bare())
    before = without_clock(host.state)
    host.apply(wish("windows_feature", management_tools=False))
    assert without_clock(host.state) != before
    assert [change.action for change in host.apply(wish("windows_feature", management_tools=False, absent=True))] == ["remove"]
    assert without_clock(host.state) == before


# ---------------------------------------------------------------- defender


def test_what_tamper_protection_refuses_without_an_error_is_noticed() -> None:
    host, wanted = Host(servers.bare()), wish("defender_exclusion")
    features = registry.create(host.state, rf"{cmdlets_defender.DEFENDER}\Features")
    registry.set_value(features, "TPExclusions", "DWord", 1)
    (change,) = host.apply(wanted)
    work = change.resource.work(host.observe(wanted).answers(change.resource))
    assert "tamper protection" in change.reason
    assert not work.running
    assert "tamper protection" in work.error


def test_what_was_written_and_is_there_has_no_work_left() -> None:
    host, wanted = Host(servers.bare()), wish("defender_exclusion")
    (change,) = host.apply(wanted)
    assert change.resource.work(host.observe(wanted).answers(change.resource)) is None


def test_what_is_read_back_as_unknown_is_no_failed_work() -> None:
    host, wanted = Host(servers.bare()), wish("defender_exclusion")
    services.set_running(host.state, "WinDefend", False)
    (change,) = host.plan(wanted)
    assert change.verdict == "unknown"
    assert change.resource.work(host.observe(wanted).answers(change.resource)) is None


def test_a_type_of_exclusion_owned_whole_loses_what_the_inventory_does_not_name_and_no_policy_sets() -> None:
    host = Host(servers.bare())
    key = registry.find(host.state, PATHS)
    for path in ("C:\\", r"D:\OP\DATA", r"D:\By policy"):
        registry.set_value(key, path, "DWord", 0)
    policy = registry.create(host.state, rf"{cmdlets_defender.POLICY}\Paths")
    registry.set_value(policy, "d:\\by policy\\", "String", "0")
    kept = Managed(DefenderExclusion(type="path", value=r"D:\OP\data"))
    owned = Desired((kept,), ((Scope(DefenderExclusion, "path"), ("role",)),))
    (gone,) = [change for change in host.apply(owned) if change.verdict != "in_sync"]
    assert (gone.action, gone.resource.key) == ("remove", "path C:\\")
    assert gone.reason == "not in the inventory, type of exclusion path is exact"
    assert {change.verdict for change in host.plan(owned)} == {"in_sync"}


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["C:", "d:", "%SystemDrive%"]), st.text("\\*?.", max_size=6))
def test_no_spelling_of_a_whole_drive_is_taken(drive: str, rest: str) -> None:
    with pytest.raises(ValidationError):
        DefenderExclusion(type="path", value=drive + rest)


# ---------------------------------------------------------------- where Defender is active, and where it is not

EXCLUSION = DefenderExclusion(type="path", value=r"D:\OP\data", only_where_active=True)
STEP = ManualStep(id="op-antivirus-exclusions", title="T", who="W", how="H", why="Y", unless_defender=True)
BOTH = Desired((Managed(EXCLUSION), Managed(STEP)))


def removed(state: State) -> None:
    state.features["windows-defender"]["state"] = "Available"


def stopped(state: State) -> None:
    services.set_running(state, "WinDefend", False)


def turned_off(state: State) -> None:
    stopped(state)
    registry.set_value(registry.create(state, cmdlets_defender.POLICIES), "DisableAntiSpyware", "DWord", 1)


def passive(state: State) -> None:
    key = registry.create(state, cmdlets_defender.THREAT_PROTECTION)
    registry.set_value(key, "ForceDefenderPassiveMode", "DWord", 1)


def as_it_is(state: State) -> None:
    """Defender as Windows brings it."""


def planned(state: State) -> dict[str, Change[Any]]:
    return {change.resource.KIND: change for change in Host(state).plan(BOTH)}


@pytest.mark.parametrize("build", [14393, 17763, 20348])
@pytest.mark.parametrize(
    ("done", "why"),
    [
        (removed, "Defender is not installed here"),
        (
            turned_off,
            "Defender is not active here (AMRunningMode: Not running); a policy turns it off (DisableAntiSpyware)",
        ),
        (passive, "Defender is not active here (AMRunningMode: Passive Mode)"),
    ],
)
def test_where_it_stands_back_the_step_is_open(build: int, done: Callable[[State], None], why: str) -> None:
    state = servers.bare(build)
    done(state)
    found = planned(state)
    assert (found["defender_exclusion"].verdict, found["defender_exclusion"].reason) == ("not_applicable", why)
    assert (found["manual_step"].verdict, found["manual_step"].action) == ("would_change", "none")


def test_a_defender_that_was_merely_stopped_hides_no_drift() -> None:
    state = servers.bare()
    stopped(state)
    found = planned(state)
    assert {change.verdict for change in found.values()} == {"unknown"}
    assert found["defender_exclusion"].reason.endswith("start WinDefend, or if another one does, say `other` for this host")


@pytest.mark.parametrize("product", ["ServerNT", "WinNT"])
def test_where_it_is_active_its_exclusions_are_managed(product: str) -> None:
    host = Host(servers.bare(19045 if product == "WinNT" else 20348, product))
    assert [change.action for change in host.apply(BOTH)] == ["create", "none"]
    found = planned(host.state)
    assert found["defender_exclusion"].verdict == "in_sync"
    assert (found["manual_step"].verdict, found["manual_step"].reason) == ("not_applicable", "Defender is active here")


def test_a_workstation_says_whose_antivirus_is_on() -> None:
    found = planned(servers.backup_station())
    assert found["defender_exclusion"].reason == (
        "Defender is not active here (AMRunningMode: Not running); ESET Security is on, Windows Security Center says"
    )
    assert found["manual_step"].verdict == "would_change"


def test_two_that_are_on_are_no_answer() -> None:
    state = servers.backup_station()
    services.set_running(state, "WinDefend", True)
    assert {change.verdict for change in planned(state).values()} == {"unknown"}


@pytest.mark.parametrize("done", [as_it_is, removed, stopped, turned_off, passive])
def test_what_is_not_applicable_is_left_alone_and_nothing_is_asked_twice(done: Callable[[State], None]) -> None:
    host = Host(servers.bare())
    done(host.state)
    host.apply(BOTH)
    again = {change.resource.KIND: change.action for change in host.plan(BOTH)}
    assert again == {"defender_exclusion": "none", "manual_step": "none"}


def test_an_exclusion_without_the_word_is_asked_of_defender_alone() -> None:
    alone = DefenderExclusion(type="path", value=r"D:\OP\data")
    assert not {"status", "products"} & set(alone.reads())
    assert set(STEP.model_copy(update={"unless_defender": False}).reads()) == {"record"}


def test_taken_back_where_it_stands_back_it_is_not_passed_over() -> None:
    """What was excluded would count again as soon as Defender is active: it is not said to be none of this host's."""
    gone = EXCLUSION.undone(None)
    assert isinstance(gone, DefenderExclusion)
    assert (gone.absent, gone.only_where_active) == (True, False)


# ---------------------------------------------------------------- groups


def test_members_of_a_group_that_the_same_plan_makes_are_planned_and_follow() -> None:
    host = Host(servers.database_server())
    members = KINDS["group_members"].model_validate({"group": "OP-Users", "members": [".\\opadmin"]})
    group = KINDS["local_group"].model_validate({"name": "OP-Users"})
    wanted = Desired((Managed(members), Managed(group)))
    made, filled = host.apply(wanted)
    assert (made.resource, made.action) == (group, "create")
    assert (filled.action, filled.known_after_apply) == ("create", ("members",))
    assert {change.verdict for change in host.plan(wanted)} == {"in_sync"}
    assert [len(one["members"]) for one in host.state.groups.values() if one["name"] == "OP-Users"] == [1]


# ---------------------------------------------------------------- features


def test_a_feature_that_needs_a_restart_says_so_and_is_in_place() -> None:
    host, wanted = Host(servers.bare()), wish("windows_feature", name="Hyper-V")
    (change,) = host.apply(wanted)
    assert change.resource.may_reboot(change)
    (after,) = host.plan(wanted)
    assert after.verdict == "in_sync"
    assert after.resource.reboot(host.observe(wanted).answers(after.resource))


def test_a_feature_that_is_whole_wants_no_restart() -> None:
    host, wanted = Host(servers.bare()), wish("windows_feature")
    host.apply(wanted)
    (after,) = host.plan(wanted)
    assert after.resource.reboot(host.observe(wanted).answers(after.resource)) == ""


@pytest.mark.parametrize(("name", "why"), [("NET-Framework-Core", "media"), ("Web-Sever", "no such feature")])
def test_a_feature_that_can_t_be_installed_is_refused(name: str, why: str) -> None:
    (change,) = Host(servers.bare()).plan(wish("windows_feature", name=name))
    assert (change.action, change.refused) == ("none", True)
    assert why in change.reason


def test_a_workstation_has_no_features() -> None:
    (change,) = Host(servers.backup_station()).plan(wish("windows_feature"))
    assert change.refused
    assert change.reason == "Windows 10 and 11 have no server roles"


# ---------------------------------------------------------------- reachable

ENDS = {
    "open": "in_sync", "refused": "would_change", "silent": "would_change", "bad certificate": "would_change",
    "no TLS": "would_change", "nobody": "would_change",
}  # fmt: skip


@pytest.mark.parametrize(("answer", "verdict"), ENDS.items())
def test_not_got_through_is_a_difference_that_no_apply_closes_nor_refuses(answer: str, verdict: str) -> None:
    host = Host(servers.bare())
    if answer != "nobody":
        host.state.network = {"licence.example:443": answer}
    wanted = wish("reachable", name="licence.example", port=443, tls=True)
    before = without_clock(host.state)
    (change,) = host.apply(wanted)
    assert (change.verdict, change.action, change.refused) == (verdict, "none", False)
    assert without_clock(host.state) == before


def test_without_tls_a_bad_certificate_is_nothing_to_reachable() -> None:
    host = Host(servers.bare())
    host.state.network = {"licence.example:443": "bad certificate"}
    (change,) = host.plan(wish("reachable", name="Licence.example", port=443))
    assert change.verdict == "in_sync"
    assert KINDS["reachable"].observed(**change.actual.model_dump()) == change.actual

"""What the engine promises, over real WS-Man to simulated servers: few POSTs, nothing written by a plan, hosts on their own."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from labs import Box, applied, box

from opdeploy import engine
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import dump
from opdeploy.model import ExitCode, Secret
from opdeploy.resources.base import Resource
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.local_user import LocalUser
from opdeploy.resources.service import Service
from opdeploy.resources.user_right import UserRight
from opdeploy.results import HostResult
from opdeploy.store import Store
from opdeploy.windows import session

ACCOUNT = r".\op-support"
PASSWORD = Secret("An0ther-Passw0rd!", "env:SUPPORT_PASSWORD")
RESOURCES: tuple[Resource, ...] = (
    LocalUser(name="op-support", description="OP support", enabled=True, password=PASSWORD),
    GroupMembers(group="Remote Desktop Users", members=(ACCOUNT,)),
    UserRight(right="SeBatchLogonRight", principals=(ACCOUNT,)),
    Service(
        name="FirebirdServerDefaultInstance",
        start_mode="automatic_delayed",
        grants=({"principal": ACCOUNT, "rights": ("query", "start", "stop")},),
    ),
    Service(name="Spooler", state="stopped", start_mode="disabled"),
)


def plan(store: Store, *jobs: engine.Job) -> list[HostResult]:
    return list(engine.plan(jobs, store))


def test_applying_twice_changes_nothing_the_second_time(db1: Box, store: Store) -> None:
    job = db1.job(RESOURCES)
    (planned,) = plan(store, job)
    assert (planned.status, {item.change.action for item in planned.items}) == ("changes", {"create", "update"})
    first = applied(store, job)
    assert [(item.outcome, item.error) for item in first.items] == [("applied", "")] * len(RESOURCES)
    before = dump(db1.state)
    again = applied(store, job)
    assert again.code == ExitCode.OK
    assert dump(db1.state) == before


def test_an_account_that_the_plan_makes_is_known_after_it(db1: Box, store: Store) -> None:
    (planned,) = plan(store, db1.job(RESOURCES))
    (members,) = [item for item in planned.items if item.change.resource.KIND == "group_members"]
    assert members.commands == (r"Add-LocalGroupMember -SID 'S-1-5-32-555' -Member '<SID of .\op-support>'",)


def test_a_plan_writes_nothing_and_is_sent_nothing_that_could(db1: Box, store: Store) -> None:
    before = dump(db1.state)
    plan(store, db1.job(RESOURCES))
    assert dump(db1.state) == before
    sent = "\n".join(db1.heard)
    assert "$reading" in sent
    assert "$writing" not in sent
    assert ".write'" not in sent
    assert PASSWORD.reveal() not in sent


def test_a_plan_asks_in_two_rounds_however_many_resources(db1: Box, store: Store) -> None:
    few = [Service(name=f"None{number}", absent=True) for number in range(10)]
    many = [Service(name=f"None{number}", absent=True) for number in range(200)]
    costs = [plan(store, db1.job([*RESOURCES, *services]))[0].cost for services in (few, many)]
    requests = [line for line in db1.heard if line.startswith('{"id"')]
    assert len(requests) <= 2 * 2  # two plans, two rounds at most each
    assert costs[1].posts - costs[0].posts <= 1 + costs[1].bytes_received // 65536  # what the reply's size needs


def test_apply_takes_two_posts_for_each_changed_resource(db1: Box, store: Store) -> None:
    one, three = (
        [Service(name=name, start_mode="disabled") for name in names]
        for names in (["Spooler"], ["W32Time", "TermService", "Schedule"])
    )
    costs = [applied(store, db1.job(resources)).cost.posts for resources in (one, three)]
    assert costs[1] - costs[0] == 2 * 2


def test_a_right_for_an_account_that_the_plan_made_takes_two_posts_as_well(db1: Box, store: Store) -> None:
    without, with_right = (applied(store, db1.job(resources)).cost.posts for resources in (RESOURCES[:1], RESOURCES[2:3]))
    assert with_right == without


def test_no_shell_is_left_open(db1: Box, store: Store) -> None:
    applied(store, db1.job(RESOURCES))
    plan(store, db1.job(RESOURCES, password=Secret("wr0ng-Pass", "env:WRONG")))
    assert db1.shells() == 0


def test_a_host_that_fails_says_why_in_one_line_and_the_others_carry_on(db1: Box, store: Store) -> None:
    with box(servers.terminal_server()) as ts1:
        wrong, right = db1.job(RESOURCES, password=Secret("wr0ng-Pass", "env:WRONG")), ts1.job(RESOURCES)
        failed, planned = plan(store, wrong, right)
    assert (failed.status, failed.code) == ("unreachable", ExitCode.UNKNOWN)
    assert "login refused" in failed.error
    assert "\n" not in failed.error
    assert failed.hint
    assert planned.status == "changes"
    assert (failed.evidence.reads, failed.evidence.agents) == ((), ()), "nothing was sent to it"
    assert planned.evidence.reads


@pytest.mark.parametrize(
    ("prepared", "said", "code"),
    [
        (servers.constrained, "ConstrainedLanguage", ExitCode.FAILED),
        (servers.filtered, "token is filtered", ExitCode.UNKNOWN),
    ],
)
def test_a_host_that_lets_us_do_nothing(prepared: object, said: str, code: ExitCode, store: Store) -> None:
    with box(prepared(servers.database_server())) as made:  # type: ignore[operator]
        (result,) = plan(store, made.job(RESOURCES))
    assert said in result.error
    assert result.hint
    assert result.code == code


def test_a_windows_that_is_not_managed_is_refused_in_one_line(store: Store) -> None:
    with box(servers.bare(9600)) as made:
        (result,) = plan(store, made.job(RESOURCES))
    assert result.code == ExitCode.FAILED
    assert "9600" in result.error


def test_on_a_domain_controller_local_accounts_are_refused_with_the_reason(store: Store) -> None:
    with box(servers.bare(20348, product="LanmanNT")) as made:
        (planned,) = plan(store, made.job(RESOURCES[:3]))
        first = applied(store, made.job(RESOURCES[:3]))
    assert {(item.change.verdict, item.change.action) for item in planned.items} == {("would_change", "none")}
    assert all("domain controller" in item.change.reason for item in planned.items)
    assert planned.code == ExitCode.CHANGES
    assert first.code == ExitCode.FAILED


def test_a_stale_host_is_left_untouched_and_named_by_property(db1: Box, store: Store) -> None:
    before = dump(db1.state)
    result = applied(store, db1.job(RESOURCES), review=lambda now: ["service Spooler start_mode: …"])
    assert result.status == "failed"
    assert result.details == ("service Spooler start_mode: …",)
    assert dump(db1.state) == before


def test_what_a_failed_change_was_needed_for_is_not_reached_and_the_rest_is_applied(db1: Box, store: Store) -> None:
    db1.state.password_policy["length"] = 64
    result = applied(store, db1.job(RESOURCES))
    outcomes = {item.id.split("/")[0]: item.outcome for item in result.items if "Spooler" not in item.id}
    assert outcomes == {
        "local_user": "failed",
        "group_members": "not_reached",
        "user_right": "not_reached",
        "service": "not_reached",
    }
    (spooler,) = [item for item in result.items if "Spooler" in item.id]
    assert spooler.outcome == "applied"
    assert result.code == ExitCode.FAILED
    db1.state.password_policy["length"] = 0
    assert applied(store, db1.job(RESOURCES)).code == ExitCode.OK


def test_a_password_without_a_record_is_unknown_until_an_apply_sets_it(db1: Box, store: Store, tmp_path: Path) -> None:
    applied(store, db1.job(RESOURCES[:1]))
    fresh = Store.open(tmp_path / "another-controller")
    (planned,) = plan(fresh, db1.job(RESOURCES[:1]))
    assert planned.status == "unknown"
    (proved,) = engine.plan([db1.job(RESOURCES[:1])], fresh, engine.Options(verify_passwords=True))
    assert proved.status == "in_sync"
    assert applied(fresh, db1.job(RESOURCES[:1])).code == ExitCode.OK
    assert plan(fresh, db1.job(RESOURCES[:1]))[0].status == "in_sync"


def test_a_password_changed_on_the_host_is_a_difference(db1: Box, store: Store) -> None:
    applied(store, db1.job(RESOURCES[:1]))
    user = next(user for user in db1.state.users.values() if user["name"] == "op-support")
    user["password_last_set"] = "2024-06-01T00:00:00.0000000Z"
    (planned,) = plan(store, db1.job(RESOURCES[:1]))
    assert planned.status == "changes"
    assert list(planned.items[0].change.properties) == ["password"]


def test_a_plan_from_a_snapshot_is_the_plan(db1: Box, store: Store) -> None:
    job = db1.job(RESOURCES)
    (observed,) = engine.observe([job], store)
    (planned,) = plan(store, job)
    offline = engine.plan_snapshot(job, dict(observed.observation), store)
    assert [item.change for item in offline.items] == [item.change for item in planned.items]
    holes = {key: answer for key, answer in observed.observation.items() if "Spooler" not in key}
    (spooler,) = [i for i in engine.plan_snapshot(job, holes, store).items if "Spooler" in i.id]
    assert spooler.change.verdict == "unknown"


def test_the_cost_is_all_that_the_server_was_asked_closing_included(db1: Box, store: Store) -> None:
    (planned,) = plan(store, db1.job(RESOURCES))
    assert planned.cost.posts == db1.server.posts
    asked = db1.server.posts
    first = applied(store, db1.job(RESOURCES))
    assert first.cost.posts == db1.server.posts - asked


def test_a_session_that_writes_goes_in_by_the_loader_that_worked(
    db1: Box, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    db1.computer.behaviour.deaf_to_input = True
    monkeypatch.setattr(session, "Limits", functools.partial(session.Limits, first_answer=1))
    first = applied(store, db1.job(RESOURCES))
    assert first.code == ExitCode.OK
    assert first.cost.loader == "raw"
    assert [warning for warning in first.warnings if "raw" in warning]
    assert db1.count("Command") == 3  # deaf, then raw, then raw at once with the write half

"""The one diff: what is asked, in which order things come, and what is said of what nobody knows yet."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from cases import SERVER
from opdeploy import reboots
from opdeploy.calls import Failure, Read, export_read, host_read, name_resolve, sid_resolve
from opdeploy.calls import group_members as members_read
from opdeploy.guard import Session
from opdeploy.model import Change, HostFailed, Secret
from opdeploy.planning import (
    Desired,
    Managed,
    World,
    first_reads,
    foreseen,
    machine,
    ordered,
    plan,
    plan_one,
    second_reads,
    stirred_reads,
)
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.firewall_rule import FirewallRule, shared_reads
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.local_user import LocalUser
from opdeploy.resources.package import Package
from opdeploy.resources.service import Service
from opdeploy.resources.user_right import UserRight

OP = "S-1-5-21-1-2-3-1010"
NOBODY = Failure("User op was not found.", id="UserNotFound,Microsoft.PowerShell.Commands.GetLocalUserCommand")
GONE = Failure("Cannot find any service.", id="NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.GetServiceCommand")


def user(**given: Any) -> LocalUser:
    return LocalUser(name="op", password=Secret("Tr0ub4dor&3"), **given)


def group(*members: str, **given: Any) -> GroupMembers:
    return GroupMembers.model_validate({"group": "Remote Desktop Users", "members": list(members), **given})


def world(*answered: tuple[Read, Any]) -> World:
    return World(SERVER, {read.key: answer for read, answer in answered}, Session())


def answered(resource: Resource, **answers: Any) -> list[tuple[Read, Any]]:
    reads = resource.reads()
    return [(reads[name], answer) for name, answer in answers.items()]


def desired(*resources: Resource) -> Desired:
    return Desired(tuple(Managed(resource) for resource in resources))


def nobody_there() -> World:
    """A host without the account, with an empty group and with a service to grant."""
    config = {"values": {"Type": ["DWord", 16], "Start": ["DWord", 3]}, "subkeys": {}}
    return world(
        *answered(user(), user=NOBODY, sid={"sid": None}, record=None),
        *answered(group(".\\op"), members=[], policy=[]),
        *answered(Service(name="OP"), config=config, status=[{"Status": "Running"}]),
    )


# ---------------------------------------------------------------- what is asked


def test_jobs_are_asked_before_what_they_change() -> None:
    """Two packages ask for the same keys: the second one's job must not be told as ended with what was there before its end."""
    two = [Package(name=name, type="nsis", detect={"key": name}, absent=True) for name in ("One", "Two")]
    reads = [read.verb for read in first_reads(desired(*two))]
    assert reads[0] == "host.read"
    last_job = len(reads) - reads[::-1].index("job.read")
    assert reads.count("job.read") == 2
    assert "registry.read" not in reads[1 + len(reboots.READS) : last_job]


def test_the_host_itself_comes_first_and_equal_reads_once() -> None:
    reads = first_reads(desired(group(".\\op"), group(".\\op", "Users"), UserRight(right="SeBatchLogonRight", principals=())))
    assert reads[0] == host_read()
    assert len(reads) == len(set(reads))
    assert {members_read("S-1-5-32-555"), sid_resolve(".\\op"), export_read("user rights")} <= set(reads)


def test_an_optional_read_is_only_asked_when_it_is_wanted() -> None:
    wanted = set(first_reads(desired(user()), ["verify_passwords"])) - set(first_reads(desired(user())))
    assert [read.verb for read in wanted] == ["logon.probe"]


def test_the_second_round_names_the_sids_that_the_first_one_found() -> None:
    around = world(*answered(group("Users"), members=[OP, "S-1-5-32-545"], policy=[]))
    assert second_reads(desired(group("Users")), around.observation) == [name_resolve(OP)]


def test_two_rounds_are_enough() -> None:
    around = nobody_there()
    around.observation.update({read.key: None for read in second_reads(desired(user(), group(".\\op")), around.observation)})
    assert second_reads(desired(user(), group(".\\op")), around.observation) == []


def test_an_answer_that_is_not_the_agents_is_a_failure_of_the_host() -> None:
    told = {name: getattr(SERVER, name) for name in SERVER.__dataclass_fields__}
    assert machine({host_read().key: {**told, "build": "20348"}}) == SERVER
    for wrong in (None, "hello", {}, {**told, "build": "new"}, Failure("no")):
        with pytest.raises(HostFailed):
            machine({host_read().key: wrong})


# ---------------------------------------------------------------- order


def test_what_a_resource_stands_on_comes_first_whatever_the_order() -> None:
    grants = Service.model_validate({"name": "OP", "grants": [{"principal": ".\\op", "rights": ["start"]}]})
    for given in permutations([Managed(grants), Managed(group(".\\op")), Managed(user())]):
        placed = [managed.resource for managed in ordered(given)]
        assert placed[0] == user()
        assert placed[1:] == [managed.resource for managed in given if managed.resource != user()]


def test_what_is_removed_comes_last_and_in_reverse() -> None:
    gone, left = LocalUser(name="gone", absent=True), group(".\\gone", absent=True)
    placed = [managed.resource for managed in ordered([Managed(gone), Managed(left), Managed(user())])]
    assert placed == [user(), left, gone]


def test_two_that_stand_on_each_other_are_both_placed() -> None:
    one, two = Service(name="A", dependencies=("B",)), Service(name="B", dependencies=("A",))
    assert {managed.resource.key for managed in ordered([Managed(one), Managed(two)])} == {"A", "B"}


# ---------------------------------------------------------------- what this very plan makes


def test_a_member_that_the_plan_makes_is_planned_as_a_reference() -> None:
    made, joined = plan(desired(group(".\\op"), user()), nobody_there())
    assert (made.resource.key, made.action) == (".\\op", "create")
    assert (joined.verdict, joined.action) == ("would_change", "update")
    assert [str(member) for member in joined.properties["members"].after] == [".\\op (<SID of .\\op>)"]


def test_what_stands_on_something_that_the_plan_makes_is_known_after_apply() -> None:
    rule = AccessRule.model_validate({"path": "D:\\OP", "principal": "Users", "rights": "Modify"})
    around = world(*answered(rule, sddl=None, stat=None))
    without = plan_one(Managed(rule), around)
    assert (without.verdict, without.action, without.refused) == ("would_change", "none", True)
    around.made.add("path:d:\\op")
    change = plan_one(Managed(rule), around)
    assert (change.verdict, change.action) == ("would_change", "create")
    assert set(change.known_after_apply) == set(change.properties) >= {"rights"}


def firebird(**given: Any) -> Package:
    source = {"source": {"url": "https://op.example/firebird.exe"}, "sha256": "0" * 64}
    detect = {"key": "FBDBServer_3_0_x64_is1"}
    brought = {"provides_services": ["Firebird"], "provides_paths": ["C:\\Firebird"]}
    return Package.model_validate({"name": "Firebird", "type": "inno", "detect": detect, **source, **brought, **given})


def without_firebird(*there: str) -> World:
    keys = {name: {"values": {}} for name in there}
    job = {"folder": "C:\\ProgramData\\opdeploy-1", "there": False, "running": False}
    return world(
        *answered(firebird(), view_64={"values": {}, "subkeys": keys}, view_32=None, job=job),
        *answered(Service(name="Firebird"), config=None, status=GONE),
    )


def test_a_service_that_a_package_of_this_plan_brings_is_known_after_apply_in_whatever_order() -> None:
    service = Service(name="Firebird", start_mode="automatic_delayed")
    for given in permutations([firebird(), service]):
        (package, no_writes), (change, writes) = foreseen(desired(*given), without_firebird())
        assert (package.resource.key, package.action, change.resource.key, change.action) == (
            "Firebird", "create", "Firebird", "create",
        )  # fmt: skip
        assert change.known_after_apply == ("start_mode",)
        assert writes is None
        assert no_writes


def test_a_service_that_its_package_should_have_brought_before_is_not_known_after_apply() -> None:
    package, change = plan(
        desired(firebird(), Service(name="Firebird", state="running")), without_firebird("FBDBServer_3_0_x64_is1")
    )
    assert package.verdict == "in_sync"
    assert (change.action, change.refused, change.known_after_apply) == ("none", True, ())


def test_what_a_package_brings_is_read_again_with_it() -> None:
    service = Service(name="firebird", state="running")
    assert set(service.reads().values()) <= set(stirred_reads(firebird(), desired(firebird(), service)))


def test_a_name_that_nobody_has_and_nothing_makes_is_refused_with_the_name() -> None:
    change = plan_one(Managed(group(".\\op")), nobody_there())
    assert (change.verdict, change.action, change.refused) == ("would_change", "none", True)
    assert ".\\op" in change.reason


def test_an_account_that_can_not_be_made_makes_nothing_possible() -> None:
    user_without, joined = plan(desired(LocalUser(name="op"), group(".\\op")), nobody_there())
    assert (user_without.action, joined.action) == ("none", "none")


def test_a_name_that_could_not_be_asked_is_unknown() -> None:
    around = nobody_there()
    around.observation[sid_resolve(".\\op").key] = Failure("the domain can't be reached")
    change = plan_one(Managed(group(".\\op")), around)
    assert (change.verdict, change.reason) == ("unknown", ".\\op: the domain can't be reached")


def test_after_the_accounts_read_back_its_reference_is_a_sid() -> None:
    around = nobody_there()
    around.observation[user().reads()["sid"].key] = {"sid": OP}
    change = plan_one(Managed(group(".\\op")), around)
    (write,) = change.resource.writes(change, around.answers(change.resource))
    assert write.args["parameters"]["Member"] == [OP]


# ---------------------------------------------------------------- additive, exact, absent


def membership(resource: GroupMembers) -> Change[Any]:
    around = world(*answered(resource, members=["S-1-5-32-545", "S-1-5-32-546"], policy=[]))
    return plan_one(Managed(resource), around)


def test_additive_leaves_the_others_and_exact_does_not() -> None:
    assert membership(group("Users")).verdict == "in_sync"
    assert membership(group("Guests", "Users", exact=True)).verdict == "in_sync"
    exact = membership(group("Users", exact=True))
    assert [member.sid for member in exact.properties["members"].after] == ["S-1-5-32-545"]
    added = membership(group("Power Users"))
    assert [member.sid[-3:] for member in added.properties["members"].after] == ["545", "546", "547"]


def test_absent_is_about_those_it_names() -> None:
    assert membership(group("Power Users", absent=True)).verdict == "in_sync"
    gone = membership(group("Users", "Power Users", absent=True))
    assert (gone.action, [member.sid for member in gone.properties["members"].before]) == ("remove", ["S-1-5-32-545"])


# ---------------------------------------------------------------- scopes

LINE = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort={port}|Name=x|EmbedCtxt={group}|"
OURS = Scope(FirewallRule, "OP")


def firewall(rules: Any) -> World:
    profile = {"values": {"EnableFirewall": ["DWord", 1]}}
    profiles = {"values": {}, "subkeys": {"DomainProfile": profile, "StandardProfile": profile, "PublicProfile": profile}}
    answers = {"rules": rules, "profiles": profiles, "policy_rules": None, "policy_profiles": None}
    answers["firewall_service"] = [{"Status": "Running"}]
    return world(*((read, answers[name]) for name, read in shared_reads().items()))


def test_what_the_inventory_does_not_name_in_an_owned_scope_is_removed_and_says_why() -> None:
    lines = {"Ours": ("OP", 3050), "Left-over": ("OP", 3051), "Theirs": ("Other", 3052)}
    rules = {"values": {n: ["String", LINE.format(group=g, port=p)] for n, (g, p) in lines.items()}}
    wanted = Desired((Managed(FirewallRule(name="OURS", enabled=True)),), ((OURS, ("firewall",)),))
    kept, extra = plan(wanted, firewall(rules))
    assert (kept.resource.key, kept.verdict) == ("OURS", "in_sync")
    assert (extra.resource.key, extra.action, extra.roles) == ("Left-over", "remove", ("firewall",))
    assert extra.reason == "not in the inventory, group OP is exact"


def test_in_a_scope_that_is_not_exact_it_is_reported_and_left() -> None:
    rules = {"values": {"Left-over": ["String", LINE.format(group="OP", port=3051)]}}
    (extra,) = plan(Desired((), ((replace(OURS, exact=False), ("firewall",)),)), firewall(rules))
    assert (extra.verdict, extra.action, extra.refused) == ("would_change", "none", False)
    assert extra.reason == "not in the inventory: only reported, since group OP is not exact"


def test_what_roles_want_that_were_not_asked_for_is_no_extra() -> None:
    rules = {"values": {"Theirs": ["String", LINE.format(group="OP", port=3051)]}}
    theirs = FirewallRule(name="THEIRS", enabled=True)
    assert plan(Desired((), ((OURS, ("firewall",)),), (theirs,)), firewall(rules)) == []


def test_what_is_found_in_a_scope_is_read_itself_in_the_second_round() -> None:
    scope, left = Scope(Service, "Remote (*"), Service(name="Remote (1)", absent=True)
    wanted = Desired((), ((scope, ("agent",)),))
    (listed,) = scope.reads().values()
    assert listed in first_reads(wanted)
    assert second_reads(wanted, {listed.key: [{"Name": "Remote (1)"}]}) == list(left.reads().values())


def test_an_owned_scope_that_could_not_be_read_is_unknown_and_never_empty() -> None:
    (change,) = plan(Desired((), ((OURS, ("firewall",)),)), firewall(Failure("access denied")))
    assert (change.verdict, change.action, change.reason) == ("unknown", "none", "access denied")
    assert change.roles == ("firewall",)


# ---------------------------------------------------------------- what is said besides


def test_an_assumption_is_said_beside_the_change_and_only_there() -> None:
    around = nobody_there()
    around.made.add("account:.\\op")
    grants = Service.model_validate({"name": "OP", "grants": [{"principal": ".\\op", "rights": ["start"]}]})
    assert "assumed" in plan_one(Managed(grants), around).reason
    assert plan_one(Managed(Service(name="OP", start_mode="manual")), around).reason == ""


def test_a_judgement_that_could_not_be_made_is_unknown_and_writes_nothing() -> None:
    around = nobody_there()
    around.machine = replace(SERVER, domain="practice.local")
    around.observation[group("Users").reads()["policy"].key] = Failure("access denied")
    change = plan_one(Managed(group("Users")), around)
    assert (change.verdict, change.action, change.reason) == ("unknown", "none", "access denied")


def test_a_service_that_is_not_there_is_no_error() -> None:
    around = world(*answered(Service(name="OP"), config=None, status=GONE))
    assert plan_one(Managed(Service(name="OP", absent=True)), around).verdict == "in_sync"


# ---------------------------------------------------------------- passwords


def there(record: Any) -> World:
    row = {"FullName": "", "Description": "", "Enabled": True, "AccountExpires": None, "UserMayChangePassword": True}
    row |= {"PasswordLastSet": "2026-10-01T08:00:00.1234567Z", "SID": OP}
    return world(*answered(user(), user=[row], sid={"sid": OP}, record=record))


def test_a_password_without_a_record_is_unknown_and_an_apply_sets_it() -> None:
    change = plan_one(Managed(user()), there(None))
    assert (change.verdict, change.action) == ("unknown", "update")


def test_what_an_apply_records_makes_the_next_plan_in_sync() -> None:
    around = there(None)
    name, password, set_at = user().applied_password(around.answers(user())) or ("", None, "")
    assert (name, password) == (".\\op", Secret("Tr0ub4dor&3"))
    assert plan_one(Managed(user()), there({"same": True, "set_at": set_at})).verdict == "in_sync"
    assert plan_one(Managed(user()), there({"same": True, "set_at": "2026-10-02T08:00:00Z"})).verdict == "would_change"

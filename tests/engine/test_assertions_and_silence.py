"""An apply over real WS-Man: what Defender refuses without an error fails, what is only asserted never does."""

from __future__ import annotations

from labs import Box, applied

from opdeploy.lab.windows import cmdlets_defender, registry
from opdeploy.model import ExitCode
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.local_group import LocalGroup
from opdeploy.resources.reachable import Reachable
from opdeploy.resources.windows_feature import WindowsFeature
from opdeploy.store import Store

EXCLUSION = DefenderExclusion(type="path", value=r"D:\OP\data")


def test_what_tamper_protection_refuses_without_an_error_fails_and_is_named(db1: Box, store: Store) -> None:
    features = registry.create(db1.state, rf"{cmdlets_defender.DEFENDER}\Features")
    registry.set_value(features, "TPExclusions", "DWord", 1)
    (item,) = applied(store, db1.job([EXCLUSION])).items
    assert item.outcome == "failed"
    assert "tamper protection" in item.error


def test_a_port_that_is_not_got_through_to_fails_no_apply(db1: Box, store: Store) -> None:
    db1.state.network = {"licence.example:443": "refused"}
    result = applied(store, db1.job([Reachable(name="licence.example", port=443), EXCLUSION]))
    assert [item.outcome for item in result.items] == [None, "applied"]
    assert result.code == ExitCode.CHANGES


def test_a_new_group_is_filled_and_a_new_feature_installed_in_the_same_run(db1: Box, store: Store) -> None:
    members = GroupMembers(group="OP-Users", members=(".\\opadmin",))
    wanted = (members, LocalGroup(name="OP-Users"), WindowsFeature(name="Web-Server"))
    result = applied(store, db1.job(wanted))
    assert [(item.outcome, item.error) for item in result.items] == [("applied", "")] * len(wanted)
    assert applied(store, db1.job(wanted)).code == ExitCode.OK

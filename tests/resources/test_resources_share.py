"""Shares on the lab, which stores as Windows stores: what is made reads back in sync, what is removed leaves nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from lab_computer import Host, desired

from opdeploy.formats import sddl
from opdeploy.lab.windows import files, registry, servers
from opdeploy.lab.windows.state import State, dump
from opdeploy.resources.share import KEY_OF_SHARES, Share

FOLDERS = ("C:\\Shares", "C:\\Shares\\Data", "C:\\Shares\\Other")
FULL = {
    "name": "OPData", "path": "C:\\Shares\\Data", "remark": "50 % & \"more\" „Öß“", "caching": "none",
    "access_based_enumeration": True, "exact": True,
    "permissions": [{"principal": "Administrators", "rights": "full"}, {"principal": ".\\opadmin", "rights": "change"}],
}  # fmt: skip
OTHERWISE: dict[str, dict[str, Any]] = {
    "remark": {"remark": ""},
    "caching": {"caching": "branch_cache"},
    "enumeration": {"access_based_enumeration": False},
    "one more": {"permissions": [{"principal": "Users", "rights": "read"}]},
    "one denied": {"permissions": [{"principal": "Guests", "rights": "deny"}]},
    "elsewhere": {"path": "C:\\Shares\\Other"},
    "everything": {**FULL, "path": "c:\\shares\\other", "caching": "manual", "remark": "x", "access_based_enumeration": False},
}


@pytest.fixture(params=["bare", "database server"])
def state(request: pytest.FixtureRequest) -> State:
    made = servers.bare() if request.param == "bare" else servers.database_server()
    for folder in FOLDERS:
        files.put_folder(made, folder, "S-1-5-32-544")
    return made


def test_a_share_made_from_nothing_reads_back_in_sync_and_validates(state: State) -> None:
    host, wanted = Host(state), desired("share", FULL)
    assert [change.action for change in host.apply(wanted)] == ["create"]
    before = dump(state)
    assert [change.verdict for change in host.apply(wanted)] == ["in_sync"]
    assert dump(state) == before
    (change,) = host.plan(wanted)
    assert Share.observed(**dict(change.actual)) == change.actual


@pytest.mark.parametrize("other", OTHERWISE.values(), ids=OTHERWISE)
def test_every_change_of_it_reads_back_in_sync(other: dict[str, Any]) -> None:
    made = servers.bare()
    for folder in FOLDERS:
        files.put_folder(made, folder, "S-1-5-32-544")
    host, wanted = Host(made), desired("share", {"name": "opdata", **other})
    host.apply(desired("share", FULL))
    assert [change.action for change in host.apply(wanted)] in (["update"], ["replace"])
    assert [change.verdict for change in host.plan(wanted)] == ["in_sync"]


def test_a_share_that_moves_keeps_what_nobody_asked_to_change(state: State) -> None:
    host = Host(state)
    host.apply(desired("share", FULL))
    host.apply(desired("share", {"name": "OPData", "path": "C:\\Shares\\Other"}))
    (change,) = host.plan(desired("share", {**FULL, "path": "C:\\Shares\\Other"}))
    assert change.verdict == "in_sync"


def test_an_exact_share_is_open_to_nobody_else_from_its_first_moment(state: State) -> None:
    Host(state).apply(desired("share", FULL))
    blob = registry.value(registry.find(state, rf"{KEY_OF_SHARES}\Security"), "OPData")
    found = sddl.from_bytes(base64.b64decode(blob))
    assert found.dacl is not None
    assert {ace.sid for ace in found.dacl.aces} == {"S-1-5-32-544", state.facts.machine_sid + "-1001"}


def test_what_is_removed_leaves_nothing(state: State) -> None:
    host, before, clock = Host(state), dump(state), state.time
    host.apply(desired("share", FULL))
    assert [change.action for change in host.apply(desired("share", {"name": "OPData", "absent": True}))] == ["remove"]
    state.time = clock
    assert dump(state) == before

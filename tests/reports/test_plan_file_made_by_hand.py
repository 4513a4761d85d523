"""A plan file that somebody wrote himself, with a right digest, so that an auditor signs what is not so: apply compares."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import runs

from opdeploy.model import Change, Property
from opdeploy.rendering import canonical
from opdeploy.reports.plan_file import digest, host_differences, plan_document, read_plan
from opdeploy.resources.package import Package
from opdeploy.results import HostResult, Item

KEY = b"k" * 32
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
INSTALLER = f"its installer: D:\\Setup\\agent.msi (SHA-256 {SHA256}), as SYSTEM, told /quiet"
AGENT = Package.model_validate(
    {
        "name": "OP Agent",
        "type": "msi",
        "detect": {"key": "OP Agent"},
        "source": {"path": r"D:\Setup\agent.msi"},
        "sha256": SHA256,
        "arguments": "/quiet",
        "run_as": "system",
    }
)
NOW: Change[Any] = Change(AGENT, None, "would_change", "create", {"version": Property(None, "at least 2")}, reason=INSTALLER)
HOST: HostResult = runs.host("db1", Item(NOW))


def compared(forge: Callable[[dict[str, Any]], object]) -> tuple[str, ...]:
    """What apply says of the host when one change of its plan was rewritten, and the digest computed anew."""
    document = json.loads(plan_document(runs.run(HOST), KEY).text)
    forge(document["hosts"][0]["resources"][0])
    document["digest"] = digest(document)
    return host_differences(read_plan((canonical(document) + "\n").encode()), HOST, KEY)


def test_one_that_nobody_rewrote_is_carried_out() -> None:
    assert compared(lambda told: None) == ()


def test_one_that_is_held_back_runs_no_installer_that_the_plan_would_have_to_name() -> None:
    held = runs.host("db1", Item(replace(NOW, action="none", reason=r"D:\Setup\agent.msi is not there", refused=True)))
    plan = read_plan(plan_document(runs.run(held), KEY).text.encode())
    assert host_differences(plan, held, KEY) == ()


@pytest.mark.parametrize("said", ["", INSTALLER.replace("9f86", "0000"), INSTALLER.replace("SYSTEM", "the session's user")])
def test_another_installer_is_not_run_under_the_name_of_the_one_that_was_signed(said: str) -> None:
    assert compared(lambda told: told.update(reason=said)) == (f"package OP Agent: the plan does not say {INSTALLER}",)


def test_a_reboot_that_was_left_out_is_not_made() -> None:
    said = "package OP Agent: the plan does not say that it may need a reboot"
    assert compared(lambda told: told.update(may_reboot=False)) == (said,)


def test_a_change_that_is_none_is_not_promised() -> None:
    more = {"name": "signer", "before": None, "after": "CN=OP GmbH"}
    said = "package OP Agent signer: the plan makes it CN=OP GmbH, now it would stay as it is"
    assert compared(lambda told: told["properties"].append(more)) == (said,)

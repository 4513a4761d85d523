"""What a server owes the portal: services that run, a way out with the right certificate, a step for a person."""

from __future__ import annotations

from pathlib import Path

import pytest
from labs import box
from roles_at_hand import refused
from roles_on_lab import converges, job, open_items, plan_text, planned

from opdeploy.lab.windows import services

pytestmark = pytest.mark.usefixtures("no_pauses")
SETTINGS = "portal: { services: [FirebirdServerDefaultInstance], hosts: [portal.example] }"


def test_the_plan_of_a_server_whose_service_stands(tmp_path: Path) -> None:
    with box() as server:
        services.set_running(server.state, "FirebirdServerDefaultInstance", False)
        wanted = job(tmp_path, server, SETTINGS)
        assert plan_text(tmp_path, wanted) == (
            "  ~ service            FirebirdServerDefaultInstance                  portal\n"
            "      state            stopped → running\n"
            "\n"
            "  manual steps (1 open)\n"
            "  ! portal-e-correspondents Set up OP's E-Correspondents for the portal    portal\n"
            "      who              whoever administers OP at the practice\n"
            "      how              In OP, see that the right E-Correspondents are set up for the portal; which they are, "
            "OP Support says.\n"
            "                       What comes after it: opdeploy runbook show creating-an-account\n"
            "      why              without them Create/Validate makes no portal account\n"
            "      not signed off: opdeploy step sign portal-e-correspondents --by NAME --note TEXT\n"
            "\n"
            "  1 in sync · 1 would change · 1 manual step\n"
        )
        converges(tmp_path, server, wanted)


def test_a_connection_that_somebody_broke_open_is_found(tmp_path: Path) -> None:
    with box() as server:
        server.state.network["portal.example:443"] = "bad certificate"
        told = open_items(planned(tmp_path, job(tmp_path, server, SETTINGS)))
    (item,) = [item for item in told if not item.by_hand]
    assert item.id == "reachable/portal.example:443"
    assert item.change.reason.startswith("its certificate's name, chain or dates are not right")


def test_what_it_can_not_be(tmp_path: Path) -> None:
    assert refused(tmp_path, "portal:") == (
        "portal.hosts: missing (names that they call over HTTPS; OP Support names them)\n"
        "portal.services: missing (short names of the services that carry data to the portal, as Get-Service shows them; "
        "OP Support names them)"
    )
    assert refused(tmp_path, "portal: { services: [], hosts: [portal.example] }") == (
        "portal.services: expected at least one: without it there is nothing to check"
    )

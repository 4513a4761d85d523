"""The remote-support agent: its own link, its own instance, its service kept running, other clients told of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import roles_at_hand
import yaml
from lab_installers import CODE, digest, msi, offered
from labs import Box, box
from roles_at_hand import compiled, inventory, refused, shipped
from roles_on_lab import applied, converges, job, open_items, plan_text, planned

from opdeploy import roles
from opdeploy.inventory import InventoryError
from opdeploy.lab.windows import servers, services
from opdeploy.model import ExitCode
from opdeploy.resources.package import Package

OURS = "ScreenConnect Client (0123456789abcdef)"
LEFT = "ScreenConnect Client (fedcba9876543210)"
SETTINGS = """
    remote_support_agent:
      product: screenconnect
      instance: 0123456789abcdef
      link: { from_env: OP_LINK }
      sha256: ff7abad3f07421949532300058cf6793a1b840cfc4ffcfc379229dbb5c062872
      signer: { subject: CN=ScreenConnect (simulated), issuer: CN=opdeploy lab CA }
      relay: { name: relay.example, port: 443 }
"""


@pytest.fixture(autouse=True)
def link(monkeypatch: pytest.MonkeyPatch, no_pauses: None) -> None:
    monkeypatch.setitem(roles_at_hand.ENVIRONMENT, "OP_LINK", servers.agent_link("DB1"))


@pytest.fixture
def server() -> Iterator[Box]:
    with box() as made:
        yield made


def leave_a_client(tmp_path: Path, server: Box) -> None:
    """A client of another instance, as a session that was not ended leaves it: product and service."""
    data = msi(LEFT, services={LEFT: rf'"C:\Program Files (x86)\{LEFT}\ScreenConnect.ClientService.exe"'})
    offered(server.state, "https://other.example/client.msi", data)
    source = {"source": {"url": "https://other.example/client.msi"}, "sha256": digest(data)}
    client = Package.model_validate({"name": LEFT, "type": "msi", "detect": {"key": CODE}, **source})
    assert applied(tmp_path, server.job([client])).code == ExitCode.OK
    services.set_running(server.state, LEFT, True)


def test_the_plan_of_a_server_without_it(tmp_path: Path, server: Box) -> None:
    assert plan_text(tmp_path, job(tmp_path, server, SETTINGS)) == (
        "  + package            ScreenConnect Client (0123456789abcdef)        remote_support_agent\n"
        "      its installer: (secret) (SHA-256 ff7abad3f07421949532300058cf6793a1b840cfc4ffcfc379229dbb5c062872, "
        "signed by CN=ScreenConnect (simulated); CN=opdeploy lab CA), as the session's user\n"
        "      may need a reboot\n"
        "  + service            ScreenConnect Client (0123456789abcdef)        remote_support_agent\n"
        "      start_mode       known after apply → automatic\n"
        "      state            known after apply → running\n"
        "      recovery         known after apply → restart 1m, restart 5m, restart 15m; reset after 1d\n"
        "\n"
        "  1 in sync · 2 would change\n"
    )


def test_applied_twice_it_changes_nothing_the_second_time(tmp_path: Path, server: Box) -> None:
    converges(tmp_path, server, job(tmp_path, server, SETTINGS))
    assert services.runs(server.state, OURS)


def test_another_client_is_reported_by_product_and_service_and_left_alone(tmp_path: Path, server: Box) -> None:
    wanted = job(tmp_path, server, SETTINGS)
    leave_a_client(tmp_path, server)
    applied(tmp_path, wanted)
    told = open_items(planned(tmp_path, wanted))
    assert [(item.id, item.change.action, item.change.reason) for item in told] == [
        (
            f"service/{LEFT}",
            "none",
            "not in the inventory: only reported, since name ScreenConnect Client (* is not exact",
        ),
        (
            f"package/{LEFT} 24.1.0",
            "none",
            "not in the inventory: only reported, since display name ScreenConnect Client (* is not exact",
        ),
    ]
    assert services.runs(server.state, LEFT)


def test_with_exact_it_is_removed_and_ours_stays(tmp_path: Path, server: Box) -> None:
    leave_a_client(tmp_path, server)
    wanted = job(tmp_path, server, SETTINGS + "      exact: true\n")
    removed = [item.id for item in planned(tmp_path, wanted).items if item.change.action == "remove"]
    assert removed == [f"service/{LEFT}", f"package/{LEFT} 24.1.0"]
    converges(tmp_path, server, wanted)
    assert [service["name"] for service in services.all_services(server.state) if "ScreenConnect" in service["name"]] == [OURS]


def test_one_link_for_two_hosts_is_an_error_that_names_both(tmp_path: Path) -> None:
    folder = inventory(tmp_path / "i", {name: yaml.safe_load(SETTINGS) for name in ("db1", "ts1")})
    with pytest.raises(InventoryError) as raised:
        compiled(folder, roles.find())
    (problem,) = raised.value.problems
    assert problem.path == "remote_support_agent.link"
    assert problem.message.startswith("the same installer link for db1 and ts1 (also ")
    assert problem.hint == "ask OP Support for one for each: a link can't be used on several devices"
    assert "op.example" not in str(problem)


def test_automate_is_told_by_its_service_and_takes_its_key_as_a_secret(tmp_path: Path) -> None:
    given = SETTINGS.replace("screenconnect\n      instance: 0123456789abcdef", "automate\n      arguments: TOKEN={key}")
    told = shipped(tmp_path, given + "      key: { from_env: OP_TWO }\n")
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        "package ConnectWise Automate  [remote_support_agent]",
        "service LTService  [remote_support_agent]",
        "service LTSvcMon  [remote_support_agent]",
        "reachable relay.example:443  [remote_support_agent]",
        "scope package display name ScreenConnect Client (* reported only  [remote_support_agent]",
        "scope service name ScreenConnect Client (* reported only  [remote_support_agent]",
    ]
    assert "    arguments TOKEN={key}\n" in told
    assert "Correct-Horse" not in told


def test_what_it_can_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = "      instance: 0123456789abcdef\n"
    assert refused(tmp_path, SETTINGS.replace(instance, "")) == (
        "remote_support_agent: screenconnect needs its instance: the digits 0-9a-f in brackets in ScreenConnect Client (…)"
    )
    assert refused(tmp_path, SETTINGS.replace("product: screenconnect", "product: automate")) == (
        "remote_support_agent: instance and version are ScreenConnect's: Automate's agent is told by its service"
    )
    assert refused(tmp_path, SETTINGS.replace("{ from_env: OP_LINK }", "https://op.example/x.msi")) == (
        "remote_support_agent.link: a secret may not stand in the inventory (write {from_env: NAME} or {from_file: PATH})"
    )
    signer = "      signer: { subject: CN=ScreenConnect (simulated), issuer: CN=opdeploy lab CA }\n"
    assert refused(tmp_path, SETTINGS.replace(signer, "")) == (
        "remote_support_agent.signer: missing (subject and issuer of its signature: Get-AuthenticodeSignature FILE)"
    )
    monkeypatch.setitem(roles_at_hand.ENVIRONMENT, "OP_LINK", "http://op.example/x.msi")
    assert refused(tmp_path, SETTINGS).startswith(
        "remote_support_agent: package: source: url: expected an address that begins with https://, without a user's name in it"
    )

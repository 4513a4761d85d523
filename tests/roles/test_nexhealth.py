"""What NexHealth's team finds prepared: nothing without an agreement, one login in one database, ways out, a sheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import Box, box
from roles_at_hand import refused, shipped
from roles_on_lab import converges, job, open_items, plan_text, planned

from opdeploy.lab.windows import services

pytestmark = pytest.mark.usefixtures("no_pauses")
GOLDEN = Path(__file__).parent / "golden"
SETTINGS = """
    nexhealth:
      baa:
        executed: 2026-01-31
        parties: [Elm Street Orthodontics, Example Software Inc.]
        sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
      what_for: Patients book their appointments on the practice's web page.
      product: dolphin
      login: nexhealth
      password: { from_env: OP_TWO }
      salt_master: salt.nexhealth.example
      https_host: api.nexhealth.example
"""
NARROW = (
    SETTINGS
    + """
      tables: [{ table: dbo.Patient, permissions: [select] }]
      outbound: { remote_addresses: [198.51.100.0/24] }
      antivirus: other
"""
)


@pytest.fixture
def server() -> Iterator[Box]:
    with box() as made:
        yield made


@pytest.mark.parametrize(("name", "settings"), [("nexhealth", SETTINGS), ("nexhealth-narrow", NARROW)])
def test_the_plan_of_a_database_server(tmp_path: Path, server: Box, name: str, settings: str) -> None:
    assert plan_text(tmp_path, job(tmp_path, server, settings)) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("settings", [SETTINGS, NARROW])
def test_applied_twice_it_changes_nothing_the_second_time(tmp_path: Path, server: Box, settings: str) -> None:
    converges(tmp_path, server, job(tmp_path, server, settings))


def test_a_list_of_tables_takes_the_rest_of_the_database_away_again(tmp_path: Path, server: Box) -> None:
    converges(tmp_path, server, job(tmp_path / "wide", server, SETTINGS))
    (change,) = [item.change for item in open_items(planned(tmp_path, job(tmp_path, server, NARROW))) if "sql" in item.id]
    assert [str(role) for role in change.properties["roles"].before] == ["Main_OMS: db_owner"]
    assert change.properties["roles"].after == ()


def test_a_way_out_that_is_shut_is_found(tmp_path: Path, server: Box) -> None:
    server.state.network["salt.nexhealth.example:4506"] = "silent"
    (shut,) = [item for item in open_items(planned(tmp_path, job(tmp_path, server, SETTINGS))) if "reachable" in item.id]
    assert (shut.id, shut.change.reason) == ("reachable/salt.nexhealth.example:4506", "no connection: no answer within 10 s")


def test_a_session_left_connected_is_reported(tmp_path: Path, server: Box) -> None:
    left = "ScreenConnect Client (fedcba9876543210)"
    services.create(server.state, left, r"C:\Windows\Temp\ScreenConnect.ClientService.exe")
    told = [item for item in planned(tmp_path, job(tmp_path, server, SETTINGS)).items if left in item.id]
    assert [(item.change.verdict, item.change.action) for item in told] == [("would_change", "none")]


def test_dentrix_names_its_database(tmp_path: Path) -> None:
    given = SETTINGS.replace("product: dolphin", "product: dentrix_enterprise")
    assert refused(tmp_path, given) == "nexhealth: Dentrix Enterprise: name its database; NexHealth's page does not"
    assert "    users Dentrix\n" in shipped(tmp_path, given + "      database: Dentrix\n")


def test_nothing_is_prepared_without_an_agreement(tmp_path: Path) -> None:
    baa, kept = SETTINGS.index("      baa:"), SETTINGS.index("      what_for")
    assert refused(tmp_path, SETTINGS[:baa] + SETTINGS[kept:]) == (
        "nexhealth.baa: missing (nothing is prepared without an executed BAA: executed, parties, sha256)"
    )
    assert refused(tmp_path, SETTINGS.replace("[Elm Street Orthodontics, Example Software Inc.]", "[We, ' ']")) == (
        "nexhealth.baa.parties: expected at least two parties: the practice, and whoever receives its patients' data"
    )
    assert refused(tmp_path, SETTINGS.replace("e3b0c442", "")) == (
        "nexhealth.baa.sha256: expected a SHA-256 digest: 64 hexadecimal digits"
    )
    assert refused(tmp_path, SETTINGS.replace("executed: 2026-01-31", "executed: soon")).startswith(
        "nexhealth.baa.executed: expected a date (2026-12-31), found 'soon'"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("database: Other", "nexhealth: dolphin is mapped to Main_OMS: leave database out"),
        (
            "outbound: { remote_addresses: [Any] }",
            "nexhealth.outbound: remote_addresses Any opens it to everybody: name addresses, or say why (reason: …)",
        ),
        (
            "outbound: { reason: so }",
            "nexhealth.outbound: a rule names its remote_addresses: the practice's network, such as 10.20.0.0/24",
        ),
        (
            "outbound: { remote_addresses: [198.51.100.0/24], action: block }",
            "nexhealth.outbound: action is known already: outbound takes remote_addresses and reason",
        ),
    ],
)
def test_what_it_can_not_be(tmp_path: Path, more: str, message: str) -> None:
    assert refused(tmp_path, f"{SETTINGS}      {more}\n") == message


def test_a_windows_account_is_no_sql_login(tmp_path: Path) -> None:
    given = SETTINGS.replace("login: nexhealth", r"login: PRACTICE\nexhealth")
    assert refused(tmp_path, given) == "nexhealth: login is a SQL login, which has no backslash"

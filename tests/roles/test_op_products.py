"""OP's products: each brings its package, folders, services, ports and task; what is not public has to be given."""

from __future__ import annotations

from pathlib import Path

import pytest
from labs import Box, box
from roles_at_hand import refused, shipped
from roles_on_lab import applied, converges, job, plan_text

from opdeploy.lab.windows import servers

pytestmark = pytest.mark.usefixtures("no_pauses")
HERE = Path(__file__).parent
SERVER = (HERE / "given" / "op_database_server.yml").read_text(encoding="utf-8")
STATION = (HERE / "given" / "op_backup_station.yml").read_text(encoding="utf-8")
FACTORY = {"database_server": (servers.database_server, SERVER), "backup_station": (servers.backup_station, STATION)}


def changed(there: str, instead: str, given: str = SERVER) -> str:
    assert there in given
    return given.replace(there, instead)


@pytest.mark.parametrize("name", FACTORY)
def test_the_plan(tmp_path: Path, name: str) -> None:
    make, given = FACTORY[name]
    with box(make()) as server:
        golden = HERE / "golden" / f"op_{name}.txt"
        assert plan_text(tmp_path, job(tmp_path, server, given)) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FACTORY)
def test_everything_is_there_after_one_run_and_a_second_does_nothing(tmp_path: Path, name: str) -> None:
    make, given = FACTORY[name]
    with box(make()) as server:
        converges(tmp_path, server, job(tmp_path, server, given))


def test_firebird_comes_first(tmp_path: Path) -> None:
    with box(servers.database_server()) as server:
        applied(tmp_path, job(tmp_path, server, SERVER))
        assert "Firebird" in installed(server)[0]


def installed(server: Box) -> list[str]:
    return [run["program"] for run in server.state.installer_runs]


# ---------------------------------------------------------------- what a product comes to


def test_a_service_runs_and_is_restarted_unless_it_says_otherwise(tmp_path: Path) -> None:
    told = shipped(tmp_path, SERVER)
    recovery = "    recovery restart 1m, restart 5m, none; reset after 1d\n"
    assert f"service OPQuestHub  [op_services]\n    start_mode automatic\n    state running\n{recovery}" in told
    assert f"service OPWebUpdate  [op_web_update]\n    start_mode manual\n    state stopped\n{recovery}" in told


def test_a_service_that_is_switched_off_is_not_started(tmp_path: Path) -> None:
    told = shipped(tmp_path, changed("{ OPQuestHub: }", "{ OPQuestHub: { start_mode: disabled } }"))
    assert "service OPQuestHub  [op_services]\n    start_mode disabled\n" in told
    assert "disabled\n    state running" not in told


def test_what_a_package_brings_is_waited_for_in_the_plan(tmp_path: Path) -> None:
    told = shipped(tmp_path, SERVER)
    package = told.partition("package OP Exchange Network  ")[2].partition("\ndirectory")[0]
    assert "provides_services OPExchangeNetwork" in package
    assert "provides_paths D:\\OP\\Exchange" in package


def test_the_update_is_nightly(tmp_path: Path) -> None:
    assert "scheduled_task \\OP\\OP Exchange Network Update  [op_services]\n    triggers daily at 01:30\n" in shipped(
        tmp_path, SERVER
    )


def test_a_task_that_the_product_brings_itself_is_not_made(tmp_path: Path) -> None:
    begin, _, rest = SERVER.partition("      task:\n")
    without = begin + "      task:\n" + rest.partition("principal: SYSTEM\n")[2]
    assert "scheduled_task" not in shipped(tmp_path, without)


def test_op_client_is_in_its_usual_folder(tmp_path: Path) -> None:
    assert "directory C:\\OP  [op_client]\n" in shipped(tmp_path, SERVER)


# ---------------------------------------------------------------- what is refused

NO_ADDRESSES = "a rule names its remote_addresses: the practice's network, such as 10.20.0.0/24"
OPENED = "remote_addresses Any opens it to everybody: name addresses, or say why (reason: …)"
REFUSED = [
    (", reason: the cloud's addresses change", "", f"op_services.products.opmsg.openings.OP-Message-Exchange-Out: {OPENED}"),
    (
        "local_ports: 4711, remote_addresses: [10.20.0.0/24]",
        "local_ports: 4711",
        f"op_services.products.op_exchange_network.openings.OP-Exchange-Network-In: {NO_ADDRESSES}",
    ),
    (
        "local_ports: 4711, remote_addresses: [10.20.0.0/24]",
        "local_ports: 4711, remote_addresses: [0.0.0.0/0]",
        f"op_services.products.op_exchange_network.openings.OP-Exchange-Network-In: {OPENED.replace('Any', '0.0.0.0/0')}",
    ),
    (
        "OP-HL7-In: {",
        "HL7-In: {",
        "ophl7.openings.HL7-In: a rule's id begins with OP-, so that it is known for ours: OP-HL7-In",
    ),
    (
        "OP-HL7-In: {",
        "OP-HL7-In: { group: Other,",
        "ophl7.openings.OP-HL7-In: a product's rule is there, and in the group OP: take group and absent out",
    ),
    (
        "at: '01:30'",
        "at: '12:30'",
        "op_services.products.op_exchange_network_update.task.at: expected a time from 20:00 to 05:59, such as '01:30': "
        "services may stand still meanwhile",
    ),
    (
        "    opmsg:",
        "    op_backup:",
        "op_services.products: op_backup has a role of its own: write op_backup: beside op_services:",
    ),
    ("    opmsg:", "    opmgs:", "op_services.products.opmgs: no such setting (did you mean opmsg?)"),
]


@pytest.mark.parametrize(("there", "instead", "said"), REFUSED)
def test_what_is_refused(tmp_path: Path, there: str, instead: str, said: str) -> None:
    assert refused(tmp_path, changed(there, instead)) == said


def test_an_update_without_what_it_updates_is_refused(tmp_path: Path) -> None:
    begin, _, rest = SERVER.partition("    op_exchange_network:\n")
    without = begin + "    op_exchange_network_update:\n" + rest.partition("    op_exchange_network_update:\n")[2]
    assert refused(tmp_path, without) == (
        "op_services: products: op_exchange_network_update keeps op_exchange_network up to date, which is not here"
    )


def test_op_services_says_something(tmp_path: Path) -> None:
    assert refused(tmp_path, "op_services:") == (
        "op_services: expected products (ids of OP's products), services (short names), or both"
    )


def test_op_backup_needs_firebird_beside_it(tmp_path: Path) -> None:
    assert refused(tmp_path, STATION[STATION.index("op_backup:") :]) == (
        "op_backup: db1 has no firebird: any station that runs OP Backup needs it "
        "(give the host the role firebird, or take op_backup from it)"
    )

"""Firebird: installed beside a running server, with a fixed port for events, reached by the practice alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_practice import writes_in
from labs import box
from roles_at_hand import ENVIRONMENT, refused, shipped
from roles_on_lab import applied, converges, job, plan_text

from opdeploy.lab.windows import servers, services

pytestmark = pytest.mark.usefixtures("no_pauses")
GOLDEN = Path(__file__).parent / "golden" / "firebird.txt"
GIVEN = r"""
    firebird:
      version: '3.0'
      installer:
        type: inno
        source: { file: installers/Firebird-3.0.12.33787-0-x64.exe }
        sha256: dcd1642a20cd24658f5073d7be1457d242fc3843be6a5b9d97544c748055191b
        detect: { key: FBDBServer_3_0_is1 }
        version: 3.0.12.33787
      sysdba_password: { from_env: OP_ONE }
      remote_addresses: [10.20.0.0/24]
"""
OLD = GIVEN.replace("3.0", "2.5").replace("2.5.12.33787-0", "2.5.9.27139-0").replace("2.5.12.33787", "2.5.9.27139")
OLD = OLD.replace("FBDBServer_3_0_is1", "FBDBServer_2_5_x64_is1")
OLD = OLD.replace(
    "dcd1642a20cd24658f5073d7be1457d242fc3843be6a5b9d97544c748055191b",
    "6b72872c07884d06119e391d344292bbe23c51615d21af54fce91f9803fc314b",
)


def with_lines(*lines: str, given: str = GIVEN) -> str:
    return given.rstrip() + "".join(f"\n      {line}" for line in lines) + "\n"


def test_the_plan_on_a_server_that_has_an_older_one_running(tmp_path: Path) -> None:
    with box(servers.database_server()) as server:
        given = with_lines(r"grants: [{ principal: Backup Operators, rights: [query, start, stop] }]")
        assert plan_text(tmp_path, job(tmp_path, server, given)) == GOLDEN.read_text(encoding="utf-8")


def test_it_is_upgraded_beside_its_running_service_and_again_nothing_is_done(tmp_path: Path) -> None:
    with box(servers.database_server()) as server:
        converges(tmp_path, server, job(tmp_path, server, GIVEN))
        assert services.runs(server.state, "FirebirdServerDefaultInstance")
        cmdlets = [call.args for call in writes_in(server.heard) if call.verb == "cmdlet.write"]
        restart = {"Name": "FirebirdServerDefaultInstance", "Force": True}
        assert {"name": "Restart-Service", "parameters": restart} in cmdlets


def test_it_comes_to_a_backup_station_that_had_none(tmp_path: Path) -> None:
    with box(servers.backup_station()) as server:
        converges(tmp_path, server, job(tmp_path, server, GIVEN.replace("[10.20.0.0/24]", "[]")))


def test_2_5_comes_without_the_password_and_with_a_step(tmp_path: Path) -> None:
    with box(servers.backup_station()) as server:
        wanted = job(tmp_path, server, OLD)
        converges(tmp_path, server, wanted)
        assert "Correct-Horse-1" not in "".join(run["line"] for run in server.state.installer_runs)
        steps = [item.change.resource.how for item in applied(tmp_path, wanted).items if item.by_hand]
        assert [r"Firebird_2_5\bin\gsec.exe" in how and "env:OP_ONE" in how for how in steps] == [True]


def test_what_it_comes_to(tmp_path: Path) -> None:
    told = shipped(tmp_path, GIVEN)
    assert 'arguments /DIR="C:\\Program Files\\Firebird\\Firebird_3_0" "/SYSDBAPASSWORD={sysdba}"' in told
    assert "stops_services FirebirdGuardianDefaultInstance, FirebirdServerDefaultInstance" in told
    assert "Correct-Horse-1" not in told
    assert "SYSDBAPASSWORD" not in shipped(tmp_path / "old", OLD)


def test_a_guardian_is_asked_for_in_3_0_and_has_to_be_refused_in_2_5(tmp_path: Path) -> None:
    guarded = shipped(tmp_path / "1", with_lines("guardian: true"))
    assert r'/MERGETASKS="UseSuperServerTask\UseGuardianTask"' in guarded
    assert "service FirebirdGuardianDefaultInstance  [firebird]\n    start_mode automatic" in guarded
    assert '/MERGETASKS="!UseGuardianTask"' in shipped(tmp_path / "2", OLD)
    assert "/MERGETASKS" not in shipped(tmp_path / "3", with_lines("guardian: true", given=OLD))


def test_nobody_from_elsewhere_means_no_rule(tmp_path: Path) -> None:
    assert "firewall_rule OP-Firebird-In" in shipped(tmp_path / "1", GIVEN)
    assert "firewall_rule" not in shipped(tmp_path / "2", GIVEN.replace("[10.20.0.0/24]", "[]"))


@pytest.mark.parametrize("address", ["LocalSubnet", "10.0.0.0/8", "10.20.0.5-10.20.0.9", "10.20.0.7", "fd00::/48"])
def test_who_may_be_let_in(tmp_path: Path, address: str) -> None:
    assert f"remote_addresses {address}\n" in shipped(tmp_path, GIVEN.replace("10.20.0.0/24", address))


def test_what_has_to_be_given(tmp_path: Path) -> None:
    assert [line.partition(" (")[0] for line in refused(tmp_path, "firebird:").splitlines()] == [
        "firebird.installer: missing",
        "firebird.remote_addresses: missing",
        "firebird.sysdba_password: missing",
        "firebird.version: missing",
    ]


ANY = "a database is never open to any address: name the practice's own, such as 10.20.0.0/24"
REFUSED = [
    ("[10.20.0.0/24]", "[Any]", f"firebird.remote_addresses: {ANY}"),
    ("[10.20.0.0/24]", "[10.20.0.7, 0.0.0.0/0]", f"firebird.remote_addresses: {ANY}"),
    ("[10.20.0.0/24]", "[0.0.0.0/1, 128.0.0.0/1]", f"firebird.remote_addresses: {ANY}"),
    ("[10.20.0.0/24]", "[10.0.0.0-192.168.0.0]", f"firebird.remote_addresses: {ANY}"),
    ("[10.20.0.0/24]", "[Internet]", f"firebird.remote_addresses: {ANY}"),
    ("type: inno", "type: nsis", "firebird: installer: Firebird's Setup is of type inno"),
    ("FBDBServer_3_0", "FBDBServer_2_5", "firebird: installer: FBDBServer_2_5_is1 is not the uninstall key of Firebird 3.0"),
    ("version: 3.0.12.33787", "version: 2.5.9", "firebird: installer: version 2.5.9 is none of Firebird 3.0"),
]


@pytest.mark.parametrize(("there", "instead", "said"), REFUSED)
def test_what_is_refused(tmp_path: Path, there: str, instead: str, said: str) -> None:
    assert refused(tmp_path, GIVEN.replace(there, instead)) == said


FURTHER = [
    ("event_port: 3050", "firebird: port and event_port are both 3050: events need a port of their own"),
    ("event_port: 0", "firebird.event_port: expected greater than or equal to 1, found 0"),
    ("configuration: { RemoteAuxPort: 0 }", "firebird.configuration: RemoteAuxPort: event_port says it; take it out"),
    (
        "tasks: [EnableLegacyClientAuth]",
        "firebird.tasks: EnableLegacyClientAuth: Setup would write it into firebird.conf: write AuthServer and WireCrypt under "
        "configuration",
    ),
    ("tasks: ['x,y']", "firebird.tasks: 'x,y' is no task of Setup"),
]


@pytest.mark.parametrize(("line", "said"), FURTHER)
def test_what_is_refused_besides(tmp_path: Path, line: str, said: str) -> None:
    assert refused(tmp_path, with_lines(line)) == said


SWITCHES = [
    ("arguments", "/FORCE", "/FORCE is refused: Setup would not look at what is installed"),
    (
        "uninstall_arguments",
        "/VERYSILENT /Clean",
        "/CLEAN is refused: the uninstaller would delete firebird.conf, the aliases, the log and the security database",
    ),
    ("arguments", "/TASKS=x", "/TASKS is refused: it clears Setup's defaults: name what is wanted besides them under tasks"),
    (
        "arguments",
        "/sysdbapassword=x",
        "/SYSDBAPASSWORD is refused: it would stand there for everybody to read: sysdba_password is a secret",
    ),
]


@pytest.mark.parametrize(("setting", "switch", "said"), SWITCHES)
def test_switches_that_are_never_given(tmp_path: Path, setting: str, switch: str, said: str) -> None:
    given = GIVEN.replace("        detect:", f"        {setting}: '{switch}'\n        detect:")
    assert refused(tmp_path, given) == f"firebird: installer: {said}"


@pytest.mark.parametrize("password", ["masterkey", "MASTERKEY", "masterkeep-1"])
def test_a_password_that_everybody_knows_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "OP_ONE", password)
    assert refused(tmp_path, GIVEN) == (
        "firebird.sysdba_password: begins like masterkey, which everybody knows (2.5 looks at 8 characters): choose another"
    )

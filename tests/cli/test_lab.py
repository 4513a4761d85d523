"""The lab's life: up, status, tamper, down; what stands in its way is told plainly and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat

import pytest
from practice import Practice

from opdeploy.cli.janitor import INVENTORY
from opdeploy.lab import control, folder

pytestmark = pytest.mark.slow
INV = ("-i", INVENTORY)


def test_up_status_tamper_down(practice: Practice) -> None:
    up = practice.run("lab", "up", *INV)
    assert (up.returncode, len(up.stdout.splitlines())) == (0, 3)
    status = json.loads(practice.run("lab", "status", *INV, "--format", "json").stdout)
    assert status["running"]
    assert [host["name"] for host in status["hosts"]] == ["db1", "backup1", "ts1"]
    tampered = practice.run("lab", "tamper", "db1", *INV, "--only", "service")
    assert tampered.stdout == "db1: stopped the service FirebirdServerDefaultInstance and set it to manual\n"
    assert practice.run("lab", "down", *INV).returncode == 0
    assert not practice.made.exists()
    assert practice.processes() == []
    assert practice.run("lab", "status", *INV).returncode == 3
    assert practice.run("lab", "down", *INV).returncode == 0


def test_its_secrets_are_its_own(practice: Practice) -> None:
    _, pipe = practice.up()
    with pipe:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in practice.made.iterdir()}
        private = [name for name in modes if not name.endswith(".pem")]
        assert {"installer-password", "support-password-db1", "ca.key", "run.json", "log"} <= set(private)
        assert {modes[name] for name in private} == {0o600}
        assert stat.S_IMODE(practice.made.stat().st_mode) == 0o700


def test_one_lab_an_inventory(practice: Practice) -> None:
    _, pipe = practice.up()
    with pipe:
        second = practice.run("lab", "up", *INV)
        assert second.returncode == 64
        assert "runs for inventories/lab already" in second.stderr
        assert practice.run("lab", "status", *INV).returncode == 0


def test_a_command_that_it_suggests_is_one_that_a_shell_takes(practice: Practice) -> None:
    practice.inventory.rename(practice.folder / "elm street")
    for command in ("status", "tamper"):
        told = practice.run("lab", command, "-i", "elm street").stderr
        assert "start it: opdeploy lab up -i 'elm street'\n" in told
    up = practice.run("lab", "up", "-i", "elm street")
    assert "next: opdeploy plan -i 'elm street'; opdeploy lab down -i 'elm street'\n" in up.stderr
    again = practice.run("lab", "up", "-i", "elm street").stderr
    assert "see opdeploy lab status -i 'elm street', or end it: opdeploy lab down -i 'elm street'\n" in again
    assert practice.run("lab", "down", "-i", "elm street").returncode == 0


def test_a_port_that_is_taken_is_named_and_nothing_is_left(practice: Practice) -> None:
    port = int((practice.inventory / "hosts.yml").read_text().partition("ansible_port: ")[2].split()[0])
    with socket.create_server(("127.0.0.1", port)):
        up = practice.run("lab", "up", *INV)
    assert up.returncode == 1
    assert f"db1: can't listen on 127.0.0.1:{port}: Address already in use" in up.stderr
    assert "ansible_port" in up.stderr
    assert not practice.made.exists()
    assert practice.processes() == []


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("ansible_host: 127.0.0.1", "ansible_host: 10.20.0.10", "serves this machine alone"),
        ("database_servers:", "some_servers:", "does not know which server this is"),
        ("ansible_user: installer", "ansible_user: [installer]", "ansible_user: expected text"),
    ],
)
def test_an_inventory_that_it_cannot_be_is_64_and_nothing_is_left(
    practice: Practice, wrong: str, right: str, told: str
) -> None:
    hosts = practice.inventory / "hosts.yml"
    hosts.write_text(hosts.read_text().replace(wrong, right))
    if right == "some_servers:":
        (practice.inventory / "group_vars/database_servers.yml").rename(practice.inventory / "group_vars/some_servers.yml")
    up = practice.run("lab", "up", *INV)
    assert (up.returncode, told in up.stderr) == (64, True), up.stderr
    assert not practice.made.exists()


def test_state_and_passwords_survive_down(practice: Practice) -> None:
    kept = practice.folder / "kept"
    passwords = []
    for tampering in ("unmanaged-rule", "service"):
        _, pipe = practice.up("--state", str(kept))
        passwords.append((practice.made / "installer-password").read_text())
        with pipe:
            assert practice.run("lab", "tamper", "db1", *INV, "--only", tampering).stdout
            assert practice.run("lab", "down", *INV).returncode == 0
    assert len(set(passwords)) == 1
    assert "OP-Temp-Allow-All" in (kept / "db1.json").read_text()
    assert stat.S_IMODE((kept / "db1.json").stat().st_mode) == 0o600


def test_a_state_that_is_none_is_told(practice: Practice) -> None:
    kept = practice.folder / "kept"
    kept.mkdir()
    (kept / "db1.json").write_text("[]")
    up = practice.run("lab", "up", *INV, "--state", str(kept))
    assert up.returncode == 1
    assert "db1.json: this is no state of a simulated host" in up.stderr


def test_it_ends_with_its_parent(practice: Practice) -> None:
    _, pipe = practice.up()
    pipe.close()
    assert folder.wait_until_free(practice.made, 20)
    assert not practice.made.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_another_can_start(practice: Practice, number: int) -> None:
    _, pipe = practice.up()
    with pipe:
        pid = json.loads((practice.made / "run.json").read_text())["pid"]
        os.kill(pid, number)
        assert folder.wait_until_free(practice.made, 20)
        assert practice.run("lab", "status", *INV).returncode == 3
    up, pipe = practice.up()
    with pipe:
        assert up.returncode == 0


def test_down_clears_up_behind_one_that_was_killed(practice: Practice) -> None:
    _, pipe = practice.up()
    with pipe:
        os.kill(json.loads((practice.made / "run.json").read_text())["pid"], signal.SIGKILL)
        assert folder.wait_until_free(practice.made, 20)
        assert practice.run("lab", "down", *INV).returncode == 0
    assert not practice.made.exists()


def test_in_the_foreground_ctrl_c_ends_it(practice: Practice) -> None:
    process = practice.start("lab", "up", *INV, "--foreground")
    assert process.stdout
    assert process.stdout.readline().startswith("db1  ")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not practice.made.exists()


def test_nobody_without_the_token_is_answered(practice: Practice) -> None:
    _, pipe = practice.up()
    with pipe:
        run = json.loads((practice.made / "run.json").read_text())
        assert control.ask({**run, "token": "another"}, "GET", "/status") is None
        assert control.ask({**run, "token": "another"}, "POST", "/down") is None
        assert control.ask(run, "GET", "/status")["hosts"]
        assert control.ask(run, "POST", "/tamper", {"host": "nobody", "only": []}) is None


def test_tamper_without_a_lab_is_64(practice: Practice) -> None:
    done = practice.run("lab", "tamper", *INV)
    assert (done.returncode, done.stdout) == (64, "")
    assert "opdeploy lab up" in done.stderr

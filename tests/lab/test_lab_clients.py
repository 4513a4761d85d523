"""Clients that nobody wrote for the lab take its server for Windows'."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from pypsrp.exceptions import AuthenticationError
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from opdeploy.lab.certificates import Certificates
from opdeploy.lab.http import Server

USER, PASSWORD = "Administrator", "p:ss wörd"
pytestmark = pytest.mark.slow


def pywinrm(server: Server, transport: str = "ntlm", **more: Any) -> Protocol:
    given = {"username": USER, "password": PASSWORD, "operation_timeout_sec": 5, "read_timeout_sec": 20, "proxy": None}
    return Protocol(server.url, transport=transport, **(given | more))


def run(protocol: Protocol, command: str, arguments: tuple[str, ...] = ()) -> tuple[bytes, bytes, int]:
    shell = protocol.open_shell(codepage=65001)
    started = protocol.run_command(shell, command, arguments)
    result = protocol.get_command_output(shell, started)
    protocol.cleanup_command(shell, started)
    protocol.close_shell(shell)
    return result


def test_pywinrm_ntlm_sealed(server: Server, computer: Any) -> None:
    assert run(pywinrm(server), "both") == (b"out", b"err", 5)
    assert computer.started == [("both", False, 65001)]
    assert len(server.service.shells) == 0


@pytest.mark.parametrize("user", [USER, USER.lower(), rf".\{USER}", rf"DB1\{USER}", rf"WORKGROUP\{USER}"])
def test_ntlm_takes_every_way_to_name_a_local_account(server: Server, user: str) -> None:
    assert run(pywinrm(server, username=user), "hostname")[0] == b"DB1\r\n"


def test_pywinrm_basic_over_http(open_server: Server) -> None:
    assert run(pywinrm(open_server, "basic"), "echo", ("hello", "there"))[0] == b"hello there\r\n"


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_pywinrm_over_https(secure_server: Server, certificates: Certificates, transport: str) -> None:
    protocol = pywinrm(secure_server, transport, ca_trust_path=str(certificates.authority.certificate))
    assert run(protocol, "hostname") == (b"DB1\r\n", b"", 0)


def test_pywinrm_client_certificate(secure_server: Server, certificates: Certificates) -> None:
    pair = certificates.for_client(USER)
    ca = str(certificates.authority.certificate)
    protocol = Protocol(
        secure_server.url, "certificate", cert_pem=str(pair.certificate), cert_key_pem=str(pair.key), ca_trust_path=ca
    )
    assert run(protocol, "hostname")[0] == b"DB1\r\n"


def test_a_certificate_for_nobody_is_refused(secure_server: Server, certificates: Certificates) -> None:
    pair = certificates.for_client("nobody")
    ca = str(certificates.authority.certificate)
    protocol = Protocol(
        secure_server.url, "certificate", cert_pem=str(pair.certificate), cert_key_pem=str(pair.key), ca_trust_path=ca
    )
    with pytest.raises(InvalidCredentialsError):
        protocol.open_shell()


def test_an_untrusted_server_certificate_is_noticed(secure_server: Server) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        pywinrm(secure_server).open_shell()


@pytest.mark.parametrize("transport", ["ntlm", "basic"])
def test_a_wrong_password_is_refused(secure_server: Server, certificates: Certificates, transport: str) -> None:
    ca = str(certificates.authority.certificate)
    with pytest.raises(InvalidCredentialsError):
        pywinrm(secure_server, transport, password="wrong", ca_trust_path=ca).open_shell()


def test_each_host_knows_its_own_passwords_only(start: Callable[..., Server], computer: Any, another_computer: Any) -> None:
    here, there = start(computer), start(another_computer)
    assert run(pywinrm(here), "hostname")[0] == b"DB1\r\n"
    assert run(pywinrm(there, password="another"), "hostname")[0] == b"TS1\r\n"
    for server, password in ((here, "another"), (there, PASSWORD)):
        with pytest.raises(InvalidCredentialsError):
            pywinrm(server, password=password).open_shell()


def test_a_right_password_is_not_enough_for_an_account_that_may_not_log_on(server: Server, computer: Any) -> None:
    computer.locked.add(USER)
    with pytest.raises(InvalidCredentialsError):
        pywinrm(server).open_shell()


def test_basic_is_not_offered_over_plain_http(server: Server) -> None:
    with pytest.raises(InvalidCredentialsError):
        pywinrm(server, "basic").open_shell()
    assert requests.post(server.url, timeout=10).headers["WWW-Authenticate"] == "Negotiate"


def test_a_body_that_is_not_sealed_is_refused_over_plain_http(server: Server) -> None:
    with pytest.raises(WinRMTransportError) as caught:
        pywinrm(server, message_encryption="never").open_shell()
    assert caught.value.code == 500


def test_what_is_fed_comes_back_in_the_same_shell(server: Server) -> None:
    protocol = pywinrm(server)
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "cat")
    sent = bytes(range(256)) * 1000
    protocol.send_command_input(shell, command, sent)
    received = b""
    while len(received) < len(sent):
        received += protocol.get_command_output_raw(shell, command)[0]
    assert received == sent
    protocol.send_command_input(shell, command, b"bye", end=True)
    assert protocol.get_command_output(shell, command) == (b"bye", b"", 0)


def test_large_output_comes_in_envelopes_that_the_client_can_take(server: Server) -> None:
    assert run(pywinrm(server), "flood 1500000") == (b"x" * 1_500_000, b"", 0)
    receives = [entry for entry in server.log if entry.action == "Receive"]
    assert len(receives) <= 16
    assert max(entry.bytes_out for entry in receives) <= 153_600


def test_nothing_to_receive_ends_in_the_operation_timeout(server: Server) -> None:
    protocol = pywinrm(server, operation_timeout_sec=1)
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "wait")
    with pytest.raises(WinRMOperationTimeoutError):
        protocol.get_command_output_raw(shell, command)
    assert server.log[-1].fault == 2150858793


def test_after_dropped_connections_sealing_needs_a_new_logon_and_the_shell_goes_on(server: Server) -> None:
    protocol = pywinrm(server)
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "cat")
    server.drop_connections()
    with pytest.raises(WinRMTransportError) as caught:
        protocol.send_command_input(shell, command, b"lost")
    assert caught.value.code == 400
    protocol.transport.close_session()
    protocol.send_command_input(shell, command, b"found", end=True)
    assert protocol.get_command_output(shell, command) == (b"found", b"", 0)


def test_dropped_connections_over_https_are_not_noticed(secure_server: Server, certificates: Certificates) -> None:
    protocol = pywinrm(secure_server, ca_trust_path=str(certificates.authority.certificate))
    shell = protocol.open_shell()
    secure_server.drop_connections()
    command = protocol.run_command(shell, "hostname")
    assert protocol.get_command_output(shell, command)[0] == b"DB1\r\n"


def test_faults_have_the_codes_of_windows(server: Server) -> None:
    protocol = pywinrm(server)
    shell = protocol.open_shell()

    def fault(call: Callable[[], object]) -> int | None:
        with pytest.raises(WSManFaultError) as caught:
            call()
        return caught.value.wsman_fault_code

    assert fault(lambda: protocol.run_command(shell, "powershell.exe", skip_cmd_shell=True)) == 2147942402
    assert fault(lambda: protocol.run_command(shell, r"C:\missing.exe", skip_cmd_shell=True)) == 2147942402
    assert fault(lambda: protocol.run_command("no-such-shell", "hostname")) == 2150858843
    assert fault(lambda: protocol.get_command_output_raw(shell, "no-such-command")) == 2150858843
    assert fault(lambda: protocol.send_command_input(shell, "no-such-command", b"")) == 2150858843
    protocol.cleanup_command(shell, "no-such-command")
    protocol.run_command(shell, r"C:\Windows\System32\hostname.exe", skip_cmd_shell=True)


def test_quotas_answer_as_cim_errors(server: Server) -> None:
    server.settings.max_shells_per_user = 1
    server.settings.max_operations_per_shell = 2
    protocol = pywinrm(server)
    shell = protocol.open_shell()
    with pytest.raises(WSManFaultError) as caught:
        protocol.open_shell()
    assert caught.value.wmierror_code == 0x803381A5
    command = protocol.run_command(shell, "cat")
    protocol.send_command_input(shell, command, b"one")
    with pytest.raises(WSManFaultError) as caught:
        protocol.get_command_output_raw(shell, command)
    assert caught.value.wmierror_code == 0x803381A6
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell, close_session=False)
    protocol.open_shell()


def test_a_request_above_the_envelope_limit_is_refused_and_the_next_is_not(server: Server) -> None:
    protocol = pywinrm(server)
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "cat")
    with pytest.raises(WSManFaultError, match="exceeds MaxEnvelopeSize"):
        protocol.send_command_input(shell, command, b"x" * 400_000)
    server.settings.too_large_is_413 = True
    with pytest.raises(WinRMTransportError) as caught:
        protocol.send_command_input(shell, command, b"x" * 400_000)
    assert caught.value.code == 413
    protocol.send_command_input(shell, command, b"x" * 350_000)


def test_a_failure_of_the_model_is_a_fault_without_its_values(server: Server) -> None:
    protocol = pywinrm(server)
    shell = protocol.open_shell()
    with pytest.raises(WSManFaultError, match="in the lab itself: KeyError in") as caught:
        protocol.run_command(shell, "broken hunter2")
    assert "hunter2" not in str(caught.value)


def test_hooks_for_misbehaving(server: Server) -> None:
    protocol = pywinrm(server, operation_timeout_sec=1)
    shell = protocol.open_shell()
    server.settings.hang = True
    with pytest.raises(WinRMOperationTimeoutError):
        protocol.run_command(shell, "hostname")
    server.settings.hang = False
    server.settings.garbage = b"<html>It works!</html>"
    assert protocol.send_message("<any/>") == b"<html>It works!</html>"
    server.settings.garbage = None
    server.settings.refuse_logon = True
    with pytest.raises(InvalidCredentialsError):
        pywinrm(server).open_shell()


@contextmanager
def pypsrp(server: Server, **more: Any) -> Iterator[WinRS]:
    given = {"port": server.port, "username": USER, "password": PASSWORD, "no_proxy": True, "ssl": False}
    with WSMan("127.0.0.1", **(given | more)) as wsman, WinRS(wsman, codepage=65001) as shell:
        yield shell


@pytest.mark.parametrize("auth", ["ntlm", "negotiate"])
def test_pypsrp_sealed(server: Server, auth: str) -> None:
    with pypsrp(server, auth=auth) as shell:
        process = Process(shell, "both")
        process.invoke()
        process.signal(SignalCode.TERMINATE)
        assert (process.stdout, process.stderr, process.rc) == (b"out", b"err", 5)
        assert shell.owner == rf"DB1\{USER}"


def test_pypsrp_basic(open_server: Server) -> None:
    with pypsrp(open_server, auth="basic", encryption="never") as shell:
        process = Process(shell, "cat")
        process.begin_invoke()
        process.send(b"fed")
        process.end_invoke()
        assert (process.stdout, process.rc) == (b"fed", 0)


@pytest.mark.parametrize("auth", ["basic", "ntlm", "negotiate"])
def test_pypsrp_over_https(secure_server: Server, certificates: Certificates, auth: str) -> None:
    ca = str(certificates.authority.certificate)
    with pypsrp(secure_server, ssl=True, auth=auth, cert_validation=ca) as shell:
        process = Process(shell, "hostname")
        process.invoke()
        assert process.stdout == b"DB1\r\n"


def test_pypsrp_interrupts(server: Server) -> None:
    with pypsrp(server, auth="negotiate") as shell:
        process = Process(shell, "wait")
        process.begin_invoke()
        process.signal(SignalCode.CTRL_C)
        process.end_invoke()
        assert process.rc == 1


def test_pypsrp_hears_of_a_wrong_password(server: Server) -> None:
    with pytest.raises(AuthenticationError), pypsrp(server, auth="negotiate", password="wrong"):
        pass


@pytest.mark.parametrize("https", [False, True])
def test_ansible_raw(server: Server, secure_server: Server, certificates: Certificates, tmp_path: Path, https: bool) -> None:
    used = secure_server if https else server
    variables = {
        "ansible_connection": "winrm",
        "ansible_host": "127.0.0.1",
        "ansible_port": used.port,
        "ansible_winrm_scheme": "https" if https else "http",
        "ansible_winrm_transport": "ntlm",
        "ansible_winrm_ca_trust_path": str(certificates.authority.certificate),
        "ansible_user": USER,
        "ansible_password": PASSWORD,
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"db1": variables}}}))
    ansible = Path(sys.executable).with_name("ansible")
    done = subprocess.run(
        [str(ansible), "db1", "-i", str(inventory), "-m", "raw", "-a", "hostname"],
        env=os.environ | {"ANSIBLE_LOCAL_TEMP": str(tmp_path), "ANSIBLE_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "db1 | CHANGED | rc=0 >>\nDB1" in done.stdout

"""One host of three is bad: it says so in one plain line with what to do, has its exit code, and the others carry on."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable

import pytest
from night import Night, socket_that

from opdeploy.lab import certificates
from opdeploy.lab.certificates import Certificates, open_certificates
from opdeploy.lab.http import serve
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.computer import Computer

pytestmark = pytest.mark.slow


def wrong_password(night: Night) -> None:
    night.environment["WRONG"] = "wrong-one"
    night.box("bad", ansible_password={"from_env": "WRONG"})


def disabled_account(night: Night) -> None:
    state = servers.bare(name="BAD")
    servers.add_user(state, "left", servers.PASSWORD, enabled=False)
    night.box("bad", state, ansible_user="left")


def closed_port(night: Night) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    night.host("bad", port)


def silent_address(night: Night) -> None:
    port = night.stack.enter_context(socket_that())
    night.host("bad", port, ansible_winrm_operation_timeout_sec=1, ansible_winrm_read_timeout_sec=2)


def unknown_name(night: Night) -> None:
    night.host("bad", 5985, ansible_host="no-such-host.invalid")


def another_service(night: Night) -> None:
    def ssh(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.close()

    night.host("bad", night.stack.enter_context(socket_that(ssh)))


def a_web_server(night: Night) -> None:
    night.box("bad").server.settings.garbage = b"<html>welcome</html>"


def http_on_the_https_port(night: Night) -> None:
    night.box("bad", ansible_winrm_scheme="https")


def https_on_the_http_port(night: Night) -> None:
    _secure(night, ansible_winrm_scheme="http")


def untrusted_certificate(night: Night) -> None:
    _secure(night)


def another_name(night: Night) -> None:
    _secure(night, trusted=True, ansible_host="127.0.0.2")


def expired_certificate(night: Night) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "_LIFETIME", datetime.timedelta(0))
        _secure(night, trusted=True)


def no_rights(night: Night) -> None:
    state = servers.bare(name="BAD")
    servers.add_user(state, "clerk", servers.PASSWORD)
    night.box("bad", state, ansible_user="clerk")


def filtered_token(night: Night) -> None:
    night.box("bad", servers.filtered(servers.bare(name="BAD")))


def constrained_language(night: Night) -> None:
    night.box("bad", servers.constrained(servers.bare(name="BAD")))


def old_windows(night: Night) -> None:
    night.box("bad", servers.bare(9600, name="BAD"))


def kerberos_without_its_extra(night: Night) -> None:
    (night.folder / "hidden").mkdir()
    (night.folder / "hidden" / "requests_kerberos.py").write_text("raise ImportError\n")
    (night.folder / "hidden" / "gssapi.py").write_text("raise ImportError\n")
    night.environment["PYTHONPATH"] = str(night.folder / "hidden")
    night.box("bad", ansible_winrm_transport="kerberos")


def overloaded(night: Night) -> None:
    made = night.box("bad", ansible_winrm_operation_timeout_sec=1)
    made.server.settings.hang = True


def _secure(night: Night, trusted: bool = False, **variables: object) -> Certificates:
    """A host with HTTPS, by an authority that this machine's users may have been given."""
    authority = open_certificates(night.folder / "ca")
    server = serve(Computer(servers.bare(name="BAD")), "0.0.0.0", https=authority)
    night.stack.callback(server.stop)
    given = {"ansible_winrm_ca_trust_path": str(authority.authority.certificate)} if trusted else {}
    night.host("bad", server.port, **{"ansible_winrm_scheme": "https", **given, **variables})
    return authority


Bad = Callable[[Night], object]
BAD: dict[Bad, tuple[int, str, str]] = {  # exit code, what is said, what to do
    wrong_password: (3, "login refused for opadmin (ntlm)", "the password is wrong or has expired"),
    disabled_account: (3, "login refused for left (ntlm)", "the account is locked or disabled"),
    closed_port: (3, "the port is closed", "is WinRM enabled there"),
    silent_address: (3, "did not answer in time", "its WinRM service stuck?"),
    unknown_name: (3, "'no-such-host.invalid' can't be resolved", "correct ansible_host"),
    another_service: (1, "what answers there is not WinRM (its answer is no HTTP)", "the right address, port and scheme?"),
    a_web_server: (1, "what answers there is not WinRM (its answer is no WS-Management)", "right address"),
    http_on_the_https_port: (3, "no TLS could be agreed on", "the HTTPS listener's port (5986)?"),
    https_on_the_http_port: (3, "the connection broke", "the listener's port and scheme?"),
    untrusted_certificate: (3, "its certificate is not trusted", "give the CA that issued it"),
    another_name: (3, "IP address mismatch", "give in ansible_host the name that it is issued to"),
    expired_certificate: (3, "certificate has expired", "renew the certificate"),
    no_rights: (3, "access denied: clerk may not open a remote shell there", "Administrators"),
    filtered_token: (3, "the session's token is filtered", "LocalAccountTokenFilterPolicy"),
    constrained_language: (1, "ConstrainedLanguage mode", "application control policy"),
    old_windows: (1, "its Windows (build 9600) is none that is managed", "Server 2016 to 2025"),
    kerberos_without_its_extra: (1, "kerberos is not installed here", "pip install -e '.[kerberos]'"),
    overloaded: (3, "WinRM did not do in time what it was asked", "is the host overloaded?"),
}


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.__name__)
def test_a_bad_host_is_told_and_the_others_carry_on(bad: Bad, night: Night) -> None:
    code, said, hint = BAD[bad]
    night.box("first")
    bad(night)
    night.box("last")
    planned = night.run("plan")
    block = planned.out.split("\nbad")[1].split("\nlast  Windows")[0]
    assert planned.code == code
    assert said in block
    assert hint in block
    assert len(block.strip().splitlines()) <= 2 + block.count("warning:")
    assert planned.out.count("0 in sync · 3 would change") == 2
    assert night.shells() == 0


@pytest.mark.parametrize("command", [("apply", "--yes"), ("drift", "check")], ids=" ".join)
def test_the_others_are_applied_and_checked(command: tuple[str, ...], night: Night) -> None:
    night.box("first")
    wrong_password(night)
    night.box("last")
    done = night.run(*command, "--format", "json")
    assert done.code == 3
    assert [host["status"] == "unreachable" for host in done.report["hosts"]] == [False, True, False]
    assert "login refused" in done.host("bad")["error"]
    assert night.shells() == 0


def test_what_the_environment_says_of_the_web_is_not_for_winrm(night: Night) -> None:
    """A proxy and a CA of the company's surfing: nobody listens at the one, and the other is not there."""
    nowhere = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
    missing = {name: "/nonexistent/ca.pem" for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NETRC")}
    night.environment.update({**nowhere, **{name.lower(): url for name, url in nowhere.items()}, **missing})
    night.box("sealed")
    _secure(night, trusted=True)
    assert "2 hosts: 2 with changes" in night.run("plan").out

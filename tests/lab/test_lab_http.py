"""The listener seen with a plain HTTP client, and what it counts and logs."""

import base64
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import spnego

from opdeploy.lab import http
from opdeploy.lab.http import Entry, Server
from opdeploy.lab.logon import Logon, accounts_in_reach, local_name, user_file
from opdeploy.lab.sealing import is_sealed, seal, unseal
from opdeploy.lab.settings import Settings

USER, PASSWORD = "Administrator", "p:ss wörd"
LOGIN = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


def post(session: requests.Session, server: Server, body: bytes = b"", **headers: str) -> requests.Response:
    return session.post(server.url, data=body, headers=LOGIN | headers, timeout=20)


@pytest.fixture
def session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def test_posts_and_bytes_are_counted_and_logged_without_bodies(
    start: Callable[..., Server], computer: Any, session: requests.Session
) -> None:
    seen: list[Entry] = []
    server = start(computer, settings=Settings(allow_unencrypted=True), on_request=seen.append)
    first = post(session, server)
    second = post(session, server, b"no xml hunter2")
    assert (first.status_code, second.status_code) == (200, 500)
    assert (server.posts, server.bytes_in, server.bytes_out) == (2, 14, len(second.content))
    assert (
        seen
        == list(server.log)
        == [
            Entry(200, "", "", None, 0, 0),
            Entry(500, "", "", 2150858819, 14, len(second.content)),
        ]
    )
    assert "hunter2" not in repr(seen)


def test_the_connection_is_kept_until_it_is_dropped(
    open_server: Server, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    keep = open_server._opened
    monkeypatch.setattr(open_server, "_opened", lambda connection: (opened.append(connection), keep(connection)))
    post(session, open_server)
    post(session, open_server)
    assert len(opened) == 1
    open_server.drop_connections()
    assert post(session, open_server).status_code == 200
    assert len(opened) == 2


def test_latency_is_added_to_each_post(open_server: Server, session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(http.time, "sleep", slept.append)
    open_server.settings.latency = 7
    post(session, open_server)
    post(session, open_server)
    assert slept == [7, 7]


def test_no_other_path_and_no_other_method(open_server: Server, session: requests.Session) -> None:
    assert session.post(open_server.url + "/other", timeout=20).status_code == 404
    assert session.get(open_server.url, timeout=20).status_code == 405


def test_a_sealed_body_needs_a_logon_that_seals(open_server: Server, session: requests.Session) -> None:
    answer = post(session, open_server, b"sealed", **{"Content-Type": "multipart/encrypted"})
    assert (answer.status_code, answer.content) == (400, b"")


@pytest.mark.parametrize(
    "value", ["Negotiate", "Negotiate ????", "Negotiate AAAA", "Basic ????", "Bearer x", "NTLM TlRMTVNTUAA=", "NTLM"]
)
def test_nonsense_is_no_logon(open_server: Server, session: requests.Session, value: str) -> None:
    answer = session.post(open_server.url, headers={"Authorization": value}, timeout=20)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Negotiate, Basic realm="WSMAN"'


def test_a_stopped_server_is_gone(start: Callable[..., Server], computer: Any, session: requests.Session) -> None:
    server = start(computer, settings=Settings(allow_unencrypted=True))
    post(session, server)
    server.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        post(session, server)


def test_the_user_file_holds_no_password_and_every_name_of_the_computer(computer: Any) -> None:
    text = user_file(computer)
    assert PASSWORD not in text
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        rf"\{USER}",
        rf".\{USER}",
        rf"WORKGROUP\{USER}",
        rf"DB1\{USER}",
    ]
    computer.passwords = {r"PRACTICE\anna": "x"}
    assert [line.partition(":")[0] for line in user_file(computer).splitlines()] == [r"PRACTICE\anna"]


def test_the_user_file_is_gone_afterwards(computer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NTLM_USER_FILE", raising=False)
    with accounts_in_reach(computer):
        path = os.environ["NTLM_USER_FILE"]
        assert os.stat(path).st_mode & 0o077 == 0
    assert not os.path.exists(path)
    assert "NTLM_USER_FILE" not in os.environ


def logged_on(computer: Any, password: str) -> bool:
    """One whole NTLM logon, without a network between."""
    logon = Logon(computer, Settings(), secure=True, certified_user=None)
    client = spnego.client(USER, password, protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    token = client.step()
    while token:
        outcome = logon.attempt(f"NTLM {base64.b64encode(token).decode()}")
        challenge = outcome.challenges[0].partition(" ")[2] if outcome.challenges else ""
        token = None if client.complete else client.step(base64.b64decode(challenge))
    return outcome.account is not None


def test_two_hosts_that_log_on_at_once_keep_their_accounts_apart(computer: Any, another_computer: Any) -> None:
    tries = [(computer, PASSWORD), (another_computer, "another"), (computer, "another"), (another_computer, PASSWORD)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda each: logged_on(*each), tries * 25))
    finally:
        sys.setswitchinterval(before)
    assert results == [True, True, False, False] * 25


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("anna", "anna"),
        (r".\anna", "anna"),
        (r"db1\anna", "anna"),
        (r"\anna", "anna"),
        (r"PRACTICE\anna", r"PRACTICE\anna"),
        ("anna@practice.example", "anna@practice.example"),
    ],
)
def test_local_names(user: str, expected: str) -> None:
    assert local_name(user, "DB1") == expected


class Reversed:
    """A context that seals by turning the bytes round."""

    def wrap_winrm(self, data: bytes) -> Any:
        return type("Wrapped", (), {"header": b"SIGNATURE", "data": data[::-1]})

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
        assert header == b"SIGNATURE"
        return data[::-1]


def test_the_sealed_bytes_are_exactly_these() -> None:
    assert seal(Reversed(), b"<abc/>") == (
        b"--Encrypted Boundary\r\n"
        b"\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
        b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=6\r\n"
        b"--Encrypted Boundary\r\n"
        b"\tContent-Type: application/octet-stream\r\n"
        b"\x09\x00\x00\x00SIGNATURE>/cba<--Encrypted Boundary--\r\n"
    )


@pytest.mark.parametrize("text", [b"", b"<abc/>", b"--Encrypted Boundary--\r\n", b"--Encrypted Boundary\r\n" * 2])
def test_what_is_sealed_can_be_unsealed_whatever_it_holds(text: bytes) -> None:
    assert unseal(Reversed(), seal(Reversed(), text)) == text


def test_a_wrong_length_or_form_is_not_unsealed() -> None:
    sealed = seal(Reversed(), b"<abc/>")
    for wrong in (sealed.replace(b"=6", b"=7"), sealed[:-2], b"x" + sealed, b""):
        with pytest.raises(ValueError, match=r"sealed|length"):
            unseal(Reversed(), wrong)


def test_content_types() -> None:
    assert is_sealed('multipart/encrypted;protocol="x"')
    assert not is_sealed("application/soap+xml;charset=UTF-8")

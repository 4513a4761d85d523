"""Logging on to one connection: Basic, Negotiate (NTLM, raw or in SPNEGO) or a client's certificate.

As http.sys does it: Negotiate logs on the connection, once, and later requests on it need say nothing; Basic and
certificates are looked at with every request. Kerberos and CredSSP are not offered. Channel binding tokens are
accepted, not demanded, as CbtHardeningLevel=Relaxed has it.

NTLM is pyspnego's, which looks for passwords in the file that the environment variable NTLM_USER_FILE names. Several
hosts live in one process, each with accounts of its own, so the file is written anew, from this host's accounts alone,
for each step of a logon, and a lock keeps others from stepping meanwhile. It holds NT hashes, mode 0600, for the
millisecond that takes.
"""

import base64
import binascii
import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import spnego
from spnego._ntlm_raw.crypto import ntowfv1  # OpenSSL 3 has no MD4, and a password may hold a colon
from spnego.exceptions import NegotiateOptions

from opdeploy.lab.settings import Settings
from opdeploy.lab.shells import Account, Computer

MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
_NO_LM_HASH = "0" * 32
_one_step_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """`account` is None as long as nobody is logged on; `challenges` are the values of WWW-Authenticate to send."""

    account: Account | None
    challenges: tuple[str, ...] = ()


class Logon:
    """The state of one connection. `certified_user` is whom the client's certificate names, once TLS has checked it."""

    def __init__(self, computer: Computer, settings: Settings, secure: bool, certified_user: str | None) -> None:
        self.context: Any = None
        """The Negotiate context once it is complete: it seals."""
        self._computer = computer
        self._settings = settings
        self._secure = secure
        self._certified_user = certified_user
        self._stepping: Any = None
        self._account: Account | None = None

    @property
    def _basic(self) -> bool:
        return self._secure or self._settings.allow_unencrypted

    def attempt(self, authorization: str) -> Outcome:
        """Take one request's Authorization header, '' for none."""
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "basic" and self._basic:
            return self._by_password(value)
        if scheme == MUTUAL and self._certified_user:
            return self._checked(self._certified_user, None)
        if scheme.lower() in ("negotiate", "ntlm"):
            return self._step(scheme, value)
        return Outcome(self._account) if self._account else self._refused()

    def _refused(self) -> Outcome:
        self._account = self.context = self._stepping = None
        return Outcome(None, ("Negotiate", 'Basic realm="WSMAN"') if self._basic else ("Negotiate",))

    def _by_password(self, value: str) -> Outcome:
        try:
            user, _, password = _decoded(base64.b64decode(value)).partition(":")
        except binascii.Error:
            return self._refused()
        return self._checked(user, password)

    def _checked(self, user: str, password: str | None) -> Outcome:
        if self._settings.refuse_logon:
            return self._refused()
        account = self._computer.logon(local_name(user, self._computer.name), password)
        return Outcome(account) if account else self._refused()

    def _step(self, scheme: str, value: str) -> Outcome:
        if self._stepping is None:
            self._stepping = spnego.server(protocol="negotiate", options=NegotiateOptions.use_negotiate)
        with accounts_in_reach(self._computer):
            try:
                token = self._stepping.step(base64.b64decode(value) or b"no token")
            except Exception:  # on a malformed token pyspnego raises whatever its parser met
                return self._refused()
        answer = (f"{scheme} {base64.b64encode(token).decode()}",) if token else ()
        return self._complete(answer) if self._stepping.complete else Outcome(None, answer)

    def _complete(self, answer: tuple[str, ...]) -> Outcome:
        outcome = self._checked(self._stepping.client_principal or "", None)
        if outcome.account is None:
            return outcome
        self.context, self._stepping, self._account = self._stepping, None, outcome.account
        return Outcome(outcome.account, answer)


def _decoded(credentials: bytes) -> str:
    """Clients send UTF-8 or, as requests does, Latin-1: RFC 7617 left it open for long."""
    try:
        return credentials.decode()
    except UnicodeDecodeError:
        return credentials.decode("latin-1")


def local_name(user: str, computer: str) -> str:
    """The user without a domain that means this computer itself."""
    domain, found, name = user.partition("\\")
    return name if found and domain.upper() in _own_domains(computer) else user


def _own_domains(computer: str) -> tuple[str, ...]:
    return ("", ".", "WORKGROUP", computer.upper())


@contextlib.contextmanager
def accounts_in_reach(computer: Computer) -> Iterator[None]:
    """While this lasts, pyspnego knows the accounts of this computer and no others."""
    with _one_step_at_a_time, tempfile.NamedTemporaryFile("w", prefix="opdeploy-lab-", encoding="utf-8") as file:
        file.write(user_file(computer))
        file.flush()
        before = os.environ.get("NTLM_USER_FILE")
        os.environ["NTLM_USER_FILE"] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["NTLM_USER_FILE"]
            else:
                os.environ["NTLM_USER_FILE"] = before


def user_file(computer: Computer) -> str:
    """Every account in smbpasswd's form, a line for each way to name the computer as its domain: pyspnego compares what
    the client sent with the line's domain."""
    return "".join(
        f"{name}:0:{_NO_LM_HASH}:{ntowfv1(password).hex()}:[U]:LCT-0\n"
        for user, password in computer.accounts_for_ntlm()
        for name in ([user] if "\\" in user else [f"{domain}\\{user}" for domain in _own_domains(computer.name)])
    )

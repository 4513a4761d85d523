"""An assertion: that the host itself gets through to a port somewhere, with `tls` that what is there proves its name.

Tried from the host by one TCP connection, over which nothing is said but the TLS handshake, the name checked as Windows
checks it. No apply changes it. Which of the ways of not getting through it was, only Windows' translated message tells: on .NET
Framework every SocketException has the same HRESULT (0x80004005); so the message is quoted and nothing decided by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from opdeploy.calls import Failure, Write, net_probe
from opdeploy.model import Change, Machine, NotOurs
from opdeploy.resources.base import KEY, OPTION, Answers, Option, Reads, Resource
from opdeploy.resources.values import Duration, observed

LONGEST = 30  # seconds for the connection and again for the handshake: a session waits 120 for an answer
NO_ANSWER = "opdeploy.NoAnswer"
NO_CONNECTION = "System.Net.Sockets.SocketException"
# What ends a handshake once the connection stands; the last is the cause of some AuthenticationExceptions.
NO_TLS = {
    "System.Security.Authentication.AuthenticationException": "its certificate's name, chain or dates are not right",
    "System.IO.IOException": "what answers there does not speak TLS, or broke it off",
    "System.ComponentModel.Win32Exception": "the two found no TLS in common",
}


def _name(text: str) -> str:
    if not re.fullmatch(r"[\w.:-]{1,255}", text):
        raise ValueError(f"{text!r} is no host's name or address: expected one like lic.example.org or 10.1.2.3")
    return text


def _port(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("expected a port's number, 1 to 65535")
    return value


def _timeout(value: Duration) -> Duration:
    if not 1 <= value.seconds <= LONGEST or value.seconds % 1:
        raise ValueError(f"expected whole seconds, 1s to {LONGEST}s")
    return value


class Reachable(Resource):
    KIND = "reachable"
    EXAMPLE = """
        - { name: backup1, port: 445 }
        - { name: licence.example, port: 443, tls: true, timeout: 5s }
    """

    name: Annotated[str, KEY, AfterValidator(_name)]
    """A name or an address, as the host itself would look it up."""
    port: Annotated[int, KEY, BeforeValidator(_port), Field(ge=1, le=65535)]
    """Of TCP."""
    reached: bool = True
    """Whether a connection came about: what is found, and nothing to be set."""
    secured: bool | None = None
    """Whether TLS came about over it, the certificate being right for the name: found where `tls` asks for it."""
    tls: Option = False
    """Whether to try TLS over the connection."""
    timeout: Annotated[Duration, OPTION, AfterValidator(_timeout)] = Duration(10)
    """How long to wait for the connection, and again for the handshake: whole seconds, up to 30s."""

    @model_validator(mode="before")
    @classmethod
    def _with_tls(cls, given: Any) -> Any:
        """`tls` is how to try; that it is `secured` is what must come of it."""
        return {**given, "secured": True} if isinstance(given, dict) and given.get("tls") is True else given

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if self.absent:
            raise ValueError("reachable says that the host gets through: that it must not is a firewall_rule's to see to")
        if not observed(info) and not (self.reached and self.secured is (True if self.tls else None)):
            raise ValueError("reached and secured are what is found: leave them out, and write tls: true where TLS is wanted")
        return self

    @property
    def key(self) -> str:
        return f"{self.name}:{self.port}"

    def undone(self, found: Self | None) -> Self | str:
        return ""

    def reads(self) -> Reads:
        return {"probe": net_probe(self.name, self.port, tls=self.tls, seconds=int(self.timeout.seconds))}

    def actual(self, answers: Answers) -> Self | None:
        failure = answers.failure("probe")
        if failure and not _told(failure):
            _ = answers.probe  # raises Unknown: it could not be tried
        reached = failure is None or failure.type in NO_TLS
        return self.observed(name=self.name, port=self.port, reached=reached, secured=failure is None)

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        failure = answers.failure("probe")
        if change.verdict == "in_sync" or failure is None:
            return ""
        return NotOurs(f"{NO_TLS.get(failure.type, 'no connection')}: {failure.message}")

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        """None, ever: somebody has to see to the network, or to what should answer there."""
        yield from ()


def _told(failure: Failure) -> bool:
    """Whether it was tried and did not get through, rather than not tried."""
    return failure.id.startswith(NO_ANSWER) or failure.type == NO_CONNECTION or failure.type in NO_TLS

"""Accounts of a domain that several hosts of a run are entered with.

A domain counts wrong passwords for all of its hosts together and then locks the account: what one host has refused is not tried
on the others. So one host at a time tries it, until one has let it in. A local account is each host's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gevent.lock import BoundedSemaphore

from opdeploy.model import LogonRefused
from opdeploy.windows.session import Session
from opdeploy.windows.station import Station

PATIENCE = 30.0  # seconds that a host waits for its turn: one that is slow or out of reach must not hold up all others


@dataclass
class Account:
    """`accepted`: its password is right, whoever refuses it for other reasons. `refused_by`: the host that did not take it."""

    name: str
    accepted: bool = False
    refused_by: str = ""
    _turn: BoundedSemaphore = field(default_factory=BoundedSemaphore)

    def open(self, host: str, opener: Callable[..., Session], *given: Any, **options: Any) -> Session:
        """A session, as `opener` opens it. Raises what it raises, and LogonRefused without trying."""
        with self._my_turn():
            if self.refused_by and not self.accepted:
                hint = "put that right first: each refused logon counts, and the domain may lock the account for all hosts"
                raise LogonRefused(f"not tried: {self.refused_by} did not take the password of {self.name}", hint)
            try:
                session = opener(*given, **options)
            except LogonRefused:
                self.refused_by = host
                raise
            self.accepted = True
            return session

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """One at a time, as long as nobody was let in and nobody's patience has ended."""
        held = self._turn.acquire(timeout=PATIENCE)
        if held and self.accepted:
            self._turn.release()
            held = False
        try:
            yield
        finally:
            if held:
                self._turn.release()


def share(stations: Mapping[str, Station]) -> None:
    """Has hosts, by name, wait for each other where they are entered with the same account and password of a domain."""
    accounts: dict[tuple[str, str], Account] = {}
    for host, station in stations.items():
        user, password = station.target.user, station.target.password
        if password and is_of_a_domain(user):
            account = accounts.setdefault((user.lower(), password.reveal()), Account(user))
            station.opener = partial(account.open, host, station.opener)


def is_of_a_domain(user: str) -> bool:
    r"""Whether it is ``DOMAIN\user`` or ``user@domain``; ``.\user`` is the host's own."""
    domain, backslash, _ = user.rpartition("\\")
    return domain not in ("", ".") if backslash else "@" in user

"""An account of a domain on many hosts: a wrong password is tried on one of them, a right one on all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from opdeploy.engine import accounts
from opdeploy.inventory import Connection
from opdeploy.model import HostError, LogonRefused, Secret
from opdeploy.store import Store
from opdeploy.windows import targets
from opdeploy.windows.station import Records, Station

SHARED = "PRACTICE\\installer"


class Practice:
    """Hosts that are logged on to at once; `began` are those that were sent a password. `does` is what a logon comes to."""

    def __init__(self, store: Store, does: Callable[[str], object]) -> None:
        self.store, self.does = store, does
        self.began: list[str] = []
        self.stations: dict[str, Station] = {}

    def add(self, count: int = 1, user: str = SHARED, password: str = "Correct-Horse-1") -> None:
        for number in range(len(self.stations) + 1, len(self.stations) + count + 1):
            name = f"h{number}"
            target = targets.of_connection(Connection("127.0.0.1", user=user, password=Secret(password)))
            self.stations[name] = Station(target, Records(self.store, name), opener=self._opener(name))

    def _opener(self, name: str) -> Callable[..., Any]:
        def opened(*given: object, **options: object) -> str:
            self.began.append(name)
            self.does(name)
            return f"a session with {name}"

        return opened

    def log_on(self) -> dict[str, str]:
        """What every host's logon came to, by name."""
        accounts.share(self.stations)
        going = {name: gevent.spawn(self._told, station) for name, station in self.stations.items()}
        gevent.joinall(list(going.values()), raise_error=True)
        return {name: one.value for name, one in going.items()}

    def _told(self, station: Station) -> str:
        try:
            return str(station.opener(station.target, write=False, raw=False))
        except HostError as error:
            return error.message


def refuse(name: str) -> None:
    raise LogonRefused(f"{name} refuses")


def in_turn(*doings: Callable[[str], object]) -> Callable[[str], object]:
    """Each logon does the next of these, and the last for ever."""

    left = iter(doings)
    return lambda name: next(left, doings[-1])(name)


def let_in(name: str) -> None:
    """A right password."""


def test_what_one_host_refused_is_not_tried_on_the_others(store: Store) -> None:
    practice = Practice(store, refuse)
    practice.add(40)
    told = practice.log_on()
    assert practice.began == ["h1"]
    assert told.pop("h1") == "h1 refuses"
    assert set(told.values()) == {"not tried: h1 did not take the password of PRACTICE\\installer"}


def test_it_is_told_as_a_refused_logon_that_nobody_tries_again(store: Store) -> None:
    practice = Practice(store, refuse)
    practice.add(2)
    practice.log_on()
    with pytest.raises(LogonRefused, match="not tried") as refused:
        practice.stations["h2"].opener()
    assert "lock the account for all hosts" in refused.value.hint


def test_forty_hosts_wait_for_the_first_and_then_begin_at_once(store: Store) -> None:
    """The others' logons do not end before all of them have begun: one after the other, they never would."""
    all_began = Event()

    def does(name: str) -> None:
        if name == "h1":
            gevent.idle()  # whoever could begin has begun
            assert practice.began == ["h1"]
        elif len(practice.began) == 40:
            all_began.set()
        else:
            assert all_began.wait(20)

    practice = Practice(store, does)
    practice.add(40)
    assert practice.log_on() == {f"h{number}": f"a session with h{number}" for number in range(1, 41)}


def out_of_reach(name: str) -> None:
    raise HostError(f"{name} is out of reach")


def test_a_host_out_of_reach_says_nothing_of_the_password_and_the_next_is_asked(store: Store) -> None:
    practice = Practice(store, in_turn(out_of_reach, refuse))
    practice.add(4)
    assert practice.log_on() == {
        "h1": "h1 is out of reach",
        "h2": "h2 refuses",
        "h3": "not tried: h2 did not take the password of PRACTICE\\installer",
        "h4": "not tried: h2 did not take the password of PRACTICE\\installer",
    }


def test_once_it_was_let_in_who_refuses_it_stands_alone(store: Store) -> None:
    practice = Practice(store, in_turn(let_in, refuse, let_in))
    practice.add(3)
    assert practice.log_on() == {"h1": "a session with h1", "h2": "h2 refuses", "h3": "a session with h3"}


def test_nobody_waits_for_a_slow_host_for_long(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "PATIENCE", 0.0)
    others = Event()

    def does(name: str) -> None:
        if name == "h1":
            assert others.wait(20)
        others.set()

    practice = Practice(store, does)
    practice.add(2)
    assert practice.log_on() == {"h1": "a session with h1", "h2": "a session with h2"}


@pytest.mark.parametrize(("user", "password"), [("other@practice.local", "Correct-Horse-1"), (SHARED, "Correct-Horse-2")])
def test_another_account_or_password_is_tried(user: str, password: str, store: Store) -> None:
    practice = Practice(store, refuse)
    practice.add(2)
    practice.add(2, user, password)
    told = practice.log_on()
    assert practice.began == ["h1", "h3"]
    assert told["h4"] == f"not tried: h3 did not take the password of {user}"


@pytest.mark.parametrize("user", ["installer", ".\\installer", "\\installer", ""])
def test_a_local_account_is_each_hosts_own(user: str, store: Store) -> None:
    practice = Practice(store, refuse)
    practice.add(3, user)
    practice.log_on()
    assert practice.began == ["h1", "h2", "h3"]


def test_an_accounts_name_is_the_same_in_upper_and_lower_case(store: Store) -> None:
    practice = Practice(store, refuse)
    practice.add(user="Installer@Practice.local")
    practice.add(user="installer@practice.local")
    practice.log_on()
    assert practice.began == ["h1"]

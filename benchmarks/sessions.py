"""What a resident agent saves: our session beside pywinrm's run_ps, and a plan of 200 resources beside one of 10.

Both sides of a ratio are measured in turn, in one run, against the same simulated server on loopback, which adds the cost
of distance to each POST and of a start to each powershell.exe. It is a model: only ratios mean anything, and README.md
beside this file says what they say nothing about.

    .venv/bin/python benchmarks/sessions.py [--latency MS] [--powershell-start MS] [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))
import winrm
from labs import PASSWORD, Box, box

from opdeploy import engine
from opdeploy.calls import host_read
from opdeploy.lab.windows import servers
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.store import Store
from opdeploy.windows import session as ours
from opdeploy.windows.targets import of_connection

Work = Callable[[], None]
PATH = r"SOFTWARE\OP"


def seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def beside(one: Work, other: Work, rounds: int) -> tuple[float, float]:
    """The medians of both, measured in turn, so that what slows the machine slows both."""
    pairs = [(seconds(one), seconds(other)) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def posts(made: Box, work: Work) -> int:
    before = made.server.posts
    work()
    return made.server.posts - before


# ---------------------------------------------------------------- what is measured


def run_ps(made: Box) -> None:
    """One command as pywinrm's own Session runs it: logon, shell, powershell.exe, and all of it ended."""
    client = winrm.Session(made.server.url, (servers.ADMIN, PASSWORD.reveal()), transport="ntlm")
    assert client.run_ps("Get-Date").status_code == 0


def whole_session(made: Box) -> None:
    """The same from nothing with our session: logon, shell, agent, one read, and all of it ended."""
    with ours.open(of_connection(made.connection())) as session:
        session.ask([host_read()])


@contextmanager
def resident(made: Box) -> Iterator[Work]:
    """One more request of a session that is open."""
    with ours.open(of_connection(made.connection())) as session:
        session.ask([host_read()])
        yield lambda: [None for _ in session.ask([host_read()])] and None


def plan_of(made: Box, count: int, store: Store) -> Work:
    resources = [RegistryValue(path=PATH, name=f"Value {n}", type="dword", data=n) for n in range(count)]
    return lambda: [None for _ in engine.plan([made.job(resources)], store)] and None


def compare(title: str, made: Box, one: tuple[str, Work], other: tuple[str, Work], rounds: int) -> None:
    counts = posts(made, one[1]), posts(made, other[1])
    first, second = beside(one[1], other[1], rounds)
    say(f"{title}: {first / second:.1f} times")
    say(f"    {one[0]}: {counts[0]} POSTs, {first:.3f} s")
    say(f"    {other[0]}: {counts[1]} POSTs, {second:.3f} s")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", type=float, default=20, metavar="MS", help="added to each POST")
    parser.add_argument("--powershell-start", type=float, default=300, metavar="MS", help="added to each powershell.exe")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    asked = parser.parse_args()
    with box() as made, tempfile.TemporaryDirectory() as folder:
        made.server.settings.latency = asked.latency / 1000
        made.computer.behaviour.powershell_start = asked.powershell_start / 1000
        say(f"latency {asked.latency:g} ms, powershell start {asked.powershell_start:g} ms, medians of {asked.rounds}")
        store = Store.open(Path(folder))
        fresh = ("run_ps", lambda: run_ps(made))
        with resident(made) as request:
            compare("a command, to a request of an open session", made, fresh, ("request", request), asked.rounds)
        whole = ("our session, from logon to end", lambda: whole_session(made))
        compare("a command, to a whole session of ours with one read", made, fresh, whole, asked.rounds)
        many, few = (f"plan of {count}" for count in (200, 10))
        compare(
            "a plan of 200 resources, to one of 10", made,
            (many, plan_of(made, 200, store)), (few, plan_of(made, 10, store)), asked.rounds,
        )  # fmt: skip
        store.close()


if __name__ == "__main__":
    main()

"""What a lab is started with, as JSON on its standard input: it holds passwords, so it stands in no argument and no file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["database_server", "backup_station", "terminal_server"]


@dataclass(frozen=True)
class Simulated:
    """One host to simulate: how the inventory reaches it, and who may log on."""

    name: str
    kind: Kind
    address: str
    port: int
    https: bool
    user: str
    password: str

    @property
    def computer_name(self) -> str:
        """As Windows has it: upper case, 15 characters at most. [MS-NBTE 2.2.1]"""
        return self.name.partition(".")[0].upper()[:15]


@dataclass(frozen=True)
class Setup:
    """`folder` is the inventory's ``.lab``; `state` a folder that the hosts are kept in, '' for none; times in seconds.

    `watched` is a descriptor: when its other end closes, the lab ends (-1 for none).
    """

    folder: str
    hosts: tuple[Simulated, ...]
    state: str = ""
    latency: float = 0
    powershell_start: float = 0
    watched: int = -1


def to_json(setup: Setup) -> str:
    return json.dumps(asdict(setup))


def from_json(text: str) -> Setup:
    """Raises ValueError, TypeError or KeyError for what is none."""
    values = json.loads(text)
    return Setup(**{**values, "hosts": tuple(Simulated(**host) for host in values["hosts"])})

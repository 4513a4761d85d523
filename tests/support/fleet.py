"""The lab's practice in this process: three servers in threads, its inventory on their ports, and the command on it.

Unlike `practice.py`, whose commands and lab are processes of their own, this one hears every line that an agent was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from command_line import Done, opdeploy
from lab_practice import PASSWORDS, copied
from labs import Box, box

from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import dump

PORT = re.compile(r"ansible_port: \d+")
SERVERS = {"db1": servers.database_server, "backup1": servers.backup_station, "ts1": servers.terminal_server}


@dataclass
class Fleet:
    """`folder` holds the inventory, the run store and whatever commands write."""

    folder: Path
    boxes: dict[str, Box]

    @property
    def inventory(self) -> Path:
        return self.folder / "inventories" / "lab"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def run(self, *arguments: str, where: bool = True) -> Done:
        """One command with this inventory and run store."""
        inventory = ("-i", str(self.inventory)) if where else ()
        needs_store = where and arguments[0] != "inventory" and "--store" not in arguments
        store = ("--store", str(self.store)) if needs_store else ()
        return opdeploy(*arguments, *inventory, *store, store=self.store)

    def states(self) -> dict[str, str]:
        return {name: dump(made.state) for name, made in self.boxes.items()}

    def mark(self) -> dict[str, int]:
        """How much every host has heard up to now."""
        return {name: len(made.heard) for name, made in self.boxes.items()}

    def heard(self, since: dict[str, int] | None = None) -> list[str]:
        """Every line that an agent was sent since then, host by host."""
        return [line for name, made in self.boxes.items() for line in made.heard[(since or {}).get(name, 0) :]]

    def edit(self, file: str, old: str, new: str) -> None:
        """One place in the inventory, changed."""
        path = self.inventory / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")


@contextmanager
def fleet(folder: Path, passwords: dict[str, str] | None = None) -> Iterator[Fleet]:
    """`passwords`: by the names of `PASSWORDS`; those that are not given are made up."""
    given = passwords or {}
    admin = given.get("installer-password", servers.PASSWORD)
    inventory = copied(folder / "inventories" / "lab", {"installer-password": admin, **given})
    with ExitStack() as stack:
        boxes = {name: stack.enter_context(box(made(admin="installer", password=admin))) for name, made in SERVERS.items()}
        hosts = inventory / "hosts.yml"
        ports = iter(str(made.server.port) for made in boxes.values())
        text = PORT.sub(lambda _: f"ansible_port: {next(ports)}, ansible_winrm_scheme: http", hosts.read_text(encoding="utf-8"))
        hosts.write_text(_as_mapping(text), encoding="utf-8")
        yield Fleet(folder, boxes)


def _as_mapping(text: str) -> str:
    """db1's entry is written over two lines, the others' in braces."""
    return re.sub(r"(ansible_port: \d+), ansible_winrm_scheme: http( +#[^\n]*)\n", r"\1\2\n", text)


__all__ = ["PASSWORDS", "Done", "Fleet", "fleet"]

"""A practice in a temporary folder: the lab's inventory on free ports, and the real command on it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from opdeploy.cli.demo import copied_inventory
from opdeploy.cli.janitor import INVENTORY

Done = subprocess.CompletedProcess[str]


@dataclass
class Practice:
    """`folder` is what commands run in; everything they leave is below it."""

    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / INVENTORY

    @property
    def made(self) -> Path:
        return self.inventory / ".lab"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OPDEPLOY_")}
        own = {"XDG_STATE_HOME": self.folder / "state", "XDG_CONFIG_HOME": self.folder / "config", "TMPDIR": self.folder}
        return kept | {name: str(path) for name, path in own.items()}

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        command = [sys.executable, "-m", "opdeploy", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, encoding="utf-8", **pipes)

    def run(self, *arguments: str, **more: Any) -> Done:
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in out + err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def up(self, *arguments: str) -> tuple[Done, IO[bytes]]:
        """Starts the lab, bound to a pipe of this process; closing what is given ends it."""
        reading, writing = os.pipe()
        done = self.run("lab", "up", "-i", INVENTORY, "--with-parent", *arguments, stdin=reading)
        os.close(reading)
        return done, os.fdopen(writing, "wb")

    def processes(self) -> list[int]:
        """All processes that were started in this practice and have not ended; zombies have."""
        marker = f"TMPDIR={self.folder}\0".encode()
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _has(path, marker)]


def _has(process: Path, marker: bytes) -> bool:
    try:
        ended = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not ended and marker in (process / "environ").read_bytes() + b"\0"
    except OSError:
        return False


def practice_in(folder: Path) -> Practice:
    copied_inventory(folder)
    return Practice(folder)

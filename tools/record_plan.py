"""Records docs/plan.svg from the real command: `make picture`.

Starts the demo's lab, applies it, tampers with it, and records what `opdeploy plan --commands` says of one server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).parents[1]
OPDEPLOY = Path(sys.executable).with_name("opdeploy")
SHOWN = ("plan", "--limit", "db1", "--role", "support_account", "--role", "firebird", "--role", "firewall", "--commands")
WIDTH = 132


def opdeploy(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "CLICOLOR_FORCE": "1", "COLUMNS": str(WIDTH), "XDG_STATE_HOME": str(folder / "state")}
    run = subprocess.run([OPDEPLOY, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if run.returncode not in (0, 2):
        raise SystemExit(f"opdeploy {' '.join(arguments)} ended with {run.returncode}\n{run.stderr}")
    return run.stdout


@contextmanager
def tampered() -> Iterator[Path]:
    """A folder with the lab's inventory, whose servers were set up and then changed by hand."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(PROJECT / "inventories" / "lab", folder / "inventories" / "lab", ignore=shutil.ignore_patterns(".lab"))
        for shared in ("templates", "files"):
            shutil.copytree(PROJECT / shared, folder / shared)
        opdeploy(folder, "lab", "up")
        try:
            opdeploy(folder, "apply", "--yes")
            opdeploy(folder, "lab", "tamper", "db1")
            yield folder
        finally:
            opdeploy(folder, "lab", "down")


def main() -> None:
    with tampered() as folder:
        recorded = opdeploy(folder, *SHOWN)
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True, highlight=False)  # noqa: SIM115
    console.print(Text.from_ansi(f"$ opdeploy {' '.join(SHOWN)}\n{recorded}"), soft_wrap=False)
    svg = console.export_svg(title="opdeploy", unique_id="plan")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # no picture of ours asks another server for a font
    (PROJECT / "docs" / "plan.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Every role's plan on the lab, as a person reads it: held against `golden/lab/ROLE.txt`.

After a change that was meant: `python tests/roles/test_every_role.py` writes them anew, and `git diff` shows what became of it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import pytest
from lab_practice import HOSTS, desired_by_host
from labs import box
from runs import run_text

from opdeploy import engine, roles
from opdeploy.lab.windows import servers
from opdeploy.planning import Desired
from opdeploy.reports.text import plain
from opdeploy.results import Run
from opdeploy.store import Store

GOLDEN = Path(__file__).parent / "golden/lab"
SERVERS = dict(zip(HOSTS, (servers.database_server, servers.backup_station, servers.terminal_server), strict=True))
NAMES = roles.find().names


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Desired]:
    return desired_by_host(tmp_path_factory.mktemp("practice") / "lab")


def of(role: str, desired: Desired) -> Desired:
    """What one role says, and who else names it."""
    return Desired(
        tuple(managed for managed in desired.resources if role in managed.roles),
        tuple(scope for scope in desired.scopes if role in scope[1]),
    )


def told(role: str, practice: dict[str, Desired], folder: Path) -> str:
    """The role's plan on the first of the lab's servers that has it, bare of what other roles would make there.

    Without what was sent for it, which names the digest of the agent's text."""
    host, desired = next((name, found) for name in HOSTS if (found := of(role, practice[name])).resources)
    with box(SERVERS[host]()) as made:
        hosts = engine.plan([made.of(desired)], Store.open(folder / "store"))
    text = plain(run_text(Run("plan", "run", "2026-11-22T03:00:00Z", "test@here", "inventories/lab", "", hosts), verbose=True))
    return text.partition("\nsent to the hosts: ")[0]


@pytest.mark.parametrize("role", NAMES)
def test_its_plan_reads_as_it_should(role: str, practice: dict[str, Desired], tmp_path: Path) -> None:
    assert told(role, practice, tmp_path) == (GOLDEN / f"{role}.txt").read_text(encoding="utf-8")


def test_no_role_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


def _written() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        practice = desired_by_host(Path(name) / "lab")
        for role in NAMES:
            (Path(name) / role).mkdir()
            GOLDEN.mkdir(parents=True, exist_ok=True)
            (GOLDEN / f"{role}.txt").write_text(told(role, practice, Path(name) / role), encoding="utf-8")
            yield role


if __name__ == "__main__":
    sys.stdout.write(f"{len(list(_written()))} roles\n")

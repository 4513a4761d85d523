"""`pyinfra INVENTORY.py deploy/site.py`: a whole server from its opdeploy inventory, dry and for real."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fleet import fleet
from labs import Box

from opdeploy.lab.windows.state import dump

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]
SITE = Path(__file__).parents[2] / "deploy" / "site.py"
ROLES = r"""
support_account: {name: op-support, password: {from_env: SUPPORT_PASSWORD}}
op_services:
  services:
    Spooler: {state: stopped, start_mode: disabled}
    FirebirdServerDefaultInstance: {grants: [{principal: .\op-support, rights: [query, start, stop]}]}
"""


@pytest.fixture
def hosts(inventory: Path, tmp_path: Path) -> str:
    folder = inventory / "group_vars"
    folder.mkdir()
    (folder / "database_servers.yml").write_text(ROLES)
    hosts = tmp_path / "hosts.py"
    hosts.write_text(f"practice = [('@winrm/db1', {{'opdeploy_inventory': {str(inventory)!r}}})]\n")
    return str(hosts)


def test_dry_writes_nothing_then_it_converges_and_stays(db1: Box, pyinfra: Run, hosts: str) -> None:
    secret, before = {"SUPPORT_PASSWORD": "Sup-port-Pass-1"}, dump(db1.state)
    dry = pyinfra("--dry", hosts, str(SITE), **secret)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "service Spooler" in dry.stdout + dry.stderr
    assert dump(db1.state) == before
    wet = pyinfra(hosts, str(SITE), **secret)
    assert wet.returncode == 0, wet.stdout + wet.stderr
    after = dump(db1.state)
    again = pyinfra(hosts, str(SITE), **secret)
    assert again.returncode == 0, again.stdout + again.stderr
    assert dump(db1.state) == after != before
    assert secret["SUPPORT_PASSWORD"] not in "".join(run.stdout + run.stderr for run in (dry, wet, again))


def test_the_labs_practice_converges_in_one_run_and_opdeploy_agrees(pyinfra: Run, tmp_path: Path) -> None:
    """Folders, their rules and files stand on what earlier operations of the same run make."""
    with fleet(tmp_path / "fleet") as made:
        hosts = tmp_path / "hosts.py"
        names = ", ".join(f"('@winrm/{name}', {{'opdeploy_inventory': {str(made.inventory)!r}}})" for name in made.boxes)
        hosts.write_text(f"practice = [{names}]\n")
        done = pyinfra(str(hosts), str(SITE))
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        assert made.run("plan", "--store", str(tmp_path / "state" / "opdeploy")).code == 0

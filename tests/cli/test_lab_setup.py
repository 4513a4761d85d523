"""What the lab makes up before its hosts are read: passwords, and each host's own link to its remote-support agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from opdeploy.cli.lab_setup import prepared
from opdeploy.lab.windows import servers

INVENTORY = """
all:
  vars: { ansible_user: installer, ansible_password: { from_file: .lab/password }, ansible_host: 127.0.0.1 }
  children:
    database_servers:
      hosts:
        db1: { ansible_port: 15986, agent: { link: { from_file: .lab/agent-link-db1 } } }
    backup_stations:
      hosts:
        backup1: { agent: { link: { from_file: .lab/agent-link-backup1 } } }
"""


@pytest.fixture
def practice(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    (tmp_path / ".lab").mkdir()
    return tmp_path


def test_each_host_can_download_from_its_own_link_alone(practice: Path) -> None:
    setup = prepared(practice, None, 0, 0, -1)
    links = {name: (practice / ".lab" / f"agent-link-{name}").read_text().strip() for name in ("db1", "backup1")}
    simulated = {host.name: getattr(servers, host.kind)(host.computer_name) for host in setup.hosts}
    assert {name: list(state.web) for name, state in simulated.items()} == {name: [link] for name, link in links.items()}
    assert links["db1"] != links["backup1"]


def test_any_other_secret_is_made_up(practice: Path) -> None:
    first, second = (prepared(practice, None, 0, 0, -1).hosts[0].password for _ in range(2))
    assert first != second

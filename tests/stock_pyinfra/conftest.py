"""A simulated server, an opdeploy inventory that reaches it, and the stock pyinfra command beside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from labs import Box, box

from opdeploy.lab.windows import servers

PYINFRA = Path(sys.executable).with_name("pyinfra")
HOSTS = """\
all:
  vars:
    ansible_connection: winrm
    ansible_user: {user}
    ansible_password: {{from_env: OPDEPLOY_PASSWORD}}
    ansible_port: {port}
    ansible_winrm_scheme: http
  children:
    database_servers:
      hosts:
        db1: {{ansible_host: 127.0.0.1}}
"""


@pytest.fixture
def db1() -> Iterator[Box]:
    with box() as made:
        yield made


@pytest.fixture
def inventory(db1: Box, tmp_path: Path) -> Path:
    folder = tmp_path / "practice"
    folder.mkdir()
    (folder / "hosts.yml").write_text(HOSTS.format(user=servers.ADMIN, port=db1.server.port))
    return folder


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pyinfra(inventory: Path, tmp_path: Path) -> Run:
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
        "OPDEPLOY_PASSWORD": servers.PASSWORD,
        "OPDEPLOY_INVENTORY": str(inventory),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        # --yes would skip the detection of changes, which is what a dry run shows
        yes = () if "--dry" in arguments else ("-y",)
        return subprocess.run(
            [str(PYINFRA), *yes, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**environment, **more},
            cwd=tmp_path,
        )

    return run

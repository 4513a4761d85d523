"""A database server of the lab, and one call to it."""

import pytest
from lab_asking import Ask, asking

from opdeploy.lab.windows import servers
from opdeploy.lab.windows.computer import Computer


@pytest.fixture
def computer() -> Computer:
    return Computer(servers.database_server())


@pytest.fixture
def ask(computer: Computer) -> Ask:
    return asking(computer)

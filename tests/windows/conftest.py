"""A tiny host behind the lab's WS-Man front, and a session with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_host import Host, target_of

from opdeploy.lab.certificates import Certificates, open_certificates
from opdeploy.lab.http import Server, serve
from opdeploy.lab.settings import Settings
from opdeploy.windows.session import Session, open
from opdeploy.windows.winrs import Limits


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return open_certificates(Path(tmp_path_factory.mktemp("ca")))


@pytest.fixture
def server(host: Host, settings: Settings) -> Iterator[Server]:
    """Plain HTTP: sealed bodies only, as Windows has it."""
    running = serve(host, settings=settings)
    host.drop = running.drop_connections
    yield running
    running.stop()


@pytest.fixture
def secure_server(host: Host, settings: Settings, certificates: Certificates) -> Iterator[Server]:
    running = serve(host, https=certificates, settings=settings)
    yield running
    running.stop()


@pytest.fixture
def session(server: Server) -> Iterator[Session]:
    with open(target_of(server), settings=Limits(deadline=1, first_answer=1)) as opened:
        yield opened

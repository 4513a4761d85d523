"""`port`: whoever can answer. `windows`: whoever can answer what only a Windows knows."""

import os
from collections.abc import Iterator

import pytest
import verb_ports
from verb_ports import Port

PORTS = {"model": verb_ports.model, "engine": verb_ports.engine, "live": verb_ports.live}


def _open(name: str) -> Iterator[Port]:
    if name == "engine" and not verb_ports.engine_path():
        pytest.skip(verb_ports.NO_ENGINE)
    if name == "live" and "OPDEPLOY_LIVE_HOST" not in os.environ:
        pytest.skip("no live server: name one in OPDEPLOY_LIVE_HOST")
    with PORTS[name]() as port:
        yield port


@pytest.fixture(params=["model", "engine", pytest.param("live", marks=pytest.mark.live)])
def port(request: pytest.FixtureRequest) -> Iterator[Port]:
    yield from _open(request.param)


@pytest.fixture(params=["model", pytest.param("live", marks=pytest.mark.live)])
def windows(request: pytest.FixtureRequest) -> Iterator[Port]:
    yield from _open(request.param)

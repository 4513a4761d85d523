"""Practices for tests: `support/practice.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from practice import Practice, practice_in


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    """Its lab is not up."""
    return practice_in(tmp_path)


@pytest.fixture(scope="module")
def make_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Practice]]:
    """Practices with their labs up until the module's end."""
    pipes = []

    def make(*arguments: str) -> Practice:
        practice = practice_in(tmp_path_factory.mktemp("practice"))
        done, pipe = practice.up(*arguments)
        pipes.append(pipe)
        assert done.returncode == 0, done.stderr
        return practice

    yield make
    for pipe in pipes:
        pipe.close()

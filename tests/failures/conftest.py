"""Bad nights for tests: `support/night.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from night import Night, night_in


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with night_in(tmp_path) as made:
        yield made

"""Golden files. ``OPDEPLOY_REGENERATE=1 pytest tests/reports`` writes them anew: then read the difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares text with a file; with OPDEPLOY_REGENERATE=1 in the environment writes it instead, and fails."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("OPDEPLOY_REGENERATE"):
            path.write_text(text, encoding="utf-8")
            pytest.fail(f"{name} was written: read it, then run without OPDEPLOY_REGENERATE")
        assert text == path.read_text(encoding="utf-8")

    return compare

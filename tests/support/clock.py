"""Days of November 2026, for the modules that ask what time it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest


class Clock(datetime):
    """Noon of a day: the same date wherever the test runs."""

    day = 20

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime(2026, 11, cls.day, 12, tzinfo=UTC)


def stopped(patch: pytest.MonkeyPatch, *modules: str, day: int = 20) -> None:
    """Modules of opdeploy get the clock instead of the time."""
    patch.setattr(Clock, "day", day)
    for module in modules:
        patch.setattr(f"opdeploy.{module}.datetime", Clock)

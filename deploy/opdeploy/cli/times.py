"""Times as somebody writes them on a command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opdeploy.model import UsageError
from opdeploy.resources.values import span


def since_when(text: str, now: datetime, option: str = "--since") -> str:
    """The moment that a length of time before `now`, or a date, means: ISO 8601 UTC, in the precision that events have it."""
    try:
        when = now - timedelta(seconds=span(text))
    except ValueError:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{option} {text}: no length of time and no date", "write 7d, 12h or 2026-11-01") from None
    except OverflowError:
        raise UsageError(f"{option} {text}: before there was a calendar", "write 400d, 12h or 2026-11-01") from None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.000Z")

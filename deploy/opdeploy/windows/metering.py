"""What a connection costs: every POST that leaves, those of a logon too. Imported late, as requests is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from opdeploy.windows.winrs import Counters


class Meter(HTTPAdapter):
    """Counts what one HTTP session sends."""

    def __init__(self, counters: Counters) -> None:
        super().__init__()
        self._counters = counters

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        started = time.monotonic()
        self._counters.posts += 1
        self._counters.bytes_sent += len(request.body or b"")
        try:
            response = super().send(request, *args, **kwargs)
            # the body stays unread: requests_ntlm takes the server's certificate from the socket below it
            self._counters.bytes_received += int(response.headers.get("Content-Length") or 0)
            return response
        finally:
            self._counters.seconds += time.monotonic() - started


def meter(transport: Any, counters: Counters) -> None:
    """Puts a meter into each new HTTP session of pywinrm's transport: each is a logon."""
    send = transport._send_message_request

    def metered(session: Any, request: Any) -> Any:
        if not isinstance(session.adapters["http://"], Meter):
            counters.logins += 1
            session.mount("http://", Meter(counters))
            session.mount("https://", Meter(counters))
        return send(session, request)

    transport._send_message_request = metered

"""How a running lab is spoken to: JSON over HTTP on loopback, for whoever has the token from its folder.

GET /status · POST /tamper {"host", "only"} · POST /down, which answers when the hosts are stopped and their state is kept.
"""

from __future__ import annotations

import hmac
import http.client
import http.server
import json
import threading
from collections.abc import Callable
from typing import Any

from opdeploy.lab.running import Lab

SECONDS = 30  # that an answer may take


def listen(lab: Lab, token: str) -> http.server.ThreadingHTTPServer:
    """Starts the control endpoint on a free port of loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(lab, token))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), name="lab control", daemon=True).start()
    return server


def _handler(lab: Lab, token: str) -> type[http.server.BaseHTTPRequestHandler]:
    def down(_: dict[str, Any]) -> dict[str, Any]:
        lab.stop()
        lab.ended.set()
        return {}

    posts: dict[str, Callable[[dict[str, Any]], Any]] = {
        "/tamper": lambda asked: lab.tamper(str(asked["host"]), [str(name) for name in asked["only"]]),
        "/down": down,
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing here is worth a line in the log."""

        def do_GET(self) -> None:
            self._answer(lambda _: lab.status() if self.path == "/status" else None, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(posts.get(self.path, lambda _: None), body)

        def _answer(self, action: Callable[[dict[str, Any]], Any], body: Any) -> None:
            if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
                self._reply(403, None)
                return
            try:
                answer = action(json.loads(body) if body else {})
            except (KeyError, ValueError, TypeError):
                answer = None
            self._reply(200 if answer is not None else 404, answer)

        def _reply(self, status: int, answer: Any) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def ask(run: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One request to the lab whose `run` (`folder.read_run`) is given; None where it does not know the thing asked.

    Raises OSError where the lab does not answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", int(run["control"]), timeout=SECONDS)
    try:
        connection.request(method, path, json.dumps(body or {}), {"Authorization": f"Bearer {run['token']}"})
        return json.loads(connection.getresponse().read())
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()

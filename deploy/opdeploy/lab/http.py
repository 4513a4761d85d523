"""The listener: WinRM's HTTP and HTTPS on loopback, a thread for each connection, kept alive.

Reads a POST, has the connection logged on (`logon`), takes the seal off (`sealing`), asks the service (`wsman`), seals
and sends. Counts and logs what passed: actions, shells and sizes, never a body, so that no secret can stand in a log.
"""

import contextlib
import http.server
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opdeploy.lab import sealing
from opdeploy.lab.certificates import Certificates, certified_user, server_context
from opdeploy.lab.logon import Logon
from opdeploy.lab.settings import Settings
from opdeploy.lab.shells import Account, Computer
from opdeploy.lab.wsman import Answer, Service

SOAP_TYPE = "application/soap+xml;charset=UTF-8"
NOT_READ = 64 * 1024 * 1024
"""A body announced as larger than this, in bytes, is not even read."""
KEPT_ENTRIES = 10_000


@dataclass(frozen=True)
class Entry:
    """One POST. Sizes are those of the bodies as sent, sealed or not; `action` is empty where no envelope was looked
    at."""

    status: int
    action: str
    shell_id: str
    fault: int | None
    bytes_in: int
    bytes_out: int


class Server:
    """One listener of one computer, running since `serve`.

    `posts`, `bytes_in` and `bytes_out` (bodies only) count since then; `log` keeps the last 10,000 entries. They are up
    to date when a client has its answer. Change `settings` at any time.
    """

    def __init__(
        self,
        service: Service,
        computer: Computer,
        settings: Settings,
        listener: "_Listener",
        on_request: Callable[[Entry], None] | None,
    ) -> None:
        self.service = service
        self.computer = computer
        self.settings = settings
        self.host, self.port = str(listener.server_address[0]), int(listener.server_address[1])
        self.url = f"{'https' if listener.tls else 'http'}://{self.host}:{self.port}/wsman"
        self.posts = self.bytes_in = self.bytes_out = 0
        self.log: deque[Entry] = deque(maxlen=KEPT_ENTRIES)
        self._on_request = on_request
        self._lock = threading.Lock()
        self._listener = listener
        self._connections: set[socket.socket] = set()

    def stop(self) -> None:
        """Stop listening, every process and every connection."""
        self._listener.shutdown()
        self._listener.server_close()
        self.service.stop()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close every connection, as a server does with idle ones. Shells and what their processes wrote stay; a
        Receive that waits takes nothing any more; who sealed must log on again."""
        self.service.shells.abandon_receives()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def _closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def _record(self, entry: Entry) -> None:
        with self._lock:
            self.posts += 1
            self.bytes_in += entry.bytes_in
            self.bytes_out += entry.bytes_out
            self.log.append(entry)
        if self._on_request is not None:
            self._on_request(entry)


def serve(
    computer: Computer,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    https: Certificates | None = None,
    settings: Settings | None = None,
    on_request: Callable[[Entry], None] | None = None,
    service: Service | None = None,
) -> Server:
    """Start a listener and return at once; port 0 takes a free one. Raises OSError where the port is taken.

    With `https` it speaks TLS, with a certificate for `host` and the computer's name. `on_request` is called for each
    POST, from the connection's thread. A computer with two listeners gives the second the first's `settings` and
    `service`.
    """
    settings = settings or Settings()
    tls = server_context(https, [host, computer.name]) if https else None
    listener = _Listener((host, port), tls)
    listener.lab = Server(service or Service(computer, settings), computer, settings, listener, on_request)
    threading.Thread(target=listener.serve_forever, args=(0.05,), name=f"lab {computer.name}", daemon=True).start()
    return listener.lab


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    lab: Server

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        super().__init__(address, _Connection)
        self.tls = tls

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or that TLS turns away, is no error of ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Connection(http.server.BaseHTTPRequestHandler):
    """One connection and who is logged on to it."""

    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-HTTPAPI/2.0"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Listener
    lab: Server

    def setup(self) -> None:
        self.lab = self.server.lab
        tls = self.server.tls
        self.lab._opened(self.request)
        if tls:
            plain, self.request = self.request, None
            self.request = tls.wrap_socket(plain, server_side=True)
            self.lab._closed(plain)
            self.lab._opened(self.request)
        certificate = self.request.getpeercert(binary_form=True) if tls else None
        self.logon = Logon(self.lab.computer, self.lab.settings, tls is not None, certified_user(certificate))
        super().setup()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.lab._closed(self.request)
        self.request.close()

    def log_message(self, format: str, *args: Any) -> None:
        """The standard library's own log line: ours is Entry."""

    def do_GET(self) -> None:
        self._reply(Answer(405, b""), 0)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > NOT_READ:
            self.close_connection = True
            self._reply(Answer(413 if length.isdecimal() else 411, b""), 0)
            return
        body = self.rfile.read(int(length))
        settings = self.lab.settings
        time.sleep(settings.latency)
        if settings.garbage is not None:
            self._reply(Answer(200, settings.garbage), len(body), content_type="text/html")
        elif self.path.partition("?")[0].lower() != "/wsman":
            self._reply(Answer(404, b""), len(body))
        else:
            self._for_account(body)

    def _for_account(self, body: bytes) -> None:
        outcome = self.logon.attempt(self.headers.get("Authorization", ""))
        if outcome.account is None:
            self._reply(Answer(401, b""), len(body), challenges=outcome.challenges)
        elif not body:
            self._reply(Answer(200, b""), 0, challenges=outcome.challenges)
        elif sealing.is_sealed(self.headers.get("Content-Type", "")):
            self._sealed(outcome.account, body, outcome.challenges)
        elif self.server.tls or self.lab.settings.allow_unencrypted:
            answer = self._answer(outcome.account, body)
            self._reply(answer, len(body), content_type=SOAP_TYPE, challenges=outcome.challenges)
        else:
            self._reply(Answer(500, b""), len(body))

    def _sealed(self, account: Account, body: bytes, challenges: tuple[str, ...]) -> None:
        try:
            if self.logon.context is None:
                raise ValueError("nobody logged on that could have sealed")
            envelope = sealing.unseal(self.logon.context, body)
        except ValueError:
            self.close_connection = True
            self._reply(Answer(400, b""), len(body))
            return
        answer = self._answer(account, envelope)
        if answer.body:
            sealed = sealing.seal(self.logon.context, answer.body)
            answer = Answer(answer.status, sealed, answer.action, answer.shell_id, answer.fault)
        self._reply(answer, len(body), content_type=sealing.CONTENT_TYPE, challenges=challenges)

    def _answer(self, account: Account, envelope: bytes) -> Answer:
        settings = self.lab.settings
        if settings.too_large_is_413 and len(envelope) > settings.max_envelope_size:
            return Answer(413, b"")
        return self.lab.service.answer(account, envelope)

    def _reply(self, answer: Answer, bytes_in: int, *, content_type: str = "", challenges: tuple[str, ...] = ()) -> None:
        self.lab._record(Entry(answer.status, answer.action, answer.shell_id, answer.fault, bytes_in, len(answer.body)))
        self.send_response(answer.status)
        for challenge in challenges:
            self.send_header("WWW-Authenticate", challenge)
        if answer.body and content_type:
            self.send_header("Content-Type", content_type)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

"""Who is told, in tests: a real HTTP server and a real SMTP server on loopback that keep what arrives."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

from opdeploy.model import Secret

TOKEN = "t0ken-nobody-may-read"


@dataclass
class Postbox:
    """`arrived`: the JSON of each message. `status`: what the server answers from now on."""

    port: int = 0
    status: int = 200
    arrived: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/{TOKEN}"

    @property
    def secret(self) -> Secret:
        return Secret(self.url, "file:postbox")

    def taken(self) -> list[dict[str, Any]]:
        """What arrived since this was last asked."""
        taken, self.arrived = self.arrived, []
        return taken


@contextmanager
def postbox() -> Iterator[Postbox]:
    box = Postbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if box.status == 200:
                box.arrived.append(said)
            self.send_response(box.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            """Where a redirect leads: it is content with anything."""
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield box
        server.shutdown()


def named(folder: Path, *urls: str) -> Path:
    """Writes a controller's configuration that names them."""
    for number, url in enumerate(urls):
        (folder / f"address-{number}").write_text(url + "\n")
    entries = [{"from_file": f"address-{number}"} for number in range(len(urls))]
    path = folder / "config.yml"
    path.write_text(json.dumps({"notify": entries}))  # JSON is YAML
    return path


@contextmanager
def mail_server() -> Iterator[tuple[int, list[EmailMessage]]]:
    """As much of SMTP (RFC 5321) as smtplib speaks; its port, and the mails that it took."""
    mails: list[EmailMessage] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 localhost\r\n")
            while line := self.rfile.readline().strip().upper():
                if line == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    data = b"".join(iter(self.rfile.readline, b".\r\n"))
                    mails.append(email.message_from_bytes(data, policy=email.policy.default))  # type: ignore[arg-type]
                self.wfile.write(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")
                if line == b"QUIT":
                    return

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1], mails
        server.shutdown()

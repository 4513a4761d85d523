"""A host with nothing but an agent on it, behind the lab's real WS-Man front: it answers a few verbs of its own."""

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opdeploy.calls import Call
from opdeploy.lab.http import Server
from opdeploy.lab.shells import Around, Output
from opdeploy.model import Secret
from opdeploy.windows.winrs import Target

USER, PASSWORD = "Administrator", "p:ss wörd"


def echo(text: str) -> Call:
    return Call("echo", {"text": text})


@dataclass(frozen=True)
class Account:
    name: str


class Process:
    """The agent as the wire describes it. Its verbs: echo, write (remembers), fail, hang, die, drop (the connection)."""

    def __init__(self, host: "Host", line: str) -> None:
        self.output = Output()
        self._host = host
        self._raw = "$input" not in line
        self._rest = b""
        self._source: list[str] | None = []
        if host.language != "FullLanguage":
            self._say_line(f"opdeploy {{'language':'{host.language}'}}")
            self.output.end(3)
        if host.banner:
            self._say_line(host.banner)

    def feed(self, data: bytes, end: bool) -> None:
        if self._host.deaf == "both" or (self._host.deaf == "plain" and not self._raw):
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode("ascii"))

    def terminate(self) -> None:
        self._host.terminated += 1
        self.output.end(1)

    def _take(self, line: str) -> None:
        self._host.lines.append(line)
        if self._source is not None:
            self._source.append(line)
            if line == ".":
                self._source = None
        elif not line.startswith("*"):
            self._answer(json.loads(line))

    def _answer(self, request: dict[str, Any]) -> None:
        failed, count = False, 0
        for number, call in enumerate(request["calls"]):
            if failed and number < request["writes"]:
                continue
            self._host.ran.append(call["verb"])
            if call["verb"] == "hang":
                return
            if call["verb"] == "die":
                self.output.end(9)
                return
            failed |= call["verb"] == "fail"
            count += 1
            self._say(request["id"], call=number, **self._result(call))
        if self._host.drops:
            self._host.drops -= 1
            threading.Thread(target=self._host.drop).start()
            return
        self._say(request["id"], done=count)

    def _result(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["verb"] == "fail":
            return {"error": {"message": "kaputt", "type": "T", "hresult": -1, "id": "Broken", "category": "C"}}
        return {"value": call["args"].get("text", "=")[1:]}

    def _say(self, id: int, **said: Any) -> None:
        self._say_line("opdeploy " + json.dumps({"id": id, **said}, ensure_ascii=False))

    def _say_line(self, line: str) -> None:
        self.output.put("stdout", line.encode() + b"\n")


class Text:
    """A text of somebody's own: said back, with errors and an exit code; `hang` never ends."""

    def __init__(self, line: str) -> None:
        self.output = Output()
        self._text = b""
        if "ReadToEnd" not in line and line != "hang":
            self.feed(line.encode(), end=True)

    def feed(self, data: bytes, end: bool) -> None:
        self._text += data
        if end:
            self.output.put("stdout", self._text)
            self.output.put("stderr", b"told")
            self.output.end(7)

    def terminate(self) -> None:
        self.output.end(1)


@dataclass
class Host:
    name: str = "DB1"
    password: str = PASSWORD
    language: str = "FullLanguage"
    banner: str = ""
    deaf: str = ""
    no_direct_start: bool = False
    drops: int = 0
    drop: Callable[[], None] = lambda: None
    lines: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    terminated: int = 0

    def logon(self, user: str, password: str | None) -> Account | None:
        return Account(user) if password in (None, self.password) else None

    def accounts_for_ntlm(self) -> list[tuple[str, str]]:
        return [(USER, self.password)]

    def start(self, command_line: str, account: Account, around: Around, *, skip_cmd: bool) -> Process | Text:
        self.started.append(command_line)
        assert around.codepage == 65001
        if self.no_direct_start and skip_cmd:
            raise FileNotFoundError(command_line)
        return Process(self, command_line) if "$handle" in command_line else Text(command_line)


def target_of(server: Server, **changed: Any) -> Target:
    given = {
        "address": server.host, "port": server.port, "https": server.url.startswith("https"), "user": USER,
        "password": Secret(PASSWORD, "env:OP"), "operation_timeout": 1, **changed,
    }  # fmt: skip
    return Target(**given)


def decoded(line: str) -> str:
    return base64.b64decode(line.split()[1]).decode()

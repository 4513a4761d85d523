"""The resident agent, as the lab plays it: takes its source, then secrets and requests line by line, and answers calls.

It does what `loop.ps1` does and lists what the source lists; what a verb does to the machine is in `verbs`. Nothing that
comes in ends it: a line that is no request is answered as such.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opdeploy.lab.windows import errors, source
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.source import Source
from opdeploy.lab.windows.state import State
from opdeploy.lab.windows.verbs import VERBS, WRITES, Context
from opdeploy.lab.windows.wire import decode, ended, reply

FLUSH_AT = 64 * 1024


def _unknown_argument(name: str) -> Refused:
    text = f"A parameter cannot be found that matches parameter name '{name}'."
    type = "System.Management.Automation.ParameterBindingException"
    return Refused(text, type, "NamedParameterNotFound", "InvalidArgument")


@dataclass
class Agent:
    """One agent process. `write` gets the replies' bytes, gathered as the real one gathers them."""

    state: State
    token: Token
    lock: threading.RLock
    write: Callable[[bytes], None]
    source: Source | None = None
    _text: list[str] = field(default_factory=list)
    _secrets: dict[str, bytes] = field(default_factory=dict)
    _pending: bytes = b""

    def take(self, line: str) -> None:
        """One line of standard input, without its end."""
        if self.source is None:
            if line == ".":
                self.source = source.read("\n".join(self._text))
            else:
                self._text.append(line)
        elif line.startswith("*"):
            self._take_secret(line)
        elif line.strip():
            self._take_request(line)

    def _take_secret(self, line: str) -> None:
        number, _, text = line[1:].partition(" ")
        try:
            self._secrets[number] = base64.b64decode(text, validate=True)
        except binascii.Error:
            type = "System.FormatException"
            self._no_request(Refused("The input is not a valid Base-64 string.", type, "FormatException", "NotSpecified"))

    def _take_request(self, line: str) -> None:
        try:
            request = json.loads(line)
            calls, writes, id = list(request["calls"]), int(request["writes"]), request["id"]
        except (ValueError, TypeError, KeyError, AttributeError):
            text = "Invalid JSON primitive."
            self._no_request(errors.dotnet(text, "System.ArgumentException", -2147024809))
            return
        self._answer_all(id, calls, writes)
        self._secrets.clear()

    def _no_request(self, refused: Refused) -> None:
        self._secrets.clear()
        self._reply({"id": None, "error": refused.to_wire(), "done": 0}, last=True)

    def _answer_all(self, id: Any, calls: list[Any], writes: int) -> None:
        failed, answered = False, 0
        for number, call in enumerate(calls):
            if failed and number < writes:
                continue
            answer: dict[str, Any] = {"id": id, "call": number}
            try:
                answer["value"] = self._call(call)
            except Refused as refused:
                answer["error"], failed = refused.to_wire(), True
            answered += 1
            self._reply(answer, last=False)
        self._reply({"id": id, "done": answered}, last=True)

    def _call(self, call: Any) -> Any:
        verb = call.get("verb") if isinstance(call, dict) else None
        assert self.source is not None
        parameters = self.source.verbs.get(str(verb))
        if parameters is None:
            raise ended("NoVerb", f"no verb '{verb}' in this session")
        arguments = decode(call.get("args") or {}, self._secrets)
        for name in arguments:
            if name.lower() not in parameters:
                raise _unknown_argument(name)
        if verb not in VERBS:
            raise errors.not_modelled(f"the verb '{verb}'")
        return self._run(str(verb), arguments)

    def _run(self, verb: str, arguments: dict[str, Any]) -> Any:
        assert self.source is not None
        with self.lock:
            if verb in WRITES:
                self.state.tick()
            try:
                return VERBS[verb](Context(self.state, self.token, self.source), arguments)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise errors.unfit(verb, error) from None

    def _reply(self, value: dict[str, Any], last: bool) -> None:
        self._pending += reply(value)
        if last or len(self._pending) >= FLUSH_AT:
            self.write(self._pending)
            self._pending = b""

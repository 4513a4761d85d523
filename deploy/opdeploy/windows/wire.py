"""What the session and the agent say to each other, line by line. Pure: text in, values out.

To the agent: for each secret a line ``*N BASE64`` of its own, then the request, one line of ASCII JSON,
``{"id", "writes", "calls": [{"verb", "args"}]}``. Strings carry a tag, so that no JSON parser takes one for a date:
``=`` text, ``#`` bytes in base64, ``*N`` secret N as a SecureString (in a cmdlet's parameters), ``!N`` as text (elsewhere).

From the agent: ``opdeploy `` and JSON, a line for each call that ran, ``{"id", "call", "value" | "error"}``, then
``{"id", "done": N}``. Any other line is something that a cmdlet or a profile said: a log line.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opdeploy.calls import Answer, Anyway, Call, Failure, references
from opdeploy.model import HIDDEN, OpdeployError, Secret


class Unresolved(OpdeployError):
    """A call that still holds a reference: only the host's answer can fill it in, so it must not be sent."""


# ---------------------------------------------------------------- to the agent


JOB = 0  # the number of the one request that a job carries out


@dataclass(frozen=True)
class Request:
    """`text`: ASCII lines, each with its line feed. `secrets`: what is on lines of their own in it."""

    id: int
    text: str
    secrets: tuple[Secret, ...]

    def __repr__(self) -> str:
        return f"Request({self.id})"


def request(id: int, calls: Sequence[Call], writes: int = 0) -> Request:
    """The first `writes` calls change the host. Raises Unresolved; TypeError for a value that is not plain."""
    secrets: list[Secret] = []
    sent = [{"verb": call.verb, "args": _arguments(call, secrets)} for call in calls]
    lines = [f"*{number} {_base64(secret.reveal().encode())}" for number, secret in enumerate(secrets, start=1)]
    lines.append(json.dumps({"id": id, "writes": writes, "calls": sent}, separators=(",", ":"), allow_nan=False))
    return Request(id, "".join(f"{line}\n" for line in lines), tuple(secrets))


def _arguments(call: Call, secrets: list[Secret]) -> dict[str, Any]:
    open_references = sorted(references(call))
    if open_references:
        raise Unresolved(f"{call.verb}: {', '.join(open_references)} is not known yet")
    return {name: _tagged(value, secrets, "*" if name == "parameters" else "!") for name, value in call.args.items()}


def _tagged(value: Any, secrets: list[Secret], secret_tag: str) -> Any:
    if isinstance(value, Secret):
        secrets.append(value)
        return f"{secret_tag}{len(secrets)}"
    if isinstance(value, str):
        return f"={value}"
    if isinstance(value, bytes):
        return f"#{_base64(value)}"
    if isinstance(value, Mapping):
        return {str(name): _tagged(item, secrets, secret_tag) for name, item in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(item, Call) for item in value):
        return _tagged(_order(value), secrets, secret_tag)
    if isinstance(value, list | tuple):
        return [_tagged(item, secrets, secret_tag) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"a call can't hold a {type(value).__name__}")


def _order(calls: Sequence[Call]) -> list[str | Secret]:
    """Calls that a job makes, as the lines that its agent reads; a secret's line is a secret."""
    lines = request(JOB, calls, sum(not isinstance(call, Anyway) for call in calls)).text.splitlines()
    return [Secret(line, "a line of a job's order") if line.startswith("*") else line for line in lines]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# ---------------------------------------------------------------- from the agent


@dataclass(frozen=True)
class Reply:
    id: int
    call: int
    answer: Answer


@dataclass(frozen=True)
class Done:
    """The request is over, `count` of its calls ran."""

    id: int
    count: int


@dataclass(frozen=True)
class NotRead:
    """The agent could not make sense of a line it was sent."""

    failure: Failure


@dataclass(frozen=True)
class Refusal:
    """The loader's: this host's language mode lets no agent run."""

    language: str


@dataclass(frozen=True)
class Log:
    text: str


Line = Reply | Done | NotRead | Refusal | Log

_PREFIX = "opdeploy {"
_LANGUAGE = re.compile(r"opdeploy \{'language':'(\w+)'\}")


class Lines:
    """Bytes as they come to lines as they are meant. A line may arrive in any number of pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line for line in map(_line, whole) if line is not None]

    def end(self) -> list[Line]:
        """What came last without a line feed."""
        return self.feed(b"\n")


def _line(raw: bytes) -> Line | None:
    text = raw.decode("utf-8", errors="replace").lstrip("\ufeff").rstrip("\r")
    if refused := _LANGUAGE.fullmatch(text):
        return Refusal(refused[1])
    if text.startswith(_PREFIX):
        try:
            return _reply(json.loads(text[len(_PREFIX) - 1 :]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return Log(text)
    return Log(text) if text.strip() else None


def _reply(said: Mapping[str, Any]) -> Line:
    if said["id"] is None:
        return NotRead(_failure(said["error"]))
    if "done" in said:
        return Done(int(said["id"]), int(said["done"]))
    answer = _failure(said["error"]) if "error" in said else said["value"]
    return Reply(int(said["id"]), int(said["call"]), answer)


def _failure(error: Mapping[str, Any]) -> Failure:
    return Failure(
        message=str(error["message"]),
        type=str(error.get("type", "")),
        hresult=int(error.get("hresult") or 0),
        id=str(error.get("id", "")),
        category=str(error.get("category", "")),
    )


def without_secrets(answer: Answer, secrets: Sequence[Secret]) -> Answer:
    """A failure whose message does not repeat a secret of its request, as Windows' messages on bad values do."""
    if not isinstance(answer, Failure) or not secrets:
        return answer
    hidden = {secret.reveal() for secret in secrets} - {""}
    pattern = "|".join(re.escape(text) for text in sorted(hidden, key=len, reverse=True))
    if not pattern:
        return answer
    message, id = (re.sub(pattern, HIDDEN, text) for text in (answer.message, answer.id))
    return Failure(message, answer.type, answer.hresult, id, answer.category)

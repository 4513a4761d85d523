"""What travels between the session and the agent: tagged values, secrets, framed replies. The lab's own reading of it.

Strings carry a tag: '=' text, '#' bytes in base64, '*N' secret N as a SecureString, '!N' secret N as text. A reply is a
line of ``opdeploy `` and JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opdeploy.calls import Call
from opdeploy.lab.windows.errors import Refused
from opdeploy.model import Secret


@dataclass(frozen=True)
class Secure:
    """A SecureString: prints as PowerShell prints one, never as what is in it."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "System.Security.SecureString"


def ended(id: str, message: str) -> Refused:
    """The agent's own way to end a call: an id of ours (`Stop-Call` in loop.ps1)."""
    return Refused(message, "System.InvalidOperationException", f"opdeploy.{id}", "InvalidOperation", -2146233079)


def decode(value: Any, secrets: Mapping[str, bytes]) -> Any:
    """A value of a request. Raises Refused for a string without a tag and for a secret that was not sent."""
    if isinstance(value, str):
        return _decode_text(value, secrets)
    if isinstance(value, dict):
        return {name: decode(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [decode(item, secrets) for item in value]
    return value


def _decode_text(value: str, secrets: Mapping[str, bytes]) -> Any:
    tag, text = value[:1], value[1:]
    if tag == "=":
        return text
    if tag == "#":
        return _bytes(text)
    if tag == "!":
        return _secret(text, secrets)
    if tag == "*":
        return Secure(_secret(text, secrets))
    raise ended("Untagged", "a string in the request has no tag")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        type = "System.FormatException"
        raise Refused("The input is not a valid Base-64 string.", type, "FormatException", "NotSpecified") from None


def _secret(number: str, secrets: Mapping[str, bytes]) -> str:
    if number not in secrets:
        type = "System.ArgumentNullException"
        raise Refused("Value cannot be null.", type, "ArgumentNullException", "NotSpecified", -2147467261)
    return secrets[number].decode()


def reply(value: Mapping[str, Any]) -> bytes:
    return b"opdeploy " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


# ---------------------------------------------------------------- the session's side, for tests without WS-Man


def encode(value: Any, secrets: list[bytes], *, as_text: bool) -> Any:
    """A call's argument as it travels; secrets are appended to `secrets` and numbered from 1."""
    if isinstance(value, Secret):
        secrets.append(value.reveal().encode())
        return ("!" if as_text else "*") + str(len(secrets))
    if isinstance(value, str):
        return "=" + value
    if isinstance(value, bytes):
        return "#" + base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: encode(item, secrets, as_text=as_text) for name, item in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(item, Call) for item in value):
        lines = request_lines(0, value, len(value))
        return encode([Secret(line) if line.startswith("*") else line for line in lines], secrets, as_text=as_text)
    if isinstance(value, list | tuple):
        return [encode(item, secrets, as_text=as_text) for item in value]
    return value


def request_lines(id: int, calls: Sequence[Call], writes: int) -> list[str]:
    """One request as its lines of standard input: secrets first."""
    secrets: list[bytes] = []
    sent = [
        {"verb": call.verb, "args": encode(call.args, secrets, as_text=not call.verb.startswith("cmdlet."))} for call in calls
    ]
    head = [f"*{number} {base64.b64encode(secret).decode()}" for number, secret in enumerate(secrets, start=1)]
    return [*head, json.dumps({"id": id, "writes": writes, "calls": sent})]

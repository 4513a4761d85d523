"""One PowerShell file for an IT department that lets nobody in: to be read, run there, and its answer sent back.

It is fixed text (``script-head.ps1``, the agent's loop and read half, ``script.ps1``) around one block of data: this
host's reads, as JSON in a here-string. It asks only what needs no earlier answer, and has no key: what can carry a token
is left out on the host itself, before anything is printed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from opdeploy.calls import Answer, Call, Failure, Read
from opdeploy.store import tokens

ANSWER = "opdeploy.answer/1"
MARK = 'opdeploy {"'  # how a line of the answer begins; in JSON text a quote would be escaped


# ---------------------------------------------------------------- the file


def script(host: str, reads: Iterable[Read], source: str, agent: str) -> str:
    """The whole file, ASCII. `source` is the agent's loop and read half, `agent` their digest."""
    return "\n".join([_fixed("script-head"), "$data = @'", *_data(host, reads, agent), "'@", "", source, _fixed("script")])


def _fixed(name: str) -> str:
    return (files("opdeploy.store") / f"{name}.ps1").read_text(encoding="ascii")


def _data(host: str, reads: Iterable[Read], agent: str) -> Iterator[str]:
    """JSON, a read a line; no line of it can end the here-string."""
    head = {
        "host": host, "agent": agent, "left_out": tokens.LEFT_OUT, "values": sorted(tokens.VALUES),
        "keys": tokens.KEYS.pattern.replace(r"\Z", r"\z"), "in_tasks": "(?s)" + tokens.IN_TASKS.pattern,
    }  # fmt: skip
    calls = [json.dumps({"verb": read.verb, "args": _tagged(read.args)}) for read in reads if tokens.kept(read.key)]
    yield json.dumps(head)[:-1] + ', "calls": ['
    yield ",\n".join(calls)
    yield "]}"


def _tagged(value: Any) -> Any:
    """Texts as the agent's `ConvertFrom-Tagged` reads them. No read that is kept holds a secret."""
    if isinstance(value, str):
        return "=" + value
    if isinstance(value, bytes):
        return "#" + base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _tagged(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tagged(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"a script can't hold a {type(value).__name__}")


# ---------------------------------------------------------------- its answer


def read(text: str) -> tuple[dict[str, Any], dict[str, Answer]]:
    """The answer's first line (``host``, ``agent``, ``taken_at``), and what came back, by the reads' keys.

    A console may have broken lines: they are one again without the breaks, since in JSON a line feed is written ``\\n``.
    Raises ValueError, KeyError or TypeError for one that is not whole.
    """
    head, *replies = [_piece(piece) for piece in re.sub(r"[\r\n]", "", text).split(MARK)[1:]]
    if head["schema"] != ANSWER:
        raise ValueError(f"its first line does not say {ANSWER}")
    if not replies or replies[-1].get("done") != len(replies) - 1:
        raise ValueError("its last line is missing: the answer was cut off")
    return head, {_call(reply["call"]).key: _answer(reply) for reply in replies[:-1]}


def _piece(text: str) -> dict[str, Any]:
    """What follows the JSON is something that a profile or a cmdlet said."""
    value, _ = json.JSONDecoder().raw_decode('{"' + text)
    return dict(value)


def _call(told: Mapping[str, Any]) -> Call:
    return Call(told["verb"], _untagged(told["args"]))


def _untagged(value: Any) -> Any:
    if isinstance(value, str):
        return base64.b64decode(value[1:]) if value.startswith("#") else value[1:]
    if isinstance(value, dict):
        return {name: _untagged(item) for name, item in value.items()}
    return [_untagged(item) for item in value] if isinstance(value, list) else value


def _answer(reply: Mapping[str, Any]) -> Answer:
    if "error" not in reply:
        return reply["value"]
    error = reply["error"]
    return Failure(error["message"], error["type"], int(error["hresult"]), error["id"], error["category"])

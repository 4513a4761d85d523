"""A snapshot: a host's raw answers on disk, ``opdeploy.snapshot/1``, one JSON file a host, mode 0600.

A plan is made from it by the same code as from the host: `ask` answers reads as a session would, and what the file does not
hold is a failure of its own, so *unknown*. What can carry a token is a digest in it (`tokens`). The answer that a script
brought home (`script`) loads as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from opdeploy import whole_file
from opdeploy.calls import NOT_IN_SNAPSHOT, Answer, Failure, Read, host_read
from opdeploy.model import UsageError
from opdeploy.rendering import printable
from opdeploy.resources.base import Resource
from opdeploy.store import keys, script, tokens

SCHEMA = "opdeploy.snapshot/1"
AGAIN = "take it again: opdeploy snapshot take HOST --out DIR"


@dataclass(frozen=True)
class Snapshot:
    """`agent`: digest of the PowerShell that answered. `key`: which store's key the digests are under, '' for none.

    `answers`: a read's key (`calls.Call.key`) to what came back.
    """

    host: str
    taken_at: str
    agent: str
    key: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def windows(self) -> dict[str, Any]:
        said = self.answers.get(host_read().key)
        said = said if isinstance(said, dict) else {}
        return {name: said.get(name) for name in ("product", "build", "powershell")}


# ---------------------------------------------------------------- making one, planning from one


def take(host: str, observation: Mapping[str, Answer], *, taken_at: str, agent: str, key: bytes) -> Snapshot:
    """What a session observed, without tokens. Answers that do not belong into a snapshot are left out."""
    answers = {
        read: answer if isinstance(answer, Failure) else tokens.redacted(read, answer, key)
        for read, answer in sorted(observation.items())
        if tokens.kept(read)
    }
    return Snapshot(host, taken_at, agent, keys.name(key), answers)


def opened(snapshot: Snapshot, desired: Iterable[Resource], key: bytes) -> Snapshot:
    """One that can be planned from: digests of the desired texts replaced by these. `key` is this store's."""
    texts = set(tokens.texts(tuple(desired)))
    ours = snapshot.key == keys.name(key)

    def answer(read: str, given: Answer) -> Answer:
        if isinstance(given, Failure):
            return given
        return tokens.restored(read, given, key, texts) if ours else tokens.left_out(read, given)

    return replace(snapshot, answers={read: answer(read, given) for read, given in snapshot.answers.items()})


def ask(snapshot: Snapshot, reads: Iterable[Read], records: Callable[[Read], Answer]) -> dict[str, Answer]:
    """Answers reads as a session does, by key. `records` is the run store's answer to what no host knows."""
    missing = Failure("not in the snapshot", id=NOT_IN_SNAPSHOT)
    return {
        read.key: records(read) if read.verb.startswith("record.") else snapshot.answers.get(read.key, missing)
        for read in reads
    }


# ---------------------------------------------------------------- the file


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    schema_: Literal["opdeploy.snapshot/1"] = Field(alias="schema")
    host: str
    taken_at: str
    agent: str
    key: str
    windows: dict[str, Any]
    answers: dict[str, Any]


def save(path: Path, snapshot: Snapshot) -> None:
    """Writes the file whole or not at all. Raises UsageError where it can't be written."""
    document = {
        "schema": SCHEMA, "host": snapshot.host, "taken_at": snapshot.taken_at, "agent": snapshot.agent, "key": snapshot.key,
        "windows": snapshot.windows, "answers": {read: _wire(answer) for read, answer in snapshot.answers.items()},
    }  # fmt: skip
    try:
        whole_file.write(path, json.dumps(document, indent=1), 0o600)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name a folder of your own with --out") from error


def load(path: Path) -> Snapshot:
    """A snapshot, or the answer of a script. Raises UsageError for a file that is neither, or is not whole."""
    try:
        text = _text(path.read_bytes())
        return _from_script(text) if script.MARK in text else _snapshot(text)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", AGAIN) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}: no snapshot of opdeploy: {where}: {first['msg'].lower()}", AGAIN) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path}: no snapshot of opdeploy, or cut off: {printable(str(error))[:120]}", AGAIN) from error


def _text(raw: bytes) -> str:
    """PowerShell's ``>`` writes UTF-16, cmd.exe's what it gets."""
    return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _snapshot(text: str) -> Snapshot:
    file = _File.model_validate(json.loads(text))
    answers = {_read_key(read): _answer(given) for read, given in file.answers.items()}
    return Snapshot(file.host, file.taken_at, file.agent, file.key, answers)


def _from_script(text: str) -> Snapshot:
    head, answers = script.read(text)
    host, taken_at, agent = (str(head[name]) for name in ("host", "taken_at", "agent"))
    return Snapshot(host, taken_at, agent, answers={_read_key(read): answer for read, answer in answers.items()})


def _read_key(text: str) -> str:
    verb, args = json.loads(text)
    if not isinstance(verb, str) or not isinstance(args, dict):
        raise ValueError(f"{text[:60]} is no read")
    return text


def _wire(answer: Answer) -> Any:
    return {"failure": asdict(answer)} if isinstance(answer, Failure) else answer


def _answer(given: Any) -> Answer:
    return Failure(**given["failure"]) if isinstance(given, dict) and set(given) == {"failure"} else given


# ---------------------------------------------------------------- for eyes


def show(snapshot: Snapshot) -> Iterator[str]:
    """Everything that is in it, for who has to decide whether it may be sent anywhere."""
    yield f"{snapshot.host}, taken {snapshot.taken_at}, {len(snapshot.answers)} answers"
    yield f"agent {snapshot.agent}"
    yield _about_tokens(snapshot)
    for read, answer in snapshot.answers.items():
        verb, args = json.loads(read)
        yield ""
        yield printable(f"{verb} {json.dumps(args, ensure_ascii=False)}")
        for line in json.dumps(_wire(answer), indent=2, ensure_ascii=False).splitlines():
            yield "  " + printable(line)


def _about_tokens(snapshot: Snapshot) -> str:
    if snapshot.key:
        return f"command lines and the like are digests under the key {snapshot.key}"
    return "command lines and the like were left out on the host"

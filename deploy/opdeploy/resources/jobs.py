"""Jobs: work on the host that outlives its session, and what their record there says of them. Pure.

A job is one request that an agent of its own carries out, in a folder `%ProgramData%\\opdeploy-ID` that only SYSTEM and
Administrators may open. Its record is the file `replies` there: a first line when it began, an answer a call, and a last
line. `job_read` says where the folder is (or would be) and whether the runner lives; `reads` and `then_reads` ask for both.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opdeploy.calls import Failure, boot_read, file_read, job_read
from opdeploy.resources.base import Answers, Reads

RECORD = 1_000_000  # bytes of a record that are read


def job_id(*parts: str) -> str:
    """32 hexadecimal digits: the same for the same parts, so that whoever plans the same finds the job again."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def reads(id: str) -> Reads:
    return {"job": job_read(id)}


def then_reads(answers: Answers) -> Reads:
    """The record of the job that `reads` found, and when Windows last started: who outlives that?"""
    if not answers.job["there"]:
        return {}
    return {"record": file_read(f"{answers.job['folder']}\\replies", length=RECORD), "boot": boot_read()}


@dataclass(frozen=True)
class Record:
    """What a job's folder tells. `value`: the first answer that says anything, or the Failure of a call before it."""

    folder: str
    running: bool
    process: int = 0
    started: str = ""
    value: Any = None
    ended: bool = False

    @property
    def begun(self) -> bool:
        """What only has a folder may still be on its way there: a file that is pushed, a runner that never lived."""
        return bool(self.started)

    @property
    def lost(self) -> bool:
        """It was begun, and nobody will write its end: the host was started anew, or the runner was killed."""
        return self.begun and not self.running and not self.ended


def record(answers: Answers) -> Record | None:
    """The job of `reads`, None where there is none. Raises `Unknown` where it can't be told."""
    job = answers.job
    if not job["there"]:
        return None
    failed = answers.failure("record")
    if not answers.asked("record") or (failed and _not_there(failed)):
        return Record(job["folder"], job["running"])
    return _read(job, base64.b64decode(answers.record["bytes"]).decode("utf-8", "replace"))


def booted_since(record: Record, answers: Answers) -> str:
    """When Windows was started anew after the job began; '' if it was not, or nobody knows.

    Both times are ISO 8601 in UTC, alike in form."""
    if not answers.has("boot") or answers.failure("boot") or not answers.boot:
        return ""
    booted = str(answers.boot[0]["LastBootUpTime"])
    return booted if booted > record.started else ""


def _not_there(failure: Failure) -> bool:
    return failure.type.endswith(("FileNotFoundException", "DirectoryNotFoundException"))


def _read(job: Mapping[str, Any], text: str) -> Record:
    process, started, value, ended = 0, "", None, False
    for said in map(_line, text.splitlines()):
        if "process" in said:
            process, started = int(said["process"]), str(said["started"])
        if "call" in said and value is None:
            value = _failure(said["error"]) if "error" in said else said["value"] or None
        ended = ended or "done" in said
    return Record(job["folder"], job["running"], process, started, value, ended)


def _line(text: str) -> dict[str, Any]:
    """One line of a record; what is none of ours says nothing."""
    try:
        said = json.loads(text.lstrip("\ufeff").removeprefix("opdeploy "))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _failure(error: Mapping[str, Any]) -> Failure:
    told = {name: str(error.get(name, "")) for name in ("message", "type", "id", "category")}
    return Failure(**told, hresult=int(error.get("hresult") or 0))

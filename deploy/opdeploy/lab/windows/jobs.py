"""Detached jobs: a folder that is closed to others, a runner that outlives its session, and the record that it writes there.

A runner is an agent of its own. The lab's clock stands still, so a job takes *looks*: each `job.read` that finds it running is
one, and after as many as its installers take (`installers`) it does its work before the next is answered. A test can stop
anywhere in between; a restart of the machine (`restart`) ends a runner in the middle.

Shape: ``state.jobs[id]`` is a runner that lives, ``{process, started, user, looks, msi, lines, programs}``: `msi` tells whether
it holds Windows Installer's only place, `lines` what it has read, `programs` what it is going to run.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from typing import TYPE_CHECKING, Any

from opdeploy.lab.windows import accounts, errors, files, installers
from opdeploy.lab.windows.accounts import ADMINISTRATORS, Token
from opdeploy.lab.windows.state import Json, State
from opdeploy.lab.windows.wire import decode, ended, reply

if TYPE_CHECKING:
    from opdeploy.lab.windows.verbs import Context

CLOSED = ["(A;OICI;FA;;;SY)", "(A;OICI;FA;;;BA)"]


def _folder(id: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{32}", id, re.IGNORECASE):
        raise ended("BadName", f"'{id}' is no job")
    return f"C:\\ProgramData\\opdeploy-{id}"


def job_read(context: Context, given: Json) -> Json:
    state, id = context.state, given["id"].lower()
    folder = _folder(id)
    installers.go_on(state)
    if id in state.jobs:
        state.jobs[id]["looks"] -= 1
        if state.jobs[id]["looks"] < 0:
            _carry_out(state, id)
    if held := files.find(state, f"{folder}\\running"):
        files.check(state, context.token, held, files.READ)
    return {"folder": folder, "there": files.find(state, folder) is not None, "running": id in state.jobs}


def job_open(context: Context, given: Json) -> None:
    state, path = context.state, _folder(given["id"])
    if files.find(state, path) is None:
        files.check_can_add(state, context.token, path, files.ADD_FOLDER)
        if not context.token.elevated:
            text = "This security ID may not be assigned as the owner of this object."
            raise errors.dotnet(text, "System.IO.IOException", -2147023589)
        entry = files.put_folder(state, path, ADMINISTRATORS)
        entry |= {"group": ADMINISTRATORS, "aces": CLOSED, "control": "P"}
    _ours(context, path)


def _ours(context: Context, path: str) -> None:
    """As the agent's Find-JobFolder."""
    entry = files.find(context.state, path)
    if entry is None:
        text = f"Cannot find path '{path}' because it does not exist."
        type = "System.Management.Automation.ItemNotFoundException"
        raise errors.item(text, type, "GetAcl_PathNotFound", "Get-Acl", "ObjectNotFound")
    pattern = str(context.source.texts["closed"]).replace(r"\z", r"\Z")
    if not re.search(pattern, files.text(context.state, entry), re.IGNORECASE):
        raise ended("NotClosed", f"{path} is open to others: it is not ours")


def job_start(context: Context, given: Json) -> None:
    state, id = context.state, given["id"].lower()
    _ours(context, _folder(id))
    if id in state.jobs:
        raise _in_use(f"{_folder(id)}\\running")
    agent, order = context.source.text.splitlines(), list(given["order"])
    calls = _installs(order)
    _write(state, id, "agent", agent)
    if given.get("elevated"):
        state.tasks.pop(f"\\opdeploy-{id}", None)  # registered with -Force, and gone when the runner is there
    state.jobs[id] = {
        "process": 4 * (1000 + int(id[:3], 16)),
        "started": state.time,
        "user": installers.SYSTEM if given.get("elevated") else context.token.user,
        "msi": any(map(installers.is_msi, calls)) and not installers.busy(state),
        "looks": sum(installers.looks(state, call) for call in calls),
        "lines": [*agent, ".", *order],
        "programs": [{"program": call["program"], "line": call["line"]} for call in calls],
    }
    _begin(state, id)


def job_close(context: Context, given: Json) -> None:
    state, id = context.state, given["id"].lower()
    path = _folder(id)
    if files.find(state, path) is None:
        return
    _ours(context, path)
    if id in state.jobs:
        raise _in_use("replies")
    for lower in [*files.below(state, path), path.lower()]:
        del state.files[lower]


def _in_use(name: str) -> Exception:
    text = f"The process cannot access the file '{name}' because it is being used by another process."
    return errors.dotnet(text, "System.IO.IOException", -2147024864)


def restart(state: State) -> None:
    """What a restart of the machine does to runners and to what programs left behind: their work is never done."""
    for runner in state.jobs.values():
        state.installer_runs += [program | {"exit": None} for program in runner["programs"]]
    state.jobs.clear()
    state.unfinished.clear()


# ---------------------------------------------------------------- the runner


def _begin(state: State, id: str) -> None:
    _write(state, id, "running", [])
    _put(state, id, "replies", _first_line(state.jobs[id]))
    if not state.jobs[id]["looks"]:
        _carry_out(state, id)


def _carry_out(state: State, id: str) -> None:
    """The order, by an agent that has the same source."""
    from opdeploy.lab.windows.agent import Agent  # which knows the verbs, and they know jobs

    runner, said = state.jobs.pop(id), list[bytes]()
    agent = Agent(state, _token(state, runner["user"]), threading.RLock(), said.append)
    for line in runner["lines"]:
        agent.take(line)
    _put(state, id, "replies", b"".join([_first_line(runner), *said]))


def _first_line(runner: Json) -> bytes:
    return reply({"process": runner["process"], "started": runner["started"]})


def _token(state: State, user: str) -> Token:
    if user != installers.SYSTEM:
        return accounts.token_of(state, user)
    return Token(user, accounts.name_of(state, user) or user, ("S-1-1-0", "S-1-5-11", ADMINISTRATORS), True)


def _installs(order: list[str]) -> list[Json]:
    """The arguments of every `install.run` in an order's lines: secrets first, each on its own, then the request."""
    heads = [line[1:].partition(" ") for line in order[:-1]]
    secrets = {number: base64.b64decode(text) for number, _, text in heads}
    calls: list[Any] = json.loads(order[-1])["calls"]
    return [decode(call["args"], secrets) for call in calls if call["verb"] == "install.run"]


def _write(state: State, id: str, name: str, lines: list[str]) -> None:
    _put(state, id, name, "".join(f"{line}\r\n" for line in lines).encode())


def _put(state: State, id: str, name: str, data: bytes) -> None:
    files.put_file(state, f"{_folder(id)}\\{name}", ADMINISTRATORS, data)

"""Reads and writes as data: a verb of the agent and its arguments, and what came back.

Arguments are plain values: text, numbers, booleans, None, bytes, lists and dictionaries of them, and `Secret`.
Nothing here knows how a call travels (``windows/session.py``) or what answers it (the host, the lab, a snapshot).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from opdeploy.model import REFERENCE, Secret


@dataclass(frozen=True)
class Failure:
    """A call that the host answered with an error, or that nobody answered (then `id` begins with ``opdeploy.``).

    Decide by `id` (PowerShell's FullyQualifiedErrorId), `type` and `hresult` only: `message` is translated.
    """

    message: str
    type: str = ""
    hresult: int = 0
    id: str = ""
    category: str = ""


NOT_IN_SNAPSHOT = "opdeploy.NotInSnapshot"
TIMED_OUT = "opdeploy.TimedOut"
SESSION_LOST = "opdeploy.SessionLost"
SKIPPED = "opdeploy.Skipped"

Answer = Any | Failure

# What a verb may do is listed in the agent by these arguments.
NAMED_BY = {
    "cmdlet.read": ("name",), "cmdlet.write": ("name",), "cim.read": ("class",), "program.write": ("program", "command"),
    "export.read": ("what",), "sql.read": ("statement",), "sql.write": ("statement",),
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    verb: str
    args: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Canonical text: equal calls have equal keys. A secret stands there by its source, never by its value."""
        return json.dumps([self.verb, shown(self.args)], sort_keys=True, ensure_ascii=True, separators=(",", ":"))

    @property
    def told(self) -> str:
        """What it is, without what it is about: ``cmdlet.read Get-Service``."""
        return " ".join([self.verb, *(str(self.args[name]) for name in NAMED_BY.get(self.verb, ()))])

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Call) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, eq=False)
class Read(Call):
    """A call that leaves no lasting change. Equal reads are sent once."""


@dataclass(frozen=True, eq=False)
class Write(Call):
    """A call that changes the host."""


@dataclass(frozen=True, eq=False)
class Anyway(Write):
    """At the end of a job's order: made although a call before it failed."""


def shown(value: Any) -> Any:
    """A value as JSON has it, for keys and eyes: secrets by source, bytes in base64."""
    if isinstance(value, Secret):
        return {"secret": value.source}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, Call):
        return [value.verb, shown(value.args)]
    if isinstance(value, Mapping):
        return {name: shown(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value


def references(call: Call) -> set[str]:
    """The references (`model.sid_of`) that still stand in a call's arguments: such a call must not be sent.

    Bytes are somebody's file or registry value, whatever stands in them, but for the template of `rights_write`.
    """
    bytes_too = call.verb == "rights.write"
    return set(REFERENCE.findall("\n".join(_texts(call.args, bytes_too))))


def _texts(value: Any, bytes_too: bool) -> Iterator[str]:
    """Every text in a value; bytes, if at all, as the UTF-16 that a template is."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Call):
        yield from _texts(value.args, value.verb == "rights.write")
    elif isinstance(value, bytes) and bytes_too:
        yield value.decode("utf-16-le", "replace")
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item, bytes_too)


# ---------------------------------------------------------------- the verbs, one function each


def _args(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def host_read() -> Read:
    return Read("host.read")


def registry_read(
    path: str, *, hive: str = "LocalMachine", view: str = "Registry64", values: list[str] | None = None, depth: int = 0
) -> Read:
    """-> None, or {"values": {name: [kind, data]}, "subkeys": {name: the same or None}}; kind: .NET's RegistryValueKind."""
    return Read("registry.read", _args(hive=hive, path=path, view=view, values=values, depth=depth))


def cmdlet_read(name: str, select: list[str], **parameters: Any) -> Read:
    """-> [{property: value}]"""
    return Read("cmdlet.read", {"name": name, "parameters": parameters, "select": select})


def events_read(query: str, most: int) -> Read:
    """-> [event as XML], newest first; `query` in the XML of Event Viewer's filters. None: id NoMatchingEventsFound."""
    return cmdlet_read("Get-WinEvent", [], FilterXml=query, MaxEvents=most)


def cim_read(namespace: str, class_name: str, select: list[str]) -> Read:
    """-> [{property: value}]; only classes that the read half lists."""
    return Read("cim.read", {"namespace": namespace, "class": class_name, "select": select})


def file_stat(path: str, *, hash: bool = False) -> Read:
    """-> None, or {"directory", "modified", "piece"; of a file "size", "version", "sha256"; of a folder "empty"}."""
    return Read("file.stat", {"path": path, "hash": hash})


def file_read(path: str, *, offset: int = 0, length: int = 65536) -> Read:
    """-> {"bytes": base64, "end": bool}; a negative offset counts from the end."""
    return Read("file.read", {"path": path, "offset": offset, "length": length})


def sddl_read(path: str) -> Read:
    """-> None, or owner, group and discretionary list as SDDL."""
    return Read("sddl.read", {"path": path})


def sid_resolve(name: str) -> Read:
    """-> {"sid": SID or None}: None is nobody's name."""
    return Read("sid.resolve", {"name": name})


def name_resolve(sid: str) -> Read:
    """-> {"name": 'DOMAIN\\name' or None}"""
    return Read("name.resolve", {"sid": sid})


def export_read(what: str) -> Read:
    """-> the exported file's bytes in base64; what: ``user rights`` (security template), ``audit policy`` (CSV)."""
    return Read("export.read", {"what": what})


def group_members(group: str) -> Read:
    """-> [SID]; the group by name or SID."""
    return Read("group.members", {"group": group})


def logon_probe(user: str, password: Secret) -> Read:
    """-> {"right": bool}; sent only with --verify-passwords: it leaves a logon event."""
    return Read("logon.probe", {"user": user, "password": password})


def net_probe(name: str, port: int, *, tls: bool = False, seconds: int = 10) -> Read:
    """-> True. Not reached: a Failure of type SocketException or id ``opdeploy.NoAnswer``; TLS: AuthenticationException."""
    return Read("net.probe", {"name": name, "port": port, "tls": tls, "seconds": seconds})


def sql_read(statement: str, server: str, database: str, **values: str | Secret) -> Read:
    """-> [{column: value}]; `statement` names one of the read half's table `$asking`, `values` are its parameters."""
    return Read("sql.read", {"statement": statement, "server": server, "database": database, "values": values})


def job_read(id: str) -> Read:
    """-> {"folder": where it is or would be, "there": bool, "running": whether its runner lives}; replies: `resources.jobs`."""
    return Read("job.read", {"id": id})


def boot_read() -> Read:
    """-> [{"LastBootUpTime": ISO 8601 UTC}]"""
    return cim_read("root/cimv2", "Win32_OperatingSystem", ["LastBootUpTime"])


def step_record(id: str, digest: str) -> Read:
    """Answered by the run store: None, or {"by", "note", "at", "same": whether it was signed for this very text}."""
    return Read("record.step", {"id": id, "digest": digest})


def password_record(user: str, password: Secret) -> Read:
    """Answered by the run store, not by the host: None, or {"same": bool, "set_at": when the host says it was set}."""
    return Read("record.password", {"user": user, "password": password})


def cmdlet_write(cmdlet: str, **parameters: Any) -> Write:
    return Write("cmdlet.write", {"name": cmdlet, "parameters": parameters})


def program_write(program: str, command: str, line: str, *, seconds: int = 60) -> Write:
    """`line` is what follows the sub-command, ready quoted (`quoting.argument`). Any exit code but 0 is a failure."""
    return Write("program.write", {"program": program, "command": command, "line": line, "seconds": seconds})


def registry_write(
    path: str, name: str, kind: str, data: Any, *, hive: str = "LocalMachine", view: str = "Registry64"
) -> Write:
    return Write("registry.write", {"hive": hive, "path": path, "view": view, "name": name, "kind": kind, "data": data})


def registry_remove(path: str, name: str, *, hive: str = "LocalMachine", view: str = "Registry64") -> Write:
    return Write("registry.remove", {"hive": hive, "path": path, "view": view, "name": name})


def sddl_write(path: str, sddl: str, *, expect: str, owner: bool = False) -> Write:
    """Replaces a list as a whole, so it says what it expects to find (the last answer of `sddl_read`)."""
    return Write("sddl.write", {"path": path, "sddl": sddl, "expect": expect, "owner": owner})


def service_sddl_write(name: str, sddl: str, *, expect: str) -> Write:
    """`sc.exe sdset`, if `sc.exe sdshow` still says `expect` (white space at the ends ignored)."""
    return Write("service.sddl.write", {"name": name, "sddl": sddl, "expect": expect})


def rights_write(template: bytes, *, expect: Mapping[str, str]) -> Write:
    """`secedit /configure` with a template, if each right in it is still held by exactly `expect[right]`, as exported
    (``*S-1-5-20,op``), blanks and case ignored."""
    return Write("rights.write", {"template": template, "expect": dict(expect)})


def sql_write(statement: str, server: str, database: str, **values: str | Secret) -> Write:
    """`statement` names one of the write half's table `$ordering`; `values` are its parameters, quoted by the server."""
    return Write("sql.write", {"statement": statement, "server": server, "database": database, "values": values})


def job_open(id: str) -> Write:
    """Makes the job's folder, closed to all but SYSTEM and Administrators."""
    return Write("job.open", {"id": id})


def job_start(id: str, order: Sequence[Write], *, anyway: Sequence[Write] = (), elevated: bool = False) -> Write:
    """Starts an agent of its own on the host that makes these writes and outlives the session; `elevated`: as SYSTEM.

    The first that fails ends the order, but for what is to be done `anyway`."""
    last = tuple(Anyway(write.verb, write.args) for write in anyway)
    return Write("job.start", {"id": id, "order": (*order, *last), "elevated": elevated})


def job_close(id: str) -> Write:
    """Removes the job's folder with all that is in it."""
    return Write("job.close", {"id": id})


def install_run(
    program: str,
    line: str | Secret,
    seconds: int,
    *,
    file: str = "",
    sha256: str = "",
    url: str | Secret = "",
    subject: str = "",
    issuer: str = "",
) -> Write:
    """Only ever in a job's order. -> {"ended", "whole", "exit" if it ended, "stdout", "stderr" in base64}.

    `file` (fetched from `url` first, where one is given) must have the hash, and the signer if `subject` is given: ids
    ``opdeploy.BadHash``, ``opdeploy.BadSigner``."""
    given = {"file": file, "sha256": sha256, "url": url, "subject": subject, "issuer": issuer}
    return Write("install.run", {"program": program, "line": line, "seconds": seconds, **given})


def file_push(path: str, source: str, sha256: str, size: int) -> Write:
    """A file of the controller's disk to `path` on the host, in pieces; what a cut run left there is gone on with.

    No verb of the agent's: `windows/station.py` makes `file.append` and `file.commit` of it, in bounded memory."""
    return Write("file.push", {"path": path, "source": source, "sha256": sha256, "size": size})


def file_append(path: str, offset: int, data: bytes | Secret) -> Write:
    """One piece of a file; as a secret it is text, in base64."""
    return Write("file.append", {"path": path, "offset": offset, "bytes": data})


def file_commit(path: str, sha256: str | Secret) -> Write:
    return Write("file.commit", {"path": path, "sha256": sha256})


def file_discard(path: str) -> Write:
    """Removes a leftover piece beside `path`."""
    return Write("file.discard", {"path": path})

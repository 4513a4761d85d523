"""The agent's verbs over the raw state: one function each, with the answer's shape of ``opdeploy.calls``.

A failing write leaves the state as it was but for the clock. What cmdlets do is in `cmdlets`, what programs do in
`programs`; both are asked only for what the source that the session sent lists.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opdeploy.lab.windows import (
    accounts,
    auditing,
    cmdlets,
    errors,
    files,
    inf,
    installers,
    jobs,
    network,
    programs,
    registry,
    sddl,
    services,
    sql,
)
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.errors import access_denied, registry_denied
from opdeploy.lab.windows.source import Source
from opdeploy.lab.windows.state import Json, State
from opdeploy.lab.windows.wire import ended

Arguments = dict[str, Any]
PIECE = ".opdeploy"


@dataclass(frozen=True)
class Context:
    """What a call stands on: the machine, whose call it is, and the agent's source."""

    state: State
    token: Token
    source: Source


# ---------------------------------------------------------------- the host, names, groups


def host_read(context: Context, given: Arguments) -> Json:
    facts, token = context.state.facts, context.token
    controller = facts.product == "LanmanNT"
    return {
        "name": facts.name,
        "product": facts.product,
        "build": str(facts.build),
        "ubr": facts.ubr,
        "edition": facts.edition,
        "installation": facts.installation,
        "powershell": facts.powershell,
        "language": facts.language,
        "user": token.user,
        "user_name": token.name,
        "groups": list(token.groups),
        "elevated": token.elevated,
        "domain": facts.domain,
        "domain_sid": facts.domain_sid,
        "machine_sid": "" if controller else facts.machine_sid,
        "time": context.state.time,
        "culture": facts.culture,
    }


def sid_resolve(context: Context, given: Arguments) -> Json:
    return {"sid": accounts.sid_of(context.state, given["name"])}


def name_resolve(context: Context, given: Arguments) -> Json:
    if not re.fullmatch(r"S-1-\d+(-\d+)+", given["sid"], re.IGNORECASE):
        raise errors.dotnet("Value was invalid. Parameter name: sddlForm", "System.ArgumentException", -2147024809)
    return {"name": accounts.name_of(context.state, given["sid"].upper())}


def group_members(context: Context, given: Arguments) -> list[str]:
    state, wanted = context.state, given["group"]
    sid = accounts.principal(state, wanted)
    if sid is None or sid not in state.groups:
        if wanted.upper().startswith("S-1-"):
            type = "System.Security.Principal.IdentityNotMappedException"
            raise errors.dotnet("Some or all identity references could not be translated.", type, -2146233087)
        type = "System.Runtime.InteropServices.COMException"
        raise errors.dotnet("The group name could not be found.", type, -2147022676)
    return list(state.groups[sid]["members"])


def logon_probe(context: Context, given: Arguments) -> Json:
    state = context.state
    user = state.users.get(accounts.sid_of(state, given["user"]) or "")
    right = user is not None and accounts.usable(state, user) and accounts.password_of(user) == given["password"]
    return {"right": right}


def net_probe(context: Context, given: Arguments) -> bool:
    return network.probe(context.state, given["name"], given["port"], given["tls"], given["seconds"])


# ---------------------------------------------------------------- cmdlets, CIM, programs


def cmdlet_read(context: Context, given: Arguments) -> list[Json]:
    name, parameters = given["name"], given.get("parameters") or {}
    _check_listed(context, "reading", name, parameters)
    rows = cmdlets.run(context.state, context.token, name, parameters)
    select = given.get("select") or []
    return [row if isinstance(row, str) else {key: row[key] for key in select if key in row} for row in rows]  # type: ignore[misc]


def cmdlet_write(context: Context, given: Arguments) -> None:
    name, parameters = given["name"], given.get("parameters") or {}
    for parameter, value in parameters.items():
        shape = context.source.listed("shapes", parameter)
        if shape is not None and not _matches(str(shape), str(value)):
            raise ended("BadName", f"'{name} -{parameter}' does not take '{value}'")
    _check_listed(context, "writing", name, parameters)
    cmdlets.run(context.state, context.token, name, parameters)


def _check_listed(context: Context, table: str, name: str, parameters: Arguments) -> None:
    listed = context.source.listed(table, name)
    if listed is None:
        raise ended("NotListed", f"'{name}' is not listed")
    known = {parameter.lower() for parameter in listed}
    for parameter in parameters:
        if parameter.lower() not in known:
            raise ended("NotListed", f"'{name} -{parameter}' is not listed")


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern.replace(r"\z", r"\Z"), text, re.IGNORECASE) is not None


def cim_read(context: Context, given: Arguments) -> list[Json]:
    select = given.get("select") or []
    what = f"{given['namespace']} {given['class']}"
    if context.source.listed("classes", what) is None:
        raise ended("NotListed", f"class '{what}' is not listed")
    if what not in CLASSES:
        raise errors.not_modelled(f"the class {what}")
    return [{name: row[name] for name in select if name in row} for row in CLASSES[what](context)]


def _system_services(context: Context) -> list[Json]:
    """Win32_Service of those that run as LocalSystem."""
    keys = services.all_services(context.state)
    keys = [key for key in keys if (registry.value(key, "ObjectName") or "LocalSystem").lower().endswith("system")]
    return [{"Name": key["name"], "PathName": registry.value(key, "ImagePath")} for key in keys]


def _user_accounts(context: Context) -> list[Json]:
    """Win32_UserAccount of local accounts."""
    users = context.state.users.items()
    return [{"SID": sid, "PasswordExpires": not user["never_expires"]} for sid, user in users]


def _antivirus(context: Context) -> list[Json]:
    if context.state.facts.product != "WinNT":
        raise errors.cim("Invalid namespace ", "HRESULT 0x8004100e", _GET_INSTANCE, "MetadataError", -2147217394)
    return list(context.state.security_center)


def _resultant_set(name: str) -> Callable[[Context], list[Json]]:
    def rows(context: Context) -> list[Json]:
        if not context.token.elevated:
            raise errors.cim("Access denied ", "HRESULT 0x80041003", _GET_INSTANCE, "PermissionDenied", -2147217405)
        return list(context.state.rsop.get(name, []))

    return rows


_GET_INSTANCE = "Microsoft.Management.Infrastructure.CimCmdlets.GetCimInstanceCommand"
_POLICY = ("RSOP_UserPrivilegeRight", "RSOP_RestrictedGroup", "RSOP_RegistryPolicySetting")
CLASSES: dict[str, Callable[[Context], list[Json]]] = {
    "root/cimv2 Win32_OperatingSystem": lambda context: [{"LastBootUpTime": context.state.booted}],
    "root/cimv2 Win32_Service": _system_services,
    "root/cimv2 Win32_UserAccount": _user_accounts,
    "root/SecurityCenter2 AntiVirusProduct": _antivirus,
    **{f"root/rsop/computer {name}": _resultant_set(name) for name in _POLICY},
}


def program_write(context: Context, given: Arguments) -> None:
    program, command = given["program"], given["command"]
    listed = context.source.listed("programs", program) or []
    if command.lower() not in listed:
        raise ended("NotListed", f"'{program} {command}' is not listed")
    _succeed(context, program, f"{command} {given.get('line', '')}")


def _succeed(context: Context, program: str, line: str) -> programs.Run:
    """As the agent's Invoke-System: any exit code but 0 is a failure, with what the program said."""
    run = programs.run(context.state, context.token, program, line)
    if run.exit:
        said = " ".join((run.stdout + run.stderr).decode().split())
        raise ended("ProgramFailed", f"{program} {line.split(' ')[0]} ended with {run.exit} {said}".strip())
    return run


def export_read(context: Context, given: Arguments) -> str:
    export = EXPORTS.get(given["what"])
    if export is None:
        raise ended("NotListed", f"no exporter '{given['what']}'")
    return base64.b64encode(export(context)).decode()


def _audited(context: Context) -> bytes:
    exit, said = auditing.export(context.state, context.token)
    if exit:
        raise ended("ProgramFailed", f"auditpol.exe /backup ended with {exit}: {' '.join(said.decode().split())}")
    return said


def _exported(context: Context) -> bytes:
    if not context.token.elevated:
        raise ended("ProgramFailed", "secedit.exe /export ended with 740 The requested operation requires elevation.")
    return inf.export(context.state)


EXPORTS: dict[str, Callable[[Context], bytes]] = {"user rights": _exported, "audit policy": _audited}


def rights_write(context: Context, given: Arguments) -> None:
    now = inf.rights(_exported(context))
    for right, holders in given["expect"].items():
        if not re.fullmatch(r"Se[A-Za-z]+", right):
            raise ended("BadName", f"'{right}' is no right")
        found = ",".join(now.get(right.lower(), [])).replace(" ", "")
        if found.lower() != holders.lower():
            raise ended("Stale", f"stale: {right} = {found}")
    try:
        inf.configure(context.state, given["template"])
    except ValueError as error:
        raise ended("ProgramFailed", f"secedit.exe /configure ended with 1 {error}") from None


def service_sddl_write(context: Context, given: Arguments) -> None:
    name = given["name"]
    if not _matches(str(context.source.texts.get("serviceName", "")), name):
        raise ended("BadName", f"'{name}' is no name of a service")
    if not re.fullmatch(r'[^\x00-\x20"]+', given["sddl"]):
        raise ended("BadName", "a descriptor with blanks or quotes is not written")
    now = _succeed(context, "sc.exe", f'sdshow "{name}"').stdout.decode().strip()
    if not _same_list(now, given["expect"]):
        raise ended("Stale", f"stale: {now}")
    _succeed(context, "sc.exe", f'sdset "{name}" "{given["sddl"]}"')


def _same_list(one: str, other: str) -> bool:
    """The discretionary lists by meaning, as RawSecurityDescriptor would print both."""
    try:
        return sddl.parse(one).dacl == sddl.parse(other).dacl
    except (ValueError, KeyError):
        text = "The SDDL form of a security descriptor object is invalid."
        raise errors.dotnet(text, "System.ArgumentException", -2147024809) from None


# ---------------------------------------------------------------- registry


def registry_read(context: Context, given: Arguments) -> Json | None:
    hive, path = given.get("hive", "LocalMachine"), given.get("path", "")
    registry.check_readable(path, hive)
    key = registry.find(context.state, path, hive, given.get("view", "Registry64"))
    return None if key is None else registry.answer(key, given.get("values"), int(given.get("depth") or 0))


def registry_write(context: Context, given: Arguments) -> None:
    if given["kind"] not in ("DWord", "QWord", "MultiString", "Binary", "String", "ExpandString"):
        raise ended("NotListed", f"registry kind '{given['kind']}' is not listed")
    kind, data = registry.checked_data(given["kind"], given["data"])
    hive, path = given.get("hive", "LocalMachine"), given.get("path", "")
    _check_registry_write(context, path, hive)
    key = registry.create(context.state, path, hive, given.get("view", "Registry64"))
    registry.set_value(key, given["name"], kind, data)


def registry_remove(context: Context, given: Arguments) -> None:
    hive, path = given.get("hive", "LocalMachine"), given.get("path", "")
    key = registry.find(context.state, path, hive, given.get("view", "Registry64"))
    if key is not None:
        _check_registry_write(context, path, hive)
        registry.remove_value(key, given["name"])


def _check_registry_write(context: Context, path: str, hive: str) -> None:
    registry.check_readable(path, hive)
    if not context.token.elevated and hive.lower() != "currentuser":
        raise registry_denied()


# ---------------------------------------------------------------- files


def _local(path: str) -> str:
    if not re.match(r"[A-Za-z]:\\", path):
        raise ended("NotLocal", f"'{path}' is not a local path")
    return path


def _existing(context: Context, path: str) -> Json:
    entry = files.find(context.state, _local(path))
    if entry is None:
        raise errors.file_not_found(path)
    return entry


def file_stat(context: Context, given: Arguments) -> Json | None:
    entry = files.find(context.state, _local(given["path"]))
    if entry is None:
        return None
    files.check(context.state, context.token, entry, 0x80)
    piece = files.find(context.state, entry["path"] + PIECE)
    answer = {"directory": entry["directory"], "modified": entry["modified"], "piece": None}
    answer["piece"] = None if piece is None else files.size(piece)
    if entry["directory"]:
        files.check(context.state, context.token, entry, files.READ)
        return answer | {"empty": not files.children(context.state, entry["path"])}
    answer |= {"size": files.size(entry), "version": entry["version"]}
    return answer | ({"sha256": hashlib.sha256(files.data(entry)).hexdigest()} if given.get("hash") else {})


def file_read(context: Context, given: Arguments) -> Json:
    entry = _existing(context, given["path"])
    if entry["directory"]:
        raise access_denied(entry["path"])
    files.check(context.state, context.token, entry, files.READ)
    data = files.data(entry)
    offset = int(given.get("offset") or 0)
    offset = max(0, len(data) + offset) if offset < 0 else offset
    piece = data[offset : offset + int(given["length"])]
    return {"bytes": base64.b64encode(piece).decode(), "end": offset + len(piece) >= len(data)}


def file_append(context: Context, given: Arguments) -> None:
    path, offset = _local(given["path"]) + PIECE, int(given["offset"])
    entry = files.find(context.state, path)
    if entry is None:
        files.check_can_add(context.state, context.token, path, files.WRITE)
    else:
        files.check(context.state, context.token, entry, files.WRITE)
    size = 0 if entry is None else files.size(entry)
    if offset > size:
        raise ended("Stale", f"stale: piece at {offset} after {size}")
    files.write_at(context.state, path, _owner(context), offset, _piece(given["bytes"]))


def _piece(sent: Any) -> bytes:
    """Bytes; or, with a secret in it, a secret that is their base64."""
    return sent if isinstance(sent, bytes) else base64.b64decode(sent)


def file_commit(context: Context, given: Arguments) -> None:
    state, path = context.state, _local(given["path"])
    piece = files.find(state, path + PIECE)
    if piece is None:
        text = f"Cannot find path '{path + PIECE}' because it does not exist."
        type = "System.Management.Automation.ItemNotFoundException"
        raise errors.item(text, type, "PathNotFound", "Resolve-Path", "ObjectNotFound")
    data = files.data(piece)
    actual = hashlib.sha256(data).hexdigest()
    if actual != given["sha256"].lower():
        del state.files[files.canonical(path + PIECE).lower()]
        raise ended("BadHash", f"the file arrived with hash {actual}")
    old = files.find(state, path)
    if old is not None and (old["directory"] or not files.may_delete(state, context.token, old)):
        raise access_denied(path)
    files.put_file(state, path, piece["owner"], data)
    del state.files[files.canonical(path + PIECE).lower()]


def file_discard(context: Context, given: Arguments) -> None:
    path = _local(given["path"]) + PIECE
    files.check_can_add(context.state, context.token, path, 0)
    entry = files.find(context.state, path)
    if entry is not None:
        if not files.may_delete(context.state, context.token, entry):
            raise access_denied(path)
        del context.state.files[files.canonical(path).lower()]


def _owner(context: Context) -> str:
    """An elevated administrator's new objects belong to Administrators."""
    return accounts.ADMINISTRATORS if context.token.elevated else context.token.user


def sddl_read(context: Context, given: Arguments) -> str | None:
    entry = files.find(context.state, _local(given["path"]))
    if entry is None:
        return None
    files.check(context.state, context.token, entry, files.READ_CONTROL)
    return files.text(context.state, entry)


def sddl_write(context: Context, given: Arguments) -> None:
    state = context.state
    entry = files.find(state, _local(given["path"]))
    if entry is None:
        raise ended("Stale", "stale: nothing is there")
    now = files.text(state, entry)
    if now != given["expect"]:
        raise ended("Stale", f"stale: {now}")
    try:
        wanted = sddl.parse(given["sddl"], state.facts.machine_sid)
    except (ValueError, KeyError):
        text = "The SDDL form of a security descriptor object is invalid."
        raise errors.dotnet(text, "System.ArgumentException", -2147024809) from None
    files.check(state, context.token, entry, files.WRITE_DAC)
    if given.get("owner") and wanted.owner:
        files.check(state, context.token, entry, files.WRITE_OWNER)
        entry["owner"] = wanted.owner
    if wanted.dacl is not None:
        files.write_access(state, entry, wanted.dacl)


READS: dict[str, Callable[[Context, Arguments], Any]] = {
    "host.read": host_read,
    "registry.read": registry_read,
    "cmdlet.read": cmdlet_read,
    "cim.read": cim_read,
    "file.stat": file_stat,
    "file.read": file_read,
    "sddl.read": sddl_read,
    "sid.resolve": sid_resolve,
    "name.resolve": name_resolve,
    "export.read": export_read,
    "group.members": group_members,
    "logon.probe": logon_probe,
    "net.probe": net_probe,
    "job.read": jobs.job_read,
    "sql.read": sql.sql_read,
}
WRITES: dict[str, Callable[[Context, Arguments], Any]] = {
    "cmdlet.write": cmdlet_write,
    "program.write": program_write,
    "registry.write": registry_write,
    "registry.remove": registry_remove,
    "sddl.write": sddl_write,
    "service.sddl.write": service_sddl_write,
    "rights.write": rights_write,
    "file.append": file_append,
    "file.commit": file_commit,
    "file.discard": file_discard,
    "sql.write": sql.sql_write,
    "job.open": jobs.job_open,
    "job.start": jobs.job_start,
    "job.close": jobs.job_close,
    "install.run": installers.install_run,
}
VERBS = READS | WRITES

"""Calls as the PowerShell lines they amount to: what `--commands` shows and an auditor reads before anything runs.

Nothing here is ever sent or run. Secrets are hidden; a reference stays as ``<SID of .\\op>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opdeploy.calls import Call
from opdeploy.formats import security_template
from opdeploy.formats.powershell import literal
from opdeploy.model import HIDDEN, Secret

_HIVES = {"LocalMachine": "HKEY_LOCAL_MACHINE", "Users": "HKEY_USERS", "CurrentUser": "HKEY_CURRENT_USER"}


def line(call: Call) -> str:
    """One call as one line of PowerShell."""
    render = _LINES.get(call.verb)
    return render(call.args) if render else f"{call.verb} {_parameters(call.args)}".rstrip()


def value(given: Any) -> str:
    """A value as PowerShell would be given it."""
    if isinstance(given, Secret):
        return HIDDEN
    if given is None:
        return "$null"
    if isinstance(given, bool):
        return "$true" if given else "$false"
    if isinstance(given, list | tuple):
        return ", ".join(map(value, given)) or "@()"
    if isinstance(given, bytes):
        return f"<{len(given)} bytes>"
    return literal(given) if isinstance(given, str) else str(given)


def _parameters(parameters: Mapping[str, Any]) -> str:
    """Switches and booleans with a colon, which binds to either."""
    return " ".join(f"-{name}{':' if isinstance(given, bool) else ' '}{value(given)}" for name, given in parameters.items())


def _cmdlet(args: Mapping[str, Any]) -> str:
    return f"{args['name']} {_parameters(args['parameters'])}".rstrip()


def _program(args: Mapping[str, Any]) -> str:
    return f"{args['program']} {args['command']} {args['line']}".rstrip()


def _key(args: Mapping[str, Any]) -> str:
    path = f"Registry::{_HIVES.get(args['hive'], args['hive'])}\\{args['path']}"
    return literal(path) + (" <32-bit view>" if args["view"] == "Registry32" else "")


def _registry_write(args: Mapping[str, Any]) -> str:
    data = f"-Name {value(args['name'])} -PropertyType {args['kind']} -Value {value(args['data'])}"
    return f"New-ItemProperty -LiteralPath {_key(args)} {data} -Force"


def _registry_remove(args: Mapping[str, Any]) -> str:
    return f"Remove-ItemProperty -LiteralPath {_key(args)} -Name {value(args['name'])}"


def _sddl_write(args: Mapping[str, Any]) -> str:
    part = "owner and access list" if args["owner"] else "access list"
    return f"Set-Acl -LiteralPath {value(args['path'])} <{part} {args['sddl']}>"


def _service_sddl_write(args: Mapping[str, Any]) -> str:
    return f"sc.exe sdset {value(args['name'])} {value(args['sddl'])}"


def _rights_write(args: Mapping[str, Any]) -> str:
    rights = security_template.privilege_rights(security_template.parse(args["template"]))
    said = "; ".join(f"{right} = {', '.join(holders)}" for right, holders in rights.items())
    return f"secedit.exe /configure /areas USER_RIGHTS <{said}>"


def _file_append(args: Mapping[str, Any]) -> str:
    """A piece beside its place, as the agent writes it: it cuts what is there at the offset first."""
    piece = value(args["path"] + ".opdeploy")
    return f"Add-Content -LiteralPath {piece} -Encoding Byte -Value {value(args['bytes'])} <at byte {args['offset']}>"


def _file_commit(args: Mapping[str, Any]) -> str:
    return f"Move-Item -LiteralPath {value(args['path'] + '.opdeploy')} -Destination {value(args['path'])} -Force"


def _file_discard(args: Mapping[str, Any]) -> str:
    return f"Remove-Item -LiteralPath {value(args['path'] + '.opdeploy')}"


def _file_push(args: Mapping[str, Any]) -> str:
    said = f"<{args['size']} bytes, SHA-256 {args['sha256']}>"
    return f"Copy-Item -LiteralPath {value(args['source'])} -Destination {value(args['path'])} -ToSession <the host> {said}"


def _job(args: Mapping[str, Any]) -> str:
    return f'"$env:ProgramData\\opdeploy-{args["id"]}"'


def _job_open(args: Mapping[str, Any]) -> str:
    return f"New-Item -ItemType Directory -Path {_job(args)} <closed to all but SYSTEM and Administrators>"


def _job_start(args: Mapping[str, Any]) -> str:
    """What it carries out, in a process that outlives the session."""
    who = "SYSTEM" if args["elevated"] else "the session's user"
    return f"Start-Process <as {who}, its record in {_job(args)}> {{ {'; '.join(map(line, args['order']))} }}"


def _job_close(args: Mapping[str, Any]) -> str:
    return f"Remove-Item -LiteralPath {_job(args)} -Recurse"


def _install_run(args: Mapping[str, Any]) -> str:
    """The line of one with secrets is a secret whose source is the line without them."""
    given = args["line"].source if isinstance(args["line"], Secret) else args["line"]
    checks = {
        "fetched from": value(args["url"]) if args["url"] else "",
        "SHA-256": args["sha256"],
        "signed by": f"{args['subject']}, issued by {args['issuer']}" if args["subject"] else "",
        "at most": f"{args['seconds']} s",
    }
    said = "; ".join(f"{name} {text}" for name, text in checks.items() if text)
    return " ".join(filter(None, ("&", value(args["program"]), given, f"<{said}>")))


def _sql_write(args: Mapping[str, Any]) -> str:
    """The statement by its name; what it makes of these values stands in the agent's table."""
    where = f"SQL Server {args['server']}, database {args['database']}"
    return f"<{where}: {args['statement']}> {_parameters(args['values'])}"


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "cmdlet.read": _cmdlet,
    "cmdlet.write": _cmdlet,
    "program.write": _program,
    "registry.write": _registry_write,
    "registry.remove": _registry_remove,
    "sddl.write": _sddl_write,
    "service.sddl.write": _service_sddl_write,
    "rights.write": _rights_write,
    "sql.write": _sql_write,
    "file.append": _file_append,
    "file.commit": _file_commit,
    "file.discard": _file_discard,
    "file.push": _file_push,
    "job.open": _job_open,
    "job.start": _job_start,
    "job.close": _job_close,
    "install.run": _install_run,
}

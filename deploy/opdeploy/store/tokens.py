"""What in a host's answers can carry a token, and how a snapshot does without it. Pure.

Command lines, a task's arguments, a service's environment, an uninstall string may hold a password or a licence. In a
snapshot each stands as a digest under the store's key. To plan from it, each digest is held against every text of the
desired state: where they are equal the desired text takes its place, so the one diff finds no difference; where none is,
`ANOTHER` does, and the diff finds one. Where there is nothing to hold against (another store's key, an answer that came
without one), `LEFT_OUT` stands there, and `honest` turns what differs by it into *unknown*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape, unescape

from opdeploy.calls import NOT_IN_SNAPSHOT, Failure, file_read
from opdeploy.model import Change, Property, Secret
from opdeploy.rendering import parts
from opdeploy.resources.audit_policy import APPLIED
from opdeploy.resources.base import Resource
from opdeploy.resources.environment_variable import OF_WINDOWS as SET_BY_WINDOWS
from opdeploy.resources.environment_variable import STAYS, EnvironmentVariable
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.store import keys

LEFT_OUT = "(left out of the snapshot)"
ANOTHER = "(kept as a digest, not the desired one)"
DIGEST = "digest:"

Hide = Callable[[str, str], str]  # a text and its fold's name -> what stands in its place

# Registry values by name, and keys of which every value is a command line or may be a password.
VALUES = {
    "imagepath", "failurecommand", "environment", "uninstallstring", "quietuninstallstring", "modifypath", "installsource",
    "appparameters", "appenvironment", "appenvironmentextra", "defaultpassword",
}  # fmt: skip
KEYS = re.compile(r"\\(Run|RunOnce|RunServices|Session Manager\\Environment)\Z", re.IGNORECASE)
# The machine's environment: its lists part by part, and what Windows has in it for everybody to read is kept.
ENVIRONMENT = re.compile(r"\\Session Manager\\Environment\Z", re.IGNORECASE)
OF_WINDOWS = SET_BY_WINDOWS | STAYS
IN_TASKS = re.compile(r"(<(Arguments|Data)(?:\s[^>]*)?>)(.*?)(</\2>)", re.DOTALL)
PROGRAM = re.compile(r'\s*("[^"]*"|\S*)')
# Of a resource: the properties in which such a text stands. Of a value or a variable it hangs on its name.
PROPERTIES = {"service": {"command_line", "recovery"}, "scheduled_task": {"actions", "other"}}
NEVER_KEPT = ("record.", "logon.", "file.read")  # verbs: the store's own answers, a proof of a password, whole files
# Files that hold no more than a policy, and that every user of the host may read: the audit policy that is applied, and what a
# PowerShell endpoint lets people do.
KEPT = file_read(APPLIED).key
ENDPOINT = re.compile(r"\A[A-Z]:\\Program Files\\WindowsPowerShell\\Modules\\[^:]*\.(psd1|psrc|pssc)\Z", re.IGNORECASE)


def properties(resource: Resource) -> frozenset[str]:
    """The names of a resource's properties that can carry a token which no `Secret` stands for."""
    if isinstance(resource, RegistryValue):
        carries = resource.name.lower() in VALUES or KEYS.search(f"\\{resource.path}")
        return frozenset({"data"} if carries else ())
    if isinstance(resource, EnvironmentVariable):
        return frozenset(() if resource.name.lower() in OF_WINDOWS else {"value", "entries"})
    return frozenset(PROPERTIES.get(resource.KIND, ()))


def kept(read_key: str) -> bool:
    """Whether a read belongs into a snapshot at all."""
    verb, args = json.loads(read_key)
    open_to_all = read_key == KEPT or (verb == "file.read" and bool(ENDPOINT.match(args["path"])))
    return open_to_all or not verb.startswith(NEVER_KEPT)


# ---------------------------------------------------------------- digests


def _command(text: str) -> str:
    """A command line as services are compared: its program ignores case, what follows does not."""
    end = PROGRAM.match(text).end()  # type: ignore[union-attr]  # it matches anything
    return f"{text[:end].strip().lower()} {text[end:].strip()}"


FOLDS: dict[str, Callable[[str], str]] = {"exact": str, "command": _command}
FOLDED = {"imagepath": "command"}  # registry values that are not compared letter by letter


def _digest(key: bytes, text: str, fold: str) -> str:
    return DIGEST + keys.digest(key, f"{fold}:{FOLDS[fold](text)}")


def redacted(read_key: str, answer: Any, key: bytes) -> Any:
    """An answer with a digest in the place of whatever can carry a token."""
    return _replaced(read_key, answer, lambda text, fold: _digest(key, text, fold))


def restored(read_key: str, answer: Any, key: bytes, desired: Iterable[str]) -> Any:
    """An answer of `redacted`, with those of the `desired` texts in their places that digest to the same."""
    pieces = {piece for text in desired for piece in (text, *text.split(";"))}
    known = {_digest(key, text, fold): text for text in pieces for fold in FOLDS}
    return _replaced(read_key, answer, lambda digest, fold: known.get(digest, ANOTHER))


def left_out(read_key: str, answer: Any) -> Any:
    """An answer with nothing in those places."""
    return _replaced(read_key, answer, lambda text, fold: LEFT_OUT)


def _replaced(read_key: str, answer: Any, hide: Hide) -> Any:
    """One that is not in the agent's form is not let through, since nobody knows what is in it."""
    try:
        return _mapped(read_key, answer, hide)
    except (ValueError, TypeError, AttributeError):
        return Failure("the answer to this read is not in the agent's form", id=NOT_IN_SNAPSHOT)


def _mapped(read_key: str, answer: Any, hide: Hide) -> Any:
    verb, args = json.loads(read_key)
    if verb == "registry.read" and isinstance(answer, dict) and ENVIRONMENT.search(args.get("path", "")):
        return {**answer, "values": {name: _variable(name, pair, hide) for name, pair in answer["values"].items()}}
    if verb == "registry.read" and isinstance(answer, dict):
        return _registry_key(answer, hide, bool(KEYS.search(args.get("path", ""))))
    if verb == "cmdlet.read" and args.get("name") == "Export-ScheduledTask" and isinstance(answer, list):
        return [_task(row, hide) if isinstance(row, str) else row for row in answer]
    return answer


def _registry_key(found: dict[str, Any], hide: Hide, all_of_it: bool) -> dict[str, Any]:
    def value(name: str, kind: str, data: Any) -> list[Any]:
        hidden = all_of_it or name.lower() in VALUES
        return [kind, _data(data, hide, FOLDED.get(name.lower(), "exact")) if hidden else data]

    values = {name: value(name, *pair) for name, pair in found.get("values", {}).items()}
    subkeys = {name: _registry_key(key, hide, False) if key else key for name, key in (found.get("subkeys") or {}).items()}
    return {**found, "values": values, **({"subkeys": subkeys} if "subkeys" in found else {})}


def _variable(name: str, pair: list[Any], hide: Hide) -> list[Any]:
    kind, data = pair
    return [kind, data if name.lower() in OF_WINDOWS else ";".join(_data(data.split(";"), hide, "exact"))]


def _data(data: Any, hide: Hide, fold: str) -> Any:
    if isinstance(data, str):
        return hide(data, fold) if data else data
    return [_data(item, hide, fold) for item in data] if isinstance(data, list) else data


def _task(xml: str, hide: Hide) -> str:
    return IN_TASKS.sub(lambda found: found[1] + escape(_data(_unescaped(found[3]), hide, "exact")) + found[4], xml)


def _unescaped(text: str) -> str:
    return unescape(text, {"&quot;": '"', "&apos;": "'"})


# ---------------------------------------------------------------- the desired state's texts


def texts(value: Any) -> Iterator[str]:
    """Every text in a desired state, and the arguments in those that are a task's XML. No secret is one."""
    if isinstance(value, str):
        yield value
        yield from (_unescaped(found[3]) for found in IN_TASKS.finditer(value))
    for item in parts(value):
        yield from texts(item)


def honest(change: Change[Any]) -> Change[Any]:
    """A change as a plan from a snapshot may tell it: what differs by something left out is *unknown*, not different."""
    missing = [name for name, item in change.properties.items() if _unheld(item)]
    if not missing:
        return change
    reason = f"{', '.join(missing)}: not in the snapshot, which leaves out what may hold a password"
    return replace(change, verdict="unknown", action="none", reason=reason)


def _unheld(item: Property) -> bool:
    """Left out, or a digest where a secret is wanted, which no digest is held against."""
    if isinstance(item.before, Secret) and isinstance(item.after, Secret):
        return any(word in item.before.reveal() for word in (LEFT_OUT, ANOTHER))
    return any(LEFT_OUT in text for text in texts(item.before))

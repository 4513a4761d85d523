"""A plan as a file, ``opdeploy.plan/2``: what somebody reads, signs, and hands to ``apply FILE``. Pure.

It is the report of the plan with what apply compares besides: the secrets' fingerprints, the roles that were asked for. It
holds changes with their before-values, never a write, a command or a secret: apply makes the plan anew with the same code
and compares. The file is canonical JSON to the byte. Its digest (SHA-256, of the file without `approvals` and `digest`) finds
what was altered by accident; what was altered on purpose is found by the signatures over it, and by the comparison, since
nothing in the file is ever run. docs/schemas/plan.schema.json is this model's schema.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Never

from pydantic import Field, ValidationError

from opdeploy import __version__
from opdeploy.approvals import SignedApproval
from opdeploy.model import Change, UsageError
from opdeploy.rendering import canonical, plain, printable, secrets, show
from opdeploy.reports import document
from opdeploy.reports.document import Report, ReportedHost, ReportedResource, Texts
from opdeploy.results import HostResult, Item, Run, may_reboot
from opdeploy.store import keys

SCHEMA: Literal["opdeploy.plan/2"] = "opdeploy.plan/2"
AGAIN = "make the plan again: opdeploy plan --out FILE"
LARGEST = 100_000_000  # bytes; a plan of a hundred hosts has some millions
OUTSIDE = ("approvals", "digest")  # what the digest is not of
# What only a run has to say.
NOT_PLANNED: Any = {
    "plan": True,
    "waivers": True,
    "hosts": {
        "__all__": {
            "session": True,
            "resources": {"__all__": {"outcome", "error", "reboot", "commands", "diff", "last_applied", "drift"}},
        }
    },
}


# ---------------------------------------------------------------- the document


class PlannedHost(ReportedHost):
    machine: str = Field(description="Which computer it is: its name and its SID, as it says them; empty: it said nothing.")
    secrets: dict[str, str] = Field(description="Where each comes from: its keyed fingerprint.")


class PlanDocument(Report):
    schema_: Literal["opdeploy.plan/2"] = Field(SCHEMA, alias="schema")  # type: ignore[assignment]
    roles: Texts = Field(description="That the plan was limited to; empty: all.")
    asked: dict[str, int] = Field({}, description="How many approvals the inventory asks for, by host.")
    key: str = Field(description="Which key the fingerprints were made with.")
    hosts: Sequence[PlannedHost]
    approvals: Sequence[SignedApproval] = []  # type: ignore[assignment]
    digest: str = ""

    @property
    def text(self) -> str:
        """The file's content."""
        return canonical(self.model_dump(mode="json", by_alias=True, exclude=NOT_PLANNED)) + "\n"


def plan_document(run: Run, key: bytes, roles: Sequence[str] = (), asked: Mapping[str, int] = {}) -> PlanDocument:
    """The plan of a run. `key` is the run store's; `roles` what ``--role`` limited it to, so that apply does the same; `asked`
    the approvals that the inventory asks for, by host.
    """
    told = document.report(run)
    hosts = [_host(host, one, key) for host, one in zip(told.hosts, run.hosts, strict=True)]
    given = {name: getattr(told, name) for name in Report.model_fields if name not in ("schema_", "hosts")}
    asked = {host.name: asked[host.name] for host in hosts if host.name in asked}
    planned = PlanDocument(**given, roles=tuple(roles), asked=asked, key=keys.name(key), hosts=hosts)
    return planned.model_copy(update={"digest": digest(json.loads(planned.text))})


def _host(told: ReportedHost, result: HostResult, key: bytes) -> PlannedHost:
    resources = [resource for resource in told.resources if resource.is_told]
    given = {name: getattr(told, name) for name in ReportedHost.model_fields if name not in ("session", "resources")}
    return PlannedHost(**given, machine=_machine(result), resources=resources, secrets=fingerprints(result, key))


def _machine(result: HostResult) -> str:
    return f"{result.machine.name} ({result.machine.machine_sid})" if result.machine else ""


def fingerprints(host: HostResult, key: bytes) -> dict[str, str]:
    """Every secret that a host's desired state holds: where it comes from, and its keyed fingerprint."""
    found = [secret for item in host.items for secret in secrets(item.change.resource)]
    return dict(sorted((secret.source, secret.fingerprint(key)) for secret in found))


def digest(document: Mapping[str, Any]) -> str:
    """``sha256:`` and the digest of canonical JSON without `OUTSIDE`."""
    rest = {name: value for name, value in document.items() if name not in OUTSIDE}
    return "sha256:" + hashlib.sha256(canonical(rest).encode()).hexdigest()


# ---------------------------------------------------------------- reading one


def read_plan(text: bytes) -> PlanDocument:
    """A plan file's content. Raises UsageError for one that is altered, cut off or none of ours."""
    given, its_digest = _json(text)
    if given.get("schema") != SCHEMA:
        raise UsageError(f"this is no plan of opdeploy: it does not say 'schema': '{SCHEMA}'", AGAIN)
    if not _same(str(given.get("digest")), its_digest):
        raise UsageError("the plan file was altered: its content and its digest do not belong together", AGAIN)
    try:
        document = PlanDocument.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = printable(".".join(map(str, first["loc"])))
        raise UsageError(f"the plan file is not in the form of {SCHEMA}: {where}: {first['msg'].lower()}", AGAIN) from error
    if _written(document) != text:
        raise UsageError("the plan file was altered: it is not the very text that opdeploy writes", AGAIN)
    if twice := _twice(document):
        raise UsageError(f"{printable(twice)} stands twice in the plan file: it was altered", AGAIN)
    return document


def _written(document: PlanDocument) -> bytes:
    """What opdeploy would write; nothing for what it can't: values nested too deep, names with half a character."""
    try:
        return document.text.encode()
    except ValueError:
        return b""


def _twice(document: PlanDocument) -> str:
    """What a person would read once and apply compare with the other."""
    changes = [(host.name, *_identity(one)) for host in document.hosts for one in host.resources]
    properties = [
        (host.name, *_identity(one), told.name) for host in document.hosts for one in host.resources for told in one.properties
    ]
    named = [*((host.name,) for host in document.hosts), *changes, *properties]
    return next((" ".join(name) for name, count in Counter(named).items() if count > 1), "")


def _json(text: bytes) -> tuple[dict[str, Any], str]:
    """The object in a file and its digest."""
    if len(text) > LARGEST:
        raise UsageError("the plan file is larger than any plan", AGAIN)
    try:
        given = json.loads(text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
        given = given if isinstance(given, dict) else {}
        return given, digest(given)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the plan file can't be read as JSON: it was altered or cut off ({_why(error)})", AGAIN) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What a person reads must be what is compared: of two values for one name, JSON's readers take either."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def _no_number(word: str) -> Never:
    raise ValueError(f"{word} is no number")


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no UTF-8"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


# ---------------------------------------------------------------- what apply needs to know


def check_sources(document: PlanDocument, sources: str, key: bytes) -> None:
    """Raises UsageError where this plan is of another inventory, other roles, another tool or another store."""
    if document.tool != __version__:
        raise UsageError(f"this plan was made by opdeploy {printable(document.tool)}, and this is {__version__}", AGAIN)
    if document.sources != sources:
        raise UsageError("the inventory, the roles or the tool changed since this plan was made", AGAIN)
    if document.key != keys.name(key) and any(host.secrets for host in document.hosts):
        hint = "apply it on the machine and with the --store that it was made with, or " + AGAIN
        raise UsageError("this plan was made with another run store's key, so its secrets can't be compared", hint)


def host_differences(document: PlanDocument, host: HostResult, key: bytes) -> tuple[str, ...]:
    """One host, for an apply in which each goes at its own pace."""
    if host.error:
        return ()  # a host that can't be reached is not stale; it is left untouched all the same
    planned = next((one for one in document.hosts if one.name == host.name), None)
    if planned is None:
        return ("the plan holds nothing of this host",) if any(_counts(item.change) for item in host.resources) else ()
    return (*_machine_difference(planned, host), *_secret_differences(planned, host, key), *_change_differences(planned, host))


def _machine_difference(planned: PlannedHost, host: HostResult) -> Iterator[str]:
    """A name that leads to another computer by now: a clone has the same before-values."""
    if planned.machine and planned.machine != _machine(host):
        yield f"the computer: the plan saw {printable(planned.machine)}, now {printable(_machine(host))}"


def _secret_differences(planned: PlannedHost, host: HostResult, key: bytes) -> Iterator[str]:
    now = fingerprints(host, key)
    for source in sorted(planned.secrets.keys() | now.keys()):
        if not _same(planned.secrets.get(source, ""), now.get(source, "")):
            yield f"secret {source}: not the one that the plan was made with"


def _change_differences(planned: PlannedHost, host: HostResult) -> Iterator[str]:
    then = {_identity(one): one for one in planned.resources if _counts(one)}
    now = {_identity(item.change.resource): item for item in host.resources}
    for identity, one in then.items():
        item = now.get(identity)
        name = f"{one.kind} {one.key}"
        yield from _compared(name, one, item) if item else [f"{name}: the plan changes it, now it is not in the inventory"]
    for identity, item in now.items():
        if identity not in then and _counts(item.change):
            yield from _unplanned(item.change)


def _unplanned(change: Change[Any]) -> list[str]:
    """A difference that the plan did not see: by property where the thing itself was there."""
    label = change.resource.label
    moved = [
        f"{label} {name}: the plan saw no difference, now {show(plain(values.before))}"
        for name, values in (change.properties.items() if change.action == "update" else ())
    ]
    return moved or [f"{label}: differs now, and the plan holds no change of it"]


def _identity(one: Any) -> tuple[str, str]:
    return getattr(one, "KIND", None) or one.kind, one.key.lower()


def _counts(one: ReportedResource | Change[Any]) -> bool:
    """Whether there is a change to compare: an *unknown* that nothing would be done about is none."""
    return one.verdict == "would_change" or one.action != "none"


def _compared(name: str, planned: ReportedResource, item: Item) -> Iterator[str]:
    now = item.change
    lines = list(_property_differences(name, planned, now))
    yield from lines
    if not lines and (planned.verdict, planned.action) != (now.verdict, now.action):
        yield f"{name}: the plan said {_said(planned)}, now {_said(now)}"
    elif not lines and now.known_after_apply != planned.known_after_apply:
        yield f"{name}: what is known only after apply is no longer the same"
    elif not lines:
        yield from _untold(name, planned, now)


def _untold(name: str, planned: ReportedResource, now: Change[Any]) -> Iterator[str]:
    """What was signed must say what is run, and that Windows may be started anew for it: a plan file can be made by hand."""
    if now.action != "none" and (unseen := now.resource.unseen(now)) not in planned.reason:
        yield f"{name}: the plan does not say {unseen}"
    if may_reboot(now) and not planned.may_reboot:
        yield f"{name}: the plan does not say that it may need a reboot"


def _property_differences(name: str, planned: ReportedResource, now: Change[Any]) -> Iterator[str]:
    old, fresh = ({one.name: one for one in told.properties} for told in (planned, document.change(now)))
    for title in [*old, *(title for title in fresh if title not in old)]:
        then, new = old.get(title), fresh.get(title)
        before = new.before if new else _in_sync(now, title)
        if then is None:
            yield f"{name} {title}: the plan saw no difference, now {show(before)}"
        elif not _equal(then.before, before):
            yield f"{name} {title}: plan saw {show(then.before)}, now {show(before)}"
        elif new is None:
            yield f"{name} {title}: the plan makes it {show(then.after)}, now it would stay as it is"
        elif not _equal(then.after, new.after):
            yield f"{name} {title}: the plan makes it {show(then.after)}, now it would be {show(new.after)}"


def _in_sync(now: Change[Any], title: str) -> Any:
    """What a property is that no longer differs."""
    return plain(getattr(now.actual, title, None))


def _equal(one: Any, other: Any) -> bool:
    """By value and type: 1, true and 1.0 are three things."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _said(one: Any) -> str:
    return f"{one.verdict.replace('_', ' ')}, {one.action}"

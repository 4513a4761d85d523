"""A run as one document, ``opdeploy.report/2``: what every format is made from, and what ``--format json`` prints. Pure.

Values stand there plain where they are plain; what has a form of its own (an account, a length of time, a recovery plan)
as the text that a person reads. A secret is ``(secret)``. docs/schemas/report.schema.json is this model's schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from opdeploy import __version__
from opdeploy.model import SERVERS, SETTLED, Action, Change, Machine, Outcome, Property, Verdict
from opdeploy.reboots import Policy
from opdeploy.rendering import plain, show
from opdeploy.results import (
    Approval,
    Command,
    Drift,
    HostResult,
    Item,
    Run,
    Status,
    WaiverUse,
    may_reboot,
    open_steps,
    summary,
)
from opdeploy.store.history import PastMachine

SCHEMA: Literal["opdeploy.report/2"] = "opdeploy.report/2"
FIRST_WINDOWS_11 = 22000
OF_RUN = ("command", "run_id", "created_at", "by", "inventory", "sources", "plan", "approvals", "waivers")

Texts = Annotated[tuple[str, ...], Strict(False)]  # a list where it was read as JSON


class Part(BaseModel):
    """Read as strictly as it is written: no field more, no type for another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Windows(Part):
    product: str
    build: int
    powershell: str


class ReportedProperty(Part):
    """Null where there is nothing."""

    name: str
    before: Any = ...
    after: Any = ...


class ReportedResource(Part):
    """One resource: its change, and after an apply or in a drift check what came of it."""

    id: str
    roles: Texts
    kind: str
    key: str
    verdict: Verdict
    action: Action = Field(description="What apply would do. would_change with none: a difference that is not ours to close.")
    properties: list[ReportedProperty]
    known_after_apply: Texts
    reason: str
    may_reboot: bool
    outcome: Outcome | None = None
    error: str = ""
    reboot: str = Field("", description="Why Windows wants to be started anew for it, where an apply made it.")
    commands: Texts = Field((), description="The calls that apply would make, as PowerShell reads them; no secret.")
    diff: Texts = Field((), description="The difference of a file in words, with --diff.")
    last_applied: str = Field("", description="ISO 8601, UTC; empty: never, as far as this run store knows.")
    drift: Drift | None = None

    @property
    def differs(self) -> bool:
        return self.verdict not in SETTLED or self.outcome is not None

    @property
    def is_told(self) -> bool:
        """What differs, and what a role gave a reason for: what text shows of itself, and all that a plan file keeps."""
        return self.differs or bool(self.reason)

    def before(self, one: ReportedProperty) -> str:
        return "known after apply" if one.name in self.known_after_apply else show(one.before)


class Signed(Part):
    by: str
    at: str
    note: str


class ReportedStep(Part):
    """What a person does. `signed` is null for a step that is open."""

    id: str
    roles: Texts
    title: str
    who: str
    how: str
    why: str
    verdict: Verdict
    reason: str
    signed: Signed | None


class ReportedReboot(Part):
    pending: Texts
    wanted: dict[str, str]
    done: str = Field(description="When Windows was up again; empty: it was not started anew.")
    policy: Policy = Field(description="Whether an apply starts Windows anew by itself (opdeploy_reboot).")


class Session(Part):
    posts: int
    bytes_sent: int
    bytes_received: int
    seconds: float
    loader: str


class ReportedEvidence(Part):
    """What was sent there, by verb and cmdlet, program or class: without writes nothing was written."""

    reads: Texts
    writes: Texts
    agents: Texts = Field(description="SHA-256 of each text of the agent that ran there.")
    answers: str = Field(description="Keyed digest of the raw answers that the plan rests on.")


class ReportedHost(Part):
    name: str
    status: Status
    error: str = Field(description="Why the host as a whole was not read or applied; empty: it was.")
    details: Texts
    hint: str
    warnings: Texts
    windows: Windows | None
    reboot: ReportedReboot
    evidence: ReportedEvidence
    session: Session | None = None
    summary: dict[Verdict, int]
    resources: list[ReportedResource]
    manual_steps: list[ReportedStep]

    @property
    def open_steps(self) -> int:
        return sum(step.verdict not in SETTLED for step in self.manual_steps)


class Report(Part):
    """Keys in the order in which a person would read them."""

    schema_: Literal["opdeploy.report/2"] = Field(SCHEMA, alias="schema")
    tool: str
    command: Command
    run_id: str
    created_at: str
    by: str = Field(description="Who, from where: anna@admin-pc.")
    inventory: str
    sources: str = Field(description="Digest of all that the desired state came from: inventory, roles, files, tool.")
    plan: str = Field("", description="Digest of the plan file that was applied.")
    approvals: Sequence[Approval] = ()
    summary: dict[Verdict, int]
    manual_steps: dict[Literal["open", "signed"], int]
    waivers: Sequence[WaiverUse] = ()
    hosts: Sequence[ReportedHost]


# ---------------------------------------------------------------- making one


def report(run: Run) -> Report:
    """The whole run."""
    told = {name: getattr(run, name) for name in OF_RUN}
    return Report(**told, tool=__version__, hosts=[host(one) for one in run.hosts], **counts(run))


def counts(run: Run) -> dict[str, Any]:
    """What a run comes to."""
    items = [item for host in run.hosts for item in host.items]
    signed = sum(item.by_hand and item.change.verdict == "in_sync" for item in items)
    steps = {"open": open_steps(items), "signed": signed}
    return {"summary": summary([item.change for item in items]), "manual_steps": steps}


def host(result: HostResult) -> ReportedHost:
    return ReportedHost(
        name=result.name,
        status=result.status,
        error=result.error,
        details=result.details,
        hint=result.hint,
        warnings=result.warnings,
        windows=windows(result.machine),
        reboot=ReportedReboot(**asdict(result.reboot)),
        evidence=ReportedEvidence(**asdict(result.evidence)),
        session=Session(**asdict(result.cost) | {"seconds": round(result.cost.seconds, 3)}),
        summary=summary([item.change for item in result.items]),
        resources=[resource(item) for item in result.resources],
        manual_steps=[step(item.change) for item in result.manual_steps],
    )


def windows(machine: Machine | PastMachine | None) -> Windows | None:
    """Product, build and PowerShell; None for a host that did not say."""
    return Windows(product=product(machine), build=machine.build, powershell=machine.powershell) if machine else None


def product(machine: Machine | PastMachine) -> str:
    """Windows' name in people's words, from product type and build: the registry calls Windows 11 ten."""
    if machine.product == "WinNT":
        return "Windows 11" if machine.build >= FIRST_WINDOWS_11 else "Windows 10"
    return f"Windows Server {SERVERS.get(machine.build, '')}".rstrip()


def resource(item: Item) -> ReportedResource:
    told = {name: getattr(item, name) for name in ("outcome", "error", "reboot", "commands", "last_applied", "drift")}
    return change(item.change, diff=item.words, **told)


def change(change: Change[Any], **more: Any) -> ReportedResource:
    """One change, and what a run says of it besides."""
    return ReportedResource(
        id=change.resource.address,
        roles=change.roles,
        kind=change.resource.KIND,
        key=change.resource.key,
        verdict=change.verdict,
        action=change.action,
        properties=[_property(name, values) for name, values in change.properties.items()],
        known_after_apply=change.known_after_apply,
        reason=str(change.reason),
        may_reboot=may_reboot(change),
        **more,
    )


def _property(name: str, values: Property) -> ReportedProperty:
    return ReportedProperty(name=name, before=plain(values.before), after=plain(values.after))


def step(change: Change[Any]) -> ReportedStep:
    told = {name: getattr(change.resource, name) for name in ("id", "title", "who", "how", "why")}
    signed = Signed(**change.actual.signed.model_dump()) if change.actual else None
    return ReportedStep(**told, roles=change.roles, verdict=change.verdict, reason=str(change.reason), signed=signed)


def as_json(report: Report) -> dict[str, Any]:
    """The document as ``--format json`` prints it."""
    return report.model_dump(mode="json", by_alias=True)

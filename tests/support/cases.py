"""Case files: loading them strictly, and planning one as the engine would."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from opdeploy.calls import Failure, name_resolve, sid_resolve
from opdeploy.commands import line
from opdeploy.guard import Session
from opdeploy.model import Change, Machine, Missing, Secret
from opdeploy.planning import Managed, World, plan_one
from opdeploy.resources import KINDS
from opdeploy.resources.base import Answers, Resource, all_reads

SERVER = Machine(
    name="DB1", product="ServerNT", build=20348, edition="ServerStandard", installation="Server",
    powershell="5.1.20348.2849", language="FullLanguage", user="S-1-5-21-1-2-3-1001", user_name="DB1\\installer",
    groups=("S-1-1-0", "S-1-5-32-544", "S-1-5-32-545", "S-1-5-2", "S-1-5-11"), elevated=True, domain="", domain_sid="",
    machine_sid="S-1-5-21-1-2-3", time="2026-11-22T03:00:00.0000000Z", culture="en-US",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One case file; see tests/cases/README.md for what each field says."""

    path: Path
    why: str
    desired: dict[str, Any]
    answers: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    sids: dict[str, str | None] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    verdict: str = "would_change"
    action: str = "none"
    changes: dict[str, list[str]] = field(default_factory=dict)
    known_after_apply: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    plan: str = ""
    refused: str = ""

    @property
    def kind(self) -> str:
        return self.path.parent.name

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.path.stem}"

    def resource(self) -> Resource:
        return KINDS[self.kind].model_validate(_secrets(self.desired))


REQUIRED = {"why", "desired"}
PLANNED = {"answers", "verdict", "action", "changes", "writes", "plan"}
OPTIONAL = {"machine", "names", "sids", "made", "known_after_apply"}


def load(folder: Path) -> list[Case]:
    """Every case below `folder`. A missing or unknown field is an error, so that no case says less than it seems to."""
    return [_case(path) for path in sorted(folder.glob("*/*.yml"))]


def _case(path: Path) -> Case:
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted = REQUIRED | ({"refused"} if "refused" in given else PLANNED)
    allowed = wanted | (set() if "refused" in given else OPTIONAL)
    if missing := wanted - set(given):
        raise ValueError(f"{path}: missing {sorted(missing)}")
    if unknown := set(given) - allowed:
        raise ValueError(f"{path}: unknown {sorted(unknown)}")
    assert {"path"} | set(given) <= {f.name for f in fields(Case)}
    return Case(path, **given)


def _secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secret"}:
            return Secret(value["secret"], "env:IN_THIS_CASE")
        return {name: _secrets(item) for name, item in value.items()}
    return [_secrets(item) for item in value] if isinstance(value, list) else value


def answer(given: Any) -> Any:
    """In a case `{error: ID, …}` is a failure, `{template: TEXT}` an exported file, `{content: TEXT}` one that was read.

    The rest is what the host answered."""
    if isinstance(given, dict) and "error" in given:
        told = {name: given[name] for name in ("type", "hresult") if name in given}
        return Failure(given.get("message", "refused"), id=given["error"], **told)
    if isinstance(given, dict) and set(given) == {"template"}:
        return base64.b64encode(given["template"].encode("utf-16")).decode()
    if isinstance(given, dict) and set(given) == {"content"}:
        return {"bytes": base64.b64encode(given["content"].encode()).decode(), "end": True}
    return given


def observation(case: Case, resource: Resource) -> dict[str, Any]:
    found = {read.key: answer(case.answers[name]) for name, read in all_reads(resource).items() if name in case.answers}
    found |= {sid_resolve(name).key: {"sid": sid} for name, sid in case.names.items()}
    found |= {name_resolve(sid).key: {"name": name} for sid, name in case.sids.items()}
    return found | _then(case, resource, found)


def _then(case: Case, resource: Resource, found: dict[str, Any]) -> dict[str, Any]:
    try:
        further = resource.then_reads(Answers(resource.reads(), found, resource.ABSENT_WHEN))
    except Exception:  # what the first answers do not allow to be asked is not asked
        return {}
    return {read.key: answer(case.answers[name]) for name, read in further.items() if name in case.answers}


def world(case: Case, resource: Resource) -> World:
    machine = Machine(**{**SERVER.__dict__, **case.machine})
    return World(machine, observation(case, resource), Session(), set(case.made))


def planned(case: Case) -> tuple[Change[Any], Answers]:
    resource = case.resource()
    around = world(case, resource)
    change = plan_one(Managed(resource), around)
    return change, around.answers(change.resource)


def write_lines(change: Change[Any], answers: Answers) -> list[str]:
    """The calls as `--commands` shows them: those that hang on what the same plan makes are not known yet."""
    try:
        return [line(write) for write in change.resource.writes(change, answers)] if change.action != "none" else []
    except Missing:
        return ["<known after apply>"]

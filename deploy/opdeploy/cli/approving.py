"""What commands that change hosts, or sign for it, have to know of plan files and approvals: what may be done by which.

The policy is this machine's (`opdeploy.controller`), and binds only where the account that applies could not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from opdeploy import controller
from opdeploy.approvals import HOW, Policy, Touched, check_owner, counted, judged, required
from opdeploy.cli import out_file
from opdeploy.cli.compiled import Compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.inventory import Host, near
from opdeploy.model import Change, UsageError
from opdeploy.rendering import printable
from opdeploy.reports.plan_file import AGAIN, LARGEST, PlanDocument, host_differences, read_plan
from opdeploy.resources.desired import Desired
from opdeploy.results import Approval, HostResult, Run

# How a plan file is made, and how it is carried out.
MADE = {"apply": "opdeploy plan --out FILE", "remove": "opdeploy remove --role NAME --out FILE"}
DONE = {"apply": "opdeploy apply FILE", "remove": "opdeploy remove FILE --apply"}

Hosts = Sequence[tuple[Host, Desired]]


def check_out(path: Path) -> None:
    """Raises UsageError where a plan could not be written, or would take the place of one that somebody signed."""
    out_file.check(path)
    try:
        signed = read_plan(_content(path)).approvals
    except (OSError, UsageError):
        return
    if signed:
        raise UsageError(f"{path} is a plan that {signed[-1].by} signed: it is not overwritten", out_file.ANOTHER)


def _content(path: Path) -> bytes:
    """No more of it than `read_plan` needs to refuse it."""
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def plan_file(path: Path) -> PlanDocument:
    """Raises UsageError for one that can't be read or was altered."""
    try:
        return read_plan(_content(path))
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "make a plan first: opdeploy plan --out FILE") from error


def checked_run(command: Literal["apply", "remove"], what: Compiled, document: PlanDocument | None, hosts: Hosts) -> Run:
    """The run that a command begins, with the plan file and the approvals that it rests on.

    `hosts`: what it could change without a file. Raises UsageError where it may not.
    """
    run, rules = new_run(command, what), policy()
    _check_roles(rules, what.roles.names)
    asked = what.inventory.approvals
    if document is None:
        for need in required(rules, list(_possible(hosts)), asked):
            said = f"{command} without a plan file is refused: it needs {counted(need.approvals)} by {need.why}"
            raise UsageError(said, f"{MADE[command]}; {HOW}; {DONE[command]}")
        return run
    _check_document(command, document, what)
    needs = required(rules, list(planned(document)), asked)
    approvals = judged(rules, needs, document.digest, document.approvals, datetime.now(UTC))
    return replace(run, plan=document.digest, approvals=approvals)


def is_planned(host: Host, document: PlanDocument | None, asked: Asked) -> bool:
    """Without a limit only the plan's hosts; one that is named is refused by the review."""
    return document is None or bool(asked.limits) or any(one.name == host.name for one in document.hosts)


def review(document: PlanDocument | None, run: Run, key: bytes) -> Callable[[HostResult], Sequence[str]] | None:
    """What an apply holds each host against, just before it changes it: the plan, and for a file the policy once more, since a
    file may not say of itself which rules it falls under.
    """
    if document is None:
        return None
    rules = policy() if run.plan else None
    return lambda host: host_differences(document, host, key) or _unapproved(rules, host, run.approvals)


def _unapproved(rules: Policy | None, host: HostResult, words: Sequence[Approval]) -> tuple[str, ...]:
    needs = required(rules, [_touched(host.name, item.change) for item in host.resources], {})
    return tuple(f"it needs {counted(need.approvals)} by {need.why}" for need in needs if need.missing(words))


def _touched(host: str, change: Change[Any]) -> Touched:
    return Touched(host, change.resource.KIND, change.resource.key, tuple(change.roles), change.verdict, change.action)


def _check_document(command: str, document: PlanDocument, what: Compiled) -> None:
    """A host that nobody would be asked about must not pass for one that is done."""
    of = "remove" if document.command == "remove" else "apply"
    if of != command:
        raise UsageError(f"this plan is one of {of}", DONE[of])
    known = {host.name for host in what.inventory.hosts}
    if strangers := [host.name for host in document.hosts if host.name not in known]:
        raise UsageError(f"the plan is of {printable(', '.join(strangers))}, not in this inventory", AGAIN)


# ---------------------------------------------------------------- what falls under a policy


def planned(document: PlanDocument) -> Iterator[Touched]:
    """What a plan says of each resource."""
    for host in document.hosts:
        for one in host.resources:
            yield Touched(host.name, one.kind, one.key, one.roles, one.verdict, one.action)


def _possible(hosts: Hosts) -> Iterator[Touched]:
    """What could come up where there is no plan: every resource, and every scope that is ours whole."""
    for host, desired in hosts:
        for managed in desired.resources:
            if not managed.resource.BY_HAND:
                yield Touched(host.name, managed.resource.KIND, managed.resource.key, managed.roles)
        for scope, roles in desired.scopes:
            if scope.exact:
                yield Touched(host.name, scope.kind.KIND, scope.of, roles)


# ---------------------------------------------------------------- the policy


def policy(*, binding: bool = True) -> Policy | None:
    """This machine's policy, None where it has none. `binding`: raises UsageError for one that the account could change."""
    settings = controller.load()
    if settings.path is None or settings.policy is None:
        return None
    if binding:
        check_owner(settings.path)
        check_owner(settings.policy)
    return controller.read(settings.policy, Policy)


def _check_roles(policy: Policy | None, roles: Sequence[str]) -> None:
    """A rule for a role that is misspelt would be one for nothing."""
    for rule in policy.rules if policy else ():
        if unknown := [name for name in rule.roles if name not in roles]:
            hint = near(unknown[0], roles) or f"there are {', '.join(roles)}"
            raise UsageError(f"the approval policy has a rule for the role {unknown[0]}, and there is none", hint)

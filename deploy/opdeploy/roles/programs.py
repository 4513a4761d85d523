"""Programs of SYSTEM's that somebody else may change: refused, since whoever changes such a program is SYSTEM.

Only what an inventory says is looked at: its tasks, services with a command line, programs that a package brings for its
services, installers that lie on the host, access rules and folders. A folder between that is closed (`inherits: false`), or a
deny for the same principal, keeps a rule from above away. But whoever may delete a folder above may rename it, with all that
is closed in it, and make another in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from opdeploy.formats.command_line import programs
from opdeploy.formats.sddl import FILE_RIGHTS
from opdeploy.inventory import Node, Problem
from opdeploy.model import Principal
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Resource, paths_above
from opdeploy.resources.desired import Desired, Managed
from opdeploy.resources.directory import Directory
from opdeploy.resources.package import Package
from opdeploy.resources.scheduled_task import ScheduledTask
from opdeploy.resources.service import Service

SYSTEM, ADMINISTRATORS = "S-1-5-18", "S-1-5-32-544"
CHANGES = FILE_RIGHTS["Write"] & ~FILE_RIGHTS["WriteExtendedAttributes"] & ~FILE_RIGHTS["WriteAttributes"]
CHANGES |= FILE_RIGHTS["Delete"] | FILE_RIGHTS["DeleteSubdirectoriesAndFiles"]
CHANGES |= FILE_RIGHTS["ChangePermissions"] | FILE_RIGHTS["TakeOwnership"]
_OF_WINDOWS = re.compile(r"S-1-5-(18|19|20|32-544|80-.*)|S-1-3-[01]")  # SYSTEM, services' own accounts, Administrators, owners


def in_others_hands(desired: Desired, settings: Mapping[str, Node]) -> Iterator[Problem]:
    """A problem for each rule by which somebody may change a program that the same inventory runs as SYSTEM."""
    resources = [managed.resource for managed in desired.resources if not managed.resource.absent]
    for managed in desired.resources:
        rule = managed.resource
        if isinstance(rule, AccessRule) and _lets_change(rule):
            for program, runs in _programs(resources):
                if _reaches(rule, program, resources):
                    yield _problem(managed, rule, runs, settings)


def _lets_change(rule: AccessRule) -> bool:
    allows = rule.type == "allow" and not rule.absent and rule.rights is not None
    return allows and bool(rule.rights and rule.rights.mask & CHANGES) and not _OF_WINDOWS.fullmatch(rule.principal.sid)


def _programs(resources: list[Resource]) -> Iterator[tuple[str, str]]:
    """Each program, and in words what runs it and as whom."""
    for one in resources:
        if isinstance(one, ScheduledTask) and one.principal and one.principal.sid in (SYSTEM, ADMINISTRATORS):
            lines = list(map(str, one.actions or ()))
        elif isinstance(one, Service) and one.command_line and _is_system(one.account):
            lines = [one.command_line]
        elif isinstance(one, Package):
            if one.source and one.source.path:  # its hash tells nothing of a DLL beside it
                yield one.source.path, f"{one.label} runs {one.source.path} as an administrator"
            lines = list(one.provides_paths) if _serves_system(one, resources) else []
        else:
            continue
        found = [program for line in lines for program in programs(line)]
        yield from ((program, f"{one.label} runs {program} as SYSTEM") for program in found)


def _serves_system(package: Package, resources: list[Resource]) -> bool:
    services = [one for one in resources if isinstance(one, Service) and one.name in package.provides_services]
    return any(_is_system(service.account) for service in services)


def _is_system(account: Principal | None) -> bool:
    """Windows makes a service as LocalSystem where nothing is said."""
    return account is None or account.sid == SYSTEM


def _reaches(rule: AccessRule, program: str, resources: list[Resource]) -> bool:
    """Whether the rule counts for the program, for the folder that it lies in, or takes a folder above away."""
    between = [path.lower() for path in (program, *paths_above(program))]
    if rule.path.lower() not in between:
        return False
    between = between[: between.index(rule.path.lower())]
    if between and _takes_away(rule):
        return True
    if len(between) > 1 and rule.applies_to == ("this_folder",):
        return False
    return not any(_keeps_away(one, rule, between) for one in resources)


def _takes_away(rule: AccessRule) -> bool:
    """Whether by it the folder, or what is directly in it, may be renamed with all that is below, closed or not."""
    mask = rule.rights.mask if rule.rights else 0
    itself = mask & FILE_RIGHTS["Delete"] and paths_above(rule.path)  # a drive can't be
    return "this_folder" in rule.applies_to and bool(itself or mask & FILE_RIGHTS["DeleteSubdirectoriesAndFiles"])


def _keeps_away(one: Resource, rule: AccessRule, between: list[str]) -> bool:
    if isinstance(one, Directory):
        return one.inherits is False and not one.keep_inherited and one.path.lower() in between
    same = isinstance(one, AccessRule) and one.type == "deny" and one.principal == rule.principal
    return same and isinstance(one, AccessRule) and one.path.lower() in between and _denied(one)


def _denied(rule: AccessRule) -> bool:
    return rule.rights is not None and rule.rights.mask & CHANGES == CHANGES


def _problem(managed: Managed, rule: AccessRule, runs: str, settings: Mapping[str, Node]) -> Problem:
    role = managed.roles[0]
    who = rule.principal.name or rule.principal.sid
    message = f"{who} may change what is in {rule.path}, and {runs}"
    closed = f"put the program into a closed folder (inherits: false, exact) beside {rule.path}, not in it"
    return Problem(
        settings[role].key_at, role, message, f"whoever changes that is SYSTEM: give ReadAndExecute there, or {closed}"
    )

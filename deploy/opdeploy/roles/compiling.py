"""From an inventory and its roles to what every host should be. All that is wrong, on every host, is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from opdeploy.inventory import (
    Host,
    Inventory,
    InventoryError,
    Node,
    Problem,
    SecretUse,
    role_settings,
    secret_uses,
    shared_secrets,
    unclaimed,
    validated,
)
from opdeploy.inventory.problems import shown
from opdeploy.model import Secret, UsageError
from opdeploy.resources import KINDS
from opdeploy.resources.base import KEY, Resource, Scope, parts
from opdeploy.resources.desired import Desired
from opdeploy.roles.finding import Role, Roles, broken, line_of
from opdeploy.roles.joining import Wish, joined
from opdeploy.roles.project import Project


@dataclass
class _Compiled:
    """One host: what its roles wish, and what is wrong with that."""

    host: Host
    settings: Mapping[str, Node]
    wishes: list[Wish] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def desired(self, roles: Iterable[str]) -> Desired:
        return joined(wish for wish in self.wishes if wish.role in roles)[0]


def compile(inventory: Inventory, hosts: Iterable[Host], roles: Roles, only: Sequence[str] = ()) -> list[tuple[Host, Desired]]:
    """What each of `hosts` should be, as far as the roles named in `only` say (without any: all of them).

    The whole inventory is checked, also what `hosts` and `only` leave out. Raises InventoryError with every problem;
    UsageError for a name in `only` that no role has, and for a role that is itself broken.
    """
    chosen = roles.only(only)
    project = Project.around(inventory.path, roles.paths)
    compiled = {host.name: _compiled(host, roles, project) for host in inventory.hosts}
    problems = [problem for each in compiled.values() for problem in each.problems]
    inventory.refuse([*problems, *shared_secrets(_passwords(compiled.values()))])
    return [(host, compiled[host.name].desired(chosen)) for host in hosts]


def _compiled(host: Host, roles: Roles, project: Project) -> _Compiled:
    settings, problems = role_settings(host, roles.names)
    made = _Compiled(host, settings, problems=[*problems, *unclaimed(host, roles.names)])
    for name, node in settings.items():
        try:
            made.wishes += _wishes(roles.by_name[name], host, node, project)
        except InventoryError as error:
            made.problems += error.problems
    made.problems += joined(made.wishes)[1]
    return made


def _wishes(role: Role, host: Host, node: Node, project: Project) -> list[Wish]:
    settings = validated(role.settings, node, role.name, {"project": project})
    try:
        return [Wish(role.name, node, thing) for thing in _things(role.resources(settings, host), role)]
    except ValidationError as error:
        raise InventoryError(_refusals(role, node, error)) from None
    except UsageError:
        raise
    except Exception as error:
        raise broken(role.file, error) from error


def _things(given: Iterable[object], role: Role) -> Iterator[Resource | Scope]:
    for thing in given:
        if not isinstance(thing, Resource | Scope):
            raise UsageError(f"{shown(role.file)}:1  resources() yields {type(thing).__name__}, which is no resource")
        yield thing


def _refusals(role: Role, node: Node, error: ValidationError) -> Iterator[Problem]:
    """A resource that its kind does not take, told where the role's settings stand."""
    kind = next((kind for kind in KINDS.values() if kind.__name__ == error.title), None)
    for detail in error.errors(include_url=False):
        given = detail["input"] if not detail["loc"] and isinstance(detail["input"], dict) else {}
        key = [str(given[name]) for name in (parts(kind, KEY) if kind else ()) if name in given]
        subject = " ".join([kind.KIND if kind else error.title, *key])
        steps = "".join(f" {step}:" for step in detail["loc"])
        said = str(detail.get("ctx", {}).get("error", detail["msg"])).replace("Input should be", "expected")
        hint = f"made in {shown(role.file)}:{line_of(role.file, error)}"
        yield Problem(node.key_at, role.name, f"{subject}:{steps} {said}", hint)


def _passwords(compiled: Iterable[_Compiled]) -> Iterator[SecretUse]:
    """Where the passwords of the accounts that the hosts are to have come from."""
    for each in compiled:
        held = {id(secret) for wish in each.wishes if (secret := _password(wish.thing))}
        for name, node in each.settings.items():
            yield from (use for use in secret_uses(each.host.name, node, name) if id(use.secret) in held)


def _password(thing: Resource | Scope) -> Secret | None:
    return getattr(thing, "password", None) if isinstance(thing, Resource) and thing.KIND == "local_user" else None

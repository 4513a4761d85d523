"""From an inventory and its roles to what every host should be. All that is wrong, on every host, is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, ValidationError

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
from opdeploy.model import OneHost, Secret, UsageError
from opdeploy.resources import KINDS, work_log
from opdeploy.resources.base import KEY, Resource, Scope, Scoped, parts
from opdeploy.resources.desired import Because, Desired
from opdeploy.roles.finding import Role, Roles, broken, line_of
from opdeploy.roles.joining import Wish, joined
from opdeploy.roles.programs import in_others_hands
from opdeploy.roles.project import Project


@dataclass
class _Compiled:
    """One host: what its roles wish, and what is wrong with that."""

    host: Host
    settings: Mapping[str, Node]
    given: list[BaseModel] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def models(self) -> list[BaseModel]:
        """Its settings, and the resources made of them."""
        return [*self.given, *self.resources]

    @property
    def resources(self) -> list[Resource]:
        return [wish.thing for wish in self.wishes if isinstance(wish.thing, Resource)]

    def desired(self, roles: Iterable[str]) -> Desired:
        made = joined(wish for wish in self.wishes if wish.role in roles)[0]
        kinds = {scope.kind for scope, _ in made.scopes}
        others = (wish.thing for wish in self.wishes if wish.role not in roles)
        unnamed = tuple(thing for thing in others if isinstance(thing, Scoped) and type(thing) in kinds)
        return replace(made, others=unnamed, work_log=work_log.kept(self.resources))


def compile(inventory: Inventory, hosts: Iterable[Host], roles: Roles, only: Sequence[str] = ()) -> list[tuple[Host, Desired]]:
    """What each of `hosts` should be, as far as the roles named in `only` say (without any: all of them).

    The whole inventory is checked, also what `hosts` and `only` leave out. Raises InventoryError with every problem;
    UsageError for a name in `only` that no role has, and for a role that is itself broken.
    """
    chosen = roles.only(only)
    project = Project.around(inventory.path, roles.paths)
    compiled = {host.name: _compiled(host, roles, project) for host in inventory.hosts}
    problems = [problem for each in compiled.values() for problem in each.problems]
    inventory.refuse([*problems, *_shared(compiled.values())])
    return [(host, compiled[host.name].desired(chosen)) for host in hosts]


def _compiled(host: Host, roles: Roles, project: Project) -> _Compiled:
    settings, problems = role_settings(host, roles.names)
    made = _Compiled(host, settings, problems=[*problems, *unclaimed(host, roles.names)])
    for name, node in settings.items():
        try:
            role = roles.by_name[name]
            made.given.append(validated(role.settings, node, name, {"project": project}))
            made.wishes += _wishes(role, host, node, made.given[-1])
        except InventoryError as error:
            made.problems += error.problems
    together, clashes = joined(made.wishes)
    made.problems += [*clashes, *in_others_hands(together, settings)]
    return made


def _wishes(role: Role, host: Host, node: Node, settings: BaseModel) -> list[Wish]:
    try:
        return [Wish(role.name, node, *thing) for thing in _things(role.resources(settings, host), role)]
    except ValidationError as error:
        raise InventoryError(_refusals(role, node, error)) from None
    except UsageError:
        raise
    except Exception as error:
        raise broken(role.file, error) from error


def _things(given: Iterable[object], role: Role) -> Iterator[tuple[Resource | Scope, str]]:
    for each in given:
        thing, why = (each.resource, each.why) if isinstance(each, Because) else (each, "")
        if not isinstance(thing, Resource | Scope):
            raise UsageError(f"{shown(role.file)}:1  resources() yields {type(thing).__name__}, which is no resource")
        yield thing, why


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


def _shared(compiled: Iterable[_Compiled]) -> Iterator[Problem]:
    """Secrets that are one host's alone, by their settings or their kind, and stand on several."""
    uses: dict[OneHost, list[SecretUse]] = {}
    for each in compiled:
        held = {id(secret): of for model in each.models for secret, of in _of_one_host(model)}
        for name, node in each.settings.items():
            for use in secret_uses(each.host.name, node, name):
                if id(use.secret) in held:
                    uses.setdefault(held[id(use.secret)], []).append(use)
    for of, same in uses.items():
        yield from shared_secrets(same, of)


def _of_one_host(model: BaseModel) -> Iterator[tuple[Secret, OneHost]]:
    for name, info in type(model).model_fields.items():
        secret = getattr(model, name)
        yield from ((secret, of) for of in info.metadata if isinstance(of, OneHost) and isinstance(secret, Secret))

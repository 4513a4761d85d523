"""The reference, made from the code: kinds and their properties, what the agent may call, exit codes. Data, then Markdown.

`opdeploy explain KIND` prints a kind's page, `opdeploy docs` writes all of them to docs/reference, and a test fails when
what stands there is not what the code says.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from opdeploy.inventory.docstrings import says
from opdeploy.model import ExitCode, Principal, Secret
from opdeploy.rendering import show
from opdeploy.resources import KINDS
from opdeploy.resources.base import KEY, OPTION, Part, Resource, Scoped, WrittenAs, comparator
from opdeploy.resources.sizes import Size
from opdeploy.resources.values import Duration
from opdeploy.roles import Role

MADE = "<!-- Made by `opdeploy docs` from the code: change that, not this. -->"
PARTS = ("key", "property", "option")
PLAIN: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    bytes: "content",
    Principal: "account: a SID, a well-known English name, or a name of the host",
    Duration: "length of time: 90s, 5m, 1h30m, 1d",
    Secret: "secret",
    Size: "size: 64MB, 1GB, or bytes",
}
EXIT_CODES = {
    ExitCode.OK: "in sync, or applied",
    ExitCode.CHANGES: "changes pending, or drift",
    ExitCode.UNKNOWN: "a host could not be reached, logged into or read in time, or something on it is unknown",
    ExitCode.FAILED: "something failed: a change that failed or was refused, a reply that is not the agent's, a bug",
    ExitCode.USAGE: "wrong usage, a bad inventory, an altered plan: nothing was touched",
    ExitCode.INTERRUPTED: "Ctrl-C: sessions are closed, and the same command can be run again",
}


@dataclass(frozen=True)
class Setting:
    """One line of a kind's table, or of a part of it. `part`: key, property or option."""

    name: str
    part: str
    takes: str
    default: str
    says: str


@dataclass(frozen=True)
class Explained:
    """A kind as its page has it. `parts`: the models that stand inside its settings, by name."""

    kind: str
    title: str
    says: str
    settings: tuple[Setting, ...]
    parts: Mapping[str, tuple[Setting, ...]]
    example: str


def explained(kind: str) -> Explained:
    """What the code says of a kind. Raises KeyError for none."""
    model = KINDS[kind]
    title, _, rest = (sys.modules[model.__module__].__doc__ or "").strip().partition("\n")
    inner: dict[str, tuple[Setting, ...]] = {}
    settings = tuple(sorted(_settings(model, inner), key=lambda setting: PARTS.index(setting.part)))
    return Explained(kind, title, inspect.cleandoc(rest), settings, inner, inspect.cleandoc(model.EXAMPLE))


def as_data(told: Explained) -> dict[str, Any]:
    return asdict(told)


# ---------------------------------------------------------------- models


def _settings(model: type[BaseModel], inner: dict[str, tuple[Setting, ...]]) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        written = [item.model for item in field.metadata if isinstance(item, WrittenAs)]
        for part in written or _models(field.annotation):
            if part.__name__ not in inner:
                inner[part.__name__] = ()
                inner[part.__name__] = tuple(_settings(part, inner))
        what = f"list of {_plain(written[0])}" if written else takes(field.annotation)
        yield Setting(name, _part(model, field), what, _default(field), _says(model, name))


def _part(model: type[BaseModel], field: FieldInfo) -> str:
    if not issubclass(model, Resource):
        return "required" if field.is_required() else "optional"
    part = next((item for item in field.metadata if isinstance(item, Part)), None)
    return {KEY: "key", OPTION: "option"}.get(part, "property") if part else "property"


def _says(model: type[BaseModel], name: str) -> str:
    how = comparator(model, name).words if issubclass(model, Resource) else ""
    return " ".join(filter(None, (says(model, name).replace("\n", " "), f"Compared {how}." if how else "")))


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined or field.default is None or field.default_factory:
        return ""
    return show(field.default)


def takes(annotation: Any) -> str:
    """A type in a person's words."""
    origin, args = get_origin(annotation), [arg for arg in get_args(annotation) if arg is not type(None)]
    if origin is Annotated:
        return takes(args[0])
    if origin is Literal:
        return " \\| ".join(map(str, args))
    if origin in (Union, types.UnionType):
        return ", or ".join(dict.fromkeys(map(takes, args)))
    if origin in (tuple, list, frozenset):
        return f"list of {takes(args[0])}"
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return f"{takes(args[0])} to {takes(args[1])}"
    return _plain(annotation)


def _plain(annotation: Any) -> str:
    if isinstance(annotation, NewType):
        return takes(annotation.__supertype__)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that stand in a type, wherever."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in get_args(annotation) for model in _models(arg)]


# ---------------------------------------------------------------- pages


def kind_page(kind: str) -> str:
    """A kind as Markdown."""
    scope = KINDS[kind].SCOPE if issubclass(KINDS[kind], Scoped) else ""  # type: ignore[attr-defined]
    owned = f"A {scope} can be owned as a whole: what is in it and not in the inventory is then removed."
    return _page(explained(kind), owned if scope else "")


def _page(told: Explained, more: str = "") -> str:
    lines = [f"# {told.kind}", "", told.title, "", *([told.says, ""] if told.says else []), *([more, ""] if more else [])]
    lines += [*_table(("", "is", "takes", "default", ""), map(_row, told.settings)), ""]
    for name, settings in told.parts.items():
        lines += [f"## {name}", "", *_table(("", "is", "takes", "default", ""), map(_row, settings)), ""]
    if told.example:
        lines += ["## Example", "", "```yaml", told.example, "```", ""]
    return "\n".join(lines)


def _row(setting: Setting) -> tuple[str, ...]:
    return (f"`{setting.name}`", setting.part, setting.takes, setting.default, setting.says)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in rows)


def explained_role(role: Role) -> Explained:
    """A role as its page has it."""
    inner: dict[str, tuple[Setting, ...]] = {}
    settings = tuple(_settings(role.settings, inner))
    needs = f"Comes after {', '.join(role.needs)}, where the host has them. " if role.needs else ""
    says = f"{needs}What it does: [README](../../../roles/{role.name}/README.md)."
    return Explained(role.name, role.says, says, settings, inner, "")


def role_page(role: Role) -> str:
    """A role's settings as Markdown; what it does, its README says."""
    return _page(explained_role(role))


def roles_page(roles: Iterable[Role]) -> str:
    rows = [(f"[{role.name}](roles/{role.name}.md)", role.says) for role in roles]
    text = "What a server can be: a host has a role when its name stands among the host's variables, its settings below it."
    return "\n".join(["# Roles", "", text, "", *_table(("role", ""), rows), ""])


def kinds_page() -> str:
    rows = [(f"[{kind}](kinds/{kind}.md)", explained(kind).title) for kind in KINDS]
    text = "What a server can have. A property that is left out is left alone; `absent: true` removes."
    return "\n".join(["# Kinds", "", text, "", *_table(("kind", ""), rows), ""])


def exit_codes_page() -> str:
    rows = [(str(int(code)), meaning) for code, meaning in EXIT_CODES.items()]
    text = "Of several, the first of 1, 3, 2, 0 wins. More, with examples: [exit-codes.md](../exit-codes.md)."
    return "\n".join(["# Exit codes", "", text, "", *_table(("code", "meaning"), rows), ""])


def agent_page(verbs: Mapping[str, Iterable[str]], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Every verb with its arguments, and every table that says what may be called, as the agent's text has them."""
    lines = ["# What the agent can be asked for", ""]
    lines += ["Why each is there: [security.md](../security.md). What stands in no table here is refused on the host.", ""]
    lines += ["## Verbs", "", *_table(("verb", "arguments"), ((f"`{v}`", _code(sorted(a))) for v, a in verbs.items())), ""]
    for name, (title, head) in TABLES.items():
        rows = ((f"`{key}`", _code([value] if isinstance(value, str) else value)) for key, value in tables[name].items())
        lines += [f"## {title}", "", *_table(head, rows), ""]
    return "\n".join(lines)


TABLES = {
    "reading": ("Cmdlets that are asked", ("cmdlet", "parameters")),
    "classes": ("CIM classes that are asked", ("class", "only where")),
    "asking": ("SQL statements that are asked", ("name", "statement")),
    "writing": ("Cmdlets that write", ("cmdlet", "parameters")),
    "programs": ("Programs that write", ("program", "sub-commands")),
    "ordering": ("SQL statements that write", ("name", "the server carries out the text that this makes")),
}


def _code(words: Iterable[str]) -> str:
    return " ".join(f"`{word}`".replace("|", "\\|") for word in words if word)

"""docs/coverage.md: every sentence of the vendors' pages has a place, and every place that is named is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel

from opdeploy import roles
from opdeploy.cli import runbook
from opdeploy.cli.app import app

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "coverage.md"
ROLES = roles.find().by_name
RUNBOOKS = runbook.found()
PLACE = re.compile(r"\b(role|setting|step|runbook|command) (`[^`]+`(?:, `[^`]+`)*)")
LINK = re.compile(r"\[[^]]+\]\(([^)#]+)[^)]*\)")
NOT_OURS = re.compile(r"not ours: \w+ \w+")

# What the five pages are divided into.
HEADINGS = [
    "Seed 000, On-Premise Server Access Requirement: Important notice",
    "Seed 000: Connectwise Agent",
    "Seed 000: Windows Profile for Support",
    "Seed 000: OP Services and Software",
    "Seed 000: Troubleshooting Software used by OP",
    "Seed 000: Ports / Services / Firewall exceptions",
    "Seed 001, NexHealth: Preparing for a scheduled onprem installation",
    "Seed 001: Why server access, setting up remote access, how the synchronizer works",
    "Seed 001: What tables and data",
    "Seed 001: Items for whitelisting",
    "Seed 002, OP Portal: from its beginning",
    "Seed 002: a parent who is a patient too",
    "Seed 002: the audit log",
    "Seed 002: Confirm Patient/Parent Details in OP",
    "Seed 002: Confirm the Parent/Guardian is Active in OP",
    "Seed 002: Confirm Patient Details in the OP Portal",
    "Seed 002: Confirm Parent/Guardian Details in the OP Portal",
    "Seed 003, Working with OPHL7Service",
    "Seed 003: Constraints",
    "Seed 004, Creating OP Patient Portal Accounts Within OP 14",
    "What the pages take for granted",
]
# The rows of each service that OP Support would install, and each program that it looks for faults with.
SOFTWARE = [
    "OPIIS", "OPMsg", "OP Exchange Network", "OP Exchange Network Update", "OP QuestHub", "OP Lab Interface",
    "Instamed Connect Batch Agent", "Firebird", "OP Backup", "OP Client", "OP Web Update", "Notepad++", "Wingrep", "IBExpert",
]  # fmt: skip


def tables() -> dict[str, list[tuple[str, str]]]:
    """By heading: what is said, and where it is."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: list(_rows(part)) for part in parts}


def _rows(part: str) -> Iterator[tuple[str, str]]:
    head, line, *lines = [line for line in part.splitlines() if line.startswith("|")]
    assert (head, line) == ("| what the page says | where |", "|---|---|")
    for line in lines:
        said, where = re.fullmatch(r"\| (.+) \| (.+) \|", line).groups()  # type: ignore[union-attr]
        yield said, where


TABLES = tables()
ROWS = [row for rows in TABLES.values() for row in rows]


def named(kind: str) -> list[str]:
    found = [names for _, where in ROWS for word, names in PLACE.findall(where) if word == kind]
    return sorted({name for names in found for name in re.findall(r"`([^`]+)`", names)})


def test_every_part_of_the_pages_is_gone_through() -> None:
    assert list(TABLES) == HEADINGS
    assert all(TABLES.values())


@pytest.mark.parametrize("product", SOFTWARE)
def test_every_program_is_named(product: str) -> None:
    assert [said for said, _ in ROWS if re.match(rf"{re.escape(product)}(?! \w*Update)(?!\w)", said)]


def test_every_sentence_has_a_place() -> None:
    assert [said for said, where in ROWS if not (PLACE.search(where) or LINK.search(where) or NOT_OURS.search(where))] == []


def test_every_kind_of_place_is_named() -> None:
    assert all(named(kind) for kind in ("role", "setting", "step", "runbook", "command"))


@pytest.mark.parametrize("name", named("role"))
def test_the_role_is_there(name: str) -> None:
    assert name in ROLES
    assert (ROLES[name].folder / "README.md").is_file()


@pytest.mark.parametrize("name", named("setting"))
def test_the_setting_is_there(name: str) -> None:
    role, *path = name.split(".")
    models: list[Any] = [ROLES[role].settings]
    for step in path:
        fields = [model.model_fields[step] for model in models if step in model.model_fields]
        assert fields, f"{step} of {name}"
        models = [model for field in fields for model in _models(field.annotation)]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


@pytest.mark.parametrize("name", named("step"))
def test_a_role_has_the_step(name: str) -> None:
    assert [pattern for pattern in STEPS if re.fullmatch(pattern, name)]


def _steps() -> Iterator[str]:
    """What the roles' sources give as a step's id: itself, or a pattern where a part of it is filled in."""
    for file in sorted([*PROJECT.glob("roles/*/role.py"), *PROJECT.glob("deploy/opdeploy/roles/*.py")]):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("ManualStep", "_step"):
                given = [word.value for word in node.keywords if word.arg == "id"] or node.args[:1]
                yield from map(_pattern, given)


def _pattern(id: ast.expr) -> str:
    if isinstance(id, ast.JoinedStr):
        return "".join(re.escape(part.value) if isinstance(part, ast.Constant) else "[a-z0-9]+" for part in id.values)
    return re.escape(str(id.value)) if isinstance(id, ast.Constant) else "(?!)"


STEPS = set(_steps())


@pytest.mark.parametrize("name", named("runbook"))
def test_the_runbook_is_there(name: str) -> None:
    assert name in RUNBOOKS


def test_every_runbook_is_some_sentences_place() -> None:
    assert named("runbook") == sorted(RUNBOOKS)


@pytest.mark.parametrize("line", named("command"))
def test_the_command_is_there(line: str) -> None:
    program, *words = line.split()
    command: click.Command | None = app
    assert program == "opdeploy"
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None


@pytest.mark.parametrize("link", sorted({link for _, where in ROWS for link in LINK.findall(where)}))
def test_the_page_is_there(link: str) -> None:
    assert (PAGE.parent / link).is_file()

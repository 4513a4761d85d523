"""What pydantic says of settings, in the words of an inventory and with the place of the key."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from opdeploy.inventory import InventoryError, Node, validated
from opdeploy.inventory.validate import found
from opdeploy.inventory.yaml_file import parse
from opdeploy.model import Principal, Secret

PLAIN = "a secret may not stand in the inventory | write {from_env: NAME} or {from_file: PATH}"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Action(Strict):
    kind: Literal["restart", "none"]
    after: Annotated[int, Field(ge=0)] = 0


class Settings(Strict):
    name: str = "x"
    owner: Principal | None = None
    port: int | Literal["any"] | None = None
    actions: list[Action] = []
    by_name: dict[str, Action] = {}
    either: str | Action | None = None
    until: datetime.date | None = None
    pair: tuple[int, int] | None = None
    loud: bool = False
    password: Secret | None = None

    @field_validator("name")
    @classmethod
    def _no_space(cls, name: str) -> str:
        if " " in name:
            raise ValueError("expected one word")
        return name


def node(text: str) -> Node:
    made, problems = parse(f"role:\n{text}".encode(), "x.yml")
    assert made
    assert not problems
    return made.mapping["role"]


def problems(text: str) -> list[str]:
    with pytest.raises(InventoryError) as raised:
        validated(Settings, node(text), "role")
    return [str(problem).replace("\n    ", " | ") for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("  nme: x", "2:3 nme", "no such setting | did you mean name?"),
        ("  qqq: x", "2:3 qqq", "no such setting"),
        ("  name: 3", "2:3 name", "expected text, found 3 | write it in quotes"),
        ("  name: no", "2:3 name", "expected text, found false | write it in quotes"),
        ("  name: [a]", "2:3 name", "expected text, found a list"),
        ("  name:", "2:3 name", "expected text, found nothing"),
        ("  name: a b", "2:3 name", "expected one word"),
        ("  owner: 'a:b'", "2:3 owner", "'a:b' is no account: write a SID, 'Administrators' or the like, or '.\\name'"),
        ("  port: ani", "2:3 port", "expected a whole number or 'any', found 'ani' | did you mean any?"),
        ("  loud: maybe", "2:3 loud", "expected true or false, found 'maybe'"),
        ("  until: soon", "2:3 until", "expected a date (2026-12-31), found 'soon'"),
        ("  actions: {kind: none}", "2:3 actions", "expected a list, found keys and values"),
        (
            "  actions: [{kind: none}, {kind: non}]",
            "2:28 actions[1].kind",
            "expected 'restart' or 'none', found 'non' | did you mean none?",
        ),
        ("  actions: [{kind: none, aftr: 1}]", "2:26 actions[0].aftr", "no such setting | did you mean after?"),
        (
            "  actions: [{kind: none, after: -1}]",
            "2:26 actions[0].after",
            "expected greater than or equal to 0, found -1",
        ),
        ("  actions: [restart]", "2:13 actions[0]", "expected keys and values, found 'restart'"),
        (
            "  by_name:\n    Spooler: {aftr: 1, kind: none}",
            "3:15 by_name.Spooler.aftr",
            "no such setting | did you mean after?",
        ),
        ("  either: {knd: none, kind: none}", "2:12 either.knd", "no such setting | did you mean kind?"),
        ("  either: [1]", "2:3 either", "expected text or keys and values, found a list"),
        ("  pair: [1]", "2:3 pair[1]", "missing"),
        ("  password: hunter2", "2:3 password", PLAIN),
        ("  password: [hunter2]", "2:3 password", PLAIN),
    ],
)
def test_one_mistake_one_problem(text: str, place: str, said: str) -> None:
    assert problems(text) == [f"x.yml:{place.replace(' ', '  role.')}: {said}"]


def test_all_mistakes_at_once() -> None:
    assert len(problems("  nme: x\n  loud: maybe\n  actions: [{}]")) == 3


def test_nothing_is_no_settings() -> None:
    assert validated(Settings, node(""), "role") == Settings()


def test_a_list_fits_a_tuple() -> None:
    assert validated(Settings, node("  pair: [1, 2]"), "role").pair == (1, 2)


def test_what_is_found_is_short_and_never_a_secret() -> None:
    assert found(Secret("hunter2")) == "a secret"
    assert len(found("x" * 500)) <= 60

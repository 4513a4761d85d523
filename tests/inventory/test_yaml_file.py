"""Values as PyYAML's safe loader has them, each with its place; what is not plain data has a problem, never a traceback."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.inventory.yaml_file import Node, as_written, parse

# what PyYAML writes for a next-line character (U+0085) it does not read back itself
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), max_size=20).filter(
    lambda text: "{{" not in text
)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10).filter(str.isprintable)
DATES = st.dates() | st.datetimes(datetime.datetime(1000, 1, 1))
SCALARS = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | TEXTS | DATES
DATA = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


def tree(text: str) -> Node:
    node, problems = parse(text.encode(), "x.yml")
    assert not problems
    assert node
    return node


def problems(text: str) -> list[str]:
    return [str(problem).partition("\n")[0] for problem in parse(text.encode(), "x.yml")[1]]


@given(st.dictionaries(KEYS, DATA, max_size=4), st.booleans())
@settings(max_examples=100, deadline=None)
def test_plain_data_reads_back_as_it_was_written(data: dict[str, Any], unicode: bool) -> None:
    node, found = parse(yaml.safe_dump(data, allow_unicode=unicode).encode(), "x.yml")
    assert found == []
    assert node
    assert node.value == data
    assert node.size >= len(data) + 1


@given(st.binary(max_size=60) | st.text("ab: -[]{}&*!#|>'\"%@,?\n=<~.\\0123", max_size=60).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_tree_or_a_problem(data: bytes) -> None:
    node, found = parse(data, "x.yml")
    assert node or found
    assert all(problem.at.line >= 1 and problem.at.column >= 1 for problem in found)


def test_keys_and_values_know_their_places() -> None:
    node = tree("a:\n  b: [1,\n      {c: x}]\n")
    found = node.mapping["a"].mapping["b"].items[1].mapping["c"]
    assert (found.value, found.at.line, found.at.column, found.key_at.column) == ("x", 3, 11, 8)


def test_an_alias_has_its_own_key_and_the_values_place() -> None:
    node = tree("a: &x {n: 1}\nb: *x\n").mapping["b"]
    assert (node.value, node.key_at.line, node.at.line) == ({"n": 1}, 2, 1)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert tree("\ufeffa: 1\n").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yml:3:1  a: given twice, first in line 1"),
        ("a: {b: 1, b: 1}", "x.yml:1:11  a.b: given twice, first in line 1"),
        ("a: x\t# why\n", "x.yml:1:5  a tab"),
        ("a: !!binary aGk=", "x.yml:1:1  a: a tag that nothing here knows"),
        ("a: !!python/object/apply:os.system [ls]", "x.yml:1:1  a: a tag that nothing here knows"),
        ("a: !!int x", "x.yml:1:1  a: YAML reads this as int, but it is none"),
        ("a: !!bool x", "x.yml:1:1  a: YAML reads this as bool, but it is none"),
        ("a: 2026-02-30", "x.yml:1:1  a: YAML reads this as timestamp, but it is none"),
        ("a: 0123", "x.yml:1:1  a: YAML reads this as another number (12:30 is 750, 0123 is 83)"),
        ("a: 12:30:15.5", "x.yml:1:1  a: YAML reads this as another number (12:30 is 750, 0123 is 83)"),
        ("a: 0x" + "f" * 40, "x.yml:1:1  a: a number of more than 128 bits"),
        ("a: " + "9" * 5000, "x.yml:1:1  a: YAML reads this as int, but it is none"),
        ("a: =", "x.yml:1:1  a: a lone = is no value"),
        ('a: "\\ud800"', "x.yml:1:1  a: half of a surrogate pair is no text"),
        ('a: "\\UFFFFFFFF"', "x.yml:1:1  not YAML: an escape sequence that stands for no character"),
        ("on: 1", "x.yml:1:1  on: YAML reads this key as no text"),
        ("? [a]\n: 1", "x.yml:1:3  a key must be text, not a list or a mapping"),
        ('"a\\nb": 1', "x.yml:1:1  a key must be printable text"),
        ("a: &x [*x]", "x.yml:1:4  a[0]: an alias of something that holds itself"),
        ("a: {<<: 3}", "x.yml:1:9  a.<<: expected an alias of keys and values, or a list of such"),
        ("- a\n- b\n", "x.yml:1:1  expected keys and values (NAME: VALUE)"),
        ("a: *geheim", "x.yml:1:4  not YAML: found undefined alias"),
        ("a: \x07", "x.yml:1:4  not YAML: special characters are not allowed"),
        ("[" * 5000, "x.yml:1:1  nested too deep"),
    ],
)
def test_what_is_refused(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_all_problems_of_a_file_are_told() -> None:
    assert len(problems("a: '{{ x }}'\nb: !vault x\na: 1\n")) == 3


def test_aliases_that_multiply_are_refused() -> None:
    doubled = "".join(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 40))
    assert problems(f"x0: &x0 1\n{doubled}") == ["x.yml:1:1  more than 100000 values, with all aliases followed"]


def test_a_date_is_told_as_it_stands_there() -> None:
    node, problems = parse(b"executed: 2026-01-31\n", "x.yml")
    assert (as_written(node), problems) == ({"executed": "2026-01-31"}, [])  # type: ignore[arg-type]

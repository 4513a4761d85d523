"""PowerShell data files: whatever stands in a value stays in its literal, and what is printed reads back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opdeploy.formats.powershell_data import parse, render

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NASTY = st.sampled_from(
    ["'", "''", "\u2019; Remove-Item C:\\", "'@\n", "$(evil)", "`", '"', "}", ")\r\n@{", "#", "<#", "\u201b"]
)
LEAF = st.one_of(TEXT, NASTY, st.tuples(TEXT, NASTY, TEXT).map("".join), st.booleans())
TABLE = st.recursive(
    st.dictionaries(TEXT, LEAF, max_size=3),
    lambda inner: st.dictionaries(TEXT, st.one_of(LEAF, inner, st.lists(st.one_of(LEAF, inner), max_size=3)), max_size=3),
    max_leaves=8,
)
SAMPLE = """@{
    'GUID' = '1'
    'RunAsVirtualAccount' = $true
    'RoleDefinitions' = @{
        'DB1\\op' = @{
            'RoleCapabilities' = @(
                'OP'
            )
        }
    }
    'None' = @()
}
"""


@settings(max_examples=100, deadline=None)
@given(TABLE)
def test_what_is_printed_reads_back(value: dict[str, Any]) -> None:
    assert parse(render(value)) == value


@settings(max_examples=100, deadline=None)
@given(TABLE)
@example({"a": "'; evil '"})
def test_outside_of_its_literals_a_file_has_nothing_but_our_own_marks(value: dict[str, Any]) -> None:
    """By the tokenizer's own rule: a string ends at a quote of any of the five kinds that no other follows."""
    text, outside, inside, at = render(value), "", False, 0
    while at < len(text):
        if text[at] in "'\u2018\u2019\u201a\u201b":
            doubled = inside and text[at + 1 : at + 2] != "" and text[at + 1] in "'\u2018\u2019\u201a\u201b"
            at, inside = (at + 1, True) if doubled else (at, not inside)
        elif not inside:
            outside += text[at]
        at += 1
    assert not inside
    assert re.fullmatch(r"(\$true|\$false|[@{}()=, \n])*", outside)


def test_a_file_is_laid_out_for_people() -> None:
    value = {"GUID": "1", "RunAsVirtualAccount": True, "RoleDefinitions": {"DB1\\op": {"RoleCapabilities": ["OP"]}}, "None": []}
    assert render(value) == SAMPLE


def test_another_layout_comments_and_line_ends_are_read() -> None:
    assert parse("\ufeff# ours\r\n@{ 'a'=@('x','y''z')\r\n 'b' = $TRUE }\r\n") == {"a": ["x", "y'z"], "b": True}


@pytest.mark.parametrize(
    "text", ["", "'a'", "@{ 'a' = 'b' } 'c'", "@{ 'a' = $x }", "@{ 'a' = \"b\" }", "@{ a = 'b' }", "@{ 'a' = 'b'",
             "@{ 'a' 'b' }",
             "@{ 'a' = @('b' 'c') }", "@{ 'a' = (Get-Item) }", "@{ 'a' = { evil } }", "@{ 'a' = 'b }",
             "@{ 'a' = " + "@(" * 10_000],
)  # fmt: skip
def test_what_is_no_plain_data_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@pytest.mark.parametrize("value", [{"a": [["b"]]}, {"a": "\0"}, {"a\0": "b"}, {"a": 1}, {"a": None}])
def test_what_a_data_file_cannot_hold_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="can't hold"):
        render(value)

"""Quoting holds against a parser of its own, written from Microsoft's rules and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.formats.command_line import argument, line, program
from opdeploy.formats.powershell import literal

TEXT = st.text(st.sampled_from('\\" \tab=/\u201eä') | st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def parsed(text: str) -> list[str]:
    """The arguments that CommandLineToArgvW finds behind the program's name."""
    found: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in " \t":
            position += 1
            continue
        one, position = next_argument(text, position)
        found.append(one)
    return found


def next_argument(text: str, position: int) -> tuple[str, int]:
    one, quoted = "", False
    while position < len(text) and (quoted or text[position] not in " \t"):
        slashes = len(text) - position - len(text[position:].lstrip("\\"))
        position += slashes
        if text[position : position + 1] != '"':
            one += "\\" * slashes
            if not slashes:
                one += text[position]
                position += 1
            continue
        one += "\\" * (slashes // 2)
        position += 1
        if slashes % 2:
            one += '"'
        else:
            quoted = not quoted
    return one, position


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("Spooler", "Spooler"),
        ("", '""'),
        ("a b", '"a b"'),
        ("C:\\Program Files\\", '"C:\\Program Files\\\\"'),
        ("C:\\op\\", "C:\\op\\"),
        ('say "hi"', '"say \\"hi\\""'),
        ('\\"', '"\\\\\\""'),
        ("actions=", "actions="),
    ],
)
def test_quotes_only_where_it_has_to(text: str, quoted: str) -> None:
    assert argument(text) == quoted


@settings(max_examples=100)
@given(st.lists(TEXT, max_size=4))
def test_every_text_arrives_as_one_argument(texts: list[str]) -> None:
    assert parsed(line(*texts)) == texts


def test_what_no_line_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        argument("a\0b")


@pytest.mark.parametrize("quote", "'\u2018\u2019\u201a\u201b")
def test_powershell_doubles_each_of_its_five_quotes(quote: str) -> None:
    assert literal(f"a{quote}b") == f"'a{quote}{quote}b'"


@given(TEXT)
def test_a_powershell_literal_stands_for_its_text(text: str) -> None:
    inside = literal(text)[1:-1]
    for quote in "'\u2018\u2019\u201a\u201b":
        assert inside.count(quote) == 2 * text.count(quote)
        inside = inside.replace(quote * 2, quote)
    assert inside == text


def test_powershell_expands_nothing_in_it() -> None:
    assert literal('$env:x `n $(1) \u201ehi"') == "'$env:x `n $(1) \u201ehi\"'"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('"C:\\Program Files\\OP\\unins000.exe" /SILENT ', ("C:\\Program Files\\OP\\unins000.exe", "/SILENT")),
        ("C:\\Program Files\\Notepad++\\uninstall.exe", ("C:\\Program Files\\Notepad++\\uninstall.exe", "")),
        ("C:\\Program Files\\a.exe.d\\b.EXE  /x  y", ("C:\\Program Files\\a.exe.d\\b.EXE", "/x  y")),
        ("MsiExec.exe /X{A}", ("MsiExec.exe", "/X{A}")),
        ("RunDll32 C:\\a.dll,Launch", ("RunDll32", "C:\\a.dll,Launch")),
        ("  ", None),
        ("", None),
    ],
)
def test_an_uninstall_command_comes_apart_where_its_program_ends(line: str, found: tuple[str, str] | None) -> None:
    assert program(line) == found


@settings(max_examples=100)
@given(TEXT.filter(lambda text: text and '"' not in text), TEXT)
def test_a_program_in_quotes_is_what_stands_in_them(name: str, rest: str) -> None:
    assert program(f'"{name}"{rest}') == (name, rest.strip())

"""docs/security.md names all that the agent can call, and nothing that it can't: the page is held against the PowerShell."""

from __future__ import annotations

import gzip
import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from opdeploy.lab.windows import source
from opdeploy.windows import agent

sys.path.insert(0, str(Path(__file__).parents[1] / "powershell"))
import pscheck

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
NAMES = ("loader", "loader-raw", "loop", "read", "write")
TEXTS = {name: (files("opdeploy.windows.agent") / f"{name}.ps1").read_text(encoding="ascii") for name in NAMES}
CMDLETS = json.loads(gzip.decompress((files("opdeploy.lab") / "data/ps51_commands.json.gz").read_bytes()))["commands"]

CODE = re.compile(r"`([^`]+)`")
CHANGES = re.compile(
    r"(?:\.|::)(Create\w+|Set[A-Z]\w+|Delete\w*|Write\w+|Replace|Move|Copy\w*|Append\w+|Encrypt|Invoke\w*|Put\w*|Commit\w*)\("
)
HARMLESS = {"WriteTo", "CopyToAsync", "AppendChar", "AppendLine", "Invoke", "InvokeGet", "Create"}
"""In memory, or reads: `Members` and `objectSid` by ADSI, a script block from the source."""
CLEARED = re.compile(r"\$pending\.SetLength|-replace|\[regex\]::Replace")


def table(text: str, variable: str) -> dict[str, set[str]]:
    """A table of the PowerShell: `$variable = @{ 'NAME' = @('A', 'B') ... }`."""
    rows = source.read(text).tables[variable]
    return {name: {value} - {""} if isinstance(value, str) else set(value) for name, value in rows.items()}


def told(title: str) -> dict[str, set[str]]:
    """A table of the page below a heading: code in the first cell -> code in the second."""
    section = re.split(r"^#+ ", PAGE.partition(f" {title}\n")[2], flags=re.MULTILINE)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {name: set(CODE.findall(row[1])) for row in rows for name in CODE.findall(row[0])}


def verbs(text: str) -> set[str]:
    return set(re.findall(r"^\$verbs\['([\w.]+)'\]", text, re.MULTILINE))


def programs(text: str) -> set[str]:
    called = re.findall(r"Invoke-System '([\w.]+)' (?:\('|\")(\S+)", text)
    return {f"{program} {word}" for program, word in called}


def called() -> dict[str, set[str]]:
    """The real cmdlets that the texts call themselves, with the parameters that stand there."""
    found: dict[str, set[str]] = {}
    for name, text in TEXTS.items():
        checker = pscheck.Checker(name, text.encode())
        checker.run()
        for _, cmdlet, parameters, *_ in checker.cmds:
            if cmdlet in CMDLETS:
                found.setdefault(cmdlet, set()).update(parameters)
    return found


def test_the_line_on_the_command_line_is_this() -> None:
    assert f"```\n{agent.command_line()}\n```" in PAGE


def test_it_says_how_long_the_agent_is() -> None:
    lines = {name: len(text.splitlines()) for name, text in TEXTS.items()}
    assert re.findall(r"^\| `([\w-]+)\.ps1` \| (\d+) \|", PAGE, re.MULTILINE) == [(n, str(k)) for n, k in lines.items()]
    assert f"\n{sum(lines.values())} lines in all" in PAGE
    assert sum(lines.values()) < 600, "an IT department reads all of it in one sitting"


@pytest.mark.parametrize(("half", "title"), [("read", "Verbs that read"), ("write", "Verbs that write")])
def test_every_verb_is_told(half: str, title: str) -> None:
    assert set(told(title)) == verbs(TEXTS[half])


@pytest.mark.parametrize(
    ("half", "variable", "title", "at_least"),
    [
        ("read", "reading", "Cmdlets that may be asked for", 3),
        ("read", "classes", "CIM classes that may be asked for", 3),
        ("write", "writing", "Cmdlets that may write", 15),
        ("read", "asking", "SQL statements that may be asked", 3),
        ("write", "ordering", "SQL statements that may write", 5),
    ],
)
def test_every_entry_of_a_list_is_told_with_its_parameters(half: str, variable: str, title: str, at_least: int) -> None:
    listed = table(TEXTS[half], variable)
    assert len(listed) >= at_least
    assert told(title) == listed


def test_every_cmdlet_that_its_own_text_calls_is_told() -> None:
    assert told("Cmdlets that its own text calls") == called()


def test_every_program_is_told_word_by_word() -> None:
    listed = {f"{program} {word}" for program, words in table(TEXTS["write"], "programs").items() for word in words}
    assert len(listed) >= 5
    assert set(told("Programs")) == listed | programs(TEXTS["read"]) | programs(TEXTS["write"])


def test_a_program_of_the_read_half_is_called_that_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (read|write) \|", PAGE, re.MULTILINE)
    assert {program for program, half in rows if half == "read"} == programs(TEXTS["read"])


def test_no_program_is_started_by_another_way() -> None:
    lines = [line for text in TEXTS.values() for line in text.splitlines()]
    assert sum("Process]::Start" in line or "Start-Process" in line for line in lines) == 1
    run = [line.strip() for line in lines if "Invoke-Program " in line and not line.startswith("#")]
    assert [line.partition("Invoke-Program ")[2].split(" ")[0] for line in run] == [
        "([System.IO.Path]::Combine($system,",
        "$program",
    ]
    named = r"Invoke-System '[\w.]+' "
    assert [line for line in lines if re.search(r"\bInvoke-System \S", line) and not re.search(named, line)] == [
        '    [void](Invoke-System $program "$command $line" $seconds)'
    ]


def test_every_method_that_changes_something_is_told() -> None:
    lines = [line for text in TEXTS.values() for line in text.splitlines() if not CLEARED.search(line)]
    methods = {method for line in lines for method in CHANGES.findall(line)} - HARMLESS
    sentence = PAGE.partition(".NET methods that change something")[2].partition("\n\n")[0]
    assert set(CODE.findall(sentence)) == methods


def test_the_write_half_is_where_the_page_says_it_is_looked_for() -> None:
    assert "$writing = @{" in PAGE
    assert "$writing = @{" in agent.source(write=True)
    assert "$writing = @{" not in agent.source(write=False)

"""The agent's PowerShell is what 5.1 on Server 2016 and 2019 takes, and holds what its lists promise."""

import gzip
import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from opdeploy.lab.windows import source
from opdeploy.windows import agent

sys.path.insert(0, str(Path(__file__).parent))
import pscheck

TEXTS = sorted(path for path in files("opdeploy.windows.agent").iterdir() if path.name.endswith(".ps1"))
SERVERS = {"2016": 1, "2019": 2}
COMMANDS = json.loads(gzip.decompress((files("opdeploy.lab") / "data/ps51_commands.json.gz").read_bytes()))["commands"]
FORBIDDEN = [
    "Add-Type -TypeDefinition",
    "DllImport",
    "EncodedCommand",
    "Invoke-Expression",
    r"\biex\b",
    "Bypass",
    "GetField",
    "InvokeMember",
    "Reflection",
    "DownloadString",
    "FromBase64String.*Create",
]


def errors(text: str, server: str) -> list[str]:
    found = pscheck.Checker("agent", text.encode(), server).run()
    return [f"{row}:{column} {message}" for row, column, severity, message in found if severity in "EW"]


def listed(half: str) -> dict[str, set[str]]:
    """The cmdlets that a half lists, each with its parameters."""
    text = (files("opdeploy.windows.agent") / f"{half}.ps1").read_text()
    table = source.read(text).tables["reading" if half == "read" else "writing"]
    return {name: set(parameters) for name, parameters in table.items()}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("write", [False, True], ids=["read half", "both halves"])
def test_the_source_is_right_on(server: str, write: bool) -> None:
    assert errors(agent.source(write), server) == []


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("raw", [False, True], ids=["loader", "raw loader"])
def test_the_loader_is_right_on(server: str, raw: bool) -> None:
    assert errors(agent.loader(raw), server) == []


def test_the_checker_finds_what_it_is_there_for() -> None:
    assert errors("Get-LocalUser -Nmae x", "2019") == ["1:15 Get-LocalUser has no parameter -nmae"]
    assert errors("$a = 1 ?? 2", "2019")


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_nothing_that_endpoint_protection_flags(text: Path) -> None:
    assert [word for word in FORBIDDEN if re.search(word, text.read_text(), re.IGNORECASE)] == []


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_a_text_can_be_sent_as_lines(text: Path) -> None:
    lines = text.read_text(encoding="ascii").splitlines()
    assert "." not in lines
    assert "\r" not in text.read_bytes().decode()


def test_the_loader_stands_on_a_command_line() -> None:
    assert len(agent.loader()) < 600
    for raw in (False, True):
        assert '"' not in agent.loader(raw)
        assert "%" not in agent.loader(raw)
        assert "\n" not in agent.loader(raw)
        assert len(agent.command_line(raw)) < 8191


def test_the_runner_stands_on_a_command_line() -> None:
    """Its body is put between double quotes, its lines joined by blanks; the task scheduler would fill in a `$(Arg0)`."""
    body = re.search(r"^function Start-Runner \{\n(.*?)^\}$", agent.source(write=True), re.MULTILINE | re.DOTALL)
    assert body
    line = re.sub(r"\s*\n\s*", " ", body[1].strip())
    assert [mark for mark in ('"', "#", "$(", "%", "`") if mark in line] == []
    assert pscheck.Checker("runner", line.encode(), "2016", ["Write-Reply", "Receive-Line"]).run() == []
    assert len(line) < 1000


def test_a_checked_installer_is_let_go_however_its_run_ends() -> None:
    """A file that stays open in the session can't be removed, and nor can its job's folder."""
    body = re.search(r"^\$verbs\['install\.run'\] = \{\n(.*?)^\}$", agent.source(write=True), re.MULTILINE | re.DOTALL)
    assert body
    assert re.search(r"\$held = [^\n]*\n    try \{\n(        [^\n]*\n)+    \}\n    finally \{ if \(\$held\)[^\n]*\n\Z", body[1])


def test_every_listed_cmdlet_is_told_to_stop_at_an_error() -> None:
    """Half of them are functions of modules, which see no preference of a script that is run from a prompt."""
    assert re.findall(r"& \$name @parameters[^)]*", agent.source(write=True)) == ["& $name @parameters -ErrorAction Stop"]


def test_only_one_of_the_loaders_reads_the_pipeline() -> None:
    """Both ways of reading beside each other would race for stdin."""
    assert "$input" in agent.loader()
    assert "$input" not in agent.loader(raw=True)
    assert "$input" not in agent.source(write=True)


def test_the_agent_can_be_read_in_one_sitting() -> None:
    assert sum(len(text.read_text().splitlines()) for text in TEXTS) < 600


def test_a_read_session_is_not_sent_the_write_half() -> None:
    assert ".write'] =" not in agent.source(write=False)
    assert agent.source(write=True).startswith(agent.source(write=False))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("half", ["read", "write"])
def test_every_listed_parameter_exists_on(server: str, half: str) -> None:
    cmdlets = listed(half)
    assert cmdlets
    unknown = []
    for name, parameters in cmdlets.items():
        known = COMMANDS[name]["p"]
        unknown += [f"{name} -{one}" for one in parameters if not known.get(one, {"on": 0}).get("on", 3) & SERVERS[server]]
    assert unknown == []


def test_the_lists_hold_what_the_kinds_need() -> None:
    assert {"Get-LocalUser", "Get-Service", "Export-ScheduledTask"} <= listed("read").keys()
    assert {"Name", "Group", "LocalPort", "EdgeTraversalPolicy"} <= listed("write")["New-NetFirewallRule"]
    assert "Group" not in listed("write")["Set-NetFirewallRule"]


def test_the_write_half_names_all_that_writes() -> None:
    """What changes a host stands in no other text."""
    for half in ("loop", "read"):
        names = {name for _, name, *_ in checked_commands(half)}
        assert {
            name for name in names if re.match(r"(New|Set|Remove|Add|Start|Stop|Enable|Disable|Register|Unregister)-", name)
        } <= {"New-Object", "Set-StrictMode", "Add-Type", "Stop-Call"}


def checked_commands(half: str) -> list[tuple]:
    checker = pscheck.Checker(half, (files("opdeploy.windows.agent") / f"{half}.ps1").read_bytes())
    checker.run()
    return checker.cmds

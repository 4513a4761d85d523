"""What a person reads: the exact text, the same with and without colour, and nothing that a terminal would act on."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from runs import run_text

from opdeploy.reboots import Reboot
from opdeploy.rendering import printable, show
from opdeploy.reports.document import product
from opdeploy.reports.text import change_lines, drift_lines, plain
from opdeploy.results import Approval, Drift, HostResult, Item, Run

Golden = Callable[[str, str], None]

APPLIED = runs.run(
    runs.host(
        "db1.example",
        Item(runs.user(enabled=(None, True)), outcome="applied"),
        Item(runs.FIREBIRD, outcome="failed", error="sc.exe failure ended with 5: access denied"),
        Item(runs.LATER, outcome="not_reached"),
        Item(replace(runs.LEFT, reason="refused: this session needs it", refused=True), outcome="refused"),
        Item(runs.in_sync("Spooler", start_mode="disabled")),
    ),
    command="apply",
)
DRIFT = runs.run(
    runs.host(
        "db1.example",
        Item(runs.FIREBIRD, last_applied="2026-11-20T03:04:05Z"),
        Item(runs.EXTRA),
        Item(runs.in_sync("Spooler")),
        warnings=("its certificate is not checked: ansible_winrm_server_cert_validation is ignore",),
    ),
    command="drift",
)
MOVED = "stale: service Spooler start_mode: plan saw manual, now disabled"
STALE = runs.run(replace(runs.PLANNED, error=MOVED, error_status="failed"))
WORDS = runs.run(runs.host("db1.example", Item(runs.FIREBIRD, words=("-old line", "+new line"))))
TEXTS: list[tuple[str, Run, dict[str, bool]]] = [
    ("plan.txt", runs.FLEET, {}),
    ("plan_verbose_with_commands.txt", runs.FLEET, {"verbose": True, "commands": True}),
    ("one_host.txt", runs.run(runs.PLANNED), {}),
    ("nothing_to_do.txt", runs.run(runs.IN_SYNC), {}),
    ("apply.txt", APPLIED, {}),
    ("stale.txt", STALE, {}),
    ("drift.txt", DRIFT, {}),
    ("diff.txt", WORDS, {"diff": True}),
    ("unproven.txt", runs.run(runs.host("db1.example", Item(runs.UNPROVEN))), {}),
]


@pytest.mark.parametrize(("name", "run", "options"), TEXTS, ids=[name for name, *_ in TEXTS])
def test_the_exact_text(golden: Golden, name: str, run: Run, options: dict[str, bool]) -> None:
    golden(name, plain(run_text(run, **options)))


@pytest.mark.parametrize(("name", "run", "options"), TEXTS, ids=[name for name, *_ in TEXTS])
def test_a_pipe_gets_the_plain_text_and_a_terminal_the_same_in_colour(name: str, run: Run, options: dict[str, bool]) -> None:
    lines = run_text(run, **options)
    assert printed(lines, terminal=False) == plain(lines)
    coloured = printed(lines, terminal=True)
    assert "\x1b[" in coloured
    assert without_colour(coloured) == plain(lines)


def printed(lines: list, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=40, color_system="standard" if terminal else None)
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    return console.file.getvalue()


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ("2026-11-19T03:00:00Z", ", for 3 days"),
        ("2026-11-20T04:00:00Z", ", for 1 day"),
        ("2026-11-22T01:00:00Z", ", for 2 hours"),
        ("2026-11-22T02:30:00Z", ""),
    ],
)
def test_how_long_a_difference_is_known(since: str, told: str) -> None:
    (line,) = drift_lines(Drift("corrective", since, ""), "2026-11-22T03:00:00Z")
    assert line == f"corrective: it changed on the host; first seen {since[:10]} {since[11:16]} UTC{told}"


def test_a_server_that_is_started_anew_by_itself_is_said_before() -> None:
    by_itself = runs.host("db1", Item(runs.FEATURE), reboot=Reboot(policy="if_needed"))
    said = "apply starts Windows anew by itself where a change wants it (opdeploy_reboot: if_needed)"
    assert said in plain(run_text(runs.run(by_itself)))
    assert said not in plain(run_text(runs.run(replace(by_itself, reboot=Reboot()))))
    assert said not in plain(run_text(runs.run(replace(by_itself, items=(Item(runs.FIREBIRD),)))))


def test_an_apply_says_by_whose_word() -> None:
    word = Approval("anna", "approve", "2026-11-22T02:00:00Z", "ticket 4711", "2026-11-29T02:00:00Z", "SHA256:abc")
    text = plain(run_text(replace(APPLIED, plan="sha256:1", approvals=(word,))))
    assert text.endswith(
        "applied from the plan sha256:1\n  anna approved it at 2026-11-22 02:00 UTC: ticket 4711 (SHA256:abc)\n"
    )


def test_no_secret_is_ever_shown() -> None:
    for options in ({}, {"verbose": True, "commands": True, "diff": True}):
        assert runs.PASSWORD not in plain(run_text(runs.FLEET, **options))


def test_details_are_said_only_when_asked_for() -> None:
    short = plain(run_text(runs.FLEET))
    assert "sc.exe" not in short
    assert "Spooler" not in short
    assert "+new line" not in plain(run_text(WORDS))


@pytest.mark.parametrize(
    ("kind", "build", "name"),
    [
        ("ServerNT", 14393, "Windows Server 2016"),
        ("ServerNT", 17763, "Windows Server 2019"),
        ("LanmanNT", 20348, "Windows Server 2022"),
        ("ServerNT", 26100, "Windows Server 2025"),
        ("ServerNT", 25398, "Windows Server"),
        ("WinNT", 19045, "Windows 10"),
        ("WinNT", 21999, "Windows 10"),
        ("WinNT", 22000, "Windows 11"),
        ("WinNT", 26100, "Windows 11"),
    ],
)
def test_windows_by_type_and_build(kind: str, build: int, name: str) -> None:
    assert product(replace(runs.SERVER, product=kind, build=build)) == name


@settings(max_examples=100)
@given(st.text())
def test_what_a_host_says_can_not_drive_the_terminal(said: str) -> None:
    text, usual = _said(said), _said("x" if said else "")
    assert not [char for char in text.replace("\n", "") if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0]
    assert text.count("\n") == usual.count("\n")


def _said(text: str) -> str:
    item = Item(replace(runs.UNREAD, reason=text), commands=(text,))
    return plain(run_text(runs.run(runs.host("h", item, error=text)), commands=True))


def test_an_escape_sequence_is_written_out() -> None:
    assert show("a\x1b[2Jb\r\n") == r"a\u001b[2Jb\r\n"
    assert printable("\u202eabc") == r"\u202eabc"
    assert printable("half a pair: \ud800") == r"half a pair: \ud800"


@pytest.mark.parametrize("unseen", ["\u200b", "\u2060", "\ufeff", "\xad", "\u200e", "\u2028", "\U000e0041"], ids=ascii)
def test_no_name_passes_for_another_by_a_character_of_no_width(unseen: str) -> None:
    assert printable(f"OP-Web{unseen}-In") == f"OP-Web\\u{ord(unseen):04x}-In"


def test_the_lines_of_one_change() -> None:
    assert list(change_lines(runs.service("Spooler", start_mode=("manual", "disabled")), ["sc.exe config Spooler"])) == [
        "  ~ service            Spooler                                        op_services",
        "      start_mode       manual → disabled",
        "      sc.exe config Spooler",
    ]


def test_a_host_that_nothing_is_asked_of_is_said_to_be_one() -> None:
    """As with a --role that it does not have: a name alone would read as in sync."""
    run = Run("plan", "1", "2026-11-22T03:00:00Z", "test@here", "inventories/test", "no-digest", (HostResult("ts1"),))
    assert plain(run_text(run)) == "ts1\n\n  nothing is asked of it\n"

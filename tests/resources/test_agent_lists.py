"""The agent lists what the kinds use and nothing else: every read and write that any case makes is held against its lists."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from cases import Case, load, planned, world
from opdeploy.calls import Call, boot_read, cmdlet_write, events_read, file_read, host_read, name_resolve
from opdeploy.engine.work_log import events
from opdeploy.lab.windows import source
from opdeploy.lab.windows.binding import bind
from opdeploy.lab.windows.wire import Secure
from opdeploy.model import REFERENCE, Change, Missing, Secret, Unknown
from opdeploy.resources import work_log
from opdeploy.resources.base import all_reads
from opdeploy.results import HostResult, Item, Run
from opdeploy.windows import agent

CASES = [case for case in load(Path(__file__).parent.parent / "cases") if not case.refused]
LISTS = source.read(agent.source(write=True))
NO_VERBS = ("record.", "file.push")  # answered by the run store; made into pieces by the station
# What is asked for every host, for a SID without a name, by `get_file`, and by `opdeploy access report`.
BESIDES_THE_KINDS = [
    host_read(), boot_read(), name_resolve("S-1-1-0"), file_read("C:\\x"), events_read("<QueryList/>", 1)
]  # fmt: skip
# What a run ends with.
RUN = Run("apply", "r", "2026-11-22T03:00:00Z", "test@here", "i", "no-digest")
DONE = HostResult("db1", (Item(Change(work_log.TYPES, None, "would_change", "create"), outcome="applied"),))
AT_THE_END = [
    cmdlet_write("Restart-Computer", Force=True), cmdlet_write("Restart-Service", Name="WinRM", Force=True),
    *events(DONE, RUN),
]  # fmt: skip


def made(case: Case) -> Iterator[Call]:
    resource = case.resource()
    yield from all_reads(resource).values()
    for reads in resource.optional_reads().values():
        yield from reads.values()
    try:
        yield from resource.then_reads(world(case, resource).answers(resource)).values()
    except (Missing, Unknown, TypeError, KeyError, AttributeError):
        return  # this case's answers name nothing to ask next
    change, answers = planned(case)
    if change.action != "none":
        yield from _writes(change.resource.writes(change, answers))


def _writes(calls: Iterator[Call]) -> Iterator[Call]:
    try:
        for call in calls:
            yield call
            yield from call.args.get("order", ())  # what a job carries out
    except Missing:
        return  # it hangs on what the same plan makes


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return [*BESIDES_THE_KINDS, *AT_THE_END, *(call for case in CASES for call in made(case))]


def gathered(pairs: Iterable[tuple[str, Iterable[str]]]) -> dict[str, set[str]]:
    table: dict[str, set[str]] = defaultdict(set)
    for name, parts in pairs:
        table[name] |= set(parts)
    return dict(table)


def listed(table: str) -> dict[str, set[str]]:
    return gathered(LISTS.tables[table].items())


@pytest.mark.parametrize(("verb", "table"), [("cmdlet.read", "reading"), ("cmdlet.write", "writing")])
def test_every_listed_cmdlet_and_parameter_is_used(calls: list[Call], verb: str, table: str) -> None:
    used = gathered((call.args["name"], call.args["parameters"]) for call in calls if call.verb == verb)
    assert listed(table) == used


def test_every_listed_class_is_used(calls: list[Call]) -> None:
    reads = [call.args for call in calls if call.verb == "cim.read"]
    assert set(LISTS.tables["classes"]) == {f"{args['namespace']} {args['class']}" for args in reads}


def test_every_listed_sub_command_is_used(calls: list[Call]) -> None:
    writes = [call.args for call in calls if call.verb == "program.write"]
    assert listed("programs") == gathered((args["program"], [args["command"]]) for args in writes)


@pytest.mark.parametrize(("verb", "table"), [("sql.read", "asking"), ("sql.write", "ordering")])
def test_every_listed_statement_is_used_with_its_parameters(calls: list[Call], verb: str, table: str) -> None:
    used = gathered((call.args["statement"], call.args["values"]) for call in calls if call.verb == verb)
    assert {name: set(re.findall(r"@(\w+)", text)) for name, text in LISTS.tables[table].items()} == used


def test_every_verb_is_used_with_every_argument(calls: list[Call]) -> None:
    used = gathered((call.verb, call.args) for call in calls if not call.verb.startswith(NO_VERBS))
    assert {verb: set(names) for verb, names in LISTS.verbs.items()} == used


def on_the_wire(value: object) -> object:
    """As the agent has it when it calls: a secret is a SecureString, a reference has become a SID."""
    if isinstance(value, Secret):
        return Secure(value.reveal())
    if isinstance(value, str):
        return REFERENCE.sub("S-1-5-21-1-2-3-1099", value)
    return [on_the_wire(item) for item in value] if isinstance(value, list | tuple) else value


def test_every_cmdlet_call_of_every_case_binds_as_on_windows(calls: list[Call]) -> None:
    """Names, parameters, sets and types, by the table of Server 2016 and 2019 with PowerShell 5.1."""
    made = [call.args for call in calls if call.verb in ("cmdlet.read", "cmdlet.write")]
    assert len(made) > 100
    for args in made:
        bind(args["name"], {name: on_the_wire(value) for name, value in args["parameters"].items()})

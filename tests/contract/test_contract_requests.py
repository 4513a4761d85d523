"""What holds for every request, whoever answers: framing, tagged values, secrets, errors, lists."""

import json
from pathlib import Path

import pytest
import verb_ports
from verb_ports import NO_ENGINE, Pipe, Port, engine, engine_path, model

from opdeploy import calls
from opdeploy.calls import SKIPPED, Call, Failure
from opdeploy.model import Secret
from opdeploy.windows import wire

TEXTS = [
    "a b",
    "ä ß €",
    "‘’‚‛'",
    '"',
    "`$(exit)$x",
    "\u2028\u2029",
    "\U0001f600",
    "2024-01-05T02:00:00Z",
    "<&>",
    "\\",
    "=x",
    "*1",
    "",
]


def not_listed(text: object) -> Call:
    """A call that comes back with what it was given."""
    return Call("cmdlet.read", {"name": text, "parameters": {}, "select": ["Name"]})


def failure(answer: object) -> Failure:
    assert isinstance(answer, Failure)
    return answer


def only(port: Port, call: Call) -> object:
    return port.ask([call])[0]


@pytest.fixture(params=["model", "engine"])
def pipe(request: pytest.FixtureRequest) -> object:
    if request.param == "engine" and not engine_path():
        pytest.skip(NO_ENGINE)
    with {"model": model, "engine": engine}[request.param]() as opened:
        yield opened


def test_each_call_is_answered_in_order_and_the_request_ends(pipe: Pipe) -> None:
    pipe.ask([not_listed("a"), not_listed("b")])
    replies = [(line.id, line.call) for line in pipe.said if isinstance(line, wire.Reply)]
    assert replies == [(1, 0), (1, 1)]
    assert pipe.said[-1] == wire.Done(1, 2)
    pipe.ask([])
    assert pipe.said == [wire.Done(2, 0)]


@pytest.mark.skipif(not engine_path(), reason=NO_ENGINE)
def test_the_second_loader_does_the_same() -> None:
    with engine(raw=True) as opened:
        assert [failure(answer).id for answer in opened.ask([not_listed("a"), not_listed("b")])] == ["opdeploy.NotListed"] * 2
        assert failure(only(opened, not_listed("‘c’"))).message == "'‘c’' is not listed"


def test_an_engine_that_falls_silent_ends_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "pwsh"
    silent.write_text("#!/bin/sh\nexec sleep 100\n")
    silent.chmod(0o755)
    monkeypatch.setenv("OPDEPLOY_PWSH", str(silent))
    monkeypatch.setattr(verb_ports, "PATIENCE", 0.2)
    with pytest.raises(AssertionError, match="the engine ended"), engine() as opened:
        opened.ask([])


def test_two_hundred_calls_are_one_request(port: Port) -> None:
    answers = port.ask([not_listed(str(n)) for n in range(200)])
    assert [failure(answer).message for answer in answers] == [f"'{n}' is not listed" for n in range(200)]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_arrives_and_returns(port: Port, text: str) -> None:
    assert failure(only(port, not_listed(text))).message == f"'{text}' is not listed"


def test_a_line_that_is_no_request_is_answered_as_such_and_ends_nothing(pipe: Pipe) -> None:
    for line in ("{not json\n", "[]\n", "*1 %%%\n"):
        pipe.ask_line(line)
        assert isinstance(pipe.said[-1], wire.NotRead)
    assert failure(only(pipe, not_listed("x"))).id == "opdeploy.NotListed"


def test_a_string_without_a_tag_is_refused(pipe: Pipe) -> None:
    request = {"id": 9, "writes": 0, "calls": [{"verb": "cmdlet.read", "args": {"name": "Get-Service"}}]}
    assert [failure(one).id for one in pipe.ask_line(json.dumps(request) + "\n", 1)] == ["opdeploy.Untagged"]


def test_a_verb_that_was_not_sent_is_refused(port: Port) -> None:
    assert failure(only(port, Call("no.such.verb"))).id == "opdeploy.NoVerb"


@pytest.mark.parametrize("name", ["model", "engine"])
def test_a_read_session_has_no_write_verbs(name: str) -> None:
    if name == "engine" and not engine_path():
        pytest.skip(NO_ENGINE)
    with {"model": model, "engine": engine}[name](write=False) as reading:
        assert failure(only(reading, calls.cmdlet_write("Stop-Service", Name="Spooler"))).id == "opdeploy.NoVerb"


def test_an_argument_that_a_verb_does_not_have_is_refused(port: Port) -> None:
    answer = failure(only(port, Call("name.resolve", {"sid": "S-1-1-0", "other": "x"})))
    assert answer.id.startswith("NamedParameterNotFound")


@pytest.mark.parametrize(
    "call",
    [
        not_listed("Get-Content"),
        calls.cmdlet_read("Get-LocalUser", ["Name"], ComputerName="x"),
        calls.cmdlet_write("Invoke-Command", Name="x"),
        calls.cmdlet_write("Stop-Service", InputObject="x"),
        calls.program_write("sc.exe", "create", "x"),
        calls.program_write("cmd.exe", "/c", "dir"),
        calls.cim_read("root/cimv2", "Win32_Product", ["Name"]),
        calls.program_write("sc.exe", "sdset", "x D:"),
        calls.cmdlet_read("Get-LocalUser", ["Name"], SID="S-1-5-18"),
        calls.cmdlet_write("Stop-Service", Name="x", Force=True),
        calls.export_read("passwords"),
        calls.registry_write("SOFTWARE\\opdeploy", "x", "Link", "x"),
    ],
    ids=lambda call: f"{call.verb} {next(iter(call.args.values()))}",
)
def test_what_is_not_listed_is_refused(port: Port, call: Call) -> None:
    assert failure(only(port, call)).id == "opdeploy.NotListed"


@pytest.mark.parametrize(
    "call",
    [
        calls.cmdlet_write("Remove-NetFirewallRule", Name="*"),
        calls.cmdlet_write("Stop-Service", Name="Win[R]M"),
        calls.cmdlet_write("Unregister-ScheduledTask", TaskName="?", TaskPath="\\"),
        calls.cmdlet_write("Remove-Item", LiteralPath="HKLM:\\SOFTWARE"),
        calls.cmdlet_write("New-Item", ItemType="SymbolicLink", Path="C:\\x"),
        calls.service_sddl_write('x" & whoami', "D:", expect="D:"),
        calls.service_sddl_write("Spooler", 'D:" x', expect="D:"),
    ],
    ids=lambda call: f"{call.verb} {next(iter(call.args.values()))}",
)
def test_nothing_is_meant_by_a_pattern_and_nothing_slips_in(port: Port, call: Call) -> None:
    assert failure(only(port, call)).id == "opdeploy.BadName"


@pytest.mark.parametrize(
    "call",
    [
        calls.file_stat("\\\\server\\share"),
        calls.file_read("\\\\.\\C:"),
        calls.file_append("x", 0, b""),
        calls.file_discard("/"),
    ],
)
def test_only_local_paths(port: Port, call: Call) -> None:
    assert failure(only(port, call)).id == "opdeploy.NotLocal"


def test_a_failed_write_leaves_out_the_other_writes_and_reads_go_on(port: Port) -> None:
    wrong = calls.cmdlet_write("Get-Content", Path="C:\\x")
    answers = port.ask([wrong, wrong, not_listed("read"), not_listed("again")], writes=2)
    assert [failure(answer).id for answer in answers] == [
        "opdeploy.NotListed",
        SKIPPED,
        "opdeploy.NotListed",
        "opdeploy.NotListed",
    ]


def test_an_error_has_a_shape(port: Port) -> None:
    answer = failure(only(port, not_listed("x")))
    assert answer.type == "System.InvalidOperationException"
    assert answer.hresult == -2146233079
    assert answer.category == "InvalidOperation"


def test_a_secret_arrives_as_text_and_is_forgotten_after_the_request(pipe: Pipe) -> None:
    assert failure(only(pipe, not_listed(Secret("ä ‘p’ 1", "env:X")))).message == "'ä ‘p’ 1' is not listed"
    request = {"id": 9, "writes": 0, "calls": [{"verb": "cmdlet.read", "args": {"name": "!1"}}]}
    assert "ä ‘p’ 1" not in failure(pipe.ask_line(json.dumps(request) + "\n", 1)[0]).message


def test_a_secret_in_a_cmdlets_parameters_is_a_securestring(pipe: Pipe) -> None:
    answer = failure(only(pipe, calls.cmdlet_write("New-Item", ItemType=Secret("geheim"))))
    assert "System.Security.SecureString" in answer.message
    assert "geheim" not in answer.message

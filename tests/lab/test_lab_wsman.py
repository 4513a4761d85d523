"""The service by itself: envelopes in, envelopes out, no HTTP."""

import base64
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.lab.faults import Fault
from opdeploy.lab.settings import Settings
from opdeploy.lab.wsman import ADDRESSING, CMD_SHELL, SHELL, SOAP, TRANSFER, WSMAN, Service, is_full_path, seconds

MESSAGE = "uuid:11111111-2222-3333-4444-555555555555"


class Me:
    name = "Administrator"


def request(action: str, body: str = "", shell: str = "", resource: str = CMD_SHELL, timeout: str = "PT0.01S") -> bytes:
    selector = f'<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>' if shell else ""
    return (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}"><s:Header>'
        f"<a:To>http://db1:5985/wsman</a:To><w:ResourceURI>{resource}</w:ResourceURI><a:Action>{action}</a:Action>"
        f"<w:MaxEnvelopeSize>153600</w:MaxEnvelopeSize><a:MessageID>{MESSAGE}</a:MessageID>"
        f"<w:OperationTimeout>{timeout}</w:OperationTimeout>{selector}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


@pytest.fixture
def service(computer: Any) -> Service:
    return Service(computer, Settings())


def created(service: Service) -> str:
    answer = service.answer(Me(), request(f"{TRANSFER}/Create", "<rsp:Shell/>"))
    return ET.fromstring(answer.body).findtext(f".//{{{SHELL}}}ShellId") or ""


def started(service: Service, shell: str, command: str) -> str:
    line = f"<rsp:CommandLine><rsp:Command>{command}</rsp:Command></rsp:CommandLine>"
    answer = service.answer(Me(), request(f"{SHELL}/Command", line, shell))
    return ET.fromstring(answer.body).findtext(f".//{{{SHELL}}}CommandId") or ""


def test_a_response_answers_its_request(service: Service) -> None:
    answer = service.answer(Me(), request(f"{TRANSFER}/Create", "<rsp:Shell/>"))
    envelope = ET.fromstring(answer.body)
    assert answer.status == 200
    assert envelope.findtext(f".//{{{ADDRESSING}}}RelatesTo") == MESSAGE
    assert envelope.findtext(f".//{{{ADDRESSING}}}Action") == f"{TRANSFER}/CreateResponse"
    assert envelope.findtext(f".//{{{WSMAN}}}Selector") == envelope.findtext(f".//{{{SHELL}}}ShellId")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no xml", 2150858819),
        (b"<half>", 2150858819),
        (b"<a/>", 2150858819),
        (request(f"{TRANSFER}/Create", timeout="soon"), 2150858819),
        (request(f"{TRANSFER}/Get"), 2150858753),
        (request(f"{TRANSFER}/Create", resource="http://schemas.microsoft.com/powershell/x"), 2150858752),
        (request(f"{SHELL}/Command", shell="GONE"), 2150858843),
        (request(f"{SHELL}/Receive"), 2150858843),
        (request(f"{TRANSFER}/Delete", shell="GONE"), 2150858843),
    ],
)
def test_what_is_wrong_is_a_fault(service: Service, body: bytes, code: int) -> None:
    answer = service.answer(Me(), body)
    assert (answer.status, answer.fault) == (500, code)
    assert f'Code="{code}" Machine="DB1"' in answer.body.decode()


def test_a_body_without_its_element_is_a_fault(service: Service) -> None:
    shell = created(service)
    for action in ("Command", "Send", "Receive", "Signal"):
        assert service.answer(Me(), request(f"{SHELL}/{action}", shell=shell)).fault == 2150858819


@given(body=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_body_is_answered_with_a_failure_of_the_lab(body: bytes) -> None:
    class Nothing:
        name = "DB1"

    answer = Service(Nothing(), Settings()).answer(Me(), body)  # type: ignore[arg-type]
    assert answer.fault == 2150858819


def test_input_after_the_end_finds_no_pipe(service: Service, computer: Any) -> None:
    shell = created(service)
    command = started(service, shell, "exit 3")
    data = base64.b64encode(b"more").decode()
    send = f'<rsp:Send><rsp:Stream Name="stdin" CommandId="{command}">{data}</rsp:Stream></rsp:Send>'
    assert service.answer(Me(), request(f"{SHELL}/Send", send, shell)).fault == 109
    receive = f'<rsp:Receive><rsp:DesiredStream CommandId="{command}">stdout stderr</rsp:DesiredStream></rsp:Receive>'
    answer = service.answer(Me(), request(f"{SHELL}/Receive", receive, shell))
    assert b"CommandState/Done" in answer.body
    assert b"<rsp:ExitCode>3</rsp:ExitCode>" in answer.body


def test_nothing_to_receive_is_the_fault_of_the_operation_timeout(service: Service) -> None:
    shell = created(service)
    command = started(service, shell, "wait")
    receive = f'<rsp:Receive><rsp:DesiredStream CommandId="{command}">stdout</rsp:DesiredStream></rsp:Receive>'
    answer = service.answer(Me(), request(f"{SHELL}/Receive", receive, shell))
    assert answer.fault == 0x80338029
    assert "<s:Value>w:TimedOut</s:Value>" in answer.body.decode()


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("PT20S", 20), ("PT0.500S", 0.5), ("P0DT0H1M0S", 60), ("P1DT1H1M1S", 90061), ("PT2H", 7200), ("", 60)],
)
def test_durations(duration: str, expected: float) -> None:
    assert seconds(duration) == expected


@pytest.mark.parametrize("duration", ["20", "PT20", "P1Y", "-PT1S", "soon"])
def test_what_is_no_duration(duration: str) -> None:
    with pytest.raises(Fault):
        seconds(duration)


@pytest.mark.parametrize("command", [r"C:\Windows\cmd.exe", '"C:\\Program Files\\a.exe"', r"\\server\share\a.exe"])
def test_full_paths(command: str) -> None:
    assert is_full_path(command)


@pytest.mark.parametrize("command", ["cmd.exe", r"%SystemRoot%\cmd.exe", r"Windows\cmd.exe", r"\cmd.exe", "C:cmd.exe", ""])
def test_what_is_no_full_path(command: str) -> None:
    assert not is_full_path(command)

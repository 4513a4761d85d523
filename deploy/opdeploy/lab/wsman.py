"""WS-Management as WinRS speaks it: one SOAP request in, one response or fault out.

Create, Command, Send, Receive, Signal and Delete on the resource shell/cmd ([MS-WSMV] 3.1.4); nothing else
of WS-Management. Knows no HTTP, no logon and no sealing (`http`), and keeps nothing: shells and their output are in
`shells`.
"""

import base64
import binascii
import re
import threading
import traceback
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from opdeploy.lab import faults
from opdeploy.lab.faults import Fault
from opdeploy.lab.settings import Settings
from opdeploy.lab.shells import Account, Around, Computer, Process, Received, Shell, Shells, interrupt

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
WSMAN_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
CIM_ERROR = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
ANONYMOUS = f"{ADDRESSING}/role/anonymous"
FAULT_ACTION = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
CMD_SHELL = f"{SHELL}/cmd"

DEFAULT_TIMEOUT = 60.0
"""MaxTimeoutms: how long an operation may take whose request names no OperationTimeout."""
SMALLEST_ENVELOPE = 8192
"""DSP0226: the least MaxEnvelopeSize that a service has to take for what it says."""
ENVELOPE_COSTS = 2048
"""Bytes that a ReceiveResponse costs beyond its streams."""


@dataclass(frozen=True)
class Request:
    """One parsed envelope. `timeout` in seconds, `max_envelope_size` in bytes, as the client asks for them."""

    action: str
    resource_uri: str
    message_id: str
    to: str
    shell_id: str
    timeout: float
    max_envelope_size: int
    options: dict[str, str]
    body: ET.Element

    def element(self, name: str) -> ET.Element:
        """The first element of the shell's namespace with this name in the body. Raises the fault not_understood."""
        found = self.body.find(f".//{{{SHELL}}}{name}")
        if found is None:
            raise faults.not_understood(f"the body has no rsp:{name}")
        return found

    def option(self, name: str) -> bool:
        return self.options.get(name, "").upper() in ("TRUE", "1")


@dataclass(frozen=True)
class Answer:
    """`action` is the last word of the request's, for logs; `fault` the code of the fault, if it is one."""

    status: int
    body: bytes
    action: str = ""
    shell_id: str = ""
    fault: int | None = None


def parse(body: bytes) -> Request:
    """Raises the fault not_understood."""
    try:
        envelope = ET.fromstring(body)  # noqa: S314  (loopback, logged on, and expat limits entities itself)
    except ET.ParseError:
        raise faults.not_understood("it is not well-formed XML") from None
    header, content = envelope.find(f"{{{SOAP}}}Header"), envelope.find(f"{{{SOAP}}}Body")
    if header is None or content is None:
        raise faults.not_understood("the envelope has no header or no body")
    size = _text(header, WSMAN, "MaxEnvelopeSize")
    return Request(
        action=_text(header, ADDRESSING, "Action"),
        resource_uri=_text(header, WSMAN, "ResourceURI"),
        message_id=_text(header, ADDRESSING, "MessageID"),
        to=_text(header, ADDRESSING, "To"),
        shell_id=_named(header, "Selector").get("ShellId", ""),
        timeout=seconds(_text(header, WSMAN, "OperationTimeout")),
        max_envelope_size=max(int(size), SMALLEST_ENVELOPE) if size.isdecimal() else 150 * 1024,
        options=_named(header, "Option"),
        body=content,
    )


def seconds(duration: str) -> float:
    """An xs:duration of days and less, `PT20S` or `P0DT0H1M0.500S`; empty means the service's own. Raises
    not_understood."""
    if not duration:
        return DEFAULT_TIMEOUT
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", duration.strip())
    if not found:
        raise faults.not_understood("OperationTimeout is no duration")
    return sum(float(part or 0) * unit for part, unit in zip(found.groups(), (86400, 3600, 60, 1), strict=True))


def _text(header: ET.Element, namespace: str, name: str) -> str:
    return (header.findtext(f"{{{namespace}}}{name}") or "").strip()


def _named(header: ET.Element, name: str) -> dict[str, str]:
    return {element.get("Name", ""): element.text or "" for element in header.iter(f"{{{WSMAN}}}{name}")}


class Service:
    """One computer's WinRM service, whatever it is reached over."""

    def __init__(self, computer: Computer, settings: Settings) -> None:
        self.shells = Shells(settings)
        self._computer = computer
        self._settings = settings
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop every process and whatever waits."""
        self._stopped.set()
        self.shells.close()

    def answer(self, account: Account, body: bytes) -> Answer:
        """Never raises: what goes wrong in the model behind is a fault that names the place and no values."""
        request = None
        try:
            if len(body) > self._settings.max_envelope_size:
                raise faults.too_large(len(body), self._settings.max_envelope_size)
            request = parse(body)
            body = envelope(f"{request.action}Response", request.message_id, self._perform(account, request))
            return Answer(200, body, _last_word(request.action), request.shell_id)
        except Fault as fault:
            return self._failed(request, fault)
        except Exception as error:
            return self._failed(request, faults.lab_failed(_place(error)))

    def _perform(self, account: Account, request: Request) -> str:
        if request.resource_uri != CMD_SHELL:
            raise faults.unknown_resource()
        if self._settings.hang:
            self._stopped.wait(request.timeout)
            raise faults.timed_out()
        if request.action == f"{TRANSFER}/Create":
            return self._create(account, request)
        if request.action == f"{TRANSFER}/Delete":
            self.shells.delete(account, request.shell_id)
            return ""
        operation = _OPERATIONS.get(request.action)
        if operation is None:
            raise faults.unknown_action()
        return operation(self, self.shells.find(account, request.shell_id), request)

    def _failed(self, request: Request | None, fault: Fault) -> Answer:
        body = envelope(FAULT_ACTION, request.message_id if request else "", _fault(fault, self._computer.name))
        action, shell_id = (_last_word(request.action), request.shell_id) if request else ("", "")
        return Answer(500, body, action, shell_id, fault.code)

    def _create(self, account: Account, request: Request) -> str:
        codepage = request.options.get("WINRS_CODEPAGE", "437")
        if not codepage.isdecimal():
            raise faults.not_understood("WINRS_CODEPAGE is no number")
        variables = {item.get("Name", ""): item.text or "" for item in request.body.iter(f"{{{SHELL}}}Variable")}
        directory = request.body.findtext(f".//{{{SHELL}}}WorkingDirectory") or ""
        shell = self.shells.create(account, Around(int(codepage), directory, variables))
        return _created(shell, rf"{self._computer.name}\{account.name}", request.to)

    def _command(self, shell: Shell, request: Request) -> str:
        shell.count(self._settings.max_operations_per_shell)
        line = request.element("CommandLine")
        command = line.findtext(f"{{{SHELL}}}Command") or ""
        arguments = [argument.text or "" for argument in line.findall(f"{{{SHELL}}}Arguments")]
        command_id = (line.get("CommandId") or str(uuid.uuid4())).upper()
        shell.commands[command_id] = self._start(shell, command, arguments, request.option("WINRS_SKIP_CMD_SHELL"))
        return f"<rsp:CommandResponse><rsp:CommandId>{escape(command_id)}</rsp:CommandId></rsp:CommandResponse>"

    def _start(self, shell: Shell, command: str, arguments: list[str], skip_cmd: bool) -> Process:
        if skip_cmd and not is_full_path(command):
            raise faults.file_not_found()
        line = " ".join([command, *arguments])
        try:
            return self._computer.start(line, shell.account, shell.around, skip_cmd=skip_cmd)
        except FileNotFoundError:
            raise faults.file_not_found() from None
        except PermissionError:
            raise faults.access_denied() from None

    def _send(self, shell: Shell, request: Request) -> str:
        shell.count(self._settings.max_operations_per_shell)
        stream = request.element("Stream")
        process = shell.command(stream.get("CommandId", ""))
        try:
            data = base64.b64decode(stream.text or "")
        except binascii.Error:
            raise faults.not_understood("the stream is not base64") from None
        if process.output.exit_code is not None:
            raise faults.pipe_ended()
        try:
            process.feed(data, stream.get("End", "").lower() in ("true", "1"))
        except BrokenPipeError:
            raise faults.pipe_ended() from None
        return "<rsp:SendResponse/>"

    def _receive(self, shell: Shell, request: Request) -> str:
        shell.count(self._settings.max_operations_per_shell)
        command_id = request.element("DesiredStream").get("CommandId", "")
        room = min(request.max_envelope_size, self._settings.max_envelope_size) - ENVELOPE_COSTS
        received = shell.command(command_id).output.take(room * 3 // 4, request.timeout)
        return _received(command_id, received)

    def _signal(self, shell: Shell, request: Request) -> str:
        command_id, code = request.element("Signal").get("CommandId", ""), request.element("Code").text or ""
        if code.lower().endswith("/terminate"):
            shell.end(command_id)
        elif command_id in shell.commands:
            interrupt(shell.commands[command_id])
        return "<rsp:SignalResponse/>"


_OPERATIONS: dict[str, Callable[[Service, Shell, Request], str]] = {
    f"{SHELL}/Command": Service._command,
    f"{SHELL}/Send": Service._send,
    f"{SHELL}/Receive": Service._receive,
    f"{SHELL}/Signal": Service._signal,
}


def is_full_path(command: str) -> bool:
    """What CreateProcess finds without a search: it looks through no PATH, expands no variable."""
    return re.match(r'"?(?:[A-Za-z]:\\|\\\\)', command) is not None


def _last_word(action: str) -> str:
    return action.rpartition("/")[2]


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, {last.filename}:{last.lineno}"


def envelope(action: str, relates_to: str, content: str) -> bytes:
    """A response's whole text, with `content` (XML) as its body."""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:x="{TRANSFER}" xmlns:w="{WSMAN}" '
        f'xmlns:rsp="{SHELL}"><s:Header><a:Action>{escape(action)}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{ANONYMOUS}</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header><s:Body>{content}</s:Body></s:Envelope>"
    ).encode()


def _created(shell: Shell, owner: str, address: str) -> str:
    return (
        f"<x:ResourceCreated><a:Address>{escape(address)}</a:Address><a:ReferenceParameters>"
        f'<w:ResourceURI>{CMD_SHELL}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell.id}</w:Selector>'
        f"</w:SelectorSet></a:ReferenceParameters></x:ResourceCreated><rsp:Shell><rsp:ShellId>{shell.id}</rsp:ShellId>"
        f"<rsp:ResourceUri>{CMD_SHELL}</rsp:ResourceUri><rsp:Owner>{escape(owner)}</rsp:Owner>"
        "<rsp:ClientIP>127.0.0.1</rsp:ClientIP><rsp:IdleTimeOut>PT7200.000S</rsp:IdleTimeOut>"
        "<rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams>"
        "<rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>"
    )


def _received(command_id: str, received: Received) -> str:
    name = quoteattr(command_id)
    streams = "".join(
        f'<rsp:Stream Name="{stream}" CommandId={name}>{base64.b64encode(data).decode()}</rsp:Stream>'
        for stream, data in received.pieces
    )
    if received.exit_code is None:
        state = f'<rsp:CommandState CommandId={name} State="{SHELL}/CommandState/Running"/>'
    else:
        ends = "".join(f'<rsp:Stream Name="{stream}" CommandId={name} End="true"/>' for stream in ("stdout", "stderr"))
        exit_code = f"<rsp:ExitCode>{received.exit_code}</rsp:ExitCode>"
        state = f'<rsp:CommandState CommandId={name} State="{SHELL}/CommandState/Done">{exit_code}</rsp:CommandState>'
        state = ends + state
    return f"<rsp:ReceiveResponse>{streams}{state}</rsp:ReceiveResponse>"


def _fault(fault: Fault, machine: str) -> str:
    reason = escape(fault.message)
    detail = f"<w:FaultDetail>{fault.detail}</w:FaultDetail>" if fault.detail else ""
    return (
        f"<s:Fault><s:Code><s:Value>s:{fault.side}</s:Value><s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{reason}</s:Text></s:Reason>'
        f"<s:Detail>{detail}{_cim_error(fault) if fault.as_cim else _wsman_fault(fault, machine)}</s:Detail></s:Fault>"
    )


def _wsman_fault(fault: Fault, machine: str) -> str:
    return (
        f'<f:WSManFault xmlns:f="{WSMAN_FAULT}" Code="{fault.code}" Machine={quoteattr(machine)}>'
        f"<f:Message>{escape(fault.message)}</f:Message></f:WSManFault>"
    )


def _cim_error(fault: Fault) -> str:
    return (
        f'<p:MSFT_WmiError b:IsCIM_Error="true" xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" '
        f'xmlns:p="{CIM_ERROR}"><p:CIMStatusCode>27</p:CIMStatusCode><p:Message>{escape(fault.message)}</p:Message>'
        f"<p:MessageID>HRESULT 0x{fault.code:08x}</p:MessageID><p:error_Code>{fault.code}</p:error_Code>"
        "</p:MSFT_WmiError>"
    )

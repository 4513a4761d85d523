"""The faults of WS-Management and WinRS, each with the code that Windows gives it.

Codes are those of wsmerror.h and winerror.h; the wording of the first is what clients print. A quota's fault comes as a
CIM error (`MSFT_WmiError`), as Windows Server 2012 and later send it; all others come as a `WSManFault`.
"""

from dataclasses import dataclass

FAULT_DETAIL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail"


@dataclass(eq=False)
class Fault(Exception):
    """What the service answers instead of a response, always with HTTP 500. The message names no value that a body
    carried."""

    code: int
    message: str
    subcode: str
    side: str = "Sender"
    detail: str = ""
    as_cim: bool = False


def timed_out() -> Fault:
    text = "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  "
    return Fault(0x80338029, text, subcode="w:TimedOut", side="Receiver")


def shell_not_found(shell_id: str) -> Fault:
    text = (
        f"The request for the Windows Remote Shell with ShellId {shell_id} failed because the shell was not found "
        "on the server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the "
        "server. Provide the correct ShellId or create a new shell and retry the operation. "
    )
    return Fault(0x8033805B, text, subcode="w:InvalidSelectors", detail=f"{FAULT_DETAIL}/UnexpectedSelectors")


def command_not_found(command_id: str) -> Fault:
    text = (
        f"The request for the Windows Remote Shell failed because the command with CommandId {command_id} "
        "was not found on the server. "
    )
    return Fault(0x8033805B, text, subcode="w:InvalidSelectors", detail=f"{FAULT_DETAIL}/UnexpectedSelectors")


def too_many_shells(limit: int) -> Fault:
    text = (
        f"The WS-Management service cannot process the request. This user is allowed a maximum number of {limit} "
        "concurrent shells, which has been exceeded. Close existing shells or raise the quota for this user. "
    )
    return Fault(0x803381A5, text, subcode="w:QuotaLimit", as_cim=True)


def too_many_operations(limit: int) -> Fault:
    text = (
        f"The WS-Management service cannot process the request. This user is allowed a maximum number of {limit} "
        "concurrent operations, which has been exceeded. Close existing operations for this user, or raise the quota "
        "for this user. "
    )
    return Fault(0x803381A6, text, subcode="w:QuotaLimit", as_cim=True)


def too_large(size: int, limit: int) -> Fault:
    text = f"The size of the request ({size} bytes) exceeds MaxEnvelopeSize ({limit} bytes). "
    return Fault(0x80338047, text, subcode="w:EncodingLimit", detail=f"{FAULT_DETAIL}/MaxEnvelopeSize")


def file_not_found() -> Fault:
    text = "The system cannot find the file specified. "
    return Fault(0x80070002, text, subcode="w:InternalError", side="Receiver")


def pipe_ended() -> Fault:
    return Fault(109, "The pipe has been ended. ", subcode="w:InternalError", side="Receiver")


def aborted() -> Fault:
    text = "The I/O operation has been aborted because of either a thread exit or an application request. "
    return Fault(995, text, subcode="w:InternalError", side="Receiver")


def not_understood(what: str) -> Fault:
    text = f"The SOAP XML in the message is not what WS-Management expects: {what}. "
    return Fault(0x80338043, text, subcode="w:SchemaValidationError")


def unknown_resource() -> Fault:
    text = "The WS-Management service cannot process the request. The lab has no resource but the shell/cmd of WinRS. "
    return Fault(0x80338000, text, subcode="a:DestinationUnreachable", detail=f"{FAULT_DETAIL}/InvalidResourceURI")


def unknown_action() -> Fault:
    text = "The lab's WS-Management service knows Create, Command, Send, Receive, Signal and Delete, no other action. "
    return Fault(0x80338001, text, subcode="a:ActionNotSupported")


def access_denied() -> Fault:
    return Fault(5, "Access is denied. ", subcode="w:AccessDenied")


def lab_failed(where: str) -> Fault:
    text = f"An internal error occurred in the lab itself: {where}. "
    return Fault(1359, text, subcode="w:InternalError", side="Receiver")

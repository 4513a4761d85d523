"""What went wrong between us and a host, in one plain line and a hint of what to do.

Knows the errors of pywinrm by their marks, not by importing it, and never quotes a request or a whole response: those hold
what was sent. Codes: winerror.h, wsmerror.h.
"""

from __future__ import annotations

import re
import socket
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from opdeploy.model import HostError, HostFailed, LogonRefused, OpdeployError, UsageError

if TYPE_CHECKING:
    from opdeploy.windows.winrs import Target

ACCESS_DENIED = (5, 0x80070005)
FILE_NOT_FOUND = 0x80070002
TOO_MANY_SHELLS = 0x803381A5

UNTRUSTED = "give the CA that issued it (ansible_winrm_ca_trust_path), and in ansible_host the name it is issued to"
CERTIFICATES = {  # OpenSSL's reasons
    "expired": "renew the certificate of the host's WinRM listener; is the clock of this machine right?",
    "not yet valid": "is the clock right, here and on the host?",
    "mismatch": "give in ansible_host the name that it is issued to, or have it issued to this one",
}


def explained(target: Target, error: Exception) -> OpdeployError:
    """The error as a person is told it: HostError, HostFailed or UsageError."""
    from requests.exceptions import RequestException

    if isinstance(error, OpdeployError):
        return error
    if hasattr(error, "wsman_fault_code"):
        return _fault(target, error)
    if hasattr(error, "response_text"):
        return _http(target, error)
    if type(error).__module__ == "winrm.exceptions":
        return _refusal(target, error)
    if isinstance(error, RequestException):
        return _connection(target, error)
    return _strange(target, error)


def fault_code(fault: Any) -> int:
    """A fault's code as an unsigned number; a quota's comes as a CIM error."""
    return int(getattr(fault, "wsman_fault_code", 0) or getattr(fault, "wmierror_code", 0) or 0) & 0xFFFFFFFF


def _fault(target: Target, fault: Any) -> OpdeployError:
    code = fault_code(fault)
    if code in ACCESS_DENIED or str(fault.fault_subcode).endswith(":AccessDenied"):
        return HostError(
            f"{target.where}: access denied: {target.login} may not open a remote shell there",
            "it has to be in the host's Administrators, or in Remote Management Users with leave to use the shell",
        )
    if code == TOO_MANY_SHELLS:
        return HostError(
            f"{target.where}: {target.login} has as many remote shells open as WinRM allows",
            "end those that nobody uses (after two idle hours they end by themselves), or raise MaxShellsPerUser",
        )
    said = " ".join(fault.reason.split())[:300]
    return HostError(f"{target.where}: WinRM answered with fault 0x{code:08X}: {said}", f"winrm helpmsg 0x{code:08X} says more")


def _http(target: Target, error: Any) -> OpdeployError:
    if error.code == 413:
        hint = "raise MaxEnvelopeSizekb to 500 (winrm set winrm/config)"
        return HostError(f"{target.where}: a request was too large for the host (HTTP 413)", hint)
    return _not_winrm(target, f"HTTP {error.code}")


def _refusal(target: Target, error: Exception) -> OpdeployError:
    if type(error).__name__ == "InvalidCredentialsError" and "rejected by the server" in str(error):
        return LogonRefused(
            f"{target.where}: login refused for {target.login} ({target.transport})",
            "the password is wrong or has expired, the account is locked or disabled, or this kind of login is not allowed "
            "there: a host does not say which",
        )
    if type(error).__name__ == "WinRMOperationTimeoutError":
        return HostError(f"{target.where}: WinRM did not do in time what it was asked", "is the host overloaded?")
    if "kerberos" in str(error):
        hint = "install it, in the project's folder: .venv/bin/pip install -e '.[kerberos]'"
        return UsageError(f"{target.where}: kerberos is not installed here", hint)
    return UsageError(f"{target.where}: {error}")


def _connection(target: Target, broken: Any) -> OpdeployError:
    from requests import exceptions

    if isinstance(broken, exceptions.SSLError):
        return _tls(target, str(broken))
    if isinstance(broken, exceptions.ConnectTimeout):
        reason = f"no connection within {target.connection_timeout:g} s"
        hint = "is the host up, and does a firewall drop this port?"
    elif isinstance(broken, exceptions.Timeout):
        reason, hint = "connected, but it did not answer in time", "is the host overloaded, or its WinRM service stuck?"
    elif _caused_by(broken, socket.gaierror):
        reason, hint = f"the name {target.address!r} can't be resolved", "correct ansible_host, or give an address"
    elif _caused_by(broken, HTTPException) and not _caused_by(broken, ConnectionError):
        return _not_winrm(target, "its answer is no HTTP")
    elif _caused_by(broken, ConnectionRefusedError):
        reason, hint = "the port is closed", "is WinRM enabled there (winrm quickconfig), and on this port?"
    else:
        reason, hint = "the connection broke", "is the network steady, and is this the listener's port and scheme?"
    return HostError(f"{target.where}: {reason}", hint)


def _tls(target: Target, text: str) -> OpdeployError:
    found = re.search(r"certificate verify failed: ([^(\\]+)", text)
    if not found:
        return HostError(f"{target.where}: no TLS could be agreed on", "is this the HTTPS listener's port (5986)?")
    reason = found[1].strip().rstrip(".")
    hint = next((hint for mark, hint in CERTIFICATES.items() if mark in reason), UNTRUSTED)
    return HostError(f"{target.where}: its certificate is not trusted: {reason}", hint)


def _strange(target: Target, error: Exception) -> OpdeployError:
    """What neither library owns up to: an answer that they could not make sense of, or Kerberos' own errors."""
    if target.transport == "kerberos" and type(error).__module__.startswith(("gssapi", "krb", "winrm.vendor")):
        return HostError(f"{target.where}: kerberos: {error}", "is there a ticket (klist), and does DNS know the host?")
    known = isinstance(error, AttributeError)  # pywinrm looks for a SOAP body where there is none
    return _not_winrm(target, "its answer is no WS-Management" if known else type(error).__name__)


def _not_winrm(target: Target, detail: str) -> OpdeployError:
    hint = "is this the right address, port and scheme?"
    return HostFailed(f"{target.where}: what answers there is not WinRM ({detail})", hint)


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        reason = getattr(error.args[0], "reason", None) if error.args else None
        error = error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)
    return False

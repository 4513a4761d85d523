"""What this machine gets through to, as .NET's TcpClient and SslStream say it.

Shape: ``state.network`` is {"name:port": "open" | "refused" | "silent" | "bad certificate" | "no TLS"}; any other name is
nobody's. .NET Framework gives every SocketException the same HRESULT.
"""

from __future__ import annotations

from opdeploy.lab.windows.errors import Refused, dotnet
from opdeploy.lab.windows.state import State
from opdeploy.lab.windows.wire import ended

E_FAIL = -2147467259
_SOCKET = "System.Net.Sockets.SocketException"
_REFUSED = "No connection could be made because the target machine actively refused it"
_CERTIFICATE = "The remote certificate is invalid according to the validation procedure."
_NO_TLS = "The handshake failed due to an unexpected packet format."


def probe(state: State, name: str, port: int, tls: bool, seconds: int) -> bool:
    """True, or raises Refused as the verb net.probe fails."""
    answers = state.network.get(f"{name.lower()}:{port}", "nobody")
    if answers == "silent":
        raise ended("NoAnswer", f"no answer within {seconds} s")
    if answers == "refused":
        raise _socket(f"{_REFUSED} {name}:{port}")
    if answers == "nobody":
        raise _socket("No such host is known")
    if tls and answers == "bad certificate":
        raise dotnet(_CERTIFICATE, "System.Security.Authentication.AuthenticationException", -2146233087)
    if tls and answers == "no TLS":
        raise dotnet(_NO_TLS, "System.IO.IOException", -2146232800)
    return True


def _socket(text: str) -> Refused:
    return dotnet(text, _SOCKET, E_FAIL)

"""Sealed bodies: a SOAP envelope encrypted with the logon's own keys and wrapped as multipart/encrypted.

[MS-WSMV] 2.2.9.1, SPNEGO's form only. It looks like MIME and is none: the boundary's bytes are fixed, header lines
start with a tab, no empty line ends them, and clients split on exactly these bytes.
"""

import re
import struct
from typing import Protocol

from spnego.exceptions import SpnegoError

PROTOCOL = "application/HTTP-SPNEGO-session-encrypted"
CONTENT_TYPE = f'multipart/encrypted;protocol="{PROTOCOL}";boundary="Encrypted Boundary"'
_END = b"--Encrypted Boundary--\r\n"
_WRAPPED = re.compile(
    rb"--Encrypted Boundary\r\n\s*Content-Type: " + re.escape(PROTOCOL.encode()) + rb"\r\n"
    rb"\s*OriginalContent: type=application/soap\+xml;charset=UTF-8;Length=(\d+)\r\n"
    rb"--Encrypted Boundary\r\n\s*Content-Type: application/octet-stream\r\n(.*)--Encrypted Boundary--\r\n",
    re.DOTALL,
)


class Wrapped(Protocol):
    """What `wrap_winrm` gives."""

    header: bytes
    data: bytes


class Context(Protocol):
    """The part of pyspnego's ContextProxy that sealing needs."""

    def wrap_winrm(self, data: bytes) -> Wrapped: ...

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes: ...


def is_sealed(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/encrypted")


def seal(context: Context, envelope: bytes) -> bytes:
    """The body to send with CONTENT_TYPE."""
    wrapped = context.wrap_winrm(envelope)
    head = (
        f"--Encrypted Boundary\r\n\tContent-Type: {PROTOCOL}\r\n"
        f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(envelope)}\r\n"
        "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
    ).encode()
    return head + struct.pack("<i", len(wrapped.header)) + wrapped.header + wrapped.data + _END


def unseal(context: Context, body: bytes) -> bytes:
    """Raises ValueError for a body that is not of this form or was not sealed by this context's other end."""
    found = _WRAPPED.fullmatch(body)
    if not found or len(found[2]) < 4:
        raise ValueError("not a sealed body")
    length, sealed = int(found[1]), found[2]
    signature_end = 4 + int.from_bytes(sealed[:4], "little")
    try:
        envelope = context.unwrap_winrm(sealed[4:signature_end], sealed[signature_end:])
    except SpnegoError as error:
        raise ValueError("sealed by another logon") from error
    if len(envelope) != length:
        raise ValueError("the length differs from the one announced")
    return envelope

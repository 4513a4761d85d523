"""A signed word on a plan, and whether its signature is genuine. Pure.

An approval is an Ed25519 signature (RFC 8032) over the plan's digest and every field of the approval, as canonical JSON
behind a text of its own, so that no signature made for anything else passes for one. Keys are written as OpenSSH writes
them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from opdeploy.rendering import canonical, timestamp
from opdeploy.results import Approval

CONTEXT = b"opdeploy.approval/1\0"
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


# ---------------------------------------------------------------- keys and times


def openssh(key: Ed25519PublicKey) -> str:
    """``ssh-ed25519 AAAA…``, without a comment. [RFC 8709 4]"""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(key: str) -> str:
    """As ``ssh-keygen -l`` prints it: SHA-256 of the key's blob in base64, without padding."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _public(line: str) -> str:
    """Without its comment, so that two lines of one key are the same text. A plain key: a security key (sk-…) signs in a form
    of its own, and of a certificate nobody would see the end."""
    try:
        key = load_ssh_public_key(line.strip().encode()) if line.split()[:1] == ["ssh-ed25519"] else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("expected a public key as 'ssh-keygen -t ed25519' writes it: ssh-ed25519 AAAA… (its .pub file)")
    return openssh(key)


def _bare(key: str) -> str:
    if _public(key) != key:
        raise ValueError("the key is not in the form that is signed")
    return key


def _time(text: str) -> str:
    if not TIME.fullmatch(text) or timestamp(datetime.fromisoformat(text)) != text:
        raise ValueError("expected a time like 2026-12-31T18:00:00Z")
    return text


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("expected a line of text")
    return text


Line = Annotated[str, AfterValidator(_line)]
Time = Annotated[str, AfterValidator(_time)]
PublicKey = Annotated[str, AfterValidator(_public)]


# ---------------------------------------------------------------- an approval


class SignedApproval(BaseModel):
    """One signed word on a plan, as a plan file holds it. Nobody has verified it yet. A rejection does not expire."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: Line
    decision: Literal["approve", "reject"]
    at: Time
    note: Line
    expires: Time | Literal[""]
    key: Annotated[str, AfterValidator(_bare)]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if bool(self.expires) != (self.decision == "approve"):
            raise ValueError("an approval expires, a rejection does not")
        return self

    @property
    def told(self) -> Approval:
        return Approval(self.by, self.decision, self.at, self.note, self.expires, fingerprint(self.key))


def sign(
    key: Ed25519PrivateKey,
    digest: str,
    *,
    by: str,
    note: str,
    at: datetime,
    expires: datetime | None,
) -> SignedApproval:
    """An approval of the plan of that digest; one that never expires is a rejection."""
    fields = {
        "by": by,
        "decision": "approve" if expires else "reject",
        "at": timestamp(at),
        "note": note,
        "expires": timestamp(expires) if expires else "",
        "key": openssh(key.public_key()),
    }
    return SignedApproval.model_validate(fields | {"signature": key.sign(_signed(digest, fields)).hex()})


def is_genuine(approval: SignedApproval, digest: str) -> bool:
    """Whether the key that it carries signed exactly this, of exactly this plan."""
    key = load_ssh_public_key(approval.key.encode())
    assert isinstance(key, Ed25519PublicKey)
    fields = approval.model_dump(exclude={"signature"})
    try:
        key.verify(bytes.fromhex(approval.signature), _signed(digest, fields))
    except InvalidSignature:
        return False
    return True


def _signed(digest: str, fields: Mapping[str, str]) -> bytes:
    return CONTEXT + canonical({"plan": digest, **fields}).encode()

"""The store's key: 32 random bytes beside it (mode 0600), under which secrets and command lines become fingerprints."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from opdeploy.model import UsageError

NAME = "key"
LENGTH = 32


def load(folder: Path) -> bytes:
    """The key in `folder`, made there if there is none. Two processes that both make one end up with the same.

    Raises UsageError for a file that is no key, or that others may read: a new one would make every fingerprint worthless.
    """
    path = folder / NAME
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != LENGTH:
        hint = "restore it; without it no recorded password and no plan file can be compared"
        raise UsageError(f"{path}: expected a key of {LENGTH} bytes, found {len(key)}", hint)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(f"{path}: others may read this key", f"chmod 600 {path}")
    return key


def _make(path: Path) -> None:
    """Written whole under another name first, then linked: a link never replaces what is there."""
    piece = path.with_name(f"{NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(piece, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(file.fileno())
        os.link(piece, path)
    except FileExistsError:
        return
    finally:
        piece.unlink()


def name(key: bytes) -> str:
    """Tells one key from another without giving it away: 16 hexadecimal digits."""
    return hmac.new(key, b"opdeploy: which key this is", hashlib.sha256).hexdigest()[:16]


def digest(key: bytes, text: str) -> str:
    """A keyed digest (HMAC-SHA256, hex), of another family than `Secret.fingerprint`: the two can't be compared."""
    return hmac.new(key, b"opdeploy digest:" + text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()

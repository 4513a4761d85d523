"""People with keys, and a machine whose approval policy names them and is another account's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from opdeploy.approvals import openssh

NAMES = ("anna", "berg")
KEYS = {name: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number, name in enumerate(NAMES)}
SOMEBODY = 4711  # nobody's files here are this account's


def key_file(folder: Path, name: str, key: Ed25519PrivateKey, form: str = "OpenSSH", passphrase: bytes = b"") -> Path:
    way = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    path = folder / name
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), way))
    path.chmod(0o600)
    return path


def configure(folder: Path, patch: pytest.MonkeyPatch, rules: str) -> None:
    """A machine whose configuration stands in this folder, with these rules."""
    folder.mkdir(mode=0o755, exist_ok=True)
    lines = "".join(f"  {name}: {openssh(key.public_key())} {name}@audit\n" for name, key in KEYS.items())
    (folder / "policy.yml").write_text(f"approvers:\n{lines}{rules}")
    (folder / "config.yml").write_text("policy: policy.yml\n")
    for path in folder.iterdir():
        path.chmod(0o644)
    patch.setenv("OPDEPLOY_CONFIG", str(folder / "config.yml"))
    patch.setattr(os, "geteuid", lambda: SOMEBODY)

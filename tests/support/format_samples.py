"""Where the format tests find samples: ours beside the tests, real Windows exports in /work/shared where there are any.

Readers of .reg text and of registry.pol [MS-GPREG 2.2.1] stand here: the package itself never reads either.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = Path(__file__).parent.parent / "formats" / "samples"
SHARED = Path("/work/shared/samples")

Registry = dict[str, dict[str, object]]


def shared(*patterns: str) -> list[Path]:
    """The real exports that match; where the collection is not at hand, the test that asks is skipped."""
    if not SHARED.is_dir():
        pytest.skip(f"the collection of real Windows exports is not at {SHARED}; our own samples are tested all the same")
    found = sorted(path for pattern in patterns for path in SHARED.glob(pattern))
    assert found, f"no sample matches {patterns}"
    return found


def rows(path: Path) -> Iterator[list[str]]:
    """The cells of a tab-separated sample, blank and comment lines left out."""
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def read_reg(path: Path) -> Registry:
    """Key -> value name -> data of a .reg file: text, numbers, lists of text, bytes of anything else."""
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw[:2] == b"\xff\xfe" else "utf-8-sig").replace("\\\r\n  ", "").replace("\\\n  ", "")
    keys: Registry = {}
    for line in text.splitlines():
        if line.startswith("["):
            keys[line.strip("[]")] = current = {}
        elif match := re.match(r'(?:"((?:[^"\\]|\\.)*)"|(@))=(.*)', line):
            current[_unescaped(match[1] or "")] = _data(match[3])
    return keys


def _data(text: str) -> object:
    if text.startswith('"'):
        return _unescaped(text[1:-1])
    if text.startswith("dword:"):
        return int(text[6:], 16)
    kind, _, octets = text.partition(":")
    blob = bytes(int(octet, 16) for octet in octets.split(",") if octet)
    if kind == "hex(7)":
        return [item for item in blob.decode("utf-16-le").split("\0") if item]
    return blob.decode("utf-16-le").rstrip("\0") if kind == "hex(2)" else blob


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def read_pol(path: Path) -> Registry:
    """The same of a registry.pol: text and numbers only."""
    data = path.read_bytes()
    assert data[:4] == b"PReg"
    entry = re.compile(rb"\[\0((?:[^\0]\0|\0[^\0])*?)\0\0;\0((?:[^\0]\0)*?)\0\0;\0(.{4});\0(.{4});\0", re.DOTALL)
    keys: Registry = {}
    position = 8
    while match := entry.match(data, position):
        key, name = (match[index].decode("utf-16-le") for index in (1, 2))
        kind, size = (struct.unpack("<I", match[index])[0] for index in (3, 4))
        blob = data[match.end() : match.end() + size]
        keys.setdefault(key, {})[name] = int.from_bytes(blob, "little") if kind == 4 else blob.decode("utf-16-le").rstrip("\0")
        position = match.end() + size + 2
    assert position == len(data), "a registry.pol was not read to its end"
    return keys

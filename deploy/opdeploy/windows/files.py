"""Files to and from a host through the agent: in pieces, so memory stays bounded, and whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import IO, Any

from opdeploy.calls import Failure, Read, Write, file_append, file_commit, file_read, file_stat
from opdeploy.model import OpdeployError
from opdeploy.windows.station import Station

PIECE = 96 * 1024  # bytes; a request with one stays below the host's envelope limit


def put(station: Station, source: IO[Any], path: str) -> None:
    """A local stream to `path`, which takes its name only when all of it has arrived right. Raises OpdeployError."""
    digest, offset = hashlib.sha256(), 0
    while True:
        piece = _bytes(source.read(PIECE))
        if piece or not offset:
            _write(station, file_append(path, offset, piece))
        if not piece:
            break
        digest.update(piece)
        offset += len(piece)
    _write(station, file_commit(path, digest.hexdigest()))


def get(station: Station, path: str, destination: IO[Any]) -> None:
    """`path` to a local stream; its hash is checked against the host's when it is whole. Raises OpdeployError."""
    told = _read(station, file_stat(path, hash=True))
    if told is None or told["directory"]:
        raise OpdeployError(f"{path}: {'is a folder' if told else 'no such file'} on the host")
    digest, offset, ended = hashlib.sha256(), 0, False
    while not ended:
        piece = _read(station, file_read(path, offset=offset, length=PIECE))
        data, ended = base64.b64decode(piece["bytes"]), piece["end"]
        digest.update(data)
        destination.write(data.decode() if isinstance(destination, io.TextIOBase) else data)
        offset += len(data)
    if digest.hexdigest() != told["sha256"].lower():
        raise OpdeployError(f"{path}: changed while it was read", "get it again")


def _bytes(piece: str | bytes) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


def _read(station: Station, read: Read) -> Any:
    answer = station.ask([read])[read.key]
    if isinstance(answer, Failure):
        raise OpdeployError(answer.message)
    return answer


def _write(station: Station, write: Write) -> None:
    if failures := station.write([write], []):
        raise OpdeployError(failures[0].message)

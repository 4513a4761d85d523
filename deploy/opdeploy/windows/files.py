"""Files to and from a host through the agent: in pieces, so memory stays bounded, and whole or not at all."""

from __future__ import annotations

import base64
import codecs
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
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
    digest, write = hashlib.sha256(), _writer(destination, path)
    for data in _pieces(station, path):
        digest.update(data)
        write(data)
    if digest.hexdigest() != told["sha256"].lower():
        raise OpdeployError(f"{path}: changed while it was read", "get it again")


def get_to(station: Station, path: str, local: Path) -> None:
    """The same to a local file, which takes its name only when all of it has arrived right."""
    piece = local.with_name(f".{local.name}.opdeploy")
    try:
        with piece.open("wb") as opened:
            get(station, path, opened)
        piece.replace(local)
    finally:
        piece.unlink(missing_ok=True)


def _pieces(station: Station, path: str) -> Iterator[bytes]:
    offset, ended = 0, False
    while not ended:
        read = file_read(path, offset=offset, length=PIECE)
        piece = _read(station, read)
        del station.observation[read.key]  # a file is not kept in memory
        data, ended = base64.b64decode(piece["bytes"]), piece["end"]
        offset += len(data)
        yield data


def _writer(destination: IO[Any], path: str) -> Callable[[bytes], object]:
    """Bytes as the stream takes them; a text stream gets UTF-8, whose characters pieces may cut in two."""
    if not isinstance(destination, io.TextIOBase):
        return destination.write
    decoder = codecs.getincrementaldecoder("utf-8")()

    def write(data: bytes) -> None:
        try:
            destination.write(decoder.decode(data))
        except UnicodeDecodeError as error:
            raise OpdeployError(f"{path}: is no UTF-8 text", "get it into a binary stream") from error

    return write


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

"""Files to and from a host through the agent: in pieces, so memory stays bounded, and whole or not at all."""

from __future__ import annotations

import base64
import codecs
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from opdeploy.calls import Failure, Read, file_read, file_stat
from opdeploy.model import OpdeployError
from opdeploy.windows.sending import Source
from opdeploy.windows.station import Station

PIECE = 96 * 1024  # bytes; an answer with one stays below the host's envelope limit
IN_MEMORY = 1024 * 1024


def put(station: Station, source: IO[Any], path: str) -> None:
    """A local stream, from its beginning, to `path`, which takes its name only when all of it has arrived right. Raises
    OpdeployError."""
    with _bytes(source) as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if failure := station.send(path, Source(f"what goes to {path}", sha256, size, lambda: nullcontext(stream))):
            raise OpdeployError(failure.message)


@contextmanager
def _bytes(source: IO[Any]) -> Iterator[Any]:
    """A stream that can be read more than once: itself, or a copy (of a text, or what comes over a pipe)."""
    if isinstance(source, io.RawIOBase | io.BufferedIOBase) and source.seekable():
        yield source
        return
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
        if source.seekable():
            source.seek(0)
        while piece := source.read(PIECE):
            copy.write(piece.encode() if isinstance(piece, str) else piece)
        yield copy


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


def _read(station: Station, read: Read) -> Any:
    answer = station.ask([read])[read.key]
    if isinstance(answer, Failure):
        raise OpdeployError(answer.message)
    return answer

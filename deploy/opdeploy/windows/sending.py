"""A file on its way to a host: in pieces, so memory stays bounded, and gone on with where it was cut.

`file.append` cuts what is there at its offset first, so a piece may come twice; `file.commit` proves the whole by its hash
before it takes its name. So a broken session is no failure here, as it is with other writes: the host is asked how far it is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil
from typing import IO, Any, Protocol

from opdeploy.calls import SESSION_LOST, Answer, Failure, Read, Write, file_append, file_commit, file_stat
from opdeploy.model import OpdeployError

PIECE = 449 * 1024  # bytes: in base64 just below four Sends of 150 KB (docs/sessions.md)
MB = 1024 * 1024
HASHED = 20 * MB  # bytes that a slow host hashes in a second
STALE, BAD_HASH = "opdeploy.Stale", "opdeploy.BadHash"
CHANCES = {SESSION_LOST: 8, STALE: 2, BAD_HASH: 1}
"""How often it is gone on after a failure. Stale: what an old session was sent came late, and cut later pieces off. A wrong
hash may be due to another file's piece; the host has removed it then."""


class Host(Protocol):
    """What `station.Station` can do for a file."""

    @property
    def told(self) -> Callable[[str], object]: ...

    def ask(self, reads: Sequence[Read], seconds: float | None = None) -> Mapping[str, Answer]: ...

    def look(self, reads: Sequence[Read]) -> Mapping[str, Answer]: ...

    def try_write(self, write: Write, seconds: float | None = None) -> Failure | None: ...


@dataclass(frozen=True)
class Source:
    """Bytes here that can be read more than once, and what they have to be."""

    name: str
    sha256: str
    size: int
    opened: Callable[[], AbstractContextManager[IO[bytes]]]

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Each with its offset, one at least. Raises OpdeployError, at the latest after the last, where they are not those."""
        try:
            with self.opened() as stream:
                yield from self._checked(stream)
        except OSError as error:
            raise OpdeployError(f"{self.name}: {error.strerror or error}", "it is read where opdeploy runs") from error

    def _checked(self, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        digest, offset = hashlib.sha256(), 0
        whole = stream.seek(0, io.SEEK_END) == self.size
        stream.seek(0)
        while whole and (offset < self.size or not offset):
            data = stream.read(min(PIECE, self.size - offset))
            digest.update(data)
            yield offset, data
            offset += len(data)
            whole = bool(data)
        if offset != self.size or digest.hexdigest() != self.sha256.lower():
            told = f"{self.name}: not, or no longer, the file whose hash is {self.sha256}"
            raise OpdeployError(told, "was it changed? plan and apply again")


def opened(path: str) -> IO[bytes]:
    return open(path, "rb")


@dataclass(frozen=True)
class Sending:
    """One file to `path` on the host."""

    host: Host
    path: str
    source: Source

    def run(self) -> Failure | None:
        """Raises OpdeployError for a source that is not as it should be, HostError for a host that stays away."""
        chances = dict(CHANCES)
        failure = self._attempt(self.host.ask)
        while failure and chances.get(failure.id):
            chances[failure.id] -= 1
            failure = self._attempt(self.host.look)
        return failure

    def _attempt(self, ask: Callable[[Sequence[Read]], Mapping[str, Answer]]) -> Failure | None:
        stats = file_stat(self.path), file_stat(self.path + ".opdeploy")
        answers = ask(stats)
        if self._size(answers[stats[0].key]) == self.source.size and self._is_there():
            return None
        return self._send(self._size(answers[stats[1].key]))

    def _send(self, arrived: int) -> Failure | None:
        """All that has not arrived; -1: nothing is there."""
        if arrived > self.source.size:
            arrived = -1
        for offset, data in self.source.pieces():
            end = offset + len(data)
            if end > arrived and (failure := self.host.try_write(file_append(self.path, offset, data))):
                return failure
            self.host.told(f"{ceil(end / MB)} of {ceil(self.source.size / MB)} MB")
        return self.host.try_write(file_commit(self.path, self.source.sha256.lower()), self._patience)

    def _is_there(self) -> bool:
        stat = file_stat(self.path, hash=True)
        answer = self.host.ask([stat], self._patience)[stat.key]
        return isinstance(answer, dict) and str(answer.get("sha256")).lower() == self.source.sha256.lower()

    @staticmethod
    def _size(answer: Any) -> int:
        return int(answer["size"]) if isinstance(answer, dict) and not answer["directory"] else -1

    @property
    def _patience(self) -> float:
        """Seconds until the host has hashed it."""
        return 120 + self.source.size / HASHED

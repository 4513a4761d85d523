"""A file and what is in it, as the project has it: bytes, compared by their SHA-256.

What it holds was loaded or rendered before; text is encoded here, once, with the line ends asked for. It arrives in pieces
beside its place (`PATH.opdeploy`) and takes the name only when it is whole; then the services that read it are restarted.
A piece that a broken run left behind is a difference of its own. Contents that hold a secret (`sensitive`) are never shown:
neither the digest nor the words, and on the wire they travel as secrets do.
"""

from __future__ import annotations

import base64
import codecs
import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from opdeploy.calls import Write, cmdlet_read, cmdlet_write, file_append, file_commit, file_discard, file_read, file_stat
from opdeploy.model import HIDDEN, Change, Machine, Missing, Secret, Unknown
from opdeploy.resources.base import KEY, OPTION, Answers, Comparator, Option, Reads, Resource, path_token, paths_above
from opdeploy.resources.values import LocalPath, ServiceName

Encoding = Literal["utf-8", "utf-8-bom", "utf-16", "cp1252"]
LineEnds = Literal["crlf", "lf"]

CODECS = {
    "utf-8": ("utf-8", b""),
    "utf-8-bom": ("utf-8", codecs.BOM_UTF8),
    "utf-16": ("utf-16-le", codecs.BOM_UTF16_LE),
    "cp1252": ("cp1252", b""),
}
PIECE = 96 * 1024  # bytes in one call: with base64 and the rest well below the host's envelope
IN_WORDS = 256 * 1024  # bytes of the old contents that are read to show a difference
NO_LEFTOVER = "nothing"
LEFTOVER = Comparator(nothing=NO_LEFTOVER)


def encoded(text: str, encoding: Encoding = "utf-8", line_ends: LineEnds = "crlf") -> bytes:
    """Text as it stands in the file. Raises ValueError for a character that the encoding has not."""
    codec, mark = CODECS[encoding]
    lines = re.sub(r"\r\n|\r|\n", "\r\n" if line_ends == "crlf" else "\n", text)
    try:
        return mark + lines.encode(codec)
    except UnicodeEncodeError as error:
        line = lines[: error.start].count("\n") + 1
        raise ValueError(f"line {line}: {encoding} has no character U+{ord(lines[error.start]):04X}, utf-8 has") from None


def decoded(data: bytes, encoding: Encoding) -> str | None:
    """The text in a file, None where it is no text in this encoding."""
    codec, mark = CODECS[encoding]
    try:
        return data.removeprefix(mark).decode(codec)
    except UnicodeDecodeError:
        return None


def _size(data: bytes | None) -> str:
    return "" if data is None else f"{len(data)} bytes"


def _digest(value: Any) -> Any:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("expected a SHA-256 digest: 64 hexadecimal digits")
    return value.lower()


def _shaded(digest: str, path: Any) -> Secret:
    """Of a short secret the digest is as good as the secret."""
    return Secret(digest, f"sha256 of {path}")


class File(Resource):
    model_config = ConfigDict(hide_input_in_errors=True)
    KIND = "file"
    EXAMPLE = r"""
        - { path: 'D:\OP\config\op.ini', content: "[server]\nport = 3050\n" }
    """
    ABSENT_WHEN = ("DriveNotFound", "NoServiceFoundForGivenName")

    path: Annotated[LocalPath, KEY]
    """Where it stands on the host."""
    content: Annotated[bytes | None, OPTION, Field(repr=False), PlainSerializer(_size)] = None
    """What is in it; most often from the role `files`, which fills in templates."""
    encoding: Annotated[Encoding, OPTION] = "utf-8"
    """How its text is written."""
    line_ends: Annotated[LineEnds, OPTION] = "crlf"
    """What ends a line of its text."""
    sensitive: Option = False
    """Whether there is a secret in it: then nothing of it is shown."""
    sha256: Annotated[str | Secret | None, BeforeValidator(lambda value: value and _digest(value))] = None
    """The digest of its content, which is how it is compared."""
    restarts: Annotated[tuple[ServiceName, ...], OPTION] = ()
    """Services that read it only when they start: each that runs is restarted when it was written, with what needs it."""
    leftover: Annotated[str, LEFTOVER, Field(pattern=r"^(nothing|\d+ bytes)$")] = NO_LEFTOVER
    """A piece that a broken run left beside it; nothing is what it should be."""

    @model_validator(mode="before")
    @classmethod
    def _as_bytes(cls, given: Any) -> Any:
        """`content` as text or bytes; what it will be is known by its digest from here on."""
        content = given.get("content") if isinstance(given, Mapping) else None
        if isinstance(content, str):
            encoding, line_ends = given.get("encoding", "utf-8"), given.get("line_ends", "crlf")
            content = encoded(content, encoding, line_ends) if encoding in CODECS else content.encode()
        if not isinstance(content, bytes):
            return given
        digest = hashlib.sha256(content).hexdigest()
        return {
            **given,
            "content": content,
            "sha256": _shaded(digest, given.get("path")) if given.get("sensitive") is True else digest,
        }

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not self.absent and self.sha256 is None:
            raise ValueError("a file needs content, or absent: true")
        if not paths_above(self.path):
            raise ValueError("expected the path of a file, not of a drive")
        return self

    def provides(self) -> frozenset[str]:
        return frozenset({path_token(self.path)})

    def needs(self) -> frozenset[str]:
        return super().needs() | {path_token(path) for path in paths_above(self.path)}

    def undone(self, found: Self | None) -> Self | str:
        return "its old contents were not kept" if found else self.gone()

    # ------------------------------------------------------------ reading

    def reads(self) -> Reads:
        piece = {"piece": file_stat(f"{self.path}.opdeploy")} if self.absent else {}
        services = {f"service {name}": cmdlet_read("Get-Service", ["Status"], Name=name) for name in self.restarts}
        return {"stat": file_stat(self.path, hash=True), "folder": file_stat(paths_above(self.path)[0]), **piece, **services}

    def optional_reads(self) -> Mapping[str, Reads]:
        if self.sensitive or self.absent:
            return {}
        return {"diff": {"content": file_read(self.path, length=IN_WORDS)}}

    def actual(self, answers: Answers) -> Self | None:
        stat = answers.stat
        if stat is None:
            return self._where_nothing_is(answers)
        if stat["directory"]:
            raise Missing(f"place:{self.path.lower()}", "a folder stands in its place: move it away first")
        digest = stat["sha256"]
        return self._seen(_shaded(digest, self.path) if self.sensitive else digest, stat["piece"])

    def _where_nothing_is(self, answers: Answers) -> Self | None:
        folder = paths_above(self.path)[0]
        if answers.folder is None:
            raise Missing(path_token(folder), f"its folder {folder} is not there, and nothing in this plan makes it")
        if not answers.folder["directory"]:
            raise Missing(f"place:{folder.lower()}", f"{folder} is a file, not a folder")
        piece = answers.piece if self.absent else None
        return self._seen(None, piece["size"]) if piece else None

    def _seen(self, digest: str | Secret | None, piece: int | None) -> Self:
        leftover = NO_LEFTOVER if piece is None else f"{piece} bytes"
        there = {"absent": digest is None, "sha256": digest, "sensitive": self.sensitive}
        return type(self).observed(path=self.path, leftover=leftover, **there)

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.touches("sha256") and not self.absent and self.content is None:
            return "its content is not what it should be, and only a digest was given: nothing to write"
        return ""

    def note(self, change: Change[Any], answers: Answers) -> str:
        running = self._running(answers) if change.touches("sha256") or change.action == "create" else []
        return f"{', '.join(running)} will be restarted, which cuts off whoever works with it" if running else ""

    def _running(self, answers: Answers) -> list[str]:
        rows = {name: getattr(answers, f"service {name}") for name in self.restarts}
        return [name for name, row in rows.items() if row and row[0]["Status"] == "Running"]

    def words(self, change: Change[Any], answers: Answers) -> list[str]:
        return in_words(change, answers)

    # ------------------------------------------------------------ writing

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action != "remove" and change.touches("sha256"):
            yield from self.arriving()
            for name in self._running(answers):
                yield cmdlet_write("Restart-Service", Name=name, Force=True)
            return
        if change.action == "remove" and change.actual and change.actual.sha256 is not None:
            yield cmdlet_write("Remove-Item", LiteralPath=self.path)
        if change.actual and change.actual.leftover != NO_LEFTOVER:
            yield file_discard(self.path)

    def arriving(self) -> Iterator[Write]:
        """Piece by piece; the first one begins anew, whatever was left there."""
        content = self.content or b""
        for offset in range(0, max(len(content), 1), PIECE):
            yield file_append(self.path, offset, self._piece(content[offset : offset + PIECE], offset))
        if self.sha256 is not None:
            yield file_commit(self.path, self.sha256)

    def _piece(self, data: bytes, offset: int) -> bytes | Secret:
        """As a secret it is base64: secrets are text."""
        return Secret(base64.b64encode(data).decode(), f"{self.path} from byte {offset}") if self.sensitive else data


# ---------------------------------------------------------------- the difference in words


def in_words(change: Change[File], answers: Answers) -> list[str]:
    """The lines of `--diff` for one change; empty where the contents are not what differs, or nobody asked."""
    if not change.touches("sha256") or change.resource.absent:
        return []
    if change.resource.sensitive:
        return [HIDDEN]
    if not answers.has("content"):
        return []
    if change.actual is None:
        return unified(change, b"")
    try:
        answer = answers.content
    except Unknown as unknown:
        return [f"(its old contents were not read: {unknown.reason})"]
    if not answer["end"]:
        return [f"(longer than {IN_WORDS // 1024} KB: not shown in words)"]
    return unified(change, base64.b64decode(answer["bytes"]))


def unified(change: Change[File], before: bytes) -> list[str]:
    """A unified difference from `before` to the contents that the change would write."""
    file = change.resource
    if file.sensitive:
        return [HIDDEN]
    old, new = decoded(before, file.encoding), decoded(file.content or b"", file.encoding)
    if old is None or new is None or "\0" in old + new:
        return [f"(no text in {file.encoding}: not shown in words)"]
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), "on the host", "to be", lineterm=""))
    return lines or ["(only line ends, a byte order mark or the like differ)"]

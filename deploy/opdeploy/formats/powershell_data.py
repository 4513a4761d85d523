"""PowerShell data files (.psd1, .psrc, .pssc): one hashtable of texts, booleans, lists and hashtables, printed and read.

Language specification 3.0, 7.1.9 'Hash literal expression', 7.1.7 '@(…) operator', 2.3.5.2 'String literals'. Every text, key
or value, is printed as a verbatim string, in which nothing is special but its five quotes: no value can end its literal. What
is read is what `render` prints, in whatever layout; anything else (a variable, a command, a string that expands) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from opdeploy.formats.powershell import literal

_QUOTE = "['\u2018\u2019\u201a\u201b]"
_DEEPEST = 20
_TOKEN = re.compile(
    rf"(?P<blank>[ \t\r\n\ufeff]+|\#[^\r\n]*)|(?P<text>{_QUOTE}(?:(?!{_QUOTE}).|{_QUOTE}{_QUOTE})*{_QUOTE})"
    r"|(?P<word>\$true|\$false)|(?P<mark>@\{|@\(|[}()=,;])",
    re.DOTALL | re.IGNORECASE,
)


def render(value: Mapping[str, Any]) -> str:
    """A whole file. Raises ValueError for what a data file can't hold: other types, a list in a list, a NUL."""
    return _printed(value, "") + "\n"


def parse(text: str) -> dict[str, Any]:
    """The file's hashtable. Raises ValueError where it is not of the kind that `render` prints."""
    tokens = _Tokens(text)
    found = tokens.value()
    if not isinstance(found, dict) or tokens.left:
        raise ValueError("not one hashtable")
    return found


def _printed(value: Any, indent: str) -> str:
    if isinstance(value, bool):
        return "$true" if value else "$false"
    if isinstance(value, str):
        return _text(value)
    deeper = indent + "    "
    if isinstance(value, Mapping):
        lines = [f"{deeper}{_text(key)} = {_printed(item, deeper)}\n" for key, item in value.items()]
        return "@{\n" + "".join(lines) + indent + "}"
    if isinstance(value, Sequence) and not any(isinstance(item, list | tuple) for item in value):
        items = ",".join(f"\n{deeper}{_printed(item, deeper)}" for item in value)
        return f"@({items}\n{indent})" if items else "@()"
    raise ValueError(f"a PowerShell data file can't hold {value!r}")


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("a PowerShell data file can't hold a NUL character")
    return literal(value)


class _Tokens:
    """What is left of a file, piece by piece."""

    def __init__(self, text: str) -> None:
        self.left: list[str] = []
        position = 0
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found:
                raise ValueError(f"line {text.count(chr(10), 0, position) + 1}: not a literal")
            position = found.end()
            if not found["blank"]:
                self.left.append(found[0])
        self.left.reverse()

    def take(self, *wanted: str) -> str:
        token = self.left.pop() if self.left else ""
        if wanted and token not in wanted:
            raise ValueError(f"expected {' or '.join(wanted)}, not {token or 'the end'}")
        return token

    def value(self, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        piece = self.take()
        if piece == "@{":
            return self._table(depth + 1)
        if piece == "@(":
            return self._list(depth + 1)
        if piece.lower() in ("$true", "$false"):
            return piece.lower() == "$true"
        return _unquoted(piece)

    def _table(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._at("}"):
            key = _unquoted(self.take())
            self.take("=")
            found[key] = self.value(depth)
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not self._at(")"):
            if found:
                self.take(",")
            found.append(self.value(depth))
        return found

    def _at(self, end: str) -> bool:
        if not self.left:
            raise ValueError(f"{end} is missing")
        return self.left[-1] == end and bool(self.left.pop())


def _unquoted(token: str) -> str:
    if not re.match(_QUOTE, token):
        raise ValueError(f"expected a literal, not {token or 'the end'}")
    return re.sub(f"{_QUOTE}({_QUOTE})", r"\1", token[1:-1])

"""The little T-SQL that the agent's statements are written in: an expression that makes a text, and that text's tokens.

`made` evaluates what stands in the agent's table: literals, `+`, QUOTENAME, simple CASE, NULL that swallows what it is added
to. `shape` takes the text apart again and knows nothing of how it was made: an injected word would be a token too many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

NAME_LENGTH = 128
_EXPRESSION = re.compile(r"\s*(?:(N?'(?:[^']|'')*')|@(\w+)|(\w+)|([+(),]))")
_TOKEN = re.compile(r"\s*(?:\[((?:[^\]]|\]\])*)\]|N'((?:[^']|'')*)'|(\w+)|(::|[.,=]))")


class Incorrect(ValueError):
    """Not T-SQL as far as it is known here."""


# ---------------------------------------------------------------- from an expression to a text


def made(expression: str, parameters: Mapping[str, str]) -> str | None:
    """Raises Incorrect for a syntax that is not known, KeyError for a parameter that was not given."""
    reader = _Reader(expression, parameters)
    text = reader.sum()
    reader.expect("")
    return text


class _Reader:
    def __init__(self, expression: str, parameters: Mapping[str, str]) -> None:
        self._words = list(_words(expression))
        self._parameters = parameters

    def _next(self) -> str:
        return self._words.pop(0) if self._words else ""

    def _is(self, word: str) -> bool:
        return bool(self._words) and self._words[0].upper() == word

    def expect(self, word: str) -> None:
        if (found := self._next()).upper() != word:
            raise Incorrect(f"Incorrect syntax near '{found}'.")

    def sum(self) -> str | None:
        parts = [self._term()]
        while self._is("+"):
            self._next()
            parts.append(self._term())
        return None if None in parts else "".join(part for part in parts if part is not None)

    def _term(self) -> str | None:
        word = self._next()
        if word.upper() == "QUOTENAME":
            return self._quoted()
        if word.upper() == "CASE":
            return self._case()
        if word.startswith("@"):
            raise Incorrect(f"{word} would stand in the text as it is: only QUOTENAME may put a value there")
        return self._value(word)

    def _value(self, word: str) -> str:
        if word.startswith("@"):
            return self._parameters[word[1:]]
        if not word.endswith("'"):
            raise Incorrect(f"Incorrect syntax near '{word}'.")
        return word[word.index("'") + 1 : -1].replace("''", "'")

    def _quoted(self) -> str | None:
        self.expect("(")
        text, quote = self._value(self._next()), "]"
        if self._is(","):
            self._next()
            quote = self._value(self._next())
        self.expect(")")
        return quotename(text, quote)

    def _case(self) -> str | None:
        subject, result = self._value(self._next()), None
        found = False
        while not self._is("END"):
            self.expect("WHEN")
            same = _folded(self._value(self._next())) == _folded(subject)
            self.expect("THEN")
            value = self.sum()
            result, found = (value, True) if same and not found else (result, found)
        self.expect("END")
        return result


def _words(expression: str) -> Iterator[str]:
    at = 0
    while expression[at:].strip():
        found = _EXPRESSION.match(expression, at)
        if found is None:
            raise Incorrect(f"Incorrect syntax near '{expression[at:].strip()[:20]}'.")
        yield "@" + found[2] if found[2] else found[0].strip()
        at = found.end()


def _folded(text: str) -> str:
    """As the usual collations compare: without case, trailing blanks do not count."""
    return text.rstrip(" ").lower()


def quotename(text: str, quote: str = "]") -> str | None:
    """NULL for more than 128 characters of UTF-16 (Microsoft's page of QUOTENAME)."""
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > NAME_LENGTH:
        return None
    opening = {"]": "["}.get(quote, quote)
    return opening + text.replace(quote, quote * 2) + quote


# ---------------------------------------------------------------- from a text to its tokens


def shape(text: str) -> tuple[str, list[str]]:
    """The text with `[]` for each quoted name and `''` for each literal, blanks between all tokens; and what stood in these."""
    words, values = [], []
    for word, value in _tokens(text):
        words.append(word)
        values += [] if value is None else [value]
    return " ".join(words), values


def _tokens(text: str) -> Iterator[tuple[str, str | None]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise Incorrect(f"Incorrect syntax near '{text[at:].strip()[:20]}'.")
        name, literal, word, mark = found.groups()
        if name is not None:
            yield "[]", name.replace("]]", "]")
        elif literal is not None:
            yield "''", literal.replace("''", "'")
        else:
            yield word.upper() if word else mark, None
        at = found.end()

"""The agent's source as the session sent it, read for what it lists: verbs with their parameters, and the tables.

Everything that the lab lets a session do hangs on this text: a verb, cmdlet, parameter, program or class that was not sent
is refused. It reads the few plain forms that the agent's tables are written in, and nothing else of PowerShell: quoted
texts, ``@(...)`` lists, ``+``, ``;`` between entries, and the variables defined before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_ASSIGNED = re.compile(r"^\$(\w+)\s*=\s*(@\{|@\(|')", re.MULTILINE)
_VERB = re.compile(r"^\$verbs\['([\w.]+)'\]\s*=\s*\{", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\w+)")
_ENTRY = re.compile(r"\s*(?:'((?:[^']|'')*)'|(\w+))\s*=\s*((?:'(?:[^']|'')*'|\"[^\"]*\"|[^;'\"\n])+)(?:;|$)", re.MULTILINE)
_TOKEN = re.compile(r"'((?:[^']|'')*)'|\"([^\"]*)\"|\$(\w+)|(@\(|\)|\+|,)|\s+")


@dataclass(frozen=True)
class Source:
    """`text`: all of it; `tables`: name -> {key: list of texts, or text}; `verbs`: name -> parameters, in lower case."""

    verbs: dict[str, frozenset[str]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    def listed(self, table: str, key: str) -> list[str] | None:
        """A table's line, None where it has none; names ignore case, as PowerShell's tables do."""
        rows = self.tables.get(table, {})
        return next((value for name, value in rows.items() if name.lower() == key.lower()), None)


def read(text: str) -> Source:
    source = Source(text=text)
    for found in _ASSIGNED.finditer(text):
        name, opening = found.group(1), found.group(2)
        if opening == "@{":
            source.tables[name] = _table(_body(text, found.end()), source)
        else:
            source.texts[name] = _value(_to_the_end(text, found.start(2)), source)
    for found in _VERB.finditer(text):
        source.verbs[found.group(1)] = _parameters(text[found.end() :])
    return source


def _body(text: str, start: int) -> str:
    """What stands between a table's braces: on the line itself, or on those up to a brace at the start of one."""
    line = text[start:].partition("\n")[0]
    if line.rstrip().endswith("}"):
        return line.rstrip()[:-1]
    end = re.compile(r"^\}", re.MULTILINE).search(text, start)
    return text[start : end.start() if end else len(text)]


def _table(body: str, source: Source) -> dict[str, Any]:
    code = "\n".join(line for line in body.split("\n") if not line.lstrip().startswith("#"))
    found = _ENTRY.findall(code)
    return {(quoted or word).replace("''", "'"): _value(expression, source) for quoted, word, expression in found}


def _to_the_end(text: str, start: int) -> str:
    """An expression: to the bracket that closes it, or to the end of its line."""
    if text.startswith("@(", start):
        end = re.compile(r"^\)", re.MULTILINE).search(text, start)
        line = text.find("\n", start)
        first = text[start:line]
        return first if first.rstrip().endswith(")") or end is None else text[start : end.end()]
    return text[start : text.find("\n", start) if "\n" in text[start:] else len(text)]


def _value(expression: str, source: Source) -> Any:
    """A text, or a flat list of texts."""
    items: list[str] = []
    is_list = False
    at = 0
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None:
            break
        at = token.end()
        quoted, double, variable, mark = token.groups()
        if quoted is not None:
            items.append(quoted.replace("''", "'"))
        elif double is not None:
            items.append(double)
        elif variable is not None:
            known = source.texts.get(variable, [])
            is_list = is_list or isinstance(known, list)
            items += known if isinstance(known, list) else [known]
        is_list = is_list or mark == "@("
    return items if is_list else "".join(items)


def _parameters(body: str) -> frozenset[str]:
    """The names in the verb's own `param(...)`, which is on its first line of code."""
    start = body.find("param(")
    depth, at = 0, start + len("param")
    while start >= 0 and at < len(body):
        depth += {"(": 1, ")": -1}.get(body[at], 0)
        at += 1
        if depth == 0:
            break
    names = {name.lower() for name in _PARAMETER.findall(body[start:at])}
    return frozenset(names - {"true", "false", "null"})

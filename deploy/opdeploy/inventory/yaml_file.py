"""One YAML file as a tree that remembers where each key and value stands.

The values are those of YAML 1.1 as Ansible reads it (PyYAML's safe loader): mappings with text keys, lists, text,
numbers, true and false, dates, nothing. Anchors, aliases and ``<<`` work. Refused, since they would be lost, filled in
by nobody, or read as something else than was meant: duplicate keys, tabs, other tags (``!vault``), ``{{``, several
documents, keys that are no text, and numbers that only look like a time or a number (``12:30`` is 750, ``0123`` is 83).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from opdeploy.inventory.problems import Position, Problem, joined, printable

MAX_VALUES = 100_000
MAX_INTEGER = 2**128
NO_VAULT = "the vault is not here yet; use {from_env: NAME} or {from_file: PATH}"
QUOTE = "write it in quotes"
NO_DAY = "there is no such day or time; if it is to be a text, write it in quotes"
TEMPLATE = ("{{ is a template, and nothing here fills it in", "write the value itself")
SYNTAX = "quote text that begins with a special character or holds ': ' or ' #', and check the indentation"
PATHS = "a path goes in single quotes, or in none: in double quotes \\ begins an escape"
_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp")}
_DECEPTIVE = re.compile(r"[-+]?(\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?|0[0-7_]+)")
_BAD_SCALAR = (yaml.YAMLError, ValueError, OverflowError, KeyError, AttributeError, IndexError)


@dataclass(frozen=True)
class Node:
    """A value with its place. ``value`` is plain data (or a Secret); ``children`` are a mapping's or a list's parts.

    ``at`` is where the value begins, ``key_at`` where its key does (the same for a list's items). An alias shares the
    value's place. Nobody may change a value: several nodes can share it.
    """

    value: Any
    at: Position
    key_at: Position
    children: Mapping[str, Node] | tuple[Node, ...] = ()
    size: int = 1

    @property
    def mapping(self) -> Mapping[str, Node]:
        """The children by key; empty where the value is no mapping (a secret is none)."""
        return self.children if isinstance(self.value, dict) and isinstance(self.children, Mapping) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The children in order; empty where the value is no list."""
        return self.children if isinstance(self.children, tuple) else ()


def mapping_node(children: Mapping[str, Node], at: Position) -> Node:
    size = 1 + sum(child.size for child in children.values())
    return Node({key: child.value for key, child in children.items()}, at, at, dict(children), size)


def list_node(children: tuple[Node, ...], at: Position) -> Node:
    return Node([child.value for child in children], at, at, children, 1 + sum(child.size for child in children))


def as_written(node: Node) -> Any:
    """The plain data of the file, with secrets as the mappings that stand there, and dates as text."""
    if isinstance(node.children, Mapping):
        return {key: as_written(child) for key, child in node.children.items()}
    if isinstance(node.value, list):
        return [as_written(child) for child in node.children]
    return node.value.isoformat() if isinstance(node.value, date) else node.value


def parse(data: bytes, file: str) -> tuple[Node | None, list[Problem]]:
    """A file's document, always a mapping (an empty file is an empty one), and what is wrong with it.

    No node where the text is not YAML at all. What has a problem stays in the tree as well as it can be read.
    """
    start = Position(file, 1, 1)
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return None, [Problem(_offset(file, data[: error.start].decode()), "", "not UTF-8 text", "save it as UTF-8")]
    if "\t" in text:
        hint = "indent with spaces; inside a value write \\t in double quotes"
        return None, [Problem(_offset(file, text.partition("\t")[0]), "", "a tab", hint)]
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return _document(root, start)
    except yaml.MarkedYAMLError as error:
        return None, [_syntax(error, start)]
    except yaml.reader.ReaderError as error:
        return None, [Problem(_offset(file, text[: error.position]), "", f"not YAML: {error.reason}")]
    except RecursionError:
        return None, [Problem(start, "", "nested too deep")]
    except (ValueError, OverflowError):
        return None, [Problem(start, "", "not YAML: an escape sequence that stands for no character")]


def _document(root: yaml.Node | None, start: Position) -> tuple[Node | None, list[Problem]]:
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == _TAG + "null"):
        return mapping_node({}, start), []
    tree = _Tree(start.file)
    node = tree.node(root, "")
    if not tree.problems and not isinstance(node.value, dict):
        return None, [Problem(node.at, "", "expected keys and values (NAME: VALUE)")]
    if node.size > MAX_VALUES:
        return None, [Problem(node.at, "", f"more than {MAX_VALUES} values, with all aliases followed")]
    return (node if isinstance(node.value, dict) else None), tree.problems


def _syntax(error: yaml.MarkedYAMLError, start: Position) -> Problem:
    mark = error.problem_mark or error.context_mark
    at = Position(start.file, mark.line + 1, mark.column + 1) if mark else start
    if error.context == "expected a single document in the stream":
        return Problem(at, "", "a second document: write one in a file")
    hint = PATHS if "escape" in (error.problem or "") else SYNTAX
    # What follows 'undefined' is a piece of the text, which may be somebody's password.
    said = re.sub(r"(undefined .*?) '.*", r"\1", error.problem or error.context or "", flags=re.DOTALL)
    return Problem(at, "", f"not YAML: {said}", hint)


def _offset(file: str, before: str) -> Position:
    return Position(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


class _Tree:
    """PyYAML's node graph made into ours: each node once, so that aliases cannot multiply work."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._done: dict[int, Node] = {}
        self._open: set[int] = set()
        self._constructor = SafeConstructor()

    def node(self, source: yaml.Node, path: str, key: yaml.Node | None = None) -> Node:
        key_at = self._at(key or source)
        if id(source) in self._open:
            return self._refused(source, key_at, path, "an alias of something that holds itself")
        if id(source) not in self._done:
            self._open.add(id(source))
            self._done[id(source)] = self._made(source, path, key_at)
            self._open.discard(id(source))
        return replace(self._done[id(source)], key_at=key_at)

    def _made(self, source: yaml.Node, path: str, key_at: Position) -> Node:
        if isinstance(source, yaml.MappingNode) and source.tag == _TAG + "map":
            return mapping_node(self._children(source, path), self._at(source))
        if isinstance(source, yaml.SequenceNode) and source.tag == _TAG + "seq":
            items = tuple(self.node(item, joined(path, index)) for index, item in enumerate(source.value))
            return list_node(items, self._at(source))
        if isinstance(source, yaml.ScalarNode) and source.tag in _SCALARS:
            return self._scalar(source, path, key_at)
        if source.tag == _TAG + "value":
            return self._refused(source, key_at, path, "a lone = is no value", QUOTE)
        if source.tag == "!vault":
            return self._refused(source, key_at, path, NO_VAULT)
        hint = "write a plain value; text that begins with ! goes in quotes"
        return self._refused(source, key_at, path, "a tag that nothing here knows", hint)

    def _children(self, source: yaml.MappingNode, path: str) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in source.value:
            if key.tag == _TAG + "merge":
                for base in reversed(self._bases(value, path)):
                    merged.update(base.mapping)
            elif (name := self._name(key, path)) is not None:
                if name in own:
                    first = f"first in line {own[name].key_at.line}"
                    self._report(self._at(key), joined(path, name), f"given twice, {first}", "keep one of them")
                own[name] = self.node(value, joined(path, name), key)
        return merged | own

    def _bases(self, value: yaml.Node, path: str) -> list[Node]:
        base = self.node(value, joined(path, "<<"))
        bases = list(base.items) if isinstance(base.value, list) else [base]
        if not all(isinstance(each.value, dict) for each in bases):
            self._report(base.at, joined(path, "<<"), "expected an alias of keys and values, or a list of such")
        return bases

    def _name(self, key: yaml.Node, path: str) -> str | None:
        if isinstance(key, yaml.MappingNode) and key.flow_style:
            self._report(self._at(key), path, *TEMPLATE)
        elif not isinstance(key, yaml.ScalarNode):
            self._report(self._at(key), path, "a key must be text, not a list or a mapping")
        elif key.tag != _TAG + "str":
            self._report(self._at(key), joined(path, printable(key.value)[:40]), "YAML reads this key as no text", QUOTE)
        elif not key.value or not key.value.isprintable():
            self._report(self._at(key), path, "a key must be printable text")
        else:
            return str(key.value)
        return None

    def _scalar(self, source: yaml.ScalarNode, path: str, key_at: Position) -> Node:
        try:
            value = self._constructor.construct_object(source, deep=True)
        except _BAD_SCALAR:
            kind = source.tag.removeprefix(_TAG)
            return self._refused(
                source, key_at, path, f"YAML reads this as {kind}, but it is none", NO_DAY if kind == "timestamp" else QUOTE
            )
        for message, hint in _doubts(source, value):
            return self._refused(source, key_at, path, message, hint)
        return Node(value, self._at(source), key_at)

    def _refused(self, source: yaml.Node, key_at: Position, path: str, message: str, hint: str = "") -> Node:
        self._report(key_at, path, message, hint)
        return Node(None, self._at(source), key_at)

    def _report(self, at: Position, path: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(at, path, message, hint))

    def _at(self, source: yaml.Node) -> Position:
        return Position(self.file, source.start_mark.line + 1, source.start_mark.column + 1)


def _doubts(source: yaml.ScalarNode, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if "{{" in value:
            yield TEMPLATE
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            yield "half of a surrogate pair is no text", "write the character itself"
    elif isinstance(value, int | float) and _DECEPTIVE.fullmatch(source.value):
        yield "YAML reads this as another number (12:30 is 750, 0123 is 83)", QUOTE
    elif isinstance(value, int) and abs(value) >= MAX_INTEGER:
        yield "a number of more than 128 bits", QUOTE

"""Settings held against a pydantic model; what does not fit is told in the words of an inventory, with its place.

pydantic says where in the data (``loc``); the tree of nodes says where in the files. A value is quoted in an error so
that it is recognised, but never a secret, nor what stands where a secret belongs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from inspect import isclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from opdeploy.inventory.docstrings import says
from opdeploy.inventory.problems import InventoryError, Problem, joined, near
from opdeploy.inventory.secrets import FORMS
from opdeploy.inventory.yaml_file import Node
from opdeploy.model import Secret

M = TypeVar("M", bound=BaseModel)
PLAIN = "a secret may not stand in the inventory"

_EXPECTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "iterable": "a list",
    "dict": "keys and values",
    "mapping": "keys and values",
    "model": "keys and values",
    "dataclass": "keys and values",
    "date": "a date (2026-12-31)",
    "datetime": "a date and time (2026-12-31T18:00:00)",
    "none_required": "nothing",
}
_KIND = re.compile(r"(\w+?)(_attributes)?(_from_datetime)?_(type|parsing|parsing_size|from_float|inexact)")
Keys = tuple[str | int, ...]
_QUOTED = re.compile(r"'([^']*)'")


def validated(model: type[M], node: Node, path: str, context: Mapping[str, Any] | None = None) -> M:
    """The settings as an instance of their model; nothing at all (``NAME:``) is no settings.

    ``path`` is that of the node's key, ``context`` what the model's validators are given besides. Raises InventoryError
    with every problem.
    """
    try:
        return model.model_validate({} if node.value is None else node.value, context=context)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    raise InventoryError(_problems(model, node, path, errors))


def found(value: Any) -> str:
    """A value as errors show it: recognisable, short, and never a secret."""
    if isinstance(value, Secret):
        return "a secret"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "keys and values" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."


def _problems(model: type[BaseModel], node: Node, path: str, errors: Sequence[ErrorDetails]) -> Iterator[Problem]:
    places: dict[Keys, list[ErrorDetails]] = defaultdict(list)
    for error in errors:
        places[_keys(node, error)].append(error)
    for keys, same in places.items():
        deeper = any(other[: len(keys)] == keys and len(other) > len(keys) for other in places)
        if not (deeper and keys and _alternatives(same)):
            yield _problem(model, node, path, keys, same)


def _keys(node: Node, error: ErrorDetails) -> Keys:
    """The loc's steps that are keys in the files; the others are pydantic's names for the branches of a union."""
    keys: list[str | int] = []
    for step in error["loc"]:
        child = _child(node, step)
        if child is not None:
            node = child
            keys.append(step)
    if error["type"] == "missing":
        keys.append(error["loc"][-1])
    return tuple(keys)


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, int):
        return node.items[step] if step < len(node.items) else None
    return node.mapping.get(step)


def _problem(model: type[BaseModel], node: Node, path: str, keys: Keys, errors: list[ErrorDetails]) -> Problem:
    for step in keys:
        node = _child(node, step) or node
    message, hint = _words(errors, node.value, keys, _models_at(model, keys[:-1]))
    return Problem(node.key_at, joined(path, *keys), message, hint)


def _words(errors: list[ErrorDetails], value: Any, keys: Keys, models: list[type[BaseModel]]) -> tuple[str, str]:
    error = errors[0]
    if any(each["type"] == "is_instance_of" and each["ctx"]["class"] == "Secret" for each in errors):
        return (f"{found(value)} that name no secret" if isinstance(value, dict) else PLAIN), f"write {FORMS}"
    if error["type"] == "extra_forbidden":
        names = {name for model in models for name in _fields(model)}
        return "no such setting", near(str(keys[-1]), names)
    if error["type"] == "missing":
        return "missing", _description(models, str(keys[-1]))
    if alternatives := _alternatives(errors):
        return f"expected {' or '.join(alternatives)}, found {found(value)}", _hint(errors, value)
    return _said(error, value), ""


def _alternatives(errors: list[ErrorDetails]) -> list[str]:
    """What would have been right, in plain words; nothing where one of the errors is about more than the type."""
    words = [_expected(error) for error in errors]
    return [] if None in words else list(dict.fromkeys(word for word in words if word))


def _expected(error: ErrorDetails) -> str | None:
    if error["type"] in ("literal_error", "enum"):
        return str(error["ctx"]["expected"])
    kind = _KIND.fullmatch(error["type"])
    return _EXPECTED.get(kind.group(1) if kind else error["type"])


def _hint(errors: list[ErrorDetails], value: Any) -> str:
    choices = [choice for error in errors for choice in _QUOTED.findall(_expected(error) or "")]
    if isinstance(value, str):
        return near(value, choices)
    wants_text = choices or any(error["type"] == "string_type" for error in errors)
    return "write it in quotes" if wants_text and not isinstance(value, dict | list | Secret | None) else ""


def _said(error: ErrorDetails, value: Any) -> str:
    """What a validator of the model says, or pydantic itself ('Input should be greater than 0')."""
    if "error" in error.get("ctx", {}):
        return str(error["ctx"]["error"])
    message = error["msg"]
    if message.startswith("Input should be "):
        return f"expected {message.removeprefix('Input should be ')}, found {found(value)}"
    return message[:1].lower() + message[1:]


# ---------------------------------------------------------------- what the model could have had there


def _models_at(model: type[BaseModel], keys: Sequence[str | int]) -> list[type[BaseModel]]:
    """The models that may stand at a place; a key of a plain dict and an index of a list lead to the same ones."""
    models = [model]
    for key in keys:
        annotations = [_fields(each)[key] for each in models if isinstance(key, str) and key in _fields(each)]
        models = [inner for each in annotations for inner in _models_in(each)] if annotations else models
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _fields(model: type[BaseModel]) -> Mapping[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _description(models: list[type[BaseModel]], name: str) -> str:
    fields = [(model, key, field.alias) for model in models for key, field in model.model_fields.items()]
    texts = (says(model, key) for model, key, alias in fields if name == (alias or key))
    return next(filter(None, texts), "")

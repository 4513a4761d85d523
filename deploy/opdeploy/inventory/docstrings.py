"""What a model's source says of its settings, in the text below each: read when an error or the reference asks for it.

pydantic's `use_attribute_docstrings` takes the same texts, but when a class is made: every command would pay for it.
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def says(model: type[BaseModel], name: str) -> str:
    """Of one setting: its `Field(description=…)`, or the text below it in the class that has it; '' without either.

    A model that is made of another's fields names that in `SAID_BY`."""
    classes = (*model.__mro__, *getattr(model, "SAID_BY", ()))
    has = (each for each in classes if name in inspect.get_annotations(each))
    texts = (_texts(each).get(name, "") for each in has)
    return model.model_fields[name].description or next(filter(None, texts), "")


def _texts(model: type) -> Mapping[str, str]:
    return _classes(inspect.getfile(model)).get(model.__name__, {})


@cache
def _classes(file: str) -> Mapping[str, Mapping[str, str]]:
    """The texts of every class in a file, by its name and the attribute's; none where the source is not at hand."""
    tree = ast.parse("".join(linecache.getlines(file)))
    return {node.name: dict(_below(node)) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _below(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for told, text in pairwise(node.body):
        match told, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, inspect.cleandoc(said)

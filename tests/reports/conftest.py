"""Golden files. ``OPDEPLOY_REGENERATE=1 pytest tests/reports`` writes them anew: then read the difference."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = Path(__file__).parents[2] / "docs/schemas"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares text with a file; with OPDEPLOY_REGENERATE=1 in the environment writes it instead, and fails."""

    return lambda name, text: _compared(GOLDEN / name, text)


@pytest.fixture
def schema() -> Callable[[str, type[BaseModel]], None]:
    """Compares a model with its published schema, in the same way."""

    def compare(name: str, model: type[BaseModel]) -> None:
        address = {
            "$schema": Draft202012Validator.META_SCHEMA["$id"],
            "$id": f"https://opdeploy.invalid/schemas/{name}.schema.json",
        }
        made = address | model.model_json_schema(mode="serialization")
        _compared(SCHEMAS / f"{name}.schema.json", json.dumps(made, indent=2) + "\n")

    return compare


def _compared(path: Path, text: str) -> None:
    if os.environ.get("OPDEPLOY_REGENERATE"):
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} was written: read it, then run without OPDEPLOY_REGENERATE")
    assert text == path.read_text(encoding="utf-8")

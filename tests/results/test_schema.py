"""JSON Schemas: as they were agreed on, and true of what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from xharness.results.schema import TYPES, json_schema

GOLDEN = Path(__file__).parents[1] / "golden" / "schema"


def unworded(schema: Any) -> Any:
    """A schema without its descriptions, which may be reworded."""
    if isinstance(schema, dict):
        keys = [key for key in schema if key != "description" or isinstance(schema[key], dict)]
        return {key: unworded(schema[key]) for key in keys}
    return [unworded(each) for each in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_changes_with_its_version_only(name: str) -> None:
    """New keys may be added: then write the file anew with `xharness schema NAME`. Another meaning,
    unit or type wants another number in the schema's name."""
    stored = json.loads((GOLDEN / f"{name}.json").read_text())
    assert unworded(json.loads(json_schema(name))) == unworded(stored)


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_one_and_names_its_version(name: str) -> None:
    schema = json.loads(json_schema(name))
    Draft202012Validator.check_schema(schema)
    assert TYPES[name][0] in json.dumps(schema)


def errors(name: str, value: Any) -> list[str]:
    validator = Draft202012Validator(json.loads(json_schema(name)))
    return [f"{e.json_path}: {e.message}" for e in validator.iter_errors(value)]


def test_what_a_run_writes_is_valid(toy_run: Path) -> None:
    cells = [json.loads(path.read_text()) for path in (toy_run / "cells").rglob("*.json")]
    assert cells
    assert [error for cell in cells for error in errors("cell", cell)] == []
    assert errors("run", json.loads((toy_run / "run.json").read_text())) == []
    assert errors("leaderboard", json.loads((toy_run / "leaderboard.json").read_text())) == []


def test_a_schema_notices_what_is_wrong(toy_run: Path) -> None:
    cell = json.loads(next((toy_run / "cells").rglob("*.json")).read_text())
    assert errors("cell", {**cell, "schema": "xharness.cell/2"})
    assert errors("cell", {**cell, "seed": "42"})
    assert errors("cell", {**cell, "new_key": 1}) == []  # readers take unknown keys

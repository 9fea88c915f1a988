"""JSON Schemas of the files that are written, generated from their types."""

from __future__ import annotations

from typing import Any

import msgspec

from xharness.records import (
    CELL_SCHEMA,
    LEADERBOARD_SCHEMA,
    RUN_SCHEMA,
    CellRecord,
    Leaderboard,
    RunRecord,
)
from xharness.results.baseline import BASELINE_SCHEMA, Baseline
from xharness.results.verdict import GATE_SCHEMA, Verdict

TYPES: dict[str, tuple[str, type]] = {
    "cell": (CELL_SCHEMA, CellRecord),
    "run": (RUN_SCHEMA, RunRecord),
    "leaderboard": (LEADERBOARD_SCHEMA, Leaderboard),
    "gate": (GATE_SCHEMA, Verdict),
    "baseline": (BASELINE_SCHEMA, Baseline),
}


def json_schema(name: str) -> str:
    """The schema (draft 2020-12) of `name`; a field `schema` must hold its version."""
    version, kind = TYPES[name]
    generated: dict[str, Any] = msgspec.json.schema(kind)
    own = kind if hasattr(kind, "schema") else None
    definitions = generated["$defs"]
    holder = definitions[kind.__name__ if own else "OwnBoard"]
    holder["properties"]["schema"] = {"const": version}
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{version.replace('.', ':').replace('/', ':')}",
        **generated,
    }
    encoded = msgspec.json.encode(whole, order="sorted")
    return msgspec.json.format(encoded, indent=2).decode()

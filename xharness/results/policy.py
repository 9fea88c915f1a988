"""The gate's settings: `[tool.xharness.gate]` in pyproject.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Literal

import msgspec

from xharness.errors import CardError, did_you_mean

TABLE = "tool.xharness.gate"


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Drops in points below which a result counts as held, by level."""

    cell: float = 1.0
    language: float = 0.5
    task: float = 0.5
    suite: float = 0.3


class GatePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the gate fails; each can be set in `[tool.xharness.gate]`.

    alpha          chance of failing a run in which no score dropped by more than `floor`; it is
                   split over the four levels.
    floor          points that a score may drop by.
    hard_limit     points at which a cell fails at once, if they also exceed
                   `hard_limit_errors` standard errors; for the same weights only, since the
                   spread over seeds is known too badly for a limit on any of 200 cells.
    allow_missing  whether cells may lack.
    inconclusive   whether a run passes of which too little is known.
    seed_sd        standard deviation over seeds, in points, declared for want of enough seeds.
    """

    alpha: float = 0.05
    floor: float = 0.1
    tolerance: Tolerance = Tolerance()
    hard_limit: float = 5.0
    hard_limit_errors: float = 3.0
    allow_missing: bool = False
    inconclusive: Literal["pass", "fail"] = "pass"
    seed_sd: float | None = None


def read_policy(
    path: Path, allow_missing: bool = False, seed_sd: float | None = None
) -> GatePolicy:
    """The settings in a pyproject.toml, the defaults where there is no such file or table; with
    what the command line says on top.

    Raises CardError, with file and line, for a key that is unknown or a value that makes no sense.
    """
    policy = _in_file(path) if path.is_file() else GatePolicy()
    if seed_sd is not None and not 0 < seed_sd < inf:
        raise CardError(f"--seed-sd is {seed_sd}, which makes no sense")
    return msgspec.structs.replace(
        policy,
        allow_missing=policy.allow_missing or allow_missing,
        seed_sd=policy.seed_sd if seed_sd is None else seed_sd,
    )


def _in_file(path: Path) -> GatePolicy:
    try:
        text = path.read_text(encoding="utf-8")
        found: Any = msgspec.toml.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CardError(f"{path}: {error}") from error
    for name in ("tool", "xharness"):
        found = found.get(name, {}) if isinstance(found, dict) else {}
    _check_keys(path, text, "tool.xharness", found, ["gate"])
    found = found.get("gate", {}) if isinstance(found, dict) else {}
    if not isinstance(found, dict):
        raise CardError(f"{path}:{_line(text, 'gate')}: [{TABLE}] is a table of settings")
    _check_keys(path, text, TABLE, found, GatePolicy.__struct_fields__)
    tolerance = found.get("tolerance", {})
    _check_keys(path, text, f"{TABLE}.tolerance", tolerance, Tolerance.__struct_fields__)
    try:
        policy = msgspec.convert(found, GatePolicy)
    except msgspec.ValidationError as error:
        raise CardError(f"{path}:{_line(text, TABLE)}: [{TABLE}]: {error}") from error
    bounds = {
        "alpha": 0 < policy.alpha < 1,
        "floor": 0 <= policy.floor < inf,
        "hard_limit": policy.hard_limit > 0,
        "hard_limit_errors": policy.hard_limit_errors >= 0,
        "seed_sd": policy.seed_sd is None or 0 < policy.seed_sd < inf,
    }
    values = msgspec.structs.asdict(policy) | msgspec.structs.asdict(policy.tolerance)
    bounds |= {level: values[level] >= 0 for level in Tolerance.__struct_fields__}
    for name, fits in bounds.items():
        if not fits:
            value = values[name]
            raise CardError(f"{path}:{_line(text, name)}: {name} is {value}, which makes no sense")
    return policy


def _check_keys(path: Path, text: str, table: str, found: object, known: Sequence[str]) -> None:
    for key in found if isinstance(found, Mapping) else ():
        if key not in known:
            hint = did_you_mean(key, known)
            raise CardError(f"{path}:{_line(text, key)}: unknown key {key!r} in [{table}].{hint}")


def _line(text: str, key: str) -> int:
    """Where a key stands, from the head of the table on."""
    lines = text.splitlines()
    head = next((i for i, line in enumerate(lines) if TABLE in line), 0)
    pattern = re.compile(rf"\b{re.escape(key)}\b")
    return next((i for i, line in enumerate(lines) if i >= head and pattern.search(line)), head) + 1

"""Baselines: a small JSON for git, and beside it the per-item outcomes of several seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from xharness.cards import digest
from xharness.errors import DataError, NotComparable, Refused
from xharness.results.measurements import Key, Measurement, Side, first_difference
from xharness.runs.folder import check_new, json_bytes, npz_bytes, read_json, read_npz, write_whole

if TYPE_CHECKING:
    import numpy.typing as npt

BASELINE_SCHEMA = "xharness.baseline/1"
ITEM_ARRAYS = ("ids", "cluster", "parallel")  # the same for all seeds


class BaselineLanguage(msgspec.Struct, frozen=True):
    """One language of a task: what was measured there and nowhere else, and scores by seed."""

    n_items: int
    measured: dict[str, Any]
    scores: dict[str, float]


class BaselineTask(msgspec.Struct, frozen=True):
    """What was measured in all languages of a task, and with which weights, by seed."""

    measured: dict[str, Any]
    weights: dict[str, str]
    languages: dict[str, BaselineLanguage]


class Baseline(msgspec.Struct, frozen=True):
    """The reference that runs are judged against, small enough to be read in a review.

    outcomes  name and digest of the file with per-item outcomes, which lies beside it.
    versions  of the libraries and of the tokenizer that made it.
    """

    schema: str
    created: str
    reason: str
    suite: str
    model: str
    seeds: list[int]
    outcomes: str
    outcomes_sha256: str
    versions: dict[str, str]
    tasks: dict[str, BaselineTask]


def write_baseline(path: Path, side: Side, reason: str, force: bool = False) -> Baseline:
    """Writes `side` to PATH (a `.json`) and its per-item outcomes beside it.

    Raises Refused when a file is there already (unless `force`), cells failed, seeds don't have the
    same cells or a task's languages were evaluated with different weights; NotComparable when seeds
    measured different things.
    """
    packed = path.with_suffix(".npz")
    for file in (path, packed):
        check_new(file, force)
    _check(side)
    tasks = {
        name: _task(name, {key: by for key, by in side.cells.items() if key.task == name})
        for name in dict.fromkeys(key.task for key in side.cells)
    }
    baseline = Baseline(
        schema=BASELINE_SCHEMA,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        reason=reason,
        suite=side.suite,
        model=side.model,
        seeds=side.seeds,
        outcomes=packed.name,
        outcomes_sha256="",
        versions=dict(side.versions),
        tasks=tasks,
    )
    content = npz_bytes(_pack(side, baseline))
    sha256 = hashlib.sha256(content).hexdigest()
    baseline = msgspec.structs.replace(baseline, outcomes_sha256=sha256)
    write_whole(packed, content)
    write_whole(path, json_bytes(baseline))
    return baseline


def read_baseline(path: Path) -> tuple[Baseline, Side]:
    """Raises DataError when the file is none, is of another schema, was edited by hand, or its
    per-item outcomes are not the ones that it names."""
    if not path.is_file():
        hint = "" if path.suffix == ".json" else " A baseline is a file that ends in .json."
        raise DataError(f"no baseline {path}: make one with xharness baseline create.{hint}")
    hint = ". Restore it, or make one: xharness baseline create."
    baseline = read_json(path, Baseline, BASELINE_SCHEMA, "no baseline", hint)
    packed = path.parent / baseline.outcomes
    if packed.parent != path.parent or not packed.is_file():
        raise DataError(f"{path}: its per-item outcomes, {baseline.outcomes}, are not beside it")
    content = packed.read_bytes()
    if hashlib.sha256(content).hexdigest() != baseline.outcomes_sha256:
        raise DataError(
            f"{packed} is not the file that {path.name} names by its digest: one of the two was "
            "changed or fetched without the other"
        )
    arrays = read_npz(packed, content)
    if str(arrays.get("summary")) != _summary(baseline):
        raise DataError(
            f"{path} was edited: it is not what it was when its per-item outcomes were written. "
            "Restore it, or make a new one with xharness baseline create."
        )
    return baseline, _side(baseline, arrays)


def _check(side: Side) -> None:
    failed = [(key, seed) for (key, seed), cell in side.bad.items() if cell.status == "failed"]
    if failed:
        key, seed = failed[0]
        raise Refused(
            f"{len(failed)} cells failed, the first is {key} of seed {seed}; a baseline without "
            "them would not notice that they stay away. Run them again."
        )
    if not side.cells:
        raise Refused("no cell has a result, so there is nothing to hold a run against")
    for key, by_seed in side.cells.items():
        for seed in side.seeds:
            if seed not in by_seed:
                raise Refused(f"seed {seed} lacks {key}, which other seeds have; run it too")
        first, *others = by_seed.values()
        for other in others:
            different = first_difference(first.facts, other.facts)
            if different:
                raise NotComparable(f"seeds measured different things in {key}: {different}")


def _task(name: str, cells: Mapping[Key, Mapping[int, Measurement]]) -> BaselineTask:
    facts = {key.language: next(iter(by.values())).facts for key, by in cells.items()}
    one = next(iter(facts.values()))
    shared = {
        fact: value
        for fact, value in one.items()
        if all(other.get(fact) == value for other in facts.values())
    }
    weights: dict[str, str] = {}
    for by_seed in cells.values():
        for seed, cell in by_seed.items():
            if weights.setdefault(str(seed), cell.weights or "") != (cell.weights or ""):
                raise Refused(
                    f"the languages of {name} were evaluated with different weights (seed {seed}); "
                    "run the task again"
                )
    return BaselineTask(
        measured=shared,
        weights=weights,
        languages={
            key.language: BaselineLanguage(
                n_items=len(next(iter(by.values())).ids),
                measured={f: v for f, v in facts[key.language].items() if f not in shared},
                scores={str(seed): cell.score for seed, cell in by.items()},
            )
            for key, by in cells.items()
        },
    )


def _summary(baseline: Baseline) -> str:
    return digest([baseline.suite, baseline.model, baseline.seeds, baseline.tasks])


def _pack(side: Side, baseline: Baseline) -> dict[str, npt.NDArray[Any]]:
    import numpy as np

    arrays: dict[str, npt.NDArray[Any]] = {"summary": np.array(_summary(baseline))}
    for key, by_seed in side.cells.items():
        first = next(iter(by_seed.values()))
        for name in ITEM_ARRAYS:
            arrays[f"{key}/{name}"] = getattr(first, name)
        for seed, cell in by_seed.items():
            arrays[f"{key}/{seed}/numerator"] = cell.terms.numerator
            arrays[f"{key}/{seed}/denominator"] = cell.terms.denominator
            arrays[f"{key}/{seed}/answers"] = cell.answers
    return arrays


def _side(baseline: Baseline, arrays: Mapping[str, npt.NDArray[Any]]) -> Side:
    from xharness.statistics.ratio import Terms

    cells: dict[Key, dict[int, Measurement]] = {}
    for name, task in baseline.tasks.items():
        for language, entry in task.languages.items():
            key = Key(name, language)
            items: Sequence[npt.NDArray[Any]] = [arrays[f"{key}/{part}"] for part in ITEM_ARRAYS]
            cells[key] = {}
            for seed in baseline.seeds:
                own = f"{key}/{seed}"
                terms = Terms(arrays[f"{own}/numerator"], arrays[f"{own}/denominator"])
                cells[key][seed] = Measurement(
                    {**task.measured, **entry.measured},
                    task.weights[str(seed)] or None,
                    terms.ratio(),
                    terms,
                    arrays[f"{own}/answers"],
                    *items,
                )
    return Side(baseline.model, baseline.suite, baseline.versions, cells, {})

"""What was measured in a run, cell by cell and item by item, as tests on pairs need it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xharness.cards import Recipe, digest
from xharness.errors import DataError, Refused, UnknownName
from xharness.records import CellRecord, File
from xharness.runs.folder import RunFolder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from xharness.statistics.ratio import Floats, Ints, Terms

KEYS = ("id", "cluster", "parallel")


class Key(NamedTuple):
    """A task and a language."""

    task: str
    language: str

    def __str__(self) -> str:
        return f"{self.task}/{self.language}"


def grouped(keys: Iterable[Key], by: Callable[[Key], str]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for key in keys:
        found.setdefault(by(key), []).append(key)
    return found


@dataclass(frozen=True)
class Measurement:
    """One cell, its items in the order of their ids.

    facts     what was measured and by which variants; see `facts_of`.
    weights   equal in two cells with the same weights; None where the producer tells nothing.
    terms     (N,) shares in the sums that make the score.
    answers   (N,) uint32, equal where the predictions are.
    ids, cluster, parallel   (N,) of text.
    """

    facts: Mapping[str, Any]
    weights: str | None
    score: float
    terms: Terms
    answers: npt.NDArray[np.uint32]
    ids: npt.NDArray[np.str_]
    cluster: npt.NDArray[np.str_]
    parallel: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Side:
    """One model's measurements by cell and seed, and why others are not there; `versions` are
    those of libraries and of the tokenizer."""

    model: str
    suite: str
    versions: Mapping[str, str]
    cells: Mapping[Key, Mapping[int, Measurement]]
    bad: Mapping[tuple[Key, int], CellRecord]

    @property
    def seeds(self) -> list[int]:
        return sorted({seed for by_seed in self.cells.values() for seed in by_seed})


def read_side(folders: Sequence[RunFolder], model: str | None = None) -> Side:
    """The measurements of one model (None: the only one there is) in run folders.

    Raises DataError for folders that hold no run, Refused when models are several and none is
    named, a cell is there twice or seeds were trained differently, UnknownName for a
    model that is not there.
    """
    results = [folder.read_results() for folder in folders]
    records = [
        (folder, record)
        for folder, (_, found) in zip(folders, results, strict=True)
        for record in found
    ]
    names = sorted({record.model.name for _, record in records})
    if model is None and len(names) > 1:
        several = ", ".join(names)
        raise Refused(f"{folders[0].path} holds the models {several}; name one with --model")
    model = model or names[0]
    if model not in names:
        raise UnknownName("model", model, names, f"{folders[0].path} has {', '.join(names)}.")
    cells: dict[Key, dict[int, Measurement]] = {}
    bad: dict[tuple[Key, int], CellRecord] = {}
    for folder, record in records:
        key = Key(record.task.name, record.language.code)
        if record.model.name != model:
            continue
        if record.seed in cells.get(key, {}) or (key, record.seed) in bad:
            raise Refused(f"{key} of seed {record.seed} is in more than one of the runs")
        if record.result is None:
            bad[key, record.seed] = record
            continue
        cells.setdefault(key, {})[record.seed] = measurement(folder, record)
    own = [record for _, record in records if record.model.name == model]
    _check_one_training(own)
    run = results[0][0]
    return Side(model, run.suite, {**run.versions, **_tokenizer(own)}, cells, bad)


def _check_one_training(records: Sequence[CellRecord]) -> None:
    """Raises Refused when seeds of a task were trained by different recipes or on different files:
    what they differ by is then not what seeds do."""
    first: dict[str, CellRecord] = {}
    for record in records:
        if record.result is None:
            continue
        one = first.setdefault(record.task.name, record)
        if training_of(one) != training_of(record):
            names = [", ".join(p.recipe.name for p in r.model.lineage) for r in (one, record)]
            raise Refused(
                f"{record.id} and {one.id} were trained by other recipes or on other files "
                f"({names[1]}, against {names[0]}), so they are no seeds of one model; name runs "
                "of one recipe"
            )


def training_of(record: CellRecord) -> list[tuple[str, Recipe, list[File]]]:
    """What made the model of a cell but the seed."""
    return [(phase.task, phase.recipe, phase.files) for phase in record.model.lineage]


def _tokenizer(records: Sequence[CellRecord]) -> dict[str, str]:
    """The first digits of its digest: it is no weight, but changes results like a library."""
    named = {str(record.model.backbone.get("tokenizer_sha256", "")) for record in records}
    return {"tokenizer": ", ".join(sorted(one[:12] for one in named))} if "" not in named else {}


def measurement(folder: RunFolder, record: CellRecord) -> Measurement:
    """Raises DataError when the per-item file is missing, changed, lacks something, is not finite
    or does not give the record's score."""
    import numpy as np

    from xharness.statistics.ratio import Terms, terms_of

    result = record.result
    where = f"{folder.path}: cell {record.id}"
    if result is None or result.ratio is None:
        raise DataError(
            f"{where}: {result.no_interval if result else 'it has no result'}, or an older version "
            "wrote it; so it can't be judged item by item. Run it again."
        )
    arrays = folder.read_items(record)
    needed = [*KEYS, *result.ratio.of, *result.ratio.per]
    if {len(arrays.get(name, ())) for name in needed} != {result.n_items}:
        raise DataError(
            f"{where}: its per-item file does not have {', '.join(needed)} of its "
            f"{result.n_items:,} items. Run it again."
        )
    order = np.argsort(arrays["id"], kind="stable")
    terms = Terms(*(side[order] for side in terms_of(result.ratio, arrays, len(order))))
    score = terms.ratio()
    if not (np.isfinite(terms.numerator).all() and np.isfinite(terms.denominator).all()):
        raise DataError(
            f"{where}: its per-item file has numbers that are not finite. Run it again."
        )
    if abs(score - result.score) > 1e-6:
        raise DataError(
            f"{where}: the record says {result.score:.4f}, its per-item file gives {score:.4f}; "
            "one of them was changed. Run it again."
        )
    return Measurement(
        facts_of(record),
        weights_of(record),
        score,
        terms,
        _answers(arrays)[order],
        *(arrays[name][order] for name in KEYS),
    )


class Units(NamedTuple):
    """The (N,) unit of each item, and how many units the task has in all its languages."""

    numbers: Ints
    total: int


def units_of(cells: Mapping[Key, Measurement]) -> dict[Key, Units]:
    """What stands or falls together in each cell: the same number in two languages of a task is
    the same unit."""
    from xharness.statistics.units import Keys, joint_units

    found: dict[Key, Units] = {}
    for keys in grouped(cells, lambda key: key.task).values():
        ties = [Keys(cells[key].cluster, cells[key].parallel) for key in keys]
        numbers, count = joint_units(ties)
        found |= {key: Units(own, count) for key, own in zip(keys, numbers, strict=True)}
    return found


def combined(weights: Mapping[Key, float], parts: Mapping[Key, Floats]) -> list[Floats]:
    """For each task the (U,) parts of its units in a weighted sum of cells: a unit's parts are
    added over the languages, so that a paragraph in ten languages counts as one."""
    return [
        sum((weights[key] * parts[key] for key in keys[1:]), weights[keys[0]] * parts[keys[0]])
        for keys in grouped(weights, lambda key: key.task).values()
    ]


def facts_of(record: CellRecord) -> dict[str, Any]:
    """What must be equal in two cells that are judged item by item."""
    result = record.result
    variants = {v: result.variants.get(v, "") for v in result.primary} if result else {}
    return {**record.measured, "variants": variants}


def weights_of(record: CellRecord) -> str | None:
    """What identifies the weights. A model that names none and was not trained by us is known by
    what else its records say, so that a gate on its predictions can be run."""
    model = record.model
    if model.weights_sha256 or model.lineage:
        return model.weights_sha256
    return f"unnamed {digest([model.producer, model.backbone])}"


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first fact in which two cells differ, in words, or None."""
    for name in dict.fromkeys([*one, *other]):
        left, right = one.get(name), other.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            within = first_difference(left, right)
            if within:
                return f"{name} {within}"
        elif left != right:
            label = NAMES.get(name, name)
            return f"{label} {_short(left)} against {_short(right)}"
    return None


NAMES = {"items": "items_sha256", "gold": "gold_sha256", "version": "task version"}


def _short(value: Any) -> str:
    text = str(value)
    if len(text) == 64:
        return f"{text[:8]}..."
    return "none" if value in (None, "") else text


def _answers(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint32]:
    """A checksum of all that a metric and an evaluator keep about each item."""
    import numpy as np

    kept = [np.ascontiguousarray(a) for name, a in sorted(arrays.items()) if name not in KEYS]
    count = len(arrays["id"])
    rows = [a.reshape(count, -1).view(np.uint8).reshape(count, -1) for a in kept]
    joined = np.concatenate(rows, axis=1)
    return np.fromiter((zlib.crc32(row.tobytes()) for row in joined), np.uint32, count)

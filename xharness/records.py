"""What is written down about a run: cells, the run itself, the leaderboard.

Numbers are JSON numbers with full precision; shares are percent. Everything in a cell record
but `created` and `timing` is a function of the inputs, so that an interrupted and resumed run
leaves the same bytes as an undisturbed one. Readers take unknown keys (forward compatible);
adding a key changes nothing, changing a meaning changes the number in the schema's name.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from xharness.cards import Preprocessing, Profile, Recipe

CELL_SCHEMA = "xharness.cell/1"
RUN_SCHEMA = "xharness.run/1"
LEADERBOARD_SCHEMA = "xharness.leaderboard/1"
DEFAULT_SEED = 42
# The source of the bundled sample, and what must be said wherever its scores are shown.
SAMPLE = "sample"
NOT_BENCHMARK = "bundled sample, not benchmark scores"


class File(msgspec.Struct, frozen=True):
    """A data file; `path` is relative to the data root."""

    path: str
    sha256: str
    bytes: int
    rows: int


class PhaseRecord(msgspec.Struct, frozen=True):
    """One training of a lineage. `address` is the digest of all that made the checkpoint."""

    task: str
    recipe: Recipe
    seed: int
    address: str
    files: list[File]
    notes: list[str] = []


class ModelRecord(msgspec.Struct, frozen=True):
    """The model that was evaluated. `profile` is set where sentence vectors were taken,
    `weights_sha256` (of all weights behind it) where the producer tells them."""

    name: str
    producer: str
    card_sha256: str
    backbone: dict[str, Any]
    lineage: list[PhaseRecord]
    dtype: str
    profile: Profile | None = None
    weights_sha256: str | None = None


class TaskRecord(msgspec.Struct, frozen=True):
    """The task as it was evaluated."""

    name: str
    version: int
    kind: str
    card_sha256: str
    split: str
    preprocessing: Preprocessing
    note: str = ""


class LanguageRecord(msgspec.Struct, frozen=True):
    """The language as the benchmark writes it, and what it is grouped by."""

    code: str
    name: str
    family: str
    script: str


class DataRecord(msgspec.Struct, frozen=True):
    """What was evaluated on; the digests cover ordered item ids and gold labels."""

    source: str
    files: list[File]
    items_sha256: str
    gold_sha256: str
    notes: list[str]


class Ratio(msgspec.Struct, frozen=True):
    """How a score comes from per-item arrays: the sum of `of` over the sum of `per`.

    Both map names of arrays to weights; no `per` means one for each item, so that the score is
    a mean."""

    of: dict[str, float]
    per: dict[str, float] = {}


class Interval(msgspec.Struct, frozen=True):
    """A confidence interval in percent over `n_units` items or clusters (`unit`)."""

    method: str
    unit: str
    n_units: int
    level: float
    lower: float
    upper: float


class Result(msgspec.Struct, frozen=True):
    """Scores. `primary` names the values whose mean is `score`; all are better when higher.

    official     the values that the official scorer prints.
    n_scored     items that entered the score; all of them, else the cell would have failed.
    n_clusters   groups of items that share a text; as many as items where none do.
    ratio        how `score` comes from the per-item arrays, where it is a ratio of sums.
    interval     of `score` over the items (or `no_interval`, why not); it follows from the
                 per-item file alone.
    """

    values: dict[str, float]
    primary: list[str]
    score: float
    n_items: int
    variants: dict[str, str]
    unit: str = "percent"
    direction: str = "higher is better"
    official: list[str] = []
    n_scored: int | None = None
    n_clusters: int | None = None
    ratio: Ratio | None = None
    interval: Interval | None = None
    no_interval: str = ""


class Failure(msgspec.Struct, frozen=True):
    """Why a cell failed: the error's type, its message and the end of its traceback."""

    type: str
    message: str
    traceback: str


class CellRecord(msgspec.Struct, frozen=True):
    """One cell: model x task x language x seed. It is the only proof that a cell is done.

    inputs           digest of all that the result depends on; resuming compares it.
    measured         what was measured, without model, hardware and versions: equal in two
                     records that may be compared item by item; `comparable_hash` is its digest.
    timing           seconds by stage, and what the machine chose (which matrix product).
    items            digest of the per-item file, `submission` of the prediction file.
    """

    schema: str
    id: str
    status: Literal["ok", "failed", "skipped"]
    created: str
    model: ModelRecord
    task: TaskRecord
    language: LanguageRecord
    seed: int
    limit: int | None
    inputs: str
    comparable_hash: str | None = None
    measured: dict[str, Any] = {}
    data: DataRecord | None = None
    result: Result | None = None
    items: str | None = None
    submission: str | None = None
    reason: str | None = None
    failure: Failure | None = None
    timing: dict[str, float | str] = {}


class RunRecord(msgspec.Struct, frozen=True):
    """The run: what was asked for, and on what it ran. `started` changes when it is resumed."""

    schema: str
    suite: str
    request: dict[str, Any]
    started: str
    versions: dict[str, str]
    machine: dict[str, Any]
    plugins: list[dict[str, Any]] = []


class Total(msgspec.Struct, frozen=True):
    """A total of ours and its rule in words; withheld (None) where a member is missing."""

    value: float | None
    rule: str


class OwnBoard(msgspec.Struct, frozen=True):
    """What the leaderboard says beside the official structure.

    unofficial  tables of tasks that the official scorer can't read.
    missing     TASK/LANG -> why there is no score.
    notes       what qualifies scores -> the cells that it holds for.
    comparable  cell id -> digest of what was measured.
    data        what was evaluated on, `comparable_with` whose scores these may be compared with.
    """

    schema: str
    suite: str
    model: str | None
    totals: dict[str, Total]
    unofficial: dict[str, Any]
    missing: dict[str, str]
    notes: dict[str, list[str]]
    comparable: dict[str, str]
    data: str = ""
    comparable_with: str = ""


class Leaderboard(msgspec.Struct, frozen=True):
    """One model's and seed's scores: beside our key stand the official ones, a table for each
    task and an average for each group."""

    xharness: OwnBoard

"""Scores anybody's predictions in the official submission format, without a model.

The official layout is a folder for each task and in it a file `test-LANGUAGE.SUFFIX` for each
language, on the side of the labels too. Where the official script stops at the first thing that
is missing, here its cell says so, averages that need it are withheld, and the rest is given.

Source: google-research/xtreme evaluate.py at 838c13b.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from xharness import __version__
from xharness.cards import SuiteCard, TaskCard, digest
from xharness.data.evaluation_split import load_for_evaluation
from xharness.data.files import DataFile
from xharness.data.items import Dataset
from xharness.data.measured import measured
from xharness.errors import DataError, MissingData, PluginError, XharnessError, did_you_mean
from xharness.evaluators.recording import (
    data_record,
    failure_record,
    item_keys,
    language_record,
    result_record,
    task_record,
)
from xharness.plugins.roles import Metric, Outcome, Source, SubmissionScorer
from xharness.records import (
    CELL_SCHEMA,
    DEFAULT_SEED,
    RUN_SCHEMA,
    CellRecord,
    ModelRecord,
    RunRecord,
)
from xharness.runs.folder import RunFolder, cell_id
from xharness.runs.leaderboard import leaderboard, suite_languages

PRODUCER = "predictions"  # stands in a record where others name what made the model


class NothingToScore(XharnessError):
    """No folder in the predictions is a task of the suite."""

    exit_code = 5


class LabelFolder:
    """Source `labels`: gold in the official layout; the items have no texts.

    `evaluator` finds the evaluator of a kind of task. Raises DataError when `root` is no folder.
    """

    name = "labels"

    def __init__(self, root: Path, evaluator: Callable[[str], Any]) -> None:
        if not root.is_dir():
            raise DataError(f"no label folder at {root}")
        self.root = root
        self._evaluator = evaluator

    def load(self, task: TaskCard, split: str, language: str) -> Dataset:
        """Raises MissingData when the file is absent, DataError when it does not read."""
        file = DataFile(submission_path(self.root, task, language))
        if not file.path.is_file():
            raise MissingData(_absent(file.path, "label"))
        items = tuple(_scorer(self._evaluator, task).gold(file, task))
        found = file.digest(self.root, len(items))
        return Dataset(task.name, split, language, items, (), (found,))


class ScoredCell(NamedTuple):
    """A cell's record, and what a run folder keeps beside it; None where nothing was scored."""

    record: CellRecord
    outcome: Outcome | None


def submission_path(root: Path, task: TaskCard, language: str) -> Path:
    """Where the official layout has a task's file for a language."""
    return root / task.name / f"test-{language}.{task.submission}"


def score(
    predictions: Path,
    source: Source,
    suite: SuiteCard,
    tasks: Mapping[str, TaskCard],
    evaluator: Callable[[str], Any],
    metric: Callable[[str], Metric],
    name: str,
) -> list[ScoredCell]:
    """Scores each task of the suite that has a folder in `predictions`, in all its languages.

    source  where the gold is from: a `LabelFolder`, or a release with the items themselves.
    name    what the records call the predictions' unknown model.
    Raises DataError when `predictions` is no such folder, NothingToScore when it has no task.
    """
    if not predictions.is_dir():
        raise DataError(f"no folder with predictions at {predictions}")
    if (predictions / "run.json").is_file():
        raise DataError(
            f"{predictions} is a run folder; its predictions are in {predictions}/predictions/MODEL"
        )
    present = [task for task in suite.tasks if (predictions / task).is_dir()]
    if not present:
        found = sorted(path.name for path in predictions.iterdir())
        raise NothingToScore(
            f"no folder in {predictions} is a task of {suite.name}: there are "
            f"{', '.join(found[:8]) or 'no files'}; the tasks are {', '.join(suite.tasks)}."
        )
    cells = []
    for task in (tasks[task_name] for task_name in present):
        scorer, measure = _scorer(evaluator, task), metric(task.metric)
        for language in suite_languages(suite, task):
            file = DataFile(submission_path(predictions, task, language))
            cells.append(_score_cell(file, source, task, language, scorer, measure, name))
    return cells


def leftovers(predictions: Path, suite: SuiteCard, tasks: Mapping[str, TaskCard]) -> list[str]:
    """What in a folder of predictions is not scored, and which tasks it lacks."""
    said = []
    lacking = [task for task in suite.tasks if not (predictions / task).is_dir()]
    if lacking:
        said.append(f"no predictions for {', '.join(lacking)}")
    for path in sorted(predictions.iterdir()):
        if path.name not in suite.tasks:
            near = did_you_mean(path.name, suite.tasks)
            said.append(f"{path.name} is no task of {suite.name}, so it is ignored.{near}")
        elif path.is_dir():
            task = tasks[path.name]
            wanted = {
                submission_path(predictions, task, language).name
                for language in suite_languages(suite, task)
            }
            extra = sorted(file.name for file in path.iterdir() if file.name not in wanted)
            if extra:
                said.append(
                    f"{path.name}: {len(extra)} other files are ignored: {', '.join(extra[:4])}"
                )
    return said


def write_scored_run(
    folder: RunFolder,
    cells: Sequence[ScoredCell],
    suite: SuiteCard,
    tasks: Mapping[str, TaskCard],
    gold: str,
) -> None:
    """A run folder of what was scored, for all that reads runs; `gold` says where the gold was."""
    with folder.locked():
        folder.write_run(
            RunRecord(
                schema=RUN_SCHEMA,
                suite=suite.name,
                request={"data": gold},
                started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                versions={"xharness-xtreme-r": __version__},
                machine={},
            )
        )
        records = []
        for record, outcome in cells:
            if outcome is None:
                records.append(folder.write_cell(record))
                continue
            submission = (tasks[record.task.name].submission, outcome.submission)
            records.append(folder.write_cell(record, outcome.per_item, submission))
        folder.write_leaderboards({records[0].model.name: leaderboard(suite, tasks, records)})


def _score_cell(
    file: DataFile,
    source: Source,
    task: TaskCard,
    language: str,
    scorer: SubmissionScorer,
    metric: Metric,
    name: str,
) -> ScoredCell:
    data = outcome = error = reason = None
    try:
        if not file.path.is_file():
            raise MissingData(_absent(file.path, "prediction"))
        # Predictions are made already, so nothing is tuned and no tuning data are asked for.
        untuned = msgspec.structs.replace(task, tune_on=None)
        data = load_for_evaluation(source, untuned, language)
        outcome = scorer.score(file, data, task, metric)
        outcome = replace(outcome, per_item={**item_keys(data), **outcome.per_item})
        data = replace(data, notes=(*data.notes, *file.notes))
    except MissingData as missing:
        reason = str(missing)
    except XharnessError as failed:  # a bug of ours must not pass for somebody's bad file
        error = failed
        if str(file.path) not in str(failed):
            error = DataError(f"{file.path}: {failed}")
    sha256 = hashlib.sha256(file.path.read_bytes()).hexdigest() if file.path.is_file() else ""
    what = measured(task, data) if data else {}
    inputs = {"predictions": sha256, "data": what or None}
    record = CellRecord(
        schema=CELL_SCHEMA,
        id=cell_id(name, task.name, language, DEFAULT_SEED),
        status="ok" if outcome else "failed" if error else "skipped",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=ModelRecord(name, PRODUCER, "", {}, [], "unknown"),
        task=task_record(task, data),
        language=language_record(language),
        seed=DEFAULT_SEED,
        limit=None,
        inputs=digest(inputs),
        comparable_hash=digest(what) if data else None,
        measured=what,
        data=data_record(source.name, data, what) if data else None,
        result=result_record(task, data, outcome, metric) if data and outcome else None,
        reason=reason,
        failure=failure_record(error) if error else None,
    )
    return ScoredCell(record, outcome)


def _scorer(evaluator: Callable[[str], Any], task: TaskCard) -> SubmissionScorer:
    found = evaluator(task.kind)
    if not isinstance(found, SubmissionScorer):
        raise PluginError(
            f"{type(found).__name__}, the evaluator of tasks of kind {task.kind!r}, can't read "
            "predictions back: it lacks the methods 'gold' and 'score'."
        )
    return found


def _absent(path: Path, what: str) -> str:
    """Why there is no file, with what lies near in its place."""
    folder = path.parent
    names: Sequence[str] = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if not names:
        return f"no {what} file {path}: the folder is {'empty' if folder.is_dir() else 'not there'}"
    other = [name for name in names if Path(name).stem == path.stem]
    near = f" There is {other[0]}." if other else ""
    return f"no {what} file {path}.{near}"

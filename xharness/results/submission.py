"""The official submission folder of a run: a folder for each task, a file for each language.

What is written is what the run predicted, and it is checked first: names, digests, and that
there is one prediction for each item, in order. Source of the format: the README and evaluate.py
of google-research/xtreme at 838c13b.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xharness.cards import SuiteCard, TaskCard, digest
from xharness.data.files import DataFile
from xharness.errors import DataError, Refused, UnknownName
from xharness.plugins.roles import SubmissionScorer
from xharness.records import CellRecord
from xharness.results.score import submission_path
from xharness.results.table import some
from xharness.runs.folder import RunFolder
from xharness.runs.leaderboard import model_key, suite_languages


def write_submission(
    run: RunFolder,
    target: Path,
    suite: SuiteCard,
    tasks: Mapping[str, TaskCard],
    evaluator: Callable[[str], Any],
    model: str | None = None,
) -> tuple[int, list[str]]:
    """Writes the folder `target`; returns the number of files and what keeps it from being a
    whole submission: cells without predictions, and those of other or cut data, by the reason.

    model  which model, where the run has several.
    Raises Refused when `target` exists, DataError for a prediction file that is not as its
    record says, UnknownName for a model that the run doesn't have.
    """
    if target.exists():
        raise Refused(f"{target} exists and is not overwritten; name another folder")
    records = _of_one_model(run, model)
    files: dict[Path, Path] = {}
    problems: dict[str, list[str]] = {}
    for task in (tasks[name] for name in suite.tasks):
        for language in suite_languages(suite, task):
            record = records.get((task.name, language))
            where = f"{task.name}/{language}"
            problem: str | None
            if record is None or record.result is None:
                why = (record.reason if record else None) or "not run, or failed"
                problem = f"no predictions, {why}"
            elif record.task.split != task.split:
                problem = f"left out, predicted for {record.task.split!r} and not {task.split!r}"
            else:
                path = run.path / run.submission_name(record, task.submission)
                problem = _problem(path, record, task, evaluator(task.kind))
                files[submission_path(target, task, language)] = path
            if problem:
                problems.setdefault(problem, []).append(where)
    said = [f"{problem} ({some(cells)})" for problem, cells in problems.items()]
    if not files:
        raise DataError(f"{run.path} has no predictions for a submission: {said[0]}")
    _copy(files, target)
    return len(files), said


def _of_one_model(run: RunFolder, model: str | None) -> dict[tuple[str, str], CellRecord]:
    by_model: dict[str, dict[tuple[str, str], CellRecord]] = {}
    for record in run.read_results()[1]:
        key = (record.task.name, record.language.code)
        by_model.setdefault(model_key(record), {})[key] = record
    if model is None and len(by_model) == 1:
        return next(iter(by_model.values()))
    if model is None:
        raise Refused(
            f"{run.path} has {len(by_model)} models; name one with --model: {', '.join(by_model)}"
        )
    if model not in by_model:
        raise UnknownName("model", model, by_model, f"{run.path} has {', '.join(by_model)}.")
    return by_model[model]


def _problem(path: Path, record: CellRecord, task: TaskCard, evaluator: Any) -> str | None:
    """What the file lacks. Raises DataError when it is not the one that the record names."""
    if not path.is_file():
        raise DataError(f"{path} is not there, though {record.id} was predicted; run it again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != record.submission:
        raise DataError(f"{path} is not the file that the record of {record.id} names")
    if record.result is None or record.data is None:
        return None
    file, found = DataFile(path), record.result.n_items
    if task.submission == "json":
        ids = list(file.json(dict[str, Any]))
        if digest(ids) != record.data.items_sha256:
            return f"{len(ids):,} ids that are not those of the {found:,} items"
    elif isinstance(evaluator, SubmissionScorer):
        lines = len(evaluator.gold(file, task))
        if lines != found:
            return f"{lines:,} predictions for {found:,} items"
    size = task.sizes.get(task.split)
    published = size.get(record.language.code) if isinstance(size, dict) else size
    if published is None or found == published:
        return None
    return f"{found:,} predictions; the published test set has {published:,} items"


def _copy(files: Mapping[Path, Path], target: Path) -> None:
    """All or nothing: the folder gets its name when it is whole."""
    unfinished = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, path in files.items():
        copy = unfinished / name.relative_to(target)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    unfinished.rename(target)

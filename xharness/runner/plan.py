"""The plan: which cells a request means, what each depends on, and what is done already.

Nothing is trained and no weights are loaded here; data files are read, since whether labels are
there, and which split stands in, decides what can be run.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from xharness.cards import ModelCard, SuiteCard, TaskCard, digest
from xharness.data.evaluation_split import load_for_evaluation
from xharness.data.items import Dataset
from xharness.data.measured import measured
from xharness.errors import (
    CardError,
    DataError,
    MissingData,
    NothingSelected,
    Refused,
    UnknownName,
    XharnessError,
)
from xharness.plugins.roles import Context, Phase, Producer, Source
from xharness.producers import bundled
from xharness.records import NOT_BENCHMARK, SAMPLE, CellRecord
from xharness.runs.folder import RunFolder, cell_id
from xharness.runs.leaderboard import suite_languages

# Part of every cell's inputs: raise it when evaluation changes what comes out of the same inputs.
EVALUATION_VERSION = 2
MOST_COMPLAINTS = 5


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked for, as the command line or `xharness.evaluate` said it.

    limit         items per language: a count, or a share below 1.
    train         `missing` trains what has no checkpoint, `never` makes that an error; None is
                  `missing` on the bundled sample, where trainings are short, else `never`.
    checkpoints   `bundled` takes those that come with the package, `trained` those in the cache;
                  None takes bundled ones for the bundled sample, where there are some.
    batch_tokens  tokens of one forward pass; None lets the model choose.
    """

    models: Annotated[list[str], msgspec.Meta(min_length=1)]
    suite: str
    data: str
    tasks: list[str] = []
    languages: list[str] = []
    seeds: Annotated[list[int], msgspec.Meta(min_length=1)]
    limit: Annotated[float, msgspec.Meta(gt=0, le=1e12)] | None = None
    split: str | None = None
    backbone: str | None = None
    recipe: str | None = None
    train: Literal["never", "missing"] | None = None
    checkpoints: Literal["bundled", "trained"] | None = None
    device: str = "auto"
    dtype: Literal["fp32", "bf16"] = "fp32"
    batch_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Loaded(NamedTuple):
    """A dataset, and its digests: they are the same for all models, and take a while."""

    data: Dataset
    measured: Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One cell to be. `measured` is what is measured in it, apart from the model, `done` its
    record when it need not run, `reason` why it can't, `outdated` if its result in the folder is
    from other inputs and will be replaced."""

    id: str
    language: str
    data: Dataset | None
    measured: Mapping[str, Any]
    inputs: str
    done: CellRecord | None = None
    reason: str | None = None
    outdated: bool = False


@dataclass(frozen=True)
class Job:
    """Cells that share one loaded model; `bundled` if it is made from a bundled checkpoint."""

    card: ModelCard
    task: TaskCard
    producer: Producer
    lineage: Sequence[Phase]
    context: Context
    cells: Sequence[Cell]
    bundled: bool = False

    @property
    def pending(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.done is None and cell.reason is None]


@dataclass(frozen=True)
class Plan:
    """All jobs of a request, in the order of models, seeds and tasks."""

    request: Request
    suite: SuiteCard
    tasks: dict[str, TaskCard]
    jobs: Sequence[Job]

    @property
    def cells(self) -> list[Cell]:
        return [cell for job in self.jobs for cell in job.cells]

    @property
    def on_sample(self) -> bool:
        """Whether the scores are no benchmark scores because the bundled sample is evaluated."""
        return self.request.data == SAMPLE

    def trainings(self) -> list[tuple[Job, list[Phase]]]:
        """For each phase that is to be trained, one job that needs it and the lineage up to it;
        phases that several jobs share come once."""
        found: dict[str, tuple[Job, list[Phase]]] = {}
        for job in self.jobs:
            for i, phase in enumerate(job.lineage):
                if job.pending and not phase.trained:
                    found.setdefault(phase.address, (job, list(job.lineage[: i + 1])))
        return list(found.values())

    def require_checkpoints(self) -> None:
        """Raises XharnessError, naming the command that trains, when checkpoints are missing."""
        trainings = self.trainings()
        train = self.request.train or ("missing" if self.on_sample else "never")
        if train == "missing" or not trainings:
            return
        models = dict.fromkeys(job.card.name for job, _ in trainings)
        tasks = dict.fromkeys(
            job.task.name
            for job in self.jobs
            if job.pending and not all(phase.trained for phase in job.lineage)
        )
        raise XharnessError(
            f"No checkpoint for {', '.join(tasks)}. Train first: xharness train "
            f"--model {','.join(models)} --tasks {','.join(tasks)} (with the same --data, "
            "--backbone, --recipe and --seed), or add --train missing."
        )

    def describe(self) -> str:
        """The plan in a few lines."""
        cells, pending = self.cells, [cell for job in self.jobs for cell in job.pending]
        done = sum(cell.done is not None for cell in cells)
        outdated = sum(cell.outdated for cell in pending)
        anew = f" ({outdated} in place of results from other inputs)" if outdated else ""
        models = dict.fromkeys(job.card.name for job in self.jobs)
        tasks = dict.fromkeys(job.task.name for job in self.jobs)
        data = NOT_BENCHMARK if self.on_sample else self.request.data
        lines = [
            f"{self.suite.name} on {data}: {counted(len(cells), 'cell')} "
            f"({', '.join(models)}; {counted(len(tasks), 'task')}): "
            f"{len(pending)} to run{anew}, {done} done, "
            f"{len(cells) - len(pending) - done} without data"
        ]
        if ready := [job for job in self.jobs if job.bundled and job.pending]:
            names = ", ".join(dict.fromkeys(job.task.name for job in ready))
            lines.append(f"bundled checkpoints for {names} (docs/bundled.md)")
        for _, lineage in self.trainings():
            phase = lineage[-1]
            after = f" after {lineage[-2].name}" if len(lineage) > 1 else ""
            notes = [note for note in phase.notes if note != NOT_BENCHMARK]
            noted = f" [{'; '.join(notes)}]" if notes else ""
            recipes = ", ".join(dict.fromkeys(part.recipe.name for part in phase.parts))
            lines.append(f"train {phase.name}{after}, recipe {recipes}{noted}")
        for job in self.jobs:
            skipped = [cell for cell in job.cells if cell.reason]
            if skipped:
                languages = ", ".join(cell.language for cell in skipped)
                lines.append(f"skip {job.task.name} {languages}: {skipped[0].reason}")
        return "\n".join(lines)


def counted(number: int, name: str) -> str:
    """`1 task`, `2 tasks`"""
    return f"{number} {name}{'s' if number != 1 else ''}"


def select(what: str, patterns: Iterable[str], known: Sequence[str]) -> list[str]:
    """The known names that match any pattern, in their own order; all for no pattern.

    Raises UnknownName for a pattern that matches nothing."""
    patterns = list(patterns)
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise UnknownName(what, pattern, known, f"There are: {', '.join(known)}.")
    return [n for n in known if not patterns or any(fnmatch.fnmatchcase(n, p) for p in patterns)]


def evaluated(source: Source, task: TaskCard, language: str, split: str | None) -> Dataset | None:
    """What is evaluated in this language whenever it is, or None when nothing can be."""
    if language not in task.languages:
        return None
    try:
        return load_for_evaluation(source, task, language, split)
    except MissingData:
        return None


def limited(data: Dataset, limit: float | None) -> Dataset:
    """The first items of a dataset, and a note that says so; a pool stays whole."""
    if limit is None:
        return data
    count = int(limit) if limit >= 1 else max(1, round(limit * len(data.items)))
    if count >= len(data.items):
        return data
    note = f"limited to the first {count:,} of {len(data.items):,} items"
    return replace(data, items=data.items[:count], notes=(*data.notes, note))


def make_plan(
    request: Request,
    suite: SuiteCard,
    models: Sequence[ModelCard],
    tasks: dict[str, TaskCard],
    producer: Callable[[str], Producer],
    contexts: Sequence[Context],
    folder: RunFolder | None,
) -> Plan:
    """The plan for a request; `contexts` holds one for each seed.

    Raises UnknownName for tasks and languages that nothing has, CardError for kinds of task that
    no evaluator has and metrics that nobody has, DataError with all the files that can't be read,
    XharnessError when nothing is selected.
    """
    for name in request.tasks:
        if name in tasks and name not in suite.tasks:
            raise XharnessError(
                f"task {name!r} is not in suite {suite.name!r}; name a suite that has it with "
                f"--suite, if need be in a card of yours with `tasks: [{name}]`"
            )
    names = select("task", request.tasks, suite.tasks)
    offered = {n: suite_languages(suite, tasks[n]) for n in names}
    wanted = select(
        "language",
        request.languages,
        sorted({code for codes in offered.values() for code in codes}),
    )
    data = _load(request, contexts[0].source, tasks, offered, wanted)
    _check_split(request.split, [tasks[name] for name in names], data)
    jobs = [
        _job(request, card, tasks[name], producer(card.producer), context, data[name], folder)
        for card in models
        for context in contexts
        for name in names
        if data[name]
    ]
    _check_parts(jobs)
    if not jobs:
        raise NothingSelected(
            f"none of the languages {', '.join(wanted)} is in the tasks {', '.join(names)}"
        )
    return Plan(request, suite, tasks, jobs)


def _check_split(
    split: str | None,
    tasks: Sequence[TaskCard],
    data: Mapping[str, Mapping[str, Loaded | str]],
) -> None:
    """Raises UnknownName for a split that no card has and the source found nothing of."""
    known = dict.fromkeys(name for task in tasks for name in (*task.data, *task.hub))
    found = (each for languages in data.values() for each in languages.values())
    if split is not None and split not in known and all(isinstance(each, str) for each in found):
        raise UnknownName("split", split, known, f"There are: {', '.join(known)}.")


def _check_parts(jobs: Iterable[Job]) -> None:
    """Raises CardError for tasks whose kind no evaluator has or whose metric nobody has: now, not
    after a training."""
    complaints = {}
    for job in jobs:
        # Evaluators import heavy libraries; a plan whose cells are all done needs none.
        if any(cell.done is None for cell in job.cells):
            try:
                job.context.evaluator(job.task.kind)
                job.context.metric(job.task.metric)
            except UnknownName as error:
                complaints[job.task.name] = f"task {job.task.name!r}: {error}"
    if complaints:
        raise CardError("\n".join(complaints.values()))


def _load(
    request: Request,
    source: Source,
    tasks: dict[str, TaskCard],
    offered: dict[str, list[str]],
    wanted: Sequence[str],
) -> dict[str, dict[str, Loaded | str]]:
    """task -> language -> its data, or why there is none."""
    loaded: dict[str, dict[str, Loaded | str]] = {}
    broken: dict[str, None] = {}
    for name, languages in offered.items():
        loaded[name] = {}
        for language in (code for code in languages if code in wanted):
            try:
                whole = load_for_evaluation(source, tasks[name], language, request.split)
                data = limited(whole, request.limit)
                loaded[name][language] = Loaded(data, measured(tasks[name], data))
            except MissingData as missing:
                loaded[name][language] = str(missing)
            except DataError as error:
                broken[str(error)] = None
    if broken:
        shown = list(broken)[:MOST_COMPLAINTS]
        if len(broken) > len(shown):
            shown.append(f"... and {len(broken) - len(shown)} more: see xharness data check")
        raise DataError("\n".join(shown))
    return loaded


def _job(
    request: Request,
    card: ModelCard,
    task: TaskCard,
    producer: Producer,
    context: Context,
    data: dict[str, Loaded | str],
    folder: RunFolder | None,
) -> Job:
    lineage: list[Phase] = []
    reason = None
    bundle = None
    if request.checkpoints == "bundled" or (request.checkpoints is None and request.data == SAMPLE):
        bundle = bundled.find(card, task, request.recipe, context)
    try:
        if bundle:
            lineage = bundle.phases(context.tasks)
            context = replace(context, checkpoints=bundled.FOLDER)
        else:
            lineage = producer.lineage(card, task, context)
    except (MissingData, Refused) as error:
        reason = str(error)
    if request.checkpoints == "bundled" and not bundle and (lineage or reason):
        raise bundled.none_for(card, task)
    shared: dict[str, Any] = {}
    if not reason and any(isinstance(found, Loaded) for found in data.values()):
        identified = producer.identify(card, task, context)
        shared = _inputs(request, card, identified, lineage, context.seed)
    cells = []
    for language, found in data.items():
        identity = cell_id(card.name, task.name, language, context.seed)
        if isinstance(found, str) or reason:
            why = found if isinstance(found, str) else reason
            cells.append(Cell(identity, language, None, {}, "", reason=why))
            continue
        files = [file.sha256 for file in found.data.files]
        inputs = digest(shared | {"data": found.measured, "files": files})
        record = folder.read_cell(identity) if folder else None
        done = record if record and _still_valid(record, inputs, task, folder) else None
        outdated = record is not None and record.status == "ok" and record.inputs != inputs
        cells.append(
            Cell(identity, language, found.data, found.measured, inputs, done, outdated=outdated)
        )
    return Job(card, task, producer, lineage, context, cells, bundle is not None)


def _inputs(
    request: Request,
    card: ModelCard,
    backbone: Mapping[str, Any],
    lineage: Sequence[Phase],
    seed: int,
) -> dict[str, Any]:
    """What the results of all cells of a job depend on, beside their data."""
    return {
        "version": EVALUATION_VERSION,
        "producer": card.producer,
        "options": card.options,
        "backbone": dict(backbone),
        "profile": card.profile,
        "checkpoint": lineage[-1].address if lineage else None,
        "dtype": request.dtype,
        "seed": seed,
        "limit": request.limit,
    }


def _still_valid(record: CellRecord, inputs: str, task: TaskCard, folder: RunFolder | None) -> bool:
    return (
        record.status == "ok"
        and record.inputs == inputs
        and folder is not None
        and folder.is_whole(record, task.submission)
    )

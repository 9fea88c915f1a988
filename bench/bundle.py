"""Collects trained checkpoints into the package: `python bench/bundle.py RUN... --data FOLDER`.

RUN are run folders of `xharness eval --model MODEL --recipe lora --data FOLDER --train missing`:
the checkpoints of their models are taken from the cache into `xharness/checkpoints/`, in place of
what is there for these models, with an index, and `docs/bundled.md` is written anew.
`--page` writes the page alone.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

import xharness
from xharness.builtin import open_registry
from xharness.cache import cache_folder
from xharness.cards import Catalogue
from xharness.errors import Refused, XharnessError
from xharness.evaluators.recording import file_records
from xharness.inference.identity import sha256
from xharness.producers import bundled
from xharness.producers.bundled import Bundle, Score
from xharness.producers.lineage import checkpoint_folder
from xharness.records import CellRecord, PhaseRecord
from xharness.runner.context import prepare
from xharness.runner.plan import Job, Request
from xharness.runs.folder import RunFolder, json_bytes, write_whole

PAGE = Path(xharness.__file__).parents[1] / "docs" / "bundled.md"
MOST_BYTES = 1 << 20
INTRODUCTION = """\
# Bundled checkpoints

<!-- Written by bench/bundle.py; a test compares it with the index. -->

`xharness eval` on the bundled sample takes these and trains nothing. For other data they are taken
only when asked: `--checkpoints bundled`. They hold low-rank updates (`docs/models.md`) of the
encoder that the extra `offline` brings, and a head. Each file's SHA-256 is in
`xharness/checkpoints/index.json`, and one that is missing, changed or truncated is named before
anything runs. A changed model card, another backbone, recipe or seed never meets one: it is
trained.

**What they are for.** Trying xharness without training, and testing it. They were trained on parts
of the official files, so their scores say what such a small encoder reaches with few data, and
nothing about the methods. Some training data may not be used commercially; the weights are offered
under the terms of the data that they were trained on. Mewsli-X has no official training data here:
its encoders have seen the sample's 18 pairs alone.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--data", help="the release folder that RUN were made on")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    options = parser.parse_args()
    try:
        if not options.page:
            collect(options.runs, options.data)
        PAGE.write_text(page(bundled.bundles(bundled.FOLDER)), "utf-8")
    except XharnessError as error:
        sys.exit(f"Error: {error}")


def collect(runs: list[Path], data: str, include: Sequence[Path] = ()) -> None:
    """Copies the checkpoints that the runs' records name, and writes the index. Raises Refused when
    one is not in the cache, is not this program's for that data, or is too large."""
    registry = open_registry()
    catalogue = Catalogue.load([*registry.card_folders(), *include])
    made: list[Bundle] = []
    for run in map(RunFolder, runs):
        request = msgspec.convert(run.read_run().request, Request)
        request = msgspec.structs.replace(request, data=data, checkpoints="trained", limit=None)
        plan = prepare(request, registry, catalogue)
        jobs: dict[tuple[str, str], list[Job]] = {}
        for job in plan.jobs:
            if job.lineage and any(cell.reason is None for cell in job.cells):
                jobs.setdefault((job.card.name, job.lineage[-1].address), []).append(job)
        made += [bundle(group, request, run.records()) for group in jobs.values()]
    models = {one.model for one in made}
    kept = [one for one in bundled.bundles(bundled.FOLDER) if one.model not in models]
    index = sorted(kept + made, key=lambda one: (one.model, one.tasks))
    for one in made:
        source = checkpoint_folder(cache_folder() / "checkpoints", one.address)
        target = checkpoint_folder(bundled.FOLDER, one.address)
        shutil.copytree(source, target, copy_function=shutil.copyfile, dirs_exist_ok=True)
    write_whole(bundled.FOLDER / bundled.INDEX, json_bytes(index))
    named = {checkpoint_folder(bundled.FOLDER, one.address) for one in index}
    for folder in bundled.FOLDER.iterdir():
        if folder.is_dir() and folder not in named:
            shutil.rmtree(folder)
    bundled.bundles.cache_clear()


def bundle(jobs: list[Job], request: Request, records: list[CellRecord]) -> Bundle:
    """What the index says of the checkpoint that these jobs share."""
    job, phase = jobs[0], jobs[0].lineage[-1]
    names = [other.task.name for other in jobs]
    folder = checkpoint_folder(job.context.checkpoints, phase.address)
    if not folder.is_dir():
        raise Refused(f"{job.card.name} for {', '.join(names)}: no checkpoint {folder} yet")
    if (size := sum(path.stat().st_size for path in folder.iterdir())) > MOST_BYTES:
        raise Refused(f"{folder} has {size:,} bytes, more than {MOST_BYTES:,}: take --recipe lora")
    trained_on = {
        name: part.task.licence
        for one in job.lineage
        for part in one.parts
        for name in (part.task.combines or [part.task.name])
    }
    recipe = request.recipe or str(job.card.recipe)
    command = ["xharness", "eval", "--model", job.card.name, "--recipe", recipe]
    for name in ("tasks", "languages"):
        if named := getattr(request, name):
            command += [f"--{name}", ",".join(named)]
    command += ["--data", "FOLDER", "--train", "missing"]
    return Bundle(
        model=job.card.name,
        tasks=names,
        card=bundled.identity(job.card),
        backbone=job.context.identify(job.card)["weights_sha256"],
        recipe=recipe,
        files={path.name: sha256([path]) for path in sorted(folder.iterdir())},
        lineage=[
            PhaseRecord(p.name, p.recipe, p.seed, p.address, file_records(p.files), list(p.notes))
            for p in job.lineage
        ],
        licences=trained_on,
        scores={name: score for name in names if (score := _score(name, phase.address, records))},
        command=shlex.join(command),
    )


def _score(task: str, address: str, records: list[CellRecord]) -> Score | None:
    scores = [
        record.result.score
        for record in records
        if record.task.name == task
        and record.result
        and [phase.address for phase in record.model.lineage][-1:] == [address]
    ]
    return Score(score=sum(scores) / len(scores), languages=len(scores)) if scores else None


def page(index: list[Bundle]) -> str:
    """The model cards, one section a model."""
    lines = [INTRODUCTION]
    for model in dict.fromkeys(one.model for one in index):
        own = [one for one in index if one.model == model]
        lines += [f"## {model}\n", "| tasks | trained on | score (languages) | fingerprint |"]
        lines.append("|---|---|---|---|")
        for one in own:
            scores = ", ".join(f"{n} {s.score:.1f} ({s.languages})" for n, s in one.scores.items())
            phases = ", then ".join(phase.task.replace("+", " + ") for phase in one.lineage)
            cells = [", ".join(one.tasks), phases, scores or "-", f"`{one.address[:12]}`"]
            lines.append(f"| {' | '.join(cells)} |")
        recipes = ", ".join(f"`{name}`" for name in dict.fromkeys(one.recipe for one in own))
        lines.append(f"\nRecipe {recipes}, seed {own[0].lineage[-1].seed}; made again by\n")
        lines.append("```sh")
        lines += dict.fromkeys(one.command for one in own)
        lines.append("```\n")
        notes = {
            f"{phase.task}: {note}" for one in own for phase in one.lineage for note in phase.notes
        }
        lines += [*(f"- {note}" for note in sorted(notes)), ""] if notes else []
    licences = {name: licence for one in index for name, licence in one.licences.items()}
    if licences:
        lines += ["## Licences of the training data\n", "| data | licence |", "|---|---|"]
        lines += [f"| {name} | {licence} |" for name, licence in sorted(licences.items())]
    else:
        lines.append("None is bundled yet: on the sample, models are trained on its few examples.")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()

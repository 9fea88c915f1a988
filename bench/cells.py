"""What a cell costs beside its model: `python bench/cells.py`.

A run of 10,000 cells (100 models on one task in 100 languages, four items each, a model that
answers at once) by the real commands: `eval`, `show`, and `eval` again when all is done. Prints
JSON: CPU and wall seconds of each process. The bars hold for CPU seconds, which a busy machine does
not change much; what writing to this disk costs (each cell writes three files whole: temporary
name, fsync, rename) is measured beside it, with and without fsync. `--check` exits 1 over a bar,
`--models N` tries it with fewer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import xharness

LANGUAGES = 100
BARS = {"eval_ms_per_cell": 5.0, "show_seconds": 10.0, "resume_seconds": 15.0}
WRITES = 300
PLUGIN = """
import numpy as np
import xharness

class Instant:
    def classify(self, pairs):
        return np.zeros((len(pairs), 2))

class InstantProducer(xharness.Producer):
    name = "instant"

    def produce(self, card, task, lineage, context):
        return xharness.Produced(Instant())

@xharness.hookimpl
def xharness_producers():
    return [InstantProducer]
"""
TASK = """
name: tiny
kind: classification
description: Four pairs.
languages: [{languages}]
labels: [same, other]
metric: accuracy
official: [accuracy]
score: [accuracy]
data:
  test:
    - path: "tiny/{{language}}.tsv"
      reader: tsv
      options: {{columns: {{first: 0, second: 1, label: 2}}}}
"""
SUITE = "name: tinies\ndescription: One task.\ntasks: [tiny]\ngroups: {}\naverages: []\n"
ROWS = "".join(f"{i}\t{i}\t{'same' if i % 2 else 'other'}\n" for i in range(4))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 over a bar")
    parser.add_argument("--models", type=int, default=100, help="models of the run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        evaluate = command(folder, arguments.models)
        show = ["show", str(folder / "run"), "--include", str(folder / "cards")]
        results = {
            "eval": measure(folder, evaluate),
            "show": measure(folder, show),
            "resume": measure(folder, evaluate),
        }
        cells = sum(1 for _ in (folder / "run" / "cells").rglob("*.json"))
        fsync, plain = (disk_ms(folder, synced) for synced in (True, False))
    assert cells == arguments.models * LANGUAGES
    figures = {
        "eval_ms_per_cell": 1000 * results["eval"]["cpu_seconds"] / cells,
        "show_seconds": results["show"]["cpu_seconds"],
        "resume_seconds": results["resume"]["cpu_seconds"],
    }
    over = [name for name, value in figures.items() if value > BARS[name]]
    report = {
        "cells": cells,
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "bars": BARS,
        "over_bar": over,
        "processes": results,
        "file_written_whole_ms": {"with_fsync": round(fsync, 3), "without": round(plain, 3)},
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(json.dumps(report, indent=2))
    return int(arguments.check and bool(over))


def command(folder: Path, models: int) -> list[str]:
    """Writes cards, data and plugin; returns the arguments of the `eval` that uses them."""
    cards, release = folder / "cards", folder / "release" / "tiny"
    cards.mkdir()
    release.mkdir(parents=True)
    languages = [f"l{i:02}" for i in range(LANGUAGES)]
    names = [f"m{i:03}" for i in range(models)]
    (folder / "instant.py").write_text(PLUGIN)
    (cards / "tiny.yaml").write_text(TASK.format(languages=", ".join(languages)))
    (cards / "tinies.yaml").write_text(SUITE)
    for name in names:
        card = f"name: {name}\nproducer: instant\ndescription: Answers at once.\n"
        (cards / f"{name}.yaml").write_text(card)
    for language in languages:
        (release / f"{language}.tsv").write_text(ROWS)
    return [
        "eval", "--model", ",".join(names), "--suite", "tinies", "--include", str(cards),
        "--data", str(folder / "release"), "--output", str(folder / "run"),
    ]  # fmt: skip


def measure(folder: Path, arguments: list[str]) -> dict[str, float]:
    """CPU (user and system) and wall seconds of `xharness` with these arguments."""
    environment = os.environ | {
        "XHARNESS_PLUGINS": str(folder / "instant.py"),
        "PYTHONPATH": str(Path(xharness.__file__).parents[1]),
    }
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "xharness", *arguments],
        env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": round(cpu, 3), "wall_seconds": round(wall, 3)}


def disk_ms(folder: Path, synced: bool) -> float:
    """Wall milliseconds to write 2 KiB under a temporary name and rename it."""
    where = folder / f"disk-{synced}"
    where.mkdir()
    begun = time.perf_counter()
    for i in range(WRITES):
        with (where / "tmp").open("wb") as file:
            file.write(bytes(2048))
            file.flush()
            if synced:
                os.fsync(file.fileno())
        (where / "tmp").rename(where / str(i))
    return 1000 * (time.perf_counter() - begun) / WRITES


if __name__ == "__main__":
    sys.exit(main())

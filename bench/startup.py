"""How fast commands that compute nothing are: `python bench/startup.py`.

`--help`, the lists, and a second `eval` of a run that is complete. Prints JSON: wall seconds of a
new process (the median of the rounds), the ratio to a Python that does nothing, and the heavy
libraries that were imported. `--check` exits 1 when one is over its bar or imports one of them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import xharness
from xharness.testing.toys import make_world

ROUNDS = 9
HEAVY = ("numpy", "torch", "transformers", "datasets", "pandas", "faiss", "sklearn", "scipy")
# Seconds on a machine that does something else too; idle, the first takes a third of its bar.
BARS = {"help": 0.25, "list": 0.75, "plugins": 0.75, "second eval": 1.0}
PROGRAM = f"""
import atexit, sys
atexit.register(
    lambda: print(*sorted({{*sys.modules}} & {{*{HEAVY!r}}}), sep=",", file=sys.stderr)
)
from xharness.cli.main import main
main()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 over a bar")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        commands = {
            "help": ["--help"],
            "list": ["list", "tasks"],
            "plugins": ["plugins"],
            "second eval": finished_run(Path(folder)),
        }
        nothing = statistics.median(wall(["-c", "pass"])[0] for _ in range(ROUNDS))
        results = {name: measure(arguments, nothing) for name, arguments in commands.items()}
    for name, result in results.items():
        result["bar"] = BARS[name]
    facts = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "bare_python_seconds": round(nothing, 3),
    }
    print(json.dumps({"facts": facts, "results": results}, indent=2))
    bad = [name for name, r in results.items() if r["seconds"] > BARS[name] or r["heavy"]]
    if bad:
        print(f"over the bar: {', '.join(bad)}", file=sys.stderr)
    return int(check and bool(bad))


def finished_run(folder: Path) -> list[str]:
    """The arguments of an `eval` that has nothing left to do."""
    os.environ["XHARNESS_CACHE"] = str(folder / "cache")
    world, run = make_world(folder), folder / "run"
    xharness.evaluate(
        run, models=["toy"], suite="toy", tasks=["toy-bitext"], data=str(world.release),
        include=[world.cards],
    )  # fmt: skip
    named = ["eval", "-m", "toy", "-s", "toy", "-t", "toy-bitext", "-o", str(run)]
    return [*named, "--data", str(world.release), "--include", str(world.cards)]


def measure(arguments: list[str], nothing: float) -> dict[str, object]:
    rounds = [wall(["-c", PROGRAM, *arguments]) for _ in range(ROUNDS)]
    seconds = statistics.median(seconds for seconds, _ in rounds)
    heavy = rounds[0][1].splitlines()[-1]
    return {
        "seconds": round(seconds, 3),
        "ratio_to_bare_python": round(seconds / nothing, 1),
        "heavy": heavy.split(",") if heavy else [],
    }


def wall(arguments: list[str]) -> tuple[float, str]:
    """Wall seconds of a new Python with these arguments, and what it wrote to stderr."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return time.perf_counter() - start, done.stderr


if __name__ == "__main__":
    sys.exit(main())

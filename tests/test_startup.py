"""Light commands import nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import xharness
from xharness.testing.toys import make_world

HEAVY = {"numpy", "torch", "transformers", "datasets", "pandas", "faiss", "sklearn", "scipy"}
PROGRAM = """
import sys
from xharness.cli.main import main
try:
    main({arguments!r})
except SystemExit as ended:
    assert ended.code == 0, ended.code
print("LOADED", *sorted({{name.split(".")[0] for name in sys.modules}}))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["--version"], ["eval", "--help"], ["train", "--help"], ["show", "--help"],
        ["score", "--help"], ["submission", "--help"], ["compare", "--help"], ["report", "--help"],
        ["export", "--help"],
        ["data", "check", "--help"], ["plugins"], ["list", "tasks"], ["list", "models"],
        ["list", "suites"], ["list", "languages"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    program = PROGRAM.format(arguments=arguments)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.splitlines()[-1].split())
    assert "xharness" in loaded
    assert not loaded & HEAVY


def test_an_evaluation_that_is_done_already_imports_nothing_heavy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))
    world, run = make_world(tmp_path), tmp_path / "run"
    xharness.evaluate(
        run, models=["toy"], suite="toy", tasks=["toy-bitext"], data=str(world.release),
        include=[world.cards],
    )  # fmt: skip
    arguments = [
        "eval", "-m", "toy", "-s", "toy", "-t", "toy-bitext", "-o", str(run),
        "--data", str(world.release), "--include", str(world.cards),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(arguments=arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "0 to run, 2 done" in done.stderr
    assert not set(done.stdout.splitlines()[-1].split()) & HEAVY

"""A run that is killed at any moment goes on, and leaves what an undisturbed run leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xharness.testing.toys import World, make_world

ROOT = Path(__file__).parents[2]
# A plugin that kills the process at the Nth event of a kind, as a power cut would.
KILLER = """
import os, signal
from xharness import hookimpl

kind, number = os.environ["KILL_AT"].split(":")
left = int(number)

def count(event):
    global left
    left -= event == kind
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def xharness_training_step(phase, step, steps, loss):
    count("step")

@hookimpl
def xharness_cell_finished(record):
    count("cell")

@hookimpl
def xharness_job_started(job):
    count("job")
"""
KILLS = ["step:2", "step:9", "cell:1", "job:2", "step:7", "cell:4", "step:3", "cell:3", "job:1"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def install_killer(folder: Path) -> Path:
    info = folder / "killer-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[xharness]\nkiller = killer\n")
    (folder / "killer.py").write_text(KILLER)
    return folder


def evaluate(
    world: World, folder: Path, cache: Path, path: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xharness", "eval", "--model", "toy", "--suite", "toy"]
    command += ["--data", str(world.release), "--include", str(world.cards)]
    command += ["--output", str(folder), "--train", "missing"]
    inherited = {key: value for key, value in os.environ.items() if key != "XHARNESS_PLUGINS"}
    environment = inherited | {
        "XHARNESS_CACHE": str(cache),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{path}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        command, env=environment | variables, capture_output=True, text=True, timeout=300
    )


def results(folder: Path) -> dict[str, Any]:
    """All that must not depend on interruptions, by file."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name in ("RUN.lock", "run.json"):
            continue
        found[name] = path.read_bytes()
        if name.startswith("cells/"):
            record = json.loads(found[name])
            del record["created"], record["timing"]
            found[name] = json.dumps(record)
    return found


def test_killed_runs_end_as_an_undisturbed_one(world: World, tmp_path: Path) -> None:
    whole = evaluate(world, tmp_path / "whole", tmp_path / "cache-whole")
    assert whole.returncode == 0, whole.stderr

    killer = install_killer(tmp_path / "killer")
    for kill in KILLS:
        run = evaluate(world, tmp_path / "run", tmp_path / "cache", killer, KILL_AT=kill)
        assert run.returncode == -signal.SIGKILL, (kill, run.stderr)
    last = evaluate(world, tmp_path / "run", tmp_path / "cache")
    assert last.returncode == 0, last.stderr
    assert last.stdout == whole.stdout
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_a_second_process_on_one_run_folder_is_refused(world: World, tmp_path: Path) -> None:
    from xharness.runs.folder import RunFolder

    with RunFolder(tmp_path / "run").locked():
        second = evaluate(world, tmp_path / "run", tmp_path / "cache")
    assert second.returncode == 2
    assert "another process is writing to" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_missing_checkpoint_names_the_command_that_trains(world: World, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xharness", "eval", "-m", "toy", "-s", "toy", "-t", "toy-tags"]
    command += ["--data", str(world.release), "--include", str(world.cards)]
    command += ["--output", str(tmp_path / "run")]
    environment = os.environ | {"XHARNESS_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 2
    assert "xharness train --model toy --tasks toy-tags" in run.stderr
    assert not (tmp_path / "run").exists()

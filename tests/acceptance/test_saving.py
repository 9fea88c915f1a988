"""A save that is cut off, or for which there is no room, leaves what was saved before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xharness.testing.toys import World, make_world

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

STEPS = 12  # 48 items in batches of 8, two epochs
# A plugin with which each step saves its state, and which at one step disturbs the save after it:
# kills the process between writing and renaming, or fills the disk.
DISTURBER = """
import os, signal
from pathlib import Path
from xharness import hookimpl

@hookimpl
def xharness_training_step(phase, step, steps, loss):
    from xharness.training import loop

    loop.SECONDS_BETWEEN_STATES = 0.0
    way, at = os.environ["DISTURB"].split(":")
    if step != int(at):
        return
    if way == "kill":
        os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
        return
    with open(Path(os.environ["XHARNESS_CACHE"], "filler"), "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of an undisturbed training."""
    cache = tmp_path_factory.mktemp("whole")
    run = train(world, cache)
    assert run.returncode == 0, run.stderr
    return weights(cache)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no small disk can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def train(world: World, cache: Path, disturb: str = "") -> subprocess.CompletedProcess[str]:
    variables = {}
    if disturb:
        plugin = world.cards.parent / "disturber.py"
        plugin.write_text(DISTURBER)
        variables = {"DISTURB": disturb, "XHARNESS_PLUGINS": str(plugin)}
    return xharness(world, cache, ["train", "--tasks", "toy-tags"], variables)


def xharness(
    world: World, cache: Path, asked: list[str], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xharness", *asked, "--model", "toy", "--suite", "toy"]
    command += ["--data", str(world.release), "--include", str(world.cards)]
    variables = variables | {"XHARNESS_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    variables["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=300
    )


def weights(cache: Path) -> dict[str, torch.Tensor]:
    (path,) = cache.glob("checkpoints/*/model.safetensors")
    return load_file(path)


def assert_goes_on(world: World, cache: Path, whole: dict[str, torch.Tensor]) -> None:
    """The same command ends with an undisturbed training's weights, and leaves nothing else."""
    run = train(world, cache)
    assert run.returncode == 0, run.stderr
    made = weights(cache)
    assert made.keys() == whole.keys()
    assert all(torch.equal(made[name], whole[name]) for name in whole)
    assert {path.suffix for path in (cache / "checkpoints").iterdir()} <= {"", ".lock"}


@pytest.mark.parametrize(("step", "left"), [(5, ".tmp"), (STEPS, ".partial")])
def test_killed_in_the_middle_of_a_save(
    world: World, whole: dict[str, torch.Tensor], tmp_path: Path, step: int, left: str
) -> None:
    run = train(world, tmp_path, f"kill:{step}")
    assert run.returncode == -signal.SIGKILL, run.stderr
    suffixes = {path.suffix for path in (tmp_path / "checkpoints").iterdir()}
    assert suffixes == {".state", ".lock", left}
    assert_goes_on(world, tmp_path, whole)


@pytest.mark.parametrize(("step", "what"), [(5, ".tmp"), (STEPS, ".partial")])
def test_a_full_disk_is_said_and_the_last_state_stays(
    world: World, whole: dict[str, torch.Tensor], small_disk: Path, step: int, what: str
) -> None:
    run = train(world, small_disk, f"fill:{step}")
    assert run.returncode == 2, run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert f"{what} can't be written: " in last
    assert "No space left on device" in last
    assert "Traceback" not in run.stderr
    assert {path.suffix for path in (small_disk / "checkpoints").iterdir()} == {".state", ".lock"}
    (small_disk / "filler").unlink()
    assert_goes_on(world, small_disk, whole)


def test_a_run_on_a_full_disk_is_said_and_goes_on_later(
    world: World, tmp_path: Path, small_disk: Path
) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    asked = ["eval", "--tasks", "toy-bitext", "--output", str(small_disk / "run")]
    run = xharness(world, tmp_path, asked, {})
    assert run.returncode == 2, run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last == f"Error: {small_disk}/run/run.json can't be written: No space left on device"
    (small_disk / "filler").unlink()
    run = xharness(world, tmp_path, asked, {})
    assert run.returncode == 0, run.stderr
    assert not list((small_disk / "run").rglob("*.tmp"))

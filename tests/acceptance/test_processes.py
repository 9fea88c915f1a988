"""Two processes that train together make the weights that one makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from xharness.testing.toys import World, make_world

ROOT = Path(__file__).parents[2]
TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Without dropout, whose masks can't be the same, and with an adversary for each kind."""
    world = make_world(tmp_path / "world")
    path = world.backbone / "config.json"
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    path.write_text(json.dumps(json.loads(path.read_text()) | off))
    write(world, "harder", description="Adversaries.", defaults={"adversary": {"name": "freelb"}},
          kinds={"span": {"adversary": {"name": "r3f", "radius": 0.05}}})  # fmt: skip
    # Gradients that are 0 but for rounding (of biases before a softmax) must not become steps.
    write(world, "even", description="Toy.", extends="toy-recipe", defaults={"adam_epsilon": 1e-4})
    both = {"intermediate": "harder", "target": "harder"}
    write(world, "together", producer="adv-stilts", description="Toy.", recipe="even",
          backbone=str(world.backbone), adjust=both,
          intermediate={"tasks": ["toy-pairs", "toy-spans"]})  # fmt: skip
    return world


def write(world: World, name: str, **card: Any) -> None:
    (world.cards / f"models/{name}.yaml").write_text(yaml.safe_dump({"name": name, **card}))


def launch(
    world: World, cache: Path, launcher: list[str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, "-m", "xharness", *arguments, "--model", "together"]
    command += ["--suite", "toy", "--tasks", "toy-choices,toy-tags", "--data", str(world.release)]
    command += ["--include", str(world.cards)]
    variables = {"XHARNESS_CACHE": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=300
    )


def test_two_processes_train_what_one_trains(world: World, tmp_path: Path) -> None:
    alone = launch(world, tmp_path / "one", [], "train")
    together = launch(world, tmp_path / "two", TWO, "train")
    assert alone.returncode == together.returncode == 0, together.stderr
    # The first process alone tells what is done.
    assert together.stdout == alone.stdout == "trained 3 phases\n"
    assert together.stderr.count("train toy-pairs+toy-spans") == 1
    found = sorted((tmp_path / "one/checkpoints").glob("*/checkpoint.json"))
    assert len(found) == 3
    for path in found:
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        facts, theirs = (json.loads(p.read_text())["training"] for p in (path, other))
        assert theirs["steps"] == facts["steps"]
        # Each passes its half of each batch.
        assert theirs["forward_passes"] == 2 * facts["forward_passes"]
        assert theirs["perturbed_sequences"] == facts["perturbed_sequences"]
        assert theirs["perturbation_norm"] == pytest.approx(facts["perturbation_norm"], rel=1e-4)
        one, two = (load_file(p.with_name("model.safetensors")) for p in (path, other))
        assert one.keys() == two.keys()
        for name in one:
            torch.testing.assert_close(one[name], two[name], atol=1e-4, rtol=1e-3, msg=name)
    assert not list((tmp_path / "two/checkpoints").glob("*.state"))
    again = launch(world, tmp_path / "two", TWO, "train")
    assert again.stdout == "nothing to train: every checkpoint exists\n"


def test_evaluation_is_for_one_process(world: World, tmp_path: Path) -> None:
    run = launch(world, tmp_path / "cache", TWO, "eval", "--output", str(tmp_path / "run"))
    assert run.returncode != 0
    assert "eval runs in one process; train with the launcher" in run.stderr

"""The commands and settings of docs/ci.md, run on a toy world."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import yaml

from xharness.results.policy import GatePolicy, read_policy
from xharness.testing.toys import make_world

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text("utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- executed: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_page_gives_the_default_settings(tmp_path: Path) -> None:
    settings = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert settings
    path = tmp_path / "pyproject.toml"
    path.write_text(settings[1])
    assert read_policy(path) == GatePolicy()
    # All of them, but for the one that has no value by default.
    given = msgspec.toml.decode(settings[1])["tool"]["xharness"]["gate"]
    assert set(given) == set(GatePolicy.__struct_fields__) - {"seed_sd"}


def test_the_workflow_passes_on_the_same_code(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    workflow = yaml.safe_load(block("workflow"))
    options = {
        "MODELS": "toy",
        "SUITE": "toy",
        "TASKS": "toy-bitext",  # needs no training
        "DATA": str(world.release),
        "INCLUDE": str(world.cards),
    }
    overridden = {f"XHARNESS_EVAL_{name}": value for name, value in options.items()}
    assert set(workflow["env"]) <= set(overridden)
    summary = tmp_path / "summary.md"
    environment = os.environ | overridden | {
        "XHARNESS_CACHE": str(tmp_path / "cache"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
    }  # fmt: skip
    steps = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
    ours = [step for step in steps if step.startswith("xharness ")]
    assert len(ours) == 2
    for command in [*block("baseline").splitlines(), *ours]:
        done = subprocess.run(
            command.replace("xharness", f"{sys.executable} -m xharness", 1),
            shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert "Gate: identical" in done.stdout
    assert "Gate: identical" in summary.read_text()
    assert (tmp_path / "gate.xml").is_file()
    assert (tmp_path / "ci/base.npz").is_file()

"""Installed as a user installs it, and run in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

import xharness
from xharness.testing.toys import WORDS, make_world

DISTRIBUTION = Path(__file__).parents[1]
HEAVY = {"numpy", "torch", "transformers", "datasets", "pandas", "faiss", "sklearn", "scipy"}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python where the plugin is installed."""
    folder = tmp_path_factory.mktemp("installed")
    # Built from a copy: a build leaves files beside the source.
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(DISTRIBUTION, folder / "source", ignore=ignored)
    subprocess.check_call(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet",
         "--disable-pip-version-check", "--target", folder / "site", folder / "source"],
    )  # fmt: skip
    path = os.pathsep.join([str(folder / "site"), str(Path(xharness.__file__).parents[1])])
    inherited = {key: value for key, value in os.environ.items() if key != "XHARNESS_PLUGINS"}
    environment = inherited | {"PYTHONPATH": path, "XHARNESS_CACHE": str(folder / "cache")}

    def do(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return do


def test_its_parts_are_offered_and_start_up_stays_light(run: Run) -> None:
    done = run("-m", "xharness", "plugins", "--json")
    plugins = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert plugins["xtreme-v1"]["state"] == "ok"
    assert plugins["xtreme-v1"]["hooks"] == [
        "xharness_cards", "xharness_evaluators", "xharness_metrics", "xharness_readers"
    ]  # fmt: skip
    program = (
        "import sys\n"
        "from xharness.cli.main import main\n"
        "try: main(['list', 'suites'])\n"
        "except SystemExit: print('LOADED', *{name.split('.')[0] for name in sys.modules})\n"
    )
    listed = run("-c", program)
    assert "\nxtreme " in listed.stdout
    loaded = set(listed.stdout.splitlines()[-1].split())
    assert "xharness_xtreme_v1" in loaded
    assert not loaded & HEAVY


def write_release(root: Path) -> None:
    """A sentence is a paraphrase of itself, not of itself turned round; and its own translation."""
    triples = product(WORDS[2:6], WORDS[6:10], WORDS[6:9])
    sentences = [f"the {one} {other} sees {third}" for one, other, third in triples]
    (root / "pawsx").mkdir(parents=True)
    for split, language in (("train", "en"), ("dev", "en"), ("test", "en"), ("test", "de")):
        rows = [
            f"{text}\t{text if i % 2 else text[::-1]}\t{i % 2}\r\n"
            for i, text in enumerate(sentences[:24])
        ]
        (root / "pawsx" / f"{split}-{language}.tsv").write_text("".join(rows))
    for split, part in (("dev", sentences[:20]), ("test", sentences[20:])):
        english = [f"en-{i}\t{text}\n" for i, text in enumerate(part)]
        foreign = [f"de-{i}\t{text}\n" for i, text in enumerate(reversed(part))]
        gold = [f"de-{i}\ten-{len(part) - 1 - i}\n" for i in range(len(part))]
        for side, lines in (("en", english), ("de", foreign), ("gold", gold)):
            (root / f"de-en.{split}.{side}").write_text("".join(lines))


@pytest.mark.slow
def test_both_tasks_are_evaluated_and_the_same_command_finds_them_done(
    run: Run, tmp_path: Path
) -> None:
    world = make_world(tmp_path)
    write_release(tmp_path / "v1")
    arguments = [
        "-m", "xharness", "eval", "-m", "toy", "--suite", "xtreme", "--tasks", "pawsx,bucc2018",
        "--languages", "en,de", "--data", tmp_path / "v1", "--include", world.cards,
        "--train", "missing", "-o", tmp_path / "run",
    ]  # fmt: skip
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    cells = tmp_path / "run" / "cells" / "toy"
    mined = json.loads((cells / "bucc2018" / "de.json").read_text())
    # Equal texts have equal vectors, so all is found; the threshold comes from dev.
    assert mined["result"]["values"]["f1"] == 100
    assert mined["result"]["variants"]["f1"].endswith("tuned on dev")
    assert mined["data"]["notes"] == []
    files = {Path(file["path"]).name for file in mined["data"]["files"]}
    assert files == {f"de-en.{s}.{side}" for s in ("dev", "test") for side in ("de", "en", "gold")}
    assert mined["model"]["profile"]["pooling"] == "mean"
    pairs = json.loads((cells / "pawsx" / "de.json").read_text())
    assert (pairs["status"], pairs["result"]["n_items"]) == ("ok", 24)
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    assert "0 to run, 3 done" in again.stderr

    (tmp_path / "v1" / "de-en.test.gold").unlink()
    stripped = run(*arguments)
    assert stripped.returncode == 0, stripped.stderr
    notes = json.loads((cells / "bucc2018" / "de.json").read_text())["data"]["notes"]
    assert notes == [
        "split dev stands in for test, which is stripped",
        "tuned on the split that is scored, dev, so the score is too good",
    ]

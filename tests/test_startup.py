"""Light commands import nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

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

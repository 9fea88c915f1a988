"""Golden files that no test reads prove nothing, so each must be named in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden" / "official-metrics"
FOLDERS = sorted(folder.name for folder in GOLDEN.iterdir())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_golden_file_is_read_by_a_test(folder: str) -> None:
    sources = "\n".join(path.read_text("utf-8") for path in TESTS.rglob("test_*.py"))
    files = sorted(path.name for path in (GOLDEN / folder).iterdir())
    assert files
    assert [name for name in files if f"{folder}/{name}" not in sources] == []

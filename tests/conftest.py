"""Where tests find real data: `$XHARNESS_DATA` and, beside that folder, `fixtures`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The tests are about our own parts, whatever plugins are installed beside them.
os.environ["XHARNESS_PLUGINS"] = ""

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The release folder with real files; tests that need it are skipped elsewhere."""
    value = os.environ.get("XHARNESS_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("needs real data: set XHARNESS_DATA to a release folder")
    return Path(value)


@pytest.fixture(scope="session")
def fixtures_root(data_root: Path) -> Path:
    """More real files (layouts, traps, official mock files) beside the release folder."""
    folder = data_root.parent / "fixtures"
    if not folder.is_dir():
        pytest.skip("needs the folder 'fixtures' beside $XHARNESS_DATA")
    return folder

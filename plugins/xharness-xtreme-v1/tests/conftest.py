"""Where tests find real data: `$XHARNESS_DATA` and, beside that folder, `fixtures`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def data_root() -> Path:
    value = os.environ.get("XHARNESS_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("needs real data: set XHARNESS_DATA to a release folder")
    return Path(value)


@pytest.fixture(scope="session")
def fixtures_root(data_root: Path) -> Path:
    folder = data_root.parent / "fixtures"
    if not folder.is_dir():
        pytest.skip("needs the folder 'fixtures' beside $XHARNESS_DATA")
    return folder


@pytest.fixture
def golden() -> Callable[[str], Any]:
    return lambda name: json.loads((GOLDEN / name).read_text("utf-8"))

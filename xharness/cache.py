"""Where the program keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from xharness.errors import XharnessError


def cache_folder() -> Path:
    """`$XHARNESS_CACHE`, or the user's cache: converted backbones, checkpoints, the sample. Raises
    XharnessError when a file is there."""
    value = os.environ.get("XHARNESS_CACHE")
    folder = Path(value) if value else Path.home() / ".cache" / "xharness"
    if folder.exists() and not folder.is_dir():
        raise XharnessError(f"the cache {folder} is no folder; $XHARNESS_CACHE names another")
    return folder

"""Where the program keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$XHARNESS_CACHE`, or the user's cache: converted backbones, checkpoints, the sample."""
    value = os.environ.get("XHARNESS_CACHE")
    return Path(value) if value else Path.home() / ".cache" / "xharness"

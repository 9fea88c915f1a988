"""xharness: evaluation of cross-lingual transfer on XTREME-R, built from plugins.

    import xharness
    records = xharness.evaluate("runs/mine", models=["standard"], data="release/")

Everything here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xharness.api import evaluate, train
    from xharness.errors import XharnessError
    from xharness.plugins.hookspecs import hookimpl
    from xharness.plugins.roles import Outcome, Phase, Produced, Producer, Scored, Span
    from xharness.runs.folder import RunFolder

__version__ = "0.1.0"

_HOMES = {
    "evaluate": "xharness.api",
    "train": "xharness.api",
    "RunFolder": "xharness.runs.folder",
    "XharnessError": "xharness.errors",
    "hookimpl": "xharness.plugins.hookspecs",
    "Outcome": "xharness.plugins.roles",
    "Phase": "xharness.plugins.roles",
    "Produced": "xharness.plugins.roles",
    "Producer": "xharness.plugins.roles",
    "Scored": "xharness.plugins.roles",
    "Span": "xharness.plugins.roles",
}

__all__ = [
    "Outcome",
    "Phase",
    "Produced",
    "Producer",
    "RunFolder",
    "Scored",
    "Span",
    "XharnessError",
    "__version__",
    "evaluate",
    "hookimpl",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'xharness' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

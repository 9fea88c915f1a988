"""What identifies a measurement: results that agree in it may be compared item by item."""

from __future__ import annotations

from typing import Any

from xharness.cards import TaskCard, digest, told
from xharness.data.items import Dataset
from xharness.errors import PluginError


def measured(task: TaskCard, data: Dataset) -> dict[str, Any]:
    """What is measured in a cell, apart from model, hardware and versions, as plain values."""
    tuned_on = {"tuning": gold_sha256(data.tuning)} if data.tuning else {}
    facts = {
        "task": task.name,
        "version": task.version,
        "metric": task.metric,
        "score": task.score,
        "labels": task.labels,
        "preprocessing": task.preprocessing,
        "language": data.language,
        "split": data.split,
        "items": items_sha256(data),
        "gold": gold_sha256(data),
    }
    return tuned_on | {name: told(fact) for name, fact in facts.items()}


def items_sha256(data: Dataset) -> str:
    """Digest of the ordered item ids: equal digests can be paired item by item."""
    return digest([item.id for item in data.items])


def gold_sha256(data: Dataset) -> str:
    """Digest of the ordered gold labels and of the ids of the pool."""
    gold = [_gold(item) for item in data.items]
    return digest([gold, [candidate.id for candidate in data.pool]])


def _gold(item: Any) -> Any:
    for name in ("label", "tags", "answers", "targets"):
        if hasattr(item, name):
            return getattr(item, name)
    raise PluginError(
        f"{type(item).__name__} has its gold in none of the fields label, tags, answers, targets."
    )

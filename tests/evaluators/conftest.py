"""Small data for the evaluators, and the card that goes with each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from xharness.cards import TaskCard
from xharness.data.items import Candidate, Dataset


@pytest.fixture
def card() -> Callable[..., TaskCard]:
    """Makes the card of a task of a kind with labels."""

    def make(kind: Any, labels: list[str] | None = None) -> TaskCard:
        return TaskCard(
            name="toy",
            kind=kind,
            description="",
            languages=["en"],
            metric="",
            official=[],
            score=[],
            labels=labels or [],
        )

    return make


@pytest.fixture
def dataset() -> Callable[..., Dataset]:
    """Makes a dataset of items and the texts of a pool, whose ids are c0, c1, ..."""

    def make(*items: Any, pool: list[str] | None = None) -> Dataset:
        candidates = tuple(Candidate(f"c{i}", text) for i, text in enumerate(pool or []))
        return Dataset("toy", "test", "en", items, candidates)

    return make

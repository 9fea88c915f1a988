"""A reader on text that the test writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xharness.builtin import open_registry
from xharness.data.files import DataFile
from xharness.data.readers.ask import Ask

REGISTRY = open_registry()
GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"


@pytest.fixture
def golden() -> Callable[[str], Any]:
    return lambda name: json.loads((GOLDEN / name).read_text("utf-8"))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Any]]:
    def do(
        reader: str,
        content: str | bytes,
        language: str = "en",
        labels: tuple[str, ...] = (),
        training: bool = False,
        **options: Any,
    ) -> list[Any]:
        path = tmp_path / "file"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        ask = Ask(language, labels, training)
        return list(REGISTRY.get("reader", reader).read(DataFile(path), ask, **options))

    return do

"""The page on adversaries says what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from xharness.builtin import xharness_adversaries, xharness_augmentations
from xharness.training.adversaries.perturbing import Perturbing

PAGE = Path(__file__).parents[2] / "docs" / "adversaries.md"
TEXT = PAGE.read_text("utf-8") if PAGE.is_file() else ""
PARTS: Any = [*xharness_adversaries(), *xharness_augmentations()]


def test_the_page_lists_all_parts_and_no_others() -> None:
    tables = TEXT[TEXT.index("\n## Adversaries") :]  # above them stands one of models
    listed = re.findall(r"^\| `([\w-]+)` \|", tables, re.MULTILINE)
    assert listed == [part.name for part in PARTS]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_settings_and_defaults_are_those_of_the_page(part: Any) -> None:
    (row,) = re.findall(rf"^\| `{part.name}` \|.*\| (.*)\|$", TEXT, re.MULTILINE)
    shared = {"copies", *(field.name for field in msgspec.structs.fields(Perturbing))}
    wanted = []
    for field in msgspec.structs.fields(part):
        if field.name not in shared:
            value = {msgspec.NODEFAULT: "", (): " all"}.get(field.default, f" {field.default}")
            wanted.append(f"`{field.name}`{value}")
    assert row.strip() == ", ".join(wanted)

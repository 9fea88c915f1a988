"""What must hold of the whole tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import xharness
from xharness.builtin import open_registry
from xharness.cards import Catalogue

PACKAGE = Path(xharness.__file__).parent
TASKS = Catalogue.load(open_registry().card_folders()).tasks
# Names of formats and metrics that are also names of tasks: readers and metrics bear them.
FORMATS = {"copa", "siqa", "squad", "squad-sentences", "mlqa", "mewslix"}


@pytest.mark.parametrize("name", sorted(set(TASKS) - FORMATS))
def test_no_python_file_names_a_task(name: str) -> None:
    quoted = re.compile(rf"""["']{re.escape(name)}["']""")
    named = [p for p in PACKAGE.rglob("*.py") if quoted.search(p.read_text("utf-8"))]
    assert named == []


def test_the_public_face_is_what_it_says() -> None:
    for name in xharness.__all__:
        assert getattr(xharness, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        xharness.evaluat  # noqa: B018

"""What must hold of the whole tree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import xharness
from xharness.builtin import open_registry
from xharness.cards import Catalogue

PACKAGE = Path(xharness.__file__).parent
TASKS = Catalogue.load(open_registry().card_folders()).tasks
# Names of formats and metrics that are also names of tasks: readers and metrics bear them.
FORMATS = {
    "commonsenseqa", "copa", "cosmosqa", "hellaswag", "mewslix", "mlqa", "race", "siqa", "squad",
    "squad-sentences",
}  # fmt: skip


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


# What docs/architecture.md offers to plugins.
FACE = {
    "xharness", "xharness.plugins.roles", "xharness.cards", "xharness.records", "xharness.errors",
    "xharness.data.items", "xharness.data.files", "xharness.data.readers.ask",
    "xharness.evaluators.contract", "xharness.evaluators.search", "xharness.metrics",
    "xharness.testing",
}  # fmt: skip
PLUGINS = sorted((PACKAGE.parent / "plugins").glob("*/xharness_*/**/*.py"))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_plugins_here_use_the_public_face_alone(path: Path) -> None:
    used = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            used.add(str(node.module))
            assert not [name.name for name in node.names if name.name.startswith("_")]
        elif isinstance(node, ast.Import):
            used |= {name.name for name in node.names}
    ours = {name for name in used if name.split(".")[0] == "xharness"}
    assert ours <= FACE


def test_the_public_face_is_documented() -> None:
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text("utf-8")
    assert {name for name in FACE if f"`{name}`" not in text} == set()

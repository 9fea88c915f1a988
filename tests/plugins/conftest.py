"""Plugins as small as they get: a module and a dist-info folder in a temporary folder."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pluggy
import pytest

import xharness
from xharness.plugins.hookspecs import hookimpl
from xharness.plugins.manager import Plugin, load_plugins

Load = Callable[..., tuple[pluggy.PluginManager, dict[str, Plugin]]]


class Site:
    """A folder on the path that distributions are put into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, code: str, version: str = "0.1", distribution: str = "") -> None:
        """Installs a plugin; its entry point and its module have the name."""
        head = "from pathlib import Path\nfrom types import SimpleNamespace\n"
        module = self.folder / f"{name}.py"
        module.write_text(f"{head}import xharness\n{textwrap.dedent(code)}")
        distribution = distribution or f"dist-{name}"
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[xharness]\n{name} = {name}\n")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Python in a process of its own that finds the plugins."""
        inherited = {k: v for k, v in os.environ.items() if k != "XHARNESS_PLUGINS"}
        path = os.pathsep.join([str(self.folder), str(Path(xharness.__file__).parents[1])])
        return subprocess.run(
            [sys.executable, *arguments],
            env={**inherited, "PYTHONPATH": path, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[[str], Site]:
    return lambda name: Site(tmp_path / name)


@pytest.fixture
def site(make_site: Callable[[str], Site]) -> Site:
    return make_site("site")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Loads, in this process, own parts and what is in sites; only entry points of the sites."""
    before = set(sys.modules)

    def do(
        *sites: Site, own: object = None, choice: str | None = None
    ) -> tuple[pluggy.PluginManager, dict[str, Plugin]]:
        for site in sites:
            monkeypatch.syspath_prepend(site.folder)
        monkeypatch.delenv("XHARNESS_PLUGINS", raising=False)
        if choice is not None:
            monkeypatch.setenv("XHARNESS_PLUGINS", choice)
        importlib.invalidate_caches()
        manager, found = load_plugins(own or SimpleNamespace(), "9.9")
        names = {path.stem for site in sites for path in site.folder.glob("*.py")}
        return manager, {p.name: p for p in found if p.name in names | {"xharness"}}

    yield do
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def own() -> object:
    """Own parts for tests: one metric."""

    class Own:
        @hookimpl
        def xharness_metrics(self) -> list[object]:
            return [SimpleNamespace(name="exact")]

    return Own()

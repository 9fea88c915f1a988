"""Loads plugins one by one, so that a broken one is left out and the others work.

pluggy's own loader stops at the first entry point that fails; this one keeps the reason.
`XHARNESS_PLUGINS` chooses: names of entry points and Python files (`mine.py`), separated by
commas; empty for none. A file is a plugin without a distribution, to try something out.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

import pluggy

from xharness.errors import did_you_mean
from xharness.plugins import hookspecs

GROUP = "xharness"
CHOICE_VARIABLE = "XHARNESS_PLUGINS"


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found; `reason` says why it is left out, if it is. The version of a
    file is the start of its SHA-256."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    reason: str = ""

    @property
    def label(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def key(self) -> str:
        """Its name in pluggy's manager: two distributions may use one entry-point name."""
        return f"{self.distribution}:{self.name}"


def load_plugins(own: Any, version: str) -> tuple[pluggy.PluginManager, list[Plugin]]:
    """The manager with our own parts and each plugin that loads, and what was found.

    Plugins are taken in the order of their distributions' names, so that nothing depends on
    the order of installation; files come after them.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    ours = Plugin(GROUP, GROUP, version)
    manager.register(own, name=ours.key)
    found = [replace(ours, hooks=_hooks(manager, own))]
    chosen = os.environ.get(CHOICE_VARIABLE)
    wanted = None if chosen is None else {name.strip() for name in chosen.split(",")}
    entries = _entry_points()
    for distribution, entry in entries:
        plugin = Plugin(entry.name, distribution.metadata["Name"], distribution.version)
        if wanted is not None and entry.name not in wanted:
            found.append(replace(plugin, reason=f"not in ${CHOICE_VARIABLE}"))
            continue
        found.append(_load(manager, entry.load, plugin))
    known = {entry.name for _, entry in entries}
    for name in sorted((wanted or set()) - known - {""}):
        if not name.endswith(".py"):
            reason = f"no entry point is named so, and no file.{did_you_mean(name, known)}"
            found.append(Plugin(name, f"${CHOICE_VARIABLE}", "", reason=reason))
            continue
        path = Path(name)
        content = path.read_bytes() if path.is_file() else b""
        plugin = Plugin(path.stem, path.name, hashlib.sha256(content).hexdigest()[:12])
        found.append(_load(manager, partial(_module, path), plugin))
    return manager, found


def _module(path: Path) -> Any:
    # Under a name that shadows no module: a file may be named like one.
    spec = util.spec_from_file_location(f"xharness_plugin_{path.stem}", path)
    assert spec  # as every name that ends in .py has
    assert spec.loader
    module = sys.modules[spec.name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _entry_points() -> list[tuple[metadata.Distribution, metadata.EntryPoint]]:
    points: dict[tuple[str, str], tuple[metadata.Distribution, metadata.EntryPoint]] = {}
    for distribution in metadata.distributions():
        for entry in distribution.entry_points:
            if entry.group == GROUP:
                # A distribution may be found twice on the path; the first shadows the other.
                points.setdefault(
                    (distribution.metadata["Name"], entry.name), (distribution, entry)
                )
    return [points[key] for key in sorted(points)]


def _load(manager: pluggy.PluginManager, load: Callable[[], Any], plugin: Plugin) -> Plugin:
    try:
        part = load()
        written_for = getattr(part, "XHARNESS_API", hookspecs.API)
        if written_for != hookspecs.API:
            reason = f"it was written for plugin API {written_for}; this xharness has"
            return replace(plugin, reason=f"{reason} {hookspecs.API}")
        manager.register(part, name=plugin.key)
        manager.check_pending()
    # Whatever it is, an exit while importing included, it must not stop the others.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        if manager.has_plugin(plugin.key):
            manager.unregister(name=plugin.key)
        reason = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
        return replace(plugin, reason=" ".join(reason.split()))
    hooks = _hooks(manager, part)
    if not hooks:
        manager.unregister(name=plugin.key)
        return replace(plugin, reason="it implements no hook of xharness")
    return replace(plugin, hooks=hooks)


def _hooks(manager: pluggy.PluginManager, part: Any) -> tuple[str, ...]:
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(part) or []))

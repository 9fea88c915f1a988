"""Parts by family and name. Each family is asked for once, when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pluggy

from xharness.errors import PluginError, UnknownName
from xharness.plugins.manager import Plugin

# Family -> the hook that is asked for its parts.
HOOKS = {
    "producer": "xharness_producers",
    "evaluator": "xharness_evaluators",
    "metric": "xharness_metrics",
    "reader": "xharness_readers",
    "source": "xharness_sources",
    "backbone": "xharness_backbones",
    "adversary": "xharness_adversaries",
    "augmentation": "xharness_augmentations",
}


class Registry:
    """What plugins offer. `hook` tells events; `plugins` lists what was found, absent ones too."""

    def __init__(self, manager: pluggy.PluginManager, plugins: list[Plugin]) -> None:
        self.manager = manager
        self.hook = manager.hook
        self.plugins = plugins
        self._parts: dict[str, dict[str, tuple[Any, Plugin]]] = {}

    def names(self, family: str) -> list[str]:
        """The names of a family's parts, sorted."""
        return sorted(self._family(family))

    def get(self, family: str, name: str) -> Any:
        """The part of this name. Raises UnknownName with the near miss, and the plugins that
        did not load, since one of them may have it."""
        return self._find(family, name)[0]

    def plugin(self, family: str, name: str) -> Plugin:
        """The plugin that the part of this name is from. Raises as `get` does."""
        return self._find(family, name)[1]

    def all(self, family: str) -> Mapping[str, Any]:
        """All parts of a family by name."""
        return {name: part for name, (part, _) in sorted(self._family(family).items())}

    def card_folders(self) -> list[Path]:
        """The folders of cards, ours first. A plugin that can't say is left out."""
        folders = []
        for i, plugin in enumerate(self.plugins):
            if plugin.reason or "xharness_cards" not in plugin.hooks:
                continue
            try:
                folders += [Path(folder) for folder in self._call(plugin, "xharness_cards")]
            except Exception as error:  # noqa: BLE001 - a broken plugin must not stop the others
                reason = f"xharness_cards raised {type(error).__name__}: {error}"
                self.plugins[i] = replace(plugin, hooks=(), reason=reason)
        return folders

    def describe(self) -> list[dict[str, Any]]:
        """The plugins as plain values, for records and `xharness plugins`."""
        return [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "state": "absent" if plugin.reason else "ok",
                "hooks": list(plugin.hooks),
                "reason": plugin.reason,
            }
            for plugin in self.plugins
        ]

    def _find(self, family: str, name: str) -> tuple[Any, Plugin]:
        parts = self._family(family)
        if name not in parts:
            absent = [f"{p.label} ({p.reason})" for p in self.plugins if p.reason]
            hint = f"It may be in a plugin that is left out: {'; '.join(absent)}." if absent else ""
            raise UnknownName(family, name, parts, hint)
        return parts[name]

    def _family(self, family: str) -> dict[str, tuple[Any, Plugin]]:
        if family in self._parts:
            return self._parts[family]
        hook = HOOKS[family]
        parts: dict[str, tuple[Any, Plugin]] = {}
        for plugin in self.plugins:
            if plugin.reason or hook not in plugin.hooks:
                continue
            try:
                offered = list(self._call(plugin, hook))
            except Exception as error:
                raise PluginError(
                    f"{hook} of {plugin.label} raised {type(error).__name__}: {error}"
                ) from error
            for part in offered:
                name = getattr(part, "kind" if family == "evaluator" else "name", None)
                if not isinstance(name, str):
                    raise PluginError(f"{hook} of {plugin.label}: {part!r} has no name")
                if name in parts:
                    what, other = hook.removeprefix("xharness_"), parts[name][1]
                    raise PluginError(
                        f"Two {what} are named {name!r}: from {other.label} and from "
                        f"{plugin.label}. Leave one out with $XHARNESS_PLUGINS."
                    )
                parts[name] = (part, plugin)
        self._parts[family] = parts
        return parts

    def _call(self, plugin: Plugin, hook: str) -> Any:
        """The hook's value from one plugin alone."""
        return getattr(self.manager.get_plugin(plugin.key), hook)() or []

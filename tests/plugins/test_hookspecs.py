from __future__ import annotations

import inspect
import subprocess
import sys

import pluggy
import pytest

from xharness.plugins import hookspecs
from xharness.plugins.hookspecs import hookimpl

HOOKS = {
    name: function for name, function in vars(hookspecs).items() if name.startswith("xharness_")
}
POINTS = ("When", "Arguments", "Return", "Order", "If it raises", "Since")


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_says_when_what_and_what_if(name):
    text = inspect.getdoc(HOOKS[name]) or ""
    missing = [point for point in POINTS if f"\n{point}:" not in text]
    assert missing == []


@pytest.mark.parametrize("name", HOOKS)
def test_each_argument_is_described(name):
    text = (inspect.getdoc(HOOKS[name]) or "").partition("Arguments:")[2].partition("Return:")[0]
    assert [a for a in inspect.signature(HOOKS[name]).parameters if a not in text] == []


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_can_be_called_with_exactly_its_arguments(name):
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    arguments = list(inspect.signature(HOOKS[name]).parameters)
    scope: dict[str, object] = {}
    exec(f"def {name}({', '.join(arguments)}): return [{', '.join(arguments)}]", scope)
    manager.register(type("Plugin", (), {name: staticmethod(hookimpl(scope[name]))}))
    assert getattr(manager.hook, name)(**{a: a for a in arguments}) == [arguments]


def test_the_contract_imports_nothing_of_ours():
    code = (
        "import sys, xharness.plugins.hookspecs\n"
        "print(sorted(m for m in sys.modules if m.startswith('xharness')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "['xharness', 'xharness.plugins', 'xharness.plugins.hookspecs']"

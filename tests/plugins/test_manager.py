from __future__ import annotations

import hashlib
import json

import pytest

from xharness import builtin
from xharness.plugins.manager import load_plugins

GOOD = """
@xharness.hookimpl
def xharness_metrics():
    return [SimpleNamespace(name="good-metric")]
"""
BROKEN = "import a_module_that_nobody_has\n"
MISSPELT = """
@xharness.hookimpl
def xharness_metric():
    return []
"""
WRONG_ARGUMENT = """
@xharness.hookimpl
def xharness_run_started(plan, colour):
    pass
"""
NO_HOOKS = "x = 1\n"
EXITS = "raise SystemExit('goodbye')\n"


def test_a_good_plugin_beside_five_bad_ones_works(site, load):
    site.add("a_broken", BROKEN)
    site.add("b_misspelt", MISSPELT)
    site.add("c_argument", WRONG_ARGUMENT)
    site.add("d_empty", NO_HOOKS)
    site.add("e_exits", EXITS)
    site.add("f_good", GOOD, version="2.5")
    manager, found = load(site)
    offered = manager.hook.xharness_metrics()
    # Other plugins may be installed beside these.
    assert "good-metric" in [part.name for parts in offered for part in parts]
    assert found["f_good"].hooks == ("xharness_metrics",)
    assert found["f_good"].label == "dist-f_good 2.5"
    assert found["f_good"].reason == ""
    assert "ModuleNotFoundError" in found["a_broken"].reason
    assert "a_module_that_nobody_has" in found["a_broken"].reason
    assert "unknown hook 'xharness_metric'" in found["b_misspelt"].reason
    assert "colour" in found["c_argument"].reason
    assert "no hook" in found["d_empty"].reason
    assert found["e_exits"].reason == "SystemExit: goodbye"
    assert manager.get_plugin("dist-b_misspelt:b_misspelt") is None


def test_a_reason_is_one_line(site, load):
    site.add("shouts", "raise ValueError('first\\nsecond')\n")
    _, found = load(site)
    assert found["shouts"].reason == "ValueError: first second"


@pytest.mark.parametrize(
    ("choice", "ok"),
    [(None, {"good", "better"}), ("", set()), ("better", {"better"}), (" good , x", {"good"})],
)
def test_the_environment_chooses_plugins(site, load, choice, ok):
    site.add("good", GOOD)
    site.add("better", GOOD)
    _, found = load(site, choice=choice)
    assert {name for name, plugin in found.items() if not plugin.reason} == ok | {"xharness"}
    for name in {"good", "better"} - ok:
        assert found[name].reason == "not in $XHARNESS_PLUGINS"


def test_a_plugin_that_is_not_chosen_is_not_imported(site, load, tmp_path):
    trace = tmp_path / "imported"
    site.add("curious", f"Path({str(trace)!r}).touch()\n{GOOD}")
    load(site, choice="other")
    assert not trace.exists()
    load(site)
    assert trace.exists()


def test_a_file_is_a_plugin_when_it_is_named(site, load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site.add("good", GOOD)
    (tmp_path / "json.py").write_text(f"import xharness\nfrom types import *\n{GOOD}")
    manager, _ = load(site, choice="json.py,good,absent.py")
    assert len(manager.hook.xharness_metrics()) == 2
    assert json.loads("[1]") == [1]  # the standard library's is still the one that is imported
    done = site.run(
        "-m", "xharness", "plugins", "--json", XHARNESS_PLUGINS=str(tmp_path / "json.py")
    )
    plugins = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert plugins["good"]["state"] == "absent"
    content = (tmp_path / "json.py").read_bytes()
    assert plugins["json"] == {
        "name": "json",
        "distribution": "json.py",
        "version": hashlib.sha256(content).hexdigest()[:12],
        "state": "ok",
        "hooks": ["xharness_metrics"],
        "reason": "",
    }


def test_a_file_that_is_not_there_is_left_out_with_the_reason(site):
    done = site.run("-m", "xharness", "plugins", "--json", XHARNESS_PLUGINS="nowhere.py")
    last = json.loads(done.stdout)[-1]
    assert (last["name"], last["state"]) == ("nowhere", "absent")
    assert "FileNotFoundError" in last["reason"]


def test_a_name_that_no_plugin_has_is_left_out_with_the_near_miss(site):
    site.add("good", GOOD)
    done = site.run("-m", "xharness", "plugins", "--json", XHARNESS_PLUGINS="goood")
    last = json.loads(done.stdout)[-1]
    assert (last["name"], last["state"]) == ("goood", "absent")
    assert last["reason"] == "no entry point is named so, and no file. Did you mean 'good'?"


def test_order_of_the_path_changes_nothing(make_site, load, own):
    first, second = make_site("first"), make_site("second")
    first.add("zebra", GOOD)
    second.add("aardvark", GOOD)
    manager, one = load(first, second, own=own)
    again, other = load(second, first, own=own)
    assert list(one) == list(other) == ["xharness", "aardvark", "zebra"]
    assert [name for name, _ in manager.list_name_plugin()] == [
        name for name, _ in again.list_name_plugin()
    ]


def test_entry_points_with_one_name_in_two_distributions_both_load(site, load):
    site.add("twin", GOOD)
    site.add("third", GOOD)
    text = "[xharness]\ntwin = third\n"
    (site.folder / "dist_third-0.1.dist-info" / "entry_points.txt").write_text(text)
    manager, _ = load(site)
    names = [name for name, _ in manager.list_name_plugin()]
    assert {"dist-twin:twin", "dist-third:twin"} <= set(names)


def test_our_own_parts_are_all_known_hooks(monkeypatch):
    monkeypatch.setenv("XHARNESS_PLUGINS", "")
    manager, found = load_plugins(builtin, "1")
    manager.check_pending()
    own = {name for name in vars(builtin) if name.startswith("xharness_")}
    assert set(found[0].hooks) == own
    assert own >= {"xharness_cards", "xharness_producers", "xharness_evaluators"}


def test_the_command_shows_what_is_left_out_and_why(site):
    site.add("good", GOOD)
    site.add("broken", BROKEN)
    done = site.run("-m", "xharness", "plugins", "--json")
    assert done.returncode == 0, done.stderr
    plugins = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert plugins["good"]["state"] == "ok"
    assert plugins["good"]["hooks"] == ["xharness_metrics"]
    assert plugins["broken"]["state"] == "absent"
    assert plugins["broken"]["distribution"] == "dist-broken"
    assert "a_module_that_nobody_has" in plugins["broken"]["reason"]


def test_a_broken_plugin_does_not_stop_a_command_that_needs_none(site):
    site.add("broken", BROKEN)
    done = site.run("-m", "xharness", "list", "suites")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()

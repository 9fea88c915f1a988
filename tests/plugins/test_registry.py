from __future__ import annotations

import pytest

from xharness import builtin
from xharness.errors import PluginError, UnknownName
from xharness.plugins.manager import Plugin, load_plugins
from xharness.plugins.registry import HOOKS, Registry

METRIC = """
@xharness.hookimpl
def xharness_metrics():
    return [SimpleNamespace(name={name!r})]
"""


@pytest.fixture
def open_site(load, own):
    def do(site) -> Registry:
        manager, found = load(site, own=own)
        return Registry(manager, list(found.values()))

    return do


def test_parts_of_plugins_stand_beside_ours_in_the_order_of_names(site, open_site):
    site.add("plugin", METRIC.format(name="a-metric"))
    registry = open_site(site)
    assert registry.names("metric") == ["a-metric", "exact"]
    assert list(registry.all("metric")) == ["a-metric", "exact"]
    assert registry.get("metric", "a-metric").name == "a-metric"


def test_two_parts_with_one_name_name_both_distributions(site, open_site):
    site.add("rival", METRIC.format(name="exact"), version="3.1")
    with pytest.raises(PluginError, match=r"'exact': from xharness 9\.9 and from dist-rival 3\.1"):
        open_site(site).get("metric", "exact")


def test_an_unknown_name_has_a_near_miss(site, open_site):
    with pytest.raises(UnknownName, match="No metric named 'exakt'. Did you mean 'exact'?") as it:
        open_site(site).get("metric", "exakt")
    assert "left out" not in str(it.value)


def test_an_unknown_name_names_the_plugins_that_are_left_out(site, open_site):
    site.add("broken", "import a_module_that_nobody_has")
    with pytest.raises(UnknownName, match="No metric named 'span-f1'") as it:
        open_site(site).get("metric", "span-f1")
    assert "dist-broken 0.1 (ModuleNotFoundError" in str(it.value)


def test_a_family_is_asked_once_and_only_when_it_is_needed(site, open_site, tmp_path):
    trace = tmp_path / "trace"
    site.add(
        "counting",
        f"""
        @xharness.hookimpl
        def xharness_metrics():
            with open({str(trace)!r}, "a") as file:
                file.write("asked ")
            return [SimpleNamespace(name="counted")]
        """,
    )
    registry = open_site(site)
    registry.card_folders()
    assert not trace.exists()
    registry.names("metric")
    registry.get("metric", "counted")
    registry.all("metric")
    assert trace.read_text() == "asked "


def test_a_hook_that_raises_names_its_plugin(site, open_site):
    site.add("angry", "@xharness.hookimpl\ndef xharness_metrics():\n    raise KeyError('why')\n")
    with pytest.raises(PluginError, match=r"xharness_metrics of dist-angry 0\.1 raised KeyError"):
        open_site(site).names("metric")


def test_a_part_without_a_name_is_refused(site, open_site):
    site.add("blank", "@xharness.hookimpl\ndef xharness_metrics():\n    return [object]\n")
    with pytest.raises(PluginError, match="dist-blank 0.1: <class 'object'> has no name"):
        open_site(site).names("metric")


def test_none_means_no_parts(site, open_site):
    site.add("silent", "@xharness.hookimpl\ndef xharness_metrics():\n    return None\n")
    assert open_site(site).names("metric") == ["exact"]


def test_a_plugin_whose_cards_fail_is_left_out_with_the_reason(site, open_site, tmp_path):
    site.add("bad", "@xharness.hookimpl\ndef xharness_cards():\n    raise OSError('no disk')\n")
    site.add("fine", f"@xharness.hookimpl\ndef xharness_cards():\n    return [{str(tmp_path)!r}]\n")
    registry = open_site(site)
    assert registry.card_folders() == [tmp_path]
    states = {plugin["name"]: plugin["state"] for plugin in registry.describe()}
    assert states == {"xharness": "ok", "bad": "absent", "fine": "ok"}
    reasons = [plugin["reason"] for plugin in registry.describe() if plugin["name"] == "bad"]
    assert reasons == ["xharness_cards raised OSError: no disk"]


def test_a_plugin_may_have_our_name(load, own, site):
    site.add("xharness", METRIC.format(name="theirs"))
    (site.folder / "xharness.py").rename(site.folder / "theirs.py")
    for path in site.folder.glob("*.dist-info/entry_points.txt"):
        path.write_text("[xharness]\nxharness = theirs\n")
    manager, _ = load(site, own=own)
    ours = Plugin("xharness", "xharness", "9.9", ("xharness_metrics",))
    theirs = Plugin("xharness", "dist-xharness", "0.1", ("xharness_metrics",))
    assert Registry(manager, [ours, theirs]).names("metric") == ["exact", "theirs"]


@pytest.mark.parametrize("family", HOOKS)
def test_our_own_parts_are_found_by_name(monkeypatch, family):
    monkeypatch.setenv("XHARNESS_PLUGINS", "")
    registry = Registry(*load_plugins(builtin, "1"))
    for name in registry.names(family):
        assert registry.get(family, name)
    assert registry.names(family)

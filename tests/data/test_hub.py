"""Data sets of a Hub: a toy one over HTTP, read by a process of its own with the real library."""

from __future__ import annotations

import io
import json
import textwrap
from typing import Any

import pytest

datasets = pytest.importorskip("datasets")

ROWS = [
    {"premise": "one", "hypothesis": "eins", "label": 0},
    {"premise": "two", "hypothesis": "nicht zwei", "label": 1},
]
README = """---
configs:
- config_name: en
  data_files:
  - {split: train, path: en/train-*}
  - {split: validation, path: en/validation-*}
- config_name: de
  data_files:
  - {split: validation, path: [de/validation-*]}
---
Pairs.
"""
# Loads what the cases name and says what came or what was complained about.
PROGRAM = """
import json, sys
import msgspec
from xharness.cards import TaskCard
from xharness.data.sources.hub import HubSource
from xharness.errors import XharnessError

own = {"name": "toy", "kind": "classification", "description": "", "languages": ["en", "de"],
       "labels": ["same", "other"], "metric": "accuracy", "official": ["accuracy"],
       "score": ["accuracy"]}
copy = {"repo": "toys/pairs", "config": "{language}", "split": "validation", "reader": "pairs",
        "columns": {"first": "premise", "second": "hypothesis"}}
said = {}
for case, (pins, language, more, card) in json.load(open(sys.argv[1])).items():
    task = msgspec.convert(own | card | {"hub": {"dev": copy | more}}, TaskCard)
    try:
        data = HubSource(pins).load(task, "dev", language)
        said[case] = msgspec.to_builtins([data.items, data.files, data.notes])
    except XharnessError as error:
        said[case] = [type(error).__name__, str(error)]
print(json.dumps(said))
"""


def parquet(rows: list[dict[str, Any]], names: tuple[str, ...] = ("same", "other")) -> bytes:
    data = datasets.Dataset.from_list(rows)
    if rows and "label" in rows[0] and names:
        data = data.cast_column("label", datasets.ClassLabel(names=list(names)))
    stream = io.BytesIO()
    data.to_parquet(stream)
    return stream.getvalue()


class Said(dict[str, Any]):
    """What the cases gave: items, files and notes, or the error's type and its message."""


def ask(hub: Any, cases: dict[str, list[Any]], *flags: str, **environment: str) -> Said:
    path = hub.home / "cases.json"
    path.write_text(json.dumps(cases))
    run = hub.run(*flags, "-c", textwrap.dedent(PROGRAM), str(path), **environment)
    assert run.returncode == 0, run.stderr
    return Said(json.loads(run.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def commit(toy_hub: Any) -> str:
    return toy_hub.add(
        "datasets/toys/pairs",
        {
            "README.md": README.encode(),
            "en/train-00000-of-00001.parquet": b"not looked at",
            "en/validation-00000-of-00002.parquet": parquet(ROWS[:1]),
            "en/validation-00001-of-00002.parquet": parquet(ROWS[1:]),
            "de/validation-00000-of-00001.parquet": parquet([ROWS[0] | {"label": -1}] * 2),
        },
    )


@pytest.fixture(scope="module")
def said(toy_hub: Any, commit: str) -> Said:
    """All cases in one process, since it takes seconds to start."""
    plain = toy_hub.add("datasets/toys/plain", {"en/validation/0000.parquet": parquet(ROWS)})
    script = toy_hub.add("datasets/toys/script", {"script.py": b"raise SystemExit('run')"})
    csv = "---\nconfigs:\n- {config_name: en, data_files: {validation: a.csv}}\n---\n"
    text = toy_hub.add("datasets/toys/text", {"README.md": csv.encode(), "a.csv": b"a,b\n"})
    broken = toy_hub.add("datasets/toys/broken", {"en/validation-0.parquet": b"PAR1?PAR1"})
    gated = toy_hub.add("datasets/toys/gated", {}, gated=True)
    pin = {"revision": commit}
    columns = {"first": "premise", "second": "hypothesis"}
    return ask(
        toy_hub,
        {
            "ok": ["", "en", pin, {"sizes": {"dev": 2}}],
            "pinned by the user": [f"toys/pairs@{commit}", "en", {}, {}],
            "no card file": ["", "en", {"repo": "toys/plain", "revision": plain}, {}],
            "no commit": ["", "en", {}, {}],
            "a branch": ["", "en", {"revision": "main"}, {}],
            "a pin that is none": ["toys/pairs", "en", {}, {}],
            "refused": ["", "en", pin | {"refused": "it is cut"}, {}],
            "other language": ["", "fr", pin | {"config": "en"}, {}],
            "other size": ["", "en", pin, {"sizes": {"dev": 3}}],
            "stripped": ["", "de", pin, {}],
            "config": ["", "en", pin | {"config": "eng"}, {}],
            "split": ["", "en", pin | {"split": "validatoin"}, {}],
            "column": ["", "en", pin | {"columns": columns | {"second": "hypotesis"}}, {}],
            "field": ["", "en", pin | {"columns": columns | {"secnd": "hypothesis"}}, {}],
            "label": ["", "en", pin, {"labels": ["same"]}],
            "reader": ["", "en", pin | {"reader": "pair"}, {}],
            "option": ["", "en", pin | {"options": {"only": "x"}}, {}],
            "no such commit": ["", "en", {"revision": "0" * 40}, {}],
            "no such repo": ["", "en", {"repo": "toys/none", "revision": "0" * 40}, {}],
            "no id": ["", "en", {"repo": "toys/a b", "revision": "0" * 40}, {}],
            "gated": ["", "en", {"repo": "toys/gated", "revision": gated}, {}],
            "script": ["", "en", {"repo": "toys/script", "revision": script}, {}],
            "csv": ["", "en", {"repo": "toys/text", "revision": text}, {}],
            "broken": ["", "en", {"repo": "toys/broken", "revision": broken}, {}],
        },
    )


def test_rows_become_items_and_their_digest_names_repository_and_commit(
    said: Said, commit: str
) -> None:
    items, (file,), notes = said["ok"]
    assert [(i["id"], i["first"], i["second"], i["label"]) for i in items] == [
        ("1", "one", "eins", "same"),
        ("2", "two", "nicht zwei", "other"),
    ]
    assert file["path"] == f"hf://datasets/toys/pairs@{commit}/en/validation"
    assert (file["rows"], notes) == (2, [])
    assert said["pinned by the user"] == said["ok"]


def test_without_configurations_the_hub_s_own_layout_is_looked_for(said: Said) -> None:
    items, (file,), _ = said["no card file"]
    assert items == said["ok"][0]
    # The same rows in the same order: the files that they were cut into make no difference.
    assert file["sha256"] == said["ok"][1][0]["sha256"]


@pytest.mark.parametrize(
    ("case", "kind", "message"),
    [
        ("no commit", "MissingData", "no commit of toys/pairs was verified"),
        ("no commit", "MissingData", "--data hub:toys/pairs@COMMIT"),
        ("a branch", "DataError", "revision 'main' of toys/pairs may move"),
        ("a pin that is none", "XharnessError", "'toys/pairs' is not REPO@COMMIT"),
        ("refused", "MissingData", "toys/pairs is not read: it is cut"),
        ("other language", "MissingData", "toy dev fr: toys/pairs is in en, de"),
        ("other size", "DataError", "2 items in hf://datasets/toys/pairs@"),
        ("other size", "DataError", "where 3 were published"),
        ("stripped", "MissingData", "the labels are stripped"),
        ("config", "DataError", "no configuration 'eng', but de, en. Did you mean 'en'?"),
        ("split", "DataError", "no split 'validatoin', but train, validation. Did you mean"),
        ("column", "DataError", "no column 'hypotesis'; there are premise, hypothesis, label."),
        ("column", "DataError", "Did you mean 'hypothesis'?"),
        ("field", "CardError", "the reader has no field 'secnd'. Did you mean 'second'?"),
        ("label", "DataError", "en/validation, row 2: label 'other' is not one of same."),
        ("reader", "UnknownName", "No reader named 'pair'. Did you mean 'pairs'?"),
        ("option", "CardError", "reader 'pairs'"),
        ("no such commit", "DataError", "no data set 'toys/pairs' at revision '000"),
        ("no such repo", "DataError", "no data set 'toys/none'"),
        ("no id", "DataError", "'toys/a b' is no id of the Hugging Face Hub"),
        ("gated", "DataError", "'toys/gated' at revision"),
        ("gated", "DataError", "is gated: accept its terms at http://127.0.0.1"),
        ("script", "DataError", "only parquet is read: a data set that comes with a loading"),
        ("csv", "DataError", "has a.csv, and only parquet is read"),
        ("broken", "DataError", "validation-0.parquet: "),
    ],
)
def test_what_is_wrong_is_one_sentence(said: Said, case: str, kind: str, message: str) -> None:
    assert said[case][0] == kind
    assert message in said[case][1]
    assert "\n" not in said[case][1]


def test_offline_what_is_cached_is_read_and_what_is_not_is_named(
    toy_hub: Any, commit: str, said: Said
) -> None:
    before = toy_hub.requests
    moved = toy_hub.add("datasets/toys/late", {"en/validation-0.parquet": parquet(ROWS)})
    cases = {
        "cached": ["", "en", {"revision": commit}, {}],
        "part": ["", "en", {"revision": commit, "split": "train"}, {}],
        "late": ["", "en", {"repo": "toys/late", "revision": moved}, {}],
        # The library itself would read the copy of the other commit that is in the cache.
        "other commit": ["", "en", {"revision": "0" * 40}, {}],
    }
    offline = ask(toy_hub, cases, HF_HUB_OFFLINE="1")
    assert toy_hub.requests == before
    assert offline["cached"] == said["ok"]
    for case in ("part", "late", "other commit"):
        kind, message = offline[case]
        assert kind == "MissingData"
        assert "in the local cache" in message
        assert "forbidden by --offline" in message
    assert repr(moved) in offline["late"][1]


def test_a_hub_that_is_away_is_said_once_and_ends_it(toy_hub: Any, commit: str) -> None:
    cases = {"away": ["", "en", {"repo": "toys/other", "revision": "1" * 40}, {}]}
    kind, message = ask(toy_hub, cases, HF_ENDPOINT="http://127.0.0.1:9")["away"]
    assert kind == "XharnessError"
    assert "http://127.0.0.1:9 can't be reached" in message

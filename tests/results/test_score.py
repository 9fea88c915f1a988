"""Scores of submissions: what the official script gives, and the rest where it stops."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xharness.cards import Catalogue
from xharness.errors import DataError
from xharness.plugins.registry import Registry
from xharness.results.score import NothingToScore, ScoredCell, leftovers, score
from xharness.runs.folder import RunFolder
from xharness.runs.leaderboard import leaderboard

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"
EXPECTED = json.loads((GOLDEN / "aggregate/xtreme-r.expected.json").read_text())["seqeval-0.0.12"]
VARIANTS = json.loads((GOLDEN / "aggregate/variants.expected.json").read_text())
SCORED = sorted(k for k, v in VARIANTS.items() if k.startswith("xtreme-r:") and v["output_written"])
STOPPED = sorted({k for k in VARIANTS if k.startswith("xtreme-r:")} - set(SCORED))
Files = dict[str, str]
Scorer = Callable[..., list[ScoredCell]]


def board(catalogue: Catalogue, cells: list[ScoredCell], suite: str = "xtreme-r") -> dict[str, Any]:
    records = [cell.record for cell in cells]
    made = leaderboard(catalogue.suite(suite), catalogue.tasks, records)
    del made["xharness"]
    return made


def flat(value: Any, path: str = "") -> dict[str, float]:
    if not isinstance(value, dict):
        return {path: value}
    return {k: v for key, item in value.items() for k, v in flat(item, f"{path}/{key}").items()}


def without(files: Files, *starts: str) -> Files:
    return {name: text for name, text in files.items() if not name.startswith(starts)}


def only(files: Files, *starts: str) -> Files:
    return {name: text for name, text in files.items() if name.startswith(starts)}


def variant(name: str, labels: Files, predictions: Files) -> tuple[Files, Files]:
    """Both sides of a variant, made by the rule in its name."""
    swahili = "xnli/test-sw.tsv"
    if name == "one-task-only":
        return only(labels, "xnli/"), only(predictions, "xnli/")
    if name == "task-missing-in-predictions":
        return labels, without(predictions, "panx/")
    if name == "task-missing-in-labels":
        return without(labels, "panx/"), predictions
    if name == "one-language-missing-in-predictions":
        return labels, without(predictions, swahili)
    if name == "one-language-missing-in-labels":
        return without(labels, swahili), predictions
    if name == "extra-language-file":
        return labels, predictions | {"xnli/test-xx.tsv": "neutral\n"}
    if name == "unknown-task-folder":
        return labels | {"other/test-en.tsv": "1\n"}, predictions | {"other/test-en.tsv": "1\n"}
    if name == "wrong-extension":
        return labels, without(predictions, swahili) | {"xnli/test-sw.txt": predictions[swahili]}
    if name == "line-count-mismatch":
        return labels, predictions | {swahili: predictions[swahili] + "neutral\n"}
    if name == "no-common-task":
        return only(labels, "xnli/"), only(predictions, "panx/")
    if name == "qa-empty-predictions":
        return only(labels, "mlqa/"), dict.fromkeys(only(predictions, "mlqa/"), "{}")
    if name == "only-xcopa":
        return only(labels, "xcopa/"), only(predictions, "xcopa/")
    if name == "xcopa-as-tsv":
        named = {k.replace(".jsonl", ".tsv"): v for k, v in only(predictions, "xcopa/").items()}
        return labels, without(predictions, "xcopa/") | named
    if name == "retrieval-without-mewslix":
        return labels, without(predictions, "mewslix/")
    if name == "lareqa-folder-only-in-predictions":
        return labels, predictions | {"lareqa/notes": ""}
    if name == "lareqa-folders-empty":
        return labels | {"lareqa/notes": ""}, predictions | {"lareqa/notes": ""}
    raise ValueError(name)


def test_the_official_case_key_by_key(
    official: dict[str, Any], score_files: Scorer, catalogue: Catalogue
) -> None:
    found = board(catalogue, score_files(official["labels"], official["predictions"]))
    assert list(found) == list(EXPECTED)  # the order of the official file too
    assert flat(found) == pytest.approx(flat(EXPECTED), abs=1e-9)
    assert list(flat(found)) == list(flat(EXPECTED))


def test_the_averages_are_those_that_the_official_script_prints(
    official: dict[str, Any], score_files: Scorer, catalogue: Catalogue
) -> None:
    printed = (GOLDEN / "aggregate/xtreme-r.stdout.txt").read_text()
    parts = re.split(r"====== (\S+) ======", printed)
    averages = {
        task: re.findall(r"^metric: ([\d.]+)$", said, re.M)
        for task, said in zip(parts[1::2], parts[2::2], strict=True)
    }
    found = board(catalogue, score_files(official["labels"], official["predictions"]))
    tasks = {task: [f"{found[task]['avg_metric']:.2f}"] for task in averages if task in found}
    assert len(tasks) == 9
    assert tasks == {task: averages[task] for task in tasks}


@pytest.mark.parametrize("name", SCORED)
def test_variants_that_the_official_script_scores(
    official: dict[str, Any], score_files: Scorer, catalogue: Catalogue, name: str
) -> None:
    sides = variant(name.removeprefix("xtreme-r:"), official["labels"], official["predictions"])
    found = board(catalogue, score_files(*sides))
    summary = {
        key: value
        if isinstance(value, float)
        else {k: v for k, v in value.items() if k.startswith("avg_")}
        for key, value in found.items()
    }
    expected = VARIANTS[name]["output_top_level"]
    assert list(summary) == list(expected)
    assert flat(summary) == pytest.approx(flat(expected), abs=1e-9)


@pytest.mark.parametrize("name", STOPPED)
def test_where_the_official_script_stops_the_rest_is_given(
    official: dict[str, Any], score_files: Scorer, catalogue: Catalogue, name: str
) -> None:
    sides = variant(name.removeprefix("xtreme-r:"), official["labels"], official["predictions"])
    cells = score_files(*sides)
    bad = [cell.record for cell in cells if cell.record.status != "ok"]
    hit = {record.task.name for record in bad}
    assert len(hit) == 1  # one task is hurt
    task = hit.pop()
    why = bad[0].reason or (bad[0].failure.message if bad[0].failure else "")
    assert f"{task}/test-{bad[0].language.code}." in why
    if "mismatch" in name:
        assert "7 predictions for 6" in why
    if "extension" in name or "as-tsv" in name:
        assert " There is test-" in why
    found = board(catalogue, cells)
    hurt = {task, *(g for g, m in catalogue.suite("xtreme-r").groups.items() if task in m)}
    assert flat({k: v for k, v in found.items() if k not in hurt}) == pytest.approx(
        flat({k: v for k, v in EXPECTED.items() if k not in hurt}), abs=1e-9
    )
    assert not hurt - {task} & found.keys()
    assert "avg_metric" not in found.get(task, {})


@pytest.mark.parametrize("version", ["xtreme", "xtreme-r"])
def test_a_suite_that_somebody_declares_is_scored_by_its_card(
    official: dict[str, Any],
    score_files: Scorer,
    registry: Registry,
    tmp_path: Path,
    version: str,
) -> None:
    """XTREME by a card of the test's own, without its mining task, which no evaluator here has."""
    content = official
    if version == "xtreme":
        content = json.loads((GOLDEN / "aggregate/xtreme.input.json").read_text())
        expected = json.loads((GOLDEN / "aggregate/xtreme.expected.json").read_text())
        printed = (GOLDEN / "aggregate/xtreme.stdout.txt").read_text()
        expected = expected["seqeval-0.0.12"]
        assert f"metric: {expected['pawsx']['avg_metric']:.2f}" in printed
    else:
        expected = {"xtreme-r": None}
    languages = {}
    for name in content["labels"]:
        task, file = name.split("/")
        languages.setdefault(task, []).append(file.split(".")[0].removeprefix("test-"))
    languages.pop("bucc2018", None)
    if version == "xtreme-r":  # scored by the lists of version 1, which are shorter
        first = json.loads((GOLDEN / "aggregate/xtreme.input.json").read_text())["labels"]
        languages = {
            task: [code for code in codes if any(f"{task}/test-{code}." in n for n in first)]
            for task, codes in languages.items()
        }
        languages = {task: codes for task, codes in languages.items() if codes}
        key = "xtreme:xtreme-r-submission-scored-as-xtreme"
        expected = VARIANTS[key]["output_top_level"]
    tagging, qa = ["panx", "udpos"], ["xquad", "mlqa", "tydiqa"]
    groups = {"classification": ["pawsx", "xnli"], "tagging": tagging, "qa": qa}
    groups = {name: members for name, members in groups.items() if set(members) <= set(languages)}
    (tmp_path / "pawsx.yaml").write_text(
        "name: pawsx\nkind: classification\ndescription: Paraphrases.\n"
        'languages: [de, en, es, fr, ja, ko, zh]\nlabels: ["0", "1"]\n'
        "metric: accuracy\nofficial: [accuracy]\nscore: [accuracy]\n"
    )
    (tmp_path / "v1.yaml").write_text(
        json.dumps(
            {
                "name": "v1",
                "description": "XTREME.",
                "tasks": list(languages),
                "groups": groups,
                "averages": [],
                "languages": languages,
            }
        )
    )
    cards = Catalogue.load([*registry.card_folders(), tmp_path])
    cells = score_files(content["labels"], content["predictions"], cards, "v1")
    assert {cell.record.status for cell in cells} == {"ok"}
    found = flat(board(cards, cells, "v1"))
    wanted = flat(expected)
    missing = {"/all_task", "/retrieval"}  # both need the mining task
    assert {k for k in wanted if not k.startswith("/bucc2018/")} - found.keys() <= missing
    assert {k: found[k] for k in wanted if k in found} == pytest.approx(
        {k: v for k, v in wanted.items() if k in found}, abs=1e-9
    )


def test_answers_that_are_missing_or_unknown_are_counted_in_a_note(
    official: dict[str, Any], score_files: Scorer
) -> None:
    name = "mlqa/test-en.json"
    labels = only(official["labels"], name)
    right = {"en-0": "la", "other": "x"}
    cells = score_files(labels, {name: json.dumps(right)})
    (english,) = [cell.record for cell in cells if cell.record.status == "ok"]
    assert english.result is not None
    assert english.data is not None
    assert english.result.values == pytest.approx({"exact_match": 100 / 3, "f1": 100 / 3})
    assert "2 of 3 items have no prediction" in " ".join(english.data.notes)
    assert "1 predictions are for unknown ids, e.g. 'other'" in english.data.notes


BROKEN = [
    ("xnli/test-en.tsv", "neutral\n", "1 predictions for 6 items"),
    ("xcopa/test-et.jsonl", '{"label": 1}\n{"label"', "test-et.jsonl:2"),
    ("xcopa/test-et.jsonl", '{"label": "1"}\n', "test-et.jsonl:1"),
    ("xquad/test-en.json", '{"en-0": "a', "cut, damaged or of another format"),
    ("xquad/test-en.json", '{"en-0": null}', "cut, damaged or of another format"),
    ("xquad/test-en.json", '{"en-0": NaN}', "cut, damaged or of another format"),
    ("xquad/test-en.json", '{"zh-0": "a"}', "none of its 1 ids is among the 3 expected"),
    ("mewslix/test-ar.json", '{"ar0": "Q15"}', "cut, damaged or of another format"),
    ("tatoeba/test-ar.tsv", "1\n2\n", "2 predictions for 6 items"),
    ("panx/test-ar.tsv", "O\n", "1 predicted sentences for"),
]


@pytest.mark.parametrize(("name", "text", "said"), BROKEN)
def test_a_broken_file_fails_its_cell_with_its_path(
    official: dict[str, Any], score_files: Scorer, name: str, text: str, said: str
) -> None:
    task, file = name.split("/")
    sides = [only(official[side], f"{task}/") for side in ("labels", "predictions")]
    cells = score_files(sides[0], sides[1] | {name: text})
    (failed,) = [cell.record for cell in cells if cell.record.status != "ok"]
    assert failed.failure is not None
    assert said in failed.failure.message
    assert f"{task}/{file}" in failed.failure.message
    assert not failed.failure.traceback


def test_unknown_labels_count_as_wrong_and_are_said(
    official: dict[str, Any], score_files: Scorer
) -> None:
    name = "xnli/test-bg.tsv"
    labels = {name: "neutral\nentailment\n"}
    cells = score_files(labels, {name: "neutral\nentailmet\n"})
    (record,) = [cell.record for cell in cells if cell.record.status == "ok"]
    assert record.result is not None
    assert record.data is not None
    assert record.result.score == 50.0
    assert "'entailmet'. Did you mean 'entailment'?" in record.data.notes[0]


def test_stripped_labels_give_no_score(score_files: Scorer) -> None:
    name = "mewslix/test-ar.json"
    cells = score_files({name: '{"ar0": [""]}'}, {name: '{"ar0": ["Q1"]}'})
    assert [cell.record.status for cell in cells if cell.record.language.code == "ar"] == ["failed"]


def test_folders_that_hold_no_predictions(
    score_files: Scorer, catalogue: Catalogue, tmp_path: Path, official: dict[str, Any]
) -> None:
    with pytest.raises(NothingToScore, match="no folder in .* is a task of xtreme-r: there are ab"):
        score_files({}, {"ab/test-en.tsv": "1\n"})
    score_files(official["labels"], official["predictions"], run=tmp_path / "run")
    suite = catalogue.suite("xtreme-r")
    nothing: Any = None
    for folder, said in ((tmp_path / "run", "is a run folder"), (tmp_path / "no", "no folder")):
        with pytest.raises(DataError, match=said):
            score(folder, nothing, suite, catalogue.tasks, nothing, nothing, "x")


def test_what_is_ignored_is_said(catalogue: Catalogue, tmp_path: Path) -> None:
    for name in ("xnli/test-xx.tsv", "xnli/test-en.tsv", "xnly/test-en.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("neutral\n")
    said = leftovers(tmp_path, catalogue.suite("xtreme-r"), catalogue.tasks)
    assert said[0].startswith("no predictions for panx, udpos")
    assert said[1] == "xnli: 1 other files are ignored: test-xx.tsv"
    assert said[2] == "xnly is no task of xtreme-r, so it is ignored. Did you mean 'xnli'?"


def test_a_scored_run_is_a_run_like_others(
    official: dict[str, Any], score_files: Scorer, tmp_path: Path
) -> None:
    score_files(official["labels"], official["predictions"], run=tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    records = folder.records()
    assert len(records) == 192
    record = next(r for r in records if r.id == "somebody/xnli/sw")
    assert record.result is not None
    assert folder.read_items(record)["correct"].mean() * 100 == pytest.approx(record.result.score)
    written = json.loads((tmp_path / "run/leaderboard.json").read_text())
    assert flat(written["qa"]) == pytest.approx(flat(EXPECTED["qa"]), abs=1e-9)

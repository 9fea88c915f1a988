"""The commands that read results: what they print, refuse and leave alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from xharness.cli.main import main
from xharness.runs.folder import RunFolder

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official case as folders `labels` and `predictions`."""
    root = tmp_path_factory.mktemp("sides")
    content = json.loads((GOLDEN / "aggregate/xtreme-r.input.json").read_text())
    for side in ("labels", "predictions"):
        for name, text in content[side].items():
            path = root / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XHARNESS_PLUGINS", "")

    def do(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return do


@pytest.fixture
def scored(run: Run, sides: Path, tmp_path: Path) -> Path:
    code, _, err = score(run, sides, "-o", "run")
    assert code == 0, err
    return tmp_path / "run"


def score(run: Run, sides: Path, *arguments: object) -> tuple[int, str, str]:
    return run("score", sides / "predictions", "--labels", sides / "labels", *arguments)


def test_score_prints_the_official_file_and_nothing_else(run: Run, sides: Path) -> None:
    code, out, err = score(run, sides, "--format", "official")
    expected = json.loads((GOLDEN / "aggregate/xtreme-r.expected.json").read_text())
    printed = json.loads(out)
    assert code == 0
    assert list(printed) == list(expected["seqeval-0.0.12"])
    assert printed["qa"] == pytest.approx(expected["seqeval-0.0.12"]["qa"], abs=1e-9)
    assert "no predictions for lareqa" in err


def test_a_missing_language_costs_its_averages_alone(run: Run, sides: Path, tmp_path: Path) -> None:
    shutil.copytree(sides, tmp_path / "sides")
    (tmp_path / "sides/predictions/xnli/test-sw.tsv").unlink()
    code, out, err = score(run, tmp_path / "sides", "--format", "official")
    printed = json.loads(out)
    assert code == 1
    assert "avg_metric" not in printed["xnli"]
    assert "classification" not in printed
    assert len(printed["xnli"]["accuracy"]) == 14
    assert "qa" in printed
    assert "no prediction file" in err
    assert "test-sw.tsv" in err


def test_score_of_nothing_is_not_a_success(run: Run, sides: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = run("score", "empty", "--labels", sides / "labels")
    assert (code, out) == (5, "")
    assert "no folder in empty is a task of xtreme-r" in err


def test_from_a_scored_run_to_all_that_reads_runs(run: Run, scored: Path, tmp_path: Path) -> None:
    code, out, _ = run("compare", "run", "--published")
    assert code == 0
    assert "Published figures, not measured here" in out
    code, out, _ = run("compare", "run", "--format", "json")
    assert [table["title"] for table in json.loads(out)][:2] == ["By task", "By language"]
    assert run("compare", "run", "--format", "markdown")[1].startswith("**By task**")

    assert run("report", "run")[0] == 0
    assert run("report", "run", "-o", "report.md")[0] == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    for form, name in (("eee", "eee"), ("csv", "cells.csv"), ("junit", "junit.xml")):
        assert run("export", "run", "--to", form)[0] == 0
        assert (tmp_path / name).exists()

    code, out, err = run("submission", "run", "sub")
    assert code == 1  # six items are no test set
    assert "192 files in sub" in out
    whole = "6 predictions; the published test set has 5,010 items (xnli/ar, xnli/bg, "
    assert whole in err


WRITERS = [
    ["report", "run", "-o", "there.md"],
    ["export", "run", "--to", "csv", "-o", "there.md"],
    ["submission", "run", "there"],
    ["score", "SIDES/predictions", "--labels", "SIDES/labels", "-o", "there"],
]


@pytest.mark.parametrize("arguments", WRITERS, ids=lambda a: a[0])
def test_nothing_is_overwritten_unless_asked(
    run: Run, scored: Path, sides: Path, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "there.md").write_text("mine")
    (tmp_path / "there").mkdir()
    code, out, err = run(*(a.replace("SIDES", str(sides)) for a in arguments))
    assert (code, out) == (2, "")
    assert "there" in err
    assert "exists" in err
    assert len(err.splitlines()) == 1
    assert (tmp_path / "there.md").read_text() == "mine"
    assert not list((tmp_path / "there").iterdir())
    if arguments[0] in ("report", "export"):
        assert run(*arguments, "--force")[0] == 0
        assert (tmp_path / "there.md").read_text() != "mine"


def test_no_file_takes_the_place_of_what_is_none_and_links_stay(
    run: Run, scored: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, _, err = run("export", "run", "--to", "csv", "-o", "pipe", "--force")
    assert (code, err) == (2, "Error: pipe exists and is no plain file; name another\n")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to("target")
    assert run("export", "run", "--to", "csv", "-o", "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text().startswith("model,")


def test_gold_labels_that_the_card_does_not_have_score_nothing(
    run: Run, sides: Path, tmp_path: Path
) -> None:
    """Label files of another task, or with texts in them, would pass for a model that is always
    wrong."""
    labels = tmp_path / "labels"
    shutil.copytree(sides / "labels", labels)
    for name, old, new in (("xnli/test-de.tsv", "neutral", "neutrall"),
                           ("udpos/test-de.tsv", "NOUN", "NN")):  # fmt: skip
        text = (labels / name).read_text()
        assert old in text
        (labels / name).write_text(text.replace(old, new, 1))
    code, out, err = run("score", sides / "predictions", "--labels", labels)
    assert code == 1, err
    assert re.search(r"xnli/test-de\.tsv:\d+: label 'neutrall' is not one of .*"
                     "Did you mean 'neutral'", out)  # fmt: skip
    assert re.search(r"udpos/test-de\.tsv:\d+: label 'NN' is not one of", out)


def cut(text: str) -> str:
    return text[: len(text) // 2]


def with_nan(text: str) -> str:
    return text.replace('"score": ', '"score": NaN, "was": ', 1)


def with_other_schema(text: str) -> str:
    return text.replace("xharness.cell/1", "xharness.cell/2")


def of_another_shape(text: str) -> str:
    return '{"schema": "xharness.cell/2", "cells": []}'


@pytest.mark.parametrize("command", ["compare", "report", "export", "submission", "show"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "is no cell record"),
        (with_nan, "is no cell record"),
        (with_other_schema, "has schema 'xharness.cell/2'; this version reads 'xharness.cell/1'"),
        (of_another_shape, "has schema 'xharness.cell/2'; this version reads 'xharness.cell/1'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_spoilt_record_is_one_sentence(
    run: Run, scored: Path, command: str, spoil: Callable[[str], str], said: str
) -> None:
    path = scored / "cells/predictions/xnli/sw.json"
    path.write_text(spoil(path.read_text()))
    more = {"export": ["--to", "csv"], "submission": ["new"]}.get(command, [])
    code, out, err = run(command, "run", *more)
    assert (code, out) == (2, "")
    assert "sw.json" in err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "nowhere"], "there is no run folder nowhere"),
        (["compare", "run", "run/../run"], "is named twice"),
        (["report", "run", "-o", "report.pdf"], "must end in .html or .md"),
        (["report", "run", "--data", "nowhere"], "--data 'nowhere' is no folder"),
        (["export", "run", "--to", "eeee"], "'eeee' is not one of"),
        (["submission", "run", "new", "-m", "prediction"], "Did you mean 'predictions'?"),
        (["score", "run"], "run is a run folder; its predictions are in run/predictions/MODEL"),
        (["score", "nowhere"], "no folder with predictions at nowhere"),
        (["score", "run", "--labels", "nowhere"], "no label folder at nowhere"),
        (["score", "run", "--labels", "x", "--data", "y"], "both name the gold"),
        (["score", "run", "--suite", "xtreme-s"], "Did you mean 'xtreme-r'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(
    run: Run, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("XHARNESS_DATA", str(tmp_path))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_another_version_of_the_run_record(run: Run, scored: Path) -> None:
    path = scored / "run.json"
    path.write_text(path.read_text().replace("xharness.run/1", "xharness.run/9"))
    code, _, err = run("compare", "run")
    assert code == 2
    assert "has schema 'xharness.run/9'; this version reads 'xharness.run/1'" in err


def test_a_run_that_says_less_is_shown_and_one_without_cells_is_not(run: Run, scored: Path) -> None:
    path = scored / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "request": {}}))
    code, out, _ = run("show", "run")
    assert (code, out.splitlines()[0]) == (0, "xtreme-r on unknown data")
    shutil.rmtree(scored / "cells")
    for command in (["show"], ["export", "--to", "csv"], ["submission", "sub"], ["report"]):
        code, out, err = run(command[0], "run", *command[1:])
        assert (code, out) == (2, "")
        assert "run has no cell records: nothing was run there yet" in err


def test_a_record_in_another_s_place_counts_for_nobody(run: Run, scored: Path) -> None:
    path = scored / "cells/predictions/xnli/sw.json"
    shutil.copy(path, path.with_name("sw copy.json"))
    code, out, err = run("show", "run")
    assert (code, out) == (2, "")
    assert "sw copy.json holds the record that belongs in cells/predictions/xnli/sw.json" in err


def test_a_name_can_not_lead_out_of_the_run_folder(run: Run, sides: Path, tmp_path: Path) -> None:
    code, _, err = score(run, sides, "-o", "run", "--name", "../../elsewhere")
    assert code == 2
    assert "'../../elsewhere' leads out of the run folder" in err
    assert not list(tmp_path.iterdir())


def test_an_export_of_nothing_is_said(run: Run, scored: Path) -> None:
    for path in (scored / "cells").rglob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "status": "skipped", "result": None}))
    code, out, err = run("export", "run", "--to", "eee")
    assert (code, out) == (2, "")
    assert "no cell of run has a score" in err


def test_different_measurements_end_with_their_own_exit_code(
    run: Run, scored: Path, tmp_path: Path
) -> None:
    shutil.copytree(scored, tmp_path / "other")
    for path in (tmp_path / "other/cells").rglob("*.json"):
        record = json.loads(path.read_text())
        if record["comparable_hash"]:
            record["measured"]["gold"] = "0" * 64
            record["comparable_hash"] = "0" * 64
            path.write_text(json.dumps(record))
    code, _, err = run("compare", "run", "other")
    assert code == 4
    assert "will not compare run:predictions, other:predictions" in err
    assert "gold_sha256" in err


@pytest.mark.slow
def test_ten_thousand_cells(scored: Path, tmp_path: Path) -> None:
    """Reading is linear in the cells: real processes end long before their time is up."""
    records = RunFolder(scored).records()
    for model in (f"m{number}" for number in range(53)):
        for record in records:
            name = f"{model}/{record.task.name}/{record.language.code}"
            path, items = scored / f"cells/{name}.json", scored / f"items/{name}.npz"
            for folder in (path.parent, items.parent):
                folder.mkdir(parents=True, exist_ok=True)
            items.hardlink_to(scored / f"items/{record.id}.npz")
            named = msgspec.structs.replace(record.model, name=model)
            cell = msgspec.structs.replace(record, id=name, model=named)
            path.write_bytes(msgspec.json.encode(cell))
    assert len(list((scored / "cells").rglob("*.json"))) == 54 * 192
    for arguments in (["compare", "run"], ["report", "run"], ["export", "run", "--to", "eee"]):
        done = subprocess.run(
            [sys.executable, "-m", "xharness", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

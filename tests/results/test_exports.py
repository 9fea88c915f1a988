from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from junitparser import Error, JUnitXml, Skipped
from scipy.stats import binomtest

from xharness.records import CellRecord, Failure
from xharness.results.exports import to_csv, to_eee, to_junit
from xharness.runs.folder import RunFolder

# What the schema 0.3.0 requires of each object, and what values it allows.
REQUIRED = {
    "": {
        "schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info",
        "eval_library", "evaluation_results",
    },
    "source_metadata": {"source_type", "source_organization_name", "evaluator_relationship"},
    "eval_library": {"name", "version"},
    "model_info": {"name", "id", "additional_details"},
}  # fmt: skip
OPTIONAL = {"evaluation_timestamp", "detailed_evaluation_results"}
NAME = r"[A-Za-z0-9._-]+"
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def run(
    official: dict[str, Any], score_files: Callable[..., Any], tmp_path_factory: Any
) -> RunFolder:
    path: Path = tmp_path_factory.mktemp("runs") / "run"
    predictions = dict(official["predictions"])
    del predictions["xnli/test-sw.tsv"]
    predictions["xnli/test-th.tsv"] = "neutral\n"
    score_files(official["labels"], predictions, name="a b", run=path)
    return RunFolder(path)


def check_eee(path: str, value: dict[str, Any]) -> None:
    """The rules of the schema and of its validator, as far as they concern what is written."""
    assert re.fullmatch(f"data/{NAME}/{NAME}/{NAME}/{UUID4}\\.json", path)
    assert REQUIRED[""] <= value.keys() <= REQUIRED[""] | OPTIONAL
    for part in ("source_metadata", "eval_library", "model_info"):
        assert REQUIRED[part] <= value[part].keys()
    assert value["schema_version"] == "0.3.0"
    assert re.fullmatch(r"\d+", value["retrieved_timestamp"])
    assert value["source_metadata"]["source_type"] == "evaluation_run"
    relation = value["source_metadata"]["evaluator_relationship"]
    assert relation in {"first_party", "third_party", "collaborative", "other"}
    model = value["model_info"]
    assert re.fullmatch(f"{NAME}/{NAME}", model["id"])
    assert value["evaluation_id"].split("/")[1:-1] == model["id"].split("/")
    details = model["additional_details"]
    assert details["deployment_type"] in {"self_deployed", "externally_managed", "unknown"}
    assert details["model_availability"] in {"open_weights", "closed_weights", "unknown"}
    assert {type(v) for v in (*details.values(), *value["eval_library"]["additional_details"])} == {
        str
    }
    identities = [result["evaluation_result_id"] for result in value["evaluation_results"]]
    assert len(set(identities)) == len(identities)
    for result in value["evaluation_results"]:
        assert {"evaluation_name", "source_data", "metric_config", "score_details"} <= result.keys()
        assert result["source_data"]["source_type"] == "other"
        assert set(map(type, result["source_data"]["additional_details"].values())) == {str}
        config, score = result["metric_config"], result["score_details"]
        assert config["score_type"] == "continuous"
        assert config["lower_is_better"] is False
        assert math.isfinite(score["score"])
        assert config["min_score"] <= score["score"] <= config["max_score"]
        assert set(map(type, score["details"].values())) == {str}


def test_every_eval_ever(run: RunFolder) -> None:
    files = to_eee(run.read_run(), run.records())
    ((path, text),) = files.items()
    value = json.loads(text)
    check_eee(path, value)
    scores = {r["evaluation_name"]: r["score_details"] for r in value["evaluation_results"]}
    assert scores["xnli/ar/accuracy"]["score"] == pytest.approx(400 / 6)
    exact = binomtest(4, 6).proportion_ci()
    assert scores["xnli/ar/accuracy"]["uncertainty"] == {
        "num_samples": 6,
        "confidence_interval": {
            "lower": pytest.approx(100 * exact.low),
            "upper": pytest.approx(100 * exact.high),
            "confidence_level": 0.95,
            "method": "clopper-pearson",
        },
    }
    # The interval is of the mean of two values, so neither has one.
    assert scores["xquad/ar/f1"]["uncertainty"].keys() == {"num_samples"}
    assert "xnli/sw/accuracy" not in scores  # what was not scored has no score
    assert scores["udpos/ar/f1"]["details"]["variant"] == "seqeval 0.0.12"
    assert to_eee(run.read_run(), run.records()) == files  # the same run, the same file
    # The blank in the model's name can't stand in a path.
    assert re.search(r"/a-b-[0-9a-f]{6}/", path)


def test_csv_has_every_cell_in_full_precision(run: RunFolder) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(run.records()))))
    assert len(rows) == 192
    found = {f"a b/{row['task']}/{row['language']}": row for row in rows}
    for record in run.records():
        row = found[record.id]
        assert row["status"] == record.status
        if record.result:
            assert float(row["score"]) == record.result.score
            assert {k: float(row[k]) for k in record.result.values} == record.result.values
            interval = record.result.interval
            bounds = (str(interval.lower), str(interval.upper)) if interval else ("", "")
            assert (row["lower"], row["upper"]) == bounds
        else:
            assert row["score"] == ""
            assert row["reason"]


def test_junit_reads_in_another_program(run: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(to_junit(run.read_run(), run.records()), "utf-8")
    xml = JUnitXml.fromfile(str(path))
    assert (xml.tests, xml.errors, xml.skipped, xml.failures) == (192, 1, 1, 0)
    suites = {suite.name: suite for suite in xml}
    xnli = suites["a b/xnli"]
    assert (xnli.tests, xnli.errors, xnli.skipped) == (15, 1, 1)
    cases = {case.name: case for case in xnli}
    assert cases["ar"].classname == "xharness.xnli"
    assert cases["ar"].system_out.startswith("score 66.67 of 6 items: accuracy 66.67")
    (error,) = cases["th"].result
    assert isinstance(error, Error)
    assert "1 predictions for 6 items" in error.message
    (skipped,) = cases["sw"].result
    assert isinstance(skipped, Skipped)


def test_control_characters_are_no_xml(run: RunFolder, tmp_path: Path) -> None:
    record: CellRecord = msgspec.structs.replace(
        run.records()[0],
        status="failed",
        result=None,
        failure=Failure("ValueError", "a\x00b\x1b[31m\ud800<&>\u2028", ""),
    )
    path = tmp_path / "junit.xml"
    path.write_text(to_junit(run.read_run(), [record]), "utf-8")
    (suite,) = JUnitXml.fromfile(str(path))
    (case,) = suite
    assert case.result[0].message == "a\ufffdb\ufffd[31m\ufffd<&>\u2028"

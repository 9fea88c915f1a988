"""A run in other programs' formats: Every Eval Ever (JSON), CSV and JUnit XML."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from xharness.cards import digest
from xharness.errors import DataError
from xharness.records import CellRecord, RunRecord
from xharness.runs.leaderboard import model_key

EEE_VERSION = "0.3.0"
UNKNOWN = "unknown"
# What XML 1.0 can't hold; predictions and error messages may.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_PORTABLE = re.compile(r"[^A-Za-z0-9._-]+")


def to_eee(run: RunRecord, records: Sequence[CellRecord]) -> dict[str, str]:
    """Path -> content, one file a model: an aggregate record of the schema 0.3.0 with one result
    for each task, language and official value. Paths and contents depend on the run alone.

    Source: github.com/evaleval/every_eval_ever, its JSON Schemas for aggregate records.
    """
    by_model: dict[str, list[CellRecord]] = {}
    for record in records:
        if record.result is not None:
            by_model.setdefault(model_key(record), []).append(record)
    files = {}
    for name, cells in by_model.items():
        value = _eee_record(run, name, cells)
        identity = bytes.fromhex(digest([value["evaluation_id"], *(c.inputs for c in cells)]))
        path = f"data/{_portable(run.suite)}/{value['model_info']['id']}"
        files[f"{path}/{uuid.UUID(bytes=identity[:16], version=4)}.json"] = (
            msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
        )
    return files


def _eee_record(run: RunRecord, name: str, cells: Sequence[CellRecord]) -> dict[str, Any]:
    model = cells[0].model
    try:
        timestamp = str(int(datetime.fromisoformat(run.started).timestamp()))
    except ValueError as error:
        raise DataError(f"the run record says that it started at {run.started!r}") from error
    identity = f"{UNKNOWN}/{_portable(name)}"
    backbone = model.backbone.get("id")
    return {
        "schema_version": EEE_VERSION,
        "evaluation_id": f"{run.suite}/{identity}/{timestamp}",
        "retrieved_timestamp": timestamp,
        "evaluation_timestamp": timestamp,
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_name": "xharness",
            "source_organization_name": UNKNOWN,
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "xharness",
            "version": run.versions.get("xharness-xtreme-r", UNKNOWN),
            "additional_details": {k: str(v) for k, v in run.versions.items()},
        },
        "model_info": {
            "name": name,
            "id": identity,
            "developer": UNKNOWN,
            "additional_details": {
                "deployment_type": "self_deployed" if backbone else UNKNOWN,
                "model_availability": UNKNOWN,
                "producer": model.producer,
                "backbone": str(backbone or UNKNOWN),
                "backbone_weights_sha256": str(model.backbone.get("weights_sha256", UNKNOWN)),
                "seed": str(cells[0].seed),
            },
        },
        "evaluation_results": [
            _eee_result(record, value, score)
            for record in cells
            if record.result
            for value, score in record.result.values.items()
        ],
    }


def _eee_result(record: CellRecord, value: str, score: float) -> dict[str, Any]:
    task, language, result, data = record.task, record.language, record.result, record.data
    details = {
        "language": language.code,
        "split": task.split,
        "part_of_the_score": str(value in result.primary).lower() if result else "",
        "comparable_hash": record.comparable_hash or "",
        "notes": "; ".join(data.notes) if data else "",
    }
    if result and value in result.variants:
        details["variant"] = result.variants[value]
    uncertainty: dict[str, Any] = {"num_samples": result.n_items if result else 0}
    if result and result.interval and result.primary == [value]:  # else it is of no single value
        uncertainty["confidence_interval"] = {
            "lower": result.interval.lower,
            "upper": result.interval.upper,
            "confidence_level": result.interval.level,
            "method": result.interval.method,
        }
    return {
        "evaluation_name": f"{task.name}/{language.code}/{value}",
        "evaluation_result_id": f"{record.id}/{value}",
        "source_data": {
            "dataset_name": task.name,
            "source_type": "other",
            "additional_details": {
                "items_sha256": data.items_sha256 if data else "",
                "gold_sha256": data.gold_sha256 if data else "",
            },
        },
        "metric_config": {
            "metric_id": value,
            "metric_name": value,
            "metric_unit": "percent",
            "score_type": "continuous",
            "lower_is_better": False,
            "min_score": 0.0,
            "max_score": 100.0,
        },
        "score_details": {
            "score": score,
            "details": details,
            "uncertainty": uncertainty,
        },
    }


def to_csv(records: Sequence[CellRecord]) -> str:
    """One row a cell, also those without a score; full precision."""
    values = sorted({value for r in records if r.result for value in r.result.values})
    heads = ["model", "seed", "task", "kind", "language", "name", "family", "script", "split"]
    heads += ["status", "score", "lower", "upper", "items", *values, "comparable_hash", "reason"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    for r in records:
        result = r.result
        interval = result.interval if result else None
        bounds = (interval.lower, interval.upper) if interval else ("", "")
        writer.writerow(
            [
                *(r.model.name, r.seed, r.task.name, r.task.kind, r.language.code),
                *(r.language.name, r.language.family, r.language.script, r.task.split, r.status),
                *((result.score, *bounds, result.n_items) if result else [""] * 4),
                *(result.values.get(value, "") if result else "" for value in values),
                *(r.comparable_hash or "", _why(r)),
            ]
        )
    return buffer.getvalue()


def to_junit(run: RunRecord, records: Sequence[CellRecord]) -> str:
    """A suite for each model and task, a case for each language: a failed cell is an error, one
    without data is skipped, all others pass with their score as output."""
    root = ET.Element("testsuites", name=f"xharness {run.suite}")
    by_suite: dict[tuple[str, str], list[CellRecord]] = {}
    for record in records:
        by_suite.setdefault((model_key(record), record.task.name), []).append(record)
    for (model, task), cells in by_suite.items():
        named = {"name": xml_text(f"{model}/{task}")}
        when = {"timestamp": run.started[:19], "hostname": "xharness"}
        suite = ET.SubElement(root, "testsuite", named | _counts(cells) | when)
        for cell in cells:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=xml_text(f"xharness.{task}"),
                name=xml_text(cell.language.code),
                time=f"{_seconds(cell):.3f}",
            )
            if cell.status == "failed":
                kind = cell.failure.type if cell.failure else "error"
                ET.SubElement(case, "error", message=xml_text(_why(cell)), type=xml_text(kind))
            elif cell.status == "skipped":
                ET.SubElement(case, "skipped", message=xml_text(_why(cell)))
            elif cell.result:
                values = ", ".join(f"{k} {v:.2f}" for k, v in cell.result.values.items())
                said = f"score {cell.result.score:.2f} of {cell.result.n_items:,} items: {values}"
                ET.SubElement(case, "system-out").text = xml_text(said)
    for name, total in _counts(records).items():
        root.set(name, total)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(cells: Sequence[CellRecord]) -> dict[str, str]:
    return {
        "tests": str(len(cells)),
        "failures": "0",
        "errors": str(sum(cell.status == "failed" for cell in cells)),
        "skipped": str(sum(cell.status == "skipped" for cell in cells)),
        "time": f"{sum(map(_seconds, cells)):.3f}",
    }


def _seconds(cell: CellRecord) -> float:
    value = cell.timing.get("evaluate_seconds", 0.0)
    return value if isinstance(value, (int, float)) else 0.0


def _why(cell: CellRecord) -> str:
    return cell.reason or (cell.failure.message if cell.failure else "")


def xml_text(text: str) -> str:
    """The text without what XML can't hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def _portable(name: str) -> str:
    """A name for a file; one that had to be changed gets a few digits of its own digest, so that
    two names stay two."""
    plain = _NOT_PORTABLE.sub("-", name)
    if plain == name:
        return name
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"

"""A verdict as tables, JUnit XML, a step summary and annotations: all from the one object."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Sequence

from xharness.results.exports import xml_text
from xharness.results.table import Table
from xharness.results.verdict import BadCell, Judgement, Verdict

MOST_ROWS = 20  # cells and languages in a table; all are in the JSON
MOST_ANNOTATIONS = 10  # of a kind; GitHub shows no more from one step
LEVELS = {"suite": "suite", "task": "tasks", "language": "languages", "cell": "cells"}
TOLD = ("regressed", "improved", "inconclusive")  # verdicts on which a single cell gets a row


def tables(verdict: Verdict) -> list[Table]:
    """What was judged, and the items that changed."""
    found = [judgement_table(verdict)]
    if any(change.items for change in verdict.tasks.values()):
        found.append(item_table(verdict))
    return found


def judgement_table(verdict: Verdict) -> Table:
    """The suite and all tasks, then the languages and cells that are worth a row."""
    whole = [j for j in verdict.judgements if j.level in ("suite", "task")]
    single = [j for j in verdict.judgements if j not in whole and (j.verdict in TOLD or j.drifted)]
    single.sort(key=lambda j: (TOLD.index(j.verdict) if j.verdict in TOLD else len(TOLD), j.change))
    mixed = len({j.mode for j in verdict.judgements}) > 1
    rows = [_row(j, mixed) for j in [*whole, *single[:MOST_ROWS]]]
    remarks = [counts(verdict)]
    if len(single) > MOST_ROWS:
        remarks.append(f"{len(single) - MOST_ROWS} more languages and cells are in the JSON")
    if any(j.drifted for j in single):
        remarks.append("* likely changed for the worse (a twentieth of such marks may be wrong)")
    remarks += [
        f"{cell.cell}: {cell.status}: {cell.reason}" for cell in verdict.missing[:MOST_ROWS]
    ]
    if verdict.unjudged:
        shown = ", ".join(verdict.unjudged[:5])
        remarks.append(f"{len(verdict.unjudged)} cells were not judged: {shown}")
    heads = ["", "old", "new", "change", "at least", "detectable", "verdict"]
    return Table(headline(verdict), heads, rows, [*remarks, *verdict.notes])


def item_table(verdict: Verdict) -> Table:
    """The items that changed most; more of them for tasks that regressed."""
    bad = {j.name.split("/")[0] for j in verdict.judgements if j.verdict == "regressed"}
    rows, remarks = [], []
    for task, change in verdict.tasks.items():
        if change.items:
            remarks.append(
                f"{task}: {change.churn:.2f} % of outcomes and {change.answers:.2f} % of answers "
                "changed"
            )
        for item in change.items[: None if task in bad else 3]:
            numbers = [f"{item.old:.1f}", f"{item.new:.1f}", f"{item.points:+.3f}"]
            rows.append([f"{task}/{item.language}", item.item, *numbers])
    heads = ["cell", "item", "old", "new", "points"]
    return Table("Items that changed most", heads, rows, remarks)


def headline(verdict: Verdict) -> str:
    return f"Gate: {verdict.verdict}. {verdict.model} in {verdict.run} against {verdict.baseline}"


def counts(verdict: Verdict) -> str:
    said = []
    for level, plural in LEVELS.items():
        found = Counter(j.verdict for j in verdict.judgements if j.level == level)
        if found:
            each = ", ".join(f"{n} {name}" for name, n in found.most_common())
            said.append(f"{plural}: {each}")
    return "; ".join(said) or "nothing was judged"


def summary(verdict: Verdict) -> str:
    """Markdown for a step summary."""
    return "\n\n".join(table.markdown() for table in tables(verdict)) + "\n"


def workflow_commands(verdict: Verdict) -> list[str]:
    """GitHub workflow commands: errors for what fails, warnings for what is not known."""
    errors = [(j.name, _sentence(j)) for j in _failing(verdict)]
    errors += [(c.cell, f"{c.status}: {c.reason}") for c in verdict.missing if _fails(verdict, c)]
    unknown = [j for j in verdict.judgements if j.verdict == "inconclusive" and j.level != "cell"]
    warnings = [(j.name, _sentence(j)) for j in unknown if j not in _failing(verdict)]
    better = [j for j in verdict.judgements if j.verdict == "improved"]
    notices = [(j.name, _sentence(j)) for j in better]
    kinds: Iterable[tuple[str, Sequence[tuple[str, str]]]]
    kinds = (("error", errors), ("warning", warnings), ("notice", notices))
    lines = []
    for kind, found in kinds:
        shown = list(found[:MOST_ANNOTATIONS])
        if len(found) > len(shown):
            shown[-1] = ("more", f"{len(found) - len(shown) + 1} more; gate.json has all")
        lines += [annotation(kind, name, text) for name, text in shown]
    return lines


def annotation(kind: str, name: str, text: str) -> str:
    """One workflow command."""
    return f"::{kind} title={_escape(f'xharness gate: {name}', title=True)}::{_escape(text)}"


def junit(verdict: Verdict) -> bytes:
    """JUnit XML: a suite for each level and one for cells that are missing."""
    root = ET.Element("testsuites", name="xharness gate")
    failing = _failing(verdict)
    for level in LEVELS:
        cases = [j for j in verdict.judgements if j.level == level]
        suite = ET.SubElement(root, "testsuite", name=f"gate.{level}", tests=str(len(cases)))
        for judgement in cases:
            case = ET.SubElement(suite, "testcase", name=judgement.name, classname=f"gate.{level}")
            if judgement in failing:
                ET.SubElement(case, "failure", message=_sentence(judgement), type="drift")
            elif judgement.verdict == "inconclusive":
                ET.SubElement(case, "skipped", message=_sentence(judgement))
            else:
                ET.SubElement(case, "system-out").text = _sentence(judgement)
        _count(suite)
    missing = ET.SubElement(root, "testsuite", name="gate.missing", tests=str(len(verdict.missing)))
    for cell in verdict.missing:
        case = ET.SubElement(missing, "testcase", name=cell.cell, classname="gate.missing")
        kind = "error" if _fails(verdict, cell) else "skipped"
        ET.SubElement(case, kind, message=xml_text(f"{cell.status}: {cell.reason}"))
    _count(missing)
    return _xml(root)


def junit_of_refusal(why: str) -> bytes:
    """JUnit XML with one error: nothing could be judged."""
    root = ET.Element("testsuites", name="xharness gate")
    suite = ET.SubElement(root, "testsuite", name="gate", tests="1")
    case = ET.SubElement(suite, "testcase", name="comparable", classname="gate")
    ET.SubElement(case, "error", message=xml_text(why))
    _count(suite)
    return _xml(root)


def _xml(root: ET.Element) -> bytes:
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _count(suite: ET.Element) -> None:
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(plural, str(len(suite.findall(f"testcase/{kind}"))))


def _failing(verdict: Verdict) -> list[Judgement]:
    found = [j for j in verdict.judgements if j.verdict == "regressed"]
    if verdict.policy.inconclusive == "fail" and verdict.verdict == "inconclusive":
        found += [
            j for j in verdict.judgements if j.level == "suite" and j.verdict == "inconclusive"
        ]
    return found


def _fails(verdict: Verdict, cell: BadCell) -> bool:
    return cell.status == "failed" or not verdict.policy.allow_missing


def _row(j: Judgement, mixed: bool) -> list[str]:
    # The suite and a language have a score of each, where some tasks were retrained.
    name = f"{j.name}, {j.mode}" if mixed and j.level in ("suite", "language") else j.name
    mark = " *" if j.drifted else ""
    lower = "?" if j.lower is None else f"{j.lower:+.2f}"
    detectable = "?" if j.detectable is None else f"{-j.detectable:.2f}"
    numbers = [f"{j.old:.2f}", f"{j.new:.2f}", f"{j.change:+.2f}", lower, detectable]
    return [name, *numbers, j.verdict + mark]


def _sentence(j: Judgement) -> str:
    text = f"{j.verdict}: {j.old:.2f} -> {j.new:.2f} ({j.change:+.2f} points"
    if j.lower is not None and j.upper is not None and j.verdict != "identical":
        text += f", 90 % interval {j.lower:+.2f} to {j.upper:+.2f}"
    text += ")"
    if j.verdict == "inconclusive" and j.detectable is not None:
        text += f"; a drop below {j.detectable:.2f} points can't be told from chance here"
    return f"{text}; {j.reason}" if j.reason else text


def _escape(text: str, title: bool = False) -> str:
    """As workflow commands want it."""
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A")]
    pairs += [(":", "%3A"), (",", "%2C")] if title else []
    for plain, escaped in pairs:
        text = text.replace(plain, escaped)
    return text

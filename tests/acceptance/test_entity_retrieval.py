"""Mewsli-X from files of its own schema to the leaderboard, by the installed command.

The content is made of toy words: it has nothing of the data set but the form.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xharness.testing.toys import WORDS, make_backbone

ROOT = Path(__file__).parents[2]
LANGUAGES = ["ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"]
ENTITIES, ARTICLES, PAIRS = 60, 3, 12


def sentences(chance: random.Random, count: int) -> tuple[str, list[dict[str, int]]]:
    """A text, and where its sentences begin and end."""
    text, spans = "", []
    for _ in range(count):
        said = " ".join(chance.choices(WORDS, k=chance.randint(4, 8))) + "."
        spans.append({"start": len(text), "end": len(text) + len(said)})
        text += said + " "
    return text.rstrip(), spans


def entity(chance: random.Random, number: int) -> dict[str, Any]:
    description, spans = sentences(chance, 2)
    language = LANGUAGES[number % len(LANGUAGES)]
    return {
        "entity_id": f"Q{number}",
        "title": f"Entity {number}",
        "description": description,
        "description_language": language,
        "description_url": f"https://{language}.wikipedia.example/wiki?curid={number}",
        "sentence_spans": spans,
    }


def context(chance: random.Random, number: int, language: str) -> dict[str, Any]:
    text, spans = sentences(chance, 3)
    return {
        "document_title": "toy",
        "document_url": f"https://{language}.wikinews.example/wiki?curid={number}",
        "document_id": f"{language}-{number}",
        "language": language,
        "text": text,
        "sentence_spans": spans,
    }


def mention(where: dict[str, Any], sentence: int, number: int, target: str) -> dict[str, Any]:
    """The first word of a sentence is the mention."""
    start = where["sentence_spans"][sentence]["start"]
    word = where["text"][start:].split()[0].rstrip(".")
    return {
        "example_id": f"{where['document_id']}-{number}",
        "mention_span": {"start": start, "end": start + len(word), "text": word},
        "entity_id": target,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8")


@pytest.fixture(scope="module")
def gold() -> dict[str, dict[str, str]]:
    """language -> id of a mention -> id of its entity; filled with the release."""
    return {}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, gold: dict[str, dict[str, str]]) -> Path:
    folder, chance = tmp_path_factory.mktemp("mewslix"), random.Random(5)
    entities = [entity(chance, number) for number in range(ENTITIES)]
    write(folder / "candidate_set_entities.jsonl", entities)
    for split in ("dev", "test"):
        articles = []
        for language in LANGUAGES:
            for number in range(ARTICLES):
                where = context(chance, number, language)
                targets = chance.sample(range(ENTITIES), 2)
                mentions = [mention(where, i, i, f"Q{target}") for i, target in enumerate(targets)]
                articles.append({"context": where, "mentions": mentions})
                if split == "test":
                    found = {m["example_id"]: m["entity_id"] for m in mentions}
                    gold.setdefault(language, {}).update(found)
        write(folder / f"wikinews_mentions-{split}.jsonl", articles)
        pairs = []
        for number in range(PAIRS):
            where = context(chance, number, "en") | {"section_title": "toy"}
            right = chance.choice(entities)
            asked = mention(where, 0, 0, right["entity_id"])
            pairs.append(
                {"contextual_mention": {"context": where, "mention": asked}, "entity": right}
            )
        write(folder / f"wikipedia_pairs-{'train' if split == 'test' else 'dev'}.jsonl", pairs)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", ["standard", "standard-zeroshot-retrieval"])
def test_entity_retrieval_runs_from_files_to_leaderboard(
    model: str, release: Path, gold: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    make_backbone(tmp_path / "backbone")
    done = subprocess.run(
        [
            sys.executable, "-m", "xharness", "eval", "--model", model, "--tasks", "mewslix",
            "--data", str(release), "--backbone", str(tmp_path / "backbone"),
            "--train", "missing", "--output", "run",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XHARNESS_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("training mewslix" in done.stderr) == (model == "standard")
    board = json.loads((tmp_path / "run" / "leaderboard.json").read_text("utf-8"))
    scores = board["mewslix"]["map@20"]
    assert sorted(scores) == sorted(LANGUAGES)
    for language, wanted in gold.items():
        path = tmp_path / "run" / "predictions" / model / "mewslix" / f"test-{language}.json"
        rankings = json.loads(path.read_text("utf-8"))
        assert rankings.keys() == wanted.keys()
        # One right entity a mention: its average precision is one over its rank.
        precisions = [
            1 / (ids.index(wanted[query]) + 1) if wanted[query] in ids else 0.0
            for query, ids in rankings.items()
        ]
        assert all(len(set(ids)) == 20 for ids in rankings.values())
        assert scores[language] == pytest.approx(100 * sum(precisions) / len(precisions))
    assert 0 < board["mewslix"]["avg_metric"] < 100
    note = "cut: 6 of 1,490 items"  # not benchmark scores, and it says so
    assert any(note in said for said in board["xharness"]["notes"])

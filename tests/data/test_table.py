"""Tables: what the Hub's flat rows give is what the published files give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xharness.builtin import open_registry
from xharness.data.files import DataFile
from xharness.data.readers import TABLE_READERS
from xharness.data.readers.ask import Ask
from xharness.data.table import Table
from xharness.errors import DataError

datasets = pytest.importorskip("datasets")

NLI = ("entailment", "neutral", "contradiction")  # the order on the Hub, not the card's
NER = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")


def table(rows: list[dict[str, Any]], columns: dict[str, str] | None = None) -> Table:
    return Table("toys/rows", datasets.Dataset.from_list(rows), columns or {})


def flat(path: Path) -> list[dict[str, Any]]:
    """SQuAD's JSON, a question a row, as data sets on the Hub have it."""
    return [
        {
            "id": asked["id"],
            "title": article.get("title", ""),
            "context": paragraph["context"],
            "question": asked["question"],
            "answers": {
                "text": [answer["text"] for answer in asked["answers"]],
                "answer_start": [answer["answer_start"] for answer in asked["answers"]],
            },
        }
        for article in json.loads(path.read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    ]


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]


def same(
    path: Path,
    reader: str,
    rows: Table,
    table_reader: str,
    ask: Ask,
    tabular: dict[str, Any] | None = None,
    **options: Any,
) -> list[Any]:
    """Asserts that both give the same items, of which there are some, and returns them; `tabular`
    are options of the reader of tables, `options` those of the reader of files."""
    of_file = list(open_registry().get("reader", reader).read(DataFile(path), ask, **options))
    own = tabular or {}
    assert list(TABLE_READERS[table_reader](rows, ask, **own)) == of_file
    assert of_file
    return of_file


@pytest.mark.parametrize("language", ["en", "th"])
def test_pairs_are_those_of_the_release(data_root: Path, language: str) -> None:
    path = data_root / f"xnli/test-{language}.tsv"
    lines = [line.split("\t") for line in path.read_text("utf-8").rstrip("\n").split("\n")]
    rows = datasets.Dataset.from_list(
        [{"premise": a, "hypothesis": b, "label": NLI.index(c)} for a, b, c in lines]
    ).cast_column("label", datasets.ClassLabel(names=list(NLI)))
    columns = {"first": "premise", "second": "hypothesis"}
    places = {"first": 0, "second": 1, "label": 2}
    same(path, "tsv", Table("x", rows, columns), "pairs", Ask(language, NLI), columns=places)


def test_choices_are_those_of_the_release(data_root: Path) -> None:
    path = data_root / "xcopa/data/et/test.et.jsonl"
    same(path, "copa", table(json_lines(path)), "copa", Ask("et"))
    path = data_root / "intermediate/copa/superglue/val.jsonl"
    rows = datasets.Dataset.from_list(json_lines(path))
    rows = rows.cast_column("label", datasets.ClassLabel(names=["choice1", "choice2"]))
    same(path, "copa", Table("x", rows, {}), "copa", Ask("en"))
    path = data_root / "intermediate/socialiqa/dev.jsonl"
    numbers = (path.parent / "dev-labels.lst").read_text().split()
    rows = [row | {"label": number} for row, number in zip(json_lines(path), numbers, strict=True)]
    same(
        path, "siqa", table(rows, {"correct": "label"}), "siqa", Ask("en"), labels="dev-labels.lst"
    )


def test_intermediate_choices_are_those_of_the_release(data_root: Path) -> None:
    path = data_root / "intermediate/hellaswag/val.jsonl"
    rows = [row | {"label": str(row["label"])} for row in json_lines(path)]
    same(path, "hellaswag", table(rows), "hellaswag", Ask("en"))
    path = data_root / "intermediate/commonsenseqa/dev_rand_split.jsonl"
    rows = [
        {
            "id": row["id"],
            "question": row["question"]["stem"],
            "question_concept": row["question"]["question_concept"],
            "choices": {
                key: [choice[key] for choice in row["question"]["choices"]]
                for key in ("label", "text")
            },
            "answerKey": row["answerKey"],
        }
        for row in json_lines(path)
    ]
    same(path, "commonsenseqa", table(rows), "commonsenseqa", Ask("en"))


def test_labels_may_be_spelt_otherwise_or_be_absent_where_nobody_agreed(data_root: Path) -> None:
    path = data_root / "intermediate/qqp/dev.tsv"
    lines = [line.split("\t") for line in path.read_text("utf-8").rstrip("\n").split("\n")[1:]]
    labels = datasets.ClassLabel(names=["not_duplicate", "duplicate"])
    rows = datasets.Dataset.from_list(
        [{"question1": line[3], "question2": line[4], "label": int(line[5])} for line in lines]
    ).cast_column("label", labels)
    columns = {"first": "question1", "second": "question2"}
    own = {"rename": {"not_duplicate": "0", "duplicate": "1"}}
    asked = Ask("en", ("0", "1"))
    same(path, "tsv", Table("x", rows, columns), "pairs", asked, own,
         columns=columns | {"label": "is_duplicate"})  # fmt: skip

    pairs = [{"first": "a", "second": "b", "label": label} for label in (2, -1, 0)]
    rows = datasets.Dataset.from_list(pairs).cast_column("label", datasets.ClassLabel(names=NLI))
    made = list(TABLE_READERS["pairs"](Table("x", rows, {}), Ask("en", tuple(NLI)), no_majority=""))
    assert [(pair.id, pair.label) for pair in made] == [("1", NLI[2]), ("3", NLI[0])]


def test_words_and_tags_are_those_of_the_release(data_root: Path) -> None:
    path = data_root / "panx/af/dev"
    rows = [
        {
            "tokens": [line.split("\t")[0].partition(":")[2] for line in block],
            "ner_tags": [NER.index(line.split("\t")[1]) for line in block],
        }
        for block in (b.split("\n") for b in path.read_text("utf-8").strip().split("\n\n"))
    ]
    data = datasets.Dataset.from_list(rows)
    data = data.cast_column("ner_tags", datasets.List(datasets.ClassLabel(names=list(NER))))
    columns = {"words": "tokens", "tags": "ner_tags"}
    same(path, "tagged", Table("x", data, columns), "words", Ask("af", NER), prefix=True)


def test_questions_are_those_of_the_release(data_root: Path) -> None:
    squad = data_root / "intermediate/squad/dev-v1.1.json"
    same(squad, "squad", table(flat(squad)), "squad", Ask("en", training=True))
    same(squad, "squad-sentences", table(flat(squad)), "squad-sentences", Ask("en", training=True))
    second = data_root / "intermediate/squad/standin_train-v2.0.json"
    items = same(second, "squad", table(flat(second)), "squad", Ask("en"), {"impossible": True})
    assert sum(item.impossible for item in items) == 1636
    xquad = data_root / "xquad/xquad.zh.json"
    same(xquad, "squad", table(flat(xquad)), "squad", Ask("zh"))


def test_texts_that_a_copy_stripped_are_noted_and_not_trained_on() -> None:
    row = {"id": "q", "context": "a cat", "question": "?"}
    shifted = [row | {"answers": {"text": ["cat"], "answer_start": [3]}}]
    rows = table(shifted)
    assert len(list(TABLE_READERS["squad"](rows, Ask("en")))) == 1
    assert rows.notes == [
        "1 answers are not at their offset; first: question 'q': expected 'cat' at offset 3, "
        "found 'at'"
    ]
    with pytest.raises(DataError, match=r"toys/rows, row 1: question 'q'"):
        list(TABLE_READERS["squad"](table(shifted), Ask("en", training=True)))


def test_the_digest_covers_rows_and_their_order_but_not_how_they_are_cut() -> None:
    rows = [{"first": str(n), "second": "b", "more": n} for n in range(1500)]
    changed = [*rows[:-1], rows[-1] | {"more": None}]

    def digest(one: list[dict[str, Any]]) -> str:
        read = table(one)
        return read.digest(len(list(TABLE_READERS["pairs"](read, Ask("en"))))).sha256

    assert digest(rows) == digest(rows)
    assert len({digest(rows), digest(rows[::-1]), digest(changed), digest(rows[:-1])}) == 4


def test_rows_of_another_form_are_named() -> None:
    with pytest.raises(DataError, match=r"row 2: Expected `str`, got `null` - at `\$.first`"):
        list(
            TABLE_READERS["pairs"](
                table([{"first": "a", "second": "b"}, {"first": None, "second": "b"}]), Ask("en")
            )
        )
    with pytest.raises(DataError, match="row 1: 1 tags for 2 words"):
        list(TABLE_READERS["words"](table([{"words": ["a", "b"], "tags": ["X"]}]), Ask("en")))
    uneven = {"id": "q", "context": "c", "question": "?"}
    uneven |= {"answers": {"text": ["c"], "answer_start": []}}
    with pytest.raises(DataError, match="1 answers with 0 offsets"):
        list(TABLE_READERS["squad"](table([uneven]), Ask("en")))

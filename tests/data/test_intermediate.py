"""Intermediate tasks are read from their official formats, with the traps of each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.data.sources.release import MOST_FILES, ReleaseFolder
from xharness.errors import AmbiguousData, DataError, MissingData

Read = Callable[..., list[Any]]
REGISTRY = open_registry()
TASKS = Catalogue.load(REGISTRY.card_folders()).tasks
NLI = ("contradiction", "entailment", "neutral")


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def release(root: Path) -> ReleaseFolder:
    return ReleaseFolder(root, lambda name: REGISTRY.get("reader", name))


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# What the card of each task must find in a folder with real files: split -> items.
FOUND = {
    "qqp": {"train": 4000, "dev": 1000},
    "squad-v2": {"train": 3000},
    "hellaswag": {"train": 3000, "dev": 500},
    "commonsenseqa": {"train": 5000, "dev": 1221},
    "cosmosqa": {"dev": 2985},
    "anli": {"dev": 1800},
    "snli": {"train": 1666, "dev": 200},
}


@pytest.mark.parametrize("name", FOUND)
def test_real_files_are_found_and_read(data_root: Path, name: str) -> None:
    source = release(data_root)
    for split, count in FOUND[name].items():
        assert len(source.load(TASKS[name], split, "en").items) == count


def test_cosmos_counts_are_those_of_the_file(data_root: Path) -> None:
    items: Any = release(data_root).load(TASKS["cosmosqa"], "dev", "en").items
    none = [i.options.index("None of the above choices .") for i in items
            if "None of the above choices ." in i.options]  # fmt: skip
    right = [i for i in items if i.options[i.label] == "None of the above choices ."]
    assert (len(right), set(none)) == (259, {0, 1, 2, 3})


def test_impossible_questions_are_labelled_and_others_are_not(data_root: Path, read: Read) -> None:
    items: Any = release(data_root).load(TASKS["squad-v2"], "train", "en").items
    assert sum(item.impossible for item in items) == 1636
    assert all(item.labelled and bool(item.answers) != item.impossible for item in items)

    def file(**asked: Any) -> str:
        qas = [{"id": "1", "question": "q", **asked}]
        return json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": qas}]}]})

    gold = [{"text": "b", "answer_start": 2}]
    (impossible,) = read("squad", file(answers=[], is_impossible=True, plausible_answers=gold))
    (stripped,) = read("squad", file(answers=[], is_impossible=False))
    assert (impossible.labelled, stripped.labelled) == (True, False)
    assert impossible.answers == stripped.answers == ()
    with pytest.raises(DataError, match="'1' is impossible and yet has an answer"):
        read("squad", file(answers=gold, is_impossible=True))


def test_untouched_hellaswag_records(fixtures_root: Path) -> None:
    path = fixtures_root / "layout_samples/hellaswag"
    rows = json_lines(path / "hellaswag_train.jsonl")
    items: Any = release(path).load(TASKS["hellaswag"], "train", "en").items
    assert [item.label for item in items] == [row["label"] for row in rows]
    for item, row in zip(items, rows, strict=True):
        assert item.premise == row["ctx_a"]
        for option, ending in zip(item.options, row["endings"], strict=True):
            assert option == (f"{row['ctx_b']} {ending}" if row["ctx_b"] else ending)


def test_hellaswag_labels(read: Read) -> None:
    row = {"ctx_a": "A man sits.", "ctx_b": "he", "endings": ["eats.", "sleeps."]}
    assert [i.label for i in read("hellaswag", json.dumps(row))] == [None]
    assert [i.label for i in read("hellaswag", json.dumps(row | {"label": "1"}))] == [1]
    assert read("hellaswag", json.dumps(row | {"label": 0}))[0].options[1] == "he sleeps."
    with pytest.raises(DataError, match="label 2 is none of the 2 endings"):
        read("hellaswag", json.dumps(row | {"label": 2}))


def test_an_ending_that_nothing_precedes_begins_without_a_blank(read: Read) -> None:
    row = {"ctx_a": "A man sits.", "ctx_b": "", "endings": [", then eats.", "He sleeps."]}
    (item,) = read("hellaswag", json.dumps(row))
    assert item.options == (", then eats.", "He sleeps.")


def test_untouched_anli_records(fixtures_root: Path) -> None:
    samples = fixtures_root / "layout_samples"
    data = release(samples / "anli").load(TASKS["anli"], "train", "en")
    rows = [row for file in data.files for row in json_lines(samples / "anli" / file.path)]
    assert [file.path.split("/")[-2] for file in data.files] == ["R1", "R2", "R3"]
    letters = {"c": "contradiction", "e": "entailment", "n": "neutral"}
    assert [(i.first, i.second, i.label) for i in data.items] == [  # type: ignore[union-attr]
        (row["context"], row["hypothesis"], letters[row["label"]]) for row in rows
    ]


def test_pairs_in_json_lines(read: Read) -> None:
    options = {"keys": {"first": "sentence1", "second": "sentence2", "label": "gold_label"}}
    rows = [
        {"sentence1": "a ", "sentence2": "b", "gold_label": "neutral", "pairID": "1"},
        {"sentence1": "a", "sentence2": "c", "gold_label": "-"},
        {"sentence1": "a", "sentence2": "d"},
    ]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    pairs = read("json-pairs", text, labels=NLI, **options)
    assert [(p.id, p.first, p.label) for p in pairs] == [("1", "a ", "neutral"), ("3", "a", None)]
    with pytest.raises(DataError, match=r"file:1: no key 'sentence2'.* Did you mean 'sentence'"):
        read("json-pairs", '{"sentence1": "a", "sentence": "b"}', **options)
    with pytest.raises(DataError, match=r"label 'neutrl'.*Did you mean 'neutral'"):
        read("json-pairs", text.replace("neutral", "neutrl"), labels=NLI, **options)
    with pytest.raises(DataError, match="'sentence1' is 3 where a text is expected"):
        read("json-pairs", '{"sentence1": 3, "sentence2": "b"}', **options)


def test_untouched_multinli_records(fixtures_root: Path) -> None:
    folder = fixtures_root / "layout_samples/multi_nli"
    for split, name in (("train", "train"), ("dev", "dev_matched")):
        (path,) = folder.rglob(f"multinli_1.0_{name}.jsonl")
        rows = json_lines(path)
        items: Any = release(folder).load(TASKS["mnli"], split, "en").items
        assert [(i.first, i.second, i.label) for i in items] == [
            (row["sentence1"], row["sentence2"], row["gold_label"]) for row in rows
        ]


def test_questions_that_a_line_end_cuts_are_left_out_and_noted(tmp_path: Path) -> None:
    rows = [
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        '7\t1\t2\tWho is ""he""?\tIs he?\t1',
        '8\t3\t4\t"Was he real?',  # one record of the release in three lines, then in two
        "What is known?",
        '"\tDid he live?\t0',
        '9\t5\t6\tWhere?\t"In what',
        'place?"\t0',
        "9\t5\t6\tWhere?\tIn what place?\t0",
    ]
    write(tmp_path, "QQP/train.tsv", "".join(f"{row}\n" for row in rows))
    data = release(tmp_path).load(TASKS["qqp"], "train", "en")
    assert [(i.id, i.first, i.second, i.label) for i in data.items] == [  # type: ignore[union-attr]
        ("1", 'Who is ""he""?', "Is he?", "1"), ("7", "Where?", "In what place?", "0")
    ]  # fmt: skip
    assert data.notes[0] == (
        "left out: 5 rows with fewer columns than the header, the first at line 3"
    )


def test_choices_are_asked_for_as_by_the_official_script(data_root: Path) -> None:
    source, folder = release(data_root), data_root / "intermediate"
    items: Any = source.load(TASKS["copa"], "train", "en").items
    assert [(i.premise, i.options, i.label) for i in items] == [
        (f"{row['premise']} What was the {row['question']}?", (row["choice1"], row["choice2"]),
         row["label"])
        for row in json_lines(folder / "copa/superglue/train.jsonl")
    ]  # fmt: skip
    items = source.load(TASKS["siqa"], "dev", "en").items
    numbers = (folder / "socialiqa/dev-labels.lst").read_text().split()
    rows = json_lines(folder / "socialiqa/dev.jsonl")
    assert [(i.premise, i.options[i.label]) for i in items] == [
        (f"{row['context']} {row['question']}", row["answer" + " ABC"[int(number)]])
        for row, number in zip(rows, numbers, strict=True)
    ]


def test_social_iqa_is_found_in_the_folder_of_its_archive(tmp_path: Path) -> None:
    row = {"context": "Ann left.", "question": "Why?"}
    row |= {"answerA": "a", "answerB": "b", "answerC": "c"}
    for split in ("train", "dev"):
        write(tmp_path, f"socialiqa-train-dev/{split}.jsonl", f"{json.dumps(row)}\n" * 2)
        write(tmp_path, f"socialiqa-train-dev/{split}-labels.lst", "3\n1\n")
        items: Any = release(tmp_path).load(TASKS["siqa"], split, "en").items
        write(tmp_path, f"socialiqa-train-dev/{split}-labels.lst", "3\n1\n2\n")
        with pytest.raises(DataError, match="2 questions, but .*-labels.lst has 3 labels"):
            release(tmp_path).load(TASKS["siqa"], split, "en")
        write(tmp_path, f"socialiqa-train-dev/{split}-labels.lst", "3\n")
        with pytest.raises(DataError, match="-labels.lst has only 1 lines"):
            release(tmp_path).load(TASKS["siqa"], split, "en")
        assert [i.premise for i in items] == ["Ann left. Why?"] * 2
        assert [i.label for i in items] == [2, 0]


def test_commonsense_answers_come_in_the_order_of_their_letters(read: Read) -> None:
    choices = [{"label": "B", "text": "two"}, {"label": "A", "text": "one"}]
    row: dict[str, Any] = {"id": "x", "question": {"stem": "how many?", "choices": choices}}
    (item,) = read("commonsenseqa", json.dumps(row | {"answerKey": "B"}))
    assert (item.premise, item.options, item.label) == ("how many?", ("one", "two"), 1)
    assert read("commonsenseqa", json.dumps(row))[0].label is None
    with pytest.raises(DataError, match="answerKey 'C' is none of A, B"):
        read("commonsenseqa", json.dumps(row | {"answerKey": "C"}))


def cosmos(*rows: list[str]) -> str:
    out = io.StringIO()
    head = ["id", "context", "question", "answer0", "answer1", "answer2", "answer3", "label"]
    csv.writer(out, lineterminator="\r\n").writerows([head, *rows])
    return out.getvalue()


def test_cosmos_keeps_commas_quotes_and_line_ends(read: Read) -> None:
    row = ["i", 'He said , "no"\nand left', "Why ?", "a, b", "c", 'd "e"', "f", "2"]
    (item,) = read("cosmosqa", cosmos(row))
    assert item.premise == 'He said , "no"\nand left Why ?'
    assert (item.options, item.label) == (("a, b", "c", 'd "e"', "f"), 2)
    assert read("cosmosqa", cosmos([*row[:-1], ""]))[0].label is None
    with pytest.raises(DataError, match="label '4' is none of 0, 1, 2, 3"):
        read("cosmosqa", cosmos([*row[:-1], "4"]))
    with pytest.raises(DataError, match="does not have the columns context, question"):
        read("cosmosqa", cosmos(row[:4]))
    with pytest.raises(DataError, match="file:2: .*no csv"):
        read("cosmosqa", cosmos() + 'i,"a"b,c,d,e,f,g,1\n')


PASSAGE = {
    "id": "high1.txt",
    "article": "Ann has a cat.",
    "questions": ["Who has a cat?", "Ann has a _ ."],
    "options": [["Ann", "Bob", "Cy", "Di"], ["dog", "cat", "bird", "cow"]],
    "answers": ["A", "B"],
}


def test_race_is_a_file_a_passage_and_middle_and_high_may_share_names(tmp_path: Path) -> None:
    write(tmp_path, "RACE/train/high/1.txt", json.dumps(PASSAGE))
    other = PASSAGE | {"id": "middle1.txt", "article": "Bob runs.", "answers": ["C", "D"]}
    write(tmp_path, "RACE/train/middle/1.txt", json.dumps(other))
    data = release(tmp_path).load(TASKS["race"], "train", "en")
    items: Any = data.items
    assert [item.id for item in items] == [
        "high1.txt-1", "high1.txt-2", "middle1.txt-1", "middle1.txt-2"
    ]  # fmt: skip
    assert items[0].premise == "Ann has a cat. Who has a cat?"
    assert [item.label for item in items] == [0, 1, 2, 3]
    assert items[1].options == ("dog", "cat", "bird", "cow")
    write(tmp_path, "copy/RACE/train/high/1.txt", json.dumps(PASSAGE))
    with pytest.raises(AmbiguousData, match="more than once"):
        release(tmp_path).load(TASKS["race"], "train", "en")


def test_a_copy_within_the_release_is_an_error(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write(tmp_path, f"RACE/dev/high/{name}.txt", json.dumps(PASSAGE))
    with pytest.raises(AmbiguousData, match=r"2\.txt and .*1\.txt are the same file"):
        release(tmp_path).load(TASKS["race"], "dev", "en")


def test_very_many_files_are_recorded_as_one(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        write(tmp_path, f"RACE/dev/high/{number}.txt", json.dumps(PASSAGE | {"id": str(number)}))
    (file,) = release(tmp_path).load(TASKS["race"], "dev", "en").files
    assert (file.path, file.rows) == ("RACE/dev/*/*.txt", 2 * (MOST_FILES + 1))
    write(tmp_path, "RACE/dev/high/7.txt", json.dumps(PASSAGE | {"id": "other"}))
    (changed,) = release(tmp_path).load(TASKS["race"], "dev", "en").files
    assert changed.sha256 != file.sha256


def test_race_that_does_not_fit_together_is_an_error(read: Read) -> None:
    with pytest.raises(DataError, match="2 questions, 2 lists of options and 1 answers"):
        read("race", json.dumps(PASSAGE | {"answers": ["A"]}))
    with pytest.raises(DataError, match="answer 'E' of question 2 is none of ABCD"):
        read("race", json.dumps(PASSAGE | {"answers": ["A", "E"]}))


DERIVATION = (
    "(<T S[dcl] 0 2> (<T S[dcl] 1 2> (<T NP 0 1> (<L N NNP NNP Ann N>) ) "
    "(<T S[dcl]\\NP 0 2> (<L (S[dcl]\\NP)/NP VBZ VBZ sees (S[dcl]\\NP_1)/NP_2>) "
    "(<T NP {ARG1} 0 1> (<L N NNS NNS -LRB-cats N>) ) ) ) (<L . . . . .>) )"
)


def test_supertags_come_from_the_leaves_of_derivations(read: Read) -> None:
    text = f"ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1\n{DERIVATION}\n"
    (sentence,) = read("ccgbank", text)
    assert sentence.words == ("Ann", "sees", "-LRB-cats", ".")
    assert sentence.tags == ("N", "(S[dcl]\\NP)/NP", "N", ".")
    assert sentence.id == "wsj_0001.1"
    odd = text.replace("Ann N", "< N").replace("-LRB-cats", ">")
    assert read("ccgbank", odd)[0].words == ("<", "sees", ">", ".")
    header = "ID=wsj_0001.2 PARSER=GOLD NUMPARSE=1\n"
    for broken, said in [
        (text + header, "'wsj_0001.2' has no derivation"),
        (header + text, "'wsj_0001.2' has no derivation"),
        (DERIVATION, "expected a header"),
        (text.replace("Ann N", "Ann"), "without five fields"),
        (header + "no tree\n", "expected a header"),
    ]:
        with pytest.raises(DataError, match=said):
            read("ccgbank", broken)


def test_sections_of_ccgbank_make_the_splits(tmp_path: Path) -> None:
    for section in ("00", "18", "19", "21", "22"):
        text = f"ID=wsj_{section}01.1 PARSER=GOLD NUMPARSE=1\n{DERIVATION}\n"
        write(tmp_path, f"ccgbank_1_1/data/AUTO/{section}/wsj_{section}01.auto", text)
    source = release(tmp_path)
    ids = {
        split: [item.id for item in source.load(TASKS["ccg"], split, "en").items]
        for split in ("train", "dev")
    }
    assert ids == {"train": ["wsj_0001.1", "wsj_1801.1"], "dev": ["wsj_1901.1", "wsj_2101.1"]}


def test_a_real_folder_lacks_what_is_licensed_and_says_where_it_looked(data_root: Path) -> None:
    source = release(data_root)
    for name, said in [("ccg", r"AUTO/\{00\.\.18\}/wsj_\*\.auto"), ("race", "RACE/train")]:
        with pytest.raises(MissingData, match=said):
            source.load(TASKS[name], "train", "en")


def test_plain_text_is_its_lines_that_are_not_blank(read: Read) -> None:
    texts = read("lines", "one\n\n \ntwo words\n", "de")
    assert [(text.id, text.text) for text in texts] == [("1", "one"), ("4", "two words")]

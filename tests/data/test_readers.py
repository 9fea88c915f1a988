"""Readers give what the official scripts make of the same files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xharness.builtin import open_registry
from xharness.data.items import Candidate, Query
from xharness.data.readers.mewslix import Context, Entity, Mention, entity_text, mention_text
from xharness.data.sentences import sentence_breaks
from xharness.errors import DataError

Read = Callable[..., list[Any]]
Golden = Callable[[str], Any]


def sentences(tsv: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What stands in a prepared tagging file: words and tags."""
    blocks = [block.split("\n") for block in tsv.strip("\n").split("\n\n") if block.strip("\n")]
    rows = [[line.split("\t") for line in block if line] for block in blocks]
    return [(tuple(r[0] for r in block), tuple(r[1] for r in block)) for block in rows]


def test_conllu_is_converted_as_officially(read: Read, golden: Golden) -> None:
    cases = golden("udpos-preprocess/cases.json")
    assert len(cases) > 10
    for name, case in cases.items():
        if "conll_error" in case:
            with pytest.raises(DataError):
                read("conllu", case["conllu"], case["lang"])
            continue
        found = [(s.words, s.tags) for s in read("conllu", case["conllu"], case["lang"])]
        assert found == sentences(case["train_tsv"]), name


def test_panx_lines_are_cut_as_officially(read: Read, golden: Golden) -> None:
    case = golden("preprocess/panx.json")
    found = [(s.words, s.tags) for s in read("tagged", case["raw"], prefix=True)]
    assert found == sentences(case["train"].replace("\n\n\n", "\n\n"))
    again = [(s.words, s.tags) for s in read("tagged", case["train"])]
    assert again == found


def test_both_layouts_of_nli_give_the_same_pairs(read: Read, golden: Golden) -> None:
    case = golden("preprocess/xnli.json")
    labels = ("contradiction", "entailment", "neutral")
    release = {
        "columns": {"first": "sentence1", "second": "sentence2", "label": "gold_label"},
        "where": {"language": "language"},
        "rename": {"contradictory": "contradiction"},
    }
    prepared = {"columns": {"first": 0, "second": 1, "label": 2}}
    for language in ("en", "fr"):
        one = read("tsv", case["dev_and_test_input"], language, labels, **release)
        other = read("tsv", case["expected"][f"dev-{language}.tsv"], language, labels, **prepared)
        texts = [[(p.first, p.second, p.label) for p in pairs] for pairs in (one, other)]
        assert texts[0] == texts[1]
        stripped = read("tsv", case["expected"][f"test-{language}.tsv"], language, **prepared)
        assert not any(pair.labelled for pair in stripped)


def test_quotes_in_plain_tsv_are_text(read: Read) -> None:
    text = '"Yes\tno"\tneutral\na ""b""\tc\tneutral\n'
    pairs = read("tsv", text, columns={"first": 0, "second": 1, "label": 2})
    assert [(p.first, p.second) for p in pairs] == [('"Yes', 'no"'), ('a ""b""', "c")]


def test_pairs_on_which_nobody_agreed_are_left_out_and_count(
    fixtures_root: Path, read: Read
) -> None:
    text = (fixtures_root / "mnli-traps/dev_matched_with_dash.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
    pairs = read("tsv", text, columns={"first": 0, "second": 1, "label": 2})
    assert len(rows) - len(pairs) == 131
    assert [(p.id, p.first, p.second, p.label) for p in pairs] == [
        (str(number), *row) for number, row in enumerate(rows, 1) if row[2] != "-"
    ]


def test_only_line_feeds_end_lines(read: Read) -> None:
    text = "\ufeffa\x1db\tc\u2028d\tneutral\r\n e \tf\tneutral\r\n"
    pairs = read("tsv", text, columns={"first": 0, "second": 1, "label": 2})
    assert [(p.first, p.second) for p in pairs] == [("a\x1db", "c\u2028d"), (" e ", "f")]


def test_english_is_sorted_and_gold_is_the_line_of_the_translation(
    golden: Golden, tmp_path: Path
) -> None:
    from xharness.data.files import DataFile
    from xharness.data.readers import bitext
    from xharness.data.readers.ask import Ask

    case = golden("preprocess/tatoeba.json")
    (tmp_path / "x.en").write_text("".join(f"{t}\n" for t in case["english_original"]), "utf-8")
    others = [f"line {i}" for i in range(len(case["english_original"]))]
    (tmp_path / "x.af").write_text("".join(f"{t}\n" for t in others), "utf-8")
    made = list(bitext.read(DataFile(tmp_path / "x.af"), Ask("af"), english="x.en"))
    queries = [one for one in made if isinstance(one, Query)]
    assert [q.text for q in queries] == case["english_sorted"]
    pool = {c.id: i for i, c in enumerate(c for c in made if isinstance(c, Candidate))}
    assert [pool[q.targets[0]] for q in queries] == case["gold_labels"]


def test_mentions_and_entities_read_as_officially(golden: Golden) -> None:
    import msgspec

    expected = golden("mewslix/mention_expected.json")["preprocess_mention"]
    for case in golden("mewslix/mention_cases.json"):
        context = msgspec.convert(case["input"]["context"], Context)
        mention = msgspec.convert(case["input"]["mention"], Mention)
        assert mention_text(context, mention) == expected[case["id"]].get("result"), case["id"]
    for case in golden("mewslix/entity_text.json"):
        entity = msgspec.convert(case["entity"], Entity)
        assert entity_text(entity.description, entity.sentence_spans) == case["expected"]


def test_lareqa_s_pool_and_targets(read: Read, golden: Golden) -> None:
    expected = golden("lareqa/pool_expected.json")
    pool: list[Candidate] = []
    queries: list[Query] = []
    for language, content in golden("lareqa/pool_input.json").items():
        for one in read("xquad-r", json.dumps(content), language):
            (pool if isinstance(one, Candidate) else queries).append(one)
    assert [(c.id, c.text) for c in pool] == [
        (c["uid"], c["encoder_text"]) for c in expected["candidates"]
    ]
    for question, targets in expected["targets"].items():
        found = [t for q in queries if q.parallel == question for t in q.targets]
        assert sorted(found) == sorted(targets)


def test_sentences_break_as_the_official_splitter_breaks_them(golden: Golden) -> None:
    for case in golden("lareqa/sentence_breaks.json"):
        assert sentence_breaks(case["text"]) == [tuple(b) for b in case["breaks"]], case["text"]


def test_answers_are_never_stripped_and_offsets_stay(read: Read) -> None:
    context = " \u200fA b. "
    asked = {"id": "1", "question": "q ", "answers": [{"text": " \u200fA", "answer_start": 0}]}
    text = json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [asked, asked]}]}]})
    one, _ = read("squad", text, training=True)
    assert (one.context, one.question, one.answers[0].text) == (context, "q ", " \u200fA")


def test_a_wrong_offset_is_an_error_in_training_only(read: Read) -> None:
    asked = {"id": "7", "question": "q", "answers": [{"text": "b", "answer_start": 0}]}
    text = json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": [asked]}]}]})
    with pytest.raises(DataError, match="'7'"):
        read("squad", text, training=True)
    assert len(read("squad", text)) == 1


def test_stripped_labels_are_noticed(read: Read) -> None:
    columns = {"first": 0, "second": 1, "label": 2}
    assert not read("tsv", "a\tb\n", columns=columns)[0].labelled
    assert not read("tagged", "a\nb\n\nc\n")[0].labelled
    asked = {"id": "7", "question": "q", "answers": [{"text": "", "answer_start": 0}]}
    text = json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": [asked]}]}]})
    assert not read("squad", text)[0].labelled


def test_a_word_without_a_tag_among_tagged_ones_is_an_error(read: Read) -> None:
    with pytest.raises(DataError, match=":2"):
        read("tagged", "a\tX\nb\n")


def test_a_fused_form_beyond_the_sentence_is_an_error(read: Read) -> None:
    row = "1\tdu\t_\tADP\t_\t_\t0\troot\t_\t_\n"
    with pytest.raises(DataError, match="lacks part 2"):
        read("conllu", "1-99999999999\tdu" + "\t_" * 8 + "\n" + row, "fr")


@pytest.mark.parametrize("reader", ["squad", "copa", "siqa", "xquad-r", "mewslix"])
@pytest.mark.parametrize("content", [b"", b'{"data": [{"para', b"\xff\xfe{}", b"[]", b'"x"'])
def test_broken_json_is_a_data_error_with_the_file(read: Read, reader: str, content: bytes) -> None:
    if content == b"" and reader in ("copa", "siqa", "mewslix"):
        assert read(reader, content) == []
        return
    with pytest.raises(DataError, match="file"):
        read(reader, content)


READERS = open_registry().names("reader")
OPTIONS: dict[str, dict[str, Any]] = {
    "json-pairs": {"keys": {"first": "a", "second": "b", "label": "c"}},
    "tsv": {"columns": {"first": 0, "second": 1, "label": 2}},
    "bitext": {"english": "file"},
}


@pytest.mark.parametrize("reader", READERS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail_otherwise(read: Read, reader: str, content: bytes) -> None:
    with suppress(DataError):
        read(reader, content, **OPTIONS.get(reader, {}))


WORD = st.text(
    st.characters(codec="utf-8", exclude_characters="\t\n\r \u200c\x00"), min_size=1
).filter(lambda word: word.strip() == word and not word.startswith("\ufeff"))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(st.tuples(WORD, st.sampled_from(["X", "Y"])), min_size=1), min_size=1))
def test_tagged_files_round_trip(read: Read, written: Sequence[Sequence[tuple[str, str]]]) -> None:
    text = "\n".join("".join(f"{word}\t{tag}\n" for word, tag in block) for block in written)
    found = read("tagged", text)
    assert [list(zip(s.words, s.tags, strict=True)) for s in found] == [list(b) for b in written]

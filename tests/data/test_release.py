"""What a release folder holds: found, ambiguous, stripped, a stand-in, cut."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from xharness.builtin import open_registry
from xharness.cards import Catalogue, TaskCard
from xharness.data.check import check
from xharness.data.evaluation_split import load_for_evaluation
from xharness.data.sources.release import ReleaseFolder
from xharness.errors import AmbiguousData, CardError, DataError, MissingData, UnknownName

REGISTRY = open_registry()
TAGS = "a\tX\n\nb\tX\n"


def card(**more: Any) -> TaskCard:
    data = {
        split: [
            {"path": f"toy/{split}-{{language}}.tsv", "reader": "tagged"},
            {"path": f"{{language}}_*-{split}.txt", "reader": "tagged", "join": True},
        ]
        for split in ("train", "dev", "test")
    }
    own: dict[str, Any] = {
        "name": "toy", "kind": "tagging", "description": "", "languages": ["en", "de"],
        "labels": ["X"], "metric": "seqeval", "official": ["f1"], "score": ["f1"],
        "fallback": "dev", "data": data, "sizes": {"test": 3},
    }  # fmt: skip
    import msgspec

    return msgspec.convert(own | more, TaskCard)


def release(root: Path) -> ReleaseFolder:
    return ReleaseFolder(root, lambda name: REGISTRY.get("reader", name))


def write(root: Path, name: str, text: str = TAGS) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_pattern_is_found_at_any_depth_and_from_the_folder_itself(tmp_path: Path) -> None:
    write(tmp_path, "deep/er/toy/test-en.tsv")
    for root in (tmp_path, tmp_path / "deep", tmp_path / "deep/er/toy"):
        data = release(root).load(card(), "test", "en")
        assert len(data.items) == 2
        assert data.notes == ("cut: 2 of 3 items",)


def test_two_candidates_are_an_error_that_lists_them_unless_one_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a/toy/test-en.tsv")
    write(tmp_path, "b/toy/test-en.tsv", "c\tX\n")
    with pytest.raises(AmbiguousData, match=r"a/toy/test-en.tsv.*b/toy/test-en.tsv"):
        release(tmp_path).load(card(), "test", "en")
    write(tmp_path, "xharness-data.yaml", "toy: {test: 'b/toy/test-{language}.tsv'}\n")
    assert len(release(tmp_path).load(card(), "test", "en").items) == 1


def test_files_that_belong_together_are_joined_in_name_order(tmp_path: Path) -> None:
    write(tmp_path, "en_b-test.txt", "second\tX\n")
    write(tmp_path, "x/en_a-test.txt", "first\tX\n")
    items = release(tmp_path).load(card(), "test", "en").items
    assert [item.words[0] for item in items] == ["first", "second"]  # type: ignore[union-attr]
    assert [item.id for item in items] == ["1", "2"]
    write(tmp_path, "copy/en_a-test.txt", "first\tX\n")
    with pytest.raises(AmbiguousData, match=r"copy/en_a-test.txt.*x/en_a-test.txt"):
        release(tmp_path).load(card(), "test", "en")


def test_a_layout_may_be_for_some_languages_only(tmp_path: Path) -> None:
    write(tmp_path, "old/test-en.tsv", "old\tX\n")
    write(tmp_path, "new/test-en.tsv", "new\tX\n")
    layouts = [
        {"path": "old/test-{language}.tsv", "reader": "tagged", "languages": ["de"]},
        {"path": "new/test-{language}.tsv", "reader": "tagged", "languages": ["en"]},
    ]
    (item,) = release(tmp_path).load(card(data={"test": layouts}), "test", "en").items
    assert item.words == ("new",)  # type: ignore[union-attr]


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "toy/test-en.tsv")
    write(tmp_path, "xharness-data.yaml", "toy: {test: 'toy/tset-{language}.tsv'}\n")
    with pytest.raises(DataError, match=r"names 'toy/tset-en.tsv'.*toy/test-en.tsv"):
        release(tmp_path).load(card(fallback=None), "test", "en")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("toy: {test: a}\nother: [a\nmore: {", ":3: "),
        ("toy:\n  test: no\n", ":2: toy.test is the boolean false"),
        ("toy: a.tsv\n", ":1: toy must be a mapping"),
        ("- toy\n", ":1: the file must be a mapping"),
        ("", " is empty"),
    ],
)
def test_a_file_of_choices_that_does_not_read_is_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    write(tmp_path, "xharness-data.yaml", text)
    with pytest.raises(DataError, match=re.escape(f"xharness-data.yaml{said}")) as error:
        release(tmp_path)
    assert "\n" not in str(error.value)


def test_a_wildcard_may_end_a_pattern_and_links_end_the_search(tmp_path: Path) -> None:
    write(tmp_path, "toy/test-en.tsv.1")
    (tmp_path / "toy/again").symlink_to(tmp_path, target_is_directory=True)
    layouts = {"test": [{"path": "toy/test-{language}.*", "reader": "tagged"}]}
    assert len(release(tmp_path).load(card(data=layouts), "test", "en").items) == 2
    (tmp_path / "toy/test-de.tsv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"test-de.tsv: can't be read"):
        release(tmp_path).load(card(), "test", "de")


def test_options_that_a_reader_lacks_are_the_card_s_fault(tmp_path: Path) -> None:
    write(tmp_path, "toy/test-en.tsv")
    layout = {"path": "toy/test-en.tsv", "reader": "tagged", "options": {"prefxi": True}}
    with pytest.raises(CardError, match="prefxi"):
        release(tmp_path).load(card(data={"test": [layout]}), "test", "en")
    layout = {"path": "toy/test-en.tsv", "reader": "taged"}
    with pytest.raises(UnknownName, match="'tagged'"):
        release(tmp_path).load(card(data={"test": [layout]}), "test", "en")


def test_stand_ins_train_and_say_so(tmp_path: Path) -> None:
    write(tmp_path, "toy/standin_train-en.tsv")
    alone = release(tmp_path).load(card(), "train", "en")
    assert (len(alone.items), alone.notes) == (2, ("stand-in: standin_train-en.tsv",))
    write(tmp_path, "toy/train-en.tsv", "own\tX\n")
    both = release(tmp_path).load(card(), "train", "en")
    assert [item.words[0] for item in both.items] == ["own", "a", "b"]  # type: ignore[union-attr]
    write(tmp_path, "toy/standin_test-en.tsv")
    with pytest.raises(MissingData):  # nothing stands in for what is evaluated
        release(tmp_path).load(card(), "test", "en")


def test_the_fallback_stands_in_for_what_is_absent_or_stripped(tmp_path: Path) -> None:
    tmp_path = tmp_path / "stripped"
    write(tmp_path, "toy/dev-en.tsv")
    write(tmp_path, "toy/dev-de.tsv")
    write(tmp_path, "toy/test-de.tsv", "a\n\nb\n")
    source = release(tmp_path)
    assert tmp_path.name == "stripped"  # a folder's name is no evidence
    for language, why in (("en", "absent"), ("de", "stripped")):
        data = load_for_evaluation(source, card(), language)
        assert data.split == "dev"
        assert f"split dev stands in for test, which is {why}" in data.notes
    with pytest.raises(MissingData, match="stripped"):
        load_for_evaluation(source, card(fallback=None), "de")
    assert load_for_evaluation(source, card(), "en", "dev").notes[0].startswith("split dev instead")


def test_what_is_tuned_on_comes_along_or_is_said_to_be_what_is_scored(tmp_path: Path) -> None:
    write(tmp_path, "toy/dev-en.tsv", "c\tX\n")
    write(tmp_path, "toy/test-en.tsv")
    write(tmp_path, "toy/dev-de.tsv")
    source, tuned = release(tmp_path), card(tune_on="dev", sizes={"dev": 5})
    data = load_for_evaluation(source, tuned, "en")
    assert data.tuning == source.load(tuned, "dev", "en")
    assert [file.path for file in data.files] == ["toy/test-en.tsv", "toy/dev-en.tsv"]
    assert data.notes == ("tuned on dev: cut: 1 of 5 items",)
    same = load_for_evaluation(source, tuned, "de")
    assert same.tuning is None
    assert same.notes[-1] == "tuned on the split that is scored, dev, so the score is too good"
    write(tmp_path, "toy/test-fr.tsv")
    with pytest.raises(MissingData, match="toy dev fr"):
        load_for_evaluation(release(tmp_path), card(tune_on="dev"), "fr")


def test_a_reader_that_nobody_has_has_a_near_miss(tmp_path: Path) -> None:
    write(tmp_path, "x.tsv")
    layout = {"path": "x.tsv", "reader": "taged"}
    with pytest.raises(UnknownName, match="No reader named 'taged'. Did you mean 'tagged'?"):
        release(tmp_path).load(card(data={"test": [layout]}), "test", "en")


def test_an_id_that_stands_twice_is_an_error_in_evaluation_only(tmp_path: Path) -> None:
    asked = '{"id": "q1", "question": "q", "answers": [{"text": "b", "answer_start": 2}]}'
    text = f'{{"data": [{{"paragraphs": [{{"context": "a b", "qas": [{asked}, {asked}]}}]}}]}}'
    layouts = {
        split: [{"path": f"toy/{split}-{{language}}.json", "reader": "squad"}]
        for split in ("train", "test")
    }
    task = card(kind="span", labels=[], metric="squad", data=layouts, fallback=None)
    for split in ("train", "test"):
        write(tmp_path, f"toy/{split}-en.json", text)
    source = release(tmp_path)
    assert [item.id for item in source.load(task, "train", "en").items] == ["q1", "q1#1"]
    with pytest.raises(DataError, match="'q1' stands twice"):
        source.load(task, "test", "en")


def test_labels_that_are_there_for_some_items_only_are_an_error(tmp_path: Path) -> None:
    rows = ['{"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1}']
    rows += [rows[0].replace('"label": 1', '"label": -1')]
    write(tmp_path, "toy/test-en.jsonl", "\n".join(rows))
    layouts = {"test": [{"path": "toy/test-{language}.jsonl", "reader": "copa"}]}
    task = card(kind="choice", labels=[], metric="accuracy", data=layouts, fallback=None)
    with pytest.raises(DataError, match="1 of 2 items have no label"):
        release(tmp_path).load(task, "test", "en")


def test_equal_labels_throughout_are_stripped_ones(tmp_path: Path) -> None:
    row = '{"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 0}\n'
    write(tmp_path, "toy/test-en.jsonl", row * 12)
    layouts = {"test": [{"path": "toy/test-{language}.jsonl", "reader": "copa"}]}
    task = card(kind="choice", labels=[], metric="accuracy", data=layouts, fallback=None)
    with pytest.raises(MissingData, match="stripped"):
        release(tmp_path).load(task, "test", "en")


@pytest.fixture(scope="module")
def tasks() -> dict[str, TaskCard]:
    return Catalogue.load(open_registry().card_folders()).tasks


COUNTS = {
    ("xnli", "test"): 15 * 300,
    ("xcopa", "test"): 11 * 250,
    ("xquad", "test"): 12 * 55,
    ("lareqa", "test"): 11 * 55,
    ("tydiqa", "test"): 8 * 60 + 40,
    ("tydiqa", "train"): 1500,
    ("mnli", "train"): 11_000,
    ("squad", "train"): 3_992,
    ("siqa", "train"): 7_000,
    ("copa", "train"): 400,
    ("udpos", "train"): 2_500,
    ("panx", "train"): 3_000,
    ("tatoeba", "test"): 33 * 1000 + 205 + 575 + 746 + 687 + 390 + 307 + 234 + 548,
}


def test_the_real_folder_holds_what_its_manifest_says(
    data_root: Path, tasks: dict[str, TaskCard]
) -> None:
    rows = check(release(data_root), tasks.values())
    assert not [row for row in rows if row.state in ("broken", "ambiguous")]
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        found[row.task, row.split] = found.get((row.task, row.split), 0) + row.items
    assert {key: found[key] for key in COUNTS} == COUNTS


def test_real_stripped_files_are_never_scored(
    fixtures_root: Path, tasks: dict[str, TaskCard]
) -> None:
    source = release(fixtures_root / "stripped")
    for name, language in (("xnli", "sw"), ("tydiqa", "ru"), ("panx", "qu")):
        with pytest.raises(MissingData, match="stripped"):
            source.load(tasks[name], "test", language)


def test_each_real_question_of_lareqa_has_a_target_in_every_language(
    data_root: Path, tasks: dict[str, TaskCard]
) -> None:
    source = release(data_root)
    english, thai = (source.load(tasks["lareqa"], "test", code) for code in ("en", "th"))
    assert english.pool is thai.pool  # evaluators encode it once
    languages = tasks["lareqa"].languages
    for query in english.items:
        assert sorted(t.split("_")[0] for t in query.targets) == sorted(languages)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("treebank", "language", "least"),
    [("UD_Russian-GSD", "ru", 60), ("UD_Polish-LFG", "pl", 30), ("UD_Telugu-MTG", "te", 60),
     ("UD_Wolof-WTB", "wo", 60), ("UD_Finnish-TDT", "fi", 60), ("UD_Estonian-EDT", "et", 60),
     ("UD_Hungarian-Szeged", "hu", 60), ("UD_Lithuanian-ALKSNIS", "lt", 60),
     ("UD_Ukrainian-IU", "uk", 40)],
)  # fmt: skip
def test_converted_treebanks_equal_the_official_files_where_they_hold_the_same_sentences(
    data_root: Path,
    fixtures_root: Path,
    tasks: dict[str, TaskCard],
    treebank: str,
    language: str,
    least: int,
) -> None:
    source = release(fixtures_root / "ud" / treebank)
    here = {"test": [{"path": "{language}_*-ud-test.conllu", "reader": "conllu", "join": True}]}
    official = tasks["udpos"]
    ours = source.load(card(labels=official.labels, data=here), "test", language).items
    prepared = release(data_root).load(official, "test", language).items
    tags = {item.words: item.tags for item in prepared}  # type: ignore[union-attr]
    shared = [item for item in ours if item.words in tags]  # type: ignore[union-attr]
    equal = [item for item in shared if item.tags == tags[item.words]]  # type: ignore[union-attr]
    assert len(shared) >= least
    assert len(equal) == len(shared)


def test_the_release_layout_of_nli_holds_the_prepared_pairs(
    data_root: Path, fixtures_root: Path, tasks: dict[str, TaskCard]
) -> None:
    released = release(fixtures_root / "xnli" / "XNLI-1.0-rebuilt")
    prepared = release(data_root)
    for language in ("en", "el", "th"):
        known = {
            (p.first, p.second, p.label)  # type: ignore[union-attr]
            for p in prepared.load(tasks["xnli"], "test", language).items
        }
        pairs = released.load(tasks["xnli"], "test", language).items
        assert len(pairs) == 30
        assert {(p.first, p.second, p.label) for p in pairs} <= known  # type: ignore[union-attr]


def test_mentions_of_one_language_share_the_pool_of_all(
    fixtures_root: Path, tasks: dict[str, TaskCard]
) -> None:
    root = fixtures_root / "mewslix" / "synthetic"
    source = release(root)
    card_ = tasks["mewslix"]
    polish, turkish = (source.load(card_, "test", code) for code in ("pl", "tr"))
    assert polish.pool is turkish.pool
    assert len(polish.pool) == 30
    names = {candidate.id for candidate in polish.pool}
    assert all(t in names for query in polish.items for t in query.targets)  # type: ignore[union-attr]
    assert len(source.load(card_, "train", "en").items) == 20
    with pytest.raises(AmbiguousData, match="prepared/wikinews_mentions/test-en.jsonl"):
        source.load(card_, "test", "en")
    with pytest.raises(MissingData, match="stripped"):
        release(root / "prepared").load(card_, "test", "en")


def test_a_file_of_several_languages_may_lack_one(
    fixtures_root: Path, tasks: dict[str, TaskCard]
) -> None:
    source = release(fixtures_root / "layout_samples" / "tydiqa_goldp")
    assert len(source.load(tasks["tydiqa"], "test", "ar").items) == 1
    with pytest.raises(MissingData, match="no item for 'sw'"):
        source.load(tasks["tydiqa"], "test", "sw")


def test_a_file_of_one_language_without_items_is_broken(tmp_path: Path) -> None:
    write(tmp_path, "toy/test-en.tsv", "")
    with pytest.raises(DataError, match="no item") as caught:
        release(tmp_path).load(card(), "test", "en")
    assert not isinstance(caught.value, MissingData)

"""The source `sample`: its texts come out of the official readers as they went in."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.data.items import Choice, Dataset, Pair, Query, Question, Sentence
from xharness.data.sample import texts
from xharness.data.sample.official_files import FORMATS, Part, choices, entity_tags, parts_of_speech
from xharness.data.sample.texts import ENGLISH, FOLDER, Texts, read_texts, running_text, words
from xharness.data.sources.sample import Sample, release_folder
from xharness.errors import CardError, DataError, MissingData
from xharness.records import NOT_BENCHMARK
from xharness.runner.context import open_source

CATALOGUE = Catalogue.load(open_registry().card_folders())
TASKS = CATALOGUE.tasks
LANGUAGES = sorted(p.stem for p in FOLDER.glob("*.yaml") if p.stem != "files" and "-" not in p.stem)
# Fewest items of a language, by task.
AIMS = {
    "xnli": 30, "xcopa": 20, "udpos": 15, "panx": 15, "xquad": 18, "lareqa": 18, "mlqa": 10,
    "tydiqa": 10, "tatoeba": 40, "mewslix": 15,
}  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XHARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        source = open_source("sample", open_registry())
    assert isinstance(source, Sample)
    return source


@pytest.mark.parametrize("name", CATALOGUE.suite("xtreme-r").tasks)
def test_each_task_has_its_items_in_each_language(name: str, sample: Sample) -> None:
    task = TASKS[name]
    for language in [code for code in task.languages if code in LANGUAGES]:
        data = sample.load(task, task.split, language)
        assert len(data.items) >= AIMS[name], language
        assert data.notes[0] == NOT_BENCHMARK
        assert not any(note.startswith("cut") for note in data.notes)


@pytest.mark.parametrize(
    ("name", "items"),
    [("mnli", 60), ("udpos", 40), ("panx", 40), ("squad", 36), ("tydiqa", 36), ("copa", 20),
     ("siqa", 15), ("squad-sentences", 36), ("mewslix", 18)],
)  # fmt: skip
def test_everything_can_be_trained_on(name: str, items: int, sample: Sample) -> None:
    assert len(sample.load(TASKS[name], "train", "en").items) == items


@pytest.mark.parametrize("name", ["mnli", "udpos", "panx", "squad", "copa", "siqa"])
def test_what_is_selected_on_has_a_dev_set_of_other_items(name: str, sample: Sample) -> None:
    dev, train = (sample.load(TASKS[name], split, "en").items for split in ("dev", "train"))
    assert dev
    assert not {str(item)[20:] for item in dev} & {str(item)[20:] for item in train}


def test_labels_are_balanced(sample: Sample) -> None:
    def labels(data: Dataset) -> list[Any]:
        return [item.label for item in data.items if isinstance(item, Pair | Choice)]

    for language in LANGUAGES:
        if language in TASKS["xnli"].languages:
            counts = Counter(labels(sample.load(TASKS["xnli"], "test", language)))
            assert counts == dict.fromkeys(TASKS["xnli"].labels, 10)
        if language in TASKS["xcopa"].languages:
            data = sample.load(TASKS["xcopa"], "test", language)
            assert Counter(labels(data)) == {0: 10, 1: 10}
            effects = [item.label for item in data.items if "effect" in item.premise]  # type: ignore[union-attr]
            assert Counter(effects) == {0: 5, 1: 5}


def test_translations_share_their_parallel_key(sample: Sample) -> None:
    english = {i.parallel: i for i in sample.load(TASKS["xquad"], "test", "en").items}
    german = {i.parallel: i for i in sample.load(TASKS["xquad"], "test", "de").items}
    assert english.keys() == german.keys()
    one, other = english["moon-2"], german["moon-2"]
    assert isinstance(one, Question)
    assert isinstance(other, Question)
    assert (one.answers[0].text, other.answers[0].text) == ("twelve", "zwölf")


def test_an_answer_sentence_is_a_target_in_each_language_of_the_pool(sample: Sample) -> None:
    data = sample.load(TASKS["lareqa"], "test", "en")
    pool = {candidate.id: candidate.text for candidate in data.pool}
    (question,) = (i for i in data.items if isinstance(i, Query) and i.id == "tea-2")
    opening = {target[:2]: pool[target][:12] for target in question.targets}
    assert opening["en"] == "The youngest"
    assert opening["de"] == "Die jüngsten"


def test_what_a_mention_means_is_in_the_pool(sample: Sample) -> None:
    data = sample.load(TASKS["mewslix"], "test", "de")
    pool = {candidate.id for candidate in data.pool}
    queries = {i.id: i for i in data.items if isinstance(i, Query)}
    assert all(set(query.targets) <= pool for query in queries.values())
    assert queries["de-nile"].text == (
        "Nil: Der { Nil } fließt durch den Sudan und Ägypten bis zum Meer."
    )


def test_english_and_its_translation_are_pairs(sample: Sample) -> None:
    data = sample.load(TASKS["tatoeba"], "test", "de")
    lines = {candidate.id: candidate.text for candidate in data.pool}
    (query,) = (i for i in data.items if isinstance(i, Query) and i.text == "My phone is broken.")
    assert lines[query.targets[0]] == "Mein Handy ist kaputt."


def test_what_the_sample_lacks_is_missing_as_elsewhere(sample: Sample) -> None:
    with pytest.raises(MissingData, match="no file for xnli dev sw"):
        sample.load(TASKS["xnli"], "dev", "sw")


def test_the_folder_is_made_once_and_anew_when_the_texts_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = release_folder(tmp_path / "cache")
    inode = first.stat().st_ino
    assert release_folder(tmp_path / "cache").stat().st_ino == inode
    copied = tmp_path / "texts"
    shutil.copytree(FOLDER, copied)
    path = copied / "en.yaml"
    path.write_text(
        path.read_text("utf-8").replace("My phone is broken", "My phone broke"), "utf-8"
    )
    monkeypatch.setattr(texts, "FOLDER", copied)
    second = release_folder(tmp_path / "cache")
    assert second != first
    assert "My phone broke." in (second / "xnli/test-en.tsv").read_text("utf-8")
    assert sorted(tmp_path.joinpath("cache").iterdir()) == sorted([first, second])


def test_a_broken_text_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "texts"
    shutil.copytree(FOLDER, copied)
    (copied / "de.yaml").write_text("situations:\n  bread: {premiss: x}\n", "utf-8")
    monkeypatch.setattr(texts, "FOLDER", copied)
    with pytest.raises(CardError, match=r"de\.yaml:2: .*premiss.*Did you mean 'premise'"):
        release_folder(tmp_path / "cache")
    assert list(tmp_path.joinpath("cache").iterdir()) == []


def test_the_layout_names_formats_files_and_paragraphs_that_there_are() -> None:
    layout = msgspec.yaml.decode((FOLDER / "files.yaml").read_bytes())
    assert {file["format"] for file in layout} == set(FORMATS)
    english = read_texts(FOLDER / "en.yaml")
    for file in layout:
        assert set(file.get("only", ())) <= set(english.paragraphs)
        assert (FOLDER / f"{file.get('texts', ENGLISH)}.yaml").is_file()


@pytest.mark.parametrize(
    ("notation", "language", "written", "linked"),
    [
        ("[PER* Ana/PROPN Ruiz/PROPN] left/VERB ,/PUNCT ok/INTJ ?/PUNCT", "en",
         "Ana Ruiz left, ok?", "Ana Ruiz"),
        ("le/DET chat/NOUN d'/ADP [PER* Ana/PROPN]", "fr", "le chat d'Ana", "Ana"),
        ("¿/PUNCT Vive/VERB en/ADP [LOC Lima/PROPN] ?/PUNCT", "es", "¿Vive en Lima?", None),
        ("我/PRON 住/VERB 在/ADP [LOC* 上海/PROPN] 。/PUNCT", "zh", "我住在上海。", "上海"),
        ("sẵn_sàng/ADJ ở/ADP [LOC* Hà_Nội/PROPN]", "vi", "sẵn sàng ở Hà Nội", "Hà Nội"),
    ],
)  # fmt: skip
def test_notation_becomes_running_text(
    notation: str, language: str, written: str, linked: str | None
) -> None:
    text, span = running_text(list(words(notation)), language)
    assert text == written
    assert (text[slice(*span)] if span else None) == linked


@pytest.mark.parametrize(
    ("notation", "said"),
    [
        ("[PER Ana [LOC Lima]", "opens inside"),
        ("Ana] left", "closes what was not opened"),
        ("[PER Ana left", "not closed"),
        ("[XYZ Ana]", "is not a word"),
        ("and/or/CCONJ", "is not a word"),
    ],
)
def test_notation_that_is_broken_is_said(notation: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(words(notation))


def part(notation: str, language: str) -> Part:
    own = Texts(tagged={"key": notation})
    return Part(language, own, own)


def test_words_with_blanks_are_glued_for_one_format_and_parted_for_the_other() -> None:
    vietnamese = part("sẵn_sàng/ADJ ở/ADP [LOC Hà_Nội/PROPN]", "vi")
    assert parts_of_speech(vietnamese) == "sẵnsàng\tADJ\nở\tADP\nHàNội\tPROPN\n\n"
    assert entity_tags(vietnamese) == (
        "vi:sẵn\tO\nvi:sàng\tO\nvi:ở\tO\nvi:Hà\tB-LOC\nvi:Nội\tI-LOC\n\n"
    )


def test_entities_are_tagged_by_character_where_the_official_files_are() -> None:
    assert entity_tags(part("[LOC 上海] 大", "zh")) == "zh:上\tB-LOC\nzh:海\tI-LOC\nzh:大\tO\n\n"


def test_a_language_without_a_part_has_no_file() -> None:
    empty = Part("xx", Texts(), read_texts(FOLDER / "en.yaml"))
    assert {name: write(empty) for name, write in FORMATS.items() if write(empty)} == {}
    assert parts_of_speech(part("[LOC Lima] shines", "xx")) == ""


def test_the_right_choice_is_first_and_second_by_turns() -> None:
    rows = choices(Part(ENGLISH, read_texts(FOLDER / "en.yaml"), Texts())).splitlines()
    first, second = (msgspec.json.decode(row) for row in rows[:2])
    assert first["choice1"] == "It had begun to rain."
    assert second["choice2"] == "The power had gone out."
    assert (first["label"], second["label"]) == (0, 1)


def test_sentences_of_both_tagging_tasks_are_the_same(sample: Sample) -> None:
    forms = []
    for name in ("udpos", "panx"):
        items = sample.load(TASKS[name], "test", "de").items
        forms.append([item.words for item in items if isinstance(item, Sentence)])
    assert forms[0] == forms[1]

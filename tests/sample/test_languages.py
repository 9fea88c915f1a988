"""Each language's file: aligned with English, well formed, in its own script and punctuation.

A translator runs this for one language with `-k "[sw]"`; each failure lists what to mend.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pytest

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.data.languages import LANGUAGES
from xharness.data.sample.texts import ENGLISH, FOLDER, Texts, Word, context, running_text, words
from xharness.errors import DataError

TASKS = Catalogue.load(open_registry().card_folders()).tasks
FILES = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "files")
WRITTEN = [name for name in FILES if "-" not in name]
TRANSLATED = [name for name in WRITTEN if name != ENGLISH]

Complain = Callable[[list[str]], None]
Read = Callable[[str], Texts]

# Names of characters begin so in each script of `xharness.data.languages`.
SCRIPTS = {
    "Perso-Arabic": ("ARABIC",),
    "Burmese": ("MYANMAR",),
    "Han": ("CJK",),
    "Kanji/Kana": ("CJK", "HIRAGANA", "KATAKANA"),
}
# Marks that end statements and questions, where they are not `.` and `?`; Thai needs none.
STATEMENT_ENDS = dict.fromkeys(["bn", "hi", "pa"], "।") | dict.fromkeys(["ja", "zh"], "。")
STATEMENT_ENDS |= {"my": "။", "th": "", "ur": "۔"}
QUESTION_ENDS = dict.fromkeys(["ar", "fa", "ur"], "؟") | {"el": ";", "my": "။"}
QUESTION_ENDS |= {"ja": "？。", "zh": "？"}
FOREIGN_MARKS = {"el": "?", "ar": ",;?", "fa": ",;?", "ur": ",;?.", "ja": ",.?!:;", "zh": ",.?!:;"}
ENGLISH_WORDS = {"the", "and", "with", "because", "which", "they", "there", "were", "this", "has"}
JOINERS = "\u200c\u200d"  # belong to Persian and Indic spelling


def texts_of(texts: Texts, language: str) -> Iterator[tuple[str, str]]:
    """Place in the file, and text as it is read; sentences with tags as running text."""
    for place, text in _strings(msgspec.to_builtins(texts), ""):
        if place.startswith("tagged."):
            try:
                text, _ = running_text(list(words(text)), language)
            except DataError:
                continue  # test_tags says it
        yield place, text


def _strings(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place.removeprefix("."), value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _strings(part, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value, 1):
            yield from _strings(part, f"{place}.{number}")


def sentences_of(texts: Texts, language: str) -> Iterator[tuple[str, str]]:
    """As `texts_of`, without the answers."""
    return (pair for pair in texts_of(texts, language) if not pair[0].endswith(".answer"))


@pytest.mark.parametrize("language", TRANSLATED)
def test_keys_are_those_of_english(
    language: str, read: Read, english: Texts, complain: Complain
) -> None:
    complaints = []
    for part in ("situations", "causes", "effects", "paragraphs", "tagged"):
        ours, theirs = list(getattr(read(language), part)), list(getattr(english, part))
        if part == "paragraphs":
            theirs = theirs[:4] if len(ours) == 4 else theirs
        if ours and ours != theirs:
            lacks, extra = (
                [k for k in theirs if k not in ours],
                [k for k in ours if k not in theirs],
            )
            complaints.append(
                f"{part}: lacks {lacks}, has besides {extra}; the order must be that of en.yaml"
            )
    complain(complaints)


@pytest.mark.parametrize("language", WRITTEN)
def test_each_task_of_the_language_has_its_part(
    language: str, read: Read, english: Texts, complain: Complain
) -> None:
    texts, complaints = read(language), []
    needed = {
        "situations": ("xnli", "tatoeba"),
        "causes": ("xcopa",),
        "effects": ("xcopa",),
        "paragraphs": ("xquad", "lareqa", "mlqa", "tydiqa"),
        "tagged": ("panx", "udpos", "mewslix"),
    }
    for part, tasks in needed.items():
        having = [task for task in tasks if language in TASKS[task].languages]
        if having and not getattr(texts, part):
            complaints.append(f"{part} is missing: {', '.join(having)} has this language")
        if not having and getattr(texts, part) and language != ENGLISH:
            complaints.append(f"{part} is for no task of this language: leave it out")
    if any(language in TASKS[task].languages for task in ("xquad", "mlqa")):
        missing = [key for key in english.paragraphs if key not in texts.paragraphs]
        complaints += [f"paragraphs.{key} is missing" for key in missing]
    if len(texts.entities) < 3:
        complaints.append("entities: three or more are wanted")
    complain(complaints)


@pytest.mark.parametrize("name", FILES)
def test_answers_stand_once_in_their_paragraph(name: str, read: Read, complain: Complain) -> None:
    complaints = []
    for key, paragraph in read(name).paragraphs.items():
        text, _ = context(paragraph, name.partition("-")[0])
        for number, asked in enumerate(paragraph.questions, 1):
            count = text.count(asked.answer)
            if count != 1:
                complaints.append(
                    f"paragraphs.{key}.questions.{number}: {asked.answer!r} stands {count} times "
                    "in the paragraph; letter by letter, once, is wanted"
                )
    complain(complaints)


@pytest.mark.parametrize("language", TRANSLATED)
def test_paragraphs_run_parallel(
    language: str, read: Read, english: Texts, complain: Complain
) -> None:
    complaints = []

    def holding(texts: Texts, key: str, code: str, number: int) -> int:
        text, breaks = context(texts.paragraphs[key], code)
        at = text.find(texts.paragraphs[key].questions[number].answer)
        return next((n for n, (start, end) in enumerate(breaks, 1) if start <= at < end), 0)

    for key, ours in read(language).paragraphs.items():
        theirs = english.paragraphs.get(key)
        if theirs is None:
            continue
        for what in ("sentences", "questions"):
            have, want = len(getattr(ours, what)), len(getattr(theirs, what))
            if have != want:
                complaints.append(f"paragraphs.{key}: {have} {what}, {want} in English")
        for number in range(min(len(ours.questions), len(theirs.questions))):
            here = holding(read(language), key, language, number)
            there = holding(english, key, ENGLISH, number)
            if here != there:
                complaints.append(
                    f"paragraphs.{key}.questions.{number + 1}: the answer is in sentence {here}, "
                    f"in English in sentence {there}"
                )
    complain(complaints)


@pytest.mark.parametrize("name", FILES)
def test_tags(name: str, read: Read, english: Texts, complain: Complain) -> None:
    complaints = []
    language = name.partition("-")[0]
    known = set(TASKS["udpos"].labels) - {"O", "_"}
    for key, notation in read(name).tagged.items():
        place = f"tagged.{key}"
        try:
            tagged = list(words(notation))
        except DataError as error:
            complaints.append(f"{place}: {error}")
            continue
        untagged = [word.form for word in tagged if not word.upos]
        if language in TASKS["udpos"].languages:
            complaints += [f"{place}: {form!r} has no UPOS tag" for form in untagged]
            complaints += [
                f"{place}: {word.form!r} has the unknown tag {word.upos!r}"
                for word in tagged
                if word.upos and word.upos not in known
            ]
        elif len(untagged) < len(tagged):
            complaints.append(f"{place}: no task wants UPOS tags for this language")
        complaints += [
            f"{place}: {word.form!r} is punctuation with the tag {word.upos}"
            for word in tagged
            if word.upos not in ("", "PUNCT", "SYM")
            and all(unicodedata.category(letter)[0] == "P" for letter in word.form)
        ]
        complaints += [
            f"{place}: {word.form!r} holds a mark that is a word of its own"
            for word in tagged
            if re.fullmatch(r"\w{3,}[,?!;:。，、？！।۔،؟]", word.form)
        ]
        if language != "th" and any(letter.isalnum() for letter in tagged[-1].form):
            complaints.append(f"{place}: the mark at the end is a word of its own")
        if name in TRANSLATED:
            there = list(words(english.tagged[key])) if key in english.tagged else []
            for what, of in (("entities", _types), ("linked entities", _linked)):
                if of(tagged) != of(there):
                    complaints.append(f"{place}: {what} {of(tagged)}, in English {of(there)}")
    complain(complaints)


def _types(tagged: list[Word]) -> dict[str, int]:
    return dict(sorted(Counter(w.entity[2:] for w in tagged if w.entity[0] == "B").items()))


def _linked(tagged: list[Word]) -> list[str]:
    return [word.entity[2:] for word in tagged if word.linked and word.entity[0] == "B"]


@pytest.mark.parametrize("name", FILES)
def test_texts_are_clean(name: str, read: Read, complain: Complain) -> None:
    complaints = []
    for place, text in texts_of(read(name), name.partition("-")[0]):
        if text != unicodedata.normalize("NFC", text):
            complaints.append(f"{place}: not in Unicode's form NFC: {text}")
        if text != " ".join(text.split()):
            complaints.append(f"{place}: blanks at an end, doubled, or a line break: {text!r}")
        odd = {
            letter
            for letter in text
            if unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cn") and letter not in JOINERS
        }
        complaints += [f"{place}: holds U+{ord(letter):04X}: {text!r}" for letter in odd]
    complain(complaints)


@pytest.mark.parametrize("name", FILES)
def test_no_text_stands_twice(name: str, read: Read, complain: Complain) -> None:
    seen: dict[str, str] = {}
    complaints = []
    for place, text in sentences_of(read(name), name.partition("-")[0]):
        if text in seen and not place.startswith("social"):
            complaints.append(f"{place}: also at {seen[text]}: {text}")
        seen[text] = place
    complain(complaints)


@pytest.mark.parametrize("language", WRITTEN)
def test_script(language: str, read: Read, complain: Complain) -> None:
    script = LANGUAGES[language].script
    names = SCRIPTS.get(script, (script.upper(),))
    complaints = []
    for place, text in texts_of(read(language), language):
        letters = [unicodedata.name(c, "") for c in text if c.isalpha()]
        right = sum(name.startswith(names) for name in letters)
        if letters and right < 0.6 * len(letters):
            complaints.append(f"{place}: {right} of {len(letters)} letters are {script}: {text}")
    complain(complaints)


@pytest.mark.parametrize("language", WRITTEN)
def test_marks_at_the_end_and_within(language: str, read: Read, complain: Complain) -> None:
    complaints = []
    for place, text in sentences_of(read(language), language):
        asks = place.endswith((".ask", "tagged.mozart", "tagged.tokyo"))
        ends = QUESTION_ENDS.get(language, "?") if asks else STATEMENT_ENDS.get(language, ".")
        if place == "tagged.iceland":
            ends += "!！"
        if language != "th" and not text.endswith(tuple(ends)):
            complaints.append(f"{place}: should end with one of {ends!r}: {text}")
        if language == "es" and asks and "¿" not in text:
            complaints.append(f"{place}: a question without '¿': {text}")
        marks = FOREIGN_MARKS.get(language, "")
        wrong = "".join(m for m in marks if re.search(rf"{re.escape(m)}(?!\d)", text))
        if wrong:
            complaints.append(f"{place}: {wrong} is not this script's mark: {text}")
    complain(complaints)


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_english_is_left_behind(
    language: str, read: Read, english: Texts, complain: Complain
) -> None:
    source = dict(texts_of(english, ENGLISH))
    complaints = []
    for place, text in sentences_of(read(language), language):
        ours = re.findall(r"\w+", text.lower())
        theirs = set(re.findall(r"\b[a-z]{4,}", source.get(place, "")))
        kept = theirs & set(ours)
        if len(ENGLISH_WORDS & set(ours)) > 1 or len(kept) > max(2, len(theirs) / 2):
            complaints.append(f"{place}: English? {text}")
    complain(complaints)


@pytest.mark.parametrize("language", TRANSLATED)
def test_numbers_are_those_of_english(
    language: str, read: Read, english: Texts, complain: Complain
) -> None:
    def numbers(text: str) -> set[int]:
        return {int(digits) for digits in re.findall(r"\d+", text)}

    source = dict(texts_of(english, ENGLISH))
    complaints = [
        f"{place}: lacks the number {', '.join(map(str, lost))}: {text}"
        for place, text in texts_of(read(language), language)
        if (lost := numbers(source.get(place, "")) - numbers(text))
    ]
    complain(complaints)


def test_entities_are_described_once_and_all_that_are_linked_are(read: Read) -> None:
    described = Counter(key for language in WRITTEN for key in read(language).entities)
    assert [key for key, count in described.items() if count > 1] == []
    assert set(read(ENGLISH).tagged) <= set(described)
    for name in FILES:
        if "train" in name:
            texts = read(name)
            linked = {k for k, v in texts.tagged.items() if any(w.linked for w in words(v))}
            assert linked == set(texts.entities)


def test_all_languages_are_written() -> None:
    assert set(WRITTEN) == set(LANGUAGES)


def test_the_sample_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000


def test_social_questions_have_two_wrong_answers(read: Read) -> None:
    for name in FILES:
        assert all(len(one.wrong) == 2 for one in read(name).social.values())

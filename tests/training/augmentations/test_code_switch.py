from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from xharness.data.items import Answer, Pair, Question, Sentence
from xharness.errors import DataError
from xharness.training.augmentations.code_switch import CodeSwitch

LINES = ["de\tcat\tKatze", "de\tsat\tsaß", "fr\tcat\tchat", "fr\tcat\tminou", "sw\tThe\tyule paka"]


@pytest.fixture
def lexicon(tmp_path: Path) -> Callable[..., str]:
    def write(*lines: str) -> str:
        path = tmp_path / "lexicon.tsv"
        path.write_bytes("\n".join(lines).encode())
        return str(path)

    return write


def switched(method: CodeSwitch, text: str, seed: int = 0) -> str:
    out = method.augment([Pair("1", text, "", "yes")], seed)
    return out[-1].first  # type: ignore[union-attr]


def test_words_are_replaced_with_their_punctuation_and_capitals_kept(
    lexicon: Callable[..., str],
) -> None:
    # Splitting at blanks, as the published code does, would find neither "cat," nor "Cat".
    method = CodeSwitch(lexicon=lexicon("de\tcat\tkatze", "", "de\tsat\tsaß"), rate=1)
    assert switched(method, "The cat, a Cat;  sat.") == "The katze, a Katze;  saß."
    assert switched(method, "concatenated") == "concatenated"


def test_a_language_is_drawn_first_then_a_translation(lexicon: Callable[..., str]) -> None:
    method = CodeSwitch(lexicon=lexicon(*LINES), rate=1)
    text = " ".join(["cat"] * 4000)
    out = switched(method, text).split()
    assert out.count("Katze") == pytest.approx(2000, abs=130)
    assert out.count("chat") == pytest.approx(1000, abs=110)
    assert out.count("minou") == pytest.approx(1000, abs=110)


def test_the_rate_is_that_of_words_that_the_lexicon_has(lexicon: Callable[..., str]) -> None:
    method = CodeSwitch(lexicon=lexicon(*LINES), rate=0.25)
    out = switched(method, " ".join(["sat dog"] * 4000)).split()
    assert out.count("saß") == pytest.approx(1000, abs=110)
    assert out.count("dog") == 4000


def test_languages_choose_among_those_of_the_file(lexicon: Callable[..., str]) -> None:
    method = CodeSwitch(lexicon=lexicon(*LINES), rate=1, languages=("fr",))
    assert switched(method, "sat cat").split()[0] == "sat"
    assert switched(method, "sat cat").split()[1] in ("chat", "minou")


def test_answers_and_tags_stay(lexicon: Callable[..., str]) -> None:
    method = CodeSwitch(lexicon=lexicon(*LINES, "de\tmat\tMatte"), rate=1, languages=("de", "sw"))
    question = Question("1", "the cat", "the cat sat on the mat", (Answer("cat", 4),))
    *_, out = method.augment([question], 0)
    assert isinstance(out, Question)
    assert out.context == "yule paka cat saß on yule paka Matte"
    assert out.answers == (Answer("cat", 10),)
    assert out.question == "yule paka Katze"
    *_, tagged = method.augment([Sentence("1", ("the", "cat"), ("D", "N"))], 0)
    # Two words can't stand for one: each has its tag.
    assert tagged == Sentence("1#1", ("the", "Katze"), ("D", "N"))


def test_the_file_is_told_with_its_digest(lexicon: Callable[..., str]) -> None:
    path = lexicon(*LINES)
    (file,) = CodeSwitch(lexicon=path).files()
    raw = Path(path).read_bytes()
    assert (file.path, file.bytes, file.rows) == ("lexicon.tsv", len(raw), 5)
    assert file.sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("lines", "languages", "message"),
    [
        (
            ["de\tcat\tKatze", "de cat Katze"],
            (),
            r"lexicon\.tsv:2: 1 tab-separated fields, expected",
        ),
        (["de\tcat\t"], (), r"lexicon\.tsv:1: 3 tab-separated fields"),
        (LINES, ("de", "it"), r"lexicon\.tsv: no word in 'it'; it has de, fr, sw"),
        ([""], (), r"lexicon\.tsv: no word in it"),
    ],
)
def test_a_file_that_is_no_lexicon_is_said_with_its_line(
    lexicon: Callable[..., str], lines: list[str], languages: tuple[str, ...], message: str
) -> None:
    method = CodeSwitch(lexicon=lexicon(*lines), languages=languages)
    with pytest.raises(DataError, match=message):
        method.augment([Pair("1", "cat", "", "yes")], 0)

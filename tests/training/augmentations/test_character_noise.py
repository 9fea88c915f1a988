from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xharness.data.items import Pair, Sentence
from xharness.data.words import clusters, words
from xharness.training.augmentations.character_noise import CharacterNoise

TEXTS = {
    "latin": "Kitchens without windows are seldom pleasant places.",
    "cyrillic": "Быстрая коричневая лисица прыгает через ленивую собаку.",
    "greek": "Γρήγορη καφέ αλεπού πηδάει πάνω σκυλί.",
    "han": "我们今天去学校上课学习新的知识",
    "japanese": "今日は学校でたくさん勉強しました",
    "thai": "ภาษาไทยเป็นภาษาที่สวยงามและมีเสน่ห์",
    "hangul": "한국어는 아름다운 언어입니다",
    "arabic": "اللغة العربية جميلة ومفيدة للجميع",
    "hebrew": "הילדים הולכים לבית הספר בבוקר",
    "devanagari": "विश्वविद्यालय महाविद्यालय परिवारवालों",
    "tamil": "அழகானதாகவும் இனிமையானதாகவும்",
    "georgian": "საქართველო მშვენიერი ქვეყანაა",
    "persian": "می‌خواهم کتابخانه‌ها را ببینم",
    "vietnamese": "Nghiêng nghiêng thướng thườngxuyên",
    "decomposed": "cafe\u0301te\u0301ria ne\u0301ologisme",
}


def changed(text: str, seed: int, rate: float = 1.0) -> str:
    out = CharacterNoise(rate=rate).augment([Pair("1", text, "", "yes")], seed)
    return out[-1].first  # type: ignore[union-attr]


@pytest.mark.parametrize("script", TEXTS)
def test_every_script_is_hit_one_slip_a_word_and_nothing_else(script: str) -> None:
    text = TEXTS[script]
    hit = 0
    for seed in range(30):
        out = changed(text, seed)
        hit += out != text
        assert len(out.split()) == len(text.split())
        before, after = clusters(text), clusters(out)
        # At most one character more or less for each word; no letter of another script.
        assert abs(len(after) - len(before)) <= len(words(text))
        assert set("".join(after)) <= set(text)
        # What is no word stays: punctuation and blanks, in order.
        spans = [(0, 0), *words(text), (len(text), len(text))]
        between = [text[a[1] : b[0]] for a, b in pairwise(spans)]
        at = 0
        for piece in between:
            assert (at := out.find(piece, at)) >= 0
    assert hit == 30


@given(st.sampled_from(sorted(TEXTS)), st.integers(0, 2**32))
def test_first_and_last_characters_of_words_stay(script: str, seed: int) -> None:
    if script in ("han", "japanese", "thai"):  # their pieces are not told apart afterwards
        return
    text = TEXTS[script]
    for old, new in zip(text.split(), changed(text, seed).split(), strict=True):
        assert new[0] == old[0]
        assert new[-1] == old[-1]
        assert abs(len(clusters(new)) - len(clusters(old))) <= 1


@given(st.text(max_size=60), st.integers(0, 99))
def test_any_text_goes_and_changes_are_the_same_for_the_same_seed(text: str, seed: int) -> None:
    assert changed(text, seed) == changed(text, seed)


def test_short_words_and_numbers_stay() -> None:
    text = "The old cat sat on a mat in 1 of 27 huts"
    for seed in range(20):
        out = changed(text, seed)
        assert out.split()[:-1] == text.split()[:-1]
        assert out.split()[-1] != "huts"


def test_the_rate_is_the_share_of_words_that_are_hit() -> None:
    text = " ".join(["pleasant"] * 4000)
    hit = sum(word != "pleasant" for word in changed(text, 1, rate=0.2).split())
    assert hit == pytest.approx(800, abs=80)  # three deviations: sqrt(4000 * 0.2 * 0.8) = 25
    assert changed(text, 1, rate=0.0) == text


def test_what_happens_to_an_item_does_not_depend_on_the_others() -> None:
    items = [Pair(str(i), TEXTS["latin"], TEXTS["greek"], "yes") for i in range(5)]
    noise = CharacterNoise(rate=0.5, copies=2)
    together = {item.id: item for item in noise.augment(items, 1)}
    alone = {item.id: item for one in items[::-1] for item in noise.augment([one], 1)}
    assert together == alone
    assert len({item.first for item in together.values()}) > 5  # type: ignore[union-attr]
    assert set(together) >= {"0", "0#1", "0#2"}


def test_originals_stay_and_copies_that_changed_nothing_are_left_out() -> None:
    items = [Sentence("1", ("a", "pleasant", "b"), ("X", "Y", "Z")), Sentence("2", ("a",), ("X",))]
    out = CharacterNoise(rate=1.0, copies=3).augment(items, 0)
    assert out[:2] == items
    assert [item.id for item in out[2:]] == ["1#1", "1#2", "1#3"]
    assert all(item.tags == ("X", "Y", "Z") for item in out[2:])  # type: ignore[union-attr]

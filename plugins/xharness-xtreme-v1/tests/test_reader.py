from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xharness_xtreme_v1.items import ForeignSentence
from xharness_xtreme_v1.reader import read

from xharness.data.files import DataFile
from xharness.data.items import Candidate
from xharness.data.readers.ask import Ask
from xharness.errors import DataError

ZH, EN, GOLD = "zh-1\t猫\nzh-2\t狗\n", "en-1\ta dog\nen-2\ta cat\n", "zh-1\ten-2\n"


def items(folder: Path, zh: str | bytes = ZH, en: str = EN, gold: str | None = GOLD) -> list[Any]:
    (folder / "x.zh").write_bytes(zh.encode() if isinstance(zh, str) else zh)
    (folder / "x.en").write_text(en, "utf-8")
    (folder / "x.gold").unlink(missing_ok=True)
    if gold is not None:
        (folder / "x.gold").write_text(gold, "utf-8")
    return list(read(DataFile(folder / "x.zh"), Ask("zh"), english="x.en", gold="x.gold"))


def test_sentences_without_a_translation_are_labelled_too(tmp_path: Path) -> None:
    assert items(tmp_path) == [
        Candidate("en-1", "a dog"),
        Candidate("en-2", "a cat"),
        ForeignSentence("zh-1", "猫", ("en-2",)),
        ForeignSentence("zh-2", "狗", ()),
    ]
    assert all(item.labelled for item in items(tmp_path)[2:])


def test_without_gold_nothing_is_labelled(tmp_path: Path) -> None:
    assert [item.labelled for item in items(tmp_path, gold=None)[2:]] == [False, False]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"zh": "zh-1 猫\n"}, "x.zh:1: 1 columns where 2 are needed"),
        ({"en": EN + "en-2\tagain\n"}, "x.en:3: the id 'en-2' stands twice"),
        ({"gold": GOLD + "zh-2\ten-3\n"}, "x.gold:2: 'en-3' is no id in x.en"),
        ({"gold": "zh-3\ten-1\n"}, "x.gold:1: 'zh-3' is no id in x.zh"),
        ({"gold": "zh-1\ten-1\t0.9\n"}, "x.gold:1: 3 columns"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        items(tmp_path, **changed)
    assert said in str(caught.value)


def test_the_english_side_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "x.zh").write_text(ZH, "utf-8")
    with pytest.raises(DataError, match=r"the English side 'x\.en' is not beside it"):
        list(read(DataFile(tmp_path / "x.zh"), Ask("zh"), english="x.en", gold="x.gold"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=100))
def test_no_bytes_make_it_fail_otherwise(tmp_path: Path, content: bytes) -> None:
    with suppress(DataError):
        items(tmp_path, zh=content)


def test_the_real_sample(data_root: Path) -> None:
    file = DataFile(data_root / "bucc2018" / "zh-en.dev.zh")
    read_ = list(read(file, Ask("zh"), english="zh-en.dev.en", gold="zh-en.dev.gold"))
    sentences = [item for item in read_ if isinstance(item, ForeignSentence)]
    assert (len(sentences), len(read_) - len(sentences)) == (750, 944)
    assert sum(len(item.targets or ()) for item in sentences) == 257
    assert {len(part.digest(data_root, 0).sha256) for part in (file, *file.siblings)} == {64}

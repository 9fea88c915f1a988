"""No sentence of the sample is taken from a benchmark."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from xharness.data.sample.texts import FOLDER, UNSPACED, Texts, running_text, words

RUN = 8  # words
RUN_UNSPACED = 16  # characters


# In many scripts vowel signs are marks, which \w leaves out.
MARKS = "".join(c for c in map(chr, range(0x300, 0x20000)) if unicodedata.category(c)[0] == "M")
WORD = re.compile(f"[\\w{MARKS}]+")


def runs(text: str, language: str) -> Iterator[str]:
    pieces = WORD.findall(text.lower())
    if language in UNSPACED:
        letters = re.sub(r"\W", "", "".join(pieces))
        yield from (letters[i : i + RUN_UNSPACED] for i in range(len(letters) - RUN_UNSPACED + 1))
    else:
        yield from (" ".join(pieces[i : i + RUN]) for i in range(len(pieces) - RUN + 1))


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for part in value.values() for text in strings(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in strings(part))


@pytest.mark.slow
def test_no_run_of_eight_words_is_in_real_data(
    data_root: Path, read: Callable[[str], Texts]
) -> None:
    spaced: dict[str, str] = {}
    unspaced: dict[str, str] = {}
    for name in (path.stem for path in FOLDER.glob("*.yaml") if path.stem != "files"):
        language = name.partition("-")[0]
        for text in strings(msgspec.to_builtins(read(name))):
            if text in read(name).tagged.values():
                text, _ = running_text(list(words(text)), language)
            into = unspaced if language in UNSPACED else spaced
            into |= {run: f"{name}: {run}" for run in runs(text, language)}
    found = set()
    for path in data_root.rglob("*"):
        if not path.is_file() or path.suffix == ".md":
            continue
        content = path.read_text("utf-8", errors="replace")
        if path.suffix in (".json", ".jsonl"):
            content = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), content)
        for mine, code in ((spaced, "en"), (unspaced, "zh")):
            if mine:
                found |= {
                    f"{mine[run]} ({path.name})" for run in runs(content, code) if run in mine
                }
    assert not found, "\n".join(sorted(found))

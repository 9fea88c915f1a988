"""Character noise: slips of the pen inside words, in any script."""

from __future__ import annotations

import random
import unicodedata
from typing import ClassVar

from xharness.data.edits import Change
from xharness.data.words import clusters, words
from xharness.training.augmentations.copies import Copies, Proposer
from xharness.training.settings import Share

# Words of fewer clusters are left alone; where short words say much, of fewer than SHORT.
ENOUGH, SHORT = 4, 3
TERSE = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "ARABIC", "HEBREW")


class CharacterNoise(Copies, frozen=True):
    """Each word of four characters or more (three in Chinese, Japanese, Korean, Arabic, Hebrew) is
    hit with probability `rate` by one of: two neighbours swapped, one deleted, one repeated, one
    replaced by another of its script in the text. First and last stay.

    Characters are grapheme clusters, so that no accent or vowel sign loses its letter.
    Source: the operations of DeepWordBug and Pruthi et al. 2019, without their English resources.
    """

    name: ClassVar[str] = "character-noise"
    rate: Share = 0.1

    def proposer(self) -> Proposer:
        return self._changes

    def _changes(self, text: str, generator: random.Random) -> list[Change]:
        spans = words(text)
        letters = [cluster for start, end in spans for cluster in clusters(text[start:end])]
        found = []
        for start, end in spans:
            word = clusters(text[start:end])
            enough = SHORT if _script(word[0]) in TERSE else ENOUGH
            if len(word) >= enough and generator.random() < self.rate:
                found.append(Change(start, end, _slip(word, letters, generator)))
        return found


def _slip(word: list[str], letters: list[str], generator: random.Random) -> str:
    """The word after one operation on an inner cluster; itself where none changes it."""
    i = generator.randrange(1, len(word) - 1)
    script = _script(word[i])
    others = sorted({c for c in letters if _script(c) == script} - {word[i]})
    made = [
        [*word[:i], *word[i + 1 :]],
        [*word[:i], word[i], *word[i:]],
    ]
    if i + 1 < len(word) - 1 and word[i] != word[i + 1]:
        made.append([*word[:i], word[i + 1], word[i], *word[i + 2 :]])
    if others:
        made.append([*word[:i], generator.choice(others), *word[i + 1 :]])
    return "".join(generator.choice(made))


def _script(cluster: str) -> str:
    """The first word of its letter's name, e.g. LATIN, CYRILLIC, CJK."""
    return unicodedata.name(cluster[0], "").split(" ", 1)[0]

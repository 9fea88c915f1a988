"""Code-switching: words of a text in other languages, from the user's lexicon."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

from xharness.data.edits import Change
from xharness.data.files import DataFile
from xharness.data.items import FileDigest
from xharness.data.words import words
from xharness.training.augmentations.copies import Copies, Proposer
from xharness.training.settings import Share

# word in small letters -> language -> its translations
Lexicon = dict[str, dict[str, list[str]]]


class CodeSwitch(Copies, frozen=True, kw_only=True):
    """Each word that the lexicon has is replaced with probability `rate`: by a language at random
    among those that have it, then by one of its translations at random.

    lexicon    a file with tab-separated lines: language, source word, translation.
    languages  those to switch to; empty means all of the file.

    Punctuation beside words and the rest of the text stay as they are, also its capitals; a word
    that begins with one is replaced by one that does. (The published code, kodenii/CoSDA-ML,
    lowers the whole text, splits at blanks and so misses words with punctuation; Qin et al. 2020.)
    Languages without blanks between words have next to no word that a lexicon finds.
    """

    name: ClassVar[str] = "code-switch"
    lexicon: str
    rate: Share = 0.3
    languages: tuple[str, ...] = ()

    def proposer(self) -> Proposer:
        lexicon, _ = self._read()

        def changes(text: str, generator: random.Random) -> list[Change]:
            found = []
            for start, end in words(text):
                word = text[start:end]
                known = lexicon.get(word.lower())
                if known and generator.random() < self.rate:
                    translation = generator.choice(known[generator.choice(sorted(known))])
                    if word[0].isupper():
                        translation = translation[0].upper() + translation[1:]
                    found.append(Change(start, end, translation))
            return found

        return changes

    def files(self) -> list[FileDigest]:
        _, file = self._read()
        return [file]

    def _read(self) -> tuple[Lexicon, FileDigest]:
        file = DataFile(Path(self.lexicon))
        lexicon: Lexicon = {}
        present = set()
        rows = 0
        for line in file.lines():
            if not line.strip():
                continue
            fields = [field.strip() for field in line.split("\t")]
            if len(fields) != 3 or not all(fields):
                raise file.error(
                    f"{len(fields)} tab-separated fields, expected a language, a word and its "
                    f"translation: {line[:60]!r}"
                )
            language, source, target = fields
            present.add(language)
            if not self.languages or language in self.languages:
                rows += 1
                lexicon.setdefault(source.lower(), {}).setdefault(language, []).append(target)
        file.line = 0
        if missing := [code for code in self.languages if code not in present]:
            has = ", ".join(sorted(present)) or "nothing"
            raise file.error(f"no word in {', '.join(map(repr, missing))}; it has {has}")
        if not rows:
            raise file.error("no word in it")
        return lexicon, file.digest(file.path.parent, rows)

"""Where the words of a text stand, in any script."""

from __future__ import annotations

import regex

# In scripts without blanks between words, pieces of so many clusters stand in for words.
PIECE = 4
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# Joiners are part of words in Persian and Indian scripts, apostrophes where letters follow.
_WORD = regex.compile(
    rf"(?:[{_UNSPACED}][\p{{M}}]*){{1,{PIECE}}}"
    rf"|(?:[\p{{L}}\p{{N}}--[{_UNSPACED}]][\p{{M}}\u200c\u200d]*(?:['’](?=\p{{L}}))?)+",
    regex.V1,
)


def words(text: str) -> list[tuple[int, int]]:
    """[start, end) of each word, in code points; punctuation is not part of words."""
    return [match.span() for match in _WORD.finditer(text)]


def clusters(text: str) -> list[str]:
    """The text's grapheme clusters: what readers take for characters."""
    return regex.findall(r"\X", text)  # type: ignore[no-any-return]

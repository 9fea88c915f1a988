"""The rule-based sentence splitter that LAReQA's training pairs are made with.

Rules are tried in order; each puts breaks in or takes them out again. Only ASCII capitals and
digits open a sentence. Source: google-research/xtreme third_party/processors/sb_sed.py.
"""

from __future__ import annotations

import re

# Where a sentence ends: after the mark and what closes it, before what may open the next one.
_OPENS = r"(?=[\"'“‘(\[]?[A-Z0-9])"
_ENDS = (
    re.compile(rf"[.?!][)'\"’”]*(\s+){_OPENS}"),
    re.compile(rf"[.?!](?:\[[^\]]*\])+(\s+){_OPENS}"),
    re.compile(r"\[\.\.\.\](\s+)(?=[A-Z])"),
    re.compile(r"(\s+)(?=\[\.\.\.\]\s+[A-Z])"),
)

# What stands before and after a break that is none.
_ABBREVIATIONS = (
    r"Mr Mrs Ms Dr Prof Fr Rev Msgr St Sta Lt Gen Col Maj Adm Capt Sgt Rep Gov Sen Pres e\.g ie "
    r"i\.e v vs p pp cf a\.k\.a approx app esp est tr Jan Aug Oct Nov Dec Mt Ft"
)
_JOINS = (
    (rf"\b(?:{'|'.join(_ABBREVIATIONS.split())})\.", r""),
    (r"\b[ap]\.m\.", r"(?:Eastern|EST)\b"),
    (r"\b(?:[A-Z]\. ?){1,3}", r"(?:[A-Z]\. ?){0,2}[A-Z][a-z]"),
)
_LATER_JOINS = (
    (r"\b(?i:art|no|op|ch|sec|cl|vol|fig|pt|para)\.", r"[0-9]"),
    (r"\b(?:b|d|r|c|ca|fl)\.", r"[A-Z0-9]"),
    (r"\bet al\.", r"\(?[0-9]{4}"),
    (r"\bH\.R\.", r"[0-9]"),
    (r"\bWarner Bros\.", r"[A-Z]"),
    (r"\bU\.S\.", r"[0-9]"),
    (r"\bRs\.", r"[0-9]"),
    (r"\bB\.Sc\.", r""),
)
# Words that open a sentence even after what looks like an abbreviation.
_SPLITS = (
    re.compile(
        r"[.?!][)'\"’”]*(\s+)(?=(?:The|This|That|These|It|Meanwhile|However|In|On|By|During|After"
        r"|Under|Although|Yet|As|Several|According to)\b)"
    ),
)
_LATER_SPLITS = (
    re.compile(r"(\s+)(?=•)"),
    re.compile(r"\b(?:Jay Z|Washington D\.C|Wii U)\.(\s+)(?=[A-Z])"),
)


def sentence_breaks(text: str) -> list[tuple[int, int]]:
    """The sentences as (start, end) in code points, blanks at both ends left out; a text of
    nothing but blanks is one empty sentence."""
    breaks: set[tuple[int, int]] = set()
    for splits, joins in ((_ENDS, _JOINS), (_SPLITS, _LATER_JOINS), (_LATER_SPLITS, ())):
        for split in splits:
            breaks |= {match.span(1) for match in split.finditer(text)}
        for before, after in joins:
            breaks -= {b for b in breaks if _joined(text, b, before, after)}
    starts = [0, *(end for _, end in sorted(breaks))]
    ends = [*(start for start, _ in sorted(breaks)), len(text)]
    return [_stripped(text, start, end) for start, end in zip(starts, ends, strict=True)]


def _joined(text: str, at: tuple[int, int], before: str, after: str) -> bool:
    start, end = at
    one_blank = end - start == 1  # two blanks are a break whatever stands before them
    head = text[max(0, start - 30) : start]
    return one_blank and bool(re.search(f"{before}$", head) and re.match(after, text[end:]))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, start + len(piece.strip()))

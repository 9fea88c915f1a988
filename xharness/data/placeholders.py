"""`{language}`, `{iso3}` and `{english}` in the patterns of cards, as releases spell languages."""

from __future__ import annotations

import langcodes
from langcodes.tag_parser import LanguageTagError

from xharness.data.languages import LANGUAGES
from xharness.errors import CardError

# Tatoeba names the individual language where ISO 639-1 means a macro-language, and langcodes
# takes Tagalog for Filipino.
_ISO3 = {"fa": "pes", "sw": "swh", "zh": "cmn", "tl": "tgl"}


def iso3(code: str) -> str:
    """The three-letter code, as in `tatoeba.deu-eng.deu`. Raises CardError for no language."""
    if code in _ISO3:
        return _ISO3[code]
    try:
        return langcodes.get(code).to_alpha3()
    except (LanguageTagError, LookupError) as error:
        raise CardError(f"{code!r} is not the code of a language: {error}") from error


def english_name(code: str) -> str:
    """The English name in lower case, as in `tydiqa-goldp-dev-swahili.json`."""
    if code in LANGUAGES:  # langcodes follows fashion: its Bengali is now Bangla
        return LANGUAGES[code].name.lower()
    try:
        return langcodes.get(code).language_name("en").lower()
    except LanguageTagError as error:
        raise CardError(f"{code!r} is not the code of a language: {error}") from error


def fill_in(pattern: str, language: str) -> str:
    """The pattern with `{language}`, `{iso3}` and `{english}` of a language in place."""
    if "{iso3}" in pattern:
        pattern = pattern.replace("{iso3}", iso3(language))
    if "{english}" in pattern:
        pattern = pattern.replace("{english}", english_name(language))
    return pattern.replace("{language}", language)

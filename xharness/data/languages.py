"""The 50 languages of XTREME-R: what results are grouped by.

Families are those of the XTREME-R paper (appendix B; Basque and Korean are isolates there). Which
language belongs to which, and the scripts, were put together by us, not checked against a source.
Resource classes are those of Joshi et al. 2020 (arXiv 2004.09095), from memory, and the same in a
public transcription of its list; the list itself was not at hand.
"""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    """`resources` is the resource class, from 0 (the least text) to 5."""

    code: str
    name: str
    family: str
    script: str
    resources: str


_TABLE = """
af|Afrikaans|Indo-European|Latin|3
ar|Arabic|Afro-Asiatic|Arabic|5
az|Azerbaijani|Turkic|Latin|1
bg|Bulgarian|Indo-European|Cyrillic|3
bn|Bengali|Indo-European|Bengali|3
de|German|Indo-European|Latin|5
el|Greek|Indo-European|Greek|3
en|English|Indo-European|Latin|5
es|Spanish|Indo-European|Latin|5
et|Estonian|Uralic|Latin|3
eu|Basque|isolate (Basque)|Latin|4
fa|Persian|Indo-European|Perso-Arabic|4
fi|Finnish|Uralic|Latin|4
fr|French|Indo-European|Latin|5
gu|Gujarati|Indo-European|Gujarati|1
he|Hebrew|Afro-Asiatic|Hebrew|3
hi|Hindi|Indo-European|Devanagari|4
ht|Haitian Creole|Creole|Latin|2
hu|Hungarian|Uralic|Latin|4
id|Indonesian|Austronesian|Latin|3
it|Italian|Indo-European|Latin|4
ja|Japanese|Japonic|Kanji/Kana|5
jv|Javanese|Austronesian|Latin|1
ka|Georgian|Kartvelian|Georgian|3
kk|Kazakh|Turkic|Cyrillic|3
ko|Korean|isolate (Korean)|Hangul|4
lt|Lithuanian|Indo-European|Latin|3
ml|Malayalam|Dravidian|Malayalam|1
mr|Marathi|Indo-European|Devanagari|2
ms|Malay|Austronesian|Latin|3
my|Burmese|Sino-Tibetan|Burmese|1
nl|Dutch|Indo-European|Latin|4
pa|Punjabi|Indo-European|Gurmukhi|2
pl|Polish|Indo-European|Latin|4
pt|Portuguese|Indo-European|Latin|4
qu|Quechua|Quechuan|Latin|1
ro|Romanian|Indo-European|Latin|3
ru|Russian|Indo-European|Cyrillic|4
sw|Swahili|Niger-Congo|Latin|2
ta|Tamil|Dravidian|Tamil|3
te|Telugu|Dravidian|Telugu|1
th|Thai|Kra-Dai|Thai|3
tl|Tagalog|Austronesian|Latin|3
tr|Turkish|Turkic|Latin|4
uk|Ukrainian|Indo-European|Cyrillic|3
ur|Urdu|Indo-European|Perso-Arabic|3
vi|Vietnamese|Austro-Asiatic|Latin|4
wo|Wolof|Niger-Congo|Latin|2
yo|Yoruba|Niger-Congo|Latin|2
zh|Mandarin|Sino-Tibetan|Han|5
"""

LANGUAGES = {
    language.code: language
    for language in (Language(*line.split("|")) for line in _TABLE.strip().splitlines())
}

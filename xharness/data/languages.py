"""The 50 languages of XTREME-R: what results are grouped by.

Families are those of the XTREME-R paper (appendix B; Basque and Korean are isolates there). Which
language belongs to which, and the scripts, were put together by us, not checked against a source.
"""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    code: str
    name: str
    family: str
    script: str


_TABLE = """
af|Afrikaans|Indo-European|Latin
ar|Arabic|Afro-Asiatic|Arabic
az|Azerbaijani|Turkic|Latin
bg|Bulgarian|Indo-European|Cyrillic
bn|Bengali|Indo-European|Bengali
de|German|Indo-European|Latin
el|Greek|Indo-European|Greek
en|English|Indo-European|Latin
es|Spanish|Indo-European|Latin
et|Estonian|Uralic|Latin
eu|Basque|isolate (Basque)|Latin
fa|Persian|Indo-European|Perso-Arabic
fi|Finnish|Uralic|Latin
fr|French|Indo-European|Latin
gu|Gujarati|Indo-European|Gujarati
he|Hebrew|Afro-Asiatic|Hebrew
hi|Hindi|Indo-European|Devanagari
ht|Haitian Creole|Creole|Latin
hu|Hungarian|Uralic|Latin
id|Indonesian|Austronesian|Latin
it|Italian|Indo-European|Latin
ja|Japanese|Japonic|Kanji/Kana
jv|Javanese|Austronesian|Latin
ka|Georgian|Kartvelian|Georgian
kk|Kazakh|Turkic|Cyrillic
ko|Korean|isolate (Korean)|Hangul
lt|Lithuanian|Indo-European|Latin
ml|Malayalam|Dravidian|Malayalam
mr|Marathi|Indo-European|Devanagari
ms|Malay|Austronesian|Latin
my|Burmese|Sino-Tibetan|Burmese
nl|Dutch|Indo-European|Latin
pa|Punjabi|Indo-European|Gurmukhi
pl|Polish|Indo-European|Latin
pt|Portuguese|Indo-European|Latin
qu|Quechua|Quechuan|Latin
ro|Romanian|Indo-European|Latin
ru|Russian|Indo-European|Cyrillic
sw|Swahili|Niger-Congo|Latin
ta|Tamil|Dravidian|Tamil
te|Telugu|Dravidian|Telugu
th|Thai|Kra-Dai|Thai
tl|Tagalog|Austronesian|Latin
tr|Turkish|Turkic|Latin
uk|Ukrainian|Indo-European|Cyrillic
ur|Urdu|Indo-European|Perso-Arabic
vi|Vietnamese|Austro-Asiatic|Latin
wo|Wolof|Niger-Congo|Latin
yo|Yoruba|Niger-Congo|Latin
zh|Mandarin|Sino-Tibetan|Han
"""

LANGUAGES = {
    language.code: language
    for language in (Language(*line.split("|")) for line in _TABLE.strip().splitlines())
}

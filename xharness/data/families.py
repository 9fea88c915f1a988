"""The 50 languages of XTREME-R: what results are grouped by.

Families are those of the XTREME-R paper (appendix B; Basque and Korean are isolates there). The
assignment of languages, the branches of Indo-European, the scripts and the resource classes (0
to 5, after Joshi et al. 2020) were put together by us and not checked against a source.
"""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    """`branch` is set for Indo-European languages; `resources` is 0 (least) to 5 (most)."""

    code: str
    name: str
    family: str
    branch: str
    script: str
    resources: int


_TABLE = """
af|Afrikaans|Indo-European|Germanic|Latin|3
ar|Arabic|Afro-Asiatic||Arabic|5
az|Azerbaijani|Turkic||Latin|1
bg|Bulgarian|Indo-European|Slavic|Cyrillic|3
bn|Bengali|Indo-European|Indo-Aryan|Bengali|3
de|German|Indo-European|Germanic|Latin|5
el|Greek|Indo-European|Greek|Greek|3
en|English|Indo-European|Germanic|Latin|5
es|Spanish|Indo-European|Romance|Latin|5
et|Estonian|Uralic||Latin|3
eu|Basque|isolate (Basque)||Latin|4
fa|Persian|Indo-European|Iranian|Perso-Arabic|4
fi|Finnish|Uralic||Latin|4
fr|French|Indo-European|Romance|Latin|5
gu|Gujarati|Indo-European|Indo-Aryan|Gujarati|1
he|Hebrew|Afro-Asiatic||Hebrew|3
hi|Hindi|Indo-European|Indo-Aryan|Devanagari|4
ht|Haitian Creole|Creole||Latin|2
hu|Hungarian|Uralic||Latin|4
id|Indonesian|Austronesian||Latin|3
it|Italian|Indo-European|Romance|Latin|4
ja|Japanese|Japonic||Kanji/Kana|5
jv|Javanese|Austronesian||Latin|1
ka|Georgian|Kartvelian||Georgian|3
kk|Kazakh|Turkic||Cyrillic|3
ko|Korean|isolate (Korean)||Hangul|4
lt|Lithuanian|Indo-European|Baltic|Latin|3
ml|Malayalam|Dravidian||Malayalam|1
mr|Marathi|Indo-European|Indo-Aryan|Devanagari|2
ms|Malay|Austronesian||Latin|3
my|Burmese|Sino-Tibetan||Burmese|1
nl|Dutch|Indo-European|Germanic|Latin|4
pa|Punjabi|Indo-European|Indo-Aryan|Gurmukhi|2
pl|Polish|Indo-European|Slavic|Latin|4
pt|Portuguese|Indo-European|Romance|Latin|4
qu|Quechua|Quechuan||Latin|1
ro|Romanian|Indo-European|Romance|Latin|3
ru|Russian|Indo-European|Slavic|Cyrillic|4
sw|Swahili|Niger-Congo||Latin|2
ta|Tamil|Dravidian||Tamil|3
te|Telugu|Dravidian||Telugu|1
th|Thai|Kra-Dai||Thai|3
tl|Tagalog|Austronesian||Latin|3
tr|Turkish|Turkic||Latin|4
uk|Ukrainian|Indo-European|Slavic|Cyrillic|3
ur|Urdu|Indo-European|Indo-Aryan|Perso-Arabic|3
vi|Vietnamese|Austro-Asiatic||Latin|4
wo|Wolof|Niger-Congo||Latin|2
yo|Yoruba|Niger-Congo||Latin|2
zh|Mandarin|Sino-Tibetan||Han|5
"""

LANGUAGES = {
    code: Language(code, name, family, branch, script, int(resources))
    for code, name, family, branch, script, resources in (
        line.split("|") for line in _TABLE.strip().splitlines()
    )
}

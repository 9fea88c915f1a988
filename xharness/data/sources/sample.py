"""Source `sample`: the bundled parallel corpus, read as a release folder of official files."""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from xharness.cache import cache_folder
from xharness.cards import Strict, TaskCard
from xharness.data.items import Dataset
from xharness.data.placeholders import fill_in
from xharness.data.sample import official_files, texts
from xharness.data.sample.official_files import FORMATS, Part
from xharness.data.sources.release import ReleaseFolder
from xharness.plugins.roles import Reader
from xharness.records import NOT_BENCHMARK, SAMPLE

_LAYOUT = "files"


class OfficialFile(Strict, frozen=True):
    """A file to be made, as `files.yaml` says."""

    path: str
    format: str
    texts: str | None = None
    only: tuple[str, ...] = ()


class Sample:
    """The release folder is made from the package's texts when it is first needed and then kept
    in the cache; its name is a digest of what it is made from, so it is never stale.

    Raises CardError when the package's own files do not read."""

    name = SAMPLE

    def __init__(self, reader: Callable[[str], Reader]) -> None:
        self._folder = ReleaseFolder(release_folder(cache_folder() / "sample"), reader)

    def load(self, task: TaskCard, split: str, language: str) -> Dataset:
        """As `ReleaseFolder.load`; each dataset is noted to be of the sample, and its size is not
        compared with what was published."""
        data = self._folder.load(msgspec.structs.replace(task, sizes={}), split, language)
        return replace(data, notes=(NOT_BENCHMARK, *data.notes))


def release_folder(parent: Path) -> Path:
    """The sample's official files in a folder below `parent`, which appears whole or not at all."""
    made = parent / _digest()
    if made.is_dir():
        return made
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as temporary:
        new = Path(temporary) / made.name
        for path, content in _contents().items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(content.encode("utf-8"))
        try:
            new.rename(made)
        except OSError:
            if not made.is_dir():  # else another process was faster, with the same files
                raise
    return made


def _contents() -> dict[str, str]:
    """Path -> content of each file of the release folder."""
    sources = {path.stem: path for path in _sources()}
    layout = msgspec.yaml.decode(sources.pop(_LAYOUT).read_bytes(), type=list[OfficialFile])
    read = {name: texts.read_texts(path) for name, path in sources.items()}
    english = read[texts.ENGLISH]
    languages = [name for name in read if "-" not in name]
    contents: dict[str, str] = defaultdict(str)
    for file in layout:
        for name in [file.texts] if file.texts else languages:
            language = name.partition("-")[0]
            part = Part(language, read[name], english, file.only)
            content = FORMATS[file.format](part)
            if content:
                contents[fill_in(file.path, language)] += content
    return contents


def _sources() -> list[Path]:
    return sorted(texts.FOLDER.glob("*.yaml"))


def _digest() -> str:
    """Of the texts and of the code that turns them into files."""
    made_from = hashlib.sha256()
    for module in (texts, official_files):
        made_from.update(Path(str(module.__file__)).read_bytes())
    for path in _sources():
        made_from.update(path.read_bytes())
    return made_from.hexdigest()[:16]

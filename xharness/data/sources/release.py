"""Source `release`: a folder of official published files, in any of the layouts of the cards."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec
import yaml

from xharness.cards import Files, TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Candidate, Choice, Dataset, FileDigest, Item, Query
from xharness.data.languages import english_name, iso3
from xharness.data.readers import READERS
from xharness.data.readers.ask import Ask
from xharness.errors import AmbiguousData, DataError, MissingData, did_you_mean

CHOICES_FILE = "xharness-data.yaml"
STAND_IN = "standin_"
POOL = "pool"
# The official preparation sets every label of a test set to the first; so many equal labels
# don't happen by themselves.
EQUAL_LABELS = 10


@dataclass(frozen=True)
class Found:
    """The files of one split and language, in one layout."""

    layout: Files
    paths: tuple[Path, ...]
    stand_ins: tuple[Path, ...]


class ReleaseFolder:
    """Reads datasets from below `root`; each is read once.

    A layout's pattern is matched against the end of a file's path, the root's own name included.
    Files named `standin_*` hold other records that stand in for training data: they are read
    after the split's own files, and a note says so.
    Raises DataError when `root` is no folder or `xharness-data.yaml` in it does not read.
    """

    name = "release"

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"no release folder at {root}")
        self.root = root
        self._files = _walk(root)
        self._choices = _read_choices(root)
        self._datasets: dict[tuple[str, str, str], Dataset] = {}
        self._pools: dict[str, _Pool] = {}

    def find(self, task: TaskCard, split: str, language: str) -> Found:
        """Where the items of a split and language are. Raises MissingData when nowhere, DataError
        when in more than one place."""
        chosen = self._choices.get(task.name, {}).get(split)
        found: list[Found] = []
        wanted = []
        for layout in task.data.get(split, []):
            pattern = _filled(layout.path, language)
            wanted.append(pattern)
            own = self._matching(pattern, "")
            stand_ins = self._matching(pattern, STAND_IN) if split == "train" else []
            if chosen:
                named = [p for p in own if _ends(self._name(p), _filled(chosen, language))]
                own, stand_ins = named, []
            groups: list[tuple[Path, ...]] = [(path,) for path in own]
            if layout.join:
                groups = [tuple(own)]
            if not own and stand_ins:
                groups = [()]
            found += [
                Found(layout, group, tuple(stand_ins)) for group in groups if group or stand_ins
            ]
        if not found:
            raise MissingData(
                f"no file for {task.name} {split} {language} below {self.root}: looked for "
                f"{' and '.join(wanted) or 'nothing, the card names none'}"
            )
        if len(found) > 1:
            names = ", ".join(sorted(self._name(p) for one in found for p in one.paths))
            raise AmbiguousData(
                f"{task.name} {split} {language} is in {self.root} more than once: {names}. Name "
                f"one in {CHOICES_FILE}, as '{task.name}: {{{split}: PATTERN}}'."
            )
        return found[0]

    def load(self, task: TaskCard, split: str, language: str) -> Dataset:
        """The items. Raises MissingData when there are none or their labels are stripped."""
        key = (task.name, split, language)
        if key not in self._datasets:
            self._datasets[key] = self._load(task, split, language)
        return self._datasets[key]

    def _load(self, task: TaskCard, split: str, language: str) -> Dataset:
        found = self.find(task, split, language)
        read = self._read(task, found, split, language)
        items, pool, files, notes = read.items, read.pool, read.files, read.notes
        where = f"{task.name} {split} {language}"
        if not items:
            raise DataError(f"{where}: {_listed(found.paths)} has no item for {language!r}")
        _check_labels(where, items)
        if split != "train":  # predictions are joined by id
            _check_ids(where, items)
        if found.stand_ins:
            notes.append(f"stand-in: {', '.join(path.name for path in found.stand_ins)}")
        size = task.sizes.get(split)
        published = size.get(language) if isinstance(size, dict) else size
        if published and len(items) < published:
            notes.append(f"cut: {len(items):,} of {published:,} items")
        if POOL in task.data and split != "train":
            shared = self._pool(task, split)
            pool = shared.candidates
            items = [shared.with_targets(item) for item in items]
            files += shared.files
            notes += shared.notes
        return Dataset(
            task.name, split, language, tuple(items), tuple(pool), tuple(files), tuple(notes)
        )

    def _read(self, task: TaskCard, found: Found, split: str, language: str) -> _Read:
        reader = READERS.get(found.layout.reader)
        if reader is None:
            raise DataError(
                f"task {task.name!r}: no reader named {found.layout.reader!r}."
                f"{did_you_mean(found.layout.reader, READERS)}"
            )
        read = _Read([], [], [], [])
        options = {
            key: _filled(value, language) if isinstance(value, str) else value
            for key, value in found.layout.options.items()
        }
        for path in (*found.paths, *found.stand_ins):
            file = DataFile(path)
            before = len(read.items) + len(read.pool)
            ask = Ask(language, tuple(task.labels), split == "train", len(read.items))
            for one in reader(file, ask, **options):
                if isinstance(one, Candidate):
                    read.pool.append(one)
                else:
                    read.items.append(one)
            rows = len(read.items) + len(read.pool) - before
            read.files += [part.digest(self.root, rows) for part in (file, *file.siblings)]
            read.notes += file.notes
        return read

    def _pool(self, task: TaskCard, split: str) -> _Pool:
        if task.name not in self._pools:
            self._pools[task.name] = self._read_pool(task, split)
        return self._pools[task.name]

    def _read_pool(self, task: TaskCard, split: str) -> _Pool:
        """The candidates of all languages, once; a question's targets in the other languages are
        found by its parallel key."""
        by_language = any("{language}" in layout.path for layout in task.data[POOL])
        absent = []
        pool = _Pool([], {}, [], [])
        for language in task.languages if by_language else task.languages[:1]:
            try:
                found = self.find(task, POOL, language)
            except MissingData:
                absent.append(language)
                continue
            read = self._read(task, found, split, language)
            pool.candidates.extend(read.pool)
            pool.files.extend(read.files)
            for item in read.items:
                if isinstance(item, Query) and item.parallel:
                    pool.targets.setdefault(item.parallel, []).extend(item.targets)
        if not pool.candidates:
            raise MissingData(f"no pool for {task.name} below {self.root}")
        if absent:
            pool.notes.append(f"pool without {', '.join(absent)}")
        return pool

    def _matching(self, pattern: str, prefix: str) -> list[Path]:
        parent, _, last = pattern.rpartition("/")
        whole = f"{parent}/{prefix}{last}" if parent else f"{prefix}{last}"
        return [path for path in self._files.get(last[-1:], []) if _ends(self._name(path), whole)]

    def _name(self, path: Path) -> str:
        return f"{self.root.resolve().name}/{path.relative_to(self.root).as_posix()}"


@dataclass
class _Read:
    items: list[Item]
    pool: list[Candidate]
    files: list[FileDigest]
    notes: list[str]


@dataclass
class _Pool:
    candidates: list[Candidate]
    targets: dict[str, list[str]]
    files: list[FileDigest]
    notes: list[str]

    def with_targets(self, item: Item) -> Item:
        if isinstance(item, Query) and item.parallel in self.targets:
            return replace(item, targets=tuple(self.targets[item.parallel]))
        return item


def _walk(root: Path) -> dict[str, list[Path]]:
    """All files below, in name order, by the last letter of their names (a cheap index)."""
    files: dict[str, list[Path]] = {}
    for folder, names, own in os.walk(root, followlinks=True):
        names.sort()
        for name in sorted(own):
            files.setdefault(name[-1:], []).append(Path(folder) / name)
    return files


def _read_choices(root: Path) -> dict[str, dict[str, str]]:
    path = root / CHOICES_FILE
    if not path.is_file():
        return {}
    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), dict[str, dict[str, str]])
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise DataError(f"{path}: expected task: {{split: pattern}}; {error}") from error


def _filled(pattern: str, language: str) -> str:
    if "{iso3}" in pattern:
        pattern = pattern.replace("{iso3}", iso3(language))
    if "{english}" in pattern:
        pattern = pattern.replace("{english}", english_name(language))
    return pattern.replace("{language}", language)


def _ends(name: str, pattern: str) -> bool:
    """Whether the last components of a path match the pattern's."""
    parts, wanted = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    if len(parts) < len(wanted):
        return False
    return all(
        fnmatch.fnmatchcase(part, want)
        for part, want in zip(parts[-len(wanted) :], wanted, strict=True)
    )


def _check_ids(where: str, items: Iterable[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DataError(f"{where}: the id {item.id!r} stands twice")
        seen.add(item.id)


def _check_labels(where: str, items: Iterable[Item]) -> None:
    items = list(items)
    bare = [item for item in items if not item.labelled]
    if len(bare) == len(items):
        raise MissingData(f"{where}: the labels are stripped")
    if bare:
        raise DataError(
            f"{where}: {len(bare)} of {len(items)} items have no label, the first is "
            f"{bare[0].id!r}; all must have one or none"
        )
    labels = {item.label for item in items if isinstance(item, Choice)}
    if len(items) >= EQUAL_LABELS and len(labels) == 1:
        raise MissingData(
            f"{where}: the labels are stripped: all {len(items)} are {labels.pop()}, as the "
            "official preparation leaves them"
        )


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(str(path) for path in paths)

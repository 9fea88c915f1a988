"""Source `release`: a folder of official published files, in any of the layouts of the cards."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec
import yaml

from xharness.cards import Files, TaskCard
from xharness.data.assemble import assemble
from xharness.data.files import DataFile
from xharness.data.items import Candidate, Dataset, FileDigest, Item, Query
from xharness.data.placeholders import fill_in
from xharness.data.readers import bound_reader
from xharness.data.readers.ask import Ask
from xharness.errors import (
    AmbiguousData,
    DataError,
    MissingData,
)
from xharness.plugins.roles import Reader

CHOICES_FILE = "xharness-data.yaml"
STAND_IN = "standin_"
POOL = "pool"
# More files than anybody looks at (RACE has 25,137) are recorded as one.
MOST_FILES = 100
MOST_LISTED = 5
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Found:
    """The files of one split and language, in one layout."""

    layout: Files
    paths: tuple[Path, ...]
    stand_ins: tuple[Path, ...]


class ReleaseFolder:
    """Reads datasets from below `root`; each is read once. `reader` finds a reader by name.

    A layout's pattern is matched against the end of a file's path, the root's own name included.
    Files named `standin_*` hold other records that stand in for training data: they are read
    after the split's own files, and a note says so.
    Raises DataError when `root` is no folder or `xharness-data.yaml` in it does not read.
    """

    name = "release"

    def __init__(self, root: Path, reader: Callable[[str], Reader]) -> None:
        if not root.is_dir():
            raise DataError(f"no release folder at {root}")
        self.root = root
        self._reader = reader
        self._root_name = root.resolve().name
        self._files = _walk(root)
        self._choices = _read_choices(root)
        self._datasets: dict[tuple[str, str, str], Dataset] = {}
        self._pools: dict[str, _Pool] = {}

    def find(self, task: TaskCard, split: str, language: str) -> Found:
        """Where the items of a split and language are. Raises MissingData when nowhere, DataError
        when in more than one place."""
        chosen = fill_in(self._choices.get(task.name, {}).get(split, ""), language)
        found: list[Found] = []
        wanted = []
        for layout in task.data.get(split, []):
            if layout.languages and language not in layout.languages:
                continue
            pattern = fill_in(layout.path, language)
            wanted.append(pattern)
            own = self._matching(pattern, "")
            stand_ins = self._matching(pattern, STAND_IN) if split == "train" else []
            if chosen:
                own, stand_ins = [p for p in own if _ends(self._name(p), chosen)], []
            groups: list[tuple[Path, ...]] = [(path,) for path in own]
            if layout.join and self._belong_together(pattern, own):
                groups = [tuple(sorted(own, key=lambda path: (path.name, path)))]
            if not own and stand_ins:
                groups = [()]
            found += [
                Found(layout, group, tuple(stand_ins)) for group in groups if group or stand_ins
            ]
        if chosen and not found:
            raise DataError(
                f"{self.root / CHOICES_FILE} names {chosen!r} for {task.name} {split}, and there "
                f"is no such file for {language!r} in a layout of the card: {' and '.join(wanted)}"
            )
        if not found:
            raise MissingData(
                f"no file for {task.name} {split} {language}: looked for "
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
        if not read.items:
            where = f"{task.name} {split} {language}"
            problem = f"{where}: no item for {language!r} in {_listed(self.root, found.paths)}"
            # A file of several languages may lack this one; one of its own without items is broken.
            several = found.layout.path == fill_in(found.layout.path, language)
            raise MissingData(problem) if several and read.files[0].bytes else DataError(problem)
        if found.stand_ins:
            read.notes.append(f"stand-in: {', '.join(path.name for path in found.stand_ins)}")
        place = _listed(self.root, (*found.paths, *found.stand_ins))
        data = assemble(task, split, language, read.items, read.pool, read.files, read.notes, place)
        if POOL not in task.data or split == "train":
            return data
        shared = self._pool(task, split)
        return replace(
            data,
            items=tuple(shared.with_targets(item) for item in data.items),
            pool=shared.candidates,
            files=(*data.files, *shared.files),
            notes=(*data.notes, *shared.notes),
        )

    def _read(self, task: TaskCard, found: Found, split: str, language: str) -> _Read:
        read_file = bound_reader(
            self._reader(found.layout.reader).read, task, found.layout, language
        )
        read = _Read([], [], [], [])
        for path in (*found.paths, *found.stand_ins):
            file = DataFile(path)
            before = len(read.items) + len(read.pool)
            ask = Ask(language, tuple(task.labels), split == "train", len(read.items))
            for one in read_file(file, ask):
                if isinstance(one, Candidate):
                    read.pool.append(one)
                else:
                    read.items.append(one)
            rows = len(read.items) + len(read.pool) - before
            read.files += [part.digest(self.root, rows) for part in (file, *file.siblings)]
            read.notes += file.notes
        if found.layout.join:
            _check_copies(read.files)
        if len(read.files) > MOST_FILES:
            read.files = [_as_one(found.layout.path, read.files)]
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
        candidates: list[Candidate] = []
        pool = _Pool((), {}, [], [])
        for language in task.languages if by_language else task.languages[:1]:
            try:
                found = self.find(task, POOL, language)
            except MissingData:
                absent.append(language)
                continue
            read = self._read(task, found, split, language)
            candidates.extend(read.pool)
            pool.files.extend(read.files)
            for item in read.items:
                if isinstance(item, Query) and item.parallel:
                    pool.targets.setdefault(item.parallel, []).extend(item.targets)
        if not candidates:
            raise MissingData(f"no pool for {task.name}")
        pool.candidates = tuple(candidates)
        if absent:
            pool.notes.append(f"pool without {', '.join(absent)}")
        return pool

    def _belong_together(self, pattern: str, paths: list[Path]) -> bool:
        """Whether files that match a pattern are of one release and not copies of each other.
        Where the folders tell them apart, they must lie below the same one."""
        if len({path.name for path in paths}) == len(paths):
            return True
        depth = len(PurePosixPath(pattern).parts)
        above = {PurePosixPath(self._name(path)).parts[:-depth] for path in paths}
        return "*" in pattern.rpartition("/")[0] and len(above) == 1

    def _matching(self, pattern: str, prefix: str) -> list[Path]:
        return [path for one in _numbered(pattern) for path in self._matching_one(one, prefix)]

    def _matching_one(self, pattern: str, prefix: str) -> list[Path]:
        parent, slash, last = pattern.rpartition("/")
        whole = f"{parent}{slash}{prefix}{last}"
        names = [prefix + last]
        if any(mark in last for mark in "*?["):
            names = [name for name in self._files if fnmatch.fnmatchcase(name, names[0])]
        paths = (path for name in names for path in self._files.get(name, []))
        return [path for path in paths if _ends(self._name(path), whole)]

    def _name(self, path: Path) -> str:
        return f"{self._root_name}/{path.relative_to(self.root).as_posix()}"


@dataclass
class _Read:
    items: list[Item]
    pool: list[Candidate]
    files: list[FileDigest]
    notes: list[str]


@dataclass
class _Pool:
    candidates: tuple[Candidate, ...]
    targets: dict[str, list[str]]
    files: list[FileDigest]
    notes: list[str]

    def with_targets(self, item: Item) -> Item:
        if isinstance(item, Query) and item.parallel in self.targets:
            return replace(item, targets=tuple(self.targets[item.parallel]))
        return item


def _walk(root: Path) -> dict[str, list[Path]]:
    """All files below by name; a link back to a folder that was seen is not followed."""
    files: dict[str, list[Path]] = {}
    seen: set[str] = set()
    for folder, names, own in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names.sort()
        for name in sorted(own):
            files.setdefault(name, []).append(Path(folder) / name)
    return files


def _read_choices(root: Path) -> dict[str, dict[str, str]]:
    path = root / CHOICES_FILE
    if not path.is_file():
        return {}
    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), dict[str, dict[str, str]])
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise DataError(f"{path}: expected task: {{split: pattern}}; {error}") from error


def _numbered(pattern: str) -> list[str]:
    """The patterns that one with a range of numbers means: `a{08..10}` is a08, a09 and a10."""
    found = _RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    numbers = (str(n).zfill(len(first)) for n in range(int(first), int(last) + 1))
    return [pattern.replace(found[0], number) for number in numbers]


def _ends(name: str, pattern: str) -> bool:
    """Whether the last components of a path match the pattern's."""
    parts, wanted = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    if len(parts) < len(wanted):
        return False
    return all(
        fnmatch.fnmatchcase(part, want)
        for part, want in zip(parts[-len(wanted) :], wanted, strict=True)
    )


def _check_copies(files: Iterable[FileDigest]) -> None:
    """Files that are read one after the other must not be copies of each other."""
    seen: dict[str, str] = {}
    for file in files:
        if file.rows and file.sha256 in seen:
            raise AmbiguousData(
                f"{file.path} and {seen[file.sha256]} are the same file, and all files of this "
                "pattern are read; take one away"
            )
        seen[file.sha256] = file.path


def _as_one(pattern: str, files: Sequence[FileDigest]) -> FileDigest:
    """One entry for many files: the digest of their digests, in the order they were read in."""
    digest = hashlib.sha256("\n".join(file.sha256 for file in files).encode()).hexdigest()
    return FileDigest(pattern, digest, sum(f.bytes for f in files), sum(f.rows for f in files))


def _listed(root: Path, paths: Sequence[Path]) -> str:
    shown = ", ".join(path.relative_to(root).as_posix() for path in paths[:MOST_LISTED])
    return shown + (f" and {len(paths) - MOST_LISTED:,} more" if len(paths) > MOST_LISTED else "")

"""Source `release`: a folder of official published files, in any of the layouts of the cards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xharness.cards import TaskCard
from xharness.data.assemble import assemble
from xharness.data.files import DataFile
from xharness.data.items import Candidate, Dataset, FileDigest, Item, Query
from xharness.data.placeholders import fill_in
from xharness.data.readers import bound_reader
from xharness.data.readers.ask import Ask
from xharness.data.sources.release_files import Found, ReleaseFiles
from xharness.errors import AmbiguousData, DataError, MissingData
from xharness.plugins.roles import Reader

POOL = "pool"
# More files than anybody looks at (RACE has 25,137) are recorded as one.
MOST_FILES = 100
MOST_LISTED = 5


class ReleaseFolder:
    """Reads datasets from below `root`; each is read once. `reader` finds a reader by name.

    Stand-ins for training data are read after the split's own files, and a note says so.
    Raises DataError as `ReleaseFiles` does.
    """

    name = "release"

    def __init__(self, root: Path, reader: Callable[[str], Reader]) -> None:
        self._root = root
        self._reader = reader
        self._files = ReleaseFiles(root)
        self._datasets: dict[tuple[str, str, str], Dataset] = {}
        self._pools: dict[str, _Pool] = {}

    def load(self, task: TaskCard, split: str, language: str) -> Dataset:
        """The items. Raises MissingData when there are none or their labels are stripped."""
        key = (task.name, split, language)
        if key not in self._datasets:
            self._datasets[key] = self._load(task, split, language)
        return self._datasets[key]

    def _load(self, task: TaskCard, split: str, language: str) -> Dataset:
        found = self._files.find(task, split, language)
        read = self._read(task, found, split, language)
        if not read.items:
            where = f"{task.name} {split} {language}"
            problem = f"{where}: no item for {language!r} in {_listed(self._root, found.paths)}"
            # A file of several languages may lack this one; one of its own without items is broken.
            several = found.layout.path == fill_in(found.layout.path, language)
            raise MissingData(problem) if several and read.files[0].bytes else DataError(problem)
        if found.stand_ins:
            read.notes.append(f"stand-in: {', '.join(path.name for path in found.stand_ins)}")
        place = _listed(self._root, (*found.paths, *found.stand_ins))
        data = assemble(task, split, language, read.items, read.pool, read.files, read.notes, place)
        if POOL not in task.data or split == "train":
            return data
        shared = self._pool(task)
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
            read.files += [part.digest(self._root, rows) for part in (file, *file.siblings)]
            read.notes += file.notes
        if found.layout.join:
            _check_copies(read.files)
        if len(read.files) > MOST_FILES:
            read.files = [_as_one(found.layout.path, read.files)]
        return read

    def _pool(self, task: TaskCard) -> _Pool:
        if task.name not in self._pools:
            self._pools[task.name] = self._read_pool(task)
        return self._pools[task.name]

    def _read_pool(self, task: TaskCard) -> _Pool:
        """The candidates of all languages, once; a question's targets in the other languages are
        found by its parallel key."""
        by_language = any("{language}" in layout.path for layout in task.data[POOL])
        absent = []
        candidates: list[Candidate] = []
        pool = _Pool((), {}, [], [])
        for language in task.languages if by_language else task.languages[:1]:
            try:
                found = self._files.find(task, POOL, language)
            except MissingData:
                absent.append(language)
                continue
            read = self._read(task, found, POOL, language)
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

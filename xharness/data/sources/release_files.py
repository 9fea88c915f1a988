"""Where the files of a split lie in a release folder."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from xharness.cards import Files, TaskCard, read_strict
from xharness.data.placeholders import fill_in
from xharness.errors import AmbiguousData, CardError, DataError, MissingData

CHOICES_FILE = "xharness-data.yaml"
STAND_IN = "standin_"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Found:
    """The files of one split and language, in one layout."""

    layout: Files
    paths: tuple[Path, ...]
    stand_ins: tuple[Path, ...]


class ReleaseFiles:
    """Finds files below `root` by the layouts of task cards.

    A layout's pattern is matched against the end of a file's path, the root's own name included.
    Files named `standin_*` hold other records that stand in for training data.
    Raises DataError when `root` is no folder or `xharness-data.yaml` in it does not read.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"no release folder at {root}")
        self.root = root
        self._root_name = root.resolve().name
        self._files = _walk(root)
        self._choices = _read_choices(root)

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
            if pattern == layout.path and language not in task.languages:
                continue  # the file is in the card's languages alone
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
            looked = f"looked for {' and '.join(wanted)}" if wanted else "the card names none"
            raise MissingData(f"no file for {task.name} {split} {language}: {looked}")
        if len(found) > 1:
            names = ", ".join(sorted(self._name(p) for one in found for p in one.paths))
            raise AmbiguousData(
                f"{task.name} {split} {language} is in {self.root} more than once: {names}. Name "
                f"one in {CHOICES_FILE}, as '{task.name}: {{{split}: PATTERN}}'."
            )
        return found[0]

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
        return read_strict(path, dict[str, dict[str, str]])
    except CardError as error:
        raise DataError(f"{error} (expected is task: {{split: pattern}})") from error


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

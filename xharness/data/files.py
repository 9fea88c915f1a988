"""A file of a release while it is read: its lines, its digest, and where the reader stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import msgspec

from xharness.data.items import FileDigest
from xharness.errors import DataError

T = TypeVar("T")
_BOM = b"\xef\xbb\xbf"


class Records(Protocol):
    """What readers of JSON records need: a file with one a line, or a table with one a row."""

    notes: list[str]

    def json_lines(self, form: type[T]) -> Iterator[T]: ...

    def sibling(self, name: str) -> DataFile | None: ...

    def error(self, problem: str) -> DataError: ...


class DataFile:
    """Reads one file once, from start to end.

    line      number of the line that was read last, 0 before the first.
    crlf      all lines so far ended with CRLF.
    notes     what the reader found that a reader of the scores must know.
    siblings  files beside this one that were read with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.crlf = True
        self.notes: list[str] = []
        self.siblings: list[DataFile] = []
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def lines(self) -> Iterator[str]:
        """The lines without their end. Only LF (or CRLF) ends a line: texts hold U+001D, U+2028
        and the like. A byte-order mark at the start of the file is no text.

        Raises DataError when a line is not UTF-8."""
        with self._open() as stream:
            for self.line, raw in enumerate(stream, 1):
                self._count(raw)
                if self.line == 1:
                    raw = raw.removeprefix(_BOM)
                body = raw.removesuffix(b"\n")
                self.crlf = self.crlf and raw.endswith(b"\r\n")
                try:
                    yield body.removesuffix(b"\r").decode("utf-8")
                except UnicodeDecodeError as error:
                    raise self.error(
                        f"byte {body[error.start]:#04x} at offset {error.start} is not UTF-8; "
                        "convert the file"
                    ) from error

    def json(self, form: type[T]) -> T:
        """The whole file as one JSON document. Raises DataError when it is not of this form."""
        with self._open() as stream:
            raw = stream.read()
        self._count(raw)
        decoded: T = self._decode(raw.removeprefix(_BOM), form)
        return decoded

    def json_lines(self, form: type[T]) -> Iterator[T]:
        """A JSON document for each line that is not blank. Raises DataError as `json` does."""
        for line in self.lines():
            if line.strip():
                yield self._decode(line.encode(), form)

    def sibling(self, name: str) -> DataFile | None:
        """The file of this name in the same folder, or None when there is none."""
        path = self.path.parent / name
        if not path.is_file():
            return None
        self.siblings.append(DataFile(path))
        return self.siblings[-1]

    def error(self, problem: str) -> DataError:
        """A complaint about the line that was read last."""
        return DataError(f"{self.path}{f':{self.line}' if self.line else ''}: {problem}")

    def digest(self, root: Path, rows: int) -> FileDigest:
        """What identifies the file; `rows` is the number of items that came from it."""
        name = self.path.relative_to(root).as_posix()
        return FileDigest(name, self._sha256.hexdigest(), self._bytes, rows)

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:  # a link that leads nowhere, as git-annex leaves them
            raise self.error(f"can't be read: {error.strerror}") from error

    def _count(self, raw: bytes) -> None:
        self._sha256.update(raw)
        self._bytes += len(raw)

    def _decode(self, raw: bytes, form: Any) -> Any:
        try:
            return msgspec.json.decode(raw, type=form)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.error(f"{error}; the file is cut, damaged or of another format") from error

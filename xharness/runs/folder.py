"""The run folder: plain files, each written whole, so that a kill can't spoil one.

A cell's record is written last, after its per-item file and its predictions, and is the only
proof that the cell is done; `docs/run-folder.md` shows the layout.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import msgspec
from filelock import FileLock, Timeout

from xharness.errors import DataError, Refused, XharnessError, did_you_mean
from xharness.records import CELL_SCHEMA, DEFAULT_SEED, RUN_SCHEMA, CellRecord, RunRecord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class _Head(msgspec.Struct):
    schema: str


class _Versioned(Protocol):
    @property
    def schema(self) -> str: ...


Record = TypeVar("Record", bound=_Versioned)


def cell_id(model: str, task: str, language: str, seed: int) -> str:
    """`MODEL/TASK/LANG`, with `#SEED` unless the seed is the default one.

    It names files, so Refused is raised for a model whose name leads out of its folder."""
    if ".." in Path(model).parts:
        raise Refused(f"the model's name {model!r} leads out of the run folder: it has '..'")
    return f"{model}/{task}/{language}" + ("" if seed == DEFAULT_SEED else f"#{seed}")


class RunFolder:
    """Reads and writes one run folder; the folder appears with the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from writing; raises Refused when one is at it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "RUN.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise Refused(
                f"another process is writing to {self.path}; wait for it, or name another "
                "folder with --output"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def write_cell(
        self,
        record: CellRecord,
        items: Mapping[str, npt.NDArray[Any]] | None = None,
        submission: tuple[str, str] | None = None,
    ) -> CellRecord:
        """Writes the per-item arrays and the prediction file (suffix, content), if any, then the
        record, completed with their digests; returns it."""
        if items is not None:
            content = npz_bytes(items)
            self._write(f"items/{record.id}.npz", content)
            record = msgspec.structs.replace(record, items=hashlib.sha256(content).hexdigest())
        if submission is not None:
            suffix, text = submission
            content = text.encode()
            self._write(self.submission_name(record, suffix), content)
            sha256 = hashlib.sha256(content).hexdigest()
            record = msgspec.structs.replace(record, submission=sha256)
        self._write(f"cells/{record.id}.json", json_bytes(record))
        return record

    def submission_name(self, record: CellRecord, suffix: str) -> str:
        """Where a cell's prediction file lies: the official names, a folder for each seed."""
        seed = "" if record.seed == DEFAULT_SEED else f"#{record.seed}"
        language = record.language.code
        return f"predictions/{record.model.name}{seed}/{record.task.name}/test-{language}.{suffix}"

    def read_cell(self, identity: str) -> CellRecord | None:
        """The record of a cell, or None. Raises DataError for a file that is none."""
        path = self.path / "cells" / f"{identity}.json"
        return self._read_record(path) if path.is_file() else None

    def read_items(self, record: CellRecord) -> dict[str, npt.NDArray[Any]]:
        """The per-item arrays of a cell. Raises DataError when they are not the record's."""
        path = self.path / "items" / f"{record.id}.npz"
        if not path.is_file():
            raise DataError(
                f"{path} is missing, which the record of {record.id} names; run it again"
            )
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != record.items:
            raise DataError(
                f"{path} is not the file that the record of {record.id} names. Delete the record "
                "to run it again."
            )
        return read_npz(path, content)

    def records(self) -> list[CellRecord]:
        """All cell records, in the order of their ids. Raises DataError for a file that is none,
        or another cell's."""
        return [self._read_record(path) for path in sorted((self.path / "cells").rglob("*.json"))]

    def read_results(self) -> tuple[RunRecord, list[CellRecord]]:
        """The run's record, and those of its cells. Raises DataError when there are none."""
        run, records = self.read_run(), self.records()
        if not records:
            raise DataError(f"{self.path} has no cell records: nothing was run there yet")
        return run, records

    def is_whole(self, record: CellRecord, suffix: str) -> bool:
        """Whether the files that an `ok` record names are there."""
        items = self.path / "items" / f"{record.id}.npz"
        return items.is_file() and (self.path / self.submission_name(record, suffix)).is_file()

    def write_run(self, run: RunRecord) -> None:
        self._write("run.json", json_bytes(run))

    def read_run(self) -> RunRecord:
        path = self.path / "run.json"
        if not self.path.exists():
            around = self.path.resolve().parent
            near = [p.parent.name for p in around.glob("*/run.json")]
            meant = did_you_mean(self.path.name, near)
            raise DataError(f"there is no run folder {self.path}.{meant}")
        if not path.is_file():
            raise DataError(f"{self.path} is no run folder: it has no run.json")
        return read_json(path, RunRecord, RUN_SCHEMA, "no run record")

    def write_leaderboards(self, boards: Mapping[str, Mapping[str, Any]]) -> None:
        """One model and seed: `leaderboard.json`; several: one file each and an index."""
        if len(boards) == 1:
            self._write("leaderboard.json", json_bytes(next(iter(boards.values()))))
            return
        for name, board in boards.items():
            self._write(f"leaderboard/{name}.json", json_bytes(board))
        self._write("leaderboard.json", json_bytes({n: f"leaderboard/{n}.json" for n in boards}))

    def _write(self, name: str, content: bytes) -> None:
        write_whole(self.path / name, content)

    def _read_record(self, path: Path) -> CellRecord:
        hint = ". Delete it to run again."
        record = read_json(path, CellRecord, CELL_SCHEMA, "no cell record", hint)
        own = f"cells/{record.id}.json"
        if path != self.path / own:
            raise DataError(f"{path} holds the record that belongs in {own}; delete one of the two")
        return record


def check_new(path: Path, force: bool) -> None:
    """Raises Refused when a file is there already, unless `force`."""
    if path.exists() and not force:
        raise Refused(f"{path} exists; --force replaces it")


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that it is there as a whole or not at all; a link stays one. Raises Refused
    for what is no plain file (renaming would put a file in the place of a device), XharnessError
    when it can't be written, the disk being full for one."""
    if path.exists() and not path.is_file():
        raise Refused(f"{path} exists and is no plain file; name another")
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.tmp")
    try:
        with whole.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        whole.replace(path)
    except OSError as error:
        with suppress(OSError):
            whole.unlink()
        raise XharnessError(f"{path} can't be written: {error.strerror}") from error


def read_json(
    path: Path, kind: type[Record], schema: str, otherwise: str, hint: str = ""
) -> Record:
    """A file as a struct. Raises DataError for another schema's file, also for one that doesn't
    read as ours, and for one that is `otherwise`."""
    content = path.read_bytes()
    try:
        record = msgspec.json.decode(content, type=kind)
        found = record.schema
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        try:
            found = msgspec.json.decode(content, type=_Head).schema
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found = schema
        if found == schema:
            raise DataError(f"{path} is {otherwise}: {error}{hint}") from error
    if found != schema:
        raise DataError(f"{path} has schema {found!r}; this version reads {schema!r}")
    return record


def json_bytes(value: Any) -> bytes:
    """A struct or plain value as it is written to files."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def read_npz(path: Path, content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays, read-only, in the bytes of a file: as `numpy.load`, which takes three times as
    long for many small files. Raises DataError when they are no npz of plain arrays."""
    import numpy as np

    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                member = archive.read(name)
                start = 10 + int.from_bytes(member[8:10], "little")
                shape, order, dtype = _npy_header(member[:start])
                array = np.frombuffer(member, dtype, offset=start)
                found[name.removesuffix(".npy")] = array.reshape(shape, order=order)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no npz file of plain arrays") from error
    return found


@lru_cache(maxsize=1024)
def _npy_header(header: bytes) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """Shape, order and type, from the header of format 1.0, which all but odd structures are
    written in. Raises ValueError for another format and for objects."""
    import numpy as np

    stream = io.BytesIO(header)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another format")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise ValueError("no plain array")
    return shape, "F" if columns_first else "C", dtype


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A compressed npz whose bytes depend on nothing but the arrays."""
    import numpy as np

    buffer = io.BytesIO()
    ordered: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
    np.savez_compressed(buffer, **ordered)
    return buffer.getvalue()

"""Rows of a parquet data set, read as readers read JSON lines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from xharness.data.items import FileDigest
from xharness.errors import CardError, DataError, did_you_mean

T = TypeVar("T")
_BATCH = 1000


class Table:
    """Reads the rows of a `datasets.Dataset` once, from first to last.

    origin   what the rows are: repository, commit, configuration and split, as a path.
    columns  field of the reader's record -> column, where the names differ.
    line     number of the row that was read last, 0 before the first.
    notes    what the reader found that a reader of the scores must know.
    """

    def __init__(self, origin: str, rows: Any, columns: Mapping[str, str]) -> None:
        self.origin = origin
        self.line = 0
        self.notes: list[str] = []
        self._rows = rows
        self._columns = columns
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def json_lines(self, form: type[T]) -> Iterator[T]:
        """Each row as a record. A class label becomes its name where the record has text, and
        None where it is -1 (stripped).

        Raises DataError when a column is missing or a row is not of this form."""
        sources = self._sources(form)
        names = {field: self._label_names(form, field, c) for field, c in sources.items()}
        for row in self._each():
            self.line += 1
            values = {f: _named(row[column], names[f]) for f, column in sources.items()}
            try:
                record = msgspec.convert(values, form)
            except msgspec.ValidationError as error:
                raise self.error(f"{error}, in columns {', '.join(sources.values())}") from error
            yield record

    def error(self, problem: str) -> DataError:
        """A complaint about the row that was read last."""
        return DataError(f"{self.origin}{f', row {self.line}' if self.line else ''}: {problem}")

    def sibling(self, _name: str) -> None:
        """A table has no files beside it."""
        return

    def digest(self, rows: int) -> FileDigest:
        """SHA-256 over all rows in order, each as JSON with its columns in order, and the number
        of bytes that is; `rows` is the number of items that came from them."""
        return FileDigest(self.origin, self._sha256.hexdigest(), self._bytes, rows)

    def _each(self) -> Iterator[dict[str, Any]]:
        for batch in self._rows.iter(batch_size=_BATCH):
            for values in zip(*batch.values(), strict=True):
                row = dict(zip(batch, values, strict=True))
                raw = msgspec.json.encode(row) + b"\n"
                self._sha256.update(raw)
                self._bytes += len(raw)
                yield row

    def _sources(self, form: type[Any]) -> dict[str, str]:
        fields = {field.name: field for field in msgspec.structs.fields(form)}
        for named in self._columns:
            if named not in fields:
                near = did_you_mean(named, fields)
                raise CardError(f"{self.origin}: the reader has no field {named!r}.{near}")
        sources = {}
        for name, field in fields.items():
            column = self._columns.get(name, name)
            if column in self._rows.column_names:
                sources[name] = column
            elif field.required or name in self._columns:
                known = self._rows.column_names
                raise self.error(
                    f"no column {column!r}; there are {', '.join(known)}."
                    f"{did_you_mean(column, known)}"
                )
        return sources

    def _label_names(self, form: type[Any], field: str, column: str) -> list[str] | None:
        """The names of a column of class labels, unless the record wants their numbers."""
        hint = get_type_hints(form)[field]
        feature = self._rows.features[column]
        feature = getattr(feature, "feature", feature)  # of the members, where it is a list
        wants_numbers = hint is int or int in get_args(hint)
        return None if wants_numbers else getattr(feature, "names", None)


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if value >= 0 else None

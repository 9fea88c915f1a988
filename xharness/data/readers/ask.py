"""What is asked of a reader besides its file."""

from __future__ import annotations

from dataclasses import dataclass

from xharness.data.files import Records
from xharness.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Ask:
    """language  ISO 639-1 code, for files that hold several.
    labels    those of the task card; a label outside them is an error.
    training  the items are trained on, so their answers must be where they say they are.
    first     number of items that came before, where several files are joined; items without
              an id of their own are numbered on from it.
    """

    language: str
    labels: tuple[str, ...] = ()
    training: bool = False
    first: int = 0

    def known(self, label: str, file: Records) -> str:
        """The label itself. Raises DataError when the task has no such label."""
        if self.labels and label not in self.labels:
            raise unknown_label(label, self.labels, file)
        return label


def unknown_label(label: str, labels: tuple[str, ...], file: Records) -> DataError:
    near = did_you_mean(label, labels)
    return file.error(f"label {label!r} is not one of {', '.join(labels)}.{near}")

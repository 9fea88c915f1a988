"""Plain text, one example a line."""

from __future__ import annotations

from collections.abc import Iterator

from xharness.data.files import DataFile
from xharness.data.items import Text
from xharness.data.readers.ask import Ask


def read(file: DataFile, ask: Ask) -> Iterator[Text]:
    """The lines that are not blank."""
    for line in file.lines():
        if line.strip():
            yield Text(str(ask.first + file.line), line)

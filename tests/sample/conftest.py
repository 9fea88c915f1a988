"""The bundled sample's source files, read once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest

from xharness.data.sample.texts import ENGLISH, FOLDER, Texts, read_texts
from xharness.errors import CardError


@lru_cache
def _read(name: str) -> Texts:
    problem = ""
    try:
        return read_texts(FOLDER / f"{name}.yaml")
    except CardError as error:
        problem = str(error)
    pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def read() -> Callable[[str], Texts]:
    return _read


@pytest.fixture(scope="session")
def english() -> Texts:
    return _read(ENGLISH)


@pytest.fixture(scope="session")
def complain() -> Callable[[list[str]], None]:
    """Fails with all complaints, a line each."""

    def say(complaints: list[str]) -> None:
        if complaints:
            pytest.fail("\n".join(["", *complaints]), pytrace=False)

    return say

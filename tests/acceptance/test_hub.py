"""The command on a toy Hub: data and backbone at their commits, then the same without a network."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from xharness.testing.toys import make_world

datasets = pytest.importorskip("datasets")


def parquet(path: Path) -> bytes:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    stream = io.BytesIO()
    datasets.Dataset.from_list(lines).to_parquet(stream)
    return stream.getvalue()


@pytest.mark.slow
def test_a_run_from_the_hub_is_the_run_from_the_release_and_goes_on_offline(
    toy_hub: Any, tmp_path: Path
) -> None:
    world = make_world(tmp_path)
    files = {
        f"{path.stem.split('-')[1]}/{path.stem.split('-')[0]}-00000-of-00001.parquet": parquet(path)
        for path in (world.release / "toy-choices").iterdir()
    }
    data = toy_hub.add("datasets/toys/choices", files)
    net = {path.name: path.read_bytes() for path in world.backbone.iterdir()}
    backbone = toy_hub.add("toys/net", net)
    card = world.cards / "tasks/toy-choices.yaml"
    copy = {"repo": "toys/choices", "revision": data, "config": "{language}", "reader": "copa"}
    hub = {split: copy | {"split": split} for split in ("train", "dev", "test")}
    card.write_text(yaml.safe_dump(yaml.safe_load(card.read_text()) | {"hub": hub}))

    def evaluate(source: str, output: str, *more: str) -> Any:
        return toy_hub.run(
            "-m", "xharness", "eval", "-m", "toy", "-s", "toy", "-t", "toy-choices", "-l", "en,de",
            "--include", str(world.cards), "--train", "missing", "--data", source,
            "-o", str(tmp_path / output), *more,
        )  # fmt: skip

    def record(output: str) -> dict[str, Any]:
        path = tmp_path / output / "cells/toy/toy-choices/de.json"
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    pinned = ("--backbone", f"toys/net@{backbone}")
    online = evaluate("hub", "hub", *pinned)
    assert online.returncode == 0, online.stderr
    told = record("hub")
    (file,) = told["data"]["files"]
    assert file["path"] == f"hf://datasets/toys/choices@{data}/de/test"
    assert file["rows"] == 20
    assert told["model"]["backbone"]["id"] == "toys/net"
    assert told["model"]["backbone"]["revision"] == backbone
    release = evaluate(str(world.release), "release")
    assert release.returncode == 0, release.stderr
    for key in ("result", "comparable_hash", "items"):
        assert told[key] == record("release")[key]

    before = toy_hub.requests
    again = evaluate("hub", "hub", *pinned, "--offline")
    assert again.returncode == 0, again.stderr
    assert "0 to run, 2 done" in again.stderr
    lacking = evaluate("hub", "other", "--backbone", "toys/other", "--offline")
    assert lacking.returncode == 2
    assert "model 'toys/other' is not, or not whole, in the local cache" in lacking.stderr
    assert "forbidden by --offline" in lacking.stderr
    assert toy_hub.requests == before

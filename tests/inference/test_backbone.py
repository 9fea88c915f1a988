from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xharness.cards import Profile
from xharness.errors import DataError, Refused, XharnessError
from xharness.inference.backbone import Backbone, load_backbone
from xharness.inference.identity import identify_backbone, sha256
from xharness.inference.packing import Encoded, encode

Make = Callable[..., Backbone]


def load(name: Path | str, device: str = "cpu", registered: Any = None) -> Backbone:
    return load_backbone(
        str(name), device=device, profile=Profile(), cache=Path(), registered=registered or {}
    )


@pytest.mark.parametrize(
    ("layers", "layer"), [(2, -1), (12, 8), (24, 14)], ids=["other", "12 layers", "24 layers"]
)
def test_vectors_come_from_the_protocols_layer(
    layers: int, layer: int, make_backbone: Make
) -> None:
    profile = make_backbone("bert", num_hidden_layers=layers).profile
    assert profile == Profile(layer=layer, pooling="mean", prefix="", head="cls", attention="full")


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_refused(layer: int, make_backbone: Make) -> None:
    with pytest.raises(Refused, match=f"has no layer {layer}, .* 0 to 2, or -1 to -3 from the end"):
        make_backbone("bert", Profile(layer=layer), num_hidden_layers=2)


def test_a_card_may_replace_parts_of_the_profile(make_backbone: Make) -> None:
    profile = make_backbone("bert", Profile(layer=0, head="mean"), num_hidden_layers=12).profile
    assert profile == Profile(layer=0, pooling="mean", prefix="", head="mean", attention="full")


@pytest.mark.parametrize(
    ("architecture", "limit", "layout"),
    [
        ("bert", 80, "packed"),
        ("xlm-roberta", 78, "packed"),  # two of its 80 positions are never used
        ("distilbert", 80, "packed"),
        ("deberta-v2", 80, "padded"),
    ],
)
def test_the_longest_input_runs(
    architecture: str, limit: int, layout: str, make_backbone: Make
) -> None:
    backbone = make_backbone(architecture)
    assert (backbone.max_tokens, backbone.info["layout"]) == (limit, layout)
    longest = [Encoded([5] * limit), Encoded([6] * limit)]
    with torch.inference_mode():
        states = encode(backbone.module, longest, packed=backbone.packed).states
    assert states.shape == (2 * limit, backbone.hidden_size)


def test_records_learn_what_was_loaded(make_folder: Callable[..., Path]) -> None:
    folder = make_folder("bert")
    backbone = load(folder)
    assert backbone.info["weights_sha256"] == sha256([folder / "model.safetensors"])
    assert backbone.info["architecture"] == "BertModel"
    assert backbone.info["parameters"] == sum(p.numel() for p in backbone.module.parameters())
    assert not backbone.module.training
    assert next(backbone.module.parameters()).dtype is torch.float32


def test_identity_is_found_without_loading_and_follows_the_files(
    make_folder: Callable[..., Path],
) -> None:
    folder = make_folder("bert")
    before = identify_backbone(str(folder), {})
    assert before.items() <= load(folder).info.items()
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    after = identify_backbone(str(folder), {})
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"tokenizer_sha256"}


def test_one_digest_stands_for_the_bytes_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ab")
    (tmp_path / "b").write_bytes(b"c")
    # of "abc", as FIPS 180-2 gives it
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256([tmp_path / "a", tmp_path / "b"]) == expected


def test_weights_in_pickle_are_not_read(make_folder: Callable[..., Path]) -> None:
    folder = make_folder("bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"no \*\.safetensors file in .*can hold code"):
        load(folder)


def test_a_name_that_is_nothing_is_said_to_be_nothing() -> None:
    with pytest.raises(XharnessError, match="No backbone 'no such/thing at/all'"):
        load("no such/thing at/all")  # no valid id, so the Hub isn't asked


@pytest.mark.parametrize("device", ["cuda:97", "abacus"])
def test_a_device_that_is_not_there_is_named(device: str, make_folder: Callable[..., Path]) -> None:
    with pytest.raises(XharnessError, match=f"--device '{device}' can't be used here"):
        load(make_folder("bert"), device=device)


def test_a_registered_backbone_comes_before_the_hub(make_backbone: Make) -> None:
    ready = make_backbone("bert")

    class Registered:
        name = "ready"

        @staticmethod
        def load(cache: Path, device: str, profile: Profile) -> Backbone:
            return dataclasses.replace(ready, name="ready")

        @staticmethod
        def identify() -> dict[str, str]:
            return {"id": "ready"}

    assert load("ready", registered={"ready": Registered}).name == "ready"
    assert identify_backbone("ready", {"ready": Registered}) == {"id": "ready"}

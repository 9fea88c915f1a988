from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from xharness.errors import DataError, Refused
from xharness.inference import checkpoint
from xharness.inference.identity import sha256
from xharness.inference.network import Network
from xharness.inference.predictor import predictor

Make = Callable[..., Network]
PAIRS = [("the cat", "sat"), ("abc", "mat the"), ("a", "b")]


def trained(network: Network) -> Network:
    """Stands for training: all that may change has changed."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def logits(network: Network) -> Any:
    return predictor(network, network.task, network.asks).classify(PAIRS)


@pytest.fixture
def saved(tmp_path: Path, make_network: Make) -> Path:
    network = trained(make_network("classification", "yes no"))
    checkpoint.save(tmp_path / "saved", network, {})
    return tmp_path / "saved"


def edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Changes the tensors and makes the digest fit them."""
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    change(tensors)
    save_file(tensors, weights, {"format": "pt"})
    facts = json.loads((folder / "checkpoint.json").read_text())
    facts["weights_sha256"] = sha256([weights])
    (folder / "checkpoint.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("architecture", ["bert", "distilbert"])
def test_a_loaded_network_predicts_what_the_saved_one_did(
    architecture: str, frozen: bool, tmp_path: Path, make_network: Make
) -> None:
    options = {"architecture": architecture, "freeze_embeddings": frozen}
    network = trained(make_network("classification", "yes no", **options))
    expected = logits(network)
    checkpoint.save(tmp_path / "saved", network, {"recipe": {"name": "toy"}, "seed": 1})
    fresh = make_network("classification", "yes no", seed=2, **options)
    assert not np.allclose(logits(fresh), expected, atol=1e-2)
    facts = checkpoint.load(tmp_path / "saved", fresh)
    np.testing.assert_array_equal(logits(fresh), expected)
    assert facts["recipe"] == {"name": "toy"}
    assert facts["labels"] == ["yes", "no"]
    assert facts["kind"] == "classification"


def test_frozen_embeddings_are_not_stored(tmp_path: Path, make_network: Make) -> None:
    network = make_network("classification", "yes no", freeze_embeddings=True)
    checkpoint.save(tmp_path / "saved", network, {})
    names = set(load_file(tmp_path / "saved/model.safetensors"))
    assert not [name for name in names if "embeddings" in name]
    assert names == {name for name, p in network.named_parameters() if p.requires_grad}


def test_the_encoder_can_be_taken_without_the_head(saved: Path, make_network: Make) -> None:
    network = make_network("tagging", "D N V")  # another kind, another head
    head = network.get_parameter("head.out.weight")
    before = head.clone()
    checkpoint.load(saved, network, head=False)
    stored = load_file(saved / "model.safetensors")
    for name, parameter in network.module.named_parameters():
        assert torch.equal(parameter, stored[f"module.{name}"])
    assert torch.equal(head, before)


def test_a_checkpoint_describes_itself(saved: Path) -> None:
    facts = checkpoint.describe(saved)
    assert facts["weights_sha256"] == sha256([saved / "model.safetensors"])
    assert facts["backbone"]["architecture"] == "BertModel"
    assert len(facts["backbone"]["weights_sha256"]) == 64


def test_a_killed_save_leaves_no_checkpoint(tmp_path: Path, make_network: Make) -> None:
    network = make_network("classification", "yes no")
    partial = tmp_path / "saved.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")  # what a kill leaves
    assert not (tmp_path / "saved").exists()
    checkpoint.save(tmp_path / "saved", network, {})
    checkpoint.load(tmp_path / "saved", network)
    assert not partial.exists()


def test_another_backbone_is_refused(saved: Path, make_network: Make) -> None:
    other = make_network("classification", "yes no", architecture="distilbert")
    with pytest.raises(Refused, match="was trained on backbone"):
        checkpoint.load(saved, other)


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove"])
def test_weights_that_are_not_those_of_the_description_are_refused(
    harm: str, saved: Path, make_network: Make
) -> None:
    weights = saved / "model.safetensors"
    data = bytearray(weights.read_bytes())
    if harm == "remove":
        weights.unlink()
    else:
        data[-1] ^= 1
        weights.write_bytes(data if harm == "flip" else data[:-100])
    with pytest.raises(DataError, match="missing, changed or truncated"):
        checkpoint.load(saved, make_network("classification", "yes no"))


def test_missing_and_unknown_tensors_and_shapes_are_named(saved: Path, make_network: Make) -> None:
    network = make_network("classification", "yes no")
    bias = load_file(saved / "model.safetensors")["head.out.bias"]
    edit(saved, lambda tensors: tensors.pop("head.out.bias"))
    with pytest.raises(DataError, match=r"lacks tensors of the model: head\.out\.bias"):
        checkpoint.load(saved, network)
    edit(saved, lambda tensors: tensors.update({"head.out.bias": bias, "head.more": bias.clone()}))
    with pytest.raises(DataError, match=r"has tensors that the model has not: head\.more"):
        checkpoint.load(saved, network)
    edit(saved, lambda tensors: tensors.pop("head.more"))
    with pytest.raises(
        DataError, match=r"head\.out\.bias has shape \(2,\), the model's has \(3,\)"
    ):
        checkpoint.load(saved, make_network("classification", "a b c"))


def test_a_refused_checkpoint_changes_nothing(saved: Path, make_network: Make) -> None:
    network = make_network("classification", "a b c")
    before = logits(network)
    with pytest.raises(DataError):
        checkpoint.load(saved, network)
    np.testing.assert_array_equal(logits(network), before)


@pytest.mark.parametrize("text", [None, "{", "\xff", "[]", '{"schema": "xharness.checkpoint/9"}'])
def test_a_folder_that_is_no_checkpoint_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    if text is not None:
        (tmp_path / "checkpoint.json").write_text(text, "latin-1")  # \xff alone is no UTF-8
    with pytest.raises(DataError, match=r"checkpoint\.json"):
        checkpoint.describe(tmp_path)

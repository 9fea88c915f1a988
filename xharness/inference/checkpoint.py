"""Checkpoints: what training may have changed, and a description that needs nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from xharness.errors import DataError, Refused, XharnessError
from xharness.inference.identity import sha256
from xharness.inference.joint import Joint
from xharness.inference.network import Network

SCHEMA = "xharness.checkpoint/1"


def save(folder: Path, network: Network | Joint, description: Mapping[str, Any]) -> None:
    """Writes the trained tensors and `description` into `folder`, whole or not at all. Low-rank
    updates and their head are stored in bf16: they are made to be small."""
    partial = folder.with_suffix(".partial")
    with written(partial, ""):
        _write(partial, network, description)
        partial.rename(folder)


@contextmanager
def written(path: Path, kept: str) -> Iterator[None]:
    """Around the writing of `path`, or of files in it. When that fails, takes away what there is of
    it and raises XharnessError with the reason and what is `kept`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        shutil.rmtree(path, ignore_errors=True)
        if path.is_file():
            path.unlink()
        raise XharnessError(f"{path} can't be written: {reason}{kept}") from error


def _write(partial: Path, network: Network | Joint, description: Mapping[str, Any]) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    weights = partial / "model.safetensors"
    dtype = torch.bfloat16 if network.lora else torch.float32
    trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
    save_file(
        {n: p.detach().to(dtype).contiguous() for n, p in trained.items()},
        weights,
        {"format": "pt"},
    )
    facts = {
        "schema": SCHEMA,
        "backbone": dict(network.backbone.info),
        **network.facts,
        "weights_sha256": sha256([weights]),
        **description,
    }
    (partial / "checkpoint.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False))
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def describe(folder: Path) -> dict[str, Any]:
    """The description of a checkpoint. Raises DataError when the folder is none."""
    path = folder / "checkpoint.json"
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:  # no JSON, or no UTF-8
        raise DataError(
            f"{folder} is no checkpoint: {path.name} can't be read ({error})"
        ) from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise DataError(f"{path} is not of schema {SCHEMA!r}")
    return facts


def load(folder: Path, network: Network | Joint, *, head: bool = True) -> dict[str, Any]:
    """Puts a checkpoint's weights into `network` (without its head, if so asked) and returns
    the description.

    Raises Refused when it was made on another backbone, DataError when weights are changed,
    truncated, missing or too many.
    """
    facts = describe(folder)
    ours, theirs = network.backbone.info, facts["backbone"]
    if ours["weights_sha256"] != theirs["weights_sha256"]:
        raise Refused(
            f"checkpoint {folder} was trained on backbone {theirs['id']!r} with weights "
            f"{theirs['weights_sha256'][:12]}, not on {ours['id']!r} with weights "
            f"{ours['weights_sha256'][:12]}"
        )
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256([weights]) != facts["weights_sha256"]:
        raise DataError(
            f"{weights} is missing, changed or truncated: its SHA-256 is not the one in "
            "checkpoint.json; delete the folder to train again"
        )
    try:
        stored = load_file(weights, device=str(network.module.device))
    except SafetensorError as error:
        raise DataError(f"{weights} is no safetensors file: {error}") from error
    if not head:
        stored = {name: t for name, t in stored.items() if not name.startswith("head.")}
    parameters = dict(network.named_parameters())
    wanted = {n for n, p in parameters.items() if p.requires_grad and (head or n[:5] != "head.")}
    if unknown := sorted(set(stored) - set(parameters)):
        raise DataError(f"{weights} has tensors that the model has not: {', '.join(unknown[:3])}")
    if missing := sorted(wanted - set(stored)):
        raise DataError(f"{weights} lacks tensors of the model: {', '.join(missing[:3])}")
    for name, tensor in stored.items():
        if parameters[name].shape != tensor.shape:
            raise DataError(
                f"{weights}: {name} has shape {tuple(tensor.shape)}, the model's has "
                f"{tuple(parameters[name].shape)}"
            )
    with torch.no_grad():
        for name, tensor in stored.items():
            parameters[name].copy_(tensor)
    return facts

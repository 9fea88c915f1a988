"""Backbones: pretrained encoders and decoders by registered name, Hugging Face id or folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from xharness.cards import Profile
from xharness.errors import Refused, XharnessError
from xharness.inference.features import end_texts
from xharness.inference.identity import identify_backbone, local_folder
from xharness.inference.packing import attend_to_all, can_pack, is_causal, position_offset

# Index into the hidden states by number of layers: what XTREME's retrieval script reads for
# mBERT and XLM-R Large (google-research/xtreme, scripts/run_tatoeba.sh); else the last layer.
PROTOCOL_LAYERS = {12: 8, 24: 14}


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone in evaluation mode, fp32.

    profile  how sentence vectors are taken; nothing in it is None.
    causal   tokens see only what stands before them.
    info     what records tell: id, digests, architecture, parameters, packed or padded.
    """

    name: str
    module: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    profile: Profile
    packed: bool
    causal: bool
    info: Mapping[str, Any]

    @property
    def hidden_size(self) -> int:
        return int(self.module.config.hidden_size)

    @property
    def max_tokens(self) -> int:
        """The longest input, special tokens included."""
        positions = getattr(self.module.config, "max_position_embeddings", None)
        if positions is None:  # relative positions have no end
            return int(self.tokenizer.model_max_length)
        return int(min(self.tokenizer.model_max_length, positions - position_offset(self.module)))


def load_backbone(
    name: str,
    *,
    device: str = "auto",
    profile: Profile,
    cache: Path,
    registered: Mapping[str, Any],
) -> Backbone:
    """Loads a backbone: safetensors only, no remote code, no pooler.

    Raises XharnessError when the name or the device can't be had.
    """
    if name in registered:
        return registered[name].load(cache, device, profile)  # type: ignore[no-any-return]
    identity = identify_backbone(name, registered)
    return load_folder(name, local_folder(name), identity, Profile(), device, profile)


def load_folder(
    name: str,
    folder: Path,
    identity: Mapping[str, Any],
    own: Profile,
    device: str,
    profile: Profile,
) -> Backbone:
    """Loads a Hugging Face folder; `own` is the backbone's profile, `profile` what replaces it."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    options: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
    try:
        module = AutoModel.from_pretrained(folder, add_pooling_layer=False, **options)
    except TypeError:  # the class has no pooler to leave out
        module = AutoModel.from_pretrained(folder, **options)
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    if not tokenizer.is_fast:
        raise XharnessError(f"backbone {name!r} has no fast tokenizer; character offsets need one")
    module.config.use_cache = False
    module.eval().to(choose_device(device))
    causal = is_causal(module)
    if causal:
        end_texts(tokenizer)
    packed = can_pack(module)
    layers = module.config.num_hidden_layers
    layer = _first(profile.layer, own.layer, -1 if causal else PROTOCOL_LAYERS.get(layers, -1))
    if not -layers - 1 <= layer <= layers:
        raise Refused(
            f"backbone {name!r} has no layer {layer}, which the card's profile asks for; hidden "
            f"states are 0 to {layers}, or -1 to {-layers - 1} from the end"
        )
    whole = Profile(
        layer=layer,
        pooling=_first(profile.pooling, own.pooling, "mean"),
        prefix=_first(profile.prefix, own.prefix, ""),
        head=_first(profile.head, own.head, "last" if causal else "cls"),
        attention=_first(profile.attention, own.attention, "causal" if causal else "full"),
    )
    if causal and whole.attention == "full":
        attend_to_all(module)
        causal = not packed or is_causal(module, packed=True)
    if causal == (whole.attention == "full"):
        raise Refused(
            f"backbone {name!r} can't have the attention {whole.attention!r} that the card's "
            "profile asks for: its own code fixes what tokens see"
        )
    if causal and "cls" in (whole.pooling, whole.head):
        raise Refused(
            f"backbone {name!r} is a decoder, whose first token sees nothing but itself: the "
            "card's profile can't have `cls` as pooling or head; take `last` or `mean`"
        )
    info = {
        **identity,
        "architecture": type(module).__name__,
        "parameters": sum(p.numel() for p in module.parameters()),
        "layout": "packed" if packed else "padded",
    }
    return Backbone(name, module, tokenizer, whole, packed, causal, info)


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU, else the CPU. Raises XharnessError for one that isn't there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise XharnessError(f"--device {name!r} can't be used here: {reason}") from error
    return device


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)

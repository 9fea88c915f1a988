from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from xharness.cards import Lora
from xharness.errors import CardError
from xharness.inference import checkpoint
from xharness.inference.backbone import Backbone
from xharness.inference.lora import merge_updates
from xharness.inference.network import Network
from xharness.inference.packing import Encoded

LORA = Lora(rank=2, alpha=4)
TEXTS = [Encoded([5, 6, 7]), Encoded([8, 9])]


@pytest.fixture
def network(
    make_backbone: Callable[..., Backbone], make_card: Callable[..., Any]
) -> Callable[..., Network]:
    folder = []

    def make(lora: Lora | None = LORA, seed: int = 1) -> Network:
        if not folder:
            folder.append(make_backbone("bert"))
        backbone = folder.pop()
        card = make_card("classification", "a b")
        return Network(backbone, card, "classify", seed=seed, lora=lora).eval()

    return make


def shake(network: Network) -> None:
    """Updates begin at zero; moves them as training would."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))


def test_only_updates_and_head_are_trained_and_begin_without_effect(
    make_backbone: Callable[..., Backbone], make_card: Callable[..., Any]
) -> None:
    card = make_card("classification", "a b")
    plain = Network(make_backbone("bert"), card, "classify", seed=1).eval()
    updated = Network(make_backbone("bert"), card, "classify", seed=1, lora=LORA).eval()
    trained = {name for name, p in updated.named_parameters() if p.requires_grad}
    assert {n for n in trained if "lora_" not in n} == {
        n for n, _ in plain.named_parameters() if n.startswith("head.")
    }
    # Six linear layers in each of two blocks, two factors each.
    assert len([n for n in trained if "lora_" in n]) == 2 * 6 * 2
    with torch.no_grad():
        torch.testing.assert_close(updated.hidden(TEXTS).states, plain.hidden(TEXTS).states)


def test_new_updates_come_from_the_seed_and_leave_the_global_stream_alone(
    make_backbone: Callable[..., Backbone], make_card: Callable[..., Any]
) -> None:
    def drawn(seed: int) -> torch.Tensor:
        card = make_card("classification", "a b")
        network = Network(make_backbone("bert"), card, "classify", seed=seed, lora=LORA)
        return next(p.detach() for n, p in network.named_parameters() if "lora_A" in n)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = drawn(1)
    torch.manual_seed(6)
    assert torch.equal(one, drawn(1))
    assert not torch.equal(one, drawn(2))
    torch.manual_seed(5)
    assert torch.equal(before, torch.get_rng_state())


def test_merged_updates_give_the_same_states(network: Callable[..., Network]) -> None:
    made = network()
    shake(made)
    with torch.no_grad():
        before = made.hidden(TEXTS).states
        merge_updates(made.module)
        torch.testing.assert_close(made.hidden(TEXTS).states, before, atol=1e-5, rtol=1e-5)


def test_a_delta_checkpoint_is_bf16_and_goes_on_in_the_next_phase(
    make_backbone: Callable[..., Backbone], make_card: Callable[..., Any], tmp_path: Path
) -> None:
    backbone = make_backbone("bert")
    card = make_card("classification", "a b")
    first = Network(backbone, card, "classify", seed=1, lora=LORA).eval()
    shake(first)
    checkpoint.save(tmp_path / "delta", first, {})
    stored = load_file(tmp_path / "delta" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    # The same backbone from its folder again, another head, the adapter of the first phase.
    again = make_backbone("bert")
    assert again.info["weights_sha256"] == backbone.info["weights_sha256"]
    card = make_card("tagging", "x y z")
    second = Network(again, card, "tag", seed=2, lora=LORA).eval()
    checkpoint.load(tmp_path / "delta", second, head=False)
    for name, parameter in second.named_parameters():
        if "lora_" in name:
            torch.testing.assert_close(parameter, stored[name].float(), atol=0, rtol=0)


def test_targets_that_are_no_layers_are_named_with_those_that_are(
    network: Callable[..., Network],
) -> None:
    with pytest.raises(CardError, match=r"\['q_proj'\] fit no layer of BertModel.*query, value"):
        network(Lora(rank=2, alpha=4, targets=["q_proj"]))

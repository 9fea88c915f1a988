"""Runs a backbone over many token sequences without padding.

Sequences are laid end to end in one row; an attention function registered with transformers
keeps attention inside each. Neighbours of one length are attended to in one call, so rows are
sorted by length. Models that don't go through `AttentionInterface` get padded batches of about
one length instead. Both give the same hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

ATTENTION = "xharness_packed"
PROBE_TOKENS = 512
# Of one pass, in training too. On CPUs more tokens are no faster, and need more memory.
PACK_TOKENS = {"cpu": 2048, "cuda": 32768}


# A change of word embeddings: (T, E) -> (T, E), the real tokens of all sequences in the order of
# `Hidden.states`. Padding never gets to see it.
Edit = Callable[[Tensor], Tensor]


class Encoded(NamedTuple):
    """One tokenised sequence, special tokens included. `types` only where the model has them."""

    ids: list[int]
    types: list[int] | None = None


class Hidden(NamedTuple):
    """Hidden states (T, H) of all sequences; sequence i is `states[starts[i]:][:lengths[i]]`."""

    states: Tensor
    starts: list[int]
    lengths: list[int]

    def of(self, i: int) -> Tensor:
        """(T_i, H)"""
        return self.states[self.starts[i] : self.starts[i] + self.lengths[i]]

    def first(self) -> Tensor:
        """(N, H): the first token of each sequence."""
        return self.states[torch.tensor(self.starts, device=self.states.device)]

    def last(self) -> Tensor:
        """(N, H): the last token of each sequence."""
        ends = [start + length - 1 for start, length in zip(self.starts, self.lengths, strict=True)]
        return self.states[torch.tensor(ends, device=self.states.device)]

    def mean(self) -> Tensor:
        """(N, H) float32: the mean over all tokens of each sequence, special ones included."""
        order = sorted(range(len(self.starts)), key=self.starts.__getitem__)
        sizes = torch.tensor([self.lengths[i] for i in order], device=self.states.device)
        segment = torch.repeat_interleave(torch.arange(len(order), device=sizes.device), sizes)
        sums = torch.zeros(
            len(order), self.states.shape[1], dtype=torch.float32, device=self.states.device
        ).index_add(0, segment, self.states.float())
        means = sums / sizes[:, None]
        back = torch.empty(len(order), dtype=torch.long, device=sizes.device)
        back[torch.tensor(order, device=sizes.device)] = torch.arange(
            len(order), device=sizes.device
        )
        return means[back]


class Run(NamedTuple):
    """`number` sequences of `length` tokens each, from token `start` of the row on."""

    start: int
    number: int
    length: int


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    runs: Sequence[Run] | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention inside each sequence of a packed row; query, key, value are (1, heads, T, D),
    where several query heads may share one of key and value. A module whose `is_causal` is set
    lets each token see only those before it.

    Without `runs` (a padded batch, or somebody else's call) it is plain attention with the mask.
    Returns (B, T, heads, D) and no weights.
    """
    causal = bool(getattr(module, "is_causal", False))
    shared = key.shape[1] != query.shape[1]
    if runs is None:
        if causal:
            size = query.shape[2]
            past = torch.ones(size, size, dtype=torch.bool, device=query.device).tril()
            attention_mask = past if attention_mask is None else past & attention_mask
        attended = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=dropout,
            scale=scaling,
            enable_gqa=shared,
        )
        return attended.transpose(1, 2), None
    sizes = [run.number * run.length for run in runs]
    pieces = []
    # split, not slices: the gradient of a slice is as long as the row, for each of the runs.
    rows = zip(runs, *(x[0].split(sizes, dim=1) for x in (query, key, value)), strict=True)
    for (_start, count, length), *parts in rows:
        q, k, v = (x.unflatten(1, (count, length)).transpose(0, 1) for x in parts)
        # each (count, heads, length, D)
        if dropout and q.device.type == "cpu" and not (causal or shared):
            attended = _dropping_attention(q, k, v, dropout, scaling or q.shape[-1] ** -0.5)
        else:
            attended = scaled_dot_product_attention(
                q, k, v, dropout_p=dropout, scale=scaling, is_causal=causal, enable_gqa=shared
            )
        pieces.append(attended.transpose(1, 2).flatten(0, 1))
    # cat, not writes into an empty buffer: gradients must flow.
    return torch.cat(pieces)[None], None


def _dropping_attention(
    query: Tensor, key: Tensor, value: Tensor, dropout: float, scaling: float
) -> Tensor:
    """Attention (N, heads, L, D) with dropout of its weights, on a CPU: twice as fast as torch's at
    256 tokens, where half of the time is the generator's, which gives four weights at once here."""
    weights = torch.softmax(query * scaling @ key.transpose(-1, -2), dim=-1)
    size, dropped = weights.numel(), round(dropout * 2**16)  # of 2 ** 16 equally likely numbers
    draws = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[:size].view_as(weights) >= dropped - 2**15
    return weights * kept.to(weights.dtype).mul_(2**16 / (2**16 - dropped)) @ value


def _mask(*_args: Any, attention_mask: Tensor | None = None, **_: Any) -> Tensor | None:
    """Packed rows have no mask; a padded batch's (B, T) becomes (B, 1, 1, T), True = attend."""
    return None if attention_mask is None else attention_mask[:, None, None, :].bool()


AttentionInterface.register(ATTENTION, packed_attention)
AttentionMaskInterface.register(ATTENTION, _mask)


def position_offset(module: PreTrainedModel) -> int:
    """Position of a sequence's first token: 0 for BERT, padding index + 1 for RoBERTa's kin."""
    for name, part in module.named_modules():
        if name.endswith("position_embeddings"):
            padding = getattr(part, "padding_idx", None)
            return 0 if padding is None else int(padding) + 1
    return 0


class Layout(NamedTuple):
    """Where sequences lie in a row: shortest first, sequence i from `starts[i]` on."""

    order: list[int]
    starts: list[int]


def layout(sequences: Sequence[Encoded]) -> Layout:
    """The row's layout, the same for packed and padded passes."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].ids))
    starts = [0] * len(order)
    at = 0
    for i in order:
        starts[i] = at
        at += len(sequences[i].ids)
    return Layout(order, starts)


def encode(
    module: PreTrainedModel,
    sequences: Sequence[Encoded],
    *,
    packed: bool,
    layer: int = -1,
    edit: Edit | None = None,
) -> Hidden:
    """Hidden states of the sequences at `layer` (0 the embeddings, -1 the last), in one pass.
    `edit` changes the word embeddings on their way in."""
    order, starts = layout(sequences)
    ordered = [sequences[i] for i in order]
    lengths = [len(s.ids) for s in ordered]
    forward = _packed_states if packed else _padded_states
    states = forward(module, ordered, lengths, layer, edit)
    return Hidden(states, starts, [len(s.ids) for s in sequences])


@contextmanager
def _edited(module: PreTrainedModel, edit: Edit | None, mask: Tensor | None) -> Iterator[None]:
    """Within it, the word embeddings go through `edit`; `mask` (B, L) tells real tokens from
    padding, None means that all are real.

    A hook on the embedding module, not `inputs_embeds`: position ids, token types and whatever
    else a model derives from the input ids stay as they are.
    """
    if edit is None:
        yield
        return

    def hook(_module: Any, _inputs: Any, embedded: Tensor) -> Tensor:
        if mask is None:
            return edit(embedded.flatten(0, 1)).view_as(embedded)
        return embedded.masked_scatter(mask[:, :, None], edit(embedded[mask]))

    handle = module.get_input_embeddings().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def batches(lengths: Sequence[int], budget: int, padded: bool = False) -> Iterator[list[int]]:
    """Indices of sequences in order of length, grouped so that no group holds more than `budget`
    tokens (padding counted, if `padded`) unless it is a single sequence."""
    group: list[int] = []
    total = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        total = lengths[i] * (len(group) + 1) if padded else total + lengths[i]
        if group and total > budget:
            yield group
            group, total = [], lengths[i]
        group.append(i)
    if group:
        yield group


def can_pack(module: PreTrainedModel) -> bool:
    """Whether packed rows give this model's hidden states, found out by trying; switches the
    model to packed attention if so."""
    before = module.config._attn_implementation
    # One so long that attention to a window of neighbours only would show.
    positions = getattr(module.config, "max_position_embeddings", PROBE_TOKENS)
    longest = min(PROBE_TOKENS, positions - position_offset(module))
    probe = [_probe(module, 3), _probe(module, longest)]
    alone = [_try(lambda s=s: encode(module, [s], packed=False).states) for s in probe]  # type: ignore[misc]
    try:
        module.set_attn_implementation(ATTENTION)
    except (ValueError, NotImplementedError):
        return False
    together = _try(lambda: encode(module, probe, packed=True))
    if together is not None and all(
        one is not None and torch.allclose(one, together.of(i), atol=1e-4)
        for i, one in enumerate(alone)
    ):
        return True
    module.set_attn_implementation(before)
    return False


def is_causal(module: PreTrainedModel, *, packed: bool = False) -> bool:
    """Whether tokens see only what stands before them, found out by trying."""
    one, other = _probe(module, 3), _probe(module, 3)
    other.ids[-1] = other.ids[0]
    with torch.no_grad():
        first = encode(module, [one], packed=packed).states[0]
        changed = encode(module, [other], packed=packed).states[0]
    return torch.allclose(first, changed, atol=1e-6)


def attend_to_all(module: PreTrainedModel) -> None:
    """Lets every token of a packed decoder see the whole sequence."""
    for part in module.modules():
        if hasattr(part, "is_causal"):
            part.is_causal = False


def _probe(module: PreTrainedModel, length: int) -> Encoded:
    """Tokens that differ from their neighbours, none of them a special one of low id."""
    ordinary = max(1, module.config.vocab_size - 5)
    return Encoded([5 + 7 * i % ordinary for i in range(length)])


def _try(call: Callable[[], Any]) -> Any:
    """The call's value without gradients, or None where the model can't take such input."""
    try:
        with torch.no_grad():
            return call()
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):
        return None


def _packed_states(
    module: PreTrainedModel,
    ordered: Sequence[Encoded],
    lengths: Sequence[int],
    layer: int,
    edit: Edit | None,
) -> Tensor:
    device = module.device
    offset = position_offset(module)
    runs: list[Run] = []
    at = 0
    for length in lengths:
        if runs and runs[-1].length == length:
            runs[-1] = Run(runs[-1].start, runs[-1].number + 1, length)
        else:
            runs.append(Run(at, 1, length))
        at += length
    inputs = {
        "input_ids": torch.tensor([[t for s in ordered for t in s.ids]], device=device),
        "position_ids": torch.cat([torch.arange(n) for n in lengths])[None].to(device) + offset,
    }
    if ordered[0].types is not None:
        types = [t for s in ordered for t in s.types or ()]
        inputs["token_type_ids"] = torch.tensor([types], device=device)
    with _edited(module, edit, None):
        return _states(module, inputs, layer, runs=runs)[0]


def _padded_states(
    module: PreTrainedModel,
    ordered: Sequence[Encoded],
    lengths: Sequence[int],
    layer: int,
    edit: Edit | None,
) -> Tensor:
    device = module.device
    longest = max(lengths)
    pad = module.config.pad_token_id or 0
    inputs = {
        "input_ids": torch.tensor(
            [[*s.ids, *[pad] * (longest - len(s.ids))] for s in ordered], device=device
        )
    }
    if ordered[0].types is not None:
        inputs["token_type_ids"] = torch.tensor(
            [[*(s.types or ()), *[0] * (longest - len(s.ids))] for s in ordered], device=device
        )
    # From lengths, not from ids: a text may hold the padding token's id.
    mask = (
        torch.arange(longest, device=device)[None] < torch.tensor(lengths, device=device)[:, None]
    )
    with _edited(module, edit, mask):
        return _states(module, inputs | {"attention_mask": mask.long()}, layer)[mask]


def _states(module: PreTrainedModel, inputs: dict[str, Tensor], layer: int, **extra: Any) -> Tensor:
    """(B, T, H)"""
    if layer in (-1, module.config.num_hidden_layers):
        return module(**inputs, **extra).last_hidden_state  # type: ignore[no-any-return]
    return module(**inputs, output_hidden_states=True, **extra).hidden_states[layer]  # type: ignore[no-any-return]

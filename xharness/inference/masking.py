"""Masked language modelling: which tokens are hidden, and what stands in their place."""

from __future__ import annotations

import random

from transformers import PreTrainedTokenizerBase

from xharness.inference.packing import Encoded

SHARE, MASKED, RANDOM = 0.15, 0.8, 0.1


def mask_tokens(
    tokenizer: PreTrainedTokenizerBase, sequence: Encoded, generator: random.Random
) -> tuple[Encoded, tuple[tuple[int, int], ...]]:
    """The sequence with some tokens hidden, and (position, token id) of those.

    Of the tokens that are not special 15 % are chosen, each for itself: of these 80 % become the
    mask, 10 % any token of the vocabulary, special ones included, and 10 % stay as they are. None
    may be chosen. The choice is made once for each text, as in BERT's prepared data.

    Source: nyu-mll/jiant, jiant/tasks/lib/templates/mlm.py; BERT (arXiv 1810.04805).
    """
    special = set(tokenizer.all_special_ids)
    ids, hidden = list(sequence.ids), []
    for position, token in enumerate(sequence.ids):
        if token in special or generator.random() >= SHARE:
            continue
        hidden.append((position, token))
        kind = generator.random()
        if kind < MASKED:
            ids[position] = int(tokenizer.mask_token_id)
        elif kind < MASKED + RANDOM:
            ids[position] = generator.randrange(len(tokenizer))
    return Encoded(ids, sequence.types), tuple(hidden)

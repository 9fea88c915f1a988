"""Heads: small modules on a backbone's hidden states, one a kind. All compute in fp32."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from xharness.errors import Refused
from xharness.inference.packing import Hidden


class PooledHead(nn.Module):
    """Sequence vector -> K logits. `mean` and `last` go straight to the linear layer; `cls` takes
    the first token through a dense layer and tanh, as RoBERTa's classification head does."""

    def __init__(self, width: int, outputs: int, pooling: str, dropout: float) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        if pooling == "cls":
            self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, hidden: Hidden) -> Tensor:
        """(N, K)"""
        if self.pooling != "cls":
            pooled = hidden.mean() if self.pooling == "mean" else hidden.last().float()
            return self.out(self.dropout(pooled))  # type: ignore[no-any-return]
        first = self.dropout(hidden.first().float())
        return self.out(self.dropout(torch.tanh(self.dense(first))))  # type: ignore[no-any-return]


class TokenHead(nn.Module):
    """Token state -> T logits: tags, or start and end of an answer."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, outputs)

    def forward(self, states: Tensor) -> Tensor:
        """(T, H) -> (T, outputs)"""
        return self.out(self.dropout(states.float()))  # type: ignore[no-any-return]


class VocabularyHead(nn.Module):
    """Token state -> V logits, one a word embedding: a dense layer, GELU and layer norm, then the
    product with the embeddings, which are the backbone's own, as in BERT."""

    def __init__(self, width: int, words: nn.Module) -> None:
        super().__init__()
        if not isinstance(words, nn.Embedding):
            raise Refused(f"word embeddings of type {type(words).__name__} give no logits")
        self.dense = nn.Linear(width, words.embedding_dim)
        self.norm = nn.LayerNorm(words.embedding_dim)
        self.bias = nn.Parameter(torch.zeros(words.num_embeddings))
        self.shared = (words,)  # in a tuple, so that it is not registered as the head's own

    def forward(self, states: Tensor) -> Tensor:
        """(T, H) -> (T, V)"""
        turned = self.norm(gelu(self.dense(states.float())))
        return linear(turned, self.shared[0].weight.float(), self.bias)


class ScaleHead(nn.Module):
    """Dual encoders have no layer of their own: only the factor on similarities is trained.

    Source: the official dual encoder starts it at 100 (google-research/xtreme
    third_party/run_retrieval_qa.py).
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(100.0))

    def forward(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Unit vectors (B, D), (B, D) -> (B, B) scaled similarities."""
        return self.scale * (queries @ candidates.T)


def initialise(head: nn.Module, seed: int) -> None:
    """Normal weights of deviation 0.02 and zero biases, from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    for part in head.modules():
        if isinstance(part, nn.Linear):
            with torch.no_grad():
                part.weight.normal_(0.0, 0.02, generator=generator)
                part.bias.zero_()

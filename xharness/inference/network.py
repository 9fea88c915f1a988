"""A backbone with the head of a task's kind: what is trained, and what predictors run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, normalize
from torch.nn.utils.rnn import pad_sequence

from xharness.cards import Lora, Recipe, TaskCard
from xharness.data.items import Choice, Item, Match, Pair, Question, Sentence, Text
from xharness.errors import DataError, PluginError, Refused
from xharness.inference.backbone import Backbone
from xharness.inference.features import (
    answer_target,
    encode_pairs,
    encode_questions,
    encode_sentences,
    encode_texts,
    keep_windows,
)
from xharness.inference.heads import PooledHead, ScaleHead, TokenHead, VocabularyHead, initialise
from xharness.inference.lora import add_updates
from xharness.inference.masking import mask_tokens
from xharness.inference.packing import Edit, Encoded, Hidden, encode

# Logit of a class that a row does not have: its share is exactly 0, and 0 times a difference of
# such logits is 0, which it would not be with infinities.
ABSENT = -1e9


@dataclass(frozen=True, slots=True)
class Example:
    """What is trained on.

    sequences  one for pairs, sentences and windows; one an option for choices; query and
               candidate for dual encoders.
    target     label index; (position, tag index or token id) pairs; (start, end) positions;
               nothing.
    units      how many losses it adds to the mean: words for tagging, tokens for masked texts,
               else 1.
    task       number of its head in a `Joint` network.
    """

    sequences: tuple[Encoded, ...]
    target: Any
    units: int
    task: int = 0

    @property
    def tokens(self) -> int:
        return sum(len(sequence.ids) for sequence in self.sequences)


class Outputs(NamedTuple):
    """What a pass says about labelled examples: `logits` (R, K) and `targets` (R,).

    A row is an example (K labels, options, or the batch's candidates), a word (K tags), or one
    end of a window (K positions; first all starts, then all ends). Rows of a window shorter than
    the longest hold `ABSENT` at the end.
    """

    logits: Tensor
    targets: Tensor

    @property
    def loss(self) -> Tensor:
        """() mean cross-entropy over the rows."""
        return cross_entropy(self.logits, self.targets)

    def divergence(self, other: Outputs) -> Tensor:
        """() mean over the rows of KL(self || other), in nats; gradients flow into both."""
        log_p = log_softmax(self.logits, dim=1)
        log_q = log_softmax(other.logits, dim=1)
        return (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()

    def detach(self) -> Outputs:
        """The same without gradient."""
        return Outputs(self.logits.detach(), self.targets)


def cannot(asks: str, task: TaskCard) -> PluginError:
    return PluginError(
        f"tasks of kind {task.kind!r} ask a model to {asks!r}, which a network with a head can't: "
        f"evaluate {task.name!r} with a producer whose models can."
    )


class Network(nn.Module):
    """The head is the one that `asks` needs (see `roles.Evaluator`; `mlm` is to find hidden tokens,
    which is trained only) and new, from `seed`;
    `freeze_embeddings` keeps the word, position and type embeddings as they are. With `lora` all
    of the backbone stays as it is, and low-rank updates, new from `seed` too, are trained beside
    its linear layers.

    Raises PluginError when no head can do what is asked for."""

    def __init__(
        self,
        backbone: Backbone,
        task: TaskCard,
        asks: str,
        *,
        seed: int,
        freeze_embeddings: bool = False,
        lora: Lora | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.task = task
        self.asks = asks
        self.module = backbone.module
        self.batchable = asks != "embed"  # in-batch negatives need the whole batch
        config = self.module.config
        dropout = getattr(config, "hidden_dropout_prob", getattr(config, "dropout", 0.1))
        width, pooling = backbone.hidden_size, str(backbone.profile.head)
        self.head: nn.Module
        if asks == "classify":
            self.head = PooledHead(width, len(task.labels), pooling, dropout)
        elif asks == "choose":
            self.head = PooledHead(width, 1, pooling, dropout)
        elif asks == "tag":
            self.head = TokenHead(width, len(task.labels), dropout)
        elif asks == "extract":
            self.head = TokenHead(width, 2, dropout)
        elif asks == "mlm":
            self.head = VocabularyHead(width, self.module.get_input_embeddings())
        elif asks == "embed":
            self.head = ScaleHead()
        else:
            raise cannot(asks, task)
        initialise(self.head, seed)
        self.head.to(self.module.device)
        self.lora = lora
        if lora:
            add_updates(self.module, lora, seed)
        elif freeze_embeddings:
            # Decoders have no module of all embeddings, only that of the words.
            words = self.module.get_input_embeddings()
            for parameter in getattr(self.module, "embeddings", words).parameters():
                parameter.requires_grad_(False)

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids that the tokenizer adds; the unknown token stands for text, so it is none."""
        tokenizer = self.backbone.tokenizer
        return frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    def hidden(
        self, sequences: Sequence[Encoded], layer: int = -1, edit: Edit | None = None
    ) -> Hidden:
        """Hidden states of the sequences, in one pass; `edit` changes the word embeddings."""
        packed = self.backbone.packed
        return encode(self.module, sequences, packed=packed, layer=layer, edit=edit)

    def vectors(self, sequences: Sequence[Encoded], edit: Edit | None = None) -> Tensor:
        """(N, D) float32 sentence vectors as the backbone's profile takes them."""
        profile = self.backbone.profile
        layer = profile.layer if profile.layer is not None else -1
        hidden = self.hidden(sequences, layer, edit)
        if profile.pooling == "mean":
            return hidden.mean()
        return (hidden.first() if profile.pooling == "cls" else hidden.last()).float()

    @property
    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of the head."""
        return {"task": self.task.name, "kind": self.task.kind, "labels": self.task.labels}

    def parameter_groups(self: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
        """AdamW's groups: no weight decay on biases and layer norms, the head's own rate."""
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                key = (name.startswith("head."), parameter.ndim < 2)
                groups.setdefault(key, []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": recipe.learning_rate * (recipe.head_rate_factor if in_head else 1.0),
                "weight_decay": 0.0 if flat else recipe.weight_decay,
            }
            for (in_head, flat), parameters in groups.items()
        ]

    def examples(
        self, items: Sequence[Item], recipe: Recipe, generator: random.Random
    ) -> list[Example]:
        """Tokenised training examples; `generator` chooses the windows without the answer.

        Raises DataError for a label that the task's card does not have, PluginError for items
        that no head is trained on.
        """
        if not items:
            return []
        makers: dict[Any, Any] = {
            Pair: self._pairs,
            Choice: self._choices,
            Sentence: self._sentences,
            Question: self._questions,
            Match: self._matches,
            Text: self._texts,
        }
        kind = type(items[0])
        if kind not in makers:
            raise PluginError(f"{self.task.name}: no head is trained on {kind.__name__} items.")
        examples: list[Example] = makers[kind](items, recipe, generator)
        return examples

    def forward(self, examples: Sequence[Example], edit: Edit | None = None) -> Outputs:
        """Logits and targets of the examples, in one pass; `edit` changes the word embeddings."""
        sequences = [s for example in examples for s in example.sequences]
        if self.asks == "embed":
            vectors = normalize(self.vectors(sequences, edit), dim=1)
            scores = self.head(vectors[0::2], vectors[1::2])  # (B, B)
            return Outputs(scores, torch.arange(len(scores), device=scores.device))
        hidden = self.hidden(sequences, edit=edit)
        device = hidden.states.device
        if self.asks in ("classify", "choose"):
            logits = self.head(hidden)  # (B, K), or (B * C, 1)
            if self.asks == "choose":
                logits = logits.view(len(examples), -1)
            return Outputs(logits, torch.tensor([e.target for e in examples], device=device))
        if self.asks == "mlm":  # logits of the hidden tokens only: the vocabulary is large
            places = zip(hidden.starts, examples, strict=True)
            at = [start + position for start, e in places for position, _ in e.target]
            tokens = [token for e in examples for _, token in e.target]
            masked = self.head(hidden.states[torch.tensor(at, device=device)])
            return Outputs(masked, torch.tensor(tokens, device=device))
        logits = self.head(hidden.states)  # (T, tags) or (T, 2)
        if self.asks == "tag":
            rows, tags = [], []
            for start, example in zip(hidden.starts, examples, strict=True):
                rows += [start + position for position, _ in example.target]
                tags += [tag for _, tag in example.target]
            chosen = logits[torch.tensor(rows, device=device)]
            return Outputs(chosen, torch.tensor(tags, device=device))
        windows = [
            logits[start : start + length]
            for start, length in zip(hidden.starts, hidden.lengths, strict=True)
        ]
        ends = pad_sequence(windows, batch_first=True, padding_value=ABSENT)  # (B, T, 2)
        targets = torch.tensor([e.target for e in examples], device=device)  # (B, 2)
        return Outputs(ends.permute(2, 0, 1).flatten(0, 1), targets.T.flatten())

    def _label(self, label: str, item: Item) -> int:
        try:
            return self.task.labels.index(label)
        except ValueError:
            raise DataError(
                f"{self.task.name}: item {item.id!r} has the label {label!r}; the card has "
                f"{', '.join(self.task.labels)}"
            ) from None

    def _pairs(self, items: Sequence[Pair], recipe: Recipe, _: random.Random) -> list[Example]:
        length = recipe.max_length or self.task.preprocessing.max_length
        pairs = [(item.first, item.second) for item in items]
        cut = self.task.preprocessing.cut
        encoded = encode_pairs(self.backbone.tokenizer, pairs, length, cut)
        return [
            Example((sequence,), self._label(str(item.label), item), 1)
            for item, sequence in zip(items, encoded, strict=True)
        ]

    def _choices(self, items: Sequence[Choice], recipe: Recipe, _: random.Random) -> list[Example]:
        length = recipe.max_length or self.task.preprocessing.max_length
        pairs = [(item.premise, option) for item in items for option in item.options]
        cut = self.task.preprocessing.cut
        encoded = iter(encode_pairs(self.backbone.tokenizer, pairs, length, cut))
        return [
            Example(tuple(next(encoded) for _ in item.options), item.label, 1) for item in items
        ]

    def _sentences(
        self, items: Sequence[Sentence], recipe: Recipe, _: random.Random
    ) -> list[Example]:
        length = recipe.max_length or self.task.preprocessing.max_length
        words = [item.words for item in items]
        pieces = encode_sentences(self.backbone.tokenizer, words, length, self.backbone.causal)
        examples = []
        done = [0] * len(items)
        for piece in pieces:
            item, at = items[piece.sentence], done[piece.sentence]
            tags = (item.tags or ())[at : at + len(piece.positions)]
            target = tuple(
                (position, self._label(tag, item))
                for position, tag in zip(piece.positions, tags, strict=True)
            )
            done[piece.sentence] += len(target)
            examples.append(Example((piece.encoded,), target, len(target)))
        return examples

    def _questions(
        self, items: Sequence[Question], recipe: Recipe, generator: random.Random
    ) -> list[Example]:
        preprocessing = self.task.preprocessing
        windows = encode_questions(
            self.backbone.tokenizer,
            [item.question for item in items],
            [item.context for item in items],
            preprocessing,
            recipe.max_length or preprocessing.max_length,
            recipe.doc_stride or preprocessing.doc_stride,
        )
        by_question: list[list[Any]] = [[] for _ in items]
        for window in windows:
            by_question[window.question].append(window)
        examples = []
        for item, group in zip(items, by_question, strict=True):
            # A window without the answer points at its first token.
            targets: list[tuple[int, int] | None] = [(0, 0)] * len(group)
            if not item.impossible:
                answer = item.answers[0]  # the official trainers use the first one only
                end = answer.start + len(answer.text)
                targets = [answer_target(window, answer.start, end) for window in group]
            kept = keep_windows(targets, recipe.empty_windows, generator)
            examples += [
                Example((window.encoded,), target or (0, 0), 1)
                for window, target, keep in zip(group, targets, kept, strict=True)
                if keep
            ]
        return examples

    def _matches(self, items: Sequence[Match], recipe: Recipe, _: random.Random) -> list[Example]:
        preprocessing, tokenizer = self.task.preprocessing, self.backbone.tokenizer
        prefix = str(self.backbone.profile.prefix)
        queries = encode_texts(
            tokenizer, [prefix + i.query for i in items], preprocessing.max_query_length
        )
        candidates = encode_texts(
            tokenizer,
            [prefix + i.candidate for i in items],
            recipe.max_length or preprocessing.max_candidate_length,
        )
        return [Example((q, c), None, 1) for q, c in zip(queries, candidates, strict=True)]

    def _texts(
        self, items: Sequence[Text], recipe: Recipe, generator: random.Random
    ) -> list[Example]:
        tokenizer = self.backbone.tokenizer
        length = recipe.max_length or self.task.preprocessing.max_length
        if tokenizer.mask_token_id is None or self.backbone.causal:
            raise Refused(
                f"{self.task.name}: backbone {self.backbone.name!r} can't be trained on masked "
                "texts: " + ("it sees no later tokens" if self.backbone.causal else "no mask token")
            )
        encoded = encode_texts(tokenizer, [item.text for item in items], length)
        masked = [mask_tokens(tokenizer, sequence, generator) for sequence in encoded]
        # A short text may have nothing masked: it has no loss, and its mean would be NaN.
        return [Example((s,), target, len(target)) for s, target in masked if target]

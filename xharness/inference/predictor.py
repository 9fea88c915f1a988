"""Predictors: a network's capability for one task, texts in and numpy out.

Whatever is asked twice is encoded once: outputs are kept by input for as long as the predictor
lives, which is one job; only of a ranking task's pool each call is on its own. Logits, pooling
and scores are fp32 also where the backbone runs in bf16.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from xharness.cards import TaskCard
from xharness.inference.features import (
    Window,
    encode_pairs,
    encode_questions,
    encode_sentences,
    encode_texts,
)
from xharness.inference.nbest import best_spans
from xharness.inference.network import Network, cannot
from xharness.inference.onednn import fast_linears, gemm
from xharness.inference.packing import PACK_TOKENS, Encoded, Hidden, batches
from xharness.plugins.roles import Span

Floats = npt.NDArray[np.float32]
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def predictor(network: Network, task: TaskCard, asks: str, batch_tokens: int | None = None) -> Any:
    """What can predict on `task` with this network: an object with the one method that the
    task's evaluator `asks` for. `batch_tokens` is the size of one forward pass; None chooses by
    device. Raises PluginError for a method that networks don't have."""
    classes: dict[str, type[_Predictor]] = {
        "classify": PairPredictor,
        "choose": ChoicePredictor,
        "tag": TagPredictor,
        "extract": SpanPredictor,
        "embed": TextPredictor,
    }
    if asks not in classes:
        raise cannot(asks, task)
    return classes[asks](network, task, batch_tokens)


class _Predictor:
    def __init__(self, network: Network, task: TaskCard, batch_tokens: int | None) -> None:
        self.network = network
        self.task = task
        device = network.module.device.type
        self.budget = batch_tokens or PACK_TOKENS.get(device, PACK_TOKENS["cpu"])
        self.known: dict[Any, Any] = {}
        self.tokens = 0  # encoded so far
        # Which matrix product is used is chosen by the machine, so records tell it.
        on_cpu_fp32 = device == "cpu" and network.module.dtype is torch.float32
        self.gemm = gemm() if on_cpu_fp32 else "torch"
        network.eval()

    def forward(
        self,
        sequences: Sequence[Encoded],
        run: Callable[[list[Encoded]], V],
        handle: Callable[[list[int], V], None],
    ) -> None:
        """Calls `handle` with the indices and what `run` makes of pack after pack."""
        lengths = [len(sequence.ids) for sequence in sequences]
        self.tokens += sum(lengths)
        packed = self.network.backbone.packed
        # Padded batches waste less when they are small.
        budget = self.budget if packed else max(1, self.budget // 2)
        with torch.inference_mode(), fast_linears(self.network.module):
            for group in batches(lengths, budget, padded=not packed):
                handle(group, run([sequences[i] for i in group]))

    def remember(self, keys: Sequence[K], compute: Callable[[list[K]], Sequence[V]]) -> list[V]:
        """Values by key, in order; `compute` is asked for new keys only, each once."""
        new = [key for key in dict.fromkeys(keys) if key not in self.known]
        if new:
            self.known.update(zip(new, compute(new), strict=True))
        return [self.known[key] for key in keys]


class PairPredictor(_Predictor):
    def classify(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Logits (N, K)."""
        keys = [(first, second) for first, second in pairs]
        return np.stack(self.remember(keys, self._logits))

    def _logits(self, pairs: Sequence[tuple[str, str]]) -> list[Floats]:
        told = self.task.preprocessing
        encoded = encode_pairs(self.network.backbone.tokenizer, pairs, told.max_length, told.cut)
        rows: list[Floats] = [np.empty(0, np.float32)] * len(pairs)

        def handle(group: list[int], hidden: Hidden) -> None:
            for i, row in zip(group, self.network.head(hidden).cpu().numpy(), strict=True):
                rows[i] = row

        self.forward(encoded, self.network.hidden, handle)
        return rows


class ChoicePredictor(PairPredictor):
    def choose(self, premises: Sequence[str], options: Sequence[Sequence[str]]) -> Floats:
        """Scores (N, C)."""
        pairs = [
            (p, option) for p, group in zip(premises, options, strict=True) for option in group
        ]
        return self.classify(pairs).reshape(len(premises), -1)


class TagPredictor(_Predictor):
    def tag(self, sentences: Sequence[Sequence[str]]) -> list[Floats]:
        """Logits (W, T) for each sentence, from the sub-word that stands for each word."""
        return self.remember([tuple(sentence) for sentence in sentences], self._logits)

    def _logits(self, sentences: Sequence[tuple[str, ...]]) -> list[Floats]:
        backbone = self.network.backbone
        pieces = encode_sentences(
            backbone.tokenizer, sentences, self.task.preprocessing.max_length, backbone.causal
        )
        parts: list[Floats] = [np.empty((0, len(self.task.labels)), np.float32)] * len(pieces)

        def handle(group: list[int], hidden: Hidden) -> None:
            rows = [hidden.starts[n] + p for n, i in enumerate(group) for p in pieces[i].positions]
            states = hidden.states[torch.tensor(rows, device=hidden.states.device)]
            logits = self.network.head(states).cpu().numpy()
            at = 0
            for i in group:
                parts[i] = logits[at : at + len(pieces[i].positions)]
                at += len(pieces[i].positions)

        self.forward([piece.encoded for piece in pieces], self.network.hidden, handle)
        whole: list[list[Floats]] = [[] for _ in sentences]
        for piece, part in zip(pieces, parts, strict=True):
            whole[piece.sentence].append(part)
        empty = np.empty((0, len(self.task.labels)), np.float32)
        return [np.concatenate(group) if group else empty for group in whole]


class SpanPredictor(_Predictor):
    def extract(self, questions: Sequence[str], contexts: Sequence[str]) -> list[list[Span]]:
        """At most `n_best` spans a question, best first, each text once."""
        return self.remember(list(zip(questions, contexts, strict=True)), self._spans)

    def _spans(self, asked: Sequence[tuple[str, str]]) -> list[list[Span]]:
        preprocessing = self.task.preprocessing
        contexts = [context for _, context in asked]
        windows = encode_questions(
            self.network.backbone.tokenizer,
            [question for question, _ in asked],
            contexts,
            preprocessing,
            min(preprocessing.max_length, self.network.backbone.max_tokens),
            preprocessing.doc_stride,
        )
        found: list[list[Span]] = [[] for _ in asked]

        def handle(group: list[int], hidden: Hidden) -> None:
            logits = self.network.head(hidden.states).cpu().numpy()
            shown = [windows[i] for i in group]
            self._collect(shown, logits, hidden, found)

        self.forward([window.encoded for window in windows], self.network.hidden, handle)
        return [
            _distinct(spans, context, preprocessing.n_best)
            for spans, context in zip(found, contexts, strict=True)
        ]

    def _collect(
        self, windows: list[Window], logits: Floats, hidden: Hidden, found: list[list[Span]]
    ) -> None:
        size = (len(windows), max(hidden.lengths))
        starts, ends = np.full(size, -np.inf, np.float32), np.full(size, -np.inf, np.float32)
        context, best = np.zeros(size, bool), np.zeros(size, bool)
        for row, window in enumerate(windows):
            at, length = hidden.starts[row], hidden.lengths[row]
            starts[row, :length], ends[row, :length] = logits[at : at + length].T
            told = slice(window.first, window.first + len(window.offsets))
            context[row, told] = True
            best[row, told] = window.max_context
        preprocessing = self.task.preprocessing
        spans = best_spans(
            starts, ends, context, best, preprocessing.n_best, preprocessing.max_answer_length
        )
        for row, window in enumerate(windows):
            for first, last, score in zip(*(part[row] for part in spans), strict=True):
                if first < 0:
                    break
                begin = window.offsets[first - window.first][0]
                end = window.offsets[last - window.first][1]
                found[window.question].append(Span(begin, end, float(score)))


class TextPredictor(_Predictor):
    def embed(self, texts: Sequence[str], side: str) -> Floats:
        """Vectors (N, D) as the backbone's profile takes them; `side` sets the length limit."""
        preprocessing = self.task.preprocessing
        limit = {
            "query": preprocessing.max_query_length,
            "candidate": preprocessing.max_candidate_length,
        }[side]
        limit = min(limit, self.network.backbone.max_tokens)
        keys = [(text, limit) for text in texts]
        if side == "candidate" and self.task.kind == "ranking":
            # The evaluator keeps the pool's vectors for all languages: a million of them must
            # not be in memory twice.
            known = self.known.copy()
            vectors = np.stack(self.remember(keys, self._vectors))
            self.known = known
            return vectors
        return np.stack(self.remember(keys, self._vectors))

    def _vectors(self, keys: Sequence[tuple[str, int]]) -> list[Floats]:
        backbone = self.network.backbone
        texts = [f"{backbone.profile.prefix}{text}" for text, _ in keys]
        encoded = encode_texts(backbone.tokenizer, texts, keys[0][1])
        vectors = np.empty((len(texts), backbone.hidden_size), np.float32)

        def handle(group: list[int], found: torch.Tensor) -> None:
            vectors[group] = found.cpu().numpy()

        self.forward(encoded, self.network.vectors, handle)
        return list(vectors)


def _distinct(spans: list[Span], context: str, most: int) -> list[Span]:
    """The best spans of all windows, each text once; stable, so that earlier windows win ties."""
    best: dict[str, Span] = {}
    for span in sorted(spans, key=lambda span: -span.score):
        best.setdefault(context[span.start : span.end], span)
    return list(best.values())[:most]

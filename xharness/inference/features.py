"""From items to token sequences: the official preprocessing, in batch calls of the tokenizer.

Source: google-research/xtreme third_party (utils_tag.py, run_squad.py, run_xcopa.py,
processors/); lengths come from the task cards.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tokenizers.processors import Sequence as Sequenced
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from xharness.cards import Preprocessing
from xharness.errors import Refused
from xharness.inference.packing import Encoded


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a sentence that fits the model: `positions` holds where the sub-word that stands
    for each of its words is in `encoded`."""

    sentence: int
    encoded: Encoded
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A question with a stretch of its context.

    first, last   positions of the context's tokens in `encoded` (last included).
    offsets       for each position from `first` on, its code points [start, end) in the context.
    max_context   for each position from `first` on: no other window shows more context round it.
    """

    question: int
    encoded: Encoded
    first: int
    offsets: tuple[tuple[int, int], ...]
    max_context: tuple[bool, ...]


def has_types(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model tells the two texts of a pair apart by token types."""
    return "token_type_ids" in tokenizer.model_input_names


def encode_texts(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int
) -> list[Encoded]:
    """Single texts, cut at the end."""
    return _encoded(tokenizer, tokenizer(list(texts), truncation=True, max_length=max_length))


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str, str]],
    max_length: int,
    cut: str = "end",
) -> list[Encoded]:
    """Pairs of texts; the longer one loses tokens from its end (or start) until both fit."""
    firsts, seconds = [a for a, _ in pairs], [b for _, b in pairs]
    side = tokenizer.truncation_side
    tokenizer.truncation_side = {"end": "right", "start": "left"}[cut]
    try:
        batch = tokenizer(firsts, seconds, truncation="longest_first", max_length=max_length)
    finally:
        tokenizer.truncation_side = side
    return _encoded(tokenizer, batch)


def encode_sentences(
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[Sequence[str]],
    max_length: int,
    last_subword: bool = False,
) -> list[Piece]:
    """Sentences cut between words where they are too long for the model.

    Words are tokenised one by one; a word without a sub-word, or longer alone than a whole
    piece, becomes the unknown token. (scripts/preprocess of UD-POS and PAN-X cut the same way.)
    The first sub-word stands for its word; where tokens see only what is before them, the last.
    """
    vocabulary = sorted({word for sentence in sentences for word in sentence})
    unknown = [tokenizer.unk_token_id]
    if tokenizer.unk_token_id is None:
        unknown = [tokenizer.eos_token_id]
    room = max_length - tokenizer.num_special_tokens_to_add(pair=False)
    if tokenizer.convert_tokens_to_ids("▁") != tokenizer.unk_token_id:
        # XLM-R's script reserves three places: two of them for its doubled separator.
        room = max_length - 3
    known: dict[str, list[int]] = {}
    if vocabulary:
        ids = tokenizer(
            [_space_before(tokenizer) + word for word in vocabulary],
            add_special_tokens=False,
            return_attention_mask=False,
        )
        for word, subwords in zip(vocabulary, ids["input_ids"], strict=True):
            known[word] = subwords if 0 < len(subwords) <= room else unknown
    frame = _frame(tokenizer, pair=False)
    pieces = []
    for number, sentence in enumerate(sentences):
        tokens: list[int] = []
        positions: list[int] = []
        for word in sentence:
            if tokens and len(tokens) + len(known[word]) > room:
                pieces.append(_piece(frame, number, tokens, positions))
                tokens, positions = [], []
            positions.append(len(tokens) + (len(known[word]) - 1 if last_subword else 0))
            tokens = tokens + known[word]
        if positions:
            pieces.append(_piece(frame, number, tokens, positions))
    return pieces


def encode_questions(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    contexts: Sequence[str],
    preprocessing: Preprocessing,
    max_length: int,
    doc_stride: int,
) -> list[Window]:
    """Overlapping windows: the question, cut to its limit, then a stretch of the context.

    Windows start `doc_stride` context tokens apart, as in SQuAD's official preparation.
    Raises Refused when the lengths leave no room for context.
    """
    limit = preprocessing.max_question_length
    asked = tokenizer(list(questions), add_special_tokens=False, truncation=True, max_length=limit)[
        "input_ids"
    ]
    # Contexts repeat (five questions a paragraph): each is tokenised once.
    unique = list(dict.fromkeys(contexts))
    told = tokenizer(unique, add_special_tokens=False, return_offsets_mapping=True)
    where = {context: i for i, context in enumerate(unique)}
    frame = _frame(tokenizer, pair=True)
    specials = tokenizer.num_special_tokens_to_add(pair=True)
    windows: list[Window] = []
    for number, (question, context) in enumerate(zip(asked, contexts, strict=True)):
        at = where[context]
        tokens, offsets = told["input_ids"][at], told["offset_mapping"][at]
        room = max_length - len(question) - specials
        if room < 1 or doc_stride < 1:
            raise Refused(
                f"windows of max_length {max_length} with doc_stride {doc_stride} have no room for "
                f"context beside a question of {len(question)} tokens and {specials} special ones"
            )
        stretches = []
        start = 0
        while True:
            length = min(room, len(tokens) - start)
            stretches.append((start, length))
            if start + length >= len(tokens):
                break
            start += min(length, doc_stride)
        for i, (start, length) in enumerate(stretches):
            encoded, first = _with_specials(frame, question, tokens[start : start + length])
            best = tuple(
                i == _widest(stretches, position) for position in range(start, start + length)
            )
            spans = tuple((int(a), int(b)) for a, b in offsets[start : start + length])
            windows.append(Window(number, encoded, first, spans, best))
    return windows


def answer_target(window: Window, start: int, end: int) -> tuple[int, int] | None:
    """Positions in `window` of the tokens that hold the answer [start, end) of the context, or
    None when it is not wholly inside."""
    inside = [i for i, (a, b) in enumerate(window.offsets) if a < end and b > start]
    if not inside:
        return None
    first, last = inside[0], inside[-1]
    if window.offsets[first][0] > start or window.offsets[last][1] < end:
        return None
    return window.first + first, window.first + last


def keep_windows(
    targets: Sequence[tuple[int, int] | None], share: float, generator: random.Random
) -> list[bool]:
    """Which windows of one question are trained on: those with the answer, and of the others
    each with probability `share`."""
    return [target is not None or generator.random() < share for target in targets]


def _widest(stretches: Sequence[tuple[int, int]], position: int) -> int:
    """The stretch with the most context on the shorter side of a token; earlier ones win ties,
    longer ones win by a hundredth (run_squad's `_check_is_max_context`)."""
    best, widest = 0, -1.0
    for i, (start, length) in enumerate(stretches):
        end = start + length - 1
        if start <= position <= end:
            score = min(position - start, end - position) + 0.01 * length
            if score > widest:
                best, widest = i, score
    return best


def _piece(frame: _Frame, sentence: int, tokens: list[int], positions: list[int]) -> Piece:
    encoded, first = _with_specials(frame, tokens)
    return Piece(sentence, encoded, tuple(first + p for p in positions))


def _space_before(tokenizer: PreTrainedTokenizerBase) -> str:
    """A space where words inside a text are other tokens than words at its beginning."""
    within = tokenizer(" a", add_special_tokens=False)["input_ids"]
    return "" if within == tokenizer("a", add_special_tokens=False)["input_ids"] else " "


def end_texts(tokenizer: PreTrainedTokenizerBase) -> None:
    """Makes a tokenizer put its end-of-sequence token after each text, if it puts nothing there:
    most decoders' don't, and then neither the end of a text nor the border of a pair is marked.

    Raises Refused when there is no such token.
    """
    frame = _frame(tokenizer, pair=False)
    if frame.after:
        return
    if tokenizer.eos_token is None:
        raise Refused("the backbone's tokenizer has no end-of-sequence token to end texts with")
    backend = tokenizer.backend_tokenizer
    before = tokenizer.convert_ids_to_tokens(frame.before)
    end = tokenizer.eos_token
    numbers = zip((*before, end), (*frame.before, tokenizer.eos_token_id), strict=True)
    template = TemplateProcessing(
        single=[*before, "$A", end],
        pair=[*before, "$A", end, "$B", end],
        special_tokens=list(dict(numbers).items()),
    )
    kept = [] if backend.post_processor is None or frame.before else [backend.post_processor]
    backend.post_processor = Sequenced([*kept, template])


class _Frame(NamedTuple):
    """A tokenizer's special tokens before, between and after, and the token type of the second
    text with what follows it (None where there are no types)."""

    before: list[int]
    between: list[int]
    after: list[int]
    second_type: int | None


def _with_specials(
    frame: _Frame, one: list[int], two: Sequence[int] | None = None
) -> tuple[Encoded, int]:
    """The sequence with special tokens, and where the last given text begins in it."""
    ids = [*frame.before, *one, *frame.between]
    first = len(frame.before) if two is None else len(ids)
    rest = [*(two or ()), *frame.after]
    types = None
    if frame.second_type is not None:
        types = [0] * len(ids) + [frame.second_type] * len(rest)
    return Encoded([*ids, *rest], types), first


def _frame(tokenizer: PreTrainedTokenizerBase, pair: bool) -> _Frame:
    """Read off what the tokenizer itself makes of a short text or pair."""
    text = "a"
    plain = tokenizer(text, add_special_tokens=False)["input_ids"]
    n = len(plain)
    encoded = tokenizer(text, text if pair else None)
    whole = encoded["input_ids"]
    second_type = encoded["token_type_ids"][-1] if has_types(tokenizer) else None
    starts = [i for i in range(len(whole) - n + 1) if whole[i : i + n] == plain]
    first = starts[0]
    if not pair:
        return _Frame(whole[:first], [], whole[first + n :], second_type)
    second = next(i for i in starts if i >= first + n)
    return _Frame(whole[:first], whole[first + n : second], whole[second + n :], second_type)


def _encoded(tokenizer: PreTrainedTokenizerBase, batch: Any) -> list[Encoded]:
    if not has_types(tokenizer):
        return [Encoded(ids) for ids in batch["input_ids"]]
    rows = zip(batch["input_ids"], batch["token_type_ids"], strict=True)
    return [Encoded(ids, types) for ids, types in rows]

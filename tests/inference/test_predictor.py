from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from xharness.cards import Profile, TaskCard
from xharness.errors import PluginError
from xharness.inference.features import encode_questions
from xharness.inference.network import Network
from xharness.inference.predictor import predictor
from xharness.plugins.roles import Chooser, Classifier, Embedder, Extractor, Span, Tagger

Make = Callable[..., Network]

PAIRS = [
    ("the cat sat", "the mat"),
    ("abc", "the cat the cat abcdefgh"),
    ("a", "b"),
    ("the mat", "the cat sat"),
]
SENTENCES = [("the", "abcdef", "cat"), ("sat",), (), ("abc", "the", "mat", "mat", "cat")]


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        ("classification", Classifier),
        ("choice", Chooser),
        ("tagging", Tagger),
        ("span", Extractor),
        ("bitext", Embedder),
        ("ranking", Embedder),
    ],
)
def test_each_kind_has_its_capability(kind: str, role: Any, make_network: Make) -> None:
    network = make_network(kind, "A B")
    assert isinstance(predictor(network, network.task, network.asks), role)


def test_what_a_kind_of_a_plugin_asks_for_decides_head_and_capability(make_network: Make) -> None:
    backbone = make_network("classification", "A B").backbone
    task = TaskCard(
        name="own", kind="stance", description="", languages=[], metric="", official=[], score=[],
        labels=["for", "against"],
    )  # fmt: skip
    network = Network(backbone, task, "classify", seed=1)
    assert predictor(network, task, "classify").classify([("cat", "mat")]).shape == (1, 2)
    assert predictor(network, task, "embed").embed(["cat"], "query").shape == (1, 32)
    with pytest.raises(PluginError, match="kind 'stance' ask a model to 'rhyme'"):
        predictor(network, task, "rhyme")
    with pytest.raises(PluginError, match="evaluate 'own' with a producer"):
        Network(backbone, task, "rhyme", seed=1)


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "distilbert", "deberta-v2"])
@pytest.mark.parametrize("head", ["mean", "cls"])
def test_logits_do_not_depend_on_what_is_asked_together(
    architecture: str, head: Any, make_network: Make
) -> None:
    network = make_network(
        "classification", "A B C", architecture=architecture, profile=Profile(head=head)
    )
    together = predictor(network, network.task, network.asks).classify(PAIRS)
    small = predictor(network, network.task, network.asks, batch_tokens=8).classify(PAIRS)
    alone = [predictor(network, network.task, network.asks).classify([pair])[0] for pair in PAIRS]
    assert together.shape == (4, 3)
    assert together.dtype == np.float32
    assert np.ptp(together, axis=0).min() > 1e-3  # texts are told apart, so order can be seen
    np.testing.assert_allclose(small, together, atol=1e-5)
    np.testing.assert_allclose(np.stack(alone), together, atol=1e-5)


def test_equal_texts_are_encoded_once(make_network: Make) -> None:
    network = make_network("classification", "A B")
    rows: list[int] = []
    embeddings = network.module.get_input_embeddings()
    embeddings.register_forward_hook(lambda _m, inputs, _o: rows.append(inputs[0].numel()))
    model = predictor(network, network.task, network.asks)
    first = model.classify([PAIRS[0], PAIRS[2], PAIRS[0]])
    seen = sum(rows)
    assert seen == 8 + 5 == model.tokens  # five words or two letters, and three special tokens
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(model.classify([PAIRS[2], PAIRS[0]]), first[[1, 0]])
    assert sum(rows) == seen


def test_of_ranking_tasks_queries_are_remembered_and_the_pool_is_not(make_network: Make) -> None:
    network = make_network("ranking")
    model = predictor(network, network.task, "embed")
    queries = model.embed(["the cat", "abc"], "query")
    seen = model.tokens
    pool = model.embed(["the mat", "abc", "the mat"], "candidate")
    np.testing.assert_array_equal(pool[0], pool[2])
    once = model.tokens
    assert once - seen == 4  # "abc" is as long as a query may be, so it is known; "the mat" is new
    np.testing.assert_array_equal(model.embed(["abc", "the cat"], "query"), queries[::-1])
    assert model.tokens == once
    np.testing.assert_array_equal(model.embed(["the mat", "abc", "the mat"], "candidate"), pool)
    assert model.tokens == once + 4
    assert len(model.known) == 2


def test_options_are_scored_as_pairs_with_their_premise(make_network: Make) -> None:
    network = make_network("choice", profile=Profile(head="mean"))
    scores = predictor(network, network.task, network.asks).choose(
        ["the cat", "abc"], [("sat", "the mat"), ("d", "e")]
    )
    assert scores.shape == (2, 2)
    pairs = [("the cat", "sat"), ("the cat", "the mat"), ("abc", "d"), ("abc", "e")]
    for score, pair in zip(scores.ravel(), pairs, strict=True):
        encoded = network.backbone.tokenizer(*pair, return_tensors="pt")
        with torch.inference_mode():
            states = network.module(**encoded).last_hidden_state[0]
            expected = states.mean(dim=0) @ network.get_parameter("head.out.weight")[0]
        assert score == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta"])
def test_words_are_tagged_by_their_first_token(architecture: str, make_network: Make) -> None:
    network = make_network("tagging", "D N V", architecture=architecture)
    tokenizer = network.backbone.tokenizer
    logits = predictor(network, network.task, network.asks).tag(SENTENCES)
    assert [part.shape for part in logits] == [(len(words), 3) for words in SENTENCES]
    for words, part in zip(SENTENCES, logits, strict=True):
        if not words:
            continue
        subwords = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
        firsts = np.cumsum([1, *map(len, subwords)])[:-1]
        joined = [token for tokens in subwords for token in tokens]
        ids = [tokenizer.cls_token_id, *joined, tokenizer.sep_token_id]
        with torch.inference_mode():
            states = network.module(input_ids=torch.tensor([ids])).last_hidden_state[0]
            expected = network.head(states).numpy()[firsts]
        np.testing.assert_allclose(part, expected, atol=1e-5)


def test_long_sentences_are_tagged_piece_by_piece_and_put_together(make_network: Make) -> None:
    network = make_network("tagging", "D N V", max_length=7)
    model = predictor(network, network.task, network.asks)
    words = ("the", "cat", "abc", "mat", "sat", "the", "def", "cat", "sat")
    # Five tokens a piece: the cat abc | mat sat the | def cat sat.
    (whole,) = model.tag([words])
    pieces = model.tag([words[:3], words[3:6], words[6:]])
    np.testing.assert_allclose(whole, np.concatenate(pieces), atol=1e-5)


def spans_by_loop(network: Network, question: str, context: str) -> dict[str, float]:
    """Best score by text, pair after pair of tokens, for a context that fits one window."""
    tokenizer = network.backbone.tokenizer
    encoded = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        logits = network.head(network.module(**encoded).last_hidden_state[0]).numpy()
    told = [i for i, part in enumerate(encoded.sequence_ids(0)) if part == 1]
    best: dict[str, float] = {}
    for start in told:
        for end in range(start, told[-1] + 1):
            text = context[offsets[start][0] : offsets[end][1]]
            score = float(logits[start, 0] + logits[end, 1])
            best[text] = max(best.get(text, -np.inf), score)
    return best


def test_answers_are_the_best_distinct_texts_of_the_context(make_network: Make) -> None:
    network = make_network("span", max_length=64, n_best=20)
    questions = ["the cat", "abc", "sat"]
    contexts = ["the cat sat the cat 😀 mat", "mat abcd the", "mat abcd the"]
    found = predictor(network, network.task, network.asks).extract(questions, contexts)
    for question, context, spans in zip(questions, contexts, found, strict=True):
        expected = spans_by_loop(network, question, context)
        texts = [context[span.start : span.end] for span in spans]
        assert 1 < len(set(texts)) == len(texts) <= 20
        ranked = sorted(expected, key=lambda text: -expected[text])
        assert texts == ranked[: len(texts)]
        for text, span in zip(texts, spans, strict=True):
            assert span.score == pytest.approx(expected[text], abs=1e-5)


def test_answers_of_all_windows_compete_and_start_where_context_is_widest(
    make_network: Make,
) -> None:
    network = make_network("span", max_length=14, doc_stride=4, n_best=200, max_answer_length=5)
    question, context = "cat", "the cat sat abc mat def a the cat b c sat d"
    (spans,) = predictor(network, network.task, network.asks).extract([question], [context])
    windows = encode_questions(
        network.backbone.tokenizer, [question], [context], network.task.preprocessing, 14, 4
    )
    assert len(windows) > 2
    best: dict[str, float] = {}
    for window in windows:
        with torch.inference_mode():
            logits = network.head(network.hidden([window.encoded]).states)[window.first :].tolist()
        for first, widest in enumerate(window.max_context):
            for last in range(first, min(first + 5, len(window.offsets))):
                if widest:
                    text = context[window.offsets[first][0] : window.offsets[last][1]]
                    best[text] = max(best.get(text, -np.inf), logits[first][0] + logits[last][1])
    found = {context[span.start : span.end]: span.score for span in spans}
    assert found == pytest.approx(best, abs=1e-5)
    assert [*found] == sorted(best, key=lambda text: -found[text])
    assert all(isinstance(span, Span) for span in spans)


def test_answers_are_at_most_so_many_tokens_long(make_network: Make) -> None:
    network = make_network("span", max_length=64, max_answer_length=2)
    (spans,) = predictor(network, network.task, network.asks).extract(
        ["cat"], ["the cat sat the mat"]
    )
    texts = {"the cat sat the mat"[span.start : span.end] for span in spans}
    assert texts == {"the", "cat", "sat", "mat", "the cat", "cat sat", "sat the", "the mat"}


def test_nothing_can_be_extracted_from_an_empty_context(make_network: Make) -> None:
    network = make_network("span")
    found = predictor(network, network.task, network.asks).extract(["cat", "cat"], ["", "sat"])
    assert found[0] == []
    assert [(span.start, span.end) for span in found[1]] == [(0, 3)]


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("layer", [-1, 1])
def test_vectors_are_taken_as_the_profile_says(
    architecture: str, pooling: Any, layer: int, make_network: Make
) -> None:
    profile = Profile(layer=layer, pooling=pooling, prefix="the ")
    network = make_network("bitext", architecture=architecture, profile=profile)
    texts = ["cat", "mat abc abc def", "sat sat"]
    vectors = predictor(network, network.task, network.asks).embed(texts, "query")
    assert vectors.shape == (3, 32)
    for text, vector in zip(texts, vectors, strict=True):
        encoded = network.backbone.tokenizer("the " + text, return_tensors="pt")
        with torch.inference_mode():
            states = network.module(**encoded, output_hidden_states=True).hidden_states[layer][0]
        expected = states.mean(dim=0) if pooling == "mean" else states[0]
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)


def test_queries_and_candidates_have_their_own_lengths(make_network: Make) -> None:
    network = make_network("ranking", max_query_length=4, max_candidate_length=6)
    model = predictor(network, network.task, network.asks)
    texts = ["the cat sat mat", "the cat abc", "the cat"]
    queries, candidates = (model.embed(texts, side) for side in ("query", "candidate"))
    np.testing.assert_allclose(queries, queries[[2, 2, 2]], atol=1e-6)  # all cut to "the cat"
    np.testing.assert_allclose(candidates[2], queries[2], atol=1e-6)
    assert np.abs(candidates[0] - candidates[2]).max() > 0.01


def test_bf16_gives_fp32_numbers_near_those_of_fp32(make_network: Make) -> None:
    network = make_network("bitext")
    texts = ["the cat", "abc mat", "sat"]
    exact = predictor(network, network.task, network.asks).embed(texts, "query")
    network.module.to(torch.bfloat16)
    rough = predictor(network, network.task, network.asks).embed(texts, "query")
    assert rough.dtype == np.float32
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() > 0.99

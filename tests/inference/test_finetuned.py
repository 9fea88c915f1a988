"""Fine-tuned models as they lie on the Hub, against transformers' own one-by-one passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from xharness.errors import CardError, DataError
from xharness.inference.finetuned import FineTuned
from xharness.inference.predictor import predictor

PAIRS = [("abc", "de"), ("a cat", "sat"), ("abcdefgh", "hgfedcba")]
SENTENCES = [["a", "cat", "bad"], ["mat"], ["abc", "def"]]
ASKS = {"classification": "classify", "choice": "choose", "tagging": "tag", "span": "extract"}
CLASSES: dict[str, Any] = {
    "classification": AutoModelForSequenceClassification,
    "choice": AutoModelForMultipleChoice,
    "tagging": AutoModelForTokenClassification,
    "span": AutoModelForQuestionAnswering,
}


@pytest.fixture
def save(
    tmp_path: Path, make_module: Callable[..., Any], make_tokenizer: Callable[[str], Any]
) -> Callable[..., tuple[Any, Any, Path]]:
    """Writes a random fine-tuned model; returns it, its tokenizer and its folder."""

    def make(kind: str, architecture: str, labels: list[str]) -> tuple[Any, Any, Path]:
        changes: dict[str, Any] = {}
        if labels:
            changes["id2label"] = dict(enumerate(labels))
            changes["label2id"] = {label: i for i, label in enumerate(labels)}
        torch.manual_seed(3)
        configuration = make_module(architecture, **changes).config
        module = CLASSES[kind].from_config(configuration).eval()
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if not name.startswith(module.base_model_prefix):
                    parameter.normal_(0, 0.5)
        folder = tmp_path / "finetuned"
        module.save_pretrained(folder)
        tokenizer = make_tokenizer(architecture)
        tokenizer.save_pretrained(folder)
        return module, tokenizer, folder

    return make


def finetuned(folder: Path, card: Any) -> Any:
    asks = ASKS[card.kind]
    network = FineTuned("theirs", folder, {"id": "theirs"}, card, asks, "cpu")
    return predictor(network, card, asks, 64)


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "deberta-v2", "llama", "bloom"])
def test_pairs_get_the_models_own_logits_in_the_cards_order(
    architecture: str, save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    module, tokenizer, folder = save("classification", architecture, ["NO", "Maybe", "yes"])
    logits = finetuned(folder, make_card("classification", "yes no maybe")).classify(PAIRS)
    for pair, row in zip(PAIRS, logits, strict=True):
        with torch.no_grad():
            expected = module(**tokenizer(*pair, return_tensors="pt")).logits[0]
        np.testing.assert_allclose(row, expected[[2, 0, 1]].numpy(), atol=1e-5)


def test_options_get_the_models_own_scores(
    save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    module, tokenizer, folder = save("choice", "bert", [])
    premises, options = ["abc", "de"], [["a", "bcd"], ["cat", "sat mat"]]
    scores = finetuned(folder, make_card("choice")).choose(premises, options)
    for premise, group, row in zip(premises, options, scores, strict=True):
        for option, score in zip(group, row, strict=True):
            inputs = {
                k: v[None] for k, v in tokenizer(premise, option, return_tensors="pt").items()
            }
            with torch.no_grad():
                expected = module(**inputs).logits.item()
            assert score == pytest.approx(expected, abs=1e-5)


def test_words_get_the_logits_of_their_first_subword(
    save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    module, tokenizer, folder = save("tagging", "bert", ["X", "Y"])
    rows = finetuned(folder, make_card("tagging", "y x")).tag(SENTENCES)
    for words, logits in zip(SENTENCES, rows, strict=True):
        batch = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        firsts = [batch.word_ids().index(i) for i in range(len(words))]
        with torch.no_grad():
            expected = module(**batch).logits[0, firsts][:, [1, 0]].numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_the_best_answer_has_the_highest_sum_of_the_models_own_logits(
    architecture: str, save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    module, tokenizer, folder = save("span", architecture, [])
    question, context = "ab", "cat sat mat abc"
    card = make_card("span", max_length=60, max_answer_length=60)
    (spans,) = finetuned(folder, card).extract([question], [context])
    batch = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    inside = [i for i, part in enumerate(batch.sequence_ids()) if part == 1]
    batch.pop("offset_mapping")
    with torch.no_grad():
        out = module(**batch)
    starts, ends = out.start_logits[0], out.end_logits[0]
    best = max(float(starts[i] + ends[j]) for i in inside for j in inside if i <= j)
    assert spans[0].score == pytest.approx(best, abs=1e-4)


def test_other_labels_are_an_error_that_names_both(
    save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    _, _, folder = save("classification", "bert", ["good", "bad"])
    with pytest.raises(CardError, match="has the labels good, bad; task 'toy' needs yes, no"):
        finetuned(folder, make_card("classification", "yes no"))


def test_labels_without_names_are_taken_in_the_cards_order_and_this_is_recorded(
    save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    _, _, folder = save("classification", "bert", ["LABEL_0", "LABEL_1"])
    card = make_card("classification", "yes no")
    model = FineTuned("theirs", folder, {}, card, ASKS[card.kind], "cpu")
    assert model.order == [0, 1]
    assert model.backbone.info["labels"].startswith("in the card's order")


def test_a_checkpoint_without_its_head_is_not_filled_up_at_random(
    save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    _, _, folder = save("classification", "bert", ["yes", "no"])
    weights = folder / "model.safetensors"
    kept = {n: t for n, t in load_file(weights).items() if n != "classifier.weight"}
    save_file(kept, weights, {"format": "pt"})
    with pytest.raises(DataError, match="lacks tensors .*classifier.weight"):
        finetuned(folder, make_card("classification", "yes no"))


def test_an_architecture_without_such_a_head_is_named(
    save: Callable[..., Any], make_card: Callable[..., Any]
) -> None:
    _, _, folder = save("classification", "llama", ["yes", "no"])
    with pytest.raises(CardError, match="can't do choice"):
        finetuned(folder, make_card("choice"))

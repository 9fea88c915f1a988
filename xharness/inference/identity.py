"""What identifies a backbone's weights and tokenizer, found without loading either."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from xharness.data.snapshot import snapshot
from xharness.errors import DataError, MissingData, XharnessError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "merges.txt")
# What a backbone's folder needs; formats that can hold code are left on the Hub.
FILES = ("*.safetensors", "*.json", "*.txt", "*.model")


def identify_backbone(
    name: str, registered: Mapping[str, Any], *, download: bool = True
) -> Mapping[str, Any]:
    """`id`, `weights_sha256` and `tokenizer_sha256` of a registered backbone, a local folder or
    a Hugging Face id (which is downloaded if it isn't in the local cache), and of the last the
    `revision`: the commit, whatever branch or tag was named. Without `download` only the `id` of
    one that isn't there.

    Raises DataError for a folder without safetensors weights, XharnessError for an id that
    can't be had.
    """
    if name in registered:
        return registered[name].identify()  # type: ignore[no-any-return]
    if not download and not _is_here(name):
        return {"id": name}
    folder = local_folder(name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise DataError(
            f"backbone {name!r}: no *.safetensors file in {folder}; other formats are not read, "
            "since they can hold code"
        )
    tokenizer = [folder / file for file in TOKENIZER_FILES if (folder / file).is_file()]
    origin = {"id": name}
    if not Path(name).is_dir():
        origin = {"id": name.partition("@")[0], "revision": folder.name}
    return {
        **origin,
        "weights_sha256": sha256(weights),
        "tokenizer_sha256": sha256(tokenizer),
        "config_sha256": sha256([folder / "config.json"]),
    }


@lru_cache
def local_folder(name: str) -> Path:
    """The folder of a backbone: the one named, or the Hub's snapshot of `ID` or `ID@REVISION`,
    which is looked up once: a branch that moves while we run is not followed.

    Raises XharnessError when the Hub does not give it."""
    if Path(name).is_dir():
        return Path(name)
    repo, _, revision = name.partition("@")
    try:
        return snapshot("model", repo, revision or None, FILES)
    except XharnessError as error:
        raise XharnessError(
            f"No backbone {name!r}: it is no registered name, no folder, and as an id of the "
            f"Hugging Face Hub: {str(error).rstrip('.')}. xharness list models shows the cards."
        ) from error


def _is_here(name: str) -> bool:
    """Whether a folder or Hugging Face id needs no download."""
    if Path(name).is_dir():
        return True
    repo, _, revision = name.partition("@")
    try:
        snapshot("model", repo, revision or None, FILES, download=False)
    except MissingData:
        return False
    return True


def sha256(files: Iterable[Path]) -> str:
    """One digest over the files' contents, in the order given."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()

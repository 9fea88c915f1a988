"""Random sub-streams: every choice has a seed of its own."""

from __future__ import annotations

import hashlib


def stream(seed: int, *name: object) -> int:
    """The seed of a random sub-stream: a function of `seed` and the stream's name alone."""
    text = "/".join(map(str, (seed, *name)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")

"""XTREME v1 (Hu et al. 2020) for xharness: the suite `xtreme` and the two tasks that XTREME-R
dropped, PAWS-X and BUCC 2018. The latter brings a kind of task of its own, `mining`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xharness import hookimpl


@hookimpl
def xharness_cards() -> Sequence[Path]:
    return [Path(__file__).parent / "cards"]


@hookimpl
def xharness_evaluators() -> Sequence[type]:
    from xharness_xtreme_v1.evaluator import MiningEvaluator

    return [MiningEvaluator]


@hookimpl
def xharness_metrics() -> Sequence[Any]:
    from xharness_xtreme_v1.metric import PairF1

    return [PairF1()]


@hookimpl
def xharness_readers() -> Sequence[Any]:
    from xharness.plugins.roles import Reader
    from xharness_xtreme_v1 import reader

    return [Reader("comparable-corpora", reader.read)]

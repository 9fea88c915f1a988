"""Producer `adv-stilts` and its ablations: what differs from `stilts`, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.errors import CardError, Refused
from xharness.inference import checkpoint
from xharness.inference.packing import PACK_TOKENS
from xharness.producers.lineage import checkpoint_folder
from xharness.runner.context import cache_folder, prepare
from xharness.runner.costs import MOST_TOKENS, TOKENS, costs, phase_cost, total
from xharness.runner.plan import Plan, Request
from xharness.runner.run import train
from xharness.testing.toys import World, make_world

MIXTURE = ["toy-pairs", "toy-choices", "toy-tags", "toy-spans"]
FREELB = {"name": "freelb", "ascents": 1, "step": 0.1, "start": 0.1, "radius": 0.3}
R3F = {"name": "r3f", "radius": 0.05}
# name -> producer, adjust
MODELS: dict[str, tuple[str, dict[str, str]]] = {
    "standard": ("standard", {}),
    "stilts": ("stilts", {}),
    "adv-standard": ("standard", {"target": "harder"}),
    "adv-stilts": ("adv-stilts", {"intermediate": "harder", "target": "harder"}),
    "adv-stilts-target": ("adv-stilts", {"target": "harder"}),
    "adv-stilts-intermediate": ("adv-stilts", {"intermediate": "harder"}),
    "stilts-cm": ("stilts", {"intermediate": "longer", "target": "longer"}),
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))
    world = make_world(tmp_path / "world")
    kinds = {k: {"adversary": FREELB} for k in ("classification", "choice")}
    kinds |= {k: {"adversary": R3F} for k in ("tagging", "span")}
    write(world, "harder", description="Two adversaries.", defaults={}, kinds=kinds)
    matched = {kind: {"compute_matched": True} for kind in kinds}
    write(world, "longer", description="None.", extends="harder", defaults={}, kinds=matched)
    for name, (producer, adjust) in MODELS.items():
        intermediate = {} if producer == "standard" else {"intermediate": {"tasks": MIXTURE}}
        add_model(world, f"toy-{name}", producer=producer, adjust=adjust, **intermediate)
    return world


def write(world: World, name: str, **card: Any) -> None:
    (world.cards / f"models/{name}.yaml").write_text(yaml.safe_dump({"name": name, **card}))


def add_model(world: World, name: str, **card: Any) -> None:
    whole = {"description": "Toy.", "recipe": "toy-recipe", "backbone": str(world.backbone)}
    write(world, name, **(whole | card))


def catalogue(*folders: Path) -> Catalogue:
    return Catalogue.load([*open_registry().card_folders(), *folders])


def plan_for(world: World, *models: str, **request: Any) -> Plan:
    whole = {"suite": "toy", "data": str(world.release), "seeds": [42], "train": "missing"}
    asked = Request(models=list(models), **(whole | request))
    return prepare(asked, open_registry(), catalogue(world.cards), download=False)


def addresses(plan: Plan, task: str) -> dict[str, list[str]]:
    return {
        job.card.name.removeprefix("toy-"): [phase.address for phase in job.lineage]
        for job in plan.jobs
        if job.task.name == task
    }


def test_phases_are_shared_by_what_made_them(world: World) -> None:
    plan = plan_for(world, *(f"toy-{name}" for name in MODELS))
    for task in MIXTURE:
        found = addresses(plan, task)
        first = {name: phases[0] for name, phases in found.items() if len(phases) == 2}
        assert first["adv-stilts-target"] == first["stilts"]
        assert first["adv-stilts-intermediate"] == first["adv-stilts"]
        assert len(set(first.values())) == 3  # plain, against an adversary, longer
        assert len({phases[-1] for phases in found.values()}) == len(MODELS)
    retrieval = addresses(plan, "toy-bitext")
    assert retrieval["adv-stilts-target"] == retrieval["stilts"]
    assert retrieval["adv-standard"] == retrieval["standard"] == []
    assert len(plan.trainings()) == 3 + 4 * len(MODELS)


def test_whatever_the_recipe_only_the_adversary_differs(world: World) -> None:
    other = {"learning_rate": 0.01, "epochs": 3, "batch_size": 4, "warmup": 0.1}
    write(world, "other", description="Another.", defaults=other)
    for recipe in ("toy-recipe", "other"):
        plan = plan_for(world, "toy-stilts", "toy-adv-stilts", tasks=["toy-tags"], recipe=recipe)
        for one, other in zip(plan.jobs[0].lineage, plan.jobs[1].lineage, strict=True):
            for part, adversarial in zip(one.parts, other.parts, strict=True):
                assert part.recipe.adversary == {}
                assert adversarial.recipe.adversary["name"] in ("freelb", "r3f")
                facts = [json.loads(json.dumps(told(p.recipe))) for p in (part, adversarial)]
                assert facts[0] == facts[1]
                assert adversarial.recipe.name == f"{recipe}+harder"


def told(recipe: Any) -> dict[str, Any]:
    fields = {name: getattr(recipe, name) for name in recipe.__struct_fields__}
    return {name: fields[name] for name in fields if name not in ("name", "adversary", "lora")}


def test_an_adjustment_that_changes_nothing_leaves_no_trace(world: World) -> None:
    # Ranking has no adversary: its checkpoints are those of the plain model.
    shipped = catalogue()
    task = shipped.tasks["squad-sentences"]
    for adjust in ("adversarial", "adversarial-lite", "compute-matched", "random-noise"):
        assert shipped.recipe("small", task, adjust) == shipped.recipe("small", task)
    pairs = shipped.tasks["mnli"]
    assert shipped.recipe("small", pairs, "adversarial").name == "small+adversarial"


def test_a_field_that_recipes_gain_changes_no_address_of_a_mixture(world: World) -> None:
    from xharness.cards import digest

    (phase,) = plan_for(world, "toy-stilts", tasks=["toy-bitext"]).jobs[0].lineage
    assert phase.recipe.length == 1  # though the shares' sum is 1 but for rounding
    facts = [{"recipe": part.recipe, "share": 0.5} for part in phase.parts]
    plain = [{"recipe": told_fields(part.recipe), "share": 0.5} for part in phase.parts]
    assert digest({"mixture": facts}) == digest({"mixture": plain})


def told_fields(recipe: Any) -> dict[str, Any]:
    wanted = ("name", "learning_rate", "epochs", "batch_size", "select")
    return {name: getattr(recipe, name) for name in wanted}


def test_in_a_mixture_each_head_has_its_own_adversary(world: World) -> None:
    plan = plan_for(world, "toy-adv-stilts", "toy-stilts-cm", tasks=["toy-bitext"])
    train(plan, open_registry())
    (phase,), (longer,) = (job.lineage for job in plan.jobs)
    facts, matched = (described(p.address)["training"] for p in (phase, longer))
    drawn = dict(zip(MIXTURE, facts["drawn"], strict=True))
    assert min(drawn.values()) > 0
    # FreeLB: two passes forward, two back. R3F: two forward, one call back through both.
    free, consistent = (drawn[a] + drawn[b] for a, b in (MIXTURE[:2], MIXTURE[2:]))
    assert facts["forward_passes"] == 2 * (free + consistent)
    assert facts["backward_passes"] == 2 * free + consistent
    assert matched["steps"] == 2 * facts["steps"]
    assert matched["forward_passes"] == matched["backward_passes"] == facts["forward_passes"]
    assert described(phase.address)["lineage"][0]["recipes"]["toy-tags"]["adversary"] == {
        **R3F, "weight": 1.0, "dropout": "resample", "relative": True, "special_tokens": False
    }  # fmt: skip
    assert "toy-tags: adversary r3f" in phase.notes


def described(address: str) -> dict[str, Any]:
    return checkpoint.describe(checkpoint_folder(cache_folder() / "checkpoints", address))


def test_items_are_drawn_by_the_seed_and_said(world: World) -> None:
    few = {"learning_rate": 0.003, "epochs": 1, "batch_size": 8, "max_items": 20}
    write(world, "few", description="Twenty items.", defaults=few)
    plan = plan_for(world, "toy-standard", tasks=["toy-tags"], recipe="few")
    ((phase,),) = (job.lineage for job in plan.jobs)
    assert phase.notes == ["drawn: 20 of 48 items, by the seed"]
    assert phase.parts[0].items == 20
    train(plan, open_registry())
    facts = described(phase.address)["training"]
    assert (facts["examples"], facts["steps"]) == (20, 3)
    mixed = plan_for(world, "toy-stilts", tasks=["toy-bitext"], recipe="few").jobs[0].lineage[0]
    assert [part.items for part in mixed.parts] == [20] * 4


def test_a_length_that_is_no_whole_number_of_epochs_is_trained(world: World) -> None:
    half = {"learning_rate": 0.003, "epochs": 1, "batch_size": 8, "length": 0.4, "select": "dev"}
    write(world, "half", description="Less than an epoch.", defaults=half)
    plan = plan_for(world, "toy-standard", tasks=["toy-tags"], recipe="half")
    train(plan, open_registry())
    facts = described(plan.jobs[0].lineage[0].address)["training"]
    assert facts["steps"] == 3  # of six an epoch
    assert "dev_score" in facts


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"producer": "adv-stilts"}, "names no adversary, which producer 'adv-stilts' asks for"),
        ({"producer": "standard", "intermediate": None, "adjust": {"intermediate": "harder"}},
         "adjusts an intermediate phase, which producer 'standard' has not"),
        ({"adjust": {"target": "hardr"}}, "no recipe named 'hardr'. Did you mean 'harder'?"),
        ({"adjust": {"targets": "harder"}}, "unknown key 'targets'. Did you mean 'target'?"),
    ],
)  # fmt: skip
def test_mistakes_in_a_card_are_said(world: World, card: dict[str, Any], said: str) -> None:
    whole = {"producer": "stilts", "intermediate": {"tasks": ["toy-tags"]}} | card
    add_model(world, "wrong", **{key: value for key, value in whole.items() if value})
    with pytest.raises(CardError) as it:
        plan_for(world, "wrong", tasks=["toy-tags"])
    assert said in str(it.value)


def test_a_radius_that_bf16_cannot_resolve_ends_before_a_checkpoint(world: World) -> None:
    tiny = {"adversary": FREELB | {"step": 0.001}, "precision": "bf16"}
    write(world, "tiny", description="Too small.", defaults=tiny)
    add_model(world, "small-steps", producer="standard", adjust={"target": "tiny"})
    plan = plan_for(world, "small-steps", tasks=["toy-tags"])
    with pytest.raises(Refused, match="a size of 0.001 moves a word embedding by 0.001 of its"):
        train(plan, open_registry())
    assert not checkpoint_folder(
        cache_folder() / "checkpoints", plan.jobs[0].lineage[0].address
    ).exists()


def plain_steps(plan: Plan, model: str) -> float:
    phases = {
        phase.address: (phase, job.context)
        for job in plan.jobs
        for phase in job.lineage
        if job.card.name == model
    }
    return total(phase_cost(*found) for found in phases.values()).plain_steps


@pytest.fixture
def shipped(data_root: Path, world: World) -> Callable[..., Plan]:
    def plan(*models: str, **request: Any) -> Plan:
        whole = {"suite": "xtreme-r", "data": str(data_root), "backbone": str(world.backbone)}
        return plan_for(world, *models, **(whole | request))

    return plan


def test_the_shipped_controls_cost_what_they_control_for(shipped: Callable[..., Plan]) -> None:
    names = ["standard", "stilts", "adv-standard", "adv-stilts", "standard-cm", "stilts-cm",
             "noise-only", "stilts-augmented", "adv-stilts-lite"]  # fmt: skip
    plan = shipped(*names)
    cost = {name: plain_steps(plan, name) for name in names}
    assert cost["standard-cm"] == cost["adv-standard"]
    assert cost["stilts-cm"] == cost["noise-only"] == cost["adv-stilts"]
    assert cost["stilts-augmented"] == pytest.approx(cost["adv-stilts"], rel=0.01)
    # All but the ranking task costs twice as much.
    assert 1.9 < cost["adv-stilts"] / cost["stilts"] < 2
    assert cost["adv-stilts-lite"] <= 1.1 * cost["standard"]


def test_memory_is_planned_for_the_passes_that_are_made() -> None:
    assert {"cpu": TOKENS, "cuda": MOST_TOKENS} == PACK_TOKENS


def test_a_dry_run_for_a_large_backbone_needs_no_download(
    shipped: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for backbone, recipe, memory in [
        # 4 bytes times weights, gradients, two moments, and the layers' states of 2,048 tokens
        ("FacebookAI/xlm-roberta-large", "xlm-r-large", 4 * 4 * 558_840_832 / 1e9 + 3.4),
        ("bigscience/bloom-560m", "bloom-560m", 4 * 4 * 559_214_592 / 1e9 + 1.7),
    ]:
        plan = shipped("adv-stilts", backbone=backbone, recipe=recipe, tasks=["xnli"])
        text = costs(plan, catalogue())
        mixture, target = (line.split() for line in text.splitlines()[1:3])
        # 11,000 pairs in batches of 32, five epochs: twice the passes of plain training.
        assert target[:4] == ["1,720", "3,440", "3,440", "2.00"]
        assert float(mixture[4]) == pytest.approx(memory, abs=0.1)
        assert "adv-stilts: 2 phases, as much as" in text
        assert "for passes of 2,048 tokens, as on CPUs; a GPU's hold a whole batch of up to" in text
        assert f"{backbone} is not here and would be downloaded" in text

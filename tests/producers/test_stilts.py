"""Intermediate phases: what they train on, what shares them, and what comes after."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import yaml
from safetensors.torch import load_file

import xharness
from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.errors import CardError, Refused
from xharness.inference import checkpoint
from xharness.producers import standard
from xharness.producers.lineage import checkpoint_folder, load_items
from xharness.runner.context import cache_folder, prepare
from xharness.runner.plan import Plan, Request
from xharness.runner.run import train
from xharness.testing.toys import World, make_world

NINE = [
    "anli-plus", "mnli", "qqp", "squad-v2", "squad", "hellaswag", "ccg", "cosmosqa",
    "commonsenseqa",
]  # fmt: skip
ALL_KINDS = ["toy-pairs", "toy-choices", "toy-tags", "toy-spans"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))
    return make_world(tmp_path / "world")


@pytest.fixture
def real(data_root: Path, world: World) -> dict[str, Any]:
    """What is asked for to plan on real data, with the toys' encoder."""
    return {"suite": "xtreme-r", "data": str(data_root), "backbone": str(world.backbone)}


def add_model(world: World, name: str, **card: Any) -> None:
    whole = {
        "name": name, "producer": "stilts", "description": "Toy.", "recipe": "toy-recipe",
        "backbone": str(world.backbone),
    } | card  # fmt: skip
    (world.cards / f"models/{name}.yaml").write_text(yaml.safe_dump(whole))


def plan_for(world: World, *models: str, **request: Any) -> Plan:
    registry = open_registry()
    catalogue = Catalogue.load([*registry.card_folders(), world.cards])
    whole = {"suite": "toy", "data": str(world.release), "seeds": [42], "train": "missing"}
    return prepare(Request(models=list(models), **(whole | request)), registry, catalogue)


def trained(plan: Plan) -> list[list[str]]:
    return [[phase.name for phase in lineage] for _, lineage in plan.trainings()]


def facts_of(address: str) -> dict[str, Any]:
    return checkpoint.describe(checkpoint_folder(cache_folder() / "checkpoints", address))


def weights_of(address: str) -> dict[str, torch.Tensor]:
    folder = checkpoint_folder(cache_folder() / "checkpoints", address)
    return load_file(folder / "model.safetensors")


def test_the_intermediate_phase_comes_first_and_is_the_one_that_standard_trains(
    world: World,
) -> None:
    add_model(world, "stilts-toy", intermediate={"tasks": ["toy-pairs"]})
    plan = plan_for(world, "stilts-toy", "toy")
    lineages = {
        (job.card.name, job.task.name): [phase.name for phase in job.lineage] for job in plan.jobs
    }
    assert lineages["stilts-toy", "toy-tags"] == ["toy-pairs", "toy-tags"]
    assert lineages["stilts-toy", "toy-pairs"] == ["toy-pairs", "toy-pairs"]
    assert lineages["stilts-toy", "toy-bitext"] == ["toy-pairs"]
    assert lineages["toy", "toy-bitext"] == []
    # Four targets after it, the intermediate phase, and three of standard: its pairs are the same.
    assert len(plan.trainings()) == 4 + 1 + 3
    recipes = {
        (job.card.name, job.task.name): job.lineage[-1].recipe for job in plan.jobs if job.lineage
    }
    assert all(recipes["stilts-toy", name] == recipes["toy", name] for name in ALL_KINDS)


def test_intermediates_times_targets_train_each_intermediate_once(world: World) -> None:
    for name in ALL_KINDS:
        add_model(world, f"after-{name}", intermediate={"tasks": [name]})
    plan = plan_for(world, *(f"after-{name}" for name in ALL_KINDS))
    names = trained(plan)
    assert len([n for n in names if len(n) == 1]) == 4
    assert len([n for n in names if len(n) == 2]) == 4 * 4
    assert len({lineage[-1].address for _, lineage in plan.trainings()}) == 20


def write_nine(root: Path, data_root: Path) -> None:
    """Beside links to the real files, made-up ones for the tasks that no public file trains."""
    root.mkdir()
    for path in data_root.iterdir():
        if path.is_dir():
            (root / path.name).symlink_to(path)
    pair = {"context": "a cat", "hypothesis": "a dog", "label": "c"}
    for number in (1, 2, 3):
        folder = root / f"anli_v1.0/R{number}"
        folder.mkdir(parents=True)
        (folder / "train.jsonl").write_text(json.dumps(pair | {"uid": str(number)}) + "\n")
    for section in ("00", "19"):
        folder = root / f"AUTO/{section}"
        folder.mkdir(parents=True)
        leaf = "<L N NNP NNP cat N>" if section == "00" else "<L N/N NNP NNP cat N>"
        text = f"ID=wsj_{section}01.1 PARSER=GOLD NUMPARSE=1\n(<T NP 0 1> ({leaf}) )\n"
        (folder / f"wsj_{section}01.auto").write_text(text)
    folder = root / "made/cosmosqa"
    folder.mkdir(parents=True)
    head = "id,context,question,answer0,answer1,answer2,answer3,label\n"
    (folder / "train.csv").write_text(head + "i,a cat,what ?,a,b,c,d,2\n")


def test_nine_intermediates_and_ten_targets_are_nine_intermediate_trainings(
    data_root: Path, tmp_path: Path, world: World
) -> None:
    write_nine(tmp_path / "release", data_root)
    models = [f"stilts-{name}" for name in NINE]
    request: dict[str, Any] = {"suite": "xtreme-r", "data": str(tmp_path / "release")}
    plan = plan_for(world, *models, **request, backbone=str(world.backbone))
    first = [lineage for _, lineage in plan.trainings() if len(lineage) == 1]
    assert [lineage[0].name for lineage in first] == NINE
    assert {len(job.lineage) for job in plan.jobs if job.task.name == "tatoeba"} == {1}
    chains = {job.card.name: [p.name for p in job.lineage] for job in plan.jobs
              if job.task.name == "xcopa"}  # fmt: skip
    assert chains["stilts-ccg"] == ["ccg", "siqa", "copa"]
    ccg = next(lineage[0] for lineage in first if lineage[0].name == "ccg")
    assert ccg.task.labels == ["N", "N/N"]  # those of both splits
    anli = next(lineage[0] for lineage in first if lineage[0].name == "anli-plus")
    assert {Path(f.path).parts[0] for f in anli.files} >= {"anli_v1.0", "intermediate"}
    rows = [file.rows for file in anli.files]
    assert rows[:3] == [1, 1, 1]
    assert sum(rows[3:]) >= 11_000 + 1_666

    whole = plan_for(world, "stilts-all", **request, backbone=str(world.backbone))
    ((mixture,),) = [lineage for _, lineage in whole.trainings() if len(lineage) == 1]
    assert [part.task.name for part in mixture.parts] == NINE
    assert sum(part.share for part in mixture.parts) == pytest.approx(1)


def test_heads_are_new_after_the_intermediate_phase_and_kept_among_the_targets(
    world: World, real: dict[str, Any]
) -> None:
    plan = plan_for(world, "stilts-siqa", "standard", tasks=["xcopa"], **real)
    stilts, standard = (job.lineage for job in plan.jobs)
    assert [(p.name, p.keeps_head) for p in stilts] == [
        ("siqa", False), ("siqa", False), ("copa", True)
    ]  # fmt: skip
    assert [(p.name, p.keeps_head) for p in standard] == [("siqa", False), ("copa", True)]
    assert stilts[0].address == standard[0].address
    assert stilts[1].address != standard[1].address


def test_a_new_head_and_a_kept_one_are_different_checkpoints(world: World) -> None:
    add_model(world, "twice", producer="standard", train_on={"toy-pairs": ["toy-pairs"] * 2})
    add_model(world, "again", intermediate={"tasks": ["toy-pairs"]})
    kept, new = (job.lineage for job in plan_for(world, "twice", "again", tasks=["toy-pairs"]).jobs)
    assert kept[0].address == new[0].address
    assert kept[1].address != new[1].address
    train(plan_for(world, "twice", "again", tasks=["toy-pairs"]), open_registry())
    one, other = (weights_of(phases[1].address) for phases in (kept, new))
    assert not torch.equal(one["head.out.weight"], other["head.out.weight"])


def test_a_mixture_trains_all_heads_and_records_what_it_drew(world: World) -> None:
    mixture = {"tasks": ALL_KINDS, "sampler": "uniform"}
    add_model(world, "mixed", intermediate=mixture)
    plan = plan_for(world, "mixed", tasks=["toy-bitext", "toy-tags"])
    name = "+".join(ALL_KINDS)
    assert trained(plan) == [[name], [name, "toy-tags"]]
    train(plan, open_registry())
    (phase,) = plan.jobs[-1].lineage
    facts = facts_of(phase.address)
    assert (facts["kind"], [part["task"] for part in facts["parts"]]) == ("mixture", ALL_KINDS)
    drawn = facts["training"]["drawn"]
    # 48 items a task in batches of 8, two epochs: at least 4 x 6 x 2 steps (more for windows).
    assert sum(drawn) == facts["training"]["steps"] >= 48
    assert all(count > 0 for count in drawn)
    assert facts["lineage"][0]["shares"] == dict.fromkeys(ALL_KINDS, 0.25)
    assert "dev_score" in facts["training"]  # the mean over the four
    weights = weights_of(phase.address)
    for number in range(4):
        assert any(name.startswith(f"head.{number}.") for name in weights)


def test_a_mixture_is_selected_on_the_mean_over_its_tasks(world: World) -> None:
    add_model(world, "mixed", intermediate={"tasks": ALL_KINDS})
    (job,) = plan_for(world, "mixed", tasks=["toy-bitext"]).jobs
    (phase,) = job.lineage
    _, networks = standard._new_network(job.card, phase, job.context)

    def score(several: list[Any], parts: list[Any]) -> float:
        scored = standard._dev_score(several, replace(phase, parts=parts), job.context)
        assert scored
        return scored()

    each = [score([n], [part]) for n, part in zip(networks, phase.parts, strict=True)]
    assert len(set(each)) > 1
    assert score(networks, list(phase.parts)) == pytest.approx(sum(each) / len(each))


def test_items_are_drawn_by_the_seed_in_their_order(world: World) -> None:
    def drawn(seed: int) -> list[str]:
        plan = plan_for(world, "toy", tasks=["toy-pairs"], languages=["de"], seeds=[seed])
        (job,) = plan.jobs
        part = job.lineage[0].parts[0]
        recipe = msgspec.structs.replace(part.recipe, max_items=30)
        (data,) = load_items(replace(part, recipe=recipe), "train", job.context)
        return [item.id for item in data.items]

    first = drawn(1)
    assert len(set(first)) == 30
    assert first == drawn(1) != drawn(2)
    assert first == sorted(first, key=lambda name: int(name.rpartition("-")[2]))


def test_the_model_after_a_mixture_is_evaluated(world: World, tmp_path: Path) -> None:
    add_model(world, "mixed", intermediate={"tasks": ["toy-pairs", "toy-spans"]})
    records = xharness.evaluate(
        tmp_path / "run", models=["mixed", "toy"], include=[world.cards], suite="toy",
        tasks=["toy-bitext", "toy-tags"], data=str(world.release), train="missing",
    )  # fmt: skip
    assert {record.status for record in records} == {"ok"}
    by_id = {record.id: record for record in records}
    assert [p.task for p in by_id["mixed/toy-tags/de"].model.lineage] == [
        "toy-pairs+toy-spans", "toy-tags"
    ]  # fmt: skip
    assert by_id["mixed/toy-bitext/de"].inputs != by_id["toy/toy-bitext/de"].inputs


def test_a_mixture_that_was_killed_ends_with_the_same_weights(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xharness import hookimpl
    from xharness.training import loop

    class Killed(BaseException):
        pass

    class Killer:
        @hookimpl
        def xharness_training_step(self, step: int) -> None:
            if step == 11:
                raise Killed

    add_model(world, "mixed", intermediate={"tasks": ["toy-pairs", "toy-tags"]})
    plan = plan_for(world, "mixed", tasks=["toy-bitext"])
    (phase,) = plan.jobs[0].lineage
    train(plan, open_registry())
    whole = weights_of(phase.address)

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "other"))
    registry = open_registry()
    registry.manager.register(Killer())
    catalogue = Catalogue.load([*registry.card_folders(), world.cards])
    request = Request(models=["mixed"], suite="toy", data=str(world.release), seeds=[42],
                      tasks=["toy-bitext"], train="missing")  # fmt: skip
    with pytest.raises(Killed):
        train(prepare(request, registry, catalogue), registry)
    train(plan_for(world, "mixed", tasks=["toy-bitext"]), open_registry())
    resumed = weights_of(phase.address)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_masked_texts_may_be_one_of_the_tasks(world: World) -> None:
    path = world.backbone / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"mask_token": "was"}
    path.write_text(json.dumps(config))
    (world.release / "plain-text").mkdir()
    for language in ("en", "de"):
        text = "".join(f"the red cat sees a {w} bird\n" for w in ["old", "new", "blue"] * 8)
        (world.release / f"plain-text/{language}.txt").write_text(text + "cat\n")
    part = {"task": "plain-text", "languages": ["en", "de"]}
    add_model(world, "with-text", intermediate={"tasks": ["toy-pairs", part]})
    plan = plan_for(world, "with-text", tasks=["toy-bitext"])
    (phase,) = plan.jobs[0].lineage
    assert "trained on plain-text, train split, en, de" in phase.notes
    assert "last weights taken: there is no dev split of plain-text to select on" in phase.notes
    train(plan, open_registry())
    assert all(facts_of(phase.address)["training"]["drawn"])
    assert any(name.startswith("head.1.dense") for name in weights_of(phase.address))


def test_items_are_drawn_from_all_languages_together(world: World) -> None:
    text = (world.release / "toy-tags/train-en.tsv").read_text()
    (world.release / "toy-tags/train-de.tsv").write_text(text)
    few = {"name": "few", "description": "Twenty items.", "extends": "toy-recipe"}
    (world.cards / "few.yaml").write_text(yaml.safe_dump(few | {"defaults": {"max_items": 20}}))
    add_model(world, "two", recipe="few", intermediate={
        "tasks": [{"task": "toy-tags", "languages": ["en", "de"]}]})  # fmt: skip
    ((phase,),) = (job.lineage for job in plan_for(world, "two", tasks=["toy-bitext"]).jobs)
    assert phase.notes[0] == "toy-tags: drawn: 20 of 96 items, by the seed"
    assert not any("drawn" in note for note in phase.notes[1:])
    assert phase.parts[0].items == 20


def test_another_language_is_another_phase_and_its_task_is_not_evaluated(world: World) -> None:
    text = (world.release / "toy-tags/test-de.tsv").read_text()
    (world.release / "toy-tags/dev-de.tsv").write_text(text)
    part = {"task": "toy-tags", "languages": ["de"], "split": "dev"}
    add_model(world, "german", intermediate={"tasks": [part, "toy-pairs"]})
    plan = plan_for(world, "german")
    jobs = {job.task.name: job for job in plan.jobs}
    notes = jobs["toy-pairs"].lineage[0].notes
    assert "trained on toy-tags, dev split, de" in notes
    assert "last weights taken: the dev split of toy-tags is trained on" in notes
    assert jobs["toy-pairs"].pending
    assert not jobs["toy-tags"].pending
    assert {cell.reason for cell in jobs["toy-tags"].cells} == {
        "model 'german' is trained on toy-tags in de, so it is not evaluated on that task: its "
        "scores would not be those of zero-shot transfer"
    }


def test_a_split_that_is_trained_on_is_not_evaluated_in_any_language(world: World) -> None:
    text = (world.release / "toy-tags/test-de.tsv").read_text()
    for language in ("de", "fr"):
        (world.release / f"toy-tags/dev-{language}.tsv").write_text(text)
    add_model(world, "on-dev", intermediate={"tasks": [{"task": "toy-tags", "split": "dev"}]})
    (job,) = plan_for(world, "on-dev", tasks=["toy-tags"]).jobs
    assert len(job.pending) == 3  # the test split is another one
    plan = plan_for(world, "on-dev", split="dev", tasks=["toy-tags"])
    assert {cell.reason for cell in plan.cells} == {
        "model 'on-dev' is trained on toy-tags dev in en, so it is not evaluated on that split"
    }
    assert plan.trainings() == []


def test_the_source_language_of_the_target_is_free(world: World) -> None:
    text = (world.release / "toy-tags/train-en.tsv").read_text()
    for split in ("train", "dev"):
        (world.release / f"toy-tags/{split}-de.tsv").write_text(text.replace("cat", "bird"))
    add_model(world, "from-de", producer="standard", source_language="de")
    (job,) = plan_for(world, "from-de", tasks=["toy-tags"]).jobs
    (phase,) = job.lineage
    assert phase.notes == ["trained on toy-tags, train split, de"]
    assert phase.address != plan_for(world, "toy", tasks=["toy-tags"]).jobs[0].lineage[0].address
    (job,) = plan_for(world, "from-de", tasks=["toy-pairs"]).jobs
    assert "no file for toy-pairs train de" in str(job.cells[0].reason)


def test_a_file_in_english_alone_is_no_data_in_another_language(
    world: World, real: dict[str, Any]
) -> None:
    add_model(world, "french", intermediate={"tasks": [{"task": "mnli", "languages": ["fr"]}]})
    plan = plan_for(world, "french", tasks=["tatoeba"], **real)
    assert plan.trainings() == []
    assert "no file for mnli train fr: the card names none" in str(plan.cells[0].reason)
    add_model(world, "german", producer="standard", source_language="de")
    (job,) = plan_for(world, "german", tasks=["xnli"], **real).jobs
    assert "no file for mnli train de" in str(job.cells[0].reason)


def test_all_tasks_that_lack_data_are_named(world: World) -> None:
    add_model(world, "licensed", intermediate={"tasks": ["toy-pairs", "ccg", "race"]})
    plan = plan_for(world, "licensed", tasks=["toy-tags"])
    reason = str(plan.cells[0].reason)
    assert reason.startswith("no file for ccg train en: looked for ")
    assert reason.endswith("(2 tasks lack data: ccg, race)")


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"tasks": ["toy-pair"]}, "no task named 'toy-pair'. Did you mean 'toy-pairs'?"),
        ({"tasks": [{"task": "toy-tagz"}]}, "no task named 'toy-tagz'. Did you mean 'toy-tags'?"),
        ({"tasks": ["toy-tags"], "sampler": "temprature"}, "Did you mean 'temperature'?"),
        ({"tasks": ["toy-tags"], "samplr": "uniform"}, "unknown key 'samplr'. Did you mean"),
        ({"tasks": [{"task": "toy-tags", "split": "test"}]}, "must be 'train' or 'dev'"),
        ({"tasks": ["toy-tags"], "temperature": 0}, "intermediate.temperature is 0"),
        ({"tasks": ["toy-tags"], "cap": -1}, "intermediate.cap is -1, must be above 0"),
        ({"tasks": []}, "names no intermediate task"),
        ({"tasks": ["toy-tags", "toy-tags"]}, "names the intermediate task 'toy-tags' twice"),
    ],
)
def test_mistakes_in_a_card_are_said(world: World, card: dict[str, Any], said: str) -> None:
    add_model(world, "wrong", intermediate=card)
    with pytest.raises(CardError) as raised:
        plan_for(world, "wrong", tasks=["toy-tags"])
    assert said in str(raised.value)


def test_a_card_that_is_named_by_its_path_is_checked_too(world: World, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.yaml"
    path.write_text(
        "name: elsewhere\nproducer: stilts\ndescription: d\nintermediate: {tasks: [mnly]}\n"
    )
    with pytest.raises(CardError, match=r"elsewhere\.yaml: no task named 'mnly'.* 'mnli'"):
        plan_for(world, str(path))
    path.write_text(
        "name: elsewhere\nproducer: stilts\ndescription: d\nintermediate:\n  sampler: uniform\n"
    )
    with pytest.raises(CardError, match=r"elsewhere\.yaml:5: intermediate lacks 'tasks'"):
        plan_for(world, str(path))


def test_producers_and_cards_that_do_not_fit_are_said(world: World) -> None:
    add_model(world, "odd", producer="standard", intermediate={"tasks": ["toy-tags"]})
    with pytest.raises(CardError, match="write producer: stilts"):
        plan_for(world, "odd", tasks=["toy-tags"])
    add_model(world, "bare")
    with pytest.raises(CardError, match="names no intermediate task"):
        plan_for(world, "bare", tasks=["toy-tags"])
    add_model(world, "raw", intermediate={"tasks": ["toy-tags"]}, train_on={"toy-pairs": []})
    with pytest.raises(CardError, match="on 'toy-pairs' .*: nothing is trained for it"):
        plan_for(world, "raw", tasks=["toy-pairs"])


def test_a_recipe_that_freezes_in_one_phase_only_is_refused(world: World) -> None:
    recipe = yaml.safe_load((world.cards / "tasks/toy-recipe.yaml").read_text())
    recipe |= {"name": "half", "kinds": {"tagging": {"freeze_embeddings": True}}}
    (world.cards / "tasks/half.yaml").write_text(yaml.safe_dump(recipe))
    add_model(world, "half-frozen", recipe="half", intermediate={"tasks": ["toy-pairs"]})
    with pytest.raises(CardError, match="same freeze_embeddings and lora not for all"):
        plan_for(world, "half-frozen", tasks=["toy-tags"])


def test_a_text_only_backbone_without_a_mask_is_refused(world: World) -> None:
    (world.release / "plain-text").mkdir()
    (world.release / "plain-text/en.txt").write_text("the cat\n")
    add_model(world, "unmasked", intermediate={"tasks": ["plain-text"]})
    plan = plan_for(world, "unmasked", tasks=["toy-bitext"])
    with pytest.raises(Refused, match="can't be trained on masked texts: no mask token"):
        train(plan, open_registry())


def test_a_combined_task_lacks_what_one_of_its_tasks_lacks(
    world: World, real: dict[str, Any]
) -> None:
    plan = plan_for(world, "stilts-anli-plus", tasks=["tatoeba"], **real)
    assert "no file for anli train en" in str(plan.cells[0].reason)

"""What a request selects, what it depends on, and what is done already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import xharness
from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.data.items import Dataset, Pair
from xharness.errors import CardError, DataError, UnknownName, XharnessError
from xharness.runner.context import prepare
from xharness.runner.plan import NothingSelected, Plan, Request, limited, measured, select
from xharness.runs.folder import RunFolder
from xharness.testing.toys import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))


def plan_for(world: World, folder: RunFolder | None = None, **request: Any) -> Plan:
    registry = open_registry()
    catalogue = Catalogue.load([*registry.card_folders(), world.cards])
    whole = {"models": ["toy"], "suite": "toy", "data": str(world.release), "seeds": [42]}
    return prepare(Request(**(whole | request)), registry, catalogue, folder)


def dataset(count: int) -> Dataset:
    items = tuple(Pair(str(i), "a", "b", "same") for i in range(count))
    return Dataset("toy", "test", "en", items)


def test_cells_are_models_times_seeds_times_tasks_times_languages(world: World) -> None:
    plan = plan_for(world, tasks=["toy-tags", "toy-bitext"], seeds=[42, 7])
    assert [cell.id for cell in plan.cells] == [
        "toy/toy-tags/en", "toy/toy-tags/de", "toy/toy-tags/fr",
        "toy/toy-bitext/de", "toy/toy-bitext/fr",
        "toy/toy-tags/en#7", "toy/toy-tags/de#7", "toy/toy-tags/fr#7",
        "toy/toy-bitext/de#7", "toy/toy-bitext/fr#7",
    ]  # fmt: skip


def test_each_phase_is_trained_once_however_many_jobs_need_it(world: World) -> None:
    plan = plan_for(world)
    assert [lineage[-1].task.name for _, lineage in plan.trainings()] == [
        "toy-pairs", "toy-choices", "toy-tags", "toy-spans"
    ]  # fmt: skip
    two = plan_for(world, models=["toy", "toy"])
    assert len(two.trainings()) == 4


def test_patterns_keep_the_suite_s_order_and_must_match_something() -> None:
    known = ["swahili", "swedish", "zulu"]
    assert select("language", ["z*", "sw*"], known) == known
    assert select("language", [], known) == known
    with pytest.raises(UnknownName, match="No language named 'zullu'. Did you mean 'zulu'"):
        select("language", ["zullu"], known)


def test_languages_that_no_selected_task_has_select_nothing(world: World) -> None:
    with pytest.raises(UnknownName):
        plan_for(world, tasks=["toy-bitext"], languages=["en"])
    with pytest.raises(NothingSelected):
        raise NothingSelected("")  # exit code 5 is part of the face
    assert NothingSelected.exit_code == 5


@pytest.mark.parametrize(("limit", "count"), [(3, 3), (0.25, 2), (0.01, 1), (8, 8), (100, 8)])
def test_a_limit_is_a_count_or_a_share_and_is_said(limit: float, count: int) -> None:
    cut = limited(dataset(8), limit)
    assert [item.id for item in cut.items] == [str(i) for i in range(count)]
    assert any("limited to the first" in note for note in cut.notes) == (count < 8)


def test_a_missing_checkpoint_is_an_error_unless_training_is_asked_for(world: World) -> None:
    with pytest.raises(XharnessError, match=r"xharness train --model toy --tasks toy-pairs,"):
        plan_for(world).require_checkpoints()
    plan_for(world, train="missing").require_checkpoints()


@pytest.mark.parametrize(
    "change",
    [{"seeds": [7]}, {"recipe": "small"}, {"recipe": "published"}],
)
def test_another_seed_or_recipe_is_another_checkpoint(world: World, change: Any) -> None:
    def addresses(plan: Plan) -> set[str]:
        return {phase.address for job in plan.jobs for phase in job.lineage}

    assert not addresses(plan_for(world)) & addresses(plan_for(world, **change))


def test_changed_training_data_is_another_checkpoint(world: World, tmp_path: Path) -> None:
    other = make_world(tmp_path / "other", seed=1)
    mine = plan_for(world, tasks=["toy-tags"], backbone=str(world.backbone)).jobs[0].lineage
    theirs = plan_for(
        world, tasks=["toy-tags"], backbone=str(world.backbone), data=str(other.release)
    )
    assert mine[0].address != theirs.jobs[0].lineage[0].address


def test_the_split_that_is_evaluated_is_not_selected_on(world: World) -> None:
    test = plan_for(world, tasks=["toy-tags"], languages=["de"]).jobs[0].lineage[0]
    dev = plan_for(world, tasks=["toy-tags"], split="dev").jobs[0].lineage[0]
    assert (test.recipe.select, dev.recipe.select) == ("dev", "last")
    assert any("it is not selected on" in note for note in dev.notes)


def test_broken_data_stops_the_plan_and_names_the_file(world: World, tmp_path: Path) -> None:
    release = tmp_path / "release"
    (release / "toy-spans").mkdir(parents=True)
    (release / "toy-spans" / "test-en.json").write_text('{"data": [{"para')
    with pytest.raises(DataError, match=r"toy-spans/test-en\.json"):
        plan_for(world, tasks=["toy-spans"], data=str(release))


def test_a_kind_that_no_evaluator_has_stops_the_plan(world: World, tmp_path: Path) -> None:
    registry = open_registry()
    catalogue = Catalogue.load([*registry.card_folders(), world.cards])
    card = msgspec.structs.replace(catalogue.tasks["toy-bitext"], kind="bittext")
    catalogue.tasks["toy-bitext"] = card
    request = Request(
        models=["toy"], suite="toy", data=str(world.release), seeds=[42], tasks=["toy-bitext"]
    )
    with pytest.raises(
        CardError, match="task 'toy-bitext': No evaluator named 'bittext'. Did you mean 'bitext'?"
    ):
        prepare(request, registry, catalogue)


def test_tuning_on_other_items_is_another_measurement() -> None:
    task = Catalogue.load(open_registry().card_folders()).tasks["xnli"]
    alone = measured(task, dataset(3))
    assert "tuning" not in alone
    tuned = [measured(task, replace(dataset(3), tuning=dataset(n))) for n in (4, 5)]
    assert tuned[0] != tuned[1]
    assert {key: tuned[0][key] for key in alone} == alone


def test_a_record_counts_as_done_only_with_the_same_inputs(world: World, tmp_path: Path) -> None:
    import xharness

    run = tmp_path / "run"
    asked: dict[str, Any] = {"suite": "toy", "data": str(world.release), "tasks": ["toy-bitext"]}
    records = xharness.evaluate(run, models=["toy"], include=[world.cards], **asked)
    assert [record.status for record in records] == ["ok", "ok"]
    folder = RunFolder(run)

    again = plan_for(world, folder, tasks=["toy-bitext"])
    assert [job.pending for job in again.jobs] == [[]]
    other = plan_for(world, folder, tasks=["toy-bitext"], dtype="bf16")
    assert "2 to run (2 in place of results from other inputs), 0 done" in other.describe()

    folder.write_cell(msgspec.structs.replace(records[0], inputs="other"))
    assert [cell.language for cell in plan_for(world, folder, tasks=["toy-bitext"]).jobs[0].pending]
    (run / "items" / f"{records[1].id}.npz").unlink()
    assert len(plan_for(world, folder, tasks=["toy-bitext"]).jobs[0].pending) == 2


def test_the_run_folder_alone_says_which_items_belong_together(
    world: World, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"suite": "toy", "data": str(world.release), "train": "missing"}
    asked |= {"tasks": ["toy-pairs", "toy-bitext"], "languages": ["de", "fr"]}
    records = xharness.evaluate(tmp_path / "run", models=["toy"], include=[world.cards], **asked)
    folder = RunFolder(tmp_path / "run")
    for record in records:
        kept = folder.read_items(record)
        assert record.result is not None
        assert {len(kept[name]) for name in ("id", "cluster", "parallel", "correct")} == {
            record.result.n_items
        }
        assert len(set(kept["id"])) == record.result.n_items
        assert 100 * kept["correct"].mean() == pytest.approx(record.result.score)


COUNTING = """
import numpy as np
import xharness

class Counts:
    def embed(self, texts, side):
        return np.array([[text.count(letter) for letter in "aeo"] for text in texts], np.float32)

class Producer(xharness.Producer):
    name = "counting"

    def produce(self, card, task, lineage, context):
        return xharness.Produced(Counts())

@xharness.hookimpl
def xharness_producers():
    return [Producer]
"""


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A model without a backbone, whose producer is in a file; its card's path."""
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.setenv("XHARNESS_PLUGINS", str(tmp_path / "counting.py"))
    card = tmp_path / "counting.yaml"
    card.write_text("name: counting\nproducer: counting\ndescription: Counts vowels.\n")
    return card


def test_without_a_backbone_the_plugin_stands_for_the_weights(
    world: World, counting: Path, tmp_path: Path
) -> None:
    request: dict[str, Any] = {
        "models": [str(counting)], "tasks": ["toy-bitext"], "suite": "toy",
        "data": str(world.release),
    }  # fmt: skip
    records = xharness.evaluate(tmp_path / "run", include=[world.cards], **request)
    assert [record.status for record in records] == ["ok", "ok"]
    label = open_registry().plugin("producer", "counting").label
    assert {record.model.backbone["plugin"] for record in records} == {label}
    folder = RunFolder(tmp_path / "run")
    assert [len(job.pending) for job in plan_for(world, folder, **request).jobs] == [0]
    plugin = tmp_path / "counting.py"
    plugin.write_text(plugin.read_text().replace("aeo", "aeu"))
    assert [len(job.pending) for job in plan_for(world, folder, **request).jobs] == [2]


def test_a_producer_that_fine_tunes_says_that_it_needs_a_backbone(
    world: World, counting: Path
) -> None:
    counting.write_text(counting.read_text().replace("producer: counting", "producer: standard"))
    with pytest.raises(CardError, match="'counting' names no backbone, which producer 'standard'"):
        plan_for(world, models=[str(counting)], tasks=["toy-bitext"])


def test_a_metric_that_nobody_has_is_found_out_before_anything_is_trained(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    path = world.cards / "tasks" / "toy-tags.yaml"
    path.write_text(path.read_text().replace("metric: seqeval", "metric: seqevil"))
    with pytest.raises(CardError, match="No metric named 'seqevil'. Did you mean 'seqeval'?"):
        plan_for(world, tasks=["toy-tags"])


UNSCORED = """
class Unscored:
    name = "unscored"

    def __call__(self, gold, predicted, language):
        return xharness.Scored({"accuracy": float("nan")}, {})

@xharness.hookimpl
def xharness_metrics():
    return [Unscored()]
"""


def test_a_cell_without_a_score_has_its_record_and_no_other_file(
    counting: Path, tmp_path: Path
) -> None:
    world = make_world(tmp_path / "world")
    task = world.cards / "tasks" / "toy-bitext.yaml"
    task.write_text(task.read_text().replace("metric: accuracy", "metric: unscored"))
    (tmp_path / "counting.py").write_text(COUNTING + UNSCORED)
    (record,) = xharness.evaluate(
        tmp_path / "run", models=[str(counting)], suite="toy", data=str(world.release),
        include=[world.cards], tasks=["toy-bitext"], languages=["de"],
    )  # fmt: skip
    assert record.failure is not None
    assert record.failure.message == "metric 'unscored': its value 'accuracy' is nan"
    files = [p.relative_to(tmp_path / "run").as_posix() for p in tmp_path.glob("run/*/**/*.*")]
    assert files == ["cells/counting/toy-bitext/de.json"]


@pytest.mark.parametrize(
    "wrong",
    [{"models": "toy"}, {"models": []}, {"tasks": "toy-bitext"}, {"seeds": []}, {"limit": -1},
     {"limit": float("nan")}, {"limit": float("inf")}, {"dtype": "fp64"}, {"train": "always"},
     {"nope": 1}, {"include": ["nowhere"]}],
    ids=str,
)  # fmt: skip
def test_what_is_asked_for_from_python_is_checked(
    world: World, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    asked = {"models": ["toy"], "suite": "toy", "data": str(world.release)}
    with pytest.raises(XharnessError, match=next(iter(wrong))):
        xharness.evaluate(tmp_path / "run", **{**asked, "include": [world.cards], **wrong})
    assert not (tmp_path / "run").exists()

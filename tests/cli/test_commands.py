"""What commands print and how they end, in process."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from xharness.cli.main import main
from xharness.testing.toys import World, make_world

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def do(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return do


def evaluate(run: Run, world: World, *arguments: object) -> tuple[int, str, str]:
    common = ["-m", "toy", "-s", "toy", "--data", world.release, "--include", world.cards]
    return run("eval", *common, *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evall"], "No command named 'evall'. Did you mean 'eval'?"),
        (["eval", "--modle", "x"], "No such option"),
        (["eval", "-m", "toyy"], "No model named 'toyy'. Did you mean 'toy'?"),
        (["eval", "-s", "toyy"], "No suite named 'toyy'. Did you mean 'toy'?"),
        (["eval", "-t", "toy-tag"], "No task named 'toy-tag'. Did you mean 'toy-tags'?"),
        (["eval", "-l", "xx"], "No language named 'xx'"),
        (["eval", "--recipe", "smal"], "No recipe named 'smal'. Did you mean 'small'?"),
        (["eval", "--limit", "0"], "--limit '0' is neither a count (100) nor a share (0.1)"),
        (["eval", "--limit", "nan"], "--limit 'nan' is neither a count"),
        (["eval", "--limit", "1e999"], "--limit '1e999' is neither a count"),
        (["eval", "--batch-size", "x"], "--batch-size 'x' is neither 'auto' nor"),
        (["eval", "--batch-size", "²"], "--batch-size '²' is neither 'auto' nor"),
        (["eval", "-l", " ,"], "' ,' names nothing"),
        (["eval", "--split", "tset"], "No split named 'tset'. Did you mean 'test'?"),
        (["eval", "-t", "mnli"], "task 'mnli' is not in suite 'toy'"),
        (["eval", "-m", "nowhere.yaml"], "nowhere.yaml can't be read: No such file"),
        (["eval", "-o", "x" * 300], f"{'x' * 300}"),
        (["eval", "--data", "nowhere"], "--data 'nowhere' is no folder"),
        (["eval", "--data", "sample:x"], "source 'sample' takes nothing after the colon"),
        (["eval", "--data", "hub:a/b@main"], "'a/b@main' is not REPO@COMMIT"),
        (["eval", "--device", "gpu9"], "--device 'gpu9' can't be used here"),
        (["show", "nowhere"], "there is no run folder nowhere"),
        (["list", "taskz"], "taskz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_exit_2_and_nothing_is_written(
    run: Run, world: World, tmp_path: Path, arguments: list[str], said: str
) -> None:
    given = list(arguments)
    if given[0] == "eval":
        given += [] if "-s" in given else ["-s", "toy"]
        given += [] if "-m" in given else ["-m", "toy"]
        given += [] if "--data" in given else ["--data", str(world.release)]
        given += ["--include", str(world.cards), "--train", "missing"]
    code, out, err = run(*given)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "runs").exists()


def test_eval_show_and_a_second_eval(run: Run, world: World, tmp_path: Path) -> None:
    code, out, err = evaluate(run, world, "-t", "toy-bitext", "-o", "run")
    assert code == 0, err
    assert "2 cells (toy; 1 task): 2 to run, 0 done" in err
    assert "[2/2] toy/toy-bitext/fr" in err
    assert out.splitlines()[1].split() == ["task", "score", "toy"]
    assert "toy_avg" in out
    assert "withheld" in out  # the other tasks are missing

    code, again, err = evaluate(run, world, "-t", "toy-bitext", "-o", "run")
    assert (code, again) == (0, out)
    assert "0 to run, 2 done" in err

    board = json.loads((tmp_path / "run/leaderboard.json").read_text())
    assert set(board) == {"toy-bitext", "xharness"}
    values = board["toy-bitext"]["accuracy"]
    assert board["toy-bitext"]["avg_metric"] == sum(values.values()) / 2

    code, out, _ = run("show", "run", "--by", "language", "--format", "csv",
                       "--include", world.cards)  # fmt: skip
    assert code == 0
    assert out.splitlines()[0] == "language,toy-bitext"
    assert [line.split(",")[0] for line in out.splitlines()[1:]] == ["de", "fr"]
    for form in ("markdown", "json", "text"):
        assert run("show", "run", "--format", form, "--include", world.cards)[0] == 0


def test_a_run_folder_takes_one_suite_with_one_limit_on_the_sample_or_on_other_data(
    run: Run, world: World, tmp_path: Path
) -> None:
    assert evaluate(run, world, "-t", "toy-bitext", "-o", "run")[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.json")}
    for suite, data in (("toy", "sample"), ("xtreme-r", world.release)):
        code, out, err = run("eval", "-m", "toy", "-s", suite, "--data", data, "-o", "run",
                             "--include", world.cards, "--train", "missing")  # fmt: skip
        assert (code, out) == (2, "")
        assert f"run holds a run of toy on {world.release}, and this one is of {suite} on" in err
    code, _, err = evaluate(run, world, "-t", "toy-bitext", "-o", "run", "--limit", "2")
    assert code == 2
    assert f"and this one is of toy on {world.release}, limit 2.0; name another folder" in err
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.json")}


def test_the_run_folder_is_named_by_cards_and_the_next_step_knows_them(
    run: Run, world: World, tmp_path: Path
) -> None:
    card = tmp_path / "models/mine.yaml"
    card.parent.mkdir()
    text = (world.cards / "models/toy.yaml").read_text()
    card.write_text(text.replace("name: toy\n", "name: mine\n"))
    code, _, err = evaluate(run, world, "-m", card, "-t", "toy-bitext")
    assert code == 0, err
    command = err.partition("By language: xharness ")[2].splitlines()[0]
    assert command.startswith("show runs/toy-toy-mine --by language --include ")
    assert run(*shlex.split(command))[0] == 0
    on_sample = ("-m", card, "-t", "toy-bitext", "--data", "sample", "--include", world.cards)
    assert "runs/toy-mine-sample/" in run("eval", "-s", "toy", *on_sample)[2]
    assert "runs/toy-mine-sample-limit-2/" in run("eval", "-s", "toy", *on_sample, "--limit", 2)[2]


def test_a_cache_that_is_a_file_stops_the_plan(
    run: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "file"))
    code, _, err = evaluate(run, world, "--train", "missing")
    assert (code, "file is no folder; $XHARNESS_CACHE names another" in err) == (2, True)
    assert not (tmp_path / "runs").exists()


def test_cells_without_data_are_skipped_with_the_reason(
    run: Run, world: World, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    (release / "toy-bitext").mkdir(parents=True)
    for name in ("de-en.de", "de-en.en"):
        content = (world.release / "toy-bitext" / name).read_text()
        (release / "toy-bitext" / name).write_text(content)
    arguments = ["-t", "toy-bitext", "-o", "run", "--data", release]
    code, out, err = evaluate(run, world, *arguments)
    assert code == 1
    assert "skip toy-bitext fr: no file for toy-bitext test fr" in err
    assert "(1/2)" in out
    record = json.loads((tmp_path / "run/cells/toy/toy-bitext/fr.json").read_text())
    assert (record["status"], record["result"]) == ("skipped", None)
    board = json.loads((tmp_path / "run/leaderboard.json").read_text())
    assert "avg_accuracy" not in board["toy-bitext"]
    assert "toy-bitext/fr" in board["xharness"]["missing"]
    assert evaluate(run, world, *arguments, "--allow-missing")[0] == 0


def test_a_failing_cell_has_a_record_and_the_others_go_on(
    run: Run, world: World, tmp_path: Path
) -> None:
    card = (world.cards / "tasks/toy-bitext.yaml").read_text().replace("toy-bitext", "broken")
    card = card.replace("path: broken/", "path: toy-bitext/")
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "broken.yaml").write_text(card + "labels: []\n" if "labels" not in card else card)
    suite = "name: two\ndescription: Two.\ntasks: [broken, toy-bitext]\ngroups: {}\naverages: []\n"
    (cards / "two.yaml").write_text(suite)
    model = (world.cards / "models/toy.yaml").read_text().replace("name: toy\n", "name: odd\n")
    model += "train_on: {broken: [toy-pairs]}\nprofile: {layer: 99}\n"
    (cards / "odd.yaml").write_text(model)
    code, _, err = run(
        "eval", "-m", "odd,toy", "-s", "two", "-t", "toy-bitext", "--data", world.release,
        "--include", world.cards, "--include", cards, "-o", "run",
    )  # fmt: skip
    assert code == 1
    assert "odd/toy-bitext/de  failed" in err
    assert "toy/toy-bitext/de  " in err
    record = json.loads((tmp_path / "run/cells/odd/toy-bitext/de.json").read_text())
    assert record["failure"]["type"] == "Refused"
    assert str(Path.home()) not in record["failure"]["traceback"]
    assert json.loads((tmp_path / "run/leaderboard.json").read_text()) == {
        "odd": "leaderboard/odd.json",
        "toy": "leaderboard/toy.json",
    }


def test_dry_run_writes_nothing(run: Run, world: World, tmp_path: Path) -> None:
    code, _, err = evaluate(run, world, "--dry-run")
    assert code == 0
    assert "train toy-pairs, recipe toy-recipe" in err
    assert not (tmp_path / "runs").exists()


def test_lists(run: Run) -> None:
    code, out, _ = run("list", "suites", "--json")
    assert code == 0
    assert json.loads(out)[0]["name"] == "xtreme-r"
    assert len(run("list", "languages")[1].splitlines()) == 52
    recipes = {
        row["name"]: row["extends"] for row in json.loads(run("list", "recipes", "--json")[1])
    }
    assert recipes["lora"] == "small"


def test_in_tables_words_begin_on_the_left_and_numbers_end_on_the_right(run: Run) -> None:
    _, head, *rows = run("list", "tasks")[1].splitlines()
    kind = head.index("kind")
    number = head.index("languages") + len("languages") - 1
    for row in rows:
        assert row[kind - 1 : kind + 1].strip() == row[kind]
        assert row[number].isdigit()
        assert row[number + 1] == " "


def test_long_options_take_underscores(run: Run, world: World) -> None:
    code, _, err = evaluate(run, world, "--dry_run", "--batch_size", "64")
    assert code == 0, err


@pytest.fixture(scope="module")
def theirs(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's fine-tuned model for toy-pairs, with its labels in another order and case."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("theirs")
    torch.manual_seed(1)
    labels = {0: "Other", 1: "Same"}
    config = BertConfig.from_pretrained(world.backbone, id2label=labels)
    BertForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(world.backbone).save_pretrained(folder)
    return folder


def test_a_check_says_what_was_looked_for_where_nothing_was_found(
    run: Run, world: World, tmp_path: Path
) -> None:
    (tmp_path / "release").mkdir()
    asked = ("data", "check", "--include", world.cards, "--tasks", "toy-pairs", "--data")
    code, out, _ = run(*asked, world.release)
    assert code == 0
    assert "looked for" not in out
    code, out, _ = run(*asked, tmp_path / "release")
    assert code == 0
    assert "toy-pairs test: 0 of 3 languages, 0 items\n  missing: en de fr\n" in out
    assert out.count("no file for toy-pairs test") == 1
    assert "looked for toy-pairs/test-en.tsv" in out
    broken = tmp_path / "release/toy-pairs/test-fr.tsv"
    broken.parent.mkdir()
    broken.write_text("one column\n")
    code, out, _ = run(*asked, tmp_path / "release")
    assert code == 1
    assert f"  missing: en de\n  broken: fr\n    {broken}" in out


def card_of(folder: Path, **checkpoints: object) -> Path:
    path = folder / "theirs.yaml"
    text = "name: theirs\nproducer: pretrained\ndescription: Somebody's.\noptions:\n"
    path.write_text(
        text + "  checkpoints: " + json.dumps({k: str(v) for k, v in checkpoints.items()})
    )
    return path


def test_anybodys_checkpoint_is_scored_by_a_card_of_a_few_lines(
    run: Run, world: World, theirs: Path, tmp_path: Path
) -> None:
    card = card_of(tmp_path, **{"toy-pairs": theirs, "toy-bitext": world.backbone})
    common = ["-m", card, "-s", "toy", "--data", world.release, "--include", world.cards]
    code, _, _ = run("eval", *common, "-o", "run", "--allow-missing")
    assert code == 0
    record = json.loads(Path("run/cells/theirs/toy-pairs/de.json").read_text())
    assert record["model"]["backbone"]["labels"] == "by name"
    assert record["result"]["n_items"] == 20
    # The same vectors as the standard producer's, which trains nothing for this task.
    evaluate(run, world, "-t", "toy-bitext", "-o", "ours")
    name = "toy-bitext/de.json"
    mine, other = (
        json.loads(Path(f"{folder}/{name}").read_text())["result"]["score"]
        for folder in ("run/cells/theirs", "ours/cells/toy")
    )
    assert mine == other
    skipped = json.loads(Path("run/cells/theirs/toy-tags/de.json").read_text())
    assert skipped["reason"] == "model 'theirs' names no checkpoint for toy-tags"
    # Other weights in the same folder are other inputs: nothing old is taken for theirs.
    weights = theirs / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    _, _, err = run("eval", *common, "-t", "toy-pairs", "-o", "run")
    assert "3 to run (3 in place of results from other inputs), 0 done" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{checkpoint: {}}", "takes the one option `checkpoints`"),
        ("{checkpoints: {toy-pair: x}}", "no task 'toy-pair'. Did you mean 'toy-pairs'?"),
        ("{checkpoints: {toy-pairs: nowhere}}", "No backbone 'nowhere'"),
    ],
)
def test_a_mistake_in_such_a_card_is_one_sentence(
    options: str, said: str, run: Run, world: World, tmp_path: Path
) -> None:
    card = tmp_path / "theirs.yaml"
    card.write_text(
        f"name: theirs\nproducer: pretrained\ndescription: Somebody's.\noptions: {options}\n"
    )
    common = ["-m", card, "-s", "toy", "--data", world.release, "--include", world.cards]
    code, _, err = run("eval", *common, "-t", "toy-pairs", "-o", "run")
    assert code == 2
    assert said in err
    assert not Path("run").exists()


def test_stilts_in_a_dry_run_shows_its_phases(run: Run, data_root: Path, world: World) -> None:
    common = ["--data", data_root, "--backbone", world.backbone, "--dry-run"]
    code, _, err = run("train", "--model", "stilts-mnli", "--tasks", "xnli", *common)
    assert code == 0
    lines = [line.split(" [")[0] for line in err.splitlines() if line.startswith("train ")]
    assert lines == ["train mnli, recipe small", "train mnli after mnli, recipe small"]
    code, _, err = run("train", "-m", "stilts,stilts-squad", "-t", "xquad,tatoeba", *common)
    lines = [line.split(" [")[0] for line in err.splitlines() if line.startswith("train ")]
    assert lines == [
        "train mnli+squad+hellaswag, recipe small",
        "train squad after mnli+squad+hellaswag, recipe small",
        "train squad, recipe small",
        "train squad after squad, recipe small",
    ]


def test_an_intermediate_task_without_data_is_said(run: Run, data_root: Path, world: World) -> None:
    common = ["-t", "tatoeba", "--data", data_root, "--backbone", world.backbone]
    code, _, err = run("train", "-m", "stilts-qqp-mnli-race", *common)
    assert code == 2
    assert "no file for race train en: looked for" in err
    assert "there is nothing to train for: the plan has no cell that can be run" in err

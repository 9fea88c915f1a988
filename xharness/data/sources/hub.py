"""Source `hub`: parquet data sets of the Hugging Face Hub, each at the commit of the card.

`datasets.load_dataset` is not asked for a repository by name: where the Hub can't be reached it
takes the newest copy in its cache, whatever revision was asked for. The files of one commit are
fetched, and `datasets` reads them from disk; nothing of a repository is ever run.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from xharness.cards import Hub, TaskCard
from xharness.data.assemble import assemble, published_size
from xharness.data.items import Dataset, Item
from xharness.data.placeholders import fill_in
from xharness.data.readers import bound_table_reader
from xharness.data.readers.ask import Ask
from xharness.data.snapshot import snapshot
from xharness.data.table import Table
from xharness.errors import DataError, MissingData, XharnessError, did_you_mean

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CARD_FILE = "README.md"


class HubSource:
    """Reads datasets from the Hub; each is read once.

    text  `REPO@COMMIT`, separated by commas: commits in place of the cards'.
    Raises XharnessError when `text` is not of this form.
    """

    name = "hub"

    def __init__(self, text: str) -> None:
        self._pins = _read_pins(text)
        self._datasets: dict[tuple[str, str, str], Dataset] = {}
        self._rows: tuple[str, Any] = ("", None)

    def load(self, task: TaskCard, split: str, language: str) -> Dataset:
        """The items. Raises MissingData when the card names no copy in this language or refuses
        it, when no commit is pinned, and when the copy is not cached and the network is forbidden;
        DataError when the copy is not as the card says; XharnessError when the Hub can't be
        reached."""
        key = (task.name, split, language)
        if key not in self._datasets:
            self._datasets[key] = self._load(task, split, language)
        return self._datasets[key]

    def _load(self, task: TaskCard, split: str, language: str) -> Dataset:
        where = f"{task.name} {split} {language}"
        copy = task.hub.get(split)
        if copy is None:
            raise MissingData(
                f"{where}: the task's card names no copy on the Hub; --data FOLDER reads the "
                "published files"
            )
        if copy.refused:
            raise MissingData(
                f"{where}: {copy.repo} is not read: {copy.refused}; --data FOLDER reads the "
                "published files"
            )
        revision = self._revision(copy, where)
        config = fill_in(copy.config, language)
        if config == copy.config and language not in task.languages:
            raise MissingData(f"{where}: {copy.repo} is in {', '.join(task.languages)}")
        origin = f"hf://datasets/{copy.repo}@{revision}/{config}/{copy.split}"
        if self._rows[0] != origin:  # one table may hold all languages, one after the other
            self._rows = (origin, _open(copy, revision, config))
        table = Table(origin, self._rows[1], copy.columns)
        reader = bound_table_reader(task, copy, language)
        ask = Ask(language, tuple(task.labels), split == "train")
        # No reader of tables gives a pool.
        items: list[Item] = list(reader(table, ask))
        published = published_size(task, split, language)
        if not items or (published and len(items) != published):
            expected = f"{published:,} were published" if published else "some are needed"
            raise DataError(
                f"{where}: {len(items):,} items in {origin}, where {expected}: another data set, "
                "or a defective copy"
            )
        digest = table.digest(len(items))
        return assemble(task, split, language, items, (), [digest], table.notes, origin)

    def _revision(self, copy: Hub, where: str) -> str:
        revision = self._pins.get(copy.repo, copy.revision)
        if not revision:
            raise MissingData(
                f"{where}: no commit of {copy.repo} was verified. Look at "
                f"https://huggingface.co/datasets/{copy.repo}/commits/main and name one: "
                f"--data hub:{copy.repo}@COMMIT"
            )
        if not _COMMIT.fullmatch(revision):
            raise DataError(
                f"{where}: revision {revision!r} of {copy.repo} may move; name a commit by its 40 "
                "digits"
            )
        return revision


def _read_pins(text: str) -> dict[str, str]:
    pins = {}
    for pin in filter(None, text.split(",")):
        repo, at, revision = pin.strip().partition("@")
        if not (repo and at and _COMMIT.fullmatch(revision)):
            raise XharnessError(
                f"--data hub:{text}: {pin!r} is not REPO@COMMIT with the 40 digits of a commit"
            )
        pins[repo] = revision
    return pins


def _open(copy: Hub, revision: str, config: str) -> Any:
    """The rows as a `datasets.Dataset`, memory-mapped. Raises DataError when the repository has
    no parquet files for the configuration and split."""
    import datasets

    folder = snapshot("dataset", copy.repo, revision, [_CARD_FILE])
    patterns = _patterns(folder / _CARD_FILE, copy, config)
    folder = snapshot("dataset", copy.repo, revision, [_CARD_FILE, *patterns])
    files = _matching(folder, patterns)
    if not files or any(path.suffix != ".parquet" for path in files):
        found = f"has {files[0].name}" if files else f"has no file like {' or '.join(patterns)}"
        raise DataError(
            f"{copy.repo}@{revision} {found}, and only parquet is read: a data set that comes "
            "with a loading script or in another format has to be converted first"
        )
    datasets.disable_progress_bars()
    try:
        return datasets.Dataset.from_parquet([str(path) for path in files])
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise DataError(f"{copy.repo}@{revision}, {files[0].name}: {reason}") from error


def _patterns(card_file: Path, copy: Hub, config: str) -> list[str]:
    """Where the files of a configuration and split are: as the data set's card says, else as
    the Hub's own conversions lay them out."""
    from datasets.data_files import sanitize_patterns

    configs = _configs(card_file, copy)
    if not configs:
        folder = "data/" if config == "default" else f"{config}/"
        return [f"{folder}{copy.split}-*.parquet", f"{folder}{copy.split}/*.parquet"]
    if config not in configs:
        raise DataError(
            f"{copy.repo} has no configuration {config!r}, but {_some(configs)}."
            f"{did_you_mean(config, configs)}"
        )
    splits = {str(key): value for key, value in sanitize_patterns(configs[config]).items()}
    if copy.split not in splits:
        raise DataError(
            f"{copy.repo}, configuration {config!r}, has no split {copy.split!r}, but "
            f"{_some(splits)}.{did_you_mean(copy.split, splits)}"
        )
    return [str(pattern) for pattern in splits[copy.split]]


def _configs(card_file: Path, copy: Hub) -> dict[str, Any]:
    """Configuration -> its data files, as the data set's card has them; none where it doesn't."""
    from huggingface_hub import DatasetCard

    if not card_file.is_file():
        return {}
    try:
        configs = DatasetCard.load(card_file).data.to_dict().get("configs") or []
        return {one["config_name"]: one["data_files"] for one in configs if "data_files" in one}
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{copy.repo}: its {_CARD_FILE} does not read: {error}") from error


def _matching(folder: Path, patterns: list[str]) -> list[Path]:
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    return [folder / n for n in sorted(names) if any(fnmatchcase(n, p) for p in patterns)]


def _some(names: dict[str, Any]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")

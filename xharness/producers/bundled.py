"""Checkpoints that come with the package: what each is for, and whether it is whole.

The package's folder `checkpoints/` is laid out as the cache's, a folder for each address, and
`index.json` beside them says what they are. `bench/bundle.py` makes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

import xharness
from xharness.cards import ModelCard, Strict, TaskCard, digest
from xharness.errors import DataError, XharnessError
from xharness.inference.identity import sha256
from xharness.plugins.roles import Context, Part, Phase
from xharness.producers.lineage import SOURCE_LANGUAGE, checkpoint_folder
from xharness.records import PhaseRecord

FOLDER = Path(xharness.__file__).parent / "checkpoints"
INDEX = "index.json"
NOTE = "bundled checkpoint"


class Score(Strict, frozen=True):
    """The mean over that many languages of a task, in the card's metric."""

    score: float
    languages: int


class Bundle(Strict, frozen=True):
    """One checkpoint.

    tasks     those that the model is evaluated on with it.
    card      `identity` of the model's card, `backbone` the digest of the backbone's weights:
              another card or backbone is another model.
    recipe    that was asked for; phases tell what the card adjusted of it.
    files     name -> SHA-256 of what lies in the checkpoint's folder.
    licences  task that was trained on -> licence of its data.
    scores    by task, on the data that `command` trains on and evaluates.
    """

    model: str
    tasks: list[str]
    card: str
    backbone: str
    recipe: str
    files: dict[str, str]
    lineage: list[PhaseRecord]
    licences: dict[str, str]
    scores: dict[str, Score]
    command: str

    @property
    def address(self) -> str:
        return self.lineage[-1].address

    def phases(self, tasks: Mapping[str, TaskCard]) -> list[Phase]:
        """The lineage as it was trained. What only a training needs of a phase (sampling shares,
        the parts' own recipes) is not in it."""
        return [
            Phase(
                [Part(tasks[n], told.recipe, (SOURCE_LANGUAGE,)) for n in told.task.split("+")],
                told.recipe,
                told.seed,
                told.address,
                told.files,
                [NOTE, *told.notes],
                trained=True,
            )
            for told in self.lineage
        ]

    def check(self, folder: Path) -> None:
        """Raises DataError when a file is missing, changed or truncated."""
        for name, wanted in self.files.items():
            path = checkpoint_folder(folder, self.address) / name
            if not path.is_file() or sha256([path]) != wanted:
                state = "changed or truncated" if path.is_file() else "missing"
                raise DataError(
                    f"the bundled checkpoint of model {self.model!r} for "
                    f"{', '.join(self.tasks)} is {state}: {path}. Install xharness again, or pass "
                    "--checkpoints trained to do without."
                )


def identity(card: ModelCard) -> str:
    """Digest of what a model card says beside its recipe and backbone."""
    return digest(msgspec.structs.replace(card, description="", recipe=None, backbone=None))


@cache
def bundles(folder: Path) -> list[Bundle]:
    """What the index of a folder names. Raises DataError when it does not read."""
    path = folder / INDEX
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Bundle])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(
            f"the index of the bundled checkpoints, {path}, can't be read ({error}). Install "
            "xharness again, or pass --checkpoints trained to do without."
        ) from error


def find(card: ModelCard, task: TaskCard, recipe: str | None, context: Context) -> Bundle | None:
    """The bundled checkpoint of a model for a task, if there is one of this very card, backbone,
    seed and (where one is asked for) recipe. Raises DataError when it is not whole."""
    for bundle in bundles(FOLDER):
        if (
            (bundle.model, bundle.card) == (card.name, identity(card))
            and task.name in bundle.tasks
            and recipe in (None, bundle.recipe)
            and bundle.lineage[-1].seed == context.seed
            and context.identify(card).get("weights_sha256") == bundle.backbone
        ):
            bundle.check(FOLDER)
            return bundle
    return None


def none_for(card: ModelCard, task: TaskCard) -> XharnessError:
    """The error for a model and task without one."""
    have: dict[str, list[str]] = {}
    for bundle in bundles(FOLDER):
        have.setdefault(bundle.model, []).extend(bundle.tasks)
    known = "; ".join(f"{model} for {', '.join(tasks)}" for model, tasks in have.items())
    return XharnessError(
        f"No checkpoint of model {card.name!r} for {task.name} is bundled, with this card, "
        f"backbone, recipe and seed. There are: {known or 'none'}."
    )

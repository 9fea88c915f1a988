"""Cards: the YAML that declares tasks, suites, models and recipes, and its strict reading.

What a scientist changes is here; unknown keys, wrong types and YAML's surprises (a bare `no` is
the boolean false) are all reported at once, each with file, line and the nearest known key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from xharness.errors import CardError, UnknownName, did_you_mean

# libyaml's, where PyYAML was built with it, is some ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Precision = Literal["fp32", "bf16"]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all card structs: frozen, and unknown keys are errors."""


class Files(Strict, frozen=True):
    """Where a split lies in a release folder, in one layout.

    path     relative pattern, matched against the end of a file's path (whole components);
             `{language}`, `{iso3}` and `{english}` (the language's name in lower case) are
             filled in, `*` matches within a component, `{00..18}` means these numbers.
    reader   the name of a reader, with its `options`.
    join     several files are expected and are read one after the other in order of their names.
    languages  those that this layout is for; empty means all.
    """

    path: str
    reader: str
    join: bool = False
    languages: list[str] = []
    options: dict[str, Any] = {}


class Hub(Strict, frozen=True):
    """Where a split lies on the Hugging Face Hub: parquet files of a data set at one commit.

    repo      id of the data set, as `facebook/xnli`.
    revision  commit id of 40 digits; empty when none was verified, and then the user names one.
    config    name of the configuration; `{language}`, `{iso3}` and `{english}` are filled in,
              as in text `options`.
    split     the name that the data set gives to the split.
    reader    one of `xharness.data.readers.TABLE_READERS`, with its `options`.
    columns   field of the reader's record -> column, where the names differ.
    refused   why this copy is not read; the rest is then not needed.
    """

    repo: str
    revision: str = ""
    config: str = "default"
    split: str = ""
    reader: str = ""
    columns: dict[str, str] = {}
    options: dict[str, Any] = {}
    refused: str = ""


class Preprocessing(Strict, frozen=True):
    """What the official script does to texts before the model; lengths count sub-words
    including special tokens. Each kind uses the fields that mean something to it.

    cut  where a pair that is too long loses tokens, the longer of the two first.
    """

    max_length: int = 128
    cut: Literal["end", "start"] = "end"
    doc_stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    max_query_length: int = 512
    max_candidate_length: int = 512


class Lora(Strict, frozen=True):
    """Low-rank updates of linear layers in place of training the backbone (arXiv 2106.09685).

    alpha    the update is scaled by alpha / rank.
    targets  ends of the names of the layers; empty means all linear layers of the backbone.
    """

    rank: int
    alpha: int
    dropout: float = 0.0
    targets: list[str] = []


class Recipe(Strict, frozen=True):
    """Hyper-parameters of one phase. `batch_size` counts items per optimiser step.

    warmup            share of the steps (below 1) or a number of steps.
    head_rate_factor  the head's learning rate over the encoder's.
    empty_windows     share of the question windows without the answer that are trained on.
    max_items         so many of a task's training items are drawn, by the seed; None takes all.
    max_length, doc_stride  replace the task's values in training only; None keeps them.
    lora              trains low-rank updates, the same through all phases, in place of the
                      backbone.
    select            `dev` keeps the weights with the best English dev score, `last` the last.
    select_every      steps between two looks at the dev score; 0 looks after each epoch.
    length            the training is so many times as long as `epochs` says.
    adversary         `name` of an adversary and its settings; empty means plain training.
    compute_matched   the adversary does not act: its passes go into a longer training instead.
    augmentation      `name` of an augmentation and its settings; empty means the data as it is.
    """

    name: str
    learning_rate: float
    epochs: int
    batch_size: int
    warmup: float = 0.0
    weight_decay: float = 0.0
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    head_rate_factor: float = 1.0
    empty_windows: float = 1.0
    max_items: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_length: int | None = None
    doc_stride: int | None = None
    freeze_embeddings: bool = False
    precision: Precision = "fp32"
    lora: Lora | None = None
    select: Literal["dev", "last"] = "last"
    select_every: int = 0
    length: float = 1.0
    adversary: dict[str, Any] = {}
    compute_matched: bool = False
    augmentation: dict[str, Any] = {}


# Some fields of a recipe; reading a card checks their names and types.
RecipePart = Annotated[dict[str, Any], Recipe]


class TaskCard(Strict, frozen=True):
    """A dataset with languages and a metric.

    kind          what is asked of a model; the evaluator that bears this name.
    origin        where its makers publish it, and under what `licence`.
    data          split -> the layouts it may have; the first that a folder holds is read.
    hub           split -> its copy on the Hugging Face Hub.
    sizes         split -> number of items as published, one for all languages or by language.
    fallback      the split that stands in when the evaluated one is absent or stripped.
    tune_on       the split that the evaluator tunes on, a threshold say; None for most kinds.
    train_on      names of the tasks that are trained on, in order, before evaluating; empty
                  means that nothing is trained (retrieval with the raw encoder).
    recipes       recipe name -> what differs for this task from the recipe's defaults.
    metric        name of the metric; `official` are the values that the official scorer prints,
                  `score` those whose mean is the task's score.
    labels        in the order of the logits; empty for kinds without labels, and where they are
                  too many to write: then those of the training and dev data, sorted.
    combines      tasks of the same kind and labels whose training data, one after the other, are
                  this task's.
    submission    suffix of the official prediction file.
    note          what a reader of the scores must know.
    """

    name: str
    kind: str
    description: str
    languages: list[str]
    metric: str
    official: list[str]
    score: list[str]
    origin: str = ""
    licence: str = ""
    version: int = 1
    split: str = "test"
    fallback: str | None = None
    tune_on: str | None = None
    data: dict[str, list[Files]] = {}
    hub: dict[str, Hub] = {}
    sizes: dict[str, int | dict[str, int]] = {}
    labels: list[str] = []
    combines: list[str] = []
    preprocessing: Preprocessing = Preprocessing()
    train_on: list[str] = []
    recipes: dict[str, RecipePart] = {}
    submission: str = "tsv"
    note: str = ""


class Average(Strict, frozen=True):
    """A total of ours: the plain mean over all tasks of the suite. `values` replaces the
    score of a task by the mean of other values of it; `rule` says it in words."""

    name: str
    rule: str
    values: dict[str, list[str]] = {}


class SuiteCard(Strict, frozen=True):
    """Tasks with groups and averages.

    languages    task -> languages, where they differ from the task card's.
    groups       official group -> its tasks.
    unofficial   tasks that the official scorer can't read; they stand under our key only.
    """

    name: str
    description: str
    tasks: list[str]
    groups: dict[str, list[str]]
    averages: list[Average]
    languages: dict[str, list[str]] = {}
    unofficial: list[str] = []


class Profile(Strict, frozen=True):
    """How a backbone's sentence vectors are taken; None means the backbone's own default.

    layer    index into the hidden states, 0 being the embeddings, negative from the end.
    pooling  `mean` over all tokens, special ones included, or the first (`cls`) or `last` one.
    prefix   text put before each sentence.
    head     what classification heads read: `mean` or `last`, or `cls` through a dense layer.
    attention  `causal` lets tokens see only those before them, as decoders were pretrained;
             `full` lets a decoder's tokens see the whole sequence (arXiv 2401.14556).
    """

    layer: int | None = None
    pooling: Literal["mean", "cls", "last"] | None = None
    prefix: str | None = None
    head: Literal["mean", "cls", "last"] | None = None
    attention: Literal["causal", "full"] | None = None


class TrainingPart(Strict, frozen=True):
    """A task that is trained on, where its name alone does not say enough.

    languages  whose data are taken, one language after the other; empty means English.
    split      `dev` where there is no training data in the language.
    """

    task: str
    languages: list[str] = []
    split: Literal["train", "dev"] = "train"


class Intermediate(Strict, frozen=True):
    """What is trained on before the target tasks: one task, or a mixture from which each optimiser
    step draws one (arXiv 2005.13013; nyu-mll/jiant, task_sampler.py).

    sampler      what the probability of a task with n items is proportional to: 1, n, min(n, cap)
                 or min(n, cap) ** (1 / temperature).
    """

    tasks: list[str | TrainingPart]
    sampler: Literal["uniform", "proportional", "capped", "temperature"] = "temperature"
    temperature: float = 2.0
    cap: int = 131_072

    @property
    def parts(self) -> list[TrainingPart]:
        """The tasks, those given by name alone in English."""
        return [TrainingPart(task=t) if isinstance(t, str) else t for t in self.tasks]


class Adjust(Strict, frozen=True):
    """Recipes whose values replace those of the model's recipe in some phases: what differs between
    two models, whatever recipe both are trained with. They need not be whole.

    intermediate  in the phase before the target tasks.
    target        in those of the target tasks.
    """

    intermediate: str | None = None
    target: str | None = None


class ModelCard(Strict, frozen=True):
    """A way to make models: a producer and, where it asks for them, a backbone and a recipe.

    adjust    what is different from the recipe, by phase.
    train_on  replaces the tasks that are trained on, by evaluated task.
    source_language  of the data that the target tasks are trained on.
    intermediate  what is trained on before them.
    profile   how sentence vectors are taken.
    options   what else the producer takes.
    """

    name: str
    producer: str
    description: str
    backbone: str | None = None
    recipe: str | None = None
    adjust: Adjust = Adjust()
    train_on: dict[str, list[str]] = {}
    source_language: str = "en"
    intermediate: Intermediate | None = None
    profile: Profile = Profile()
    options: dict[str, Any] = {}


class Sizes(Strict, frozen=True):
    """How large a backbone is: parameters in all and in the embeddings, layers, their width."""

    parameters: int
    embeddings: int
    layers: int
    width: int


class RecipeCard(Strict, frozen=True):
    """Named hyper-parameters: `defaults`, then what differs by kind, then by task (in the task
    card's `recipes`). Merged, they must give a whole `Recipe`, unless others are adjusted by it.

    extends  name of the recipe that this one changes; its values for the task come first.
    sizes    of the backbones that it was made for, by which memory is planned without them.
    """

    name: str
    description: str
    defaults: RecipePart
    kinds: dict[str, RecipePart] = {}
    extends: str | None = None
    sizes: dict[str, Sizes] = {}

    def part(self, task: TaskCard | None) -> dict[str, Any]:
        """What this card alone says about training on `task`, or on several tasks at once."""
        if task is None:
            return dict(self.defaults)
        return {
            **self.defaults,
            **self.kinds.get(task.kind, {}),
            **task.recipes.get(self.name, {}),
        }


Card = TypeVar("Card", TaskCard, SuiteCard, ModelCard, RecipeCard)
Shape = TypeVar("Shape", bound=msgspec.Struct)
Part = TypeVar("Part")


def read_card(path: Path, kind: type[Card]) -> Card:
    """The card in a file. Raises CardError with all complaints, each with file and line."""
    return _card(path, _compose(path), kind)


def read_strict(path: Path, kind: type[Shape]) -> Shape:
    """A YAML file as a struct. Raises CardError with all complaints, each with file and line."""
    return _struct(path, _compose(path), kind)


def _compose(path: Path) -> yaml.Node:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(f"{path} can't be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CardError(f"{path}:{line}: {error.problem or 'not YAML'}") from error
    except yaml.YAMLError as error:
        raise CardError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise CardError(f"{path} is empty")
    return node


def _card(path: Path, node: yaml.Node, kind: type[Card]) -> Card:
    card = _struct(path, node, kind)
    if card.name != path.stem:
        raise CardError(f"{path}: the card is named {card.name!r}, so the file must be too")
    return card


def _struct(path: Path, node: yaml.Node, kind: type[Shape]) -> Shape:
    check = _Check(path)
    value = check.value(node, kind, "")
    if check.complaints:
        raise CardError("\n".join(check.complaints))
    return msgspec.convert(value, kind)


class _Check:
    """Walks a YAML tree beside the type that it must have; collects what does not fit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.complaints: list[str] = []
        self.loader = yaml.SafeLoader("")

    def say(self, node: yaml.Node, text: str) -> None:
        self.complaints.append(f"{self.path}:{node.start_mark.line + 1}: {text}")

    def value(self, node: yaml.Node, kind: Any, where: str) -> Any:
        """The node's plain value; `where` names it in complaints."""
        if kind is Any:
            shapes: dict[Any, Any] = {
                yaml.MappingNode: dict[str, Any],
                yaml.SequenceNode: list[Any],
            }
            kind = shapes.get(type(node), Any)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.struct(node, arguments[1], where, whole=False)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(node, kind, where)
        if origin in (Union, UnionType):
            forms: dict[Any, Any] = {yaml.MappingNode: dict, yaml.SequenceNode: list}
            shape = forms.get(type(node))
            kind = next((part for part in arguments if _is_shape(part, shape)), kind)
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                return self.struct(node, kind, where)
            origin, arguments = get_origin(kind), get_args(kind)
        if origin is list:
            if not isinstance(node, yaml.SequenceNode):
                return self.say(node, f"{where} must be a list")
            items = enumerate(node.value)
            return [self.value(item, arguments[0], f"{where}[{i}]") for i, item in items]
        if origin is dict:
            pairs = self.pairs(node, where, arguments[0])
            return {key: self.value(item, arguments[1], f"{where}.{key}") for key, _, item in pairs}
        return self.scalar(node, kind, where)

    def struct(
        self, node: yaml.Node, kind: type[msgspec.Struct], where: str, whole: bool = True
    ) -> Any:
        hints = get_type_hints(kind, include_extras=True)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        found = {}
        for key, key_node, value in self.pairs(node, where or "the card"):
            if key in fields:
                found[key] = self.value(value, hints[key], f"{where}.{key}" if where else key)
            else:
                self.say(key_node, f"unknown key {key!r}.{did_you_mean(key, fields)}")
        missing = [f.name for f in fields.values() if f.required and f.name not in found]
        if missing and whole and isinstance(node, yaml.MappingNode):
            keys = ", ".join(repr(name) for name in missing)
            self.say(node, f"{where or 'the card'} lacks {keys}")
        return found

    def pairs(
        self, node: yaml.Node, where: str, kind: Any = str
    ) -> list[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.say(node, f"{where} must be a mapping")
            return []
        found: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
        for key_node, value in node.value:
            key = self.scalar(key_node, kind, f"a key of {where}")
            if key in found:
                self.say(key_node, f"key {key!r} stands twice")
            if key is not None:
                found[key] = (key, key_node, value)
        return list(found.values())

    def scalar(self, node: yaml.Node, kind: Any, where: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return self.say(node, f"{where} must be {_expected(kind)}")
        try:
            value = self.loader.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError) as error:  # an unknown tag, the 31st of February
            return self.say(node, f"{where}: {getattr(error, 'problem', None) or error}")
        if kind is Any:
            return value
        wanted = _wanted(kind)
        if isinstance(value, bool) and str in wanted.types and bool not in wanted.types:
            return self.say(
                node,
                f"{where} is the boolean {str(value).lower()}; YAML reads a bare {node.value} so. "
                f'Write "{node.value}".',
            )
        if value in wanted.choices or any(
            isinstance(value, t) and not (isinstance(value, bool) and t is not bool)
            for t in wanted.types
        ):
            return value
        hint = did_you_mean(str(value), map(str, wanted.choices)) if wanted.choices else ""
        if float in wanted.types and isinstance(value, str) and _is_number(value):
            hint = " YAML wants a point and a sign, as in 1.0e-5 or 1.0e+5."
        return self.say(node, f"{where} is {value!r}, must be {_expected(kind)}.{hint}")


def _is_shape(kind: Any, shape: Any) -> bool:
    """Whether a type is read from nodes of this shape, `dict`, `list` or None for scalars."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return shape is dict
    return shape is not None and get_origin(kind) is shape


class _Wanted(msgspec.Struct):
    types: tuple[type, ...]
    choices: tuple[Any, ...]


def _wanted(kind: Any) -> _Wanted:
    """The plain types and the literal values that a scalar of this type may have."""
    if kind is float:
        return _Wanted((float, int), ())
    if get_origin(kind) in (dict, list):
        return _Wanted((get_origin(kind),), ())
    if isinstance(kind, type):
        return _Wanted((kind,), ())
    if get_origin(kind) is Literal:
        return _Wanted((), get_args(kind))
    parts = [_wanted(part) for part in get_args(kind)]
    return _Wanted(
        tuple(t for part in parts for t in part.types),
        tuple(c for part in parts for c in part.choices),
    )


def _expected(kind: Any) -> str:
    wanted = _wanted(kind)
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        dict: "a mapping",
        list: "a list",
    }
    words = [names.get(t, "nothing") for t in wanted.types if not (t is int and kind is float)]
    return " or ".join([*words, *(repr(choice) for choice in wanted.choices)])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Catalogue:
    """All cards by kind and name. Two cards of one kind and name are an error."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskCard] = {}
        self.suites: dict[str, SuiteCard] = {}
        self.models: dict[str, ModelCard] = {}
        self.recipes: dict[str, RecipeCard] = {}
        self._paths: dict[tuple[str, str], Path] = {}

    @classmethod
    def load(cls, folders: Iterable[Path]) -> Catalogue:
        """Reads every `*.yaml` below the folders: what a card is, its keys tell. Raises
        CardError with the complaints about all cards in one go."""
        catalogue = cls()
        complaints = []
        # A folder may be named twice or lie below another; paths stay as they were written.
        paths = {p.resolve(): p for folder in folders for p in sorted(folder.rglob("*.yaml"))}
        for path in paths.values():
            try:
                catalogue.add(path)
            except CardError as error:
                complaints.append(str(error))
        if complaints:
            raise CardError("\n".join(complaints))
        catalogue._check_references()
        return catalogue

    def add(self, path: Path) -> Any:
        """Reads one card and returns it."""
        node = _compose(path)
        kind = _kind_of(node)
        card = _card(path, node, kind)
        shelf: dict[str, Any] = self._shelf(kind)
        other = self._paths.get((kind.__name__, card.name))
        if other is not None and other != path:
            raise CardError(f"Two cards are named {card.name!r}: {other} and {path}")
        self._paths[kind.__name__, card.name] = path
        shelf[card.name] = card
        return card

    def suite(self, name: str) -> SuiteCard:
        return _look_up("suite", name, self.suites)

    def recipe(self, name: str, task: TaskCard | None, adjust: str | None = None) -> Recipe:
        """The hyper-parameters for training on `task`, or those that all tasks share, with the
        values of recipe `adjust` in place of others. One that changes nothing leaves no trace.
        Raises CardError when they lack some."""
        merged = self._merged(name, task)
        if adjust and (adjusted := {**merged, **self._merged(adjust, task)}) != merged:
            merged, name = adjusted, f"{name}+{adjust}"
        try:
            return msgspec.convert({**merged, "name": name}, Recipe)
        except msgspec.ValidationError as error:
            whose = f" for task {task.name!r}" if task else ""
            raise CardError(f"recipe {name!r}{whose}: {error}") from error

    def _merged(self, name: str, task: TaskCard | None) -> dict[str, Any]:
        """What a recipe and those that it extends say about training on `task`."""
        chain = [_look_up("recipe", name, self.recipes)]
        while chain[0].extends is not None:
            chain.insert(0, self.recipes[chain[0].extends])
        return {key: value for card in chain for key, value in card.part(task).items()}

    def model(self, name: str) -> ModelCard:
        """A model by name, or by the path of a card file."""
        if name.endswith((".yaml", ".yml")):
            card = read_card(Path(name), ModelCard)
            if complaints := self._about_model(card, Path(name)):
                raise CardError("\n".join(complaints))
            return card
        return _look_up("model", name, self.models)

    def _shelf(self, kind: type) -> dict[str, Any]:
        shelves: dict[type, dict[str, Any]] = {
            TaskCard: self.tasks,
            SuiteCard: self.suites,
            ModelCard: self.models,
            RecipeCard: self.recipes,
        }
        return shelves[kind]

    def _check_references(self) -> None:
        """Names in cards must be names of cards."""
        complaints = []
        for card in self.tasks.values():
            named = [*card.train_on, *card.combines]
            complaints += self._unknown(card, "task", named, self.tasks)
            complaints += self._unknown(card, "recipe", card.recipes, self.recipes)
        kinds = {task.kind for task in self.tasks.values()}
        for recipe in self.recipes.values():
            complaints += self._unknown(recipe, "kind of task", recipe.kinds, kinds)
            if recipe.extends is not None:
                # None that builds on this one: a circle would never end.
                known = [n for n in self.recipes if not self._extends(n, recipe.name)]
                complaints += self._unknown(recipe, "recipe to extend", [recipe.extends], known)
        for suite in self.suites.values():
            complaints += self._unknown(suite, "task", suite.tasks, self.tasks)
            within = [*suite.languages, *suite.unofficial, *_flat(suite.groups.values())]
            within += _flat(average.values for average in suite.averages)
            complaints += self._unknown(suite, "task of the suite", within, suite.tasks)
        for model in self.models.values():
            complaints += self._about_model(model, self._paths["ModelCard", model.name])
        if complaints:
            raise CardError("\n".join(complaints))

    def _extends(self, name: str | None, other: str) -> bool:
        """Whether recipe `name` is `other` or builds on it."""
        seen: set[str] = set()
        while name in self.recipes and name not in seen:
            if name == other:
                return True
            seen.add(name)
            name = self.recipes[name].extends
        return False

    def _unknown(
        self, card: Any, what: str, names: Iterable[str], known: Collection[str]
    ) -> list[str]:
        path = self._paths[type(card).__name__, card.name]
        return _complaints(path, what, names, known)

    def _about_model(self, card: ModelCard, path: Path) -> list[str]:
        trained_on = [part.task for part in card.intermediate.parts] if card.intermediate else []
        named = [*card.train_on, *_flat(card.train_on.values()), *trained_on]
        named_recipes = [card.recipe, card.adjust.intermediate, card.adjust.target]
        return [
            *_complaints(path, "task", named, self.tasks),
            *_complaints(path, "recipe", [name for name in named_recipes if name], self.recipes),
        ]


def _complaints(path: Path, what: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    return [
        f"{path}: no {what} named {name!r}.{did_you_mean(name, known)}"
        for name in dict.fromkeys(names)
        if name not in known
    ]


def _flat(lists: Iterable[Iterable[str]]) -> list[str]:
    return [name for names in lists for name in names]


def _look_up(what: str, name: str, shelf: dict[str, Part]) -> Part:
    if name not in shelf:
        raise UnknownName(what, name, shelf, f"There are: {', '.join(sorted(shelf))}.")
    return shelf[name]


def _kind_of(node: yaml.Node) -> type:
    """What a card declares: each kind has a key that the others lack."""
    keys = {k.value for k, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    for key, kind in (("producer", ModelCard), ("tasks", SuiteCard), ("defaults", RecipeCard)):
        if key in keys:
            return kind
    return TaskCard


def digest(value: Any) -> str:
    """SHA-256 of a struct or plain value as canonical JSON, the identity of cards.

    Fields that have their default value are left out, so that a field that cards gain later
    changes no identity that doesn't use it.
    """
    return hashlib.sha256(msgspec.json.encode(told(value), order="deterministic")).hexdigest()


def told(value: Any) -> Any:
    """A struct or plain value as plain values, without fields that have their default."""
    if isinstance(value, msgspec.Struct):
        defaults = _defaults(type(value))
        values = {name: getattr(value, name) for name in defaults}
        return {n: told(v) for n, v in values.items() if v != defaults[n]}
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items()}
    if isinstance(value, list):
        return [told(item) for item in value]
    return value


@cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The default value of each field, or `NODEFAULT`, which equals nothing."""
    made = msgspec.NODEFAULT
    return {
        field.name: field.default if field.default_factory is made else field.default_factory()
        for field in msgspec.structs.fields(kind)
    }

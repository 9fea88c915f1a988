"""What a task card may say."""

from __future__ import annotations

from typing import Any, Literal

from xharness.cards.reading import Strict
from xharness.cards.recipe import RecipePart


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

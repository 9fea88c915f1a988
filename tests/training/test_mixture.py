"""Each step's task is drawn as the sampler says, and each task's examples come in their order."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xharness.cards import Intermediate
from xharness.errors import XharnessError
from xharness.inference.network import Example
from xharness.inference.packing import Encoded
from xharness.training.mixture import Feed, shares


@pytest.mark.parametrize(
    ("sampler", "options", "sizes", "expected"),
    [
        ("uniform", {}, [100, 400], [0.5, 0.5]),
        ("proportional", {}, [100, 400], [0.2, 0.8]),
        ("capped", {"cap": 200}, [100, 400], [1 / 3, 2 / 3]),
        # sqrt(100) = 10 and sqrt(200) = 14.1421
        ("temperature", {"cap": 200, "temperature": 2.0}, [100, 400], [0.4142, 0.5858]),
        ("temperature", {"temperature": 1.0}, [100, 300], [0.25, 0.75]),
        # cube roots 2, 3, 4
        ("temperature", {"temperature": 3.0}, [8, 27, 64], [2 / 9, 3 / 9, 4 / 9]),
        # min(n, 131,072) as it stands: 131,072 ** 0.5 = 362.04, 100 ** 0.5 = 10
        ("temperature", {}, [392_702, 100], [0.97312, 0.02688]),
    ],
)
def test_shares_are_those_computed_by_hand(
    sampler: Any, options: dict[str, Any], sizes: list[int], expected: list[float]
) -> None:
    mixture = Intermediate(tasks=["a", "b"], sampler=sampler, **options)
    assert shares(sizes, mixture) == pytest.approx(expected, abs=1e-5 if len(sizes) > 2 else 5e-5)


def test_a_temperature_too_near_zero_is_said() -> None:
    cold = Intermediate(tasks=["a", "b"], temperature=0.01)
    with pytest.raises(XharnessError, match=r"temperature is 0\.01, too near 0"):
        shares([4000, 11_000], cold)


def example(task: int, number: int) -> Example:
    return Example((Encoded([number]),), None, 1, task)


def feed(sizes: list[int], batches: list[int], weights: list[float], seed: int = 3) -> Feed:
    examples = [example(t, n) for t, size in enumerate(sizes) for n in range(size)]
    return Feed(examples, list(zip(batches, weights, strict=True)), seed)


def steps(made: Feed, count: int) -> list[list[Example]]:
    def endless() -> Any:
        step = 0
        while True:
            for batch in made.rest_of_epoch(step):
                yield batch
                step += 1

    return list(islice(endless(), count))


SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(sizes=SIZES, size=st.integers(1, 5), seed=st.integers(0, 9))
def test_a_batch_is_of_one_task_and_a_task_is_gone_through_before_it_begins_again(
    sizes: list[int], size: int, seed: int
) -> None:
    made = feed(sizes, [size] * len(sizes), [1 / len(sizes)] * len(sizes), seed)
    batches = steps(made, 40)
    seen: dict[int, list[int]] = {}
    for batch in batches:
        (task,) = {e.task for e in batch}
        seen.setdefault(task, []).extend(e.sequences[0].ids[0] for e in batch)
    for task, numbers in seen.items():
        count = sizes[task]
        for start in range(0, len(numbers) - count + 1, count):
            assert sorted(numbers[start : start + count]) == list(range(count))
    tasks = Counter(batch[0].task for batch in batches)
    assert tasks == made.drawn(40)


@settings(deadline=None, max_examples=30)
@given(sizes=SIZES, stop=st.integers(0, 30))
def test_going_on_gives_the_batches_that_would_have_come(sizes: list[int], stop: int) -> None:
    batch_sizes, weights = [3] * len(sizes), [float(i + 1) for i in range(len(sizes))]
    whole = steps(feed(sizes, batch_sizes, weights), 40)
    made = feed(sizes, batch_sizes, weights)
    rest = list(made.rest_of_epoch(stop))
    assert rest == whole[stop : stop + len(rest)][: len(rest)]
    assert (stop + len(rest)) % made.steps_per_epoch == 0


def test_tasks_are_drawn_by_their_shares_and_one_s_order_ignores_the_others() -> None:
    made = feed([10, 10], [2, 2], [0.2, 0.8])
    assert made.drawn(4000)[0] == pytest.approx(800, abs=80)  # about 3 standard deviations

    def first(weights: list[float]) -> list[list[int]]:
        batches = [b for b in steps(feed([10, 10], [2, 2], weights), 60) if b[0].task == 0]
        return [[e.sequences[0].ids[0] for e in batch] for batch in batches][:5]

    assert first([0.2, 0.8]) == first([0.7, 0.3])


def test_tasks_of_one_size_have_orders_of_their_own() -> None:
    orders: dict[int, list[int]] = {0: [], 1: []}
    for (one,) in steps(feed([20, 20], [1, 1], [0.5, 0.5]), 200):
        orders[one.task].append(one.sequences[0].ids[0])
    assert orders[0][:20] != orders[1][:20]


def test_an_epoch_has_as_many_steps_as_the_tasks_have_batches() -> None:
    assert feed([10, 7], [4, 2], [0.5, 0.5]).steps_per_epoch == 3 + 4


def test_a_task_without_examples_is_an_error() -> None:
    with pytest.raises(XharnessError, match="a task's data gave no example"):
        Feed([example(0, 1)], [(2, 0.5), (2, 0.5)], 0)

"""Intervals against published figures, scipy's own, and by how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, sem, t

from xharness.records import Interval
from xharness.statistics.interval import clopper_pearson, interval, standard_error, wilson
from xharness.statistics.ratio import Floats, Ints, Terms, by_unit, change, influence, number
from xharness.statistics.units import Keys, joint_units


def mean_of(scores: list[float] | Floats) -> Terms:
    values = np.asarray(scores, np.float64)
    return Terms(values, np.ones(len(values)))


def alone(terms: Terms) -> Ints:
    return np.arange(len(terms.numerator))


def bounds(terms: Terms, clusters: Ints | None = None) -> tuple[float, float]:
    found = interval(terms, alone(terms) if clusters is None else clusters)
    assert isinstance(found, Interval), found
    return found.lower, found.upper


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (95, 100, (0.8882, 0.9785))],
)
def test_wilson_gives_its_known_figures(
    hits: int, count: int, expected: tuple[float, float]
) -> None:
    assert wilson(hits, count) == pytest.approx(expected, abs=5e-5)


@given(st.integers(1, 400), st.data())
def test_shares_have_the_bounds_that_scipy_gives(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    theirs = binomtest(hits, count)
    assert wilson(hits, count) == pytest.approx(theirs.proportion_ci(method="wilson"), abs=1e-12)
    assert clopper_pearson(hits, count) == pytest.approx(
        theirs.proportion_ci(method="exact"), abs=1e-9
    )


@pytest.mark.parametrize("n", [50, 100, 500])
@pytest.mark.parametrize("share", [0.5, 0.75, 0.95, 0.99])
def test_wilson_covers_the_truth_by_exact_binomial_sums(n: int, share: float) -> None:
    from scipy.stats import binom

    hits = np.arange(n + 1)
    covered = np.array([low <= share <= high for low, high in (wilson(int(h), n) for h in hits)])
    assert binom.pmf(hits, n, share)[covered].sum() > 0.91
    exact = [clopper_pearson(int(h), n) for h in hits]
    covered = np.array([low <= share <= high for low, high in exact])
    assert binom.pmf(hits, n, share)[covered].sum() >= 0.95


def test_right_or_wrong_items_get_wilson_and_few_of_them_clopper_pearson() -> None:
    many, few = mean_of([100.0] * 95 + [0.0] * 5), mean_of([100.0] * 20)
    found = interval(many, alone(many))
    assert isinstance(found, Interval)
    assert (found.method, found.n_units, found.unit) == ("wilson", 100, "item")
    assert bounds(many) == pytest.approx((88.82, 97.85), abs=0.005)
    found = interval(few, alone(few))
    assert isinstance(found, Interval)
    assert (found.method, found.upper) == ("clopper-pearson", 100.0)
    assert found.lower == pytest.approx(100 * 0.025 ** (1 / 20))


def test_a_mean_of_unclustered_scores_has_the_plain_t_interval() -> None:
    scores = np.random.default_rng(0).uniform(20, 80, 60)
    reach = t.ppf(0.975, 59) * sem(scores)
    assert bounds(mean_of(scores)) == pytest.approx((scores.mean() - reach, scores.mean() + reach))


@given(st.lists(st.floats(0, 100), min_size=30, max_size=60), st.integers(2, 4))
def test_copies_within_a_cluster_add_no_certainty(scores: list[float], copies: int) -> None:
    once = mean_of(scores)
    repeated = mean_of(np.repeat(once.numerator, copies))
    clusters = np.repeat(np.arange(len(scores)), copies)
    first = interval(once, alone(once))
    if isinstance(first, Interval) and first.method == "t":
        assert bounds(repeated, clusters) == pytest.approx((first.lower, first.upper))


def test_no_interval_says_why() -> None:
    paragraph = np.zeros(40, np.int64)
    scores = mean_of(np.linspace(0, 99, 40))
    assert interval(scores, paragraph) == "1 clusters are too few (below 30)"
    perfect = Terms(np.full(50, 400.0), np.full(50, 4.0))  # F1 of 100 in each sentence
    assert interval(perfect, alone(perfect)) == "all items score the same"


def f1(hits: Ints, found: Ints, there: Ints) -> Terms:
    return Terms(200.0 * hits, (found + there).astype(np.float64))


def test_micro_f1_has_the_error_of_the_jackknife() -> None:
    generator = np.random.default_rng(1)
    there = generator.integers(0, 6, 300)
    hits = generator.binomial(there, 0.7)
    found = hits + generator.poisson(0.8, 300)
    terms = f1(hits, found, there)
    left_out = np.array(
        [
            Terms(np.delete(terms.numerator, i), np.delete(terms.denominator, i)).ratio()
            for i in range(300)
        ]
    )
    jackknife = np.sqrt(299 / 300 * np.square(left_out - left_out.mean()).sum())
    assert standard_error(influence(terms)) == pytest.approx(jackknife, rel=0.01)


def test_the_error_of_micro_f1_is_that_of_drawing_sentences_again() -> None:
    generator = np.random.default_rng(2)
    there = generator.integers(1, 6, 200)
    hits = generator.binomial(there, 0.6)
    terms = f1(hits, there, there)
    drawn = generator.integers(0, 200, (2000, 200))
    again = terms.numerator[drawn].sum(1) / terms.denominator[drawn].sum(1)
    # The bootstrap's own error is s / sqrt(2 B): 1.6 %.
    assert standard_error(influence(terms)) == pytest.approx(again.std(), rel=0.06)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_changes_by_item_sum_to_the_change_and_flip_with_the_sides(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    sides = [
        Terms(generator.uniform(0, 200, n), generator.integers(0, 5, n) + 1.0) for _ in range(2)
    ]
    parts = change(*sides)
    assert parts.sum() == pytest.approx(sides[1].ratio() - sides[0].ratio(), abs=1e-9)
    np.testing.assert_allclose(change(*sides[::-1]), -parts, atol=1e-12)


def test_units_are_chains_of_paragraphs_and_translations() -> None:
    english = Keys(np.array(["p", "p", "q", "r"]), np.array(["1", "2", "3", ""]))
    german = Keys(np.array(["a", "b", "b", "c"]), np.array(["2", "3", "", "4"]))
    (one, two), count = joint_units([english, german])
    assert count == 4
    assert one[0] == one[1] == two[0]  # paragraph p with its translation a
    assert one[2] == two[1] == two[2]  # q with b, and b's question without a translation
    assert len({one[0], one[2], one[3], two[3]}) == 4


def test_units_without_ties_are_the_clusters() -> None:
    keys = Keys(np.array(["x", "y", "x"]), np.array(["", "", ""]))
    (units,), count = joint_units([keys])
    assert count == 2
    assert list(units) == list(number(keys.cluster))


def test_identical_languages_are_as_certain_as_one() -> None:
    scores = np.random.default_rng(3).uniform(0, 100, 100)
    keys = Keys(np.arange(100).astype(str), np.arange(100).astype(str))
    units, count = joint_units([keys] * 3)
    one = influence(mean_of(scores))
    parts = sum(by_unit(one / 3, language, count) for language in units)
    assert standard_error(np.asarray(parts)) == pytest.approx(standard_error(one))


@pytest.mark.slow
@pytest.mark.parametrize(("paragraphs", "questions"), [(240, 5), (48, 25), (30, 10)])
@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.4])
def test_clustered_scores_are_covered_as_often_as_is_said(
    paragraphs: int, questions: int, correlation: float
) -> None:
    generator = np.random.default_rng(4)
    clusters = np.repeat(np.arange(paragraphs), questions)
    covered, draws = 0, 600
    for _ in range(draws):
        shared = generator.normal(0, np.sqrt(correlation), paragraphs)[clusters]
        own = generator.normal(0, np.sqrt(1 - correlation), len(clusters))
        lower, upper = bounds(mean_of(100.0 * (shared + own > 0)), clusters)
        covered += lower <= 50 <= upper
    assert covered / draws > 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws) - 0.01


@pytest.mark.slow
@pytest.mark.parametrize("sentences", [50, 100, 300, 1000])
def test_micro_f1_is_covered_as_often_as_is_said(sentences: int) -> None:
    generator = np.random.default_rng(5)

    def draw(n: int) -> Terms:
        hard = generator.gamma(4, 0.25, n)  # some sentences are hard throughout
        there = generator.poisson(3, n)
        hits = generator.binomial(there, np.exp(-0.3 * hard))
        return f1(hits, hits + generator.poisson(0.5 * hard), there)

    truth = draw(2_000_000).ratio()
    covered, draws = 0, 600
    for _ in range(draws):
        lower, upper = bounds(draw(sentences))
        covered += lower <= truth <= upper
    assert covered / draws > 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws) - 0.01

"""Paired tests, tests over seeds and corrections, by hand and against other implementations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control, ttest_ind

from xharness.statistics.multiple import at_least, benjamini_hochberg, holm
from xharness.statistics.paired import drop_p
from xharness.statistics.seeds import known_deviation, moderated_t, within_variance

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_ten_losses_and_no_gain_have_the_chance_of_ten_heads() -> None:
    parts = np.zeros(500)
    parts[:10] = -0.2
    assert drop_p(parts) == 2.0**-10


def test_what_did_not_change_is_no_drop() -> None:
    assert drop_p(np.zeros(10)) == 1.0
    assert drop_p(np.zeros(0)) == 1.0


@given(st.integers(0, 300), st.integers(0, 300))
def test_equal_parts_give_mcnemars_exact_test(losses: int, gains: int) -> None:
    if losses + gains:
        parts = np.array([-0.1] * losses + [0.1] * gains)
        mcnemar = binomtest(gains, losses + gains, 0.5, alternative="less").pvalue
        assert drop_p(parts) == pytest.approx(mcnemar, rel=1e-9)


@given(st.lists(st.integers(-256, 256).filter(bool), min_size=1, max_size=11))
def test_unequal_parts_give_the_share_of_sign_flips_that_drop_as_far(parts: list[int]) -> None:
    sizes = np.abs([*parts, 256])  # the lattice's step is then 1
    signs = np.array(list(product((-1, 1), repeat=len(sizes))))
    dropped = (signs @ sizes <= sum(parts) + 256).mean()
    assert drop_p(np.array([*parts, 256.0])) == pytest.approx(dropped, rel=1e-9)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=150))
def test_a_drop_one_way_is_a_gain_the_other(parts: list[float]) -> None:
    both = drop_p(np.array(parts)) + drop_p(-np.array(parts))
    assert both >= 1 - 1e-9  # they overlap in the observed sum itself
    assert 0 <= drop_p(np.array(parts)) <= 1


def test_many_parts_are_close_to_their_exact_distribution() -> None:
    generator = np.random.default_rng(0)
    parts = generator.normal(-0.05, 1, 101)
    flips = generator.choice((-1.0, 1.0), (200_000, 101)) @ np.abs(parts)
    assert drop_p(parts) == pytest.approx((flips <= parts.sum()).mean(), abs=0.005)


def test_a_small_loss_on_many_items_is_no_failure_with_a_floor() -> None:
    parts = np.zeros(1_000_000)
    parts[:500] = -1e-4  # 0.05 points in all
    assert drop_p(parts) < 1e-100
    assert drop_p(parts, floor=0.1) > 0.99


def test_the_floor_only_takes_power_away() -> None:
    parts = np.random.default_rng(1).normal(-0.01, 0.05, 400)
    p = [drop_p(parts, floor) for floor in (0.0, 0.1, 0.5, 1.0)]
    assert p == sorted(p)


@pytest.mark.parametrize("losing", [0.5, 0.6])
def test_no_change_is_rejected_as_often_as_is_said_and_a_loss_more_often(losing: float) -> None:
    generator = np.random.default_rng(2)
    rejected = 0
    for _ in range(500):
        sizes = generator.exponential(1, generator.integers(5, 150))
        parts = np.where(generator.random(len(sizes)) < losing, -sizes, sizes)
        rejected += drop_p(parts) <= 0.05
    if losing == 0.5:
        assert rejected / 500 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)
    else:
        assert rejected / 500 > 0.2


def test_holm_by_hand() -> None:
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])


@given(CHANCES)
def test_holm_lies_between_no_correction_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(np.array(p))
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p))).all()


@given(CHANCES)
def test_benjamini_hochberg_as_scipy_has_it(p: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(np.array(p)), false_discovery_control(p))


def test_the_number_of_effects_by_hand() -> None:
    # Conjunctions: 4 x 0.001, 3 x 0.01, 2 x 0.02, 1 x 0.5.
    assert at_least(np.array([0.02, 0.5, 0.001, 0.01]), 0.05) == 3
    assert at_least(np.array([0.02, 0.5]), 0.01) == 0
    assert at_least(np.array([0.02, 0.03, 0.5]), 0.05) == 0  # 3 x 0.02


def test_without_a_prior_the_test_over_seeds_is_students() -> None:
    generator = np.random.default_rng(3)
    old, new = generator.normal(70, 1, (5, 4)), generator.normal(69, 1, (3, 4))
    theirs = ttest_ind(new, old, alternative="less").pvalue
    np.testing.assert_allclose(moderated_t(old, new, np.full(4, np.nan)).drop_p(), theirs)


def test_a_moderated_variance_by_hand() -> None:
    old, new = np.array([[70.0], [72.0]]), np.array([[68.0]])
    assert within_variance(old, new) == pytest.approx([2.0])  # one degree of freedom
    test = moderated_t(old, new, np.array([0.5]))
    assert test.change == pytest.approx([-3.0])
    assert test.error == pytest.approx([np.sqrt((4 * 0.5 + 1 * 2.0) / 5 * 1.5)])
    assert test.degrees == pytest.approx([5.0])


def test_a_declared_deviation_gives_the_normal_test() -> None:
    test = known_deviation(np.array([[70.0]]), np.array([[69.0]]), np.array([0.5]))
    assert test.drop_p() == pytest.approx([0.0786496], abs=1e-6)  # z = -sqrt(2)
    assert test.gain_p() == pytest.approx([1 - 0.0786496], abs=1e-6)


def test_seeds_that_agree_wholly_are_certain() -> None:
    test = moderated_t(np.array([[70.0, 70.0]] * 2), np.array([[69.0, 70.0]]), np.zeros(2))
    assert list(test.drop_p()) == [0.0, 0.5]

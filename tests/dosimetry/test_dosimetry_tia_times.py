"""Scan times, and the infusion against its convolution integral."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.tia.exponential_fit import (
    after_infusion,
    check_half_life,
    check_times,
    infusion_factor,
    terms,
    unit_curve,
    unit_tia_h,
)
from scipy.integrate import quad


@pytest.mark.parametrize(
    ("times", "infusion_h", "message"),
    [
        ([], 0.0, "at least one scan time"),
        ([1.0, 24.0, 24.0], 0.0, "must be distinct, and 24 h is repeated"),
        ([24.0, 1.0], 0.0, "must ascend, and 1 h comes after 24 h"),
        ([0.0, 24.0], 0.0, "must be finite and above 0 h, got 0 h"),
        ([1.0, float("nan")], 0.0, "must be finite and above 0 h, got nan h"),
        ([1.0, 24.0], 2.0, "before the end of the infusion at 2 h, got 1 h"),
        ([1.0], -1.0, "infusion_h must be a finite number of at least 0 h"),
    ],
)
def test_impossible_times(times, infusion_h, message) -> None:
    with pytest.raises(BadInput, match=message):
        check_times(times, infusion_h=infusion_h)


@pytest.mark.parametrize("half_life_h", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_half_life(half_life_h) -> None:
    with pytest.raises(BadInput, match="half_life_h must be a finite number above 0 h"):
        check_half_life(half_life_h)


def test_good_times() -> None:
    np.testing.assert_array_equal(check_times([2, 24], infusion_h=2.0), [2.0, 24.0])


@given(rate=st.floats(1e-6, 5.0), infusion_h=st.floats(1e-6, 8.0), late_h=st.floats(0.0, 100.0))
def test_infusion_is_the_convolution_with_a_rectangle(rate, infusion_h, late_h) -> None:
    time_h = infusion_h + late_h
    expected = quad(lambda s: np.exp(-rate * (time_h - s)) / infusion_h, 0.0, infusion_h)[0]
    by_curve = float(after_infusion(time_h, rate, infusion_h=infusion_h))
    assert by_curve == pytest.approx(expected, rel=1e-9)
    factor = infusion_factor(rate_per_h=rate, infusion_h=infusion_h)
    assert factor * np.exp(-rate * time_h) == pytest.approx(expected, rel=1e-9)


def test_infusion_keeps_the_integral() -> None:
    rates, infusion_h = (0.014, 0.85), 4.0

    def curve(time_h: float) -> float:
        since, end = max(time_h - infusion_h, 0.0), time_h
        return sum(
            sign * (np.exp(-k * since) - np.exp(-k * end)) / (k * infusion_h)
            for sign, k in zip((1, -1), rates, strict=True)
        )

    during = quad(curve, 0.0, infusion_h)[0]
    after = quad(curve, infusion_h, 2000.0, limit=200)[0]
    assert during + after == pytest.approx(unit_tia_h(rates), rel=1e-7)
    at_h = np.array([4.0, 10.0, 100.0])
    np.testing.assert_allclose(
        unit_curve(at_h, rates, infusion_h=infusion_h), [curve(t) for t in at_h], rtol=1e-10
    )


def test_a_short_infusion_is_a_bolus() -> None:
    assert infusion_factor(rate_per_h=0.1, infusion_h=0.0) == 1.0
    assert infusion_factor(rate_per_h=0.1, infusion_h=1e-9) == pytest.approx(1.0, abs=1e-9)
    assert terms(5.0, (0.1,), infusion_h=0.0) == ((5.0, 0.1),)

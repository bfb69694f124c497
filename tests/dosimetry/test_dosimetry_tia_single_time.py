"""The single-time-point methods against the exact exponential."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.tia.single_time import (
    HAENSCHEID_VALID,
    MADSEN_VALID,
    haenscheid_tia_mbq_h,
    madsen_tia_mbq_h,
)


def haenscheid_error(*, time_h, effective_half_life_h):
    """The relative error for an exponential: 2x/2^x − 1, x = t/T."""
    x = time_h / effective_half_life_h
    return 2.0 * x / math.pow(2.0, x) - 1.0


def madsen_error(*, time_h, effective_half_life_h, population_half_life_h):
    """The relative error for an exponential: λ/λₚ · e^((λₚ − λ)t) − 1."""
    rate = math.log(2.0) / effective_half_life_h
    assumed = math.log(2.0) / population_half_life_h
    return rate / assumed * math.exp((assumed - rate) * time_h) - 1.0


@given(time_h=st.floats(1.0, 400.0), half_life_h=st.floats(5.0, 159.0))
def test_errors_are_those_of_an_exponential(time_h, half_life_h) -> None:
    rate = math.log(2) / half_life_h
    activity, truth = 100.0 * math.exp(-rate * time_h), 100.0 / rate
    by_time = haenscheid_tia_mbq_h(activity_mbq=activity, time_h=time_h)
    expected = haenscheid_error(time_h=time_h, effective_half_life_h=half_life_h)
    assert by_time / truth - 1 == pytest.approx(expected, abs=1e-9)
    by_rate = madsen_tia_mbq_h(activity_mbq=activity, time_h=time_h, population_half_life_h=50.0)
    error = madsen_error(
        time_h=time_h, effective_half_life_h=half_life_h, population_half_life_h=50.0
    )
    assert by_rate / truth - 1 == pytest.approx(error, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("half_lives", [1.0, 2.0])
def test_haenscheid_is_exact_at_one_and_two_half_lives(half_lives) -> None:
    error = haenscheid_error(time_h=half_lives * 51.0, effective_half_life_h=51.0)
    assert error == pytest.approx(0.0, abs=1e-12)


def test_haenscheids_range() -> None:
    errors = [
        haenscheid_error(time_h=x, effective_half_life_h=1.0)
        for x in np.linspace(*HAENSCHEID_VALID, 101)
    ]
    assert min(errors) == pytest.approx(-0.116, abs=0.001)
    # The largest is 2/(e ln 2) − 1, at a scan after 1/ln 2 half-lives.
    assert max(errors) == pytest.approx(2 / (math.e * math.log(2)) - 1, abs=1e-3)
    for outside in (0.7, 2.6):
        assert haenscheid_error(time_h=outside, effective_half_life_h=1.0) < -0.12


def test_madsen_is_exact_for_the_populations_rate() -> None:
    error = madsen_error(time_h=72.0, effective_half_life_h=50.0, population_half_life_h=50.0)
    assert error == pytest.approx(0.0, abs=1e-12)


def test_madsens_range_at_the_mean_life() -> None:
    mean_life_h = 50.0 / math.log(2)

    def error(ratio: float) -> float:
        return madsen_error(
            time_h=mean_life_h, effective_half_life_h=50.0 * ratio, population_half_life_h=50.0
        )

    errors = [error(ratio) for ratio in np.linspace(*MADSEN_VALID, 101)]
    assert max(np.abs(errors)) == pytest.approx(0.1, abs=0.004)
    # At the mean life the error is of second order in the rate: never above 0.
    assert max(errors) <= 1e-12
    assert error(0.6) < -0.12
    assert error(1.8) < -0.12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activity_mbq": -1.0}, "activity_mbq must be finite and at least 0 MBq, got -1.0"),
        ({"time_h": 0.0}, "time_h must be a finite number above 0 h, got 0.0"),
        ({"population_half_life_h": math.nan}, "population_half_life_h must be a finite number"),
    ],
)
def test_refused(changes, message) -> None:
    values = {"activity_mbq": 1.0, "time_h": 24.0, "population_half_life_h": 50.0} | changes
    with pytest.raises(BadInput, match=message):
        madsen_tia_mbq_h(**values)

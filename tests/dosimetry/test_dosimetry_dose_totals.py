"""What the totals of the images may be of what was given."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.dose.activity_series import (
    IMPOSSIBLE_EXCESS,
    RISEN,
    ROUNDING,
    Therapy,
    check_totals,
)
from rpt_dosimetry.radiation.nuclide import find_nuclide

LU177 = find_nuclide("Lu-177")
TIMES_H = (24.0, 96.0)


def therapy(*time_h: float) -> Therapy:
    return Therapy(LU177, 7400.0, 0.0, 0.0, time_h)


def totals(*shares: float) -> np.ndarray:
    given = therapy(*TIMES_H)
    return np.array(
        [share * given.decayed_mbq(t) for share, t in zip(shares, TIMES_H, strict=True)]
    )


def test_what_never_leaves_decays_in_a_mean_life() -> None:
    # 7400 MBq x 159.528 h / ln 2
    assert therapy(24.0).most_tia_mbq_h == pytest.approx(7400 * 159.528 / np.log(2), rel=1e-4)


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ((0.5, 0.3), None),
        ((0.5, 0.524), None),
        ((0.5, 0.53), "Activity 2 .* images may be corrected for decay, or the calibration"),
        ((0.0022, 0.001), None),
        ((0.0018, 0.001), r"Activity 1 .* a share of 0\.0018, .* in kBq/mL and not in Bq/mL"),
        ((1.05, 0.9), "Activity 1 .* more than the .* MBq that decay leaves"),
    ],
)
def test_doubts(shares, told) -> None:
    warnings = check_totals(totals(*shares), therapy(*TIMES_H))
    if told is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert re.search(told, warning)


@given(share=st.floats(1e-2, 1.4), later=st.floats(1e-2, 1.4))
def test_a_doubt_for_each_share_above_1_and_each_rise(share, later) -> None:
    if share * therapy(24.0).decayed_mbq(24.0) > 7400:
        return
    warnings, most = check_totals(totals(share, later), therapy(*TIMES_H)), 1 + ROUNDING
    assert len(warnings) == (share > most) + (later > most) + (later > RISEN * share)


@pytest.mark.parametrize(
    ("total_mbq", "told"),
    [
        ([7401.0, 10.0], "no more than the net administered 7400 MBq"),
        ([3000.0, 7350.0], r"Activity 2 .* that decay leaves of the net activity at 96 h"),
        ([3000.0, 0.0], "Activity 2 .* 0 everywhere"),
        ([3000.0, 1e-3], "not in kBq/mL or MBq/mL"),
    ],
)
def test_what_cannot_be(total_mbq, told) -> None:
    assert therapy(96.0).decayed_mbq(96.0) * IMPOSSIBLE_EXCESS < 7400
    with pytest.raises(BadInput, match=told):
        check_totals(np.array(total_mbq), therapy(*TIMES_H))


@pytest.mark.parametrize(("administered_mbq", "residual_mbq"), [(7400.0, 0.0), (7400.3, 0.1)])
def test_all_that_was_given_may_be_in_the_image(administered_mbq, residual_mbq) -> None:
    """A sealed phantom, summed over voxels of 32 bits."""
    sealed = Therapy(LU177, administered_mbq, residual_mbq, 0.0, (1e-6, 24.0))
    stored = [np.full(1000, sealed.decayed_mbq(t) / 1000, np.float32) for t in sealed.time_h]
    total_mbq = np.array([one.sum(dtype=np.float64) for one in stored])
    assert total_mbq[0] != sealed.net_mbq
    assert check_totals(total_mbq, sealed) == []
    over_mbq = sealed.net_mbq * np.array([1 + 3e-7, 0.9])
    assert check_totals(over_mbq, sealed) == []


def test_times_beyond_ten_half_lives() -> None:
    therapy(10 * LU177.half_life_h)
    with pytest.raises(BadInput, match="--time-h is in h"):
        therapy(24.0, 86400.0)

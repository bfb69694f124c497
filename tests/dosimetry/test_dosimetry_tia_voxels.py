"""Voxel fits: scipy's optimum, exact curves, fallbacks, and an organ's curve scaled."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rpt_cohort import BadInput
from rpt_dosimetry.tia.exponential_fit import after_infusion, highest_rate_per_h
from rpt_dosimetry.tia.region_fit import NEEDED, fit_region
from rpt_dosimetry.tia.voxel_fit import (
    AT_FASTEST,
    AT_PHYSICAL,
    METHODS,
    MONO,
    ONE_POINT,
    RISES,
    ZERO,
    fit_voxels,
    scale_shape,
)
from scipy.optimize import curve_fit

LU177_H = 159.528
DECAY = math.log(2) / LU177_H
TIME_H = np.array([1.0, 24.0, 96.0, 168.0])


def noisy_voxels(count: int) -> np.ndarray:
    """A PSMA patient's kinetics: effective half-lives 10–150 h, uptake 0.05–3 h, noise 5–20 %."""
    rng = np.random.default_rng(20)
    washout = math.log(2) / np.exp(rng.uniform(math.log(10), math.log(150), count))
    uptake = math.log(2) / np.exp(rng.uniform(math.log(0.05), math.log(3), count))
    clean = np.exp(-washout * TIME_H[:, None]) - np.exp(-uptake * TIME_H[:, None])
    noise = rng.uniform(0.05, 0.2, count) * rng.standard_normal(clean.shape)
    return np.maximum(clean * rng.lognormal(8, 1, count) * (1 + noise), 0.0)


def curve_fit_tia(points: np.ndarray) -> float:
    fastest = highest_rate_per_h(first_time_h=TIME_H[0], half_life_h=LU177_H)
    best = None
    for start in (0.006, 0.03, 0.5):  # several, for it stops in the valley it starts in
        (amplitude, rate), _ = curve_fit(
            lambda t, a, k: a * np.exp(-k * t),
            TIME_H,
            points,
            p0=[points.max(), start],
            bounds=([0.0, DECAY], [np.inf, fastest]),
            x_scale=[points.max(), 0.01],
            xtol=1e-13,
            ftol=1e-13,
            gtol=1e-13,
        )
        misfit = np.sum((amplitude * np.exp(-rate * TIME_H) - points) ** 2)
        if best is None or misfit < best[0]:
            best = (misfit, amplitude / rate)
    return best[1]


def test_the_optimum_of_curve_fit() -> None:
    activity = noisy_voxels(300)
    found = fit_voxels(activity, time_h=TIME_H.tolist(), half_life_h=LU177_H)
    fitted = np.flatnonzero((found.method != RISES) & (found.method != AT_FASTEST))
    assert len(fitted) > 290
    expected = np.array([curve_fit_tia(activity[:, voxel]) for voxel in fitted])
    deviation = np.abs(found.tia[fitted] / expected - 1)
    assert np.median(deviation) < 1e-6
    assert np.quantile(deviation, 0.99) < 1e-3


@given(
    half_life_h=st.floats(0.3, LU177_H * 0.999),
    amplitude=st.floats(1e-3, 1e6),
    infusion_h=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_exact_curves_are_found_again(half_life_h, amplitude, infusion_h) -> None:
    rate = math.log(2) / half_life_h
    points = amplitude * after_infusion(TIME_H, rate, infusion_h=infusion_h)
    found = fit_voxels(
        points[:, None], time_h=TIME_H.tolist(), half_life_h=LU177_H, infusion_h=infusion_h
    )
    assert found.tia[0] == pytest.approx(amplitude / rate, rel=1e-6)


@given(
    points=st.lists(st.just(0.0) | st.floats(1e-3, 1e5), min_size=4, max_size=4),
    scale=st.sampled_from([1e-3, 7.0]),
)
def test_laws_of_every_voxel(points, scale) -> None:
    once, scaled = (
        fit_voxels(factor * np.array(points)[:, None], time_h=TIME_H.tolist(), half_life_h=LU177_H)
        for factor in (1.0, scale)
    )
    assert once.tia[0] >= 0
    assert (once.tia[0] == 0) == (not any(points))
    assert scaled.tia[0] == pytest.approx(scale * once.tia[0], rel=1e-5)


def test_a_voxel_does_not_see_its_neighbours() -> None:
    activity = noisy_voxels(40_000)
    together = fit_voxels(activity, time_h=TIME_H.tolist(), half_life_h=LU177_H)
    some = [0, 16_383, 16_384, 39_999]
    alone = fit_voxels(activity[:, some], time_h=TIME_H.tolist(), half_life_h=LU177_H)
    np.testing.assert_allclose(together.tia[some], alone.tia, rtol=1e-9)


def test_methods_and_counts() -> None:
    columns = {
        MONO: [80.0, 60.0, 20.0, 7.0],
        AT_PHYSICAL: [10.0, 9.8, 9.6, 9.0],
        AT_FASTEST: [50.0, 0.0, 0.0, 0.0],
        RISES: [4.0, 9.0, 10.0, 11.0],
        ZERO: [0.0, 0.0, 0.0, 0.0],
    }
    activity = np.array(list(columns.values()), dtype=np.float32).T
    found = fit_voxels(activity, time_h=TIME_H.tolist(), half_life_h=LU177_H)
    assert found.method.tolist() == list(columns)
    assert found.counts == {METHODS[code]: 1 for code in sorted(columns)}
    by_hand = 2.0 + 23 * 6.5 + 72 * 9.5 + 72 * 10.5 + 11.0 / DECAY
    assert found.tia[3] == pytest.approx(by_hand)
    assert found.tia[2] == pytest.approx(25.0 + 23 * 25.0)
    assert found.tia[4] == 0


def test_a_crossing_of_the_last_two_points_is_noise() -> None:
    found = fit_voxels(
        np.array([[100.0], [60.0], [20.0], [21.0]]), time_h=TIME_H.tolist(), half_life_h=LU177_H
    )
    assert found.method.tolist() == [MONO]


def test_one_and_two_points() -> None:
    one = fit_voxels(np.array([[5.0, 0.0]]), time_h=[24.0], half_life_h=LU177_H, infusion_h=2.0)
    region = fit_region([24.0], [5.0], half_life_h=LU177_H, infusion_h=2.0, model="physical")
    assert one.method.tolist() == [ONE_POINT, ZERO]
    assert one.tia[0] == pytest.approx(region.tia_mbq_h)
    two = fit_voxels(np.array([[80.0], [20.0]]), time_h=[24.0, 120.0], half_life_h=LU177_H)
    rate = math.log(4) / 96
    assert two.tia[0] == pytest.approx(80 * math.exp(24 * rate) / rate, rel=1e-9)


@pytest.mark.parametrize("model", ["bi_population", "mono", "trapezoid", "physical"])
def test_an_organs_curve_scaled_to_its_voxels(model) -> None:
    activity = noisy_voxels(500)
    organ = activity.sum(axis=1)
    fit = fit_region(TIME_H.tolist(), organ.tolist(), half_life_h=LU177_H, model=model)
    shares = np.array([0.1, 0.9, 0.0])
    tia = scale_shape(organ[:, None] * shares, time_h=TIME_H.tolist(), fit=fit)
    np.testing.assert_allclose(tia, shares * fit.tia_mbq_h, rtol=1e-12)
    voxels = scale_shape(activity, time_h=TIME_H.tolist(), fit=fit)
    assert voxels.sum() == pytest.approx(fit.tia_mbq_h, rel=1e-9)


def test_a_share_that_changes_goes_along_a_line() -> None:
    """Against numerical integration, with the urine of an early scan in one voxel."""
    organ = np.array([100.0, 60.0, 20.0, 10.0])
    fit = fit_region(TIME_H.tolist(), organ.tolist(), half_life_h=LU177_H, model="mono")
    share = np.array([0.8, 0.1, 0.1, 0.3])
    tia = scale_shape(
        np.stack([organ * share, organ * (1 - share)], axis=1), time_h=TIME_H.tolist(), fit=fit
    )
    dense_h = np.unique(np.append(np.linspace(0, 4000, 2_000_001), TIME_H))
    curve = fit.activity_mbq(dense_h) * np.interp(dense_h, TIME_H, share)
    assert tia[0] == pytest.approx(np.trapezoid(curve, dense_h), rel=1e-5)
    assert tia.sum() == pytest.approx(fit.tia_mbq_h, rel=1e-12)


SCANS_H = [1.0, 4.0, 20.0, 45.0, 70.0, 120.0, 170.0]


@settings(max_examples=80)
@given(
    points=arrays(
        np.float64,
        st.tuples(st.integers(1, 7), st.integers(1, 4)),
        elements=st.just(0.0) | st.floats(1e-3, 1e4),
    ),
    model=st.sampled_from(["auto", *NEEDED]),
    infusion_h=st.sampled_from([0.0, 0.5]),
    with_sd=st.booleans(),
    falling=st.booleans(),
)
def test_the_voxels_of_an_organ_sum_to_its_tia(points, model, infusion_h, with_sd, falling) -> None:
    activity = np.sort(points, axis=0)[::-1] if falling else points
    time_h, organ = SCANS_H[: len(activity)], activity.sum(axis=1)
    fit = fit_region(
        time_h,
        organ.tolist(),
        half_life_h=LU177_H,
        infusion_h=infusion_h,
        activity_sd_mbq=(1.0 + 0.3 * np.sqrt(organ)).tolist() if with_sd else None,
        model=model if len(activity) >= NEEDED.get(model, 2) else "physical",
    )
    voxels = scale_shape(activity, time_h=time_h, fit=fit)
    assert voxels.sum() == pytest.approx(fit.tia_mbq_h, rel=1e-9)


def test_nothing_to_scale() -> None:
    fit = fit_region(TIME_H.tolist(), [0.0] * 4, half_life_h=LU177_H)
    activity = np.zeros((4, 3))
    assert scale_shape(activity, time_h=TIME_H.tolist(), fit=fit).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_voxels_that_cannot_be(value) -> None:
    activity = np.ones((4, 3))
    activity[2, 1] = value
    with pytest.raises(BadInput, match="Activities must be finite and at least 0 in every voxel"):
        fit_voxels(activity, time_h=TIME_H.tolist(), half_life_h=LU177_H)


def test_as_many_times_as_images() -> None:
    fit = fit_region([1.0, 24.0], [2.0, 1.0], half_life_h=LU177_H)
    with pytest.raises(BadInput, match="time_h must be one an image, got 2 for 4 images"):
        fit_voxels(np.ones((4, 3)), time_h=[1.0, 24.0], half_life_h=LU177_H)
    with pytest.raises(BadInput, match="time_h must be one an image, got 2 for 4 images"):
        scale_shape(np.ones((4, 3)), time_h=[1.0, 24.0], fit=fit)
    with pytest.raises(BadInput, match="time_h must be the times of the region's fit"):
        scale_shape(np.ones((2, 3)), time_h=[1.0, 25.0], fit=fit)

"""Measured curves: the recursion over pieces against LSODA, and against the curve they sample."""

import numpy as np
import pytest
from compartments import INPUTS, by_lsoda, one, plasma_of, quadrature, random_rates
from hypothesis import given
from hypothesis import strategies as st
from rpt_kinetics.models import (
    partial_integral,
    pet_frame_mean,
    time_integrated_activity,
    tissue_concentration,
)
from rpt_kinetics.piecewise import exponential_curve, linear_curve

SAMPLES_MIN = np.array([0.0, 0.3, 0.5, 0.7, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 90.0])
VALUES = np.array([0.0, 0.0, 40.0, 90.0, 60.0, 35.0, 28.0, 22.0, 14.0, 11.0, 0.5])
TAIL_PER_MIN = 0.02


def sampled(time: float) -> float:
    if time <= 90.0:
        return float(np.interp(time, SAMPLES_MIN, VALUES))
    return 0.5 * float(np.exp(-TAIL_PER_MIN * (time - 90.0)))


def test_recursion_against_lsoda() -> None:
    rates = random_rates(200, seed=11)
    times = [0.0, 0.2, 0.6, 0.7, 3.0, 45.0, 90.0, 91.0, 300.0]
    curve = linear_curve(SAMPLES_MIN, VALUES, tail_rate_per_min=TAIL_PER_MIN)
    k1, k2 = rates.in_a_row()[:2]
    ours = tissue_concentration(rates, _given(curve), times)
    expected = by_lsoda(rates, sampled, times, corners_min=SAMPLES_MIN.tolist())
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-11)
    one_tissue = k1[:, np.newaxis] * curve.response(k2, times)
    expected = by_lsoda(
        type(rates)(k1_ml_per_min_per_ml=k1, k2_per_min=k2),
        sampled,
        times,
        corners_min=SAMPLES_MIN.tolist(),
    )
    np.testing.assert_allclose(one_tissue, expected, rtol=1e-9, atol=1e-11)


def _given(curve):
    return type(INPUTS["feng"])(**{**vars(INPUTS["feng"]), "plasma": curve, "blood": curve})


@pytest.mark.parametrize("name", INPUTS)
def test_fine_samples_come_near_the_curve_by_the_square_of_their_step(name: str) -> None:
    rates = random_rates(20, seed=12)
    times = [1.0, 10.0, 60.0]
    exact = tissue_concentration(rates, INPUTS[name], times)
    worst = []
    for step in (0.1, 0.05):
        samples = np.linspace(0.0, 60.0, round(60.0 / step) + 1)
        curve = linear_curve(samples, INPUTS[name].plasma.value(samples), tail_rate_per_min=0.0)
        ours = tissue_concentration(rates, _given(curve), times)
        worst.append(np.abs(ours / exact - 1.0).max())
    assert worst[1] < 0.005
    assert worst[0] / worst[1] == pytest.approx(4.0, rel=0.1)


def test_value_at_samples_between_and_beyond() -> None:
    curve = linear_curve(SAMPLES_MIN, VALUES, tail_rate_per_min=TAIL_PER_MIN)
    times = np.array([0.0, 0.5, 0.6, 60.0, 75.0, 90.0, 200.0])
    np.testing.assert_allclose(curve.value(times), [sampled(t) for t in times], rtol=1e-13)
    assert curve.delayed(5.0).value(4.999) == 0.0
    assert curve.delayed(5.0).value(5.6) == pytest.approx(sampled(0.6))


@pytest.mark.parametrize("rate_per_min", [0.0, 1e-9, 0.01, 3.0])
def test_laplace_transform_against_quadrature(rate_per_min: float) -> None:
    curve = linear_curve(SAMPLES_MIN, VALUES, tail_rate_per_min=TAIL_PER_MIN)
    edges = [*SAMPLES_MIN, *np.linspace(95.0, 3000.0, 80)]
    expected = quadrature(lambda t: curve.value(t) * np.exp(-rate_per_min * t), edges)
    assert curve.laplace(rate_per_min) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("half_life_min", [109.77, 9571.68])
def test_area_and_frames_against_quadrature(half_life_min: float) -> None:
    rates = random_rates(30, seed=13)
    given_input = _given(linear_curve(SAMPLES_MIN, VALUES, tail_rate_per_min=TAIL_PER_MIN))

    def decayed(time: np.ndarray) -> np.ndarray:
        return tissue_concentration(rates, given_input, time) * 2 ** (-time / half_life_min)

    edges = np.union1d(SAMPLES_MIN, [*range(90), *np.geomspace(92.0, 60 * half_life_min, 80)])
    area = time_integrated_activity(rates.without_blood(), given_input, half_life_min=half_life_min)
    np.testing.assert_allclose(area, quadrature(decayed, edges, order=16), rtol=1e-9)
    start, end = [0.0, 0.4, 4.0, 80.0], [0.4, 4.0, 20.0, 120.0]
    parts = partial_integral(
        rates.without_blood(), given_input, start, end, half_life_min=half_life_min
    )
    for frame, (left, right) in enumerate(zip(start, end, strict=True)):
        inside = [left, *edges[(edges > left) & (edges < right)], right]
        np.testing.assert_allclose(
            parts[:, frame], quadrature(decayed, inside, order=16), rtol=1e-9
        )


@given(
    values=st.lists(st.floats(0.0, 100.0), min_size=3, max_size=8),
    cuts=st.lists(st.floats(0.01, 59.99), min_size=1, max_size=5, unique=True),
)
def test_samples_on_the_line_change_nothing(values: list[float], cuts: list[float]) -> None:
    time = np.linspace(0.0, 60.0, len(values))
    finer = np.unique([*time, *cuts])
    coarse = linear_curve(time, np.array(values), tail_rate_per_min=0.01)
    fine = linear_curve(finer, np.interp(finer, time, values), tail_rate_per_min=0.01)
    theta = np.array([0.0, 1e-9, 0.1, 20.0])
    times = [5.0, 60.0, 100.0]
    for a, b in (
        (coarse.response(theta, times), fine.response(theta, times)),
        (
            coarse.response_integral(theta, [0.0, 50.0], [10.0, 70.0]),
            fine.response_integral(theta, [0.0, 50.0], [10.0, 70.0]),
        ),
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_decay_is_exact_on_a_piece() -> None:
    curve = linear_curve(SAMPLES_MIN, VALUES, tail_rate_per_min=TAIL_PER_MIN)
    times = np.array([0.55, 3.0, 80.0, 200.0])
    np.testing.assert_allclose(
        curve.decayed(0.1).value(times), curve.value(times) * np.exp(-0.1 * times), rtol=1e-12
    )
    np.testing.assert_allclose(
        curve.decayed(0.1).decayed(-0.1).value(times), curve.value(times), rtol=1e-12
    )


def test_steady_infusion_has_its_textbook_curve() -> None:
    """A constant input: C_T = K₁/k₂ · (1 − e^(−k₂t)), its mean 1 − (1 − e^(−k₂t))/(k₂t)."""
    steady = _given(exponential_curve(constant=[2.0], rate_per_min=[0.0]))
    rates = one(0.3, 0.1)
    assert tissue_concentration(rates, steady, 7.0) == pytest.approx(
        6.0 * (1 - np.exp(-0.7)), rel=1e-14
    )
    mean = pet_frame_mean(rates, steady, [0.0], [7.0])[0]
    assert mean == pytest.approx(6.0 * (1 - (1 - np.exp(-0.7)) / 0.7), rel=1e-13)


def test_rectangle_rule_is_as_wrong_as_reported() -> None:
    """At 60 min the rectangle rule errs by 1e-4 (step 0.01 min) to 2e-2 (1 min)."""
    k1, k2, k3, k4 = 0.3, 0.3, 0.2, 0.01
    exact = float(tissue_concentration(one(k1, k2, k3, k4), INPUTS["feng"], 60.0))
    error = []
    for step in (0.01, 1.0):
        time = np.arange(0.0, 60.0, step)
        plasma = np.array([plasma_of("feng")(t) for t in time])
        root = np.roots([1.0, k2 + k3 + k4, k2 * k4])
        shares = np.array([(k3 + k4 + r) / (r - root[::-1][i]) for i, r in enumerate(root)])
        answer = k1 * (shares[:, None] * np.exp(root[:, None] * (60.0 - time))).sum(axis=0)
        error.append(abs((answer * plasma).sum() * step / exact - 1.0))
    assert 1e-5 < error[0] < 1e-3
    assert 1e-3 < error[1] < 0.1

"""Rates and what they refuse; the closed forms against solvers, limits and laws."""

import numpy as np
import pytest
from helpers.compartments import (
    INPUTS,
    LN2,
    TERMS,
    by_lsoda,
    by_matrix_exponential,
    one,
    plasma_of,
    quadrature,
    random_rates,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_kinetics import models
from rpt_kinetics.curves import Curve, exponential_curve
from rpt_kinetics.inputs import InputFunction, feng
from rpt_kinetics.models import (
    Rates,
    pet_concentration,
    pulse_answer,
    time_integrated_activity,
    tissue_concentration,
)

GOOD = {
    "k1_ml_per_min_per_ml": 0.3,
    "k2_per_min": 0.2,
    "k3_per_min": 0.1,
    "k4_per_min": 0.01,
    "vb": 0.05,
}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("k1_ml_per_min_per_ml", -0.1, "at least 0 mL/min/mL, got -0.1 mL/min/mL"),
        ("k2_per_min", -1e-9, "k2_per_min must be finite and at least 0 1/min, got -1e-09"),
        ("k3_per_min", np.nan, "got nan 1/min. Use 0 for a path that is closed"),
        ("k4_per_min", np.inf, "k4_per_min must be finite"),
        ("k4_per_min", [0.1, -0.2, 0.3], "got -0.2 1/min"),
        ("vb", -0.1, "vb must be at least 0 and below 1 mL/mL, got -0.1"),
        ("vb", 1.0, "got 1 mL/mL. A share of 5 % is 0.05"),
        ("vb", [0.1, np.nan], "got nan"),
    ],
)
def test_rates_that_no_tissue_has(name: str, value: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Rates(**{**GOOD, name: value})


def test_shapes_that_disagree() -> None:
    with pytest.raises(ValueError, match=r"one shape or be scalars.*k2_per_min \(2,\)"):
        Rates(k1_ml_per_min_per_ml=[0.1, 0.2, 0.3], k2_per_min=[0.1, 0.2])


def test_scalars_and_arrays_together() -> None:
    rates = Rates(k1_ml_per_min_per_ml=np.full((2, 3), 0.1), k2_per_min=0.2, vb=[0.1, 0.2, 0.3])
    assert rates.shape == (2, 3)
    assert rates.vb[1, 2] == 0.3
    assert (rates.without_blood().vb == 0).all()


def test_smaller_rate_keeps_its_digits() -> None:
    """θ_slow ≈ k₂k₄/(k₂ + k₃) at k₄ = 1e-16, where the usual formula is 7 % wrong."""
    pulse = pulse_answer(np.array([0.3]), np.array([0.2]), np.array([1e-16]))
    assert pulse.slow_per_min == pytest.approx(0.6e-16, rel=1e-14)
    naive = 0.5 * ((0.5 + 1e-16) - np.sqrt((0.5 + 1e-16) ** 2 - 4 * 0.3e-16))
    assert abs(naive / 0.6e-16 - 1) > 0.05


def test_pulse_answer_has_its_sum_product_and_shares() -> None:
    _, k2, k3, k4, _ = random_rates(1000, seed=21).in_a_row()
    pulse = pulse_answer(k2, k3, k4)
    np.testing.assert_allclose(pulse.fast_per_min + pulse.slow_per_min, k2 + k3 + k4, rtol=1e-14)
    np.testing.assert_allclose(pulse.fast_per_min * pulse.slow_per_min, k2 * k4, rtol=1e-14)
    np.testing.assert_allclose(pulse.fast_share + pulse.slow_share, 1.0, rtol=1e-14)
    # At first only the first tissue empties: the mean rate is k₂.
    mean = pulse.fast_share * pulse.fast_per_min + pulse.slow_share * pulse.slow_per_min
    np.testing.assert_allclose(mean, k2, rtol=1e-13)


TIMES_MIN = [0.0, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0, 180.0, 1440.0]
GA68_MIN, LU177_MIN = 67.71, 9571.68
rate = st.one_of(st.just(0.0), st.floats(1e-6, 3.0))
by_name = pytest.mark.parametrize("name", INPUTS)


def input_of(plasma: Curve) -> InputFunction:
    return InputFunction(
        name="test",
        plasma=plasma,
        blood=plasma,
        unit="Bq/mL",
        measured="plasma",
        decay_corrected=True,
        assumptions=(),
        source="a test",
    )


@by_name
def test_200_voxels_against_lsoda(name: str) -> None:
    rates = random_rates(200, seed=1)
    tissue = tissue_concentration(rates, INPUTS[name], TIMES_MIN)
    expected = by_lsoda(rates, plasma_of(name), TIMES_MIN)
    # Where the tissue has emptied, LSODA's error is one of the peak, not of what is left.
    np.testing.assert_allclose(tissue, expected, rtol=1e-9, atol=1e-11)
    blood = np.array([plasma_of(name)(time) for time in TIMES_MIN])
    vb = rates.vb[:, np.newaxis]
    np.testing.assert_allclose(
        pet_concentration(rates, INPUTS[name], TIMES_MIN),
        (1 - vb) * expected + vb * blood,
        rtol=1e-9,
        atol=1e-11,
    )


@by_name
@pytest.mark.parametrize("half_life_min", [GA68_MIN, LU177_MIN])
def test_time_integrated_activity_against_quadrature(name: str, half_life_min: float) -> None:
    rates = random_rates(200, seed=2)
    ours = time_integrated_activity(rates, INPUTS[name], half_life_min=half_life_min)
    decay = LN2 / half_life_min
    # Panels that follow a bolus and a slow release; after 60 half-lives nothing is left.
    edges = [0.0, *np.geomspace(0.02, 60 * half_life_min, 60)]
    by_panels = quadrature(
        lambda t: pet_concentration(rates, INPUTS[name], t) * np.exp(-decay * t), edges, order=16
    )
    np.testing.assert_allclose(ours, by_panels, rtol=1e-9)


def test_decay_counts_once() -> None:
    """λ added to every loss, and the input decaying, is the same as decaying the result."""
    rates = random_rates(20, seed=3)
    decay = LN2 / GA68_MIN
    curve = plasma_of("feng")
    decaying = by_lsoda(
        rates, lambda t: curve(t) * np.exp(-decay * t), TIMES_MIN, decay_per_min=decay
    )
    ours = tissue_concentration(rates, feng(), TIMES_MIN) * np.exp(-decay * np.array(TIMES_MIN))
    np.testing.assert_allclose(ours, decaying, rtol=1e-8, atol=1e-12)


@by_name
@pytest.mark.parametrize(
    ("k1", "k2", "k3", "k4"),
    [
        (0.3, 0.3, 0.0, 0.0),  # one tissue
        (0.3, 0.3, 0.0, 0.3),  # k₃ = 0, and both rates equal
        (0.3, 0.0, 0.0, 0.0),  # all is kept
        (0.3, 0.0, 0.2, 0.1),  # exchange, but no way out
        (0.3, 0.0, 0.0, 0.1),
        (0.3, 0.0, 0.2, 0.0),
        (0.3, 0.2, 0.1, 0.0),  # irreversible
        (0.3, 0.2, 0.1, 1e-16),
        (0.3, 0.2, 1e-16, 0.2),
        (0.3, 0.2, 1e-9, 0.2 + 1e-9),
        (0.3, 1e-16, 0.1, 0.2),
        (0.3, 1e-16, 1e-16, 1e-16),
        (0.3, 4.134, 0.0, 0.0),  # the very rates of Feng's curve
        (0.3, 0.1191, 0.0, 0.0),
        (0.3, 0.01043 * (1 + 1e-12), 0.0, 0.0),
        (0.3, LN2 / 9.6, 0.0, 0.0),  # and of Kabasakal's
        (0.3, LN2 / (60 * 5.24), 0.0, 0.0),  # and of Siebinga's
        (0.0, 0.2, 0.1, 0.1),  # nothing enters
        (5.0, 20.0, 10.0, 5.0),
    ],
)
def test_limits_against_matrix_exponential(
    name: str, k1: float, k2: float, k3: float, k4: float
) -> None:
    times = [0.0, 1e-3, 1.0, 60.0, 600.0]
    ours = tissue_concentration(one(k1, k2, k3, k4), INPUTS[name], times)
    expected = [by_matrix_exponential(k1, k2, k3, k4, name, time) for time in times]
    np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-15)


@given(k=st.tuples(*[st.one_of(rate, st.sampled_from([0.1, 0.1191]))] * 4), time=st.floats(0, 500))
@settings(max_examples=100)
def test_any_rates_against_matrix_exponential(k: tuple[float, ...], time: float) -> None:
    expected = by_matrix_exponential(*k, "feng", time)
    ours = float(tissue_concentration(one(*k), feng(), time))
    assert ours == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_vanishing_k4_is_no_step() -> None:
    k4 = np.array([0.0, 1e-300, 1e-16, 1e-12, 1e-9])
    rates = Rates(k1_ml_per_min_per_ml=0.3, k2_per_min=0.3, k3_per_min=0.2, k4_per_min=k4)
    for values in (
        tissue_concentration(rates, feng(), 60.0),
        time_integrated_activity(rates, feng(), half_life_min=GA68_MIN),
    ):
        np.testing.assert_allclose(values, values[0], rtol=1e-6)
        np.testing.assert_allclose(values[:4], values[0], rtol=1e-9)


def area(constant: float, slope: float, rate: float, time: float) -> float:
    """The integral of (constant + slope·t)·e^(−rate·t) from 0."""
    left = np.exp(-rate * time)
    return constant * (1 - left) / rate + slope * (1 - left * (1 + rate * time)) / rate**2


@by_name
@given(k1=st.floats(0.0, 2.0), k3=rate, k4=rate)
@settings(max_examples=30)
def test_what_cannot_leave_is_kept(name: str, k1: float, k3: float, k4: float) -> None:
    """With k₂ = 0 and no decay the tissue holds K₁ ∫Cₚ."""
    times = [1.0, 30.0, 1000.0]
    held = tissue_concentration(one(k1, 0.0, k3, k4), INPUTS[name], times)
    entered = k1 * np.array([[area(*term, t) for t in times] for term in TERMS[name]]).sum(axis=0)
    np.testing.assert_allclose(held, entered, rtol=1e-12)


@given(k=st.tuples(*[rate] * 4), vb=st.floats(0, 0.99), a=st.floats(0, 10), b=st.floats(0, 10))
@settings(max_examples=40)
def test_linear_in_the_input(k: tuple[float, ...], vb: float, a: float, b: float) -> None:
    first = exponential_curve(constant=[1.0, 2.0], slope=[3.0, 0.0], rate_per_min=[2.0, 0.05])
    second = exponential_curve(constant=[0.5], rate_per_min=[0.3])
    together = exponential_curve(
        constant=[a, 2 * a, 0.5 * b], slope=[3 * a, 0.0, 0.0], rate_per_min=[2.0, 0.05, 0.3]
    )
    times = [0.3, 7.0, 90.0]
    parts, whole = (
        [pet_concentration(one(*k, vb), input_of(c), times) for c in curves]
        for curves in ([first, second], [together])
    )
    np.testing.assert_allclose(a * parts[0] + b * parts[1], whole[0], rtol=1e-12, atol=1e-300)
    areas = [
        time_integrated_activity(one(*k, vb), input_of(c), half_life_min=GA68_MIN)
        for c in (first, second, together)
    ]
    assert a * areas[0] + b * areas[1] == pytest.approx(areas[2], rel=1e-12)


def test_without_decay_the_area_is_the_distribution_volume_times_that_of_plasma() -> None:
    rates = one(0.3, 0.2, 0.1, 0.05)
    area = time_integrated_activity(rates, feng())
    assert area == pytest.approx(0.3 / 0.2 * (1 + 0.1 / 0.05) * feng().plasma.laplace(0.0))
    assert time_integrated_activity(one(0.3, 0.2), feng()) == pytest.approx(
        1.5 * feng().plasma.laplace(0.0)
    )
    assert time_integrated_activity(one(0.0, 0.0, vb=0.1), feng()) == pytest.approx(
        0.1 * feng().blood.laplace(0.0)
    )


def test_voxels_keep_their_shape_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = random_rates(24, seed=7)
    k1, k2, k3, k4, vb = (row.reshape(2, 3, 4) for row in flat.in_a_row())
    volume = Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)
    results = [
        lambda rates, workers: pet_concentration(rates, feng(), [1.0, 60.0], workers=workers),
    ]
    for result in results:
        expected = result(flat, 1)
        assert result(volume, 1).shape == (2, 3, 4, 2)
        with monkeypatch.context() as patch:
            patch.setattr(models, "NUMBERS", 10)  # several chunks, the last one shorter
            for workers in (1, 3):
                found = result(volume, workers).reshape(24, 2)
                np.testing.assert_array_equal(found, expected)
    assert pet_concentration(volume, feng(), 60.0).shape == (2, 3, 4)
    assert time_integrated_activity(volume, feng(), half_life_min=GA68_MIN).shape == (2, 3, 4)
    assert pet_concentration(one(0.1, 0.1), feng(), 60.0).shape == ()
    assert pet_concentration(one(0.1, 0.1), feng(), [60.0]).shape == (1,)


@pytest.mark.parametrize(
    ("time_min", "sentence"),
    [
        ([0.0, 2.0, 1.0], "time_min must ascend, got 2 min before 1 min"),
        ([-1.0, 2.0], "time_min must be finite and at least 0 min"),
        ([np.nan], "at least 0 min after the injection, got nan min"),
        ([np.inf], "time_min must be finite"),
        ([], "at least one time in min"),
        ([[1.0]], "must be a row"),
    ],
)
def test_times_out_of_order(time_min: list[float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        pet_concentration(one(0.1, 0.1), feng(), time_min)


@pytest.mark.parametrize("k", [(0.3, 0.2, 0.1, 0.0), (0.3, 0.0), (0.3, 0.0, 0.1, 0.1)])
def test_tissue_that_never_empties_has_no_area(k: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"diverges.* k2_per_min .*0 /min.* Give half_life_min"):
        time_integrated_activity(one(*k), feng())
    assert np.isfinite(time_integrated_activity(one(*k), feng(), half_life_min=GA68_MIN))


def test_input_that_does_not_fall_has_no_area() -> None:
    steady = input_of(exponential_curve(constant=[1.0, 2.0], rate_per_min=[0.0, 0.1]))
    with pytest.raises(ValueError, match=r"input function must fall.*Give half_life_min"):
        time_integrated_activity(one(0.1, 0.1), steady)
    lasting = LU177_MIN / LN2
    assert time_integrated_activity(
        one(0.0, 0.1, vb=0.5), steady, half_life_min=LU177_MIN
    ) == pytest.approx(0.5 * (lasting + 2.0 / (0.1 + 1 / lasting)))


@pytest.mark.parametrize("half_life_min", [0.0, -1.0, np.nan])
def test_half_life_of_nothing(half_life_min: float) -> None:
    with pytest.raises(ValueError, match=r"half_life_min must be above 0 min, got .* 67\.71 min"):
        time_integrated_activity(one(0.1, 0.1), feng(), half_life_min=half_life_min)


def test_input_that_is_not_corrected_is_refused() -> None:
    raw = InputFunction(**{**vars(feng()), "decay_corrected": False})
    for ask in (
        lambda: pet_concentration(one(0.1, 0.1), raw, 1.0),
        lambda: time_integrated_activity(one(0.1, 0.1), raw, half_life_min=GA68_MIN),
    ):
        with pytest.raises(ValueError, match="would count twice"):
            ask()

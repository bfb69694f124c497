"""Rate constants: what they refuse, and V_T, K_i and the half-life as limits of the curves."""

import numpy as np
import pytest
from compartments import INPUTS, one, random_rates
from rpt_kinetics.errors import BadInput
from rpt_kinetics.inputs import InputFunction
from rpt_kinetics.models import tissue_concentration
from rpt_kinetics.piecewise import exponential_curve
from rpt_kinetics.rates import (
    Rates,
    distribution_volume,
    effective_half_life_min,
    net_influx_rate,
    pulse_answer,
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
    with pytest.raises(BadInput, match=sentence):
        Rates(**{**GOOD, name: value})


def test_shapes_that_disagree() -> None:
    with pytest.raises(BadInput, match=r"one shape or be scalars.*k2_per_min \(2,\)"):
        Rates(k1_ml_per_min_per_ml=[0.1, 0.2, 0.3], k2_per_min=[0.1, 0.2])


def test_scalars_and_arrays_together() -> None:
    rates = Rates(k1_ml_per_min_per_ml=np.full((2, 3), 0.1), k2_per_min=0.2, vb=[0.1, 0.2, 0.3])
    assert rates.shape == (2, 3)
    assert rates.vb[1, 2] == 0.3
    assert (rates.without_blood().vb == 0).all()


def test_distribution_volume_is_the_ratio_at_equilibrium() -> None:
    steady = exponential_curve(constant=[1.0], rate_per_min=[0.0])
    infusion = InputFunction(**{**vars(INPUTS["feng"]), "plasma": steady, "blood": steady})
    rates = one(0.3, 0.2, 0.1, 0.05, vb=0.3)
    assert distribution_volume(rates) == pytest.approx(4.5)
    assert tissue_concentration(rates, infusion, 1e5) == pytest.approx(4.5, rel=1e-12)
    assert distribution_volume(one(0.3, 0.2)) == pytest.approx(1.5)
    assert distribution_volume(one(0.0, 0.0)) == 0.0


def test_net_influx_is_the_final_slope_over_the_plasma_integral() -> None:
    steady = exponential_curve(constant=[1.0], rate_per_min=[0.0])
    infusion = InputFunction(**{**vars(INPUTS["feng"]), "plasma": steady, "blood": steady})
    for rates in (one(0.3, 0.2, 0.1), one(0.3, 0.0, 0.1), one(0.3, 0.0), one(0.3, 0.2)):
        early, late = tissue_concentration(rates, infusion, [1e4, 1e4 + 1])
        assert net_influx_rate(rates) == pytest.approx(late - early, rel=1e-6, abs=1e-9)
    assert net_influx_rate(one(0.3, 0.2, 0.1)) == pytest.approx(0.1)


def test_psma_11_in_primary_tumours() -> None:
    """K₁ 0.24 and k₃ 0.34 with an influx of 0.15 (Sachpekidis 2016) want k₂ = 0.204 /min."""
    assert net_influx_rate(one(0.24, 0.204, 0.34)) == pytest.approx(0.15, rel=1e-3)


@pytest.mark.parametrize("k", [(0.3, 0.0), (0.3, 0.2, 0.1, 0.0), (0.3, 0.0, 0.1, 0.1)])
def test_no_equilibrium_no_distribution_volume(k: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match=r"k2_per_min, .* above 0 /min .* ask for the net influx"):
        distribution_volume(one(*k))


def test_no_net_influx_where_all_returns() -> None:
    with pytest.raises(BadInput, match=r"k4_per_min must be 0 /min .* got up to 0\.05 /min"):
        net_influx_rate(one(0.3, 0.2, 0.1, 0.05))


def test_effective_half_life_is_that_of_the_emptying_tissue() -> None:
    """After the bolus is over, the curve halves in that time."""
    bolus = exponential_curve(constant=[100.0], rate_per_min=[50.0])
    brief = InputFunction(**{**vars(INPUTS["feng"]), "plasma": bolus, "blood": bolus})
    for rates in (one(0.3, 0.2, 0.1, 0.01), one(0.3, 0.2), one(0.3, 0.2, 0.0, 0.01)):
        half = float(effective_half_life_min(rates))
        start = 40 * np.log(2) / 0.2
        before, after = tissue_concentration(rates, brief, [start, start + half])
        assert after / before == pytest.approx(0.5, rel=1e-6)
    assert effective_half_life_min(one(0.3, 0.2, 0.1)) == np.inf
    assert effective_half_life_min(one(0.3, 0.2, 0.1), half_life_min=67.71) == pytest.approx(67.71)
    slow = float(effective_half_life_min(one(0.3, 0.2, 0.1, 0.01)))
    assert effective_half_life_min(one(0.3, 0.2, 0.1, 0.01), half_life_min=67.71) == pytest.approx(
        1 / (1 / slow + 1 / 67.71)
    )


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

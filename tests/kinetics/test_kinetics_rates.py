"""Rate constants: what they refuse, and the answer to a short pulse."""

import numpy as np
import pytest
from compartments import random_rates
from rpt_kinetics.rates import Rates, pulse_answer

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

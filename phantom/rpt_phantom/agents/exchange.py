"""Plasma that exchanges with many two-tissue compartments: its curve as a sum of exponentials."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rpt_kinetics import Rates
from scipy.linalg import eigh

SMALLEST_SHARE = 1e-16
"""Terms of a smaller share of the plasma curve are left out: they are rounding."""


@dataclass(frozen=True)
class PlasmaCurve:
    """Concentration in plasma after a bolus of 1: Σ amplitude · e^(−rate·t).

    Attributes:
        amplitude_per_ml: All above 0, injected activity/mL.
        rate_per_min: At least 0, 1/min.
    """

    amplitude_per_ml: Float[np.ndarray, " term"]
    rate_per_min: Float[np.ndarray, " term"]

    def per_ml(self, time_min: float) -> float:
        """Return the concentration, injected activity/mL, corrected for decay."""
        return float(self.amplitude_per_ml @ np.exp(-self.rate_per_min * time_min))

    def area_min_per_ml(self, decay_per_min: float) -> float:
        """Return the integral to infinity with physical decay, min/mL."""
        return float((self.amplitude_per_ml / (self.rate_per_min + decay_per_min)).sum())


def plasma_curve(
    rates: Rates,
    tissue_ml: Float[np.ndarray, " tissue"],
    *,
    plasma_ml: float,
    clearance_ml_per_min: float,
) -> PlasmaCurve:
    """Solve the whole body's exchange after a bolus into plasma.

    With activities A₀ = V_p·C_p in plasma and A₁, A₂ in a tissue of volume V,
    dA₀/dt = −(CL + Σ K₁V)/V_p·A₀ + Σ k₂A₁, dA₁/dt = K₁V/V_p·A₀ − (k₂ + k₃)A₁ + k₄A₂ and
    dA₂/dt = k₃A₁ − k₄A₂. Every exchange goes both ways and they form a tree, so scaling makes
    the matrix symmetric: all rates are real, and the plasma's amplitudes are squares. The plasma
    falls for ever and what leaves it grows for ever, whatever the numbers.

    Args:
        rates: Rate constants of the tissues, k₂ and k₄ above 0; V_b plays no part.
        tissue_ml: Volume of each without its blood, above 0 mL.
        plasma_ml: V_p, mL.
        clearance_ml_per_min: CL, from plasma out of the exchange, mL/min.
    """
    k1, k2, k3, k4, _ = rates.in_a_row()
    into = k1 * tissue_ml / plasma_ml
    n = len(tissue_ml)
    matrix = np.zeros((2 * n + 1, 2 * n + 1))
    np.fill_diagonal(matrix, np.concatenate([[clearance_ml_per_min / plasma_ml], k2 + k3, k4]))
    matrix[0, 0] += into.sum()
    free, bound = np.arange(1, n + 1), np.arange(n + 1, 2 * n + 1)
    matrix[free, 0] = -np.sqrt(into * k2)
    matrix[bound, free] = -np.sqrt(k3 * k4)
    rate, modes = eigh(matrix, lower=True, overwrite_a=True, check_finite=False, driver="evd")
    share = modes[0] ** 2
    kept = share > SMALLEST_SHARE
    amplitude = share[kept] / share[kept].sum() / plasma_ml
    return PlasmaCurve(amplitude, np.maximum(rate[kept], 0.0))

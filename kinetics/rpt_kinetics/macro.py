"""What fitted rate constants say together: V_T or K_i, with their propagated standard error."""

from dataclasses import dataclass

import numpy as np

from rpt_kinetics.exponentials import Floats
from rpt_kinetics.fit_problem import K1, K2, K3, K4
from rpt_kinetics.fitting import Fit
from rpt_kinetics.rates import Rates, distribution_volume, net_influx_rate


@dataclass(frozen=True)
class Macro:
    """A macro parameter of a fit.

    Attributes:
        name: ``vt_ml_per_ml`` or ``ki_ml_per_min_per_ml``.
        unit: Its unit.
        value: None where there is none.
        standard_error: From the covariance, to first order.
        reason: Why there is no value, else empty.
    """

    name: str
    unit: str
    value: float | None
    standard_error: float | None
    reason: str = ""


def macro_parameter(fit: Fit) -> Macro:
    """Return K_i of the irreversible model, V_T of the others.

    There is no V_T where k₂ or k₄ ended at 0: the tissue never empties within the scan.
    """
    irreversible = fit.model == "2tcm_irreversible"
    name, unit = (
        ("ki_ml_per_min_per_ml", "mL/min/mL") if irreversible else ("vt_ml_per_ml", "mL/mL")
    )
    stuck = [key for key in (K2, K4) if key in fit.at_bound]
    if stuck and not irreversible:
        reason = f"{' and '.join(stuck)} ended at the bound 0 /min: the data show no way back"
        return Macro(name, unit, None, None, reason)
    rates = Rates(**fit.estimates)
    value = float(net_influx_rate(rates) if irreversible else distribution_volume(rates))
    gradient = _influx_gradient(fit) if irreversible else _volume_gradient(fit, value)
    slopes: Floats = np.array([gradient.get(key, 0.0) for key in fit.free])
    return Macro(name, unit, value, float(np.sqrt(slopes @ fit.covariance @ slopes)))


def _influx_gradient(fit: Fit) -> dict[str, float]:
    # K_i = K₁k₃/(k₂ + k₃).
    k1, k2, k3 = (fit.estimates[key] for key in (K1, K2, K3))
    leaving = k2 + k3
    return {K1: k3 / leaving, K2: -k1 * k3 / leaving**2, K3: k1 * k2 / leaving**2}


def _volume_gradient(fit: Fit, volume: float) -> dict[str, float]:
    # V_T = K₁/k₂·(1 + k₃/k₄).
    k1, k2, k3, k4 = (fit.estimates[key] for key in (K1, K2, K3, K4))
    gradient = {K2: -volume / k2, K1: (1.0 + (k3 / k4 if k4 > 0 else 0.0)) / k2}
    if K4 in fit.free:
        gradient |= {K3: k1 / (k2 * k4), K4: -k1 * k3 / (k2 * k4**2)}
    return gradient

"""One patient's whole body as one linear system in closed form: plasma, tissues, excreta."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rpt_kinetics import InputFunction, Rates
from rpt_kinetics.curves import exponential_curve, through_systems
from rpt_kinetics.models import time_integrated_activity, tissue_concentration
from scipy.linalg import eigh

from rpt_phantom.agents.agent import (
    BILE_RESIDENCE_MIN,
    BLOOD_TO_PLASMA,
    URINE_RESIDENCE_MIN,
    Agent,
    Region,
)

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


@dataclass(frozen=True)
class Chain:
    """A clearance and the well-stirred pools that it runs through.

    Pools drain steadily: what has left is never negative and never falls. (A bladder that is
    voided at set times differs in the hour of a scan, not in the balance.)

    Attributes:
        clearance_ml_per_min: From plasma into the first pool, mL/min.
        residence_min: Mean time in each pool, min.
    """

    plasma: PlasmaCurve
    clearance_ml_per_min: float
    residence_min: tuple[float, ...]

    def in_pool(self, pool: int, time_min: float) -> float:
        """Return what is in a pool, of the injected activity, corrected for decay."""
        poles = self._poles()[: pool + 1]
        return self._through(poles, time_min)

    def left(self, time_min: float) -> float:
        """Return what has left the last pool, of the injected activity, corrected for decay."""
        return self._through((*self._poles(), 0.0), time_min)

    def area_min(self, pool: int, decay_per_min: float) -> float:
        """Return a pool's content integrated to infinity with physical decay, min."""
        content = self.clearance_ml_per_min * self.plasma.area_min_per_ml(decay_per_min)
        for pole in self._poles()[:pool]:
            content *= pole / (pole + decay_per_min)
        return content / (self._poles()[pool] + decay_per_min)

    def _poles(self) -> tuple[float, ...]:
        return tuple(1.0 / residence for residence in self.residence_min)

    def _through(self, poles: tuple[float, ...], time_min: float) -> float:
        # Each pool passes on its content times its rate; the last pole's own rate is left out.
        flow = self.clearance_ml_per_min * float(np.prod(poles[:-1]))
        terms = through_systems(
            constant=self.plasma.amplitude_per_ml,
            slope=np.zeros(1),
            rate=self.plasma.rate_per_min,
            poles=poles,
            time=np.asarray(time_min, dtype=np.float64),
        )
        return flow * float(terms.sum())


@dataclass(frozen=True)
class Balance:
    """Activities and concentrations after a bolus of 1, corrected for decay to the injection.

    Attributes:
        rates: Of the tissue compartments, K₁ at a multiplier of 1.
        tissue_ml: Σ volume × multiplier × (1 − V_b) of each compartment, mL; 0 where empty.
        blood_ml: All blood, in vessels and tissues, mL.
        input_function: Plasma and blood, injected activity/mL.
        urine: Kidney pelvis, then bladder.
        bile: Gallbladder, then colon.
    """

    rates: Rates
    tissue_ml: Float[np.ndarray, " compartment"]
    blood_ml: float
    input_function: InputFunction
    urine: Chain
    bile: Chain

    def tissues_per_ml(self, time_min: float) -> Float[np.ndarray, " compartment"]:
        """Return (1 − V_b)·C_T of each compartment, injected activity/mL of voxel."""
        concentration = tissue_concentration(self.rates, self.input_function, time_min)
        part: Float[np.ndarray, " compartment"] = (1.0 - self.rates.vb) * concentration
        return part

    def tissue_areas_min_per_ml(self, half_life_min: float) -> Float[np.ndarray, " compartment"]:
        """Return its integral to infinity with physical decay, injected activity·min/mL."""
        area = time_integrated_activity(
            self.rates.without_blood(), self.input_function, half_life_min=half_life_min
        )
        part: Float[np.ndarray, " compartment"] = (1.0 - self.rates.vb) * area
        return part

    def blood_per_ml(self, time_min: float) -> float:
        """Return the concentration in whole blood, injected activity/mL."""
        return float(self.input_function.blood.value(time_min))

    def in_tissues(self, time_min: float) -> float:
        """Return the activity in all tissues, their blood apart."""
        concentration = tissue_concentration(self.rates, self.input_function, time_min)
        return float(concentration @ self.tissue_ml)

    def in_blood(self, time_min: float) -> float:
        """Return the activity in all blood."""
        return self.blood_per_ml(time_min) * self.blood_ml

    def pools(self, time_min: float) -> dict[Region, float]:
        """Return what the pools of excreta hold."""
        return {region: chain.in_pool(k, time_min) for region, (chain, k) in self._pools().items()}

    def pool_areas_min(self, decay_per_min: float) -> dict[Region, float]:
        """Return the pools' contents integrated to infinity with physical decay, min."""
        pools = self._pools().items()
        return {region: chain.area_min(k, decay_per_min) for region, (chain, k) in pools}

    def excreted(self, time_min: float) -> float:
        """Return what has left the body by urine and stool."""
        return self.urine.left(time_min) + self.bile.left(time_min)

    def _pools(self) -> dict[Region, tuple[Chain, int]]:
        return {
            Region.KIDNEY_PELVIS: (self.urine, 0),
            Region.BLADDER: (self.urine, 1),
            Region.BILE: (self.bile, 0),
            Region.STOOL: (self.bile, 1),
        }


def whole_body_balance(
    agent: Agent,
    rates: Rates,
    tissue_ml: Float[np.ndarray, " compartment"],
    *,
    blood_ml: float,
    clearance: float,
) -> Balance:
    """Solve a patient's balance after a bolus.

    Args:
        rates: Of the tissue compartments.
        tissue_ml: Σ volume × multiplier × (1 − V_b) of each, mL; 0 where empty.
        clearance: The patient's factor of the agent's clearances.
    """
    renal = agent.renal_ml_per_min * clearance
    biliary = agent.biliary_ml_per_min * clearance
    filled = tissue_ml > 0
    k1, k2, k3, k4, _ = (rate[filled] for rate in rates.in_a_row())
    plasma = plasma_curve(
        Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4),
        tissue_ml[filled],
        plasma_ml=BLOOD_TO_PLASMA * blood_ml,
        clearance_ml_per_min=renal + biliary,
    )
    curve = exponential_curve(constant=plasma.amplitude_per_ml, rate_per_min=plasma.rate_per_min)
    input_function = InputFunction(
        name=f"balance of {agent.name}",
        plasma=curve,
        blood=curve.scaled(BLOOD_TO_PLASMA),
        unit="injected activity/mL",
        measured="plasma",
        decay_corrected=True,
        assumptions=("a bolus; no agent in blood cells",),
        source="whole-body balance of the virtual patient",
    )
    return Balance(
        rates=rates,
        tissue_ml=tissue_ml,
        blood_ml=blood_ml,
        input_function=input_function,
        urine=Chain(plasma, renal, URINE_RESIDENCE_MIN),
        bile=Chain(plasma, biliary, BILE_RESIDENCE_MIN),
    )

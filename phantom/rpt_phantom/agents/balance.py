"""One patient's whole body as one linear system in closed form: plasma, tissues, excreta."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
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
    to_urine: Bool[np.ndarray, " tissue"],
    *,
    plasma_ml: float,
    clearance_ml_per_min: float,
) -> PlasmaCurve:
    """Solve the whole body's exchange after a bolus into plasma.

    With activities A₀ = V_p·C_p in plasma and A₁, A₂ in a tissue of volume V,
    dA₀/dt = −(CL + Σ K₁V)/V_p·A₀ + Σ k₂A₁, dA₁/dt = K₁V/V_p·A₀ − (k₂ + k₃)A₁ + k₄A₂ and
    dA₂/dt = k₃A₁ − k₄A₂; what the kidneys' A₂ releases leaves the exchange instead. What is left
    of it goes both ways and forms a tree, so scaling makes the matrix symmetric: all rates are
    real, and the plasma's amplitudes are squares. The plasma falls for ever and what leaves it
    grows for ever, whatever the numbers.

    Args:
        rates: Rate constants of the tissues, k₂ and k₄ above 0; V_b plays no part.
        tissue_ml: Volume of each without its blood, above 0 mL.
        to_urine: Where k₄ leads to urine.
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
    matrix[bound, free] = np.where(to_urine, 0.0, -np.sqrt(k3 * k4))
    rate, modes = eigh(matrix, lower=True, overwrite_a=True, check_finite=False, driver="evd")
    share = modes[0] ** 2
    kept = share > SMALLEST_SHARE
    amplitude = share[kept] / share[kept].sum() / plasma_ml
    return PlasmaCurve(amplitude, np.maximum(rate[kept], 0.0))


@dataclass(frozen=True)
class Chain:
    """Clearances from plasma and the well-stirred pools that they run through.

    Pools drain steadily: what has left is never negative and never falls. (A bladder that is
    voided at set times differs in the hour of a scan, not in the balance.)

    Attributes:
        clearance_ml_per_min: From plasma into the first pool, mL/min; one or several beside
            each other.
        residence_min: Mean time in each pool, min; one, or one for each clearance.
    """

    plasma: PlasmaCurve
    clearance_ml_per_min: float | Float[np.ndarray, " n"]
    residence_min: tuple[float | Float[np.ndarray, " n"], ...]

    def in_pool(self, pool: int, time_min: float) -> float:
        """Return what is in a pool (−1: the last), of the injected activity, decay-corrected."""
        return self._through(self._poles()[: len(self.residence_min) + pool + 1], time_min)

    def left(self, time_min: float) -> float:
        """Return what has left the last pool, of the injected activity, corrected for decay."""
        return self._through([*self._poles(), np.zeros((1, 1))], time_min)

    def area_min(self, pool: int, decay_per_min: float) -> float:
        """Return a pool's content integrated to infinity with physical decay, min."""
        content = self._clearances() * self.plasma.area_min_per_ml(decay_per_min)
        *before, last = self._poles()[: len(self.residence_min) + pool + 1]
        for pole in before:
            content = content * pole / (pole + decay_per_min)
        return float((content / (last + decay_per_min)).sum())

    def _clearances(self) -> Float[np.ndarray, "n 1"]:
        return np.reshape(np.asarray(self.clearance_ml_per_min, np.float64), (-1, 1))

    def _poles(self) -> list[Float[np.ndarray, "n 1"]]:
        return [1.0 / np.reshape(np.asarray(one), (-1, 1)) for one in self.residence_min]

    def _through(self, poles: list[Float[np.ndarray, "n 1"]], time_min: float) -> float:
        # Each pool passes on its content times its rate; the last pole's own rate is left out.
        flow = self._clearances()
        for pole in poles[:-1]:
            flow = flow * pole
        terms = through_systems(
            constant=self.plasma.amplitude_per_ml,
            slope=np.zeros(1),
            rate=self.plasma.rate_per_min,
            poles=tuple(poles),
            time=np.asarray(time_min, dtype=np.float64),
        )
        return float((flow * terms).sum())


def _of_tubules(
    plasma: PlasmaCurve, rates: Rates, tissue_ml: Float[np.ndarray, " tissue"]
) -> Chain:
    """Return the way through kidney tissue into urine, of tissues whose k₄ leads there.

    A₂ gets K₁V·k₃/(k₂ + k₃) of the plasma, after a stay in A₁, and keeps it for 1/k₄.
    """
    k1, k2, k3, k4, _ = rates.in_a_row()
    influx = k1 * tissue_ml * k3 / (k2 + k3)
    return Chain(plasma, influx, (1.0 / (k2 + k3), 1.0 / k4, *URINE_RESIDENCE_MIN))


def _one_way(rates: Rates, to_urine: Bool[np.ndarray, " compartment"]) -> Rates:
    """Return rates of the same C_T by exchange where k₄ leads to urine.

    K₁(s + k₃ + k₄) / ((s + k₂ + k₃)(s + k₄)), the tissue's transfer function, is that of an
    exchange with k₃·(1 − k₄/k₂) and k₄·(1 + k₃/k₂).
    """
    k1, k2, k3, k4, vb = rates.in_a_row()
    return Rates(
        k1_ml_per_min_per_ml=k1,
        k2_per_min=k2,
        k3_per_min=np.where(to_urine, k3 * (1.0 - k4 / k2), k3),
        k4_per_min=np.where(to_urine, k4 * (1.0 + k3 / k2), k4),
        vb=vb,
    )


@dataclass(frozen=True)
class Balance:
    """Activities and concentrations after a bolus of 1, corrected for decay to the injection.

    Attributes:
        rates: Of the tissue compartments, K₁ at a multiplier of 1; of kidneys those of an
            exchange with the same curve.
        tissue_ml: Σ volume × multiplier × (1 − V_b) of each compartment, mL; 0 where empty.
        blood_ml: All blood, in vessels and tissues, mL.
        input_function: Plasma and blood, injected activity/mL.
        urine: Filtered, and released by kidney tissue; last kidney pelvis, then bladder.
        bile: Gallbladder, then colon.
    """

    rates: Rates
    tissue_ml: Float[np.ndarray, " compartment"]
    blood_ml: float
    input_function: InputFunction
    urine: tuple[Chain, Chain]
    bile: tuple[Chain]

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
        return {
            region: sum(chain.in_pool(k, time_min) for chain in chains)
            for region, (chains, k) in self._pools().items()
        }

    def pool_areas_min(self, decay_per_min: float) -> dict[Region, float]:
        """Return the pools' contents integrated to infinity with physical decay, min."""
        return {
            region: sum(chain.area_min(k, decay_per_min) for chain in chains)
            for region, (chains, k) in self._pools().items()
        }

    def excreted(self, time_min: float) -> float:
        """Return what has left the body by urine and stool."""
        return sum(chain.left(time_min) for chain in (*self.urine, *self.bile))

    def _pools(self) -> dict[Region, tuple[tuple[Chain, ...], int]]:
        return {
            Region.KIDNEY_PELVIS: (self.urine, -2),
            Region.BLADDER: (self.urine, -1),
            Region.BILE: (self.bile, -2),
            Region.STOOL: (self.bile, -1),
        }


def whole_body_balance(
    agent: Agent,
    rates: Rates,
    tissue_ml: Float[np.ndarray, " compartment"],
    to_urine: Bool[np.ndarray, " compartment"],
    *,
    blood_ml: float,
    clearance: float,
) -> Balance:
    """Solve a patient's balance after a bolus.

    Args:
        rates: Of the tissue compartments.
        tissue_ml: Σ volume × multiplier × (1 − V_b) of each, mL; 0 where empty.
        to_urine: Where k₄ leads to urine and not back: kidneys.
        clearance: The patient's factor of the agent's clearances.
    """
    renal = agent.renal_ml_per_min * clearance
    biliary = agent.biliary_ml_per_min * clearance
    filled = tissue_ml > 0
    plasma = plasma_curve(
        _at(rates, filled),
        tissue_ml[filled],
        to_urine[filled],
        plasma_ml=BLOOD_TO_PLASMA * blood_ml,
        clearance_ml_per_min=renal + biliary,
    )
    of_tubules = filled & to_urine
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
        rates=_one_way(rates, to_urine),
        tissue_ml=tissue_ml,
        blood_ml=blood_ml,
        input_function=input_function,
        urine=(
            Chain(plasma, renal, URINE_RESIDENCE_MIN),
            _of_tubules(plasma, _at(rates, of_tubules), tissue_ml[of_tubules]),
        ),
        bile=(Chain(plasma, biliary, BILE_RESIDENCE_MIN),),
    )


def _at(rates: Rates, where: Bool[np.ndarray, " compartment"]) -> Rates:
    k1, k2, k3, k4, vb = (rate[where] for rate in rates.in_a_row())
    return Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)

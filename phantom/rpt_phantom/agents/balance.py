"""One patient's whole body as one linear system: plasma, tissues, excreta, in closed form."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rpt_kinetics import InputFunction, Rates
from rpt_kinetics.curves import exponential_curve
from rpt_kinetics.models import time_integrated_activity, tissue_concentration

from rpt_phantom.agents.agent import (
    BILE_RESIDENCE_MIN,
    BLOOD_TO_PLASMA,
    URINE_RESIDENCE_MIN,
    Agent,
)
from rpt_phantom.agents.chain import Chain
from rpt_phantom.agents.exchange import plasma_curve
from rpt_phantom.agents.regions import Region


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
        agent: The agent.
        rates: Of the tissue compartments.
        tissue_ml: Σ volume × multiplier × (1 − V_b) of each, mL; 0 where empty.
        blood_ml: All blood, mL.
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

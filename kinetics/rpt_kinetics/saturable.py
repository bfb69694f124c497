"""The two-tissue model with receptors that fill up: what the mass of ligand does to uptake.

dC₁/dt = K₁·Cₚ − k₂·C₁ − b·(R − B)·C₁ + k₄·C₂,  dC₂/dt = b·(R − B)·C₁ − k₄·C₂,

where B is the bound ligand, C₂ as an amount of substance: a receptor stays taken until its ligand
is released. As the mass goes to 0 this is the linear model with k₃ = b·R.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from rpt_kinetics.checking import positive, times_min
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.inputs import InputFunction, decay_rate_per_min
from rpt_kinetics.rates import Rates

RELATIVE_TOLERANCE = 1e-10
# %IA/L: concentrations below this do not matter.
ABSOLUTE_TOLERANCE = 1e-13
# The bolus must not be stepped over.
FIRST_STEP_MIN = 1e-3
# Of the decays, 2⁻⁴⁰ = 1e-12 come later.
HALF_LIVES = 40.0


@dataclass(frozen=True, kw_only=True)
class SaturableRates:
    """One region's rate constants and receptors.

    Attributes:
        k1_ml_per_min_per_ml: K₁, mL plasma/min/mL tissue.
        k2_per_min: k₂, 1/min.
        binding_l_per_nmol_per_min: b, binding to a free receptor, L/nmol/min.
        receptor_density_nmol_per_l: R, nmol per litre of tissue.
        k4_per_min: k₄, release, 1/min.
        vb: V_b, 0 ≤ V_b < 1.

    Raises:
        BadInput: A value is outside its range.
    """

    k1_ml_per_min_per_ml: float
    k2_per_min: float
    binding_l_per_nmol_per_min: float
    receptor_density_nmol_per_l: float
    k4_per_min: float
    vb: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rates that no tissue has."""
        positive("binding_l_per_nmol_per_min", self.binding_l_per_nmol_per_min, unit="L/nmol/min")
        positive("receptor_density_nmol_per_l", self.receptor_density_nmol_per_l, unit="nmol/L")
        self.linear()

    def linear(self) -> Rates:
        """Return the rates of a tracer, whose mass fills no receptors: k₃ = b·R."""
        return Rates(
            k1_ml_per_min_per_ml=self.k1_ml_per_min_per_ml,
            k2_per_min=self.k2_per_min,
            k3_per_min=self.binding_l_per_nmol_per_min * self.receptor_density_nmol_per_l,
            k4_per_min=self.k4_per_min,
            vb=self.vb,
        )


def binding_with_internalisation(
    *, on_l_per_nmol_per_min: float, off_per_min: float, internalisation_per_min: float
) -> float:
    """Return b, L/nmol/min: binding that lasts, where the surface is in quasi-equilibrium.

    Of the ligand that binds, k_int/(k_off + k_int) is taken into the cell before it leaves.
    """
    on = positive("on_l_per_nmol_per_min", on_l_per_nmol_per_min, unit="L/nmol/min")
    off = positive("off_per_min", off_per_min, unit="1/min")
    inside = positive("internalisation_per_min", internalisation_per_min, unit="1/min")
    return on * inside / (off + inside)


# Receptor density, binding and release of the kidney: PBPK anchors of the theranostic virtual
# patients (PyCNO). K₁, k₂ and V_b are ours: free ligand spreads over the whole tissue.
KIDNEY = SaturableRates(
    k1_ml_per_min_per_ml=0.3,
    k2_per_min=0.3,
    binding_l_per_nmol_per_min=binding_with_internalisation(
        on_l_per_nmol_per_min=0.046, off_per_min=0.368, internalisation_per_min=0.001
    ),
    receptor_density_nmol_per_l=30.0,
    k4_per_min=2.88e-4,
    vb=0.1,
)


def saturable_pet_concentration(
    rates: SaturableRates,
    input_function: InputFunction,
    time_min: ArrayLike,
    *,
    ligand_nmol: float,
) -> Floats:
    """Return C_PET = (1 − V_b)·C_T + V_b·C_b at instants, by an ODE solver.

    Args:
        rates: One region.
        input_function: In %IA/L, corrected for decay; hot and cold ligand alike.
        time_min: Instants, min after the injection, ascending. Shape (m,).
        ligand_nmol: Injected ligand, hot and cold, nmol; 0 for none that counts.

    Returns:
        %IA/L, corrected for decay. Shape (m,).

    Raises:
        BadInput: The input is in another unit, the mass is negative, or times are unsorted.
    """
    time = times_min("time_min", time_min)
    tissue = _solve(rates, input_function, time, ligand_nmol=ligand_nmol, decay_per_min=0.0)
    blood = input_function.blood.value(time)
    return np.asarray((1.0 - rates.vb) * tissue[:2].sum(axis=0) + rates.vb * blood)


def saturable_time_integrated_activity(
    rates: SaturableRates,
    input_function: InputFunction,
    *,
    ligand_nmol: float,
    half_life_min: float,
) -> float:
    """Return ∫₀^∞ C_PET·e^(−λt) dt, %IA/L·min, by an ODE solver over 40 half-lives.

    Args:
        rates: One region.
        input_function: In %IA/L, corrected for decay.
        ligand_nmol: Injected ligand, hot and cold, nmol.
        half_life_min: Physical half-life, min; finite, or the integral may not exist.

    Raises:
        BadInput: As for the concentration, or the half-life is not finite and above 0 min.
    """
    half_life = positive("half_life_min", half_life_min, unit="min")
    decay = decay_rate_per_min(half_life)
    end = np.array([HALF_LIVES * half_life])
    tissue = _solve(rates, input_function, end, ligand_nmol=ligand_nmol, decay_per_min=decay)
    blood = input_function.blood.laplace(decay)
    return float((1.0 - rates.vb) * tissue[2, 0] + rates.vb * blood)


def change_by_mass(
    rates: SaturableRates,
    input_function: InputFunction,
    *,
    ligand_nmol: float,
    half_life_min: float,
    tracer_nmol: float = 3.0,
) -> float:
    """Return the relative change of the time-integrated activity, −0.1 for 10 % less.

    Args:
        rates: One region.
        input_function: In %IA/L, corrected for decay.
        ligand_nmol: Ligand of the therapy, nmol; about 150.
        half_life_min: Physical half-life of the therapy, min.
        tracer_nmol: Ligand of the PET, nmol, that it is compared with.
    """
    therapy, tracer = (
        saturable_time_integrated_activity(
            rates, input_function, ligand_nmol=nmol, half_life_min=half_life_min
        )
        for nmol in (ligand_nmol, tracer_nmol)
    )
    return therapy / tracer - 1.0


def _solve(
    rates: SaturableRates,
    input_function: InputFunction,
    time: Floats,
    *,
    ligand_nmol: float,
    decay_per_min: float,
) -> Floats:
    # C₁, C₂ in %IA/L and ∫(C₁ + C₂)·e^(−λt) dt at each time, shape (3, m).
    right_hand_side = _right_hand_side(rates, input_function, ligand_nmol, decay_per_min)
    # The solver must not step across a corner of a measured curve.
    starts = input_function.plasma.start_min
    stops = np.unique(np.concatenate([[0.0], starts[starts < time[-1]], time]))
    states = np.zeros((3, len(stops)))
    for index, (start, end) in enumerate(pairwise(stops)):
        solution = solve_ivp(
            right_hand_side,
            (start, end),
            states[:, index],
            method="LSODA",
            rtol=RELATIVE_TOLERANCE,
            atol=ABSOLUTE_TOLERANCE,
            first_step=min(FIRST_STEP_MIN, end - start),
        )
        if not solution.success:
            raise ArithmeticError(f"The solver failed at {solution.t[-1]:g} min.")
        states[:, index + 1] = solution.y[:, -1]
    return states[:, np.searchsorted(stops, time)]


def _right_hand_side(
    rates: SaturableRates,
    input_function: InputFunction,
    ligand_nmol: float,
    decay_per_min: float,
) -> Callable[[float, Floats], list[float]]:
    if input_function.unit != "%IA/L" or not input_function.decay_corrected:
        raise BadInput(
            "The input function of a saturable model must be in %IA/L and corrected for decay, "
            f"got {input_function.unit}. The share of the ligand in a litre of plasma is needed."
        )
    if not (np.isfinite(ligand_nmol) and ligand_nmol >= 0):
        raise BadInput(
            f"ligand_nmol must be finite and at least 0 nmol, got {ligand_nmol!r} nmol. "
            "A PET takes about 3 nmol, a therapy about 150."
        )
    k1, k2, k3, k4, _ = (float(value[0]) for value in rates.linear().in_a_row())
    # Share of the receptors that 1 %IA/L of bound ligand takes.
    taken = ligand_nmol / 100.0 / rates.receptor_density_nmol_per_l
    plasma = input_function.plasma

    def right_hand_side(time: float, state: Floats) -> list[float]:
        free, bound = state[0], state[1]
        net = k3 * (1.0 - taken * bound) * free - k4 * bound
        arriving = k1 * float(plasma.value(time))
        lasting = np.exp(-decay_per_min * time)
        return [arriving - k2 * free - net, net, (free + bound) * lasting]

    return right_hand_side

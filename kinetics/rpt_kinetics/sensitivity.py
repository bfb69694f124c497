"""Which rate constants the variance of a result comes from: Sobol's global indices, by SALib.

The first-order index is the share of the variance that goes if a parameter is known, the total
index the share that stays if all others are known.

Source: Saltelli et al., Comput Phys Commun 181 (2010) 259; SALib (Herman & Usher 2017).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from SALib.analyze import sobol as sobol_analysis
from SALib.sample import sobol as sobol_sample

from rpt_kinetics.dose import LU177_HALF_LIFE_MIN, PAPER_KIDNEY_CORTEX, tia_mbq_h_per_g
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.inputs import percent_ia_per_l_to_suv, siebinga
from rpt_kinetics.models import pet_concentration, time_integrated_activity
from rpt_kinetics.rates import Rates

# Ours: half to twice a kidney-like set; the PET agent's rate constants.
RANGES = {
    "k1_ml_per_min_per_ml": (0.15, 0.6),
    "k2_per_min": (0.15, 0.6),
    "k3_per_min": (0.1, 0.4),
    "k4_per_min": (0.005, 0.02),
    "vb": (0.05, 0.2),
}
# Ours: the therapeutic agent's constants are the PET agent's divided by these.
PET_OVER_THERAPY = {
    "k1_ml_per_min_per_ml": 6.0,
    "k2_per_min": 1.0,
    "k3_per_min": 4.0,
    "k4_per_min": 30.0,
    "vb": 1.0,
}
ADMINISTERED_ACTIVITY_MBQ = 7400.0
WEIGHT_KG = 80.0
LARGEST_SAMPLES = 2**20


@dataclass(frozen=True, eq=False)
class SobolIndices:
    """Indices of one result, in the order of ``parameters``.

    Attributes:
        parameters: Names, p of them.
        first_order: Shape (p,).
        first_order_confidence: Half width of the 95 % interval, from a bootstrap. Shape (p,).
        total: Shape (p,).
        total_confidence: As for the first order. Shape (p,).
        mean: Of the result.
        standard_deviation: Of the result.
        evaluations: How often the model was evaluated.
    """

    parameters: tuple[str, ...]
    first_order: Floats
    first_order_confidence: Floats
    total: Floats
    total_confidence: Floats
    mean: float
    standard_deviation: float
    evaluations: int


def sobol_indices(
    model: Callable[[Floats], Floats],
    ranges: Mapping[str, tuple[float, float]],
    *,
    samples: int,
    seed: int,
    log_uniform: bool = False,
) -> SobolIndices:
    """Return the Sobol indices of a model of independent parameters.

    Args:
        model: From parameters (n, p), in the order of ``ranges``, to results (n,).
        ranges: Parameter → lowest and highest value, each uniform between them.
        samples: Base samples, a power of 2; the model is evaluated (p + 2) times as often.
        seed: Of the sequence's scrambling and of the bootstrap.
        log_uniform: Whether the logarithms are uniform instead.

    Raises:
        BadInput: ``samples`` is no power of 2 or out of range, a range is empty (or not above 0
            with ``log_uniform``), ``seed`` is negative, or the result is not finite or does not
            vary.
    """
    _check_request(ranges, samples, seed, log_uniform)
    bounds = np.array(list(ranges.values()), dtype=np.float64)
    problem = {
        "num_vars": len(ranges),
        "names": list(ranges),
        "bounds": (np.log(bounds) if log_uniform else bounds).tolist(),
    }
    points = sobol_sample.sample(problem, samples, calc_second_order=False, seed=seed)
    results = np.asarray(model(np.exp(points) if log_uniform else points), dtype=np.float64)
    if not np.isfinite(results).all() or np.ptp(results) == 0:
        raise BadInput(
            "The result must be finite and vary over the ranges, and it does not. "
            "Widen the ranges, or leave out values for which the model has no result."
        )
    # SALib takes a seed of 0 for none.
    found = sobol_analysis.analyze(problem, results, calc_second_order=False, seed=seed + 1)
    return SobolIndices(
        parameters=tuple(ranges),
        first_order=np.asarray(found["S1"]),
        first_order_confidence=np.asarray(found["S1_conf"]),
        total=np.asarray(found["ST"]),
        total_confidence=np.asarray(found["ST_conf"]),
        mean=float(results.mean()),
        standard_deviation=float(results.std()),
        evaluations=len(results),
    )


def _check_request(
    ranges: Mapping[str, tuple[float, float]], samples: int, seed: int, log_uniform: bool
) -> None:
    if not 8 <= samples <= LARGEST_SAMPLES or samples & (samples - 1):
        raise BadInput(
            f"samples must be a power of 2 from 8 to {LARGEST_SAMPLES}, as Sobol's sequence is "
            f"balanced only then, got {samples}. Take for example 1024."
        )
    if seed < 0:
        raise BadInput(f"seed must be at least 0, got {seed}.")
    for name, (low, high) in ranges.items():
        if not (np.isfinite([low, high]).all() and low < high and (low > 0 or not log_uniform)):
            raise BadInput(
                f"The range of {name} must be finite, its low end below its high end"
                f"{' and above 0' if log_uniform else ''}, got {low:g} to {high:g}."
            )


def suv_of_pet(parameters: Floats, *, time_min: float) -> Floats:
    """Return the SUV (g/mL) at one time of tissues with rate constants (n, 5), shape (n,).

    The blood is Siebinga's curve, for 80 kg.
    """
    blood = percent_ia_per_l_to_suv(siebinga(), weight_kg=WEIGHT_KG)
    return pet_concentration(_rates(parameters), blood, time_min)


def dose_gy_of_therapy(parameters: Floats) -> Floats:
    """Return the absorbed dose, Gy, of the therapeutic agent in the same tissues, shape (n,).

    Args:
        parameters: The *PET* agent's rate constants, (n, 5); the therapeutic agent's are these
            divided by :data:`PET_OVER_THERAPY`. 7,400 MBq of 177Lu, 80 kg, Siebinga's curve,
            local deposition with the paper's S × organ mass. The time-integrated activity is
            proportional, and so has the same indices.
    """
    blood = percent_ia_per_l_to_suv(siebinga(), weight_kg=WEIGHT_KG)
    rates = _rates(parameters / np.array(list(PET_OVER_THERAPY.values())))
    tia = time_integrated_activity(rates, blood, half_life_min=LU177_HALF_LIFE_MIN)
    return PAPER_KIDNEY_CORTEX.voxel_dose_gy(
        tia_mbq_h_per_g(
            tia, administered_activity_mbq=ADMINISTERED_ACTIVITY_MBQ, weight_kg=WEIGHT_KG
        )
    )


def _rates(parameters: Floats) -> Rates:
    return Rates(**dict(zip(RANGES, parameters.T, strict=True)))

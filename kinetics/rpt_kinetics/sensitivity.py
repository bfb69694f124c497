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

from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.presets import read_preset
from rpt_kinetics.simulation import dose_gy, suv_at
from rpt_kinetics.study_parameters import rates_of

PRESET = "homogeneous"
PARAMETERS = read_preset(PRESET).parameters
"""Blood curves, weight, activity, S-value and k_p/k_t are this preset's."""
CENTRE = vars(PARAMETERS.pet_rates)
"""The PET agent's rate constants at the preset's rim: a kidney-like set."""
# Ours: half to twice that.
RANGES = {name: (value / 2, 2 * value) for name, value in CENTRE.items()}
PET_OVER_THERAPY = dict(zip(CENTRE, PARAMETERS.pet_to_therapy_ratio.row().tolist(), strict=True))
"""The therapeutic agent's constants are the PET agent's divided by these."""
LOG_STEP = 1e-3
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


def elasticities(
    model: Callable[[Floats], Floats], centre: Mapping[str, float]
) -> dict[str, float]:
    """Return d ln(result) / d ln(parameter) for each parameter, by central differences.

    Args:
        model: From parameters (n, p), in the order of ``centre``, to results (n,), above 0.
        centre: Parameter → value, above 0.
    """
    at = np.log(np.array(list(centre.values())))
    steps = LOG_STEP * np.eye(len(at))
    above, below = (np.log(model(np.exp(at + sign * steps))) for sign in (1.0, -1.0))
    return dict(zip(centre, ((above - below) / (2.0 * LOG_STEP)).tolist(), strict=True))


def suv_of_pet(parameters: Floats, *, time_min: float) -> Floats:
    """Return the SUV (g/mL) at one time of tissues with rate constants (n, 5), shape (n,).

    Blood curve and weight are the preset's.
    """
    return suv_at(PARAMETERS, rates_of(parameters.T), time_min=time_min)


def dose_gy_of_therapy(parameters: Floats) -> Floats:
    """Return the absorbed dose, Gy, of the therapeutic agent in the same tissues, shape (n,).

    Args:
        parameters: The *PET* agent's rate constants, (n, 5); the therapeutic agent's are these
            divided by :data:`PET_OVER_THERAPY`. All else is the preset's. The time-integrated
            activity is proportional, and so has the same indices.
    """
    ratio = PARAMETERS.pet_to_therapy_ratio.row()
    return dose_gy(PARAMETERS, rates_of((parameters / ratio).T))

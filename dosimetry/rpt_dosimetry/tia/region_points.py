"""The points of a region, checked."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput

from rpt_dosimetry.tia.exponential_fit import Points, relative_sd_mbq
from rpt_dosimetry.tia.times import check_half_life, check_times

NEEDED = {"physical": 1, "mono": 2, "bi_population": 2, "bi": 3, "trapezoid": 2}
"""Model → the points it needs."""

LONGEST_UPTAKE = 0.45
"""Of the physical half-life: washout is slower than uptake and needs room above physical, also at
twice the uptake half-life, which tells the uncertainty. Ours."""


def region_points(
    time_h: Sequence[float],
    activity_mbq: Sequence[float] | Float[np.ndarray, " t"],
    *,
    half_life_h: float,
    infusion_h: float,
    name: str,
    activity_sd_mbq: Sequence[float] | None,
    noise_floor_mbq: Sequence[float] | None = None,
) -> Points:
    """Check a region's points; the arguments are those of :func:`region_fit.fit_region`.

    Raises:
        BadInput: Times or half-life are impossible, an activity is negative or not finite, a
            standard deviation is not above 0, a noise floor below 0, or the numbers of them differ.
    """
    times = check_times(time_h, infusion_h=infusion_h)
    check_half_life(half_life_h)
    activities = _as_many(activity_mbq, times, what=f"The activities of {name}")
    for activity in activities:
        if not (np.isfinite(activity) and activity >= 0):
            raise BadInput(
                f"The activities of {name} must be finite and at least 0 MBq, got {activity:g} "
                "MBq. Check the reconstruction and the region's mask."
            )
    floor = np.zeros(len(times))
    if noise_floor_mbq is not None:
        floor = _as_many(noise_floor_mbq, times, what=f"The noise floors of {name}")
        if not (np.isfinite(floor) & (floor >= 0)).all():
            raise BadInput(
                f"The noise floors of {name} must be finite and at least 0 MBq, got "
                f"{floor.tolist()} MBq. Leave them out if they are not known."
            )
    if activity_sd_mbq is None:
        deviations = relative_sd_mbq(activities, noise_floor_mbq=floor)
    else:
        deviations = _as_many(activity_sd_mbq, times, what=f"The activity SDs of {name}")
        if not (np.isfinite(deviations) & (deviations > 0)).all():
            raise BadInput(
                f"The activity SDs of {name} must be finite and above 0 MBq, got "
                f"{deviations.tolist()} MBq. Leave them out if they are not known."
            )
    return Points(
        times, activities, deviations, activity_sd_mbq is not None, floor, half_life_h, infusion_h
    )


def check_model(model: str, *, points: int, name: str) -> None:
    """Check that a model is known and has the points it needs.

    Raises:
        BadInput: It is not, or one point is to be fitted by ``auto``.
    """
    if model != "auto" and model not in NEEDED:
        raise BadInput(f"model must be auto or one of {', '.join(NEEDED)}, got '{model}'.")
    if model == "auto" and points == 1:
        raise BadInput(
            f"One time point of {name} tells no washout: name the model that is to stand for it, "
            "physical, an upper bound that may be two to three times too high, or, in dose, "
            "haenscheid or madsen (a population's)."
        )
    if points < NEEDED.get(model, 1):
        raise BadInput(
            f"The {model} fit of {name} needs at least {NEEDED[model]} time points, got {points}. "
            "Add a scan or take a model with fewer parameters."
        )


def check_uptake(uptake_half_life_h: float, *, half_life_h: float, name: str) -> None:
    """Check the population's uptake half-life, h.

    Raises:
        BadInput: It is not above 0 h and well below the physical half-life.
    """
    if not 0 < uptake_half_life_h <= LONGEST_UPTAKE * half_life_h:
        raise BadInput(
            f"uptake_half_life_h of {name} must be above 0 h and at most {LONGEST_UPTAKE:g} of the "
            f"physical half-life of {half_life_h:g} h, got {uptake_half_life_h:g} h."
        )


def _as_many(
    values: Sequence[float] | Float[np.ndarray, " t"], times: Float[np.ndarray, " t"], *, what: str
) -> Float[np.ndarray, " t"]:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != times.shape:
        raise BadInput(f"{what} must be as many as the {len(times)} times, got {found.size}.")
    return found

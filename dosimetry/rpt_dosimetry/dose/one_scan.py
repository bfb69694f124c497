"""Methods for a cycle with one scan: time-integrated activity per activity, one for all voxels."""

import math
from dataclasses import replace

import numpy as np
from rpt_cohort import BadInput

from rpt_dosimetry.dose.activity_series import BQ_PER_MBQ, ActivitySeries
from rpt_dosimetry.dose.curves import TiaMap
from rpt_dosimetry.dose.therapy import Therapy
from rpt_dosimetry.tia.region_fit import RegionFit
from rpt_dosimetry.tia.single_time import haenscheid_tia_mbq_h, madsen_tia_mbq_h

HAENSCHEID, MADSEN = "haenscheid", "madsen"
ONE_SCAN = (HAENSCHEID, MADSEN)
LATEST_HALF_LIVES = 10.0
"""Ours: of the population's; beyond, a thousandth is left, and its rate is all that counts."""


def check_one_scan(model: str, therapy: Therapy, *, population_half_life_h: float | None) -> None:
    """Refuse what a method for one scan cannot do.

    Args:
        model: Any model.
        therapy: Times and nuclide.
        population_half_life_h: Effective half-life of the population, h; for ``madsen`` only.

    Raises:
        BadInput: The method has more than one scan, Madsen's no half-life or one that is not
            above 0 and at most the physical one, or a scan later than
            ``LATEST_HALF_LIVES`` of it; or another model has one.
    """
    if model in ONE_SCAN and len(therapy.time_h) != 1:
        raise BadInput(
            f"--model {model} is for one time point, got {len(therapy.time_h)}. "
            "Leave it out, and the points are fitted."
        )
    if (model == MADSEN) != (population_half_life_h is not None):
        raise BadInput("--model madsen and --population-half-life-h go together. Give both.")
    physical_h = therapy.nuclide.half_life_h
    if population_half_life_h is not None and not 0 < population_half_life_h <= physical_h:
        raise BadInput(
            f"--population-half-life-h must be above 0 and at most the physical {physical_h:.6g} h,"
            f" got {population_half_life_h:g} h. Give the effective half-life."
        )
    if population_half_life_h is not None:
        latest_h = LATEST_HALF_LIVES * population_half_life_h
        if therapy.time_h[0] > latest_h:
            raise BadInput(
                f"--time-h must be at most {LATEST_HALF_LIVES:g} times --population-half-life-h, "
                f"{latest_h:g} h, got {therapy.time_h[0]:g} h. Both are in h."
            )


def tia_per_activity_h(model: str, *, time_h: float, population_half_life_h: float | None) -> float:
    """Return the time-integrated activity of 1 MBq at the scan, MBq h.

    Args:
        model: ``haenscheid`` or ``madsen``.
        time_h: Of the scan, h.
        population_half_life_h: Effective half-life, h, for ``madsen``.
    """
    if population_half_life_h is None:
        return haenscheid_tia_mbq_h(activity_mbq=1.0, time_h=time_h)
    return madsen_tia_mbq_h(
        activity_mbq=1.0, time_h=time_h, population_half_life_h=population_half_life_h
    )


def one_scan_fit(
    fit: RegionFit, model: str, *, factor_h: float, population_half_life_h: float | None
) -> RegionFit:
    """Put a one-scan method in the place of physical decay through the one point.

    Args:
        fit: Physical decay through the point.
        model: ``haenscheid``, which knows no half-life (NaN), or ``madsen``.
        factor_h: From ``tia_per_activity_h``.
        population_half_life_h: Effective half-life, h, for ``madsen``.
    """
    ((time_h, activity_mbq),) = fit.points
    half_life_h = math.nan if population_half_life_h is None else population_half_life_h
    curve: tuple[tuple[float, float], ...] = ()
    if population_half_life_h is not None and activity_mbq > 0:
        rate = math.log(2.0) / population_half_life_h
        curve = ((activity_mbq * math.exp(rate * time_h), rate),)
    return replace(
        fit,
        model=model,
        terms=curve,
        tia_mbq_h=activity_mbq * factor_h,
        effective_half_life_h=half_life_h,
        why=f"{model} was asked for.",
    )


def one_scan_tia(series: ActivitySeries, model: str, *, factor_h: float) -> TiaMap:
    """Return the time-integrated activity of every voxel by a one-scan method."""
    activity = series.bq_per_ml[0].astype(np.float64)
    return TiaMap(activity * (factor_h / BQ_PER_MBQ), {model: activity.size})

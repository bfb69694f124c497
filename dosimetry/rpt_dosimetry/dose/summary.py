"""``summary.json``: how the dose was computed, and what one should know of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rpt_dosimetry.dose.activity_series import ActivitySeries
from rpt_dosimetry.dose.calculation import Choices, CycleDose
from rpt_dosimetry.dose.density import LOWEST_G_PER_ML
from rpt_dosimetry.dose.one_scan import ONE_SCAN
from rpt_dosimetry.dose.rows import Row
from rpt_dosimetry.dose.table import DEFINITIONS
from rpt_dosimetry.dose.therapy import Therapy
from rpt_dosimetry.radiation.media import SOFT_TISSUE_G_PER_CM3
from rpt_dosimetry.tia.region_fit import RegionFit
from rpt_dosimetry.tia.single_time import HAENSCHEID_VALID
from rpt_dosimetry.tia.voxel_fit import METHODS, RISES

LARGEST_OFF = 0.10
"""Of the voxels' summed TIA from that of their region's curve, before it is told. Ours."""


def summarise(
    series: ActivitySeries, therapy: Therapy, choices: Choices, result: CycleDose
) -> dict[str, Any]:
    """Gather what ``summary.json`` tells; warnings and provenance are added by the caller."""
    total = series.total_mbq()
    return {
        "nuclide": therapy.nuclide.name,
        "half_life_h": therapy.nuclide.half_life_h,
        "administered_mbq": therapy.administered_mbq,
        "residual_mbq": therapy.residual_mbq,
        "net_administered_mbq": therapy.net_mbq,
        "infusion_h": therapy.infusion_h,
        "images": [
            {
                "time_h": time_h,
                "activity_mbq": mbq,
                "share_of_decayed_net": mbq / therapy.decayed_mbq(time_h),
            }
            for time_h, mbq in zip(therapy.time_h, total.tolist(), strict=True)
        ],
        "shape": list(series.shape),
        "spacing_mm": list(series.spacing_mm),
        "engine": choices.engine.name,
        "energy_kev_per_decay": choices.engine.energy_kev(spacing_mm=series.spacing_mm),
        "density": _density(result),
        "voxel_curve": choices.voxel_curve,
        "voxel_methods": dict(result.tia.methods),
        "tia_mbq_h": float(result.tia.mbq_h_per_ml.sum() * series.voxel_ml),
        "dose_max_gy": float(result.dose_gy.max()),
        "bed_parameters": {row.region.name: _bed(row) for row in result.rows if row.bed},
        "region_fallbacks": _fallbacks(result),
        "curves": {name: _curve(fit) for name, fit in result.fits.items()},
        "definitions": DEFINITIONS,
    }


def doubts(therapy: Therapy, choices: Choices, result: CycleDose) -> list[str]:
    """Say what the user should know of the curves and densities, each a sentence."""
    said = []
    if len(therapy.time_h) == 1:
        said.append(_one_scan(therapy, choices))
    fallbacks = _fallbacks(result)
    if fallbacks:
        said.append(
            f"{len(fallbacks)} regions could not be fitted and have a fallback, told in "
            f"summary.json: {', '.join(fallbacks)}."
        )
    rising = result.tia.methods.get(METHODS[RISES], 0)
    if rising:
        said.append(
            f"The activity of {rising} voxels rises; they have straight lines and physical decay "
            "after the last point, an upper bound."
        )
    off = _off_their_curve(result)
    if off:
        said.append(
            f"The voxels' TIA is more than {LARGEST_OFF:.0%} off the region's curve in "
            f"{', '.join(f'{name} ({part:+.0%})' for name, part in off.items())}: by noise or by "
            "motion between the scans. --voxel-curve organ bears both better."
        )
    if result.thin_voxels is not None and result.thin_voxels[1]:
        said.append(
            f"{result.thin_voxels[1]} voxels with activity are thinner than {LOWEST_G_PER_ML:g} "
            "g/mL by the CT and count as that dense."
        )
    return said


def _off_their_curve(result: CycleDose) -> dict[str, float]:
    parts = {
        row.region.name: row.map_tia_mbq_h / row.fit.tia_mbq_h - 1.0
        for row in result.rows
        if row.fit.tia_mbq_h > 0
    }
    return {name: part for name, part in parts.items() if abs(part) > LARGEST_OFF}


def _one_scan(therapy: Therapy, choices: Choices) -> str:
    if choices.model not in ONE_SCAN:
        return (
            "One time point tells no washout: physical decay alone is taken, an upper bound of "
            "what follows the scan. See --model haenscheid and madsen."
        )
    if choices.population_half_life_h is not None:
        return (
            f"One time point: every voxel has the effective half-life that was stated, "
            f"{choices.population_half_life_h:g} h."
        )
    low, high = (therapy.time_h[0] / x for x in reversed(HAENSCHEID_VALID))
    return (
        "One time point: the estimate is within -12 and +6 % only where the effective half-life "
        f"is {low:.3g} to {high:.3g} h."
    )


def _density(result: CycleDose) -> dict[str, Any]:
    if result.thin_voxels is None:
        return {"from": "soft tissue everywhere", "g_per_ml": SOFT_TISSUE_G_PER_CM3}
    raised, with_activity = result.thin_voxels
    return {
        "from": "ct, Schneider 2000",
        "lowest_g_per_ml": LOWEST_G_PER_ML,
        "voxels_raised_to_lowest": raised,
        "voxels_raised_with_activity": with_activity,
    }


def _bed(row: Row) -> dict[str, float] | None:
    if row.bed is None:
        return None
    tissue = row.bed.tissue
    return {
        "alpha_beta_gy": tissue.alpha_beta_gy,
        "repair_half_time_h": tissue.repair_half_time_h,
    }


def _fallbacks(result: CycleDose) -> dict[str, str]:
    return {name: fit.fallback for name, fit in result.fits.items() if fit.fallback is not None}


def _curve(fit: RegionFit) -> dict[str, Any]:
    points: Sequence[tuple[float, float]] = fit.points
    return {
        "model": fit.model,
        "why": fit.why,
        "time_h": [time_h for time_h, _ in points],
        "activity_mbq": [mbq for _, mbq in points],
        "amplitude_mbq": [amplitude for amplitude, _ in fit.terms],
        "rate_per_h": [rate for _, rate in fit.terms],
        "aicc": {model: _finite(value) for model, value in fit.candidates.items()},
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)

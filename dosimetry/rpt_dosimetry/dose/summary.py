"""``summary.json``: how the dose was computed, and what one should know of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rpt_dosimetry.dose.activity_series import ActivitySeries
from rpt_dosimetry.dose.calculation import Choices, CycleDose
from rpt_dosimetry.dose.curve_doubts import curve_doubts, fallback_of
from rpt_dosimetry.dose.density import LEAST_BODY_G_PER_ML, LOWEST_G_PER_ML, MOST_BODY_G_PER_ML
from rpt_dosimetry.dose.regions import lesion_shares
from rpt_dosimetry.dose.rows import Row
from rpt_dosimetry.dose.table import DEFINITIONS
from rpt_dosimetry.dose.therapy import Therapy
from rpt_dosimetry.radiation.media import SOFT_TISSUE_G_PER_CM3
from rpt_dosimetry.tia.region_fit import RegionFit

LARGEST_LESION_SHARE = 0.01
"""Of an organ's voxels, before it is told. Ours."""


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
        "noise_floor_bq_per_ml": _noise_floor(series, choices, result),
        "voxel_curve": choices.voxel_curve,
        "voxel_methods": dict(result.tia.methods),
        "tia_mbq_h": float(result.tia.mbq_h_per_ml.sum() * series.voxel_ml),
        "dose_max_gy": float(result.dose_gy.max()),
        "bed_parameters": {row.region.name: _bed(row) for row in result.rows if row.bed},
        "region_fallbacks": fallback_of(result),
        "curves": {name: _curve(fit) for name, fit in result.fits.items()},
        "definitions": DEFINITIONS,
    }


def _noise_floor(series: ActivitySeries, choices: Choices, result: CycleDose) -> list[float] | None:
    levels = choices.noise_floor(series, [row.region for row in result.rows])
    return None if levels is None else levels.tolist()


def doubts(therapy: Therapy, choices: Choices, result: CycleDose) -> list[str]:
    """Say what the user should know of curves, masks and densities, each a sentence."""
    said = curve_doubts(therapy, choices, result)
    shares = lesion_shares([row.region for row in result.rows])
    held = {name: share for name, share in shares.items() if share > LARGEST_LESION_SHARE}
    if held:
        said.append(
            "Organ rows hold the lesions in them: "
            f"{', '.join(f'{name} ({share:.0%} lesion)' for name, share in held.items())}."
        )
    body = result.body_g_per_ml
    if body is not None and not LEAST_BODY_G_PER_ML <= body <= MOST_BODY_G_PER_ML:
        said.append(
            f"The mean density of the body by the CT is {body:.3g} g/mL, not "
            f"{LEAST_BODY_G_PER_ML:g} to {MOST_BODY_G_PER_ML:g} g/mL: check that the CT is in HU "
            "and lies where the organs are."
        )
    if result.thin_voxels is not None and result.thin_voxels[1]:
        said.append(
            f"{result.thin_voxels[1]} voxels with activity are thinner than {LOWEST_G_PER_ML:g} "
            "g/mL by the CT and count as that dense."
        )
    return said


def _density(result: CycleDose) -> dict[str, Any]:
    if result.thin_voxels is None:
        return {"from": "soft tissue everywhere", "g_per_ml": SOFT_TISSUE_G_PER_CM3}
    raised, with_activity = result.thin_voxels
    return {
        "from": "ct, Schneider 2000",
        "lowest_g_per_ml": LOWEST_G_PER_ML,
        "voxels_raised_to_lowest": raised,
        "voxels_raised_with_activity": with_activity,
        "body_mean_g_per_ml": result.body_g_per_ml,
    }


def _bed(row: Row) -> dict[str, float] | None:
    if row.bed is None:
        return None
    tissue = row.bed.tissue
    return {
        "alpha_beta_gy": tissue.alpha_beta_gy,
        "repair_half_time_h": tissue.repair_half_time_h,
    }


def _curve(fit: RegionFit) -> dict[str, Any]:
    points: Sequence[tuple[float, float]] = fit.points
    return {
        "model": fit.model,
        "why": fit.why,
        "time_h": [time_h for time_h, _ in points],
        "activity_mbq": [mbq for _, mbq in points],
        "amplitude_mbq": [amplitude for amplitude, _ in fit.terms],
        "rate_per_h": [rate for _, rate in fit.terms],
        "fit_rms": fit.misfit,
        "aicc": {model: _finite(value) for model, value in fit.candidates.items()},
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)

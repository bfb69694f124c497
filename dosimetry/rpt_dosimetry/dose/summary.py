"""``summary.json``: how the dose was computed, and what one should know of it and of the curves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rpt_dosimetry.dose.activity_series import ROUNDING, CycleImages, Therapy
from rpt_dosimetry.dose.anatomy import (
    LEAST_BODY_G_PER_ML,
    LOWEST_G_PER_ML,
    MOST_BODY_G_PER_ML,
    lesion_shares,
)
from rpt_dosimetry.dose.calculation import ONE_SCAN, OWN, RISES_IN_NOISE, Choices, CycleDose
from rpt_dosimetry.dose.rows import DEFINITIONS, Row
from rpt_dosimetry.radiation.media import SOFT_TISSUE_G_PER_CM3
from rpt_dosimetry.tia.region_fit import EARLY_H, MISSES, SLOWEST_UPTAKE, RegionFit
from rpt_dosimetry.tia.single_time import HAENSCHEID_VALID
from rpt_dosimetry.tia.voxel_fit import METHODS, RISES

LARGEST_OFF = 0.10
"""Of the voxels' summed TIA from that of their region's curve, before it is told. Ours."""
LARGEST_UNSEEN = 0.02
"""Of a region's TIA, by which an uptake that no scan saw may move it, before it is told. Ours."""
LARGEST_BEFORE_FIRST = 0.5
"""Of a region's TIA, before it is told that no scan saw it. Ours."""
LARGEST_AFTER_LAST = 0.5
"""Of a region's TIA, before it is told that it is extrapolated. Ours; a curve is usually asked to
leave less than a fifth."""
ABOVE_BOUND = 1.01
"""Of the physical-tail bound, before it is told. Ours: rounding is not told."""


def _curve_warnings(therapy: Therapy, choices: Choices, result: CycleDose) -> list[str]:
    """Warn of the curves, a sentence each."""
    warnings = []
    if len(therapy.time_h) == 1:
        warnings.append(_one_scan(therapy, choices))
    else:
        warnings += _unseen(result)
    fallbacks = fallback_of(result)
    if fallbacks:
        warnings.append(
            f"{len(fallbacks)} regions could not be fitted and have a fallback, told in "
            f"summary.json: {', '.join(fallbacks)}."
        )
    rising = result.tia.methods.get(METHODS[RISES], 0)
    if rising:
        warnings.append(
            f"The activity of {rising} voxels rises; they have straight lines and physical decay "
            "after the last point, an upper bound."
        )
    scaled = result.tia.methods.get(RISES_IN_NOISE, 0)
    if scaled:
        warnings.append(
            f"The activity of {scaled} voxels rises by no more than the noise around them; they "
            "have their region's curve, or the image's where there is no mask."
        )
    off = _off_their_curve(result)
    if off:
        why = "the curves of its parts, such as lesions in it, and its own do not agree."
        if choices.voxel_curve == OWN:
            why = (
                "by noise, motion between the scans, or kinetics (such as an uptake) that the "
                "voxels' mono-exponential does not have; voxel_curve organ has the region's "
                "curve."
            )
        warnings.append(
            f"The voxels' TIA is more than {LARGEST_OFF:.0%} off the region's curve in "
            f"{_sizes(off)}: {why}"
        )
    total_mbq_h = result.rows[0].map_tia_mbq_h
    if total_mbq_h > therapy.most_tia_mbq_h * (1.0 + ROUNDING):
        warnings.append(
            f"The time-integrated activity of the image, {total_mbq_h:.6g} MBq h, is above the "
            f"{therapy.most_tia_mbq_h:.6g} MBq h of the net activity that never leaves, by less "
            "than two standard uncertainties of the calibration: check the calibration."
        )
    return warnings


def fallback_of(result: CycleDose) -> dict[str, str]:
    """Return region → what was done instead of the fit, a sentence; those without one left out."""
    return {name: fit.fallback for name, fit in result.fits.items() if fit.fallback is not None}


def _off_their_curve(result: CycleDose) -> dict[str, float]:
    parts = {
        row.region.name: row.map_tia_mbq_h / row.fit.tia_mbq_h - 1.0
        for row in result.rows
        if row.fit.tia_mbq_h > 0
    }
    return {name: part for name, part in parts.items() if abs(part) > LARGEST_OFF}


def _unseen(result: CycleDose) -> list[str]:
    warnings = []
    curves = {row.region.name: row.fit for row in result.rows if row.fit.tia_mbq_h > 0}
    missed = {name: fit.misfit for name, fit in curves.items() if fit.misfit > MISSES}
    if missed:
        warnings.append(
            f"The curve misses its points by more than {MISSES:.0%} (RMS) in "
            f"{_sizes(missed).replace('(+', '(')}: its "
            "model does not hold there, or a point is wrong. See fit_rms_pct."
        )
    below = {
        name: fit.tia_mbq_h / fit.measured_tia_mbq_h - 1.0
        for name, fit in curves.items()
        if fit.tia_mbq_h * ABOVE_BOUND < fit.measured_tia_mbq_h
    }
    if below:
        warnings.append(
            "The TIA lies below what was measured from 0 h to the last scan alone (straight lines "
            f"up, exponentials down) in {_sizes(below)}: the curve cannot be right."
        )
    ranges = {name: fit.uptake_unseen for name, fit in curves.items()}
    most = {
        name: max(unseen, key=abs)
        for name, unseen in ranges.items()
        if unseen is not None and max(map(abs, unseen)) > LARGEST_UNSEEN
    }
    if most:
        warnings.append(
            f"Two scans, or none by {EARLY_H:g} h, tell no uptake. An uptake half-life from 0 h to "
            f"{SLOWEST_UPTAKE:g} times the population's moves the TIA by up to {_sizes(most)}; a "
            "slower one, or a first phase that washes out fast, cannot be known from these scans."
        )
    early = _names(
        result.rows,
        lambda fit: fit.before_first_mbq_h > LARGEST_BEFORE_FIRST * fit.tia_mbq_h,
    )
    if early:
        warnings.append(
            f"More than half of the TIA lies before the first scan, where the curve is a guess, in "
            f"{early}."
        )
    late = {
        name: fit.tail_mbq_h(fit.points[-1][0]) / fit.tia_mbq_h
        for name, fit in curves.items()
        if fit.tail_mbq_h(fit.points[-1][0]) > LARGEST_AFTER_LAST * fit.tia_mbq_h
    }
    if late:
        warnings.append(
            "More than half of the TIA lies after the last scan, where the curve is extrapolated, "
            f"in {_sizes(late).replace('(+', '(')}."
        )
    above = _names(
        result.rows, lambda fit: fit.tia_mbq_h > ABOVE_BOUND * fit.physical_tail_tia_mbq_h
    )
    if above:
        warnings.append(
            "The TIA is above that of straight lines from 0 MBq and a physical tail "
            f"(physical_tail_tia_mbq_h) in {above}: the curve lies above its points, or has much "
            "before the first scan."
        )
    return warnings


def _sizes(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} ({part:+.0%})" for name, part in parts.items())


def _names(rows: list[Row], is_so: Callable[[RegionFit], bool]) -> str:
    return ", ".join(row.region.name for row in rows if is_so(row.fit))


def _one_scan(therapy: Therapy, choices: Choices) -> str:
    if choices.model not in ONE_SCAN:
        return (
            "One time point tells no washout: physical decay alone is taken, as was asked for, an "
            "upper bound of what follows the scan and often two to three times too high. See "
            "--model haenscheid and madsen."
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


LARGEST_LESION_SHARE = 0.01
"""Of an organ's voxels, before it is told. Ours."""


def summarise(
    images: CycleImages, therapy: Therapy, choices: Choices, result: CycleDose
) -> dict[str, Any]:
    """Gather what ``summary.json`` holds, warnings last; the caller adds the provenance."""
    total = images.total_mbq()
    floor = result.noise_floor_bq_per_ml
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
        "shape": list(images.shape),
        "spacing_mm": list(images.spacing_mm),
        "engine": choices.engine.name,
        "energy_kev_per_decay": choices.engine.energy_kev(spacing_mm=images.spacing_mm),
        "density": _density(result),
        "noise_floor_bq_per_ml": None if floor is None else floor.tolist(),
        "voxel_curve": choices.voxel_curve,
        "voxel_methods": dict(result.tia.methods),
        "tia_mbq_h": float(result.tia.mbq_h_per_ml.sum() * images.voxel_ml),
        "dose_max_gy": float(result.dose_gy.max()),
        "bed_parameters": {row.region.name: _bed(row) for row in result.rows if row.bed},
        "region_fallbacks": fallback_of(result),
        "curves": {name: _curve(fit) for name, fit in result.fits.items()},
        "definitions": DEFINITIONS,
        "warnings": [*result.warnings, *_warnings(therapy, choices, result)],
    }


def _warnings(therapy: Therapy, choices: Choices, result: CycleDose) -> list[str]:
    """Warn of curves, masks and densities, a sentence each."""
    warnings = _curve_warnings(therapy, choices, result)
    shares = lesion_shares([row.region for row in result.rows])
    held = {name: share for name, share in shares.items() if share > LARGEST_LESION_SHARE}
    if held:
        warnings.append(
            "Organ rows hold the lesions in them: "
            f"{', '.join(f'{name} ({share:.0%} lesion)' for name, share in held.items())}."
        )
    body = result.body_g_per_ml
    if body is not None and not LEAST_BODY_G_PER_ML <= body <= MOST_BODY_G_PER_ML:
        warnings.append(
            f"The mean density of the body by the CT is {body:.3g} g/mL, not "
            f"{LEAST_BODY_G_PER_ML:g} to {MOST_BODY_G_PER_ML:g} g/mL: check that the CT is in HU "
            "and lies where the organs are."
        )
    if result.thin_voxels is not None and result.thin_voxels[1]:
        warnings.append(
            f"{result.thin_voxels[1]} voxels with activity are thinner than {LOWEST_G_PER_ML:g} "
            "g/mL by the CT and count as that dense."
        )
    return warnings


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

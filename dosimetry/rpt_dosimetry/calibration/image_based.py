"""A calibration factor from a patient's own planar scan, SPECT and CT.

The planar scan is taken before any excretion, so all that was administered is on it. Later
excretion is modelled by a half-life, told as a fraction, or bounded. That it leaves the field of
view and the rest of the body in equal shares is ours.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.calibration.factor import (
    CalibrationFactor,
    Spect,
    SpectCounts,
    dead_time_correction,
    image_based_factor,
)
from rpt_dosimetry.calibration.planar import ViewedField, held_by_views, view_field
from rpt_dosimetry.dicom.nm import COUNTS
from rpt_dosimetry.dicom.planar import Planar
from rpt_dosimetry.options import CalibrationOptions, DeadTime
from rpt_dosimetry.radiation.nuclide import find_nuclide


@dataclass(frozen=True)
class Retention:
    """Which fraction was still in the body at the SPECT, decay apart.

    Attributes:
        relative_sd: Standard uncertainty over ``fraction``; ``None`` where it is not known.
    """

    fraction: float
    relative_sd: float | None
    method: str


def biological_half_life_h(*, effective_h: float, physical_h: float) -> float:
    """Take physical decay out of an effective half-life.

    Raises:
        BadInput: The effective half-life is not above 0 h and at most the physical one.
    """
    if not 0 < effective_h <= physical_h:
        raise BadInput(
            f"effective_h must be above 0 and at most the physical {physical_h:g} h, got "
            f"{effective_h!r} h."
        )
    rate_per_h = 1.0 / effective_h - 1.0 / physical_h
    return 1.0 / rate_per_h if rate_per_h > 0 else math.inf


def retention(
    options: CalibrationOptions, *, between_h: float | None, physical_h: float
) -> Retention:
    """Return what was retained, by the one way in which excretion is told.

    A half-life is one exponential; its relative uncertainty goes on by d(ln R) / d(ln T) = λt. A
    bound makes the middle, with the standard uncertainty of a rectangle, half-width / √3.

    Args:
        between_h: Planar scan to SPECT, h; ``None`` where nothing tells it.

    Raises:
        BadInput: None or several ways are told, or the one cannot be used.

    Source: JCGM 100:2008 (GUM), 4.3.7, for the rectangle.
    """
    told = (options.biological_h, options.effective_h, options.excreted, options.excreted_at_most)
    if sum(one is not None for one in told) != 1:
        raise BadInput(
            "Excretion between the planar scan and the SPECT must be told by one of "
            "biological_h, effective_h, excreted and excreted_at_most. "
            "An excreted of 0 says that there was none."
        )
    sd = options.excretion_sd
    if options.excreted is not None:
        retained = 1.0 - options.excreted
        return Retention(retained, None if sd is None else sd / retained, "excreted fraction")
    if options.excreted_at_most is not None:
        half = options.excreted_at_most / 2.0
        return Retention(1.0 - half, half / math.sqrt(3.0) / (1.0 - half), "bounds")
    if between_h is None:
        raise BadInput(
            "A half-life needs the time of the planar scan, and its header does not tell it. "
            "Give planar_time_h."
        )
    if not 0 <= between_h < math.inf:
        raise BadInput(f"The planar scan must not be after the SPECT, got {between_h!r} h between.")
    biological_h = options.biological_h
    if biological_h is None:
        biological_h = biological_half_life_h(
            effective_h=options.effective_h or 0.0, physical_h=physical_h
        )
    lost = math.log(2.0) * between_h / biological_h
    return Retention(math.exp(-lost), None if sd is None else lost * sd, "biological half-life")


_S_PER_H = 3600.0
LIMITS = (
    "What lies outside the views is not on them. A virtual patient's views from head to thighs "
    "left out a fifth of the activity.",
    "Excretion and redistribution between the views and the SPECT are told and not seen: the field "
    "and the rest of the body are taken to lose equal shares. A virtual patient's field had lost "
    "18 % by the first SPECT, of which a half-life of 10 h told 3 %.",
    "Both together made that patient's factor 46 % too low (5.0 of 9.27 cps/MBq), which makes "
    "activities and doses by it 86 % too high.",
    "Without a dead time the counts that a camera loses are missing: 7 % of a simulated factor.",
)
"""Of the method, measured; the virtual patient stands in phantom/README.md."""


@dataclass(frozen=True)
class ImageBased:
    """A factor from images and what it rests on.

    Attributes:
        held: Fraction of the activity that the views are taken to hold.
    """

    factor: CalibrationFactor
    field: ViewedField
    held: float
    retention: Retention
    counts: SpectCounts
    warnings: list[str]


def calibrate_by_images(
    spect: Spect,
    *,
    planar: Planar,
    planar_time_h: float | None,
    ct: Volume,
    administered_mbq: float,
    residual_mbq: float,
    options: CalibrationOptions,
    dead_time: DeadTime | None,
    head_cps: float | None,
    nuclide: str = "Lu-177",
    photon_kev: float = 208.37,
) -> ImageBased:
    """Calibrate a SPECT by the patient's planar scan.

    Args:
        planar_time_h: Start of infusion to the planar scan, h; ``None`` takes the header's.
        ct: In the world of the SPECT, HU.
        administered_mbq: At the start of infusion, MBq.
        residual_mbq: What was not given, decayed to the same moment, MBq.
        dead_time: Of the camera; ``None`` corrects nothing.
        head_cps: What one head recorded in its window during the SPECT, 1/s.
        nuclide: Name as in ICRP-107.

    Raises:
        BadInput: An input is missing, broken or contradicts another.
    """
    if spect.quantity != COUNTS:
        raise BadInput("The SPECT must be in counts, and it is in Bq/mL: it is calibrated already.")
    if spect.nuclide not in (None, nuclide):
        raise BadInput(f"nuclide must be that of the SPECT, {spect.nuclide}, got {nuclide}.")
    half_life_h = find_nuclide(nuclide).half_life_h
    if not 0 <= residual_mbq < administered_mbq <= 1e5:
        raise BadInput(
            "administered_mbq must be above 0 and at most 100000 MBq, and residual_mbq 0 "
            f"or above and below it, got {administered_mbq:g} and {residual_mbq:g} MBq."
        )
    duration_s, time_h = spect.needed_duration_s, spect.needed_time_h
    between_h = _between_h(planar, planar_time_h, spect)
    kept = retention(options, between_h=between_h, physical_h=half_life_h)
    seen = view_field(
        planar,
        spect=spect.volume,
        ct=ct,
        options=options,
        dead_time=dead_time,
        photon_kev=photon_kev,
    )
    outside = options.outside_views_at_most
    held, outside_sd = held_by_views(at_most_outside=outside, edges=seen.edges)
    correction, dead_time_sd = dead_time_correction(dead_time, head_cps=head_cps)
    administered_pct = options.administered_sd_pct
    counts = SpectCounts(float(spect.volume.data.sum(dtype=np.float64)), duration_s, correction)
    parts: dict[str, float | None] = {
        "administered_activity": None if administered_pct is None else administered_pct / 100.0,
        "dead_time_of_spect": dead_time_sd,
        "excretion": kept.relative_sd,
        "activity_outside_the_views": outside_sd,
        "field_fraction_attenuation_beyond_ct": seen.fraction.attenuation_sd,
        "field_fraction_alignment": seen.fraction.alignment_sd,
    }
    factor = image_based_factor(
        counts,
        net_administered_mbq=administered_mbq - residual_mbq,
        elapsed_h=time_h,
        half_life_h=half_life_h,
        in_field=seen.fraction.fraction * held,
        retained=kept.fraction,
        relative_sd=parts,
    )
    warnings = [*planar.warnings, *spect.warnings]
    if seen.edges:
        edges = " and ".join(f"{edge} {share:.0%}" for edge, share in seen.edges.items())
        warnings.append(
            f"The planar views hold counts at an edge, of a mean line: {edges}. Activity beyond it "
            "is not on them, and the factor is too low by its share. Acquire the whole body, or "
            "bound that share by outside_views_at_most."
        )
    if factor.why_no_total is not None:
        warnings.append(f"{factor.why_no_total} {' '.join(LIMITS)}")
    return ImageBased(factor, seen, held, kept, counts, warnings)


def images_story(result: ImageBased) -> dict[str, Any]:
    """Tell how a factor was found, JSON-ready."""
    fraction, at, windows = result.field.fraction, result.field.at, result.field.windows
    return {
        "method": "fraction of the activity in the field of view (Halty 2018)",
        "spect_counts": result.counts.counts,
        "spect_duration_s": result.counts.duration_s,
        "spect_dead_time_correction": result.counts.dead_time_correction,
        "fraction_in_field": fraction.fraction * result.held,
        "fraction_held_by_views": result.held,
        "counts_at_edges_of_views": dict(result.field.edges),
        "counts_beyond_ct_fraction": fraction.counts_beyond_ct,
        "retained_fraction": result.retention.fraction,
        "excretion_by": result.retention.method,
        "planar_first_pixel_mm": [at.x_mm, at.z_mm],
        "planar_correlation": at.correlation,
        "planar_least_live_fraction": result.field.least_live_fraction,
        "energy_windows_kev": {
            name: None if window is None else [window.lower_kev, window.upper_kev]
            for name, window in (
                ("peak", windows.peak),
                ("lower", windows.lower),
                ("upper", windows.upper),
            )
        },
        "limits": list(LIMITS),
        "warnings": result.warnings,
    }


def _between_h(planar: Planar, told_h: float | None, spect: Spect) -> float | None:
    after_s = planar.injection_to_mid_scan_s
    planar_h = told_h if told_h is not None or after_s is None else after_s / _S_PER_H
    return None if planar_h is None else spect.needed_time_h - planar_h

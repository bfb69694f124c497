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
    image_based_factor,
)
from rpt_dosimetry.calibration.planar import Choices, ViewedField, held_by_views, view_field
from rpt_dosimetry.dicom.nm import COUNTS
from rpt_dosimetry.dicom.planar import Planar
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


def retained_by_half_life(
    *, elapsed_h: float, biological_h: float, relative_sd: float | None = None
) -> Retention:
    """Model excretion by one exponential.

    Args:
        elapsed_h: Planar scan to SPECT, h.
        biological_h: Biological half-life of the whole body, h; ``inf`` for no excretion.
    """
    if not 0 <= elapsed_h < math.inf:
        raise BadInput(f"The planar scan must not be after the SPECT, got {elapsed_h!r} h between.")
    if not biological_h > 0:
        raise BadInput(f"biological_h must be above 0 h, got {biological_h!r} h.")
    lost = math.log(2.0) * elapsed_h / biological_h
    # d(ln R) / d(ln T) = λt, to first order.
    sd = None if relative_sd is None else lost * _sd(relative_sd)
    return Retention(math.exp(-lost), sd, "biological half-life")


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


def retained_after(*, excreted_fraction: float, sd: float | None = None) -> Retention:
    """Take a measured excretion, such as that of collected urine.

    Args:
        excreted_fraction: Of the activity in the body at the planar scan, decay-corrected.
        sd: Its standard uncertainty, absolute.
    """
    retained = 1.0 - _fraction("excreted_fraction", excreted_fraction)
    relative_sd = None if sd is None else _sd(sd) / retained
    return Retention(retained, relative_sd, "excreted fraction")


def retained_within(*, at_most_excreted: float) -> Retention:
    """Bound excretion between none and a largest fraction.

    Args:
        at_most_excreted: Of the activity in the body at the planar scan, decay-corrected.

    Returns:
        The middle of the bounds, with the standard uncertainty of a rectangle, half-width / √3.

    Source: JCGM 100:2008 (GUM), 4.3.7, for the rectangle.
    """
    half = _fraction("at_most_excreted", at_most_excreted) / 2.0
    return Retention(1.0 - half, half / math.sqrt(3.0) / (1.0 - half), "bounds")


def _fraction(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise BadInput(f"{name} must be a fraction from 0 to below 1, got {value!r}. 5 % is 0.05.")
    return value


def _sd(value: float) -> float:
    if not 0 <= value < math.inf:
        raise BadInput(f"A standard uncertainty must be 0 or above, got {value!r}.")
    return value


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
class Administered:
    """What was given.

    Attributes:
        mbq: At the start of infusion, MBq.
        residual_mbq: What was not given, decayed to the same moment, MBq.
        relative_sd: Standard uncertainty of the net activity over it; ``None``: not known.
        nuclide: Name as in ICRP-107.
    """

    mbq: float
    residual_mbq: float
    relative_sd: float | None
    nuclide: str

    @property
    def net_mbq(self) -> float:
        """Given, MBq."""
        if not 0 <= self.residual_mbq < self.mbq <= 1e5:
            raise BadInput(
                "administered_mbq must be above 0 and at most 100000 MBq, and residual_mbq 0 "
                f"or above and below it, got {self.mbq:g} and {self.residual_mbq:g} MBq."
            )
        return self.mbq - self.residual_mbq


@dataclass(frozen=True)
class Excretion:
    """How excretion between planar scan and SPECT is told; one of the four.

    Attributes:
        fraction: Excreted fraction, decay-corrected.
        at_most: Largest excreted fraction, decay-corrected.
        sd: Standard uncertainty of what is told: relative of a half-life, absolute of a fraction;
            ``None``: not known.
    """

    biological_h: float | None
    effective_h: float | None
    fraction: float | None
    at_most: float | None
    sd: float | None

    def retention(self, *, between_h: float | None, physical_h: float) -> Retention:
        """Return what was retained.

        Args:
            between_h: Planar scan to SPECT, h; ``None`` where nothing tells it.

        Raises:
            BadInput: None or several ways are told, or the one cannot be used.
        """
        told = (self.biological_h, self.effective_h, self.fraction, self.at_most)
        if sum(one is not None for one in told) != 1:
            raise BadInput(
                "Excretion between the planar scan and the SPECT must be told by one of "
                "biological_h, effective_h, excreted and excreted_at_most. "
                "An excreted of 0 says that there was none."
            )
        if self.fraction is not None:
            return retained_after(excreted_fraction=self.fraction, sd=self.sd)
        if self.at_most is not None:
            return retained_within(at_most_excreted=self.at_most)
        if between_h is None:
            raise BadInput(
                "A half-life needs the time of the planar scan, and its header does not tell it. "
                "Give planar_time_h."
            )
        biological_h = self.biological_h
        if biological_h is None:
            biological_h = biological_half_life_h(
                effective_h=float(self.effective_h or 0.0), physical_h=physical_h
            )
        return retained_by_half_life(
            elapsed_h=between_h, biological_h=biological_h, relative_sd=self.sd
        )


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
    administered: Administered,
    excretion: Excretion,
    choices: Choices,
    dead_time: tuple[float, float | None],
) -> ImageBased:
    """Calibrate a SPECT by the patient's planar scan.

    Args:
        planar_time_h: Start of infusion to the planar scan, h; ``None`` takes the header's.
        ct: In the world of the SPECT, HU.
        dead_time: Correction of the SPECT's counts and its relative standard uncertainty;
            ``None`` where it is not corrected.

    Raises:
        BadInput: An input is missing, broken or contradicts another.
    """
    if spect.quantity != COUNTS:
        raise BadInput("The SPECT must be in counts, and it is in Bq/mL: it is calibrated already.")
    if spect.nuclide not in (None, administered.nuclide):
        raise BadInput(f"nuclide must be that of the SPECT, {spect.nuclide}.")
    half_life_h = find_nuclide(administered.nuclide).half_life_h
    net_mbq, duration_s, time_h = (
        administered.net_mbq,
        spect.needed_duration_s,
        spect.needed_time_h,
    )
    between_h = _between_h(planar, planar_time_h, spect)
    retention = excretion.retention(between_h=between_h, physical_h=half_life_h)
    seen = view_field(planar, spect=spect.volume, ct=ct, choices=choices)
    held, outside_sd = held_by_views(at_most_outside=choices.outside_at_most, edges=seen.edges)
    correction, dead_time_sd = dead_time
    counts = SpectCounts(float(spect.volume.data.sum(dtype=np.float64)), duration_s, correction)
    parts: dict[str, float | None] = {
        "administered_activity": administered.relative_sd,
        "dead_time_of_spect": dead_time_sd,
        "excretion": retention.relative_sd,
        "activity_outside_the_views": outside_sd,
        "field_fraction_attenuation_beyond_ct": seen.fraction.attenuation_sd,
        "field_fraction_alignment": seen.fraction.alignment_sd,
    }
    factor = image_based_factor(
        counts,
        net_administered_mbq=net_mbq,
        elapsed_h=time_h,
        half_life_h=half_life_h,
        in_field=seen.fraction.fraction * held,
        retained=retention.fraction,
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
    return ImageBased(factor, seen, held, retention, counts, warnings)


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

"""The organ and lesion table: of each region its dose, curve, uncertainty, BED and recovery.

Biologically effective dose, what a dose at low rate is worth: BED = D (1 + G D / (α/β)). G,
between 0 and 1, tells how much of the sublethal damage meets more damage before it is repaired.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Float64
from rpt_cohort import BadInput
from scipy.ndimage import correlate1d
from scipy.special import ndtr

from rpt_dosimetry.dose.activity_series import MBQ_PER_GBQ, CycleImages, Therapy
from rpt_dosimetry.dose.anatomy import BODY, REST, WHOLE_IMAGE, Region, VoxelMedium
from rpt_dosimetry.radiation.media import SOFT_TISSUE_G_PER_CM3
from rpt_dosimetry.tia.exponential_fit import infusion_factor
from rpt_dosimetry.tia.region_fit import RegionFit
from rpt_dosimetry.tia.uncertainty import (
    SMALLEST_DIAMETER_OF_FWHM,
    Uncertainty,
    combine,
    diameter_mm,
)


@dataclass(frozen=True)
class Tissue:
    """What BED needs to know of a tissue."""

    alpha_beta_gy: float
    repair_half_time_h: float


KIDNEY = Tissue(alpha_beta_gy=2.5, repair_half_time_h=2.8)
"""As used for kidneys in radionuclide therapy since Barone et al., J Nucl Med 46 (2005) 99S,
and MIRD Pamphlet 20; the literature has α/β from 2.4 to 2.6 Gy. Not checked against the
papers' text here."""
OTHER = Tissue(alpha_beta_gy=3.0, repair_half_time_h=1.5)
"""Ours: a usual choice for late-responding tissue; lesions too, as prostate cancer's α/β is
low. State your own by ``alpha_beta_gy`` and ``repair_half_time_h``."""

_KIDNEYS = ("kidney", "kidney_right", "kidney_left")


@dataclass(frozen=True)
class Tissues:
    """BED's parameters by region's name, where they are not the default."""

    alpha_beta_gy: Mapping[str, float] = field(default_factory=dict)
    repair_half_time_h: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> Tissue:
        """Return a region's parameters: of ``kidney`` for both sides, of ``lesion`` for each."""
        base = KIDNEY if name in _KIDNEYS else OTHER
        group = "kidney" if name in _KIDNEYS else name
        group = "lesion" if name.startswith("lesion_") else group  # a kidney's cyst is no kidney
        return Tissue(
            _first(self.alpha_beta_gy, (name, group), base.alpha_beta_gy),
            _first(self.repair_half_time_h, (name, group), base.repair_half_time_h),
        )

    def check_names(self, regions: Sequence[Region]) -> None:
        """Refuse a parameter of a region that is not there."""
        known = [region.name for region in regions]
        known += ["lesion"] if any(region.kind == "lesion" for region in regions) else []
        for name in [*self.alpha_beta_gy, *self.repair_half_time_h]:
            if name not in known:
                raise BadInput(
                    "alpha_beta_gy and repair_half_time_h must name a region of the masks, one of "
                    f"{', '.join(known)}, got '{name}'."
                )


def parse_by_region(words: Sequence[str], *, option: str, unit: str) -> dict[str, float]:
    """Read an option's ``NAME=NUMBER`` words, such as ``kidney=2.5``.

    Raises:
        BadInput: A word is of another form, a number not above 0, or a name twice.
    """
    found: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or not (value > 0 and math.isfinite(value)):
            raise BadInput(
                f"{option} must be a region's name, = and a number above 0 {unit}, such as "
                f"kidney=2.5, got '{word}'."
            )
        if name in found:
            raise BadInput(f"{option} must name each region once, got '{name}' twice.")
        found[name] = value
    return found


def lea_catcheside(terms: Sequence[tuple[float, float]], *, repair_half_time_h: float) -> float:
    """Compute G of a dose rate that is a sum of exponentials, given once and for ever.

    With the rate Σ aᵢ e^(−λᵢ t) and μ = ln 2 / T_rep,
    G = 2/D² ∫ Ḋ(t) ∫₀ᵗ Ḋ(w) e^(−μ(t−w)) dw dt = 2/D² Σᵢⱼ aᵢ aⱼ / ((λᵢ + μ)(λᵢ + λⱼ)),
    D = Σ aᵢ/λᵢ. One exponential: T_rep / (T_rep + T_eff).

    Args:
        terms: (aᵢ, λᵢ): amplitude in any unit, negative for an uptake, and rate, 1/h.

    Returns:
        G, between 0 and 1.

    Raises:
        ValueError: No term, a rate or the half-time not above 0, or a total not above 0.

    Source: the double integral as in Baechler et al., Med Phys 35 (2008) 1123, which extends
    MIRD Pamphlet 20 (J Nucl Med 49 (2008) 1884) to several exponentials; its closed form is
    ours.
    """
    if not terms or not all(rate > 0 for _, rate in terms):
        raise ValueError("terms must be at least one, with rates above 0 1/h.")
    if not repair_half_time_h > 0:
        raise ValueError(f"repair_half_time_h must be above 0 h, got {repair_half_time_h!r} h.")
    total = sum(amplitude / rate for amplitude, rate in terms)
    if not total > 0:
        raise ValueError(f"The terms must integrate to a number above 0, got {total!r}.")
    repair_per_h = math.log(2.0) / repair_half_time_h
    pairs = sum(
        a * b / ((rate_a + repair_per_h) * (rate_a + rate_b))
        for a, rate_a in terms
        for b, rate_b in terms
    )
    return 2.0 * pairs / total**2


def bed_gy(*, dose_gy: float, g: float, alpha_beta_gy: float) -> float:
    """Compute the biologically effective dose of a mean dose, Gy; ``g`` from ``lea_catcheside``.

    Source: MIRD Pamphlet 20, J Nucl Med 49 (2008) 1884.
    """
    return dose_gy * (1.0 + g * dose_gy / alpha_beta_gy)


def _first(values: Mapping[str, float], names: Sequence[str], default: float) -> float:
    return next((values[name] for name in names if name in values), default)


FWHM_PER_SD = 2.0 * np.sqrt(2.0 * np.log(2.0))
_SDS = 5.0
"""A Gaussian's reach, in standard deviations; beyond is 6e-7 of it."""


def recovery_coefficient(
    mask: Bool[np.ndarray, "x y z"], *, spacing_mm: tuple[float, float, float], fwhm_mm: float
) -> float:
    """Compute the share of a uniform region's mean that is left after a Gaussian blur.

    A measured mean divided by it is the true mean where nothing outside shines in: in a hot
    region's surroundings of similar activity the correction is too large. Exact for the
    voxels as boxes, whatever their size beside the blur.

    Raises:
        ValueError: The mask is empty, or ``fwhm_mm`` not above 0.
    """
    if not mask.any():
        raise ValueError("mask must hold at least one voxel.")
    if not fwhm_mm > 0:
        raise ValueError(f"fwhm_mm must be above 0 mm, got {fwhm_mm!r} mm.")
    places = np.nonzero(mask)
    box = tuple(slice(int(place.min()), int(place.max()) + 1) for place in places)
    inside = mask[box]
    blurred = inside.astype(np.float64)
    for axis, size_mm in enumerate(spacing_mm):
        weights = _weights(size_mm=size_mm, sd_mm=fwhm_mm / FWHM_PER_SD, count=inside.shape[axis])
        blurred = correlate1d(blurred, weights, axis=axis, mode="constant", cval=0.0)
    return min(float(blurred[inside].mean()), 1.0)


def _weights(*, size_mm: float, sd_mm: float, count: int) -> Float[np.ndarray, " n"]:
    """Share of one voxel's activity in each neighbour along an axis, averaged over both."""
    reach = min(int(np.ceil(_SDS * sd_mm / size_mm)) + 1, count)
    edges_mm = size_mm * np.arange(-reach - 1, reach + 2)
    # The second integral of a Gaussian; its second difference averages over both boxes.
    density = np.exp(-0.5 * (edges_mm / sd_mm) ** 2) / np.sqrt(2 * np.pi)
    twice = edges_mm * ndtr(edges_mm / sd_mm) + sd_mm * density
    weights: Float[np.ndarray, " n"] = np.diff(twice, 2) / size_mm
    return weights


@dataclass(frozen=True)
class DoseStatistics:
    """Doses of a region's voxels; ``sd_gy`` is of the population."""

    mean_gy: float
    sd_gy: float
    d2_gy: float
    d50_gy: float
    d98_gy: float


def dose_statistics(dose_gy: Float[np.ndarray, " n"]) -> DoseStatistics:
    """Describe the doses of a region's voxels; Dx is the dose of a voxel, never between two.

    Source: D2, D50, D98 as in ICRU Report 83 (2010).
    """
    ascending = np.sort(dose_gy.astype(np.float64))
    d2, d50, d98 = (_dose_at(ascending, percent) for percent in (2, 50, 98))
    return DoseStatistics(float(ascending.mean()), float(ascending.std()), d2, d50, d98)


def _dose_at(ascending_gy: Float[np.ndarray, " n"], volume_pct: int) -> float:
    hottest = math.ceil(volume_pct * len(ascending_gy) / 100)
    return float(ascending_gy[-hottest])


@dataclass(frozen=True)
class Told:
    """What the table tells beside the dose.

    Attributes:
        calibration_relative_sd: Standard uncertainty of the calibration factor; ``None`` where it
            is not known.
        fwhm_mm: Resolution of the activity images; turns recovery and the volume's part of
            the uncertainty on.
        recovery_relative_sd: Of the recovery coefficients; ``None`` where it is not stated.
    """

    tissues: Tissues
    calibration_relative_sd: float | None
    fwhm_mm: float | None = None
    recovery_relative_sd: float | None = None


@dataclass(frozen=True)
class Maps:
    """The volumes from which rows are made; no medium is soft tissue."""

    images: CycleImages
    tia_mbq_h_per_ml: Float64[np.ndarray, "x y z"]
    dose_gy: Float[np.ndarray, "x y z"]
    medium: VoxelMedium | None


@dataclass(frozen=True)
class RegionBed:
    """BED of a region's mean dose."""

    bed_gy: float
    g: float
    tissue: Tissue


@dataclass(frozen=True)
class Row:
    """What is known of a region; ``COLUMNS`` says how it becomes a line.

    Attributes:
        map_tia_mbq_h: Sum of the voxels' time-integrated activity.
        bed: ``None`` for image, body and rest, and where no half-life is known.
        recovery: Recovery coefficient; ``None`` unless asked for.
        recovered_sd: Relative uncertainty of the mean dose divided by it; ``None`` unless that
            of the coefficient is stated.
    """

    region: Region
    volume_ml: float
    mass_g: float
    dose: DoseStatistics
    fit: RegionFit
    map_tia_mbq_h: float
    net_mbq: float
    sd: Uncertainty
    bed: RegionBed | None
    recovery: float | None
    recovered_sd: float | None


def make_row(maps: Maps, region: Region, fit: RegionFit, therapy: Therapy, told: Told) -> Row:
    """Find out what the table tells of a region."""
    voxel_ml = maps.images.voxel_ml
    volume_ml = len(region.voxels) * voxel_ml
    dose = dose_statistics(maps.dose_gy.ravel()[region.voxels])
    tissue = told.tissues.of(region.name)
    whole = region.name in (WHOLE_IMAGE, BODY, REST)  # of which BED and recovery mean nothing
    uncertainty_of = partial(_uncertainty, fit, told, volume_ml=volume_ml, voxel_ml=voxel_ml)
    no_recovery = whole or told.recovery_relative_sd is None
    return Row(
        region=region,
        volume_ml=volume_ml,
        mass_g=_mass_g(maps, region),
        dose=dose,
        fit=fit,
        map_tia_mbq_h=float(maps.tia_mbq_h_per_ml.ravel()[region.voxels].sum() * voxel_ml),
        net_mbq=therapy.net_mbq,
        sd=uncertainty_of(None),
        bed=None if whole else _bed(fit, dose.mean_gy, tissue, infusion_h=therapy.infusion_h),
        recovery=None if whole else _recovery(region, maps.images, told.fwhm_mm),
        recovered_sd=None if no_recovery else uncertainty_of(told.recovery_relative_sd).total,
    )


def _uncertainty(
    fit: RegionFit,
    told: Told,
    recovery_relative_sd: float | None,
    *,
    volume_ml: float,
    voxel_ml: float,
) -> Uncertainty:
    """Combine what is known; no activity, or too small for its outline, leaves no total."""
    calibration, fwhm_mm = told.calibration_relative_sd, told.fwhm_mm
    if not fit.tia_mbq_h > 0:
        return Uncertainty(calibration, None, 0.0, None)
    fitted, fitted_95 = (
        None if half_mbq_h is None else half_mbq_h / fit.tia_mbq_h
        for half_mbq_h in (fit.tia_sd_mbq_h, fit.tia_95_mbq_h)
    )
    too_small_mm = SMALLEST_DIAMETER_OF_FWHM * (fwhm_mm or 0.0)
    if diameter_mm(volume_ml=volume_ml) < too_small_mm:
        return Uncertainty(calibration, None, 0.0, fitted)
    return combine(
        volume_ml=volume_ml,
        voxel_mm=math.cbrt(voxel_ml * 1000.0),
        fwhm_mm=fwhm_mm,
        calibration_relative_sd=calibration,
        fit_relative_sd=fitted,
        fit_relative_95=fitted_95,
        recovery_relative_sd=recovery_relative_sd,
    )


def _mass_g(maps: Maps, region: Region) -> float:
    if maps.medium is None:
        return len(region.voxels) * maps.images.voxel_ml * SOFT_TISSUE_G_PER_CM3
    return float(maps.medium.ct_g_per_ml.ravel()[region.voxels].sum() * maps.images.voxel_ml)


def _bed(fit: RegionFit, dose_gy: float, tissue: Tissue, *, infusion_h: float) -> RegionBed | None:
    half_life_h = fit.effective_half_life_h
    if not math.isfinite(half_life_h):
        return None
    # The infusion is taken as instantaneous (ours): 30 min are short beside repair.
    terms = [
        (amplitude / infusion_factor(rate_per_h=rate, infusion_h=infusion_h), rate)
        for amplitude, rate in fit.terms
    ]
    terms = terms or [(1.0, math.log(2.0) / half_life_h)]
    g = lea_catcheside(terms, repair_half_time_h=tissue.repair_half_time_h)
    bed = bed_gy(dose_gy=dose_gy, g=g, alpha_beta_gy=tissue.alpha_beta_gy)
    return RegionBed(bed, g, tissue)


def _recovery(region: Region, images: CycleImages, fwhm_mm: float | None) -> float | None:
    if fwhm_mm is None:
        return None
    mask = np.zeros(images.shape, dtype=bool)
    mask.ravel()[region.voxels] = True
    return recovery_coefficient(mask, spacing_mm=images.spacing_mm, fwhm_mm=fwhm_mm)


DEFINITIONS = {
    "region": "kind image, organ (a number of the organ mask), union (body: all organs; kidney: "
    "2 and 3; salivary_glands), lesion (a number of the lesion mask), rest "
    "(what no mask marks); organs and unions hold the lesions in them",
    "mass_g": "volume x 1.04 g/mL, or the sum of the CT's densities, without the floor of 0.2 g/mL "
    "that thin voxels have in the dose",
    "dose_mean_gy": "mean of dose_gy.nii.gz over the region's voxels, weighted by volume and not "
    "by mass; dose_sd_gy: of the voxels",
    "dose_d2_gy": "least dose of the hottest 2 % of the volume; d50, d98 likewise",
    "dose_mean_gy_per_gbq": "per net administered activity",
    "tia_mbq_h": "of the curve fitted to the region's activity; map_tia_mbq_h: the sum over the "
    "voxels of tia.nii.gz, from which the dose is",
    "tia_coefficient_h": "tia_mbq_h per net administered activity",
    "effective_half_life_h": "of the fit's last phase; empty where the method has none, "
    "or the region no activity",
    "physical_tail_dose_gy": "dose_mean_gy scaled to the time-integrated activity of straight "
    "lines from 0 MBq at 0 h through the points and physical decay after the last: no "
    "slower washout is possible after it",
    "fit_rms_pct": "how far the points lie from the curve: root mean square of (activity - curve) "
    "/ activity, an activity counting as at least 5 % of the largest and 20 times its noise floor",
    "relative_sd_pct": "half of the 68 % interval of dose_mean_gy: root of the sum of squares of "
    "calibration, volume (with fwhm_mm; else unknown and NOT in the total) and fit (scatter of "
    "the points by Student's t at the points left over, and half the range of the models that "
    "pass through them); relative_95_pct: half of its 95 % interval; both empty where no point is "
    "left over, the region is less than half the resolution across, or has no activity",
    "bed_gy": "dose_mean_gy x (1 + G dose_mean_gy / (alpha/beta)), of the mean dose and not "
    "voxel by voxel; lea_catcheside_g of the fitted exponentials, or of the effective half-life "
    "where the fit has straight lines; empty for image, body and rest, and "
    "without activity or half-life",
    "recovery_coefficient": "with fwhm_mm: mean of the region's own blurred mask inside it, "
    "cold surroundings assumed; dose_recovered_gy: dose_mean_gy divided by it, empty where "
    "the region is less than half the resolution across; dose_recovered_sd_pct, with "
    "recovery_sd_pct: standard uncertainty of it, with the outline's part as Gear et al. 2018 "
    "have it for recovered activity; no map is changed",
}


Cell = str | int | float | None

COLUMNS: dict[str, Callable[[Row], Cell]] = {
    "name": lambda row: row.region.name,
    "kind": lambda row: row.region.kind,
    "label": lambda row: row.region.label,
    "voxels": lambda row: len(row.region.voxels),
    "volume_ml": lambda row: row.volume_ml,
    "mass_g": lambda row: row.mass_g,
    "dose_mean_gy": lambda row: row.dose.mean_gy,
    "dose_sd_gy": lambda row: row.dose.sd_gy,
    "dose_d2_gy": lambda row: row.dose.d2_gy,
    "dose_d50_gy": lambda row: row.dose.d50_gy,
    "dose_d98_gy": lambda row: row.dose.d98_gy,
    "dose_mean_gy_per_gbq": lambda row: row.dose.mean_gy * MBQ_PER_GBQ / row.net_mbq,
    "tia_mbq_h": lambda row: row.fit.tia_mbq_h,
    "map_tia_mbq_h": lambda row: row.map_tia_mbq_h,
    "tia_coefficient_h": lambda row: row.fit.tia_mbq_h / row.net_mbq,
    "effective_half_life_h": lambda row: _finite(row.fit.effective_half_life_h),
    "model": lambda row: row.fit.model,
    "why": lambda row: row.fit.why,
    "fallback": lambda row: row.fit.fallback,
    "physical_tail_tia_mbq_h": lambda row: row.fit.physical_tail_tia_mbq_h,
    "physical_tail_dose_gy": lambda row: _physical_tail_dose_gy(row),
    "fit_rms_pct": lambda row: _percent(row.fit.misfit),
    "relative_sd_pct": lambda row: _percent(row.sd.total),
    "relative_95_pct": lambda row: _percent(row.sd.total_95),
    "calibration_sd_pct": lambda row: _percent(row.sd.calibration),
    "volume_sd_pct": lambda row: _percent(row.sd.volume),
    "fit_sd_pct": lambda row: _percent(row.sd.fit),
    "bed_gy": lambda row: None if row.bed is None else row.bed.bed_gy,
    "alpha_beta_gy": lambda row: None if row.bed is None else row.bed.tissue.alpha_beta_gy,
    "repair_half_time_h": lambda row: (
        None if row.bed is None else row.bed.tissue.repair_half_time_h
    ),
    "lea_catcheside_g": lambda row: None if row.bed is None else row.bed.g,
    "recovery_coefficient": lambda row: row.recovery,
    "dose_recovered_gy": lambda row: _recovered_gy(row),
    "dose_recovered_sd_pct": lambda row: _percent(row.recovered_sd),
}
"""Column → its cell; ``None`` is an empty one."""


def table_csv(rows: Sequence[Row]) -> bytes:
    """Encode the table, every digit that counts.

    Raises:
        ValueError: A number is not finite.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_text(name, cell(row)) for name, cell in COLUMNS.items()])
    return text.getvalue().encode()


def _physical_tail_dose_gy(row: Row) -> float | None:
    if not row.map_tia_mbq_h > 0:
        return None
    return row.dose.mean_gy * row.fit.physical_tail_tia_mbq_h / row.map_tia_mbq_h


def _recovered_gy(row: Row) -> float | None:
    if row.recovery is None or row.sd.volume is None:
        return None
    return row.dose.mean_gy / row.recovery


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(value: float | None) -> float | None:
    return None if value is None else 100.0 * value


def _text(name: str, cell: Cell) -> str:
    if isinstance(cell, float) and not math.isfinite(cell):
        raise ValueError(f"{name} must be finite, got {cell!r}.")
    if cell is None:
        return ""
    return repr(cell) if isinstance(cell, float) else str(cell)

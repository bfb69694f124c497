"""A region's row: what is found out of its dose, curve, uncertainty, BED and recovery."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Float64

from rpt_dosimetry.dose.activity_series import ActivitySeries
from rpt_dosimetry.dose.bed import Tissue, Tissues, bed_gy, lea_catcheside
from rpt_dosimetry.dose.recovery import recovery_coefficient
from rpt_dosimetry.dose.regions import BODY, REST, WHOLE_IMAGE, Region
from rpt_dosimetry.dose.row_uncertainty import RelativeSd, relative_sd
from rpt_dosimetry.dose.statistics import DoseStatistics, dose_statistics
from rpt_dosimetry.dose.therapy import Therapy
from rpt_dosimetry.radiation.media import SOFT_TISSUE_G_PER_CM3
from rpt_dosimetry.tia.region_fit import RegionFit
from rpt_dosimetry.tia.times import infusion_factor


@dataclass(frozen=True)
class Told:
    """What the table is to tell beside the dose.

    Attributes:
        tissues: BED's parameters.
        calibration_relative_sd: Standard uncertainty of the calibration factor, relative;
            ``None`` where it is not known.
        fwhm_mm: Resolution of the activity images, mm; turns recovery and the volume's part of
            the uncertainty on.
        recovery_relative_sd: Standard uncertainty of the recovery coefficients, relative;
            ``None`` where it is not stated.
    """

    tissues: Tissues
    calibration_relative_sd: float | None
    fwhm_mm: float | None
    recovery_relative_sd: float | None = None


@dataclass(frozen=True)
class Maps:
    """The volumes from which rows are made.

    Attributes:
        series: The activities.
        tia_mbq_h_per_ml: Time-integrated activity, MBq h/mL.
        dose_gy: Dose, Gy.
        density_g_per_ml: Mass density of a CT, g/mL; ``None`` for soft tissue.
    """

    series: ActivitySeries
    tia_mbq_h_per_ml: Float64[np.ndarray, "x y z"]
    dose_gy: Float[np.ndarray, "x y z"]
    density_g_per_ml: Float64[np.ndarray, "x y z"] | None


@dataclass(frozen=True)
class RegionBed:
    """BED of a region's mean dose.

    Attributes:
        bed_gy: BED, Gy.
        g: Lea and Catcheside's factor.
        tissue: The parameters used.
    """

    bed_gy: float
    g: float
    tissue: Tissue


@dataclass(frozen=True)
class Row:
    """What is known of a region; ``table.COLUMNS`` says how it becomes a line.

    Attributes:
        region: Which.
        volume_ml: Volume, mL.
        mass_g: Mass, g.
        dose: Doses of its voxels.
        fit: Its curve.
        map_tia_mbq_h: Sum of the voxels' time-integrated activity, MBq h.
        net_mbq: Net administered activity, MBq.
        sd: Relative uncertainty of the mean dose.
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
    sd: RelativeSd
    bed: RegionBed | None
    recovery: float | None
    recovered_sd: float | None


def make_row(maps: Maps, region: Region, fit: RegionFit, therapy: Therapy, told: Told) -> Row:
    """Find out what the table tells of a region.

    Args:
        maps: The volumes.
        region: Which.
        fit: Its curve.
        therapy: What was given.
        told: Options.
    """
    voxel_ml = maps.series.voxel_ml
    volume_ml = len(region.voxels) * voxel_ml
    dose = dose_statistics(maps.dose_gy.ravel()[region.voxels])
    tissue = told.tissues.of(region.name)
    whole = region.name in (WHOLE_IMAGE, BODY, REST)  # of which BED and recovery mean nothing
    sd_of = partial(
        relative_sd,
        fit,
        volume_ml=volume_ml,
        voxel_ml=voxel_ml,
        calibration_relative_sd=told.calibration_relative_sd,
        fwhm_mm=told.fwhm_mm,
    )
    no_recovery = whole or told.recovery_relative_sd is None
    return Row(
        region=region,
        volume_ml=volume_ml,
        mass_g=_mass_g(maps, region),
        dose=dose,
        fit=fit,
        map_tia_mbq_h=float(maps.tia_mbq_h_per_ml.ravel()[region.voxels].sum() * voxel_ml),
        net_mbq=therapy.net_mbq,
        sd=sd_of(),
        bed=None if whole else _bed(fit, dose.mean_gy, tissue, infusion_h=therapy.infusion_h),
        recovery=None if whole else _recovery(region, maps.series, told.fwhm_mm),
        recovered_sd=(
            None if no_recovery else sd_of(recovery_relative_sd=told.recovery_relative_sd).total
        ),
    )


def _mass_g(maps: Maps, region: Region) -> float:
    if maps.density_g_per_ml is None:
        return len(region.voxels) * maps.series.voxel_ml * SOFT_TISSUE_G_PER_CM3
    return float(maps.density_g_per_ml.ravel()[region.voxels].sum() * maps.series.voxel_ml)


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


def _recovery(region: Region, series: ActivitySeries, fwhm_mm: float | None) -> float | None:
    if fwhm_mm is None:
        return None
    mask = np.zeros(series.shape, dtype=bool)
    mask.ravel()[region.voxels] = True
    return recovery_coefficient(mask, spacing_mm=series.spacing_mm, fwhm_mm=fwhm_mm)

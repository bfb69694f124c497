"""The relative uncertainty of a region's mean dose, as far as it is known."""

import math
from dataclasses import dataclass

from rpt_dosimetry.tia.region_fit import RegionFit
from rpt_dosimetry.tia.uncertainty import SMALLEST_DIAMETER_OF_FWHM, combine, diameter_mm

NORMAL_95 = 1.96
"""Standard deviations on either side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class RelativeSd:
    """Relative standard uncertainty (1 SD) and its parts; ``None`` where one is unknown.

    Attributes:
        total: Root of the sum of squares of the parts, the outline's only where it is known;
            ``None`` where the calibration's or the fit's is unknown, or the region is too small for
            its outline to be told by the image, or has no activity.
        total_95: Half of the 95 % interval, likewise: with one or two points left over far more
            than twice ``total``.
        calibration: Of the calibration factor.
        volume: Of the outline; unknown without the resolution.
        fit: Of the time–activity fit; unknown where no point is left over.
    """

    total: float | None
    total_95: float | None
    calibration: float | None
    volume: float | None
    fit: float | None


def relative_sd(
    fit: RegionFit,
    *,
    volume_ml: float,
    voxel_ml: float,
    calibration_relative_sd: float | None,
    fwhm_mm: float | None,
    recovery_relative_sd: float | None = None,
) -> RelativeSd:
    """Combine what is known; see ``tia.uncertainty.combine``.

    Args:
        fit: The region's curve.
        volume_ml: Volume of the region, mL.
        voxel_ml: Volume of a voxel, mL.
        calibration_relative_sd: u(Q)/Q; ``None`` where it is not known.
        fwhm_mm: Resolution of the activity images, mm; ``None`` leaves the volume's part out.
        recovery_relative_sd: u(R)/R, for the dose divided by the recovery coefficient.
    """
    calibration = calibration_relative_sd
    if not fit.tia_mbq_h > 0:
        return RelativeSd(None, None, calibration, None, None)
    fitted, fitted_95 = (
        None if half_mbq_h is None else half_mbq_h / fit.tia_mbq_h
        for half_mbq_h in (fit.tia_sd_mbq_h, fit.tia_95_mbq_h)
    )
    known, volume = calibration, None
    if fwhm_mm is not None:
        if diameter_mm(volume_ml=volume_ml) < SMALLEST_DIAMETER_OF_FWHM * fwhm_mm:
            return RelativeSd(None, None, calibration, None, fitted)
        found = combine(
            volume_ml=volume_ml,
            voxel_mm=math.cbrt(voxel_ml * 1000.0),
            fwhm_mm=fwhm_mm,
            calibration_relative_sd=calibration,
            fit_relative_sd=0.0,
            recovery_relative_sd=recovery_relative_sd,
        )
        known, volume = found.total, found.volume
    if known is None or fitted is None or fitted_95 is None:
        return RelativeSd(None, None, calibration, volume, fitted)
    total, total_95 = math.hypot(known, fitted), math.hypot(NORMAL_95 * known, fitted_95)
    return RelativeSd(total, total_95, calibration, volume, fitted)

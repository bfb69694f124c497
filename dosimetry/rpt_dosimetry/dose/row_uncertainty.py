"""The relative uncertainty of a region's mean dose, as far as it is known."""

import math
from dataclasses import dataclass

from rpt_dosimetry.tia.region_fit import RegionFit
from rpt_dosimetry.tia.uncertainty import SMALLEST_DIAMETER_OF_FWHM, combine, diameter_mm


@dataclass(frozen=True)
class RelativeSd:
    """Relative standard uncertainty (1 SD) and its parts; ``None`` where one is unknown.

    Attributes:
        total: Root of the sum of squares of the known parts; ``None`` where the calibration's is
            not known, the region is too small for its outline to be told by the image, or has no
            activity.
        calibration: Of the calibration factor.
        volume: Of the outline; unknown without the resolution.
        fit: Of the time–activity fit; unknown where no point is left over.
    """

    total: float | None
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
    if not fit.tia_mbq_h > 0:
        return RelativeSd(None, calibration_relative_sd, None, None)
    fitted = None
    if fit.tia_sd_mbq_h is not None:
        fitted = fit.tia_sd_mbq_h / fit.tia_mbq_h
    if fwhm_mm is None:
        total = None
        if calibration_relative_sd is not None:
            total = math.hypot(calibration_relative_sd, fitted or 0.0)
        return RelativeSd(total, calibration_relative_sd, None, fitted)
    if diameter_mm(volume_ml=volume_ml) < SMALLEST_DIAMETER_OF_FWHM * fwhm_mm:
        return RelativeSd(None, calibration_relative_sd, None, fitted)
    found = combine(
        volume_ml=volume_ml,
        voxel_mm=math.cbrt(voxel_ml * 1000.0),
        fwhm_mm=fwhm_mm,
        calibration_relative_sd=calibration_relative_sd,
        fit_relative_sd=fitted,
        recovery_relative_sd=recovery_relative_sd,
    )
    return RelativeSd(found.total, found.calibration, found.volume, found.fit)

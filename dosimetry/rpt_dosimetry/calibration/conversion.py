"""From counts to activity concentration, by a calibration factor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.calibration.factor import CalibrationFactor, SpectCounts

QUANTITY = "SPECT calibration factor, cps/MBq"
_MM3_PER_ML = 1000.0
_BQ_PER_MBQ = 1e6


def concentration_bq_per_ml(
    counts: Volume, *, factor: CalibrationFactor, spect: SpectCounts
) -> Float64[np.ndarray, "x y z"]:
    """Convert reconstructed counts to activity concentration at the time of the scan.

    Args:
        counts: Reconstructed counts, corrected for attenuation and scatter as those were by which
            the factor was found.
        factor: cps/MBq.
        spect: Duration and dead time of this scan.

    Returns:
        Bq/mL, shape (x, y, z).
    """
    per_count = spect.dead_time_correction / spect.duration_s / factor.cps_per_mbq
    values: Float64[np.ndarray, "x y z"] = counts.data.astype(np.float64)
    return values * (per_count * _BQ_PER_MBQ / voxel_ml(counts))


def voxel_ml(volume: Volume) -> float:
    """Return the volume of a voxel, mL."""
    return abs(float(np.linalg.det(volume.affine[:3, :3]))) / _MM3_PER_ML


def read_factor(path: Path) -> CalibrationFactor:
    """Read the factor of a CALIBRATION.json.

    Raises:
        BadInput: It is no such file.
    """
    try:
        content: Any = json.loads(path.read_bytes())
        if content["quantity"] != QUANTITY:
            raise ValueError("another quantity")
        cps_per_mbq = float(content["cps_per_mbq"])
        parts = {str(part): float(sd) for part, sd in content["relative_sd_pct"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            "The calibration must be a JSON that calibrate wrote, and it is not. Run calibrate "
            "with an OUT that ends in .json first."
        ) from error
    return CalibrationFactor(cps_per_mbq, {part: sd / 100.0 for part, sd in parts.items()})

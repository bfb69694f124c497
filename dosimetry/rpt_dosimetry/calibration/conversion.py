"""From counts to activity concentration, by a calibration factor."""

import json
from collections.abc import Mapping
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
    if not path.exists():
        raise BadInput(
            "The calibration must be a JSON that calibrate wrote, and there is no such file. Check "
            "the path."
        )
    try:
        content: Any = json.loads(path.read_bytes())
        if content["quantity"] != QUANTITY:
            raise ValueError("another quantity")
        cps_per_mbq, parts = _story(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            "The calibration must be a JSON that calibrate wrote, and it is not. Run calibrate "
            "with an OUT that ends in .json first."
        ) from error
    return CalibrationFactor(cps_per_mbq, parts)


def factor_beside(told: Mapping[str, Any]) -> CalibrationFactor | None:
    """Take the factor by which an activity was made from the JSON beside it.

    Args:
        told: The JSON.

    Returns:
        The factor; ``None`` where the JSON tells of none, as that of ``activity``.

    Raises:
        BadInput: It tells of one otherwise than ``calibrate`` does.
    """
    if "relative_sd_pct" not in told:
        return None
    try:
        cps_per_mbq, parts = _story(told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            "cps_per_mbq and relative_sd_pct of the JSON beside the image must be as calibrate "
            "writes them, and they are not. Convert the counts anew."
        ) from error
    return CalibrationFactor(cps_per_mbq, parts)


def _story(told: Mapping[str, Any]) -> tuple[float, dict[str, float | None]]:
    return float(told["cps_per_mbq"]), {
        str(part): None if pct is None else float(pct) / 100.0
        for part, pct in told["relative_sd_pct"].items()
    }

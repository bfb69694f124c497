"""What ``calibrate`` writes: a factor as JSON, or activity as NIfTI with its JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rpt_cohort import BadInput, json_bytes, nifti_bytes, provenance

from rpt_dosimetry.calibration.conversion import (
    QUANTITY,
    concentration_bq_per_ml,
    voxel_ml,
)
from rpt_dosimetry.calibration.factor import CalibrationFactor, SpectCounts
from rpt_dosimetry.calibration.spect_input import Spect
from rpt_dosimetry.dicom.nm import BQ_PER_ML

_LIBRARIES = ("rpt-cohort", "icrp107-database", "xraydb", "pydicom", "numpy", "scipy", "nibabel")
_BQ_PER_MBQ = 1e6


def factor_content(
    factor: CalibrationFactor,
    told: Mapping[str, Any],
    *,
    parameters: Mapping[str, Any],
    sha256: Mapping[str, str],
) -> dict[str, Any]:
    """Return what a CALIBRATION.json holds.

    Args:
        factor: cps/MBq and its uncertainty.
        told: How it was found.
        parameters: What it depends on.
        sha256: Role → SHA-256 of what was read.
    """
    return {
        "quantity": QUANTITY,
        **factor_story(factor),
        **told,
        "provenance": _provenance(parameters, sha256),
    }


def activity_files(
    spect: Spect,
    factor: CalibrationFactor | None,
    *,
    dead_time_correction: float,
    inputs: Mapping[str, str],
) -> tuple[tuple[bytes, bytes], float, list[str]]:
    """Convert a SPECT to activity concentration.

    Args:
        spect: Counts; or Bq/mL, which are kept.
        factor: For counts only.
        dead_time_correction: True over recorded counts.
        inputs: What else was read: role → SHA-256.

    Returns:
        The NIfTI file and its JSON, the activity in the field of view, MBq, and warnings.

    Raises:
        BadInput: A factor without counts or counts without one, or the duration is not told.
    """
    if (factor is None) != (spect.quantity == BQ_PER_ML):
        raise BadInput(
            "--factor or --camera-cps-per-mbq must be given with a SPECT in counts, and not with "
            f"one in Bq/mL; this one is in {spect.quantity}."
        )
    data, story, warnings = spect.volume.data, {}, list(spect.warnings)
    if factor is not None:
        total = float(spect.volume.data.sum(dtype=np.float64))
        counts = SpectCounts(total, spect.needed_duration_s, dead_time_correction)
        data = concentration_bq_per_ml(spect.volume, factor=factor, spect=counts)
        story = factor_story(factor) | {"dead_time_correction": dead_time_correction}
        warnings += [] if factor.why_no_total is None else [factor.why_no_total]
    total_mbq = float(data.sum(dtype=np.float64)) * voxel_ml(spect.volume) / _BQ_PER_MBQ
    content = {
        "quantity": "activity concentration at mid-scan, Bq/mL",
        "from": spect.quantity,
        **story,
        "nuclide": spect.nuclide,
        "duration_s": spect.duration_s,
        "duration_by": spect.duration_branch,
        "injection_to_mid_scan_h": spect.time_h,
        "activity_in_field_of_view_mbq": total_mbq,
        "shape": list(data.shape),
        "spacing_mm": list(spect.volume.spacing_mm),
        "warnings": warnings,
        "provenance": _provenance(
            {"duration_s": spect.duration_s}, {"spect": spect.sha256, **inputs}
        ),
    }
    image = nifti_bytes(data, spect.volume.affine, dtype=np.float32)
    return (image, json_bytes(content)), total_mbq, warnings


def factor_story(factor: CalibrationFactor) -> dict[str, Any]:
    """Tell a factor and its uncertainty by parts; what is not known is ``None``."""
    return {
        "cps_per_mbq": factor.cps_per_mbq,
        "relative_sd_pct": {part: _percent(sd) for part, sd in factor.relative_sd.items()},
        "total_relative_sd_pct": _percent(factor.total_relative_sd),
        "why_no_total": factor.why_no_total,
    }


def _percent(relative_sd: float | None) -> float | None:
    return None if relative_sd is None else 100.0 * relative_sd


def _provenance(parameters: Mapping[str, Any], sha256: Mapping[str, str]) -> dict[str, Any]:
    return provenance(
        package="rpt-dosimetry",
        command="calibrate",
        parameters=parameters,
        inputs=sha256,
        libraries=_LIBRARIES,
    )
